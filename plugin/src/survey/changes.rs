//! What changed in the cluster while a run looked at it. Pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};
use svc_reach_common::{
    facts::{Endpoint, Facts, Node, Service},
    target::{Target, TargetKind},
};

/// What changed about one Service between the beginning and the end of a run. What a probe saw in between belongs to
/// neither state, so it does not count.
#[derive(Debug, Default)]
pub struct Changes {
    /// Why no cell counts.
    service: Option<&'static str>,
    /// Addresses of the endpoints that changed.
    endpoints: BTreeSet<IpAddr>,
    /// Nodes that run a backend at the beginning or at the end, but not both times.
    roles: BTreeSet<String>,
    /// Nodes that changed.
    nodes: BTreeSet<String>,
    /// Why it is unknown whether anything changed.
    unknown: Option<String>,
}

impl Changes {
    /// The state at the end could not be read. `why`: says so, with the cause.
    pub fn unknown(why: String) -> Self {
        Self {
            unknown: Some(why),
            ..Self::default()
        }
    }

    /// Why it is unknown whether anything changed; `None` if it is known.
    pub fn why_unknown(&self) -> Option<&str> {
        self.unknown.as_deref()
    }

    /// Compares the facts. `after`: `None` if the Service was deleted.
    pub fn between(before: &Facts, after: Option<&Facts>) -> Self {
        let Some(after) = after else {
            return Self {
                service: Some("the Service was deleted during the run"),
                ..Self::default()
            };
        };
        let roles = [before, after].map(|facts| facts.backend_nodes().collect::<BTreeSet<_>>());
        let [old, new] = [before, after].map(endpoints);
        Self {
            service: (!same_service(&before.service, &after.service))
                .then_some("the Service changed during the run"),
            endpoints: old
                .keys()
                .chain(new.keys())
                .filter(|address| old.get(*address) != new.get(*address))
                .copied()
                .collect(),
            roles: roles[0]
                .symmetric_difference(&roles[1])
                .map(|name| (*name).to_owned())
                .collect(),
            nodes: before
                .nodes
                .iter()
                .filter(|node| match after.node(&node.name) {
                    Some(now) => !same_node(node, now),
                    // The end of a run may read fewer nodes.
                    None => after.all_nodes(),
                })
                .map(|node| node.name.clone())
                .collect(),
            unknown: None,
        }
    }

    /// Why an observation does not count. `node`: that of the probe. `None`: it counts.
    pub fn concerning(&self, node: Option<&str>, target: &Target) -> Option<String> {
        if let Some(why) = self.service {
            return Some(why.to_owned());
        }
        let mut nodes = node.into_iter().chain(target.node.as_deref());
        if let Some(node) = nodes.find(|node| self.nodes.contains(*node)) {
            return Some(format!("node {node} changed during the run"));
        }
        if self.endpoints.is_empty() {
            return None;
        }
        // A request to one backend does not depend on the others.
        let direct = target.kind == TargetKind::PodIp
            && !node.is_some_and(|node| self.roles.contains(node))
            && !target
                .address
                .parse()
                .is_ok_and(|address| self.endpoints.contains(&address));
        (!direct).then(|| "the endpoints changed during the run".to_owned())
    }
}

/// Whether two versions of a Service forward alike. Annotations count, since providers configure load balancers with
/// them.
fn same_service(one: &Service, other: &Service) -> bool {
    let without_labels = |service: &Service| Service {
        labels: BTreeMap::new(),
        ..service.clone()
    };
    without_labels(one) == without_labels(other)
}

/// Whether two versions of a node are alike for probes and for forwarding.
fn same_node(one: &Node, other: &Node) -> bool {
    let parts = |node: &Node| {
        (
            node.ready,
            node.internal_ips.clone(),
            node.external_ips.clone(),
            node.pod_cidrs.clone(),
        )
    };
    parts(one) == parts(other)
}

/// The endpoints that may get traffic, by address. Others come and go without an effect.
fn endpoints(facts: &Facts) -> BTreeMap<IpAddr, Vec<&Endpoint>> {
    let mut by_address: BTreeMap<IpAddr, Vec<&Endpoint>> = BTreeMap::new();
    for endpoint in facts.endpoints.iter().filter(|it| it.may_get_traffic()) {
        by_address
            .entry(endpoint.address)
            .or_default()
            .push(endpoint);
    }
    by_address
}

#[cfg(test)]
mod tests {
    use super::Changes;
    use crate::{
        plan::{placement::place, targets::targets},
        testing::{endpoint, facts, node, nodes_mut, probe_settings},
    };
    use svc_reach_common::{
        facts::{Facts, FurtherNodes},
        position::Position,
    };

    fn before() -> Facts {
        let mut facts = facts();
        facts.nodes = vec![node("a", 0), node("b", 1), node("c", 2)].into();
        facts.endpoints = vec![endpoint("a", 0), endpoint("b", 1)];
        facts
    }

    #[test]
    fn a_change_concerns_the_cells_that_depend_on_it() {
        type Change = fn(&mut Facts);
        let endpoints = "the endpoints changed during the run";
        let rows: [(&str, Change, &str, &[&str]); 9] = [
            ("nothing", |_| {}, "", &[]),
            (
                "labels",
                |f| drop(f.service.labels.insert("a".into(), "b".into())),
                "",
                &[],
            ),
            (
                "a pod that is not ready yet",
                |f| {
                    f.endpoints.push(endpoint("c", 2));
                    f.endpoints[2].ready = false;
                },
                "",
                &[],
            ),
            ("another order", |f| f.endpoints.reverse(), "", &[]),
            (
                "a node that does not matter",
                |f| nodes_mut(f).push(node("d", 3)),
                "",
                &[],
            ),
            (
                "the Service",
                |f| f.service.ports[0].node_port = None,
                "the Service changed during the run",
                &["pod-ip", "cluster-ip", "dns", "node-port"],
            ),
            (
                "another backend on the same nodes",
                |f| f.endpoints[1] = endpoint("b", 7),
                endpoints,
                &["pod-ip 172.16.0.11", "cluster-ip", "dns", "node-port"],
            ),
            (
                "the node of the probe becomes one with a backend",
                |f| f.endpoints.push(endpoint("c", 2)),
                endpoints,
                &["pod-ip", "cluster-ip", "dns", "node-port"],
            ),
            (
                "a node",
                |f| nodes_mut(f)[1].ready = false,
                "node b changed during the run",
                &["pod-ip 172.16.0.11", "node-port 192.168.0.11"],
            ),
        ];
        for (name, change, why, concerned) in rows {
            let (old, mut new) = (before(), before());
            change(&mut new);
            let placement = place(&[&old], &probe_settings()).remove(0);
            let changes = Changes::between(&old, Some(&new));
            for target in targets(&old, &placement, Position::PodOther) {
                let found = changes.concerning(Some("c"), &target);
                let place = format!("{} {}", target.kind, target.address);
                let expected = concerned.iter().any(|part| place.starts_with(part));
                assert_eq!(found.as_deref(), expected.then_some(why), "{name}: {place}");
            }
        }
    }

    #[test]
    fn a_deleted_service_and_a_removed_node_count() {
        let old = before();
        let placement = place(&[&old], &probe_settings()).remove(0);
        let target = targets(&old, &placement, Position::PodOther).remove(0);
        let found = Changes::between(&old, None).concerning(Some("c"), &target);
        assert_eq!(
            found.as_deref(),
            Some("the Service was deleted during the run")
        );
        let mut new = before();
        nodes_mut(&mut new).pop();
        let removed =
            |new: &Facts| Changes::between(&old, Some(new)).concerning(Some("c"), &target);
        assert_eq!(
            removed(&new).as_deref(),
            Some("node c changed during the run")
        );
        new.further_nodes = FurtherNodes::NotRead;
        assert_eq!(removed(&new), None, "it may be on a page that was not read");
    }
}
