//! What a proxy's answer means for the client: whether the endpoint's reply finds its way back.

use super::{
    Computed, Forecast, Input, Journey, Needed, Origin, PredictedOutcome, primary, reasons,
};
use crate::{
    facts::Node,
    model::{
        flow::{Answer, ProxyAction},
        world::{Backend, Family},
    },
    position::Network,
    protocol::Protocol,
    proxy_mode::ProxyMode,
    report::Why,
    target::TargetKind,
};
use std::net::IpAddr;

impl<'a> Journey<'_, 'a> {
    pub(super) fn origin(&self, address: IpAddr, node: &Node) -> Origin {
        match self.client.network {
            Network::Pod => Origin::OwnPod,
            Network::Host => Origin::OwnHost {
                dialled: self
                    .world
                    .proxy_on(&node.name)
                    .is_some_and(|proxy| proxy.mode == ProxyMode::Ipvs)
                    && !node.internal_ips.contains(&address),
            },
            Network::External => Origin::Elsewhere,
        }
    }

    /// Whether a node drops the packets of another one, because it takes that node's address for its own.
    pub(super) fn drops(&self, node: &Node, from: &Node, family: Family) -> bool {
        primary(from, family).is_some_and(|source| self.world.takes_for_itself(&node.name, source))
    }

    pub(super) fn dropped(mut why: Vec<Why>) -> Forecast {
        let reason = reasons::NODE_ADDRESS_TAKEN;
        why.push(reason.why());
        Forecast::lost(None, reason.cause(), why)
    }

    /// What a node's answer means for the client: for each endpoint, whether the reply finds its way back.
    pub(super) fn delivered(
        &self,
        answer: &Answer<'a>,
        node: &Node,
        address: IpAddr,
        origin: Origin,
        mut why: Vec<Why>,
    ) -> Computed {
        why.extend(answer.why.iter().cloned());
        let outcome = match answer.action {
            ProxyAction::Endpoints => None,
            ProxyAction::Reject => Some(PredictedOutcome::Refused),
            ProxyAction::Drop => Some(PredictedOutcome::TimedOut),
            ProxyAction::Accept => return Ok(Forecast::unknown(Input::Listener).because(why)),
            ProxyAction::None
                if node.internal_ips.contains(&address) || self.on_interface == Some(address) =>
            {
                // The node's own stack gets the packet, and nothing listens there.
                why.push(reasons::NO_LISTENER.why());
                Some(PredictedOutcome::Refused)
            }
            ProxyAction::None => return Ok(Forecast::unknown(Input::Route).because(why)),
        };
        if let Some(outcome) = outcome {
            return Ok(Forecast {
                action: Some(answer.action),
                endpoints: Vec::new(),
                masquerade: None,
                outcome,
                client_kept: None,
                why,
                cause: answer.cause,
            });
        }
        let mut answering = Vec::new();
        let mut kept = Vec::new();
        let mut lost = None;
        for backend in &answer.endpoints {
            match self.returns(answer, backend, node, origin)? {
                Ok(()) => {
                    answering.push(backend.address.to_string());
                    kept.push(self.kept(answer, backend, node, origin));
                }
                Err(reason) => lost = Some(reason),
            }
        }
        if let Some(reason) = lost {
            why.push(reason.why());
            if !answering.is_empty() && self.service.session_affinity_seconds.is_some() {
                why.push(reasons::AFFINITY.why());
            }
        }
        let of = answer.endpoints.len();
        let outcome = match answering.len() {
            0 => PredictedOutcome::TimedOut,
            reached if reached == of => PredictedOutcome::Reached,
            reached => PredictedOutcome::Sometimes {
                reached,
                of,
                each_attempt: self.service.session_affinity_seconds.is_none(),
            },
        };
        Ok(Forecast {
            action: Some(answer.action),
            endpoints: answering,
            masquerade: answer.masquerade,
            outcome,
            client_kept: kept
                .first()
                .copied()
                .flatten()
                .filter(|first| kept.iter().all(|other| *other == Some(*first))),
            why,
            cause: lost.and_then(reasons::Reason::cause),
        })
    }

    /// Whether the endpoint sees one of the client's own addresses.
    fn kept(
        &self,
        answer: &Answer<'_>,
        backend: &Backend<'_>,
        node: &Node,
        origin: Origin,
    ) -> Option<bool> {
        if matches!(origin, Origin::OwnHost { .. }) {
            // A process on the host network has all addresses of its node, and its node's proxy can only use these.
            return Some(true);
        }
        let masquerade = answer.masquerade;
        match self.is_plain(backend) {
            // A packet to the node itself does not pass POSTROUTING, so it may keep its source although it is marked.
            Ok(true) if is_here(backend, node) => (masquerade == Some(false)).then_some(true),
            // The pod network may masquerade a packet that leaves for another node's address.
            Ok(true) if origin == Origin::OwnPod && masquerade == Some(false) => {
                self.paths.pods_masqueraded.map(|masqueraded| !masqueraded)
            }
            Ok(_) => masquerade.map(|masquerade| !masquerade),
            Err(_) => None,
        }
    }

    /// Whether the endpoint is on a host network or outside of the cluster, so that its replies are routed like a
    /// node's.
    fn is_plain(&self, backend: &Backend<'_>) -> Result<bool, Needed> {
        match backend.node {
            None => Ok(true),
            // The addresses of that node are unknown.
            Some(name) if self.world.node(name).is_none() => self.ask(Input::BackendOnHost),
            Some(_) => Ok(self.is_on_host(backend)),
        }
    }

    fn is_on_host(&self, backend: &Backend<'_>) -> bool {
        let address = backend.address.ip();
        self.world.node_of_address(address).is_some()
    }

    /// Whether the endpoint's reply passes the node that translated the request, so that the translation is undone.
    fn returns(
        &self,
        answer: &Answer<'_>,
        backend: &Backend<'_>,
        node: &Node,
        origin: Origin,
    ) -> Result<Result<(), reasons::Reason>, Needed> {
        // kube-proxy changes a packet's destination once, so no node handles the other Service's address.
        if self.world.is_virtual(backend.address.ip()) {
            return Ok(Err(reasons::VIRTUAL_ENDPOINT));
        }
        let ip = backend.address.ip();
        let target = backend.node.and_then(|name| self.world.node(name));
        let has_nodes_address =
            answer.masquerade == Some(true) || origin == (Origin::OwnHost { dialled: false });
        if self.world.takes_for_itself(&node.name, ip)
            || has_nodes_address && target.is_some_and(|to| self.drops(to, node, Family::of(ip)))
        {
            return Ok(Err(reasons::NODE_ADDRESS_TAKEN));
        }
        // `None` means that the client is one of the endpoints. It is masqueraded if it reaches itself.
        if answer.masquerade != Some(false) {
            return Ok(Ok(()));
        }
        let here = is_here(backend, node);
        let plain = self.is_plain(backend)?;
        // A host has several addresses. If a server does not listen on one of them, its host chooses the address of the
        // reply by the way to the client, and a pod is on another way than a node.
        if plain
            && self.is_on_host(backend)
            && self.target.protocol == Protocol::Udp
            && self.client.network == Network::Pod
            && !self.ask(Input::ReplyAddress)?
        {
            return Ok(Err(reasons::OTHER_SOURCE));
        }
        let inside_only = matches!(self.target.kind, TargetKind::ClusterIp | TargetKind::Dns);
        let returns = |returns: bool, reason| if returns { Ok(()) } else { Err(reason) };
        Ok(match origin {
            // Cluster IPs have to work from pods in every Kubernetes network.
            Origin::OwnPod if inside_only => Ok(()),
            Origin::OwnPod if here && plain => Ok(()),
            Origin::OwnPod if here => {
                returns(self.ask(Input::SameNodeReplies)?, reasons::SAME_NODE_BYPASS)
            }
            Origin::OwnPod => returns(self.ask(Input::OtherNodeReplies)?, reasons::LOST_REPLY),
            Origin::OwnHost { .. } if here => Ok(()),
            Origin::OwnHost { dialled: true } => Err(reasons::SOURCE_IS_LOCAL),
            Origin::OwnHost { dialled: false } if plain => Ok(()),
            Origin::OwnHost { dialled: false } => {
                returns(self.ask(Input::HostReplies)?, reasons::HOST_REPLY_FILTERED)
            }
            Origin::Elsewhere => returns(here, reasons::LOST_REPLY),
        })
    }
}

/// Whether the endpoint is on the node. An EndpointSlice that a user wrote by hand may name no node.
fn is_here(backend: &Backend<'_>, node: &Node) -> bool {
    backend.is_on(&node.name) || node.internal_ips.contains(&backend.address.ip())
}
