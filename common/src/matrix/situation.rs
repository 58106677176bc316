//! What a documented expectation can depend on.

use super::{
    axes::{Class, Flavour, Forwarder, ServiceKind, Spot},
    cell::{Conditions, DocumentedCell},
    column::Column,
};
use crate::{
    facts::TrafficPolicy,
    network_model::NetworkModel,
    position::Position,
    proxy_mode::ProxyMode,
    target::{NodeRole, Relation, Scope, Target, TargetKind},
    verdict::Basis,
};
use serde::{Deserialize, Serialize};
use std::{cmp::Ordering, net::IpAddr};

/// What is known about a Service and its cluster. If a fact is unknown, all its possible values are listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Circumstances {
    /// What the load balancer's address leads to.
    pub front: ServiceKind,
    /// Possible classes of its load balancer; empty if documents do not mention its class.
    pub classes: Vec<Class>,
    /// Whether requests from inside are sent to the load balancer itself.
    pub pass_through: Vec<bool>,
    /// Possible network models and proxy modes of the cluster; empty if documents do not mention them.
    pub columns: Vec<Column>,
    /// `spec.externalTrafficPolicy`.
    pub external_traffic_policy: TrafficPolicy,
    /// `spec.internalTrafficPolicy`.
    pub internal_traffic_policy: TrafficPolicy,
    /// Whether backends are on the host network; `None` if only some are.
    pub host_network: Option<bool>,
    /// Whether the Service has a ready backend. No document mentions Services without one.
    pub served: bool,
    /// Whether `loadBalancerSourceRanges` leaves some clients out. No document mentions such load balancers.
    #[serde(default)]
    pub source_ranges: bool,
}

/// One combination of possible facts, for one position and one target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Situation {
    /// Where the client is.
    pub position: Position,
    /// The address that it connects to.
    pub target: Spot,
    /// Whether the target's node is the client's node.
    pub relation: Option<Relation>,
    /// What publishes the workload.
    pub service: Option<ServiceKind>,
    /// Class of the load balancer.
    pub class: Option<Class>,
    /// Whether the address is public or private.
    pub access: Option<Scope>,
    /// Network model and proxy mode.
    pub column: Option<Column>,
    /// Whether requests from inside are sent to the load balancer itself.
    pub pass_through: Option<bool>,
    /// `spec.externalTrafficPolicy`.
    pub external_traffic_policy: TrafficPolicy,
    /// `spec.internalTrafficPolicy`.
    pub internal_traffic_policy: TrafficPolicy,
    /// Whether backends are on the host network.
    pub host_network: Option<bool>,
}

impl Circumstances {
    /// Every combination of possible facts, for one position and one target; none if the Service has no ready backend.
    #[must_use]
    pub fn situations(&self, position: Position, target: &Target) -> Vec<Situation> {
        let behind_balancer = matches!(
            target.kind,
            TargetKind::LoadBalancer | TargetKind::Dnat | TargetKind::Ingress
        );
        if !self.served || behind_balancer && self.source_ranges {
            return Vec::new();
        }
        // kube-proxy handles addresses only. It leaves a load balancer that is known by its name to that load balancer
        // (kubernetes/kubernetes v1.37.2 `pkg/proxy/serviceport.go`, `newBaseServiceInfo`).
        let named =
            target.kind == TargetKind::LoadBalancer && target.address.parse::<IpAddr>().is_err();
        let base = Situation {
            position,
            target: spot(target),
            relation: target.relation,
            service: self.service(target.kind),
            class: None,
            access: None,
            column: None,
            pass_through: None,
            external_traffic_policy: self.external_traffic_policy,
            internal_traffic_policy: self.internal_traffic_policy,
            host_network: self.host_network,
        };
        // A global IPv6 address may be for clients within the VPC only. The documents' columns for public and private
        // access come from IPv4, where the range tells.
        let is_ipv6 = target.address.parse().is_ok_and(|ip: IpAddr| ip.is_ipv6());
        let accesses: &[Scope] = match &target.scope {
            Some(Scope::Public) if is_ipv6 && behind_balancer => Scope::ALL,
            Some(scope) => std::slice::from_ref(scope),
            None if behind_balancer => Scope::ALL,
            None => &[],
        };
        let (classes, pass_through): (&[Class], &[bool]) = if behind_balancer {
            let pass_through: &[bool] = if named { &[true] } else { &self.pass_through };
            (&self.classes, pass_through)
        } else {
            (&[], &[])
        };
        let situations = each(vec![base], &self.columns, |s, column| s.column = column);
        let situations = each(situations, accesses, |s, access| s.access = access);
        let situations = each(situations, classes, |s, class| s.class = class);
        each(situations, pass_through, |s, on| s.pass_through = on)
    }

    const fn service(&self, kind: TargetKind) -> Option<ServiceKind> {
        match kind {
            TargetKind::NodePort => Some(ServiceKind::NodePort),
            TargetKind::LoadBalancer => Some(self.front),
            TargetKind::Dnat => Some(ServiceKind::Dnat),
            TargetKind::Ingress => Some(ServiceKind::NginxIngress),
            TargetKind::PodIp
            | TargetKind::ClusterIp
            | TargetKind::Dns
            | TargetKind::ExternalIp
            | TargetKind::HealthCheckNodePort => None,
        }
    }
}

const fn spot(target: &Target) -> Spot {
    match (target.kind, target.node_role) {
        (TargetKind::NodePort, Some(NodeRole::Other)) => Spot::NodePortOther,
        (TargetKind::NodePort, Some(NodeRole::Backend) | None) => Spot::NodePortBackend,
        (TargetKind::LoadBalancer | TargetKind::Dnat | TargetKind::Ingress, _) => Spot::Address,
        (TargetKind::PodIp, _) => Spot::PodIp,
        (TargetKind::ClusterIp, _) => Spot::ClusterIp,
        (TargetKind::Dns, _) => Spot::Dns,
        (TargetKind::ExternalIp, _) => Spot::ExternalIp,
        (TargetKind::HealthCheckNodePort, _) => Spot::HealthCheckNodePort,
    }
}

/// One situation for each value. Without values, the situations stay as they are.
fn each<T: Copy>(
    situations: Vec<Situation>,
    values: &[T],
    set: impl Fn(&mut Situation, Option<T>),
) -> Vec<Situation> {
    if values.is_empty() {
        return situations;
    }
    situations
        .iter()
        .flat_map(|situation| values.iter().map(move |&value| (*situation, value)))
        .map(|(mut situation, value)| {
            set(&mut situation, Some(value));
            situation
        })
        .collect()
}

impl Situation {
    /// The best matches, all of the same rank. The first of these that applies decides between two cells:
    ///
    /// 1. A stated cell comes before an implied one. So a row that follows from a remedy or an example never outranks
    ///    the document's table.
    /// 2. The cell that names more conditions comes first.
    ///
    /// If an edition mentions the node port of the client's own node, its cells about nodes in general do not count.
    pub(super) fn best<'c, V>(&self, cells: &'c [DocumentedCell<V>]) -> Vec<&'c DocumentedCell<V>> {
        let speaks_of_own = self.relation == Some(Relation::Own)
            && cells.iter().any(|cell| {
                cell.conditions.target == Spot::NodePortOwn
                    && Conditions {
                        access: None,
                        ..cell.conditions.clone()
                    }
                    .fit(self)
            });
        let rank =
            |cell: &DocumentedCell<V>| (cell.basis == Basis::Stated, cell.conditions.named());
        let mut best: Vec<&DocumentedCell<V>> = Vec::new();
        for cell in cells {
            let conditions = &cell.conditions;
            if !conditions.fit(self) || speaks_of_own && conditions.target != Spot::NodePortOwn {
                continue;
            }
            match best.first().map(|best| rank(cell).cmp(&rank(best))) {
                None | Some(Ordering::Greater) => best = vec![cell],
                Some(Ordering::Equal) => best.push(cell),
                Some(Ordering::Less) => {}
            }
        }
        best
    }

    /// What forwards Service traffic in this proxy mode.
    fn forwarder(&self) -> Option<Forwarder> {
        self.column.map(|column| match column.proxy_mode {
            ProxyMode::Iptables | ProxyMode::Ipvs | ProxyMode::Nftables | ProxyMode::Userspace => {
                Forwarder::KubeProxy
            }
            ProxyMode::Ebpf => Forwarder::Replacement,
        })
    }

    /// The flavour of cluster that has this network model. CCE Turbo clusters have Cloud Native Network 2.0; standard
    /// clusters have the other models (Huawei Cloud CCE, User Guide, Container Network Models).
    fn flavour(&self) -> Option<Flavour> {
        self.column.map(|column| match column.network_model {
            NetworkModel::Eni => Flavour::Turbo,
            NetworkModel::Tunnel | NetworkModel::Vpc => Flavour::Standard,
        })
    }
}

impl Conditions {
    fn fit(&self, situation: &Situation) -> bool {
        fn holds<T: PartialEq>(wanted: Option<T>, is: Option<T>) -> bool {
            wanted.is_none() || wanted == is
        }
        let own = self.target == Spot::NodePortOwn
            && situation.relation == Some(Relation::Own)
            && matches!(
                situation.target,
                Spot::NodePortBackend | Spot::NodePortOther
            );
        self.position == situation.position
            && (own || self.target == situation.target)
            && holds(self.column, situation.column)
            && holds(
                self.external_traffic_policy,
                Some(situation.external_traffic_policy),
            )
            && holds(self.service, situation.service)
            && holds(self.class, situation.class)
            && holds(self.access, situation.access)
            && holds(self.pass_through, situation.pass_through)
            && holds(self.flavour, situation.flavour())
            && holds(
                self.internal_traffic_policy,
                Some(situation.internal_traffic_policy),
            )
            && holds(self.relation, situation.relation)
            && holds(self.host_network, situation.host_network)
            && holds(self.forwarder, situation.forwarder())
    }

    /// Number of named conditions.
    fn named(&self) -> usize {
        [
            self.service.is_some(),
            self.class.is_some(),
            self.access.is_some(),
            self.column.is_some(),
            self.external_traffic_policy.is_some(),
            self.pass_through.is_some(),
            self.flavour.is_some(),
            self.internal_traffic_policy.is_some(),
            self.relation.is_some(),
            self.host_network.is_some(),
            self.forwarder.is_some(),
        ]
        .iter()
        .filter(|&&named| named)
        .count()
    }
}
