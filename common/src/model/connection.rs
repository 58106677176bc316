//! What happens to a connection between nodes, after the first proxy.
//!
//! One node's proxy ([`flow`](super::flow)) decides where a packet goes. That does not yet mean that the client gets an
//! answer. The packet may arrive at another node's proxy. And the reply must pass the node that rewrote the request,
//! since only that node can undo the change.
//!
//! An [`Input`] is something that the API does not say. If an input is unknown, the model computes both cases. If they
//! agree, the input does not matter. If they differ, the forecast is unknown and names the input.

mod forecast;
mod paths;
mod reasons;

#[cfg(test)]
mod tests;

pub use forecast::{Forecast, PredictedOutcome};
pub use paths::{Balancer, Input, Paths};

use super::{
    flow::{Answer, NotModelled, Packet, ProxyAction},
    proxy::{Detector, NodePortAddresses, Proxy},
    world::{Backend, Family, World},
};
use crate::{
    facts::{Facts, Node, Service, ServiceType, TrafficPolicy},
    position::Network,
    proxy_mode::ProxyMode,
    report::Why,
    target::{Scope, Target, TargetKind},
};
use ipnet::IpNet;
use paths::Case;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Where a client is.
#[derive(Debug, Clone, Copy)]
pub struct Client<'c> {
    /// The network stack that it uses.
    pub network: Network,
    /// Its node; `None` outside of the cluster.
    pub node: Option<&'c str>,
}

/// How a packet came to the node that translates it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// From a pod of that node, with the pod's address.
    OwnPod,
    /// From a process of that node.
    OwnHost {
        /// Whether the packet's source is the dialled address itself, since the node has that address (ipvs mode).
        dialled: bool,
    },
    /// From anywhere else.
    Elsewhere,
}

impl<'a> World<'a> {
    /// The world of one Service.
    #[must_use]
    pub fn of(facts: &'a Facts, proxy: &'a Proxy) -> Self {
        World::new(
            [(&facts.service, facts.endpoints.as_slice())],
            &facts.nodes,
            proxy,
        )
    }

    /// Predicts the result of a client's connection to a target of a Service.
    #[must_use]
    pub fn connect(
        &self,
        paths: &Paths,
        service: &'a Service,
        client: Client<'_>,
        target: &Target,
    ) -> Forecast {
        explore(&Case::known(paths), &|case| {
            Journey {
                world: self,
                paths,
                service,
                client,
                target,
                case,
            }
            .forecast()
        })
    }
}

impl World<'_> {
    /// Like [`World::connect`], for the Service of this name. If there is none, the forecast is unknown.
    #[must_use]
    pub fn connect_by_name(
        &self,
        paths: &Paths,
        namespace: &str,
        name: &str,
        client: Client<'_>,
        target: &Target,
    ) -> Forecast {
        match self.service(namespace, name) {
            Some(service) => self.connect(paths, service, client, target),
            None => Forecast::unknown(Input::Address),
        }
    }
}

/// An input that is needed and unknown.
struct Needed(Input);

/// Computes a case. If it needs an unknown input, computes the case for both values and combines the results.
fn explore(case: &Case, compute: &dyn Fn(&Case) -> Result<Forecast, Needed>) -> Forecast {
    match compute(case) {
        Ok(forecast) => forecast,
        Err(Needed(input)) => Forecast::merged(
            input,
            explore(&case.with(input, true), compute),
            explore(&case.with(input, false), compute),
        ),
    }
}

/// One client and one target, with the inputs known or assumed so far.
struct Journey<'j, 'a> {
    world: &'j World<'a>,
    paths: &'j Paths,
    service: &'a Service,
    client: Client<'j>,
    target: &'j Target,
    case: &'j Case,
}

type Computed = Result<Forecast, Needed>;

impl<'a> Journey<'_, 'a> {
    fn forecast(&self) -> Computed {
        match self.target.kind {
            TargetKind::PodIp => Ok(self.pod_ip()),
            TargetKind::ClusterIp => match self.address() {
                Some(address) => self.cluster_ip(address),
                None => Ok(Forecast::unknown(Input::Address)),
            },
            TargetKind::Dns => self.name(),
            TargetKind::NodePort => self.node_port(),
            TargetKind::LoadBalancer => self.load_balancer(),
            TargetKind::ExternalIp => self.external_ip(),
            TargetKind::HealthCheckNodePort => self.health_check(),
            TargetKind::Dnat | TargetKind::Ingress => Ok(Forecast::unknown(Input::Gateway)),
        }
    }

    fn ask(&self, input: Input) -> Result<bool, Needed> {
        self.case.get(input).ok_or(Needed(input))
    }

    fn address(&self) -> Option<IpAddr> {
        self.target.address.parse().ok()
    }

    fn node(&self) -> Option<&'a Node> {
        self.client.node.and_then(|name| self.world.node(name))
    }

    /// A pod's own address. kube-proxy is not involved, and pods and nodes reach every pod (the Kubernetes network
    /// model). The model does not know network policies.
    fn pod_ip(&self) -> Forecast {
        if self.client.network == Network::External {
            return Forecast::unknown(Input::PodRoute);
        }
        let endpoints = self
            .address()
            .map(|address| SocketAddr::new(address, self.target.port.get()).to_string());
        Forecast {
            action: Some(ProxyAction::None),
            endpoints: endpoints.into_iter().collect(),
            masquerade: Some(false),
            outcome: PredictedOutcome::Reached,
            client_kept: None,
            why: vec![reasons::POD_TO_POD.why()],
            cause: None,
        }
    }

    fn name(&self) -> Computed {
        if self.service.kind == ServiceType::ExternalName {
            return Ok(Forecast::unknown(Input::Alias));
        }
        if self.client.network == Network::External {
            return Ok(Forecast::unknown(Input::ServiceRoute));
        }
        if self.service.headless {
            // The slices mark endpoints as ready if the Service publishes them before they are ready.
            let answers = self.resolved();
            return Ok(if answers.is_empty() {
                Forecast {
                    action: Some(ProxyAction::None),
                    endpoints: Vec::new(),
                    masquerade: None,
                    outcome: PredictedOutcome::NoName,
                    client_kept: None,
                    why: vec![reasons::HEADLESS_EMPTY.why()],
                    cause: reasons::HEADLESS_EMPTY.cause(),
                }
            } else {
                Forecast {
                    action: Some(ProxyAction::None),
                    endpoints: answers,
                    masquerade: Some(false),
                    outcome: PredictedOutcome::Reached,
                    client_kept: Some(true),
                    why: vec![reasons::HEADLESS.why()],
                    cause: None,
                }
            });
        }
        match self.service.cluster_ips.first() {
            Some(&address) => self.cluster_ip(address),
            None => Ok(Forecast::unknown(Input::Address)),
        }
    }

    /// Addresses that the name of a headless Service resolves to: those of ready endpoints.
    fn resolved(&self) -> Vec<String> {
        self.world
            .endpoints_of(self.service)
            .iter()
            .filter(|endpoint| endpoint.ready)
            .map(|endpoint| SocketAddr::new(endpoint.address, self.target.port.get()).to_string())
            .collect()
    }

    fn cluster_ip(&self, address: IpAddr) -> Computed {
        let Some(node) = self.node() else {
            return Ok(Forecast::unknown(Input::ServiceRoute));
        };
        let answer = match self.own_flow(node, address)? {
            Ok(answer) => answer,
            Err(error) => return Ok(Forecast::not_modelled(&error)),
        };
        let origin = self.origin(address, node);
        self.delivered(&answer, node, address, origin, Vec::new())
    }

    fn node_port(&self) -> Computed {
        let Some(node) = self
            .target
            .node
            .as_deref()
            .and_then(|name| self.world.node(name))
        else {
            return Ok(Forecast::unknown(Input::TargetNode));
        };
        let Some(address) = self.address() else {
            return Ok(Forecast::unknown(Input::Address));
        };
        // A public address is translated to the node's own address on the way, and the packet arrives from outside.
        let public = self.target.scope == Some(Scope::Public)
            || (!node.internal_ips.contains(&address) && node.external_ips.contains(&address));
        if public {
            let Some(inside) = primary(node, Family::of(address)) else {
                return Ok(Forecast::unknown(Input::Address));
            };
            let why = vec![reasons::PUBLIC_ADDRESS.why()];
            let forecast = self.arrival(node, inside, None, why)?.behind_a_firewall();
            return Ok(if self.client.node.is_some() {
                forecast.seen_as_another()
            } else {
                forecast
            });
        }
        let Some(own) = self.node() else {
            return self.arrival(node, address, None, Vec::new());
        };
        let answer = match self.own_flow(own, address)? {
            Ok(answer) => answer,
            Err(error) => return Ok(Forecast::not_modelled(&error)),
        };
        if own.name == node.name || answer.action != ProxyAction::None {
            let origin = self.origin(address, own);
            return self.delivered(&answer, own, address, origin, Vec::new());
        }
        let (source, why) = self.leaving(own, Family::of(address))?;
        let forecast = self.arrival(node, address, source, why)?;
        Ok(
            if self.client.network == Network::Pod && self.ask(Input::PodsMasqueraded)? {
                forecast.seen_as_another()
            } else {
                forecast
            },
        )
    }

    fn load_balancer(&self) -> Computed {
        let (Some(node), Some(address)) = (self.node(), self.address()) else {
            return self.through_balancer(Vec::new());
        };
        if self.ask(Input::PassThrough)? {
            return self.through_balancer(vec![reasons::PASS_THROUGH.why()]);
        }
        let answer = match self.own_flow(node, address)? {
            Ok(answer) => answer,
            Err(error) => return Ok(Forecast::not_modelled(&error)),
        };
        if answer.action == ProxyAction::None {
            return self.through_balancer(answer.why);
        }
        let origin = self.origin(address, node);
        self.delivered(&answer, node, address, origin, Vec::new())
    }

    /// The packet goes to the load balancer itself, which sends it to one of its nodes.
    fn through_balancer(&self, mut why: Vec<Why>) -> Computed {
        if self.paths.balancer.reaches_pods {
            why.push(reasons::BALANCER_TO_PODS.why());
            return Ok(Forecast {
                action: Some(ProxyAction::None),
                endpoints: Vec::new(),
                masquerade: None,
                outcome: PredictedOutcome::Reached,
                client_kept: self.paths.balancer.keeps_client,
                why,
                cause: None,
            });
        }
        let port =
            self.service.ports.iter().find(|port| {
                port.port == self.target.port && port.protocol == self.target.protocol
            });
        let Some(node_port) = port.and_then(|port| port.node_port) else {
            return Ok(Forecast::unknown(Input::BalancerTarget));
        };
        let local = self.service.external_traffic_policy == TrafficPolicy::Local;
        let nodes: Vec<&Node> = self
            .world
            .nodes()
            .filter(|node| !local || self.has_ready_endpoint(node))
            .collect();
        if local && nodes.is_empty() {
            why.push(reasons::BALANCER_NO_NODE.why());
            return Ok(Forecast::lost(
                Some(ProxyAction::Drop),
                reasons::BALANCER_NO_NODE.cause(),
                why,
            ));
        }
        why.push(if local {
            reasons::BALANCER_LOCAL.why()
        } else {
            reasons::BALANCER_CLUSTER.why()
        });
        let own = self.node();
        let keeps = match own {
            // This matters only if the client's own node may get the packet.
            Some(own) if nodes.iter().any(|node| node.name == own.name) => {
                self.ask(Input::KeepsClient)?
            }
            Some(_) | None => self.paths.balancer.keeps_client.unwrap_or(false),
        };
        let Some(family) = self.balancer_family() else {
            return Ok(Forecast::unknown(Input::BalancerTarget));
        };
        let mut forecasts = Vec::new();
        for node in nodes {
            let Some(address) = primary(node, family) else {
                continue;
            };
            if keeps && own.is_some_and(|own| own.name == node.name) {
                let mut why = why.clone();
                why.push(reasons::BALANCER_HAIRPIN.why());
                forecasts.push(Forecast::lost(None, reasons::BALANCER_HAIRPIN.cause(), why));
                continue;
            }
            let source = match own {
                Some(own) if keeps => primary(own, Family::of(address)),
                Some(_) | None => None,
            };
            let journey = Journey {
                target: &Target {
                    port: node_port,
                    ..self.target.clone()
                },
                ..*self
            };
            forecasts.push(journey.arrival(node, address, source, why.clone())?);
        }
        let kept = self.paths.balancer.keeps_client;
        Ok(Forecast::across_nodes(forecasts, kept))
    }

    /// The family of the node addresses that the load balancer sends to: the family of its own address. A Service has
    /// node ports only in the families of its cluster IPs. So a balancer with an address of another family, or with a
    /// name, can only send to one of those.
    fn balancer_family(&self) -> Option<Family> {
        let mut families = self.service.cluster_ips.iter().copied().map(Family::of);
        let own = self.address().map(Family::of);
        let first = families.clone().next();
        families.find(|&family| Some(family) == own).or(first)
    }

    fn external_ip(&self) -> Computed {
        let Some(address) = self.address() else {
            return Ok(Forecast::unknown(Input::Address));
        };
        let Some(node) = self.node() else {
            // The node that it is routed to is unknown.
            let mut forecasts = Vec::new();
            for node in self.world.nodes() {
                forecasts.push(self.arrival(node, address, None, Vec::new())?);
            }
            return Ok(Forecast::if_unanimous(forecasts, Input::ExternalIpRoute));
        };
        let answer = match self.own_flow(node, address)? {
            Ok(answer) => answer,
            Err(error) => return Ok(Forecast::not_modelled(&error)),
        };
        if answer.action == ProxyAction::None {
            return match self.world.node_of_address(address) {
                Some(other) if other.name != node.name => {
                    let (source, why) = self.leaving(node, Family::of(address))?;
                    self.arrival(other, address, source, why)
                }
                Some(_) | None => Ok(Forecast::unknown(Input::ExternalIpRoute).because(answer.why)),
            };
        }
        let origin = self.origin(address, node);
        self.delivered(&answer, node, address, origin, Vec::new())
    }

    /// kube-proxy answers on every node, at the addresses that answer node ports: 200 if the node runs a ready endpoint,
    /// otherwise 503 (kubernetes/kubernetes v1.37.2 `pkg/proxy/healthcheck/service_health.go`).
    fn health_check(&self) -> Computed {
        let Some(node) = self
            .target
            .node
            .as_deref()
            .and_then(|name| self.world.node(name))
        else {
            return Ok(Forecast::unknown(Input::TargetNode));
        };
        let Some(proxy) = self.world.proxy_on(&node.name) else {
            return Ok(Forecast::unknown(Input::ProxyMode));
        };
        match proxy.mode {
            ProxyMode::Iptables | ProxyMode::Ipvs | ProxyMode::Nftables => {}
            mode @ (ProxyMode::Userspace | ProxyMode::Ebpf) => {
                return Ok(Forecast::not_modelled(&NotModelled::Mode(mode)));
            }
        }
        let inside = |address: &IpAddr| node.internal_ips.contains(address);
        if let Some(address) = self.address().filter(inside) {
            let packet = Packet {
                node: &node.name,
                client: Network::External,
                client_ip: None,
                ip: address,
                port: self.target.port.get(),
                protocol: self.target.protocol,
            };
            let by = |addresses| self.world.answers_health_checks(&packet, addresses);
            let listed = match by(&proxy.node_port_addresses) {
                Ok(listed) => listed,
                Err(error) => return Ok(Forecast::not_modelled(&error)),
            };
            let complete = proxy.node_port_addresses.is_complete();
            if !listed && (complete || !self.ask(Input::NodePortAddresses)?) {
                return Ok(Forecast {
                    action: Some(ProxyAction::None),
                    endpoints: Vec::new(),
                    masquerade: None,
                    outcome: PredictedOutcome::Refused,
                    client_kept: None,
                    why: vec![reasons::HEALTH_CHECK_NOT_HERE.why()],
                    cause: reasons::HEALTH_CHECK_NOT_HERE.cause(),
                });
            }
        }
        let reason = if self.has_ready_endpoint(node) {
            reasons::HEALTH_CHECK_OK
        } else {
            reasons::HEALTH_CHECK_UNAVAILABLE
        };
        Ok(Forecast {
            action: Some(ProxyAction::Accept),
            endpoints: Vec::new(),
            masquerade: None,
            outcome: PredictedOutcome::Reached,
            client_kept: None,
            why: vec![reason.why()],
            cause: None,
        })
    }

    /// What the client's own node does with its packet. An unknown detector is asked for only if it matters.
    fn own_flow(
        &self,
        node: &Node,
        address: IpAddr,
    ) -> Result<Result<Answer<'a>, NotModelled>, Needed> {
        let family = Family::of(address);
        let client_ip = match self.client.network {
            Network::Host => primary(node, family),
            Network::Pod => self.pod_address(node, family),
            Network::External => None,
        };
        self.flow(node, self.client.network, client_ip, address)
    }

    fn flow(
        &self,
        node: &Node,
        client: Network,
        client_ip: Option<IpAddr>,
        ip: IpAddr,
    ) -> Result<Result<Answer<'a>, NotModelled>, Needed> {
        let packet = Packet {
            node: &node.name,
            client,
            client_ip,
            ip,
            port: self.target.port.get(),
            protocol: self.target.protocol,
        };
        let Some(proxy) = self.world.proxy_on(&node.name) else {
            // The error says that the node's proxy is unknown.
            return Ok(self.world.flow(&packet));
        };
        let addresses = &proxy.node_port_addresses;
        let understood = self.flow_among(&packet, proxy, addresses)?;
        if addresses.is_complete() {
            return Ok(understood);
        }
        let all = self.flow_among(&packet, proxy, &NodePortAddresses::all())?;
        Ok(
            if same(&understood, &all) || self.ask(Input::NodePortAddresses)? {
                all
            } else {
                understood
            },
        )
    }

    /// Like [`World::flow`] by this proxy of the node, with these addresses for node ports. If the detector is unknown
    /// and matters, this asks for it.
    fn flow_among(
        &self,
        packet: &Packet<'_>,
        proxy: &Proxy,
        addresses: &NodePortAddresses,
    ) -> Result<Result<Answer<'a>, NotModelled>, Needed> {
        let by = |detector: &Detector| self.world.flow_by(packet, detector, addresses);
        if proxy.detector != Detector::Unknown {
            return Ok(by(&proxy.detector));
        }
        let with = by(&Detector::ClusterCidr(self.pod_ranges()));
        let without = by(&Detector::None);
        Ok(if same(&with, &without) || self.ask(Input::Detector)? {
            with
        } else {
            without
        })
    }

    /// The source address of the client's packet when it leaves its node for another node.
    fn leaving(&self, own: &Node, family: Family) -> Result<(Option<IpAddr>, Vec<Why>), Needed> {
        Ok(match self.client.network {
            Network::Host => (primary(own, family), Vec::new()),
            Network::Pod => {
                let masqueraded = self.ask(Input::PodsMasqueraded)?;
                let (source, reason) = if masqueraded {
                    (primary(own, family), reasons::POD_MASQUERADED)
                } else {
                    (self.pod_address(own, family), reasons::POD_ADDRESS_KEPT)
                };
                let mut why = reason.why();
                if self.paths.pods_masqueraded.is_some() {
                    "what is known about the pod network".clone_into(&mut why.source);
                }
                (source, vec![why])
            }
            Network::External => (None, Vec::new()),
        })
    }

    /// The forecast for a packet that arrives at a node from elsewhere.
    fn arrival(
        &self,
        node: &Node,
        address: IpAddr,
        source: Option<IpAddr>,
        why: Vec<Why>,
    ) -> Computed {
        match self.flow(node, Network::External, source, address)? {
            Ok(answer) => self.delivered(&answer, node, address, Origin::Elsewhere, why),
            Err(error) => Ok(Forecast::not_modelled(&error)),
        }
    }

    fn origin(&self, address: IpAddr, node: &Node) -> Origin {
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

    /// What a node's answer means for the client: for each endpoint, whether the reply finds its way back.
    fn delivered(
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
            ProxyAction::None if node.internal_ips.contains(&address) => {
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
        let mut lost = None;
        for backend in &answer.endpoints {
            match self.returns(answer, backend, node, origin)? {
                Ok(()) => answering.push(backend.address.to_string()),
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
            client_kept: answer.masquerade.map(|masquerade| !masquerade),
            why,
            cause: lost.and_then(reasons::Reason::cause),
        })
    }

    /// Whether the endpoint's reply passes the node that translated the request, so that the translation is undone.
    fn returns(
        &self,
        answer: &Answer<'_>,
        backend: &Backend<'_>,
        node: &Node,
        origin: Origin,
    ) -> Result<Result<(), reasons::Reason>, Needed> {
        // `None` means that the client is one of the endpoints. It is masqueraded if it reaches itself.
        if answer.masquerade != Some(false) {
            return Ok(Ok(()));
        }
        // An EndpointSlice that a user wrote by hand may name no node.
        let here = backend.is_on(&node.name) || node.internal_ips.contains(&backend.address.ip());
        // The endpoint is on a host network or outside of the cluster, so its replies are routed like a node's.
        let plain =
            backend.node.is_none() || self.world.node_of_address(backend.address.ip()).is_some();
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

    fn has_ready_endpoint(&self, node: &Node) -> bool {
        self.world
            .endpoints_of(self.service)
            .iter()
            .any(|endpoint| endpoint.ready && endpoint.node.as_deref() == Some(&node.name))
    }

    /// The ranges of pod addresses, from the proxy or the nodes. If those have none, ranges for documentation do: it
    /// only matters whether an address is within the range.
    fn pod_ranges(&self) -> Vec<IpNet> {
        let told = self
            .world
            .proxies()
            .find_map(|proxy| match &proxy.detector {
                Detector::ClusterCidr(ranges) if !ranges.is_empty() => Some(ranges.clone()),
                Detector::ClusterCidr(_)
                | Detector::NodeCidr
                | Detector::Bridge
                | Detector::Interface
                | Detector::None
                | Detector::Unknown => None,
            });
        let mut ranges = told.unwrap_or_default();
        if ranges.is_empty() {
            ranges = self
                .world
                .nodes()
                .flat_map(|node| node.pod_cidrs.iter().copied())
                .collect();
        }
        for family in [Family::V4, Family::V6] {
            if !ranges
                .iter()
                .any(|range| Family::of(range.addr()) == family)
            {
                ranges.push(documentation(family));
            }
        }
        ranges
    }

    /// An address that a pod of the node may have and that is not an endpoint's.
    fn pod_address(&self, node: &Node, family: Family) -> Option<IpAddr> {
        let own = node
            .pod_cidrs
            .iter()
            .copied()
            .find(|range| Family::of(range.addr()) == family);
        let range = own.or_else(|| {
            self.pod_ranges()
                .into_iter()
                .find(|range| Family::of(range.addr()) == family)
        })?;
        // Networks rarely allocate from the end of the range, so no endpoint is likely to have this address.
        before(range.broadcast())
    }
}

/// Whether two answers mean the same for a client.
fn same(one: &Result<Answer<'_>, NotModelled>, other: &Result<Answer<'_>, NotModelled>) -> bool {
    match (one, other) {
        (Ok(one), Ok(other)) => {
            let addresses = |answer: &Answer<'_>| -> Vec<SocketAddr> {
                let backends = answer.endpoints.iter();
                backends.map(|backend| backend.address).collect()
            };
            one.action == other.action
                && one.masquerade == other.masquerade
                && addresses(one) == addresses(other)
        }
        (Err(_), Err(_)) => true,
        (Ok(_), Err(_)) | (Err(_), Ok(_)) => false,
    }
}

/// The range that RFC 5737 or RFC 3849 reserves for documentation.
const fn documentation(family: Family) -> IpNet {
    match family {
        Family::V4 => IpNet::V4(ipnet::Ipv4Net::new_assert(Ipv4Addr::new(192, 0, 2, 0), 24)),
        Family::V6 => IpNet::V6(ipnet::Ipv6Net::new_assert(
            Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0),
            32,
        )),
    }
}

fn before(address: IpAddr) -> Option<IpAddr> {
    Some(match address {
        IpAddr::V4(address) => IpAddr::V4(Ipv4Addr::from_bits(address.to_bits().checked_sub(1)?)),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits().checked_sub(1)?)),
    })
}

/// A node's primary address of a family.
fn primary(node: &Node, family: Family) -> Option<IpAddr> {
    node.internal_ips
        .iter()
        .copied()
        .find(|&address| Family::of(address) == family)
}
