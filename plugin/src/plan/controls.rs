//! Connections that nothing should accept. If one is accepted, something accepts every connection, and an answer from
//! there proves nothing. Pure.

use super::requests::{PlannedRequest, Requests};
use std::{collections::BTreeSet, net::IpAddr, num::NonZeroU16};
use svc_reach_common::{
    protocol::Protocol,
    target::{Relation, Target, TargetKind},
    wire::plan::{Again, Request, RequestKind},
};

/// Ports that hardly any server uses: tcpmux (RFC 1078) and discard (RFC 863).
const UNUSED: [NonZeroU16; 2] = [NonZeroU16::MIN, NonZeroU16::new(9).unwrap()];

/// Addresses that belong to nobody, because they are for documentation (RFC 5737, section 3; RFC 9637, section 2). They are
/// not the first ones of their ranges, which people use in test networks.
const NOBODY: [&str; 2] = ["192.0.2.213", "3fff:fff::213"];

/// A connection that nothing should accept.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Control {
    /// IP address or name.
    pub address: String,
    /// Port number.
    pub port: NonZeroU16,
}

impl Control {
    /// For each other node and load balancer among the targets, a port that the Service does not have.
    pub fn on_unused_ports(targets: &[Target]) -> Vec<Self> {
        let in_front = |target: &&Target| match target.kind {
            TargetKind::NodePort => target.relation != Some(Relation::Own),
            TargetKind::LoadBalancer | TargetKind::Dnat | TargetKind::Ingress => true,
            TargetKind::PodIp
            | TargetKind::ClusterIp
            | TargetKind::Dns
            | TargetKind::ExternalIp
            | TargetKind::HealthCheckNodePort => false,
        };
        let tcp = targets.iter().filter(|it| it.protocol == Protocol::Tcp);
        let addresses: BTreeSet<&str> = tcp
            .filter(in_front)
            .map(|target| target.address.as_str())
            .collect();
        let free = |address: &str, port: NonZeroU16| {
            let mut there = targets.iter().filter(|target| target.address == address);
            there.all(|target| target.port != port)
        };
        let controls = addresses.into_iter().filter_map(|address| {
            Some(Self {
                address: address.to_owned(),
                port: UNUSED.into_iter().find(|port| free(address, *port))?,
            })
        });
        controls.collect()
    }

    /// The ports of the targets, at addresses that belong to nobody.
    pub fn at_nobody(targets: &[Target]) -> Vec<Self> {
        let tcp = targets.iter().filter(|it| it.protocol == Protocol::Tcp);
        let controls: BTreeSet<Self> = tcp
            .map(|target| Self {
                address: nobody_like(target).to_owned(),
                port: target.port,
            })
            .collect();
        controls.into_iter().collect()
    }

    /// Whether what accepts this connection would accept one to the target as well.
    pub fn covers(&self, target: &Target) -> bool {
        target.protocol == Protocol::Tcp
            && (self.address == target.address
                || self.address == nobody_like(target) && self.port == target.port)
    }

    /// What it means if something accepts this connection.
    pub fn proof(&self) -> String {
        let Self { address, port } = self;
        if NOBODY.contains(&address.as_str()) {
            format!(
                "it accepted port {port} of {address}, which is an address for documentation (RFC 5737, RFC 9637)"
            )
        } else {
            format!("it accepted port {port} of {address}, which the Service does not have")
        }
    }
}

/// The requests for controls. The id of each is its index.
pub fn planned(controls: &[Control]) -> Vec<PlannedRequest> {
    (0..)
        .zip(controls)
        .map(|(id, Control { address, port })| {
            PlannedRequest::alone(Request {
                attempts: Some(NonZeroU16::MIN),
                ..Request::new(id, address.clone(), *port, RequestKind::Control)
            })
        })
        .collect()
}

/// Adds controls to the requests of a probe. Returns each with its id there.
pub fn add(controls: Vec<Control>, requests: &mut Requests) -> Vec<(Control, Option<u32>)> {
    let ids = requests.add(planned(&controls), &vec![Again::Never; controls.len()]);
    controls.into_iter().zip(ids).collect()
}

/// The address that belongs to nobody, in the family of a target.
fn nobody_like(target: &Target) -> &'static str {
    let address = target.address.parse::<IpAddr>();
    NOBODY[usize::from(address.is_ok_and(|address| address.is_ipv6()))]
}

#[cfg(test)]
mod tests {
    use super::Control;
    use crate::testing::{self, port};
    use svc_reach_common::{
        protocol::Protocol,
        target::{Relation, Target, TargetKind},
    };

    fn target(kind: TargetKind, address: &str, number: u16, relation: Option<Relation>) -> Target {
        Target {
            port: port(number),
            relation,
            ..testing::target(kind, address)
        }
    }

    fn text(controls: &[Control]) -> Vec<String> {
        let text = |control: &Control| format!("{} {}", control.address, control.port);
        controls.iter().map(text).collect()
    }

    #[test]
    fn other_nodes_and_load_balancers_are_tried_once_on_a_port_that_nothing_serves() {
        let targets = [
            target(TargetKind::PodIp, "172.16.0.1", 80, None),
            target(TargetKind::ClusterIp, "10.0.0.1", 80, None),
            target(
                TargetKind::NodePort,
                "192.168.0.1",
                30080,
                Some(Relation::Own),
            ),
            target(
                TargetKind::NodePort,
                "192.168.0.2",
                30080,
                Some(Relation::Remote),
            ),
            target(
                TargetKind::NodePort,
                "192.168.0.2",
                30443,
                Some(Relation::Remote),
            ),
            target(TargetKind::LoadBalancer, "lb.example", 1, None),
        ];
        let controls = Control::on_unused_ports(&targets);
        assert_eq!(text(&controls), ["192.168.0.2 1", "lb.example 9"]);
    }

    #[test]
    fn an_address_that_belongs_to_nobody_is_tried_on_the_same_ports() {
        let mut datagrams = target(TargetKind::LoadBalancer, "203.0.113.1", 53, None);
        datagrams.protocol = Protocol::Udp;
        let targets = [
            target(TargetKind::LoadBalancer, "203.0.113.1", 80, None),
            target(TargetKind::LoadBalancer, "203.0.113.2", 80, None),
            target(TargetKind::NodePort, "fd00::1", 30080, None),
            datagrams,
        ];
        let controls = Control::at_nobody(&targets);
        assert_eq!(text(&controls), ["192.0.2.213 80", "3fff:fff::213 30080"]);
    }

    #[test]
    fn a_control_covers_its_own_address_and_an_address_of_nobody_covers_its_port() {
        let here = Control {
            address: "203.0.113.1".into(),
            port: port(1),
        };
        let nobody = Control {
            address: "192.0.2.213".into(),
            port: port(80),
        };
        let mut datagrams = target(TargetKind::LoadBalancer, "203.0.113.1", 80, None);
        datagrams.protocol = Protocol::Udp;
        for (target, by_here, by_nobody) in [
            (
                target(TargetKind::LoadBalancer, "203.0.113.1", 80, None),
                true,
                true,
            ),
            (
                target(TargetKind::LoadBalancer, "203.0.113.2", 80, None),
                false,
                true,
            ),
            (
                target(TargetKind::LoadBalancer, "203.0.113.1", 81, None),
                true,
                false,
            ),
            (
                target(TargetKind::LoadBalancer, "fd00::1", 80, None),
                false,
                false,
            ),
            (datagrams, false, false),
        ] {
            let covered = (here.covers(&target), nobody.covers(&target));
            assert_eq!(covered, (by_here, by_nobody), "{target:?}");
        }
    }
}
