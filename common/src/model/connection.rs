//! What happens to a connection between nodes, after the first proxy.
//!
//! One node's proxy ([`flow`](super::flow)) decides where a packet goes. That does not yet mean that the client gets an
//! answer. The packet may arrive at another node's proxy. And the reply must pass the node that rewrote the request,
//! since only that node can undo the change.
//!
//! An [`Input`] is something that the API does not say. If an input is unknown, the model computes both cases. If they
//! agree, the input does not matter. If they differ, the forecast is unknown and names the input.

mod balancer;
mod delivery;
mod external_ip;
mod forecast;
mod load_balancer;
mod node_port;
mod paths;
mod proxies;
mod reasons;
mod source;

#[cfg(test)]
mod tests;

pub use balancer::Balancer;
pub use forecast::{Forecast, PredictedOutcome};
pub use paths::{Input, Paths};

use super::{
    flow::ProxyAction,
    proxy::Proxy,
    world::{Family, World},
};
use crate::{
    facts::{Facts, Node, Service, ServiceType},
    position::Network,
    protocol::Protocol,
    target::{Target, TargetKind},
};
use paths::Case;
use std::net::{IpAddr, SocketAddr};

/// Where a client is.
#[derive(Debug, Clone, Copy)]
pub struct Client<'c> {
    /// The network stack that it uses.
    pub network: Network,
    /// Its node; `None` outside of the cluster.
    pub node: Option<&'c str>,
    /// Its own addresses, if they are known. Only those of pods matter.
    pub addresses: &'c [IpAddr],
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
                on_interface: None,
                listed: None,
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
#[derive(Clone, Copy)]
struct Journey<'j, 'a> {
    world: &'j World<'a>,
    paths: &'j Paths,
    service: &'a Service,
    client: Client<'j>,
    target: &'j Target,
    case: &'j Case,
    /// A public address that the target's node is taken to have on an interface.
    on_interface: Option<IpAddr>,
    /// Whether `loadBalancerSourceRanges` is taken to list the client, if its address is unknown.
    listed: Option<bool>,
}

type Computed = Result<Forecast, Needed>;

impl<'a> Journey<'_, 'a> {
    fn forecast(&self) -> Computed {
        let of_kube_proxy = !matches!(
            self.target.kind,
            TargetKind::PodIp | TargetKind::Dnat | TargetKind::Ingress
        );
        let alias = self.service.kind == ServiceType::ExternalName;
        if of_kube_proxy && !alias && !self.world.knows_endpoints_of(self.service) {
            return Ok(Forecast::unknown(Input::Endpoints));
        }
        match self.target.kind {
            TargetKind::PodIp => self.pod_ip(),
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

    fn target_node(&self) -> Option<&'a Node> {
        let name = self.target.node.as_deref()?;
        self.world.node(name)
    }

    /// A pod's own address. kube-proxy is not involved, and pods and nodes reach every pod (the Kubernetes network
    /// model). The model does not know network policies.
    ///
    /// An endpoint may also be an address of another Service. Then nodes handle it as such.
    fn pod_ip(&self) -> Computed {
        if self.client.network == Network::External {
            return Ok(Forecast::unknown(Input::PodRoute));
        }
        let address = self.address();
        if let (Some(node), Some(address)) = (self.node(), address) {
            if self.world.is_virtual(address) || self.world.takes_for_itself(&node.name, address) {
                return self.handled_by_own_node(node, address);
            }
            let to = self.world.node_of_address(address).or_else(|| {
                let name = self.world.node_of_pod(address)?;
                self.world.node(name)
            });
            if self.client.network == Network::Host
                && to.is_some_and(|to| self.drops(to, node, Family::of(address)))
            {
                return Ok(Self::dropped(Vec::new()));
            }
        }
        let to_host = address.is_some_and(|address| self.world.node_of_address(address).is_some());
        if self.target.protocol == Protocol::Udp
            && to_host
            && self.client.network == Network::Pod
            && !self.ask(Input::ReplyAddress)?
        {
            let reason = reasons::OTHER_SOURCE;
            return Ok(Forecast::lost(
                Some(ProxyAction::None),
                reason.cause(),
                vec![reason.why()],
            ));
        }
        let endpoints =
            address.map(|address| SocketAddr::new(address, self.target.port.get()).to_string());
        Ok(Forecast {
            action: Some(ProxyAction::None),
            endpoints: endpoints.into_iter().collect(),
            masquerade: Some(false),
            outcome: PredictedOutcome::Reached,
            // A process on the host network has all addresses of its node. A pod's packet to a node's address may be
            // masqueraded.
            client_kept: (self.client.network == Network::Host || !to_host).then_some(true),
            why: vec![reasons::POD_TO_POD.why()],
            cause: None,
        })
    }

    fn name(&self) -> Computed {
        if self.service.kind == ServiceType::ExternalName {
            return Ok(Forecast::unknown(Input::Alias));
        }
        if self.client.network == Network::External {
            return Ok(Forecast::unknown(Input::ServiceRoute));
        }
        if self.service.headless {
            return Ok(self.headless_name());
        }
        match self.service.cluster_ips.first() {
            Some(&address) => self.cluster_ip(address),
            None => Ok(Forecast::unknown(Input::Address)),
        }
    }

    /// The name of a headless Service gives the addresses of endpoints, and kube-proxy is not involved. So a client
    /// needs the endpoints' own port.
    fn headless_name(&self) -> Forecast {
        // The slices mark endpoints as ready if the Service publishes them before they are ready.
        let ready = self.world.endpoints_of(self.service).iter();
        let ready: Vec<_> = ready.filter(|endpoint| endpoint.ready).collect();
        let port = self.target.port;
        let lost = |outcome, reason: reasons::Reason| Forecast {
            action: Some(ProxyAction::None),
            endpoints: Vec::new(),
            masquerade: None,
            outcome,
            client_kept: None,
            why: vec![reason.why()],
            cause: reason.cause(),
        };
        if ready.is_empty() {
            return lost(PredictedOutcome::NoName, reasons::HEADLESS_EMPTY);
        }
        let serves = ready.iter().any(|endpoint| {
            let mut ports = endpoint.ports.iter();
            ports.any(|own| own.port == port && own.protocol == self.target.protocol)
        });
        let mapped = self.service.ports.iter().any(|own| own.port == port);
        if mapped && !serves && ready.iter().any(|endpoint| !endpoint.ports.is_empty()) {
            return lost(PredictedOutcome::Refused, reasons::HEADLESS_PORT);
        }
        let answers = ready.iter();
        let answers =
            answers.map(|endpoint| SocketAddr::new(endpoint.address, port.get()).to_string());
        Forecast {
            action: Some(ProxyAction::None),
            endpoints: answers.collect(),
            masquerade: Some(false),
            outcome: PredictedOutcome::Reached,
            client_kept: Some(true),
            why: vec![reasons::HEADLESS.why()],
            cause: None,
        }
    }

    fn cluster_ip(&self, address: IpAddr) -> Computed {
        match self.node() {
            Some(node) => self.handled_by_own_node(node, address),
            None => Ok(Forecast::unknown(Input::ServiceRoute)),
        }
    }

    /// The forecast for an address that the client's own node handles.
    fn handled_by_own_node(&self, node: &Node, address: IpAddr) -> Computed {
        let answer = match self.own_flow(node, address)? {
            Ok(answer) => answer,
            Err(error) => return Ok(Forecast::not_modelled(&error)),
        };
        let origin = self.origin(address, node);
        self.delivered(&answer, node, address, origin, Vec::new())
    }

    fn has_ready_endpoint(&self, node: &Node) -> bool {
        self.world
            .endpoints_of(self.service)
            .iter()
            .any(|endpoint| endpoint.ready && endpoint.node.as_deref() == Some(&node.name))
    }
}

/// A node's primary address of a family.
fn primary(node: &Node, family: Family) -> Option<IpAddr> {
    node.internal_ips
        .iter()
        .copied()
        .find(|&address| Family::of(address) == family)
}
