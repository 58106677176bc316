//! A load balancer's address: nodes may handle it, or the packet goes to the load balancer itself.

use super::{Computed, Forecast, Input, Journey, Needed, PredictedOutcome, primary, reasons};
use crate::{
    facts::{Node, TrafficPolicy},
    model::{flow::ProxyAction, world::Family},
    position::Network,
    report::Why,
    target::Target,
};
use std::{net::IpAddr, num::NonZeroU16};

impl<'a> Journey<'_, 'a> {
    pub(super) fn load_balancer(&self) -> Computed {
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

    /// The packet goes to the load balancer itself, which sends it to a pod or to one of its nodes.
    fn through_balancer(&self, mut why: Vec<Why>) -> Computed {
        if self.limits_clients() && !self.ask(Input::ClientAddress)? {
            why.push(reasons::NOT_LISTED.why());
            return Ok(Forecast::lost(None, reasons::NOT_LISTED.cause(), why));
        }
        // The load balancer checked the client. A node that checks it again comes to the same result.
        let journey = Journey {
            listed: Some(true),
            ..*self
        };
        if journey.ask(Input::BalancerPods)? {
            return Ok(journey.reach_pods(why));
        }
        journey.reach_nodes(why)
    }

    /// Whether the Service or the provider limits the clients of the address. A client's address as the load balancer
    /// sees it is never known.
    fn limits_clients(&self) -> bool {
        let family = self.address().map(Family::of);
        let mut ranges = self
            .service
            .load_balancer_source_ranges
            .iter()
            .filter(|range| family.is_none_or(|family| Family::of(range.network()) == family))
            .peekable();
        let some = ranges.peek().is_some();
        self.paths.balancer.limits_clients || (some && ranges.all(|range| range.prefix_len() > 0))
    }

    fn reach_pods(&self, mut why: Vec<Why>) -> Forecast {
        let mut endpoints = self.world.endpoints_of(self.service).iter();
        if !endpoints.any(|endpoint| endpoint.ready) {
            why.push(reasons::BALANCER_NO_POD.why());
            return Forecast::lost(None, reasons::BALANCER_NO_POD.cause(), why);
        }
        why.push(reasons::BALANCER_TO_PODS.why());
        Forecast {
            action: Some(ProxyAction::None),
            endpoints: Vec::new(),
            masquerade: None,
            outcome: PredictedOutcome::Reached,
            client_kept: self.paths.balancer.keeps_client,
            why,
            cause: None,
        }
    }

    fn reach_nodes(&self, mut why: Vec<Why>) -> Computed {
        // Some load balancers have the address of a node, such as that of K3s.
        if let Some(address) = self.address()
            && let Some(node) = self.world.node_of_address(address)
            && self.node().is_none()
        {
            why.push(reasons::BALANCER_IS_NODE.why());
            return self.arrival(node, address, &[None], why);
        }
        let local = self.service.external_traffic_policy == TrafficPolicy::Local;
        let nodes = match self.balanced_nodes(local) {
            Ok(nodes) => nodes,
            Err(Some(reason)) => {
                why.push(reason.why());
                return Ok(Forecast::lost(Some(ProxyAction::Drop), reason.cause(), why));
            }
            Err(None) => return Ok(Forecast::unknown(Input::BalancerNodes)),
        };
        why.push(if local {
            reasons::BALANCER_LOCAL.why()
        } else {
            reasons::BALANCER_CLUSTER.why()
        });
        // The node whose packets keep their source. That of a packet from outside of the cluster is unknown in any case.
        let kept_from = match self.node() {
            Some(own) if self.ask(Input::KeepsClient)? => Some(own),
            Some(_) | None => None,
        };
        let Some(family) = self.balancer_family() else {
            return Ok(Forecast::unknown(Input::BalancerTarget));
        };
        let mut forecasts = Vec::new();
        for node in nodes {
            let Some(address) = primary(node, family) else {
                continue;
            };
            if kept_from.is_some_and(|own| own.name == node.name) {
                let mut why = why.clone();
                why.push(reasons::BALANCER_HAIRPIN.why());
                forecasts.push(Forecast::lost(None, reasons::BALANCER_HAIRPIN.cause(), why));
                continue;
            }
            let mut why = why.clone();
            let sources = match kept_from {
                Some(own) => {
                    let (sources, reasons) = self.leaving(own, Family::of(address))?;
                    why.extend(reasons);
                    sources
                }
                None => vec![None],
            };
            forecasts.push(self.sent_to(node, address, &sources, why)?);
        }
        let kept = match self.paths.balancer.keeps_client {
            // Whether a pod's packet to the balancer is masqueraded is unknown.
            Some(true) if self.client.network == Network::Pod => None,
            kept => kept,
        };
        Ok(Forecast::across_nodes(forecasts, kept))
    }

    /// The nodes that the load balancer sends to, as far as they are known: those that are Ready, are not left out by
    /// their label, and run a kube-proxy; with policy Local, those with a ready endpoint.
    ///
    /// `Err`: there is none, with the reason if it is certain.
    fn balanced_nodes(&self, local: bool) -> Result<Vec<&'a Node>, Option<reasons::Reason>> {
        let usable = |node: &&Node| {
            node.ready
                && !node.is_excluded_from_load_balancers()
                && node.without_kube_proxy().is_none()
        };
        let nodes: Vec<&Node> = self
            .world
            .nodes()
            .filter(usable)
            .filter(|node| !local || self.has_ready_endpoint(node))
            .collect();
        if !nodes.is_empty() {
            return Ok(nodes);
        }
        if !local {
            return Err(None);
        }
        let endpoints = self.world.endpoints_of(self.service);
        let mut ready = endpoints
            .iter()
            .filter(|endpoint| endpoint.ready)
            .peekable();
        if ready.peek().is_none() {
            return Err(Some(reasons::BALANCER_NO_NODE));
        }
        let known = ready.all(|endpoint| {
            let node = endpoint
                .node
                .as_deref()
                .and_then(|name| self.world.node(name));
            node.is_some()
        });
        Err(known.then_some(reasons::BALANCER_NODE_LEFT_OUT))
    }

    /// The load balancer sends a packet to this node: to its node port, or with the load balancer's own address.
    fn sent_to(
        &self,
        node: &Node,
        node_address: IpAddr,
        sources: &[Option<IpAddr>],
        why: Vec<Why>,
    ) -> Computed {
        let known = self.paths.balancer.keeps_destination;
        let by_port = if known == Some(true) {
            None
        } else {
            self.at_node_port(node, node_address, sources, &why)?
        };
        // With pass-through, kube-proxy does not handle the address anywhere.
        let passed = self.case.get(Input::PassThrough) == Some(true);
        let by_address = if known == Some(false) || passed {
            None
        } else {
            self.at_own_address(node, sources, &why)?
        };
        Ok(match (by_port, by_address) {
            (Some(by_port), Some(by_address)) => {
                if by_port.outcome == by_address.outcome || !self.ask(Input::BalancerDestination)? {
                    by_port
                } else {
                    by_address
                }
            }
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => Forecast::unknown(Input::BalancerTarget),
        })
    }

    /// `None`: the port has no node port.
    fn at_node_port(
        &self,
        node: &Node,
        address: IpAddr,
        sources: &[Option<IpAddr>],
        why: &[Why],
    ) -> Result<Option<Forecast>, Needed> {
        let Some(port) = self.own_node_port() else {
            return Ok(None);
        };
        let journey = Journey {
            target: &Target {
                port,
                ..self.target.clone()
            },
            ..*self
        };
        journey
            .arrival(node, address, sources, why.to_vec())
            .map(Some)
    }

    fn own_node_port(&self) -> Option<NonZeroU16> {
        let mut ports = self.service.ports.iter();
        ports
            .find(|port| port.port == self.target.port && port.protocol == self.target.protocol)?
            .node_port
    }

    /// `None`: the node does not handle the address, so a load balancer does not send such packets to it.
    fn at_own_address(
        &self,
        node: &Node,
        sources: &[Option<IpAddr>],
        why: &[Why],
    ) -> Result<Option<Forecast>, Needed> {
        let Some(address) = self.address() else {
            return Ok(None);
        };
        let mut why = why.to_vec();
        why.push(reasons::BALANCER_ADDRESS_KEPT.why());
        let forecast = self.arrival(node, address, sources, why)?;
        // A Service without node ports may be one that balancers cannot serve at all, so this must be known.
        let certain = self.paths.balancer.keeps_destination == Some(true);
        let handled = forecast
            .action
            .is_some_and(|action| action != ProxyAction::None);
        Ok((handled && (certain || self.own_node_port().is_some())).then_some(forecast))
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
}
