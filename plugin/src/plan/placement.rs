//! Chooses the node of each position, and the nodes whose ports are requested. Pure.

use crate::config::ProbeSettings;
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};
use svc_reach_common::{
    facts::{Facts, FurtherNodes, Node, ServiceType},
    position::Position,
};

/// How many nodes of each role have their ports requested. With two, a probe on one of them also requests another node.
pub const NODES_PER_ROLE: usize = 2;

/// The nodes of the probes, and the nodes whose ports they request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement {
    /// The probes' node with a backend, or why there is none.
    pub same: Result<String, NoNode>,
    /// The probes' node without a backend, or why there is none.
    pub other: Result<String, NoNode>,
    /// Nodes whose ports are requested, as indices of all nodes: those above, and one more of each role if there is
    /// one.
    pub asked: Vec<usize>,
}

/// Why a position has no node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoNode {
    /// The cluster has no such node, for this reason. This was read, so the position does not exist.
    Absent(String),
    /// There is or may be such a node, but no probe can run on one, for this reason. So nobody could look.
    Unusable(String),
}

impl NoNode {
    /// The reason.
    pub fn reason(&self) -> &str {
        match self {
            Self::Absent(reason) | Self::Unusable(reason) => reason,
        }
    }
}

impl Placement {
    /// The node of a position, or why there is none. `None`: the position is not on a node.
    pub fn node(&self, position: Position) -> Option<Result<&str, &NoNode>> {
        let side = match position.beside_backend()? {
            true => &self.same,
            false => &self.other,
        };
        Some(side.as_deref())
    }
}

/// Places the probes of several Services in one cluster, on few nodes. It is a greedy search: each step takes the node
/// that serves most positions that have no node yet.
pub fn place(services: &[&Facts], settings: &ProbeSettings) -> Vec<Placement> {
    place_elsewhere(services, settings, &BTreeMap::new())
}

/// Like [`place`], but not on the nodes in `unusable`, which has a reason for each.
pub fn place_elsewhere(
    services: &[&Facts],
    settings: &ProbeSettings,
    unusable: &BTreeMap<String, String>,
) -> Vec<Placement> {
    let Some(first) = services.first() else {
        return Vec::new();
    };
    let all = &first.nodes;
    let mut order: Vec<usize> = (0..all.len()).collect();
    order.sort_by_key(|at| preference(&all[*at], settings));
    let nodes: Vec<&Node> = order.iter().map(|at| &all[*at]).collect();
    let places: Vec<Candidate> = nodes
        .iter()
        .map(|node| Candidate {
            why_not: unfit(node, settings).or_else(|| unusable.get(&node.name).cloned()),
            class: usize::from(node.unschedulable) * 2 + usize::from(!node.taints.is_empty()),
        })
        .collect();
    let by_name: BTreeMap<&str, usize> = nodes
        .iter()
        .enumerate()
        .map(|(at, node)| (node.name.as_str(), at))
        .collect();
    let backends: Vec<BTreeSet<usize>> = services
        .iter()
        .map(|facts| {
            let names = facts.backend_nodes();
            names
                .filter_map(|name| by_name.get(name).copied())
                .collect()
        })
        .collect();
    let chosen = choose(&places, &backends);
    services
        .iter()
        .zip(&backends)
        .zip(chosen)
        .map(|((facts, backends), [same, other])| {
            let of_role =
                |backend: bool| (0..nodes.len()).filter(move |at| backends.contains(at) == backend);
            let stand = |chosen: Option<usize>, backend: bool| {
                let known = KnownNodes {
                    facts,
                    nodes: &nodes,
                    places: &places,
                    backends,
                };
                chosen
                    .filter(|_| facts.service.kind != ServiceType::ExternalName)
                    .map(|at| nodes[at].name.clone())
                    .ok_or_else(|| known.none(backend))
            };
            let asked = |chosen: Option<usize>, backend: bool| {
                let others = of_role(backend).filter(move |at| chosen != Some(*at));
                // Without a kube-proxy, a node has no node ports.
                let serves =
                    |at: &usize| nodes[*at].ready && nodes[*at].without_kube_proxy().is_none();
                let asked = chosen.into_iter().chain(others).filter(serves);
                asked.take(NODES_PER_ROLE).map(|at| order[at])
            };
            Placement {
                same: stand(same, true),
                other: stand(other, false),
                asked: asked(same, true).chain(asked(other, false)).collect(),
            }
        })
        .collect()
}

/// What is known about the nodes of one Service if no node was chosen for a position.
struct KnownNodes<'a> {
    facts: &'a Facts,
    nodes: &'a [&'a Node],
    places: &'a [Candidate],
    /// Those that run a backend.
    backends: &'a BTreeSet<usize>,
}

impl KnownNodes<'_> {
    /// Why no node with a backend, or without one, was chosen.
    fn none(&self, backend: bool) -> NoNode {
        let facts = self.facts;
        if facts.service.kind == ServiceType::ExternalName {
            let why = "the Service is an alias in the cluster's DNS, and nothing is forwarded";
            return NoNode::Absent(why.to_owned());
        }
        if backend && !facts.endpoints.iter().any(|endpoint| endpoint.ready) {
            return NoNode::Absent("the Service has no ready endpoint".to_owned());
        }
        if backend && facts.backend_nodes().next().is_none() {
            return NoNode::Absent("no ready endpoint names its node".to_owned());
        }
        let of_role = (0..self.nodes.len()).filter(|at| self.backends.contains(at) == backend);
        let (virtual_nodes, real): (Vec<usize>, Vec<usize>) =
            of_role.partition(|at| self.nodes[*at].is_virtual());
        if let Some(&first) = real.first() {
            return NoNode::Unusable(self.unfit(first, real.len()));
        }
        match (backend, facts.all_nodes()) {
            (true, true) if !virtual_nodes.is_empty() => {
                NoNode::Absent("every backend is on a virtual node".to_owned())
            }
            (true, true) => {
                NoNode::Absent("the API server knows no node that an endpoint names".to_owned())
            }
            (true, false) => {
                NoNode::Unusable("none of the nodes that were read runs a backend".to_owned())
            }
            (false, true) => NoNode::Absent(match (self.nodes.len(), virtual_nodes.len()) {
                (0, _) => "the cluster has no node".to_owned(),
                (1, 0) => "the cluster has only one node, and it runs a backend".to_owned(),
                (_, 0) => "every node runs a backend".to_owned(),
                (_, _) => "every node runs a backend, except virtual nodes".to_owned(),
            }),
            (false, false) => NoNode::Unusable(match &facts.further_nodes {
                FurtherNodes::NotFound(why) => why.clone(),
                FurtherNodes::None | FurtherNodes::NotRead => format!(
                    "every one of the {} nodes that were read runs a backend",
                    self.nodes.len()
                ),
            }),
        }
    }

    /// Why none of `count` nodes can take a probe. `first`: the first of them.
    fn unfit(&self, first: usize, count: usize) -> String {
        let name = &self.nodes[first].name;
        let why = self.places[first].why_not.as_deref().unwrap_or("unknown");
        match count {
            1 => format!("node {name} cannot take a probe: {why}"),
            _ => format!("none of {count} nodes can take a probe, such as {name}: {why}"),
        }
    }
}

/// A node that may take a probe.
struct Candidate {
    /// Why it cannot take a probe.
    why_not: Option<String>,
    /// How bad a choice it is: cordoned is worse than tainted, and 0 is best. Below [`CLASSES`].
    class: usize,
}

const CLASSES: usize = 4;

/// A Service with positions that have no node yet.
struct Open {
    service: usize,
    /// Nodes with a backend that can take a probe.
    backends: BTreeSet<usize>,
    /// The class of the node with a backend. `None`: it is chosen, or does not exist.
    same: Option<usize>,
    /// The same for the node without a backend.
    other: Option<usize>,
}

/// Chooses, for each Service, a node with a backend and one without. Only nodes of the best class that has any are
/// chosen. `places` are in the order of preference.
fn choose(places: &[Candidate], backends: &[BTreeSet<usize>]) -> Vec<[Option<usize>; 2]> {
    let fits = |at: &usize| places[*at].why_not.is_none();
    let class = |at: usize| places[at].class;
    let mut of_class = [0_usize; CLASSES];
    for at in (0..places.len()).filter(fits) {
        of_class[class(at)] += 1;
    }
    let mut open: Vec<Open> = Vec::new();
    for (service, backends) in backends.iter().enumerate() {
        let backends: BTreeSet<usize> = backends.iter().copied().filter(fits).collect();
        let mut others = of_class;
        for at in &backends {
            others[class(*at)] -= 1;
        }
        open.push(Open {
            service,
            same: backends.iter().map(|at| class(*at)).min(),
            other: others.iter().position(|count| *count > 0),
            backends,
        });
    }
    let mut chosen = vec![[None; 2]; backends.len()];
    loop {
        // How many positions each node would serve: `same` as a node with a backend, `other` minus `not_other` as one
        // without.
        let mut same = vec![0_usize; places.len()];
        let mut not_other = vec![0_usize; places.len()];
        let mut other = [0_usize; CLASSES];
        for open in &open {
            for at in &open.backends {
                same[*at] += usize::from(open.same == Some(class(*at)));
                not_other[*at] += usize::from(open.other == Some(class(*at)));
            }
            if let Some(class) = open.other {
                other[class] += 1;
            }
        }
        let serves = |at: usize| same[at] + other[class(at)] - not_other[at];
        let best = (0..places.len())
            .filter(fits)
            // Prefer nodes with a backend, because there are usually fewer.
            .max_by_key(|at| (serves(*at), same[*at], Reverse(*at)))
            .filter(|at| serves(*at) > 0);
        let Some(best) = best else {
            return chosen;
        };
        for open in &mut open {
            let runs_backend = open.backends.contains(&best);
            let [same, other] = &mut chosen[open.service];
            if runs_backend && open.same == Some(class(best)) {
                *same = Some(best);
                open.same = None;
            }
            if !runs_backend && open.other == Some(class(best)) {
                *other = Some(best);
                open.other = None;
            }
        }
        open.retain(|open| open.same.is_some() || open.other.is_some());
    }
}

/// A sort key that puts the best nodes first. The name decides between equal nodes, so that every run chooses the same.
fn preference<'a>(node: &'a Node, settings: &ProbeSettings) -> (bool, bool, bool, &'a str) {
    (
        unfit(node, settings).is_some(),
        node.unschedulable,
        !node.taints.is_empty(),
        &node.name,
    )
}

/// Why a node cannot take a probe.
pub fn unfit(node: &Node, settings: &ProbeSettings) -> Option<String> {
    if !node.ready {
        return Some("it is not Ready".to_owned());
    }
    if let Some(os) = node.os.as_deref().filter(|os| *os != "linux") {
        return Some(format!("it runs {os}"));
    }
    if let Some(arch) = &node.arch
        && !settings.architectures.contains(arch)
    {
        return Some(format!(
            "its architecture is {arch}, but the image is for {} (see --arch)",
            settings.architectures.join(", ")
        ));
    }
    if node.is_virtual() {
        return Some("it is a virtual node".to_owned());
    }
    let mut wished = settings.node_selector.iter();
    let missing = wished.find(|(key, value)| node.complete && node.labels.get(*key) != Some(value));
    missing.map(|(key, value)| format!("it has no label {key}={value}"))
}

#[cfg(test)]
mod tests {
    use super::{NoNode, place};
    use crate::testing::{endpoint, facts, node, nodes_mut, probe_settings};
    use svc_reach_common::facts::{Facts, FurtherNodes, Node, ServiceType, Taint};

    fn cluster(nodes: &[&str], backends: &[&str]) -> Facts {
        let mut facts = facts();
        facts.nodes = nodes
            .iter()
            .enumerate()
            .map(|(i, name)| node(name, i))
            .collect::<Vec<_>>()
            .into();
        facts.endpoints = backends
            .iter()
            .enumerate()
            .map(|(i, node)| endpoint(node, i))
            .collect();
        facts
    }

    fn virtual_node(node: &mut Node) {
        node.labels.insert("type".into(), "virtual-kubelet".into());
    }

    #[test]
    fn probes_run_on_fitting_nodes() {
        type Change = fn(&mut Facts);
        type Stands = Result<&'static str, NoNode>;
        type Row = (&'static str, Facts, Change, Stands, Stands);
        let absent = |why: &str| Err(NoNode::Absent(why.to_owned()));
        let unusable = |why: &str| Err(NoNode::Unusable(why.to_owned()));
        let alias = "the Service is an alias in the cluster's DNS, and nothing is forwarded";
        let rows: [Row; 18] = [
            (
                "one backend",
                cluster(&["a", "b", "c"], &["b"]),
                |_| {},
                Ok("b"),
                Ok("a"),
            ),
            (
                "all run one",
                cluster(&["a", "b"], &["a", "b"]),
                |_| {},
                Ok("a"),
                absent("every node runs a backend"),
            ),
            (
                "all that were read run one",
                cluster(&["a", "b"], &["a", "b"]),
                |f| f.further_nodes = FurtherNodes::NotRead,
                Ok("a"),
                unusable("every one of the 2 nodes that were read runs a backend"),
            ),
            (
                "one node",
                cluster(&["a"], &["a"]),
                |_| {},
                Ok("a"),
                absent("the cluster has only one node, and it runs a backend"),
            ),
            (
                "no backend",
                cluster(&["a"], &[]),
                |_| {},
                absent("the Service has no ready endpoint"),
                Ok("a"),
            ),
            (
                "none is ready",
                cluster(&["a"], &["a"]),
                |f| f.endpoints[0].ready = false,
                absent("the Service has no ready endpoint"),
                Ok("a"),
            ),
            (
                "no node name",
                cluster(&["a"], &["a"]),
                |f| f.endpoints[0].node = None,
                absent("no ready endpoint names its node"),
                Ok("a"),
            ),
            (
                "a strange node",
                cluster(&["a"], &["z"]),
                |_| {},
                absent("the API server knows no node that an endpoint names"),
                Ok("a"),
            ),
            (
                "a node that was not read",
                cluster(&["a"], &["z"]),
                |f| f.further_nodes = FurtherNodes::NotRead,
                unusable("none of the nodes that were read runs a backend"),
                Ok("a"),
            ),
            (
                "an alias",
                cluster(&["a", "b"], &["a"]),
                |f| f.service.kind = ServiceType::ExternalName,
                absent(alias),
                absent(alias),
            ),
            (
                "down",
                cluster(&["a", "b"], &["b"]),
                |f| nodes_mut(f)[0].ready = false,
                Ok("b"),
                unusable("node a cannot take a probe: it is not Ready"),
            ),
            (
                "windows",
                cluster(&["a", "b"], &["b"]),
                |f| nodes_mut(f)[0].os = Some("windows".into()),
                Ok("b"),
                unusable("node a cannot take a probe: it runs windows"),
            ),
            (
                "arm",
                cluster(&["a", "b"], &["b"]),
                |f| nodes_mut(f)[0].arch = Some("arm64".into()),
                Ok("b"),
                unusable(
                    "node a cannot take a probe: its architecture is arm64, but the image is for amd64 (see --arch)",
                ),
            ),
            (
                "only a virtual node has no backend",
                cluster(&["a", "b"], &["b"]),
                |f| virtual_node(&mut nodes_mut(f)[0]),
                Ok("b"),
                absent("every node runs a backend, except virtual nodes"),
            ),
            (
                "only a virtual node has a backend",
                cluster(&["a", "b"], &["b"]),
                |f| virtual_node(&mut nodes_mut(f)[1]),
                absent("every backend is on a virtual node"),
                Ok("a"),
            ),
            (
                "virtual and down",
                cluster(&["a", "b", "c"], &["c"]),
                |f| {
                    virtual_node(&mut nodes_mut(f)[0]);
                    nodes_mut(f)[1].ready = false;
                },
                Ok("c"),
                unusable("node b cannot take a probe: it is not Ready"),
            ),
            (
                "cordoned nodes come last",
                cluster(&["a", "b", "c"], &["b"]),
                |f| nodes_mut(f)[0].unschedulable = true,
                Ok("b"),
                Ok("c"),
            ),
            (
                "tainted nodes come later",
                cluster(&["a", "b", "c"], &["b"]),
                |f| {
                    nodes_mut(f)[0].taints = vec![Taint {
                        key: "gpu".into(),
                        value: None,
                        effect: "NoSchedule".into(),
                    }]
                },
                Ok("b"),
                Ok("c"),
            ),
        ];
        for (name, mut facts, change, same, other) in rows {
            change(&mut facts);
            let placement = place(&[&facts], &probe_settings()).remove(0);
            assert_eq!(placement.same, same.map(str::to_owned), "{name}");
            assert_eq!(placement.other, other.map(str::to_owned), "{name}");
        }
    }

    /// The chosen nodes of several Services of one cluster, given the nodes of their backends.
    fn several(nodes: &[&str], backends: &[&[&str]], change: fn(&mut Facts)) -> Vec<[String; 2]> {
        let services: Vec<Facts> = backends
            .iter()
            .map(|backends| {
                let mut facts = cluster(nodes, backends);
                change(&mut facts);
                facts
            })
            .collect();
        let all: Vec<&Facts> = services.iter().collect();
        let placements = place(&all, &probe_settings());
        placements
            .into_iter()
            .map(|placement| [placement.same.unwrap(), placement.other.unwrap()])
            .collect()
    }

    #[test]
    fn services_share_few_nodes() {
        let nodes = ["a", "b", "c", "d"];
        type Row = (
            &'static str,
            &'static [&'static [&'static str]],
            &'static [[&'static str; 2]],
        );
        let rows: [Row; 3] = [
            ("each other's", &[&["b"], &["a"]], &[["b", "a"], ["a", "b"]]),
            (
                "a common node rather than the first one",
                &[&["a", "c"], &["b", "c"], &["c"]],
                &[["c", "d"], ["c", "d"], ["c", "d"]],
            ),
            (
                "no common node",
                &[&["a"], &["b"], &["c"]],
                &[["a", "b"], ["b", "a"], ["c", "a"]],
            ),
        ];
        for (name, backends, expected) in rows {
            assert_eq!(several(&nodes, backends, |_| {}), expected, "{name}");
        }
    }

    #[test]
    fn a_cordoned_node_is_avoided_even_if_it_serves_many() {
        let cordoned: fn(&mut Facts) = |facts| nodes_mut(facts)[2].unschedulable = true;
        assert_eq!(
            several(&["a", "b", "c"], &[&["a", "c"], &["b", "c"]], cordoned),
            [["a", "b"], ["b", "a"]]
        );
    }

    #[test]
    fn ports_of_two_ready_nodes_of_each_role_are_requested() {
        let mut facts = cluster(&["a", "b", "c", "d", "e", "f"], &["a", "b", "c"]);
        nodes_mut(&mut facts)[3].ready = false;
        let asked = &place(&[&facts], &probe_settings())[0].asked;
        let names = asked.iter().map(|at| facts.nodes[*at].name.as_str());
        assert_eq!(names.collect::<Vec<_>>(), ["a", "b", "e", "f"]);
    }

    #[test]
    fn a_node_selector_limits_the_nodes_of_probes() {
        let mut facts = cluster(&["a", "b", "c"], &["b"]);
        nodes_mut(&mut facts)[2]
            .labels
            .insert("pool".into(), "web".into());
        let mut settings = probe_settings();
        settings.node_selector.insert("pool".into(), "web".into());
        let placement = place(&[&facts], &settings).remove(0);
        assert_eq!(placement.other, Ok("c".to_owned()));
        assert_eq!(
            placement.same,
            Err(NoNode::Unusable(
                "node b cannot take a probe: it has no label pool=web".to_owned()
            ))
        );
    }
}
