//! Which node each position stands on, and which nodes' ports are worth asking. Pure.

use crate::config::ProbeSettings;
use svc_reach_common::{
    facts::{Facts, Node},
    position::Position,
};

/// Nodes whose ports are asked, of each role. Two, so that a probe on one of them also sees one that is not its own.
pub const NODES_PER_ROLE: usize = 2;

/// Where probes stand and whose node ports they ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement {
    /// The node with a backend that probes stand on, or why there is none.
    pub same: Result<String, String>,
    /// The node without a backend that probes stand on, or why there is none.
    pub other: Result<String, String>,
    /// Nodes whose ports are asked: those above, and one more of each role where there is one.
    pub asked: Vec<String>,
}

impl Placement {
    /// The node that a position stands on, or why there is none. `None`: the position is not on a node.
    pub fn node(&self, position: Position) -> Option<Result<&str, &str>> {
        let side = match position.beside_backend()? {
            true => &self.same,
            false => &self.other,
        };
        Some(side.as_deref().map_err(String::as_str))
    }
}

/// Places the probes.
pub fn place(facts: &Facts, settings: &ProbeSettings) -> Placement {
    let (mut backend, mut other): (Vec<&Node>, Vec<&Node>) = facts
        .nodes
        .iter()
        .partition(|node| facts.runs_backend(&node.name));
    backend.sort_by_key(|node| preference(node, settings));
    other.sort_by_key(|node| preference(node, settings));
    let asked = [&backend, &other]
        .into_iter()
        .flat_map(|nodes| nodes.iter().filter(|node| node.ready).take(NODES_PER_ROLE))
        .map(|node| node.name.clone())
        .collect();
    Placement {
        same: first(&backend, settings, || {
            match (
                facts.endpoints.iter().any(|endpoint| endpoint.ready),
                facts.backend_nodes().next(),
            ) {
                (false, _) => "the Service has no ready endpoint".to_owned(),
                (true, None) => "no ready endpoint says which node it is on".to_owned(),
                (true, Some(_)) => {
                    "no node that runs a backend is known to the API server".to_owned()
                }
            }
        }),
        other: first(&other, settings, || "every node runs a backend".to_owned()),
        asked,
    }
}

/// What speaks against standing on a node, least first; names decide between equals, so that runs agree.
fn preference<'a>(node: &'a Node, settings: &ProbeSettings) -> (bool, bool, bool, &'a str) {
    (
        unfit(node, settings).is_some(),
        node.unschedulable,
        !node.taints.is_empty(),
        &node.name,
    )
}

fn first(
    nodes: &[&Node],
    settings: &ProbeSettings,
    none: impl Fn() -> String,
) -> Result<String, String> {
    let Some(best) = nodes.first() else {
        return Err(none());
    };
    match unfit(best, settings) {
        None => Ok(best.name.clone()),
        Some(why) if nodes.len() == 1 => Err(format!("node {} is left out: {why}", best.name)),
        Some(why) => Err(format!(
            "all {} nodes are left out, such as {}: {why}",
            nodes.len(),
            best.name
        )),
    }
}

/// Why no probe can stand on a node.
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
            "it is {arch}, the image is for {} (see --arch)",
            settings.architectures.join(", ")
        ));
    }
    if is_virtual(node) {
        return Some("it is a virtual node".to_owned());
    }
    let missing = settings
        .node_selector
        .iter()
        .find(|(key, value)| node.labels.get(*key) != Some(value));
    missing.map(|(key, value)| format!("it has no label {key}={value}"))
}

/// Whether a node stands for somebody else's capacity, where no other pod's network can be seen.
///
/// Virtual Kubelet labels and taints its nodes (virtual-kubelet/virtual-kubelet, `node/node.go` and the providers);
/// AWS Fargate labels its own (EKS user guide, "Fargate pod configuration").
fn is_virtual(node: &Node) -> bool {
    node.labels
        .get("type")
        .is_some_and(|kind| kind == "virtual-kubelet")
        || node
            .labels
            .get("eks.amazonaws.com/compute-type")
            .is_some_and(|kind| kind == "fargate")
        || node
            .taints
            .iter()
            .any(|taint| taint.key.starts_with("virtual-kubelet.io/"))
}

#[cfg(test)]
mod tests {
    use super::place;
    use crate::test_data::{endpoint, facts, node, probe_settings};
    use svc_reach_common::facts::{Facts, Taint};

    fn cluster(nodes: &[&str], backends: &[&str]) -> Facts {
        let mut facts = facts();
        facts.nodes = nodes
            .iter()
            .enumerate()
            .map(|(i, name)| node(name, i))
            .collect();
        facts.endpoints = backends
            .iter()
            .enumerate()
            .map(|(i, node)| endpoint(node, i))
            .collect();
        facts
    }

    #[test]
    fn probes_stand_on_fitting_nodes() {
        type Change = fn(&mut Facts);
        type Stands = Result<&'static str, &'static str>;
        type Row = (&'static str, Facts, Change, Stands, Stands);
        let rows: [Row; 12] = [
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
                Err("every node runs a backend"),
            ),
            (
                "no backend",
                cluster(&["a"], &[]),
                |_| {},
                Err("the Service has no ready endpoint"),
                Ok("a"),
            ),
            (
                "none is ready",
                cluster(&["a"], &["a"]),
                |f| f.endpoints[0].ready = false,
                Err("the Service has no ready endpoint"),
                Ok("a"),
            ),
            (
                "no node name",
                cluster(&["a"], &["a"]),
                |f| f.endpoints[0].node = None,
                Err("no ready endpoint says which node it is on"),
                Ok("a"),
            ),
            (
                "a strange node",
                cluster(&["a"], &["z"]),
                |_| {},
                Err("no node that runs a backend is known to the API server"),
                Ok("a"),
            ),
            (
                "down",
                cluster(&["a", "b"], &["b"]),
                |f| f.nodes[0].ready = false,
                Ok("b"),
                Err("node a is left out: it is not Ready"),
            ),
            (
                "windows",
                cluster(&["a", "b"], &["b"]),
                |f| f.nodes[0].os = Some("windows".into()),
                Ok("b"),
                Err("node a is left out: it runs windows"),
            ),
            (
                "arm",
                cluster(&["a", "b"], &["b"]),
                |f| f.nodes[0].arch = Some("arm64".into()),
                Ok("b"),
                Err("node a is left out: it is arm64, the image is for amd64 (see --arch)"),
            ),
            (
                "virtual",
                cluster(&["a", "b"], &["b"]),
                |f| {
                    f.nodes[0]
                        .labels
                        .insert("type".into(), "virtual-kubelet".into());
                },
                Ok("b"),
                Err("node a is left out: it is a virtual node"),
            ),
            (
                "cordoned nodes come last",
                cluster(&["a", "b", "c"], &["b"]),
                |f| f.nodes[0].unschedulable = true,
                Ok("b"),
                Ok("c"),
            ),
            (
                "tainted nodes come later",
                cluster(&["a", "b", "c"], &["b"]),
                |f| {
                    f.nodes[0].taints = vec![Taint {
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
            let placement = place(&facts, &probe_settings());
            assert_eq!(
                placement.same.as_deref().map_err(String::as_str),
                same,
                "{name}"
            );
            assert_eq!(
                placement.other.as_deref().map_err(String::as_str),
                other,
                "{name}"
            );
        }
    }

    #[test]
    fn two_nodes_of_each_role_are_asked_and_none_that_is_down() {
        let mut facts = cluster(&["a", "b", "c", "d", "e", "f"], &["a", "b", "c"]);
        facts.nodes[3].ready = false;
        assert_eq!(place(&facts, &probe_settings()).asked, ["a", "b", "e", "f"]);
    }

    #[test]
    fn a_node_selector_narrows_where_probes_stand() {
        let mut facts = cluster(&["a", "b", "c"], &["b"]);
        facts.nodes[2].labels.insert("pool".into(), "web".into());
        let mut settings = probe_settings();
        settings.node_selector.insert("pool".into(), "web".into());
        let placement = place(&facts, &settings);
        assert_eq!(placement.other, Ok("c".to_owned()));
        assert_eq!(
            placement.same,
            Err("node b is left out: it has no label pool=web".to_owned())
        );
    }
}
