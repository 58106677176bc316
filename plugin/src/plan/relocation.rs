//! Finds other nodes for positions whose probe did not start because of its node. Pure.

use super::{
    assignment::{self, Move, ProbePlan},
    placement,
    planned_position::PlannedPosition,
    service_check::ServiceCheck,
};
use crate::{
    config::ProbeSettings,
    probes::output::{End, Fault, ProbeOutput},
};
use std::collections::BTreeMap;
use svc_reach_common::facts::Facts;

/// How many further nodes are tried for a position.
pub const FURTHER_NODES: usize = 2;

/// Plans new probes for positions whose probe did not start because of its node, each on another node of the same kind.
/// A position without another node keeps its probe and its reason. `outputs`: those of all probes so far. `unusable`:
/// nodes that could not start a probe so far, and why; this adds to them. `round`: counts the calls, from 1.
pub fn relocate(
    services: &mut [ServiceCheck],
    settings: &ProbeSettings,
    outputs: &BTreeMap<String, ProbeOutput>,
    unusable: &mut BTreeMap<String, String>,
    round: usize,
) -> Vec<ProbePlan> {
    // If no probe started anywhere, a fault that may be everywhere probably is.
    let any_started = outputs
        .values()
        .any(|output| !matches!(output.end, End::NotStarted { .. }));
    let mut failed: Vec<(usize, Vec<usize>)> = Vec::new();
    for (index, service) in services.iter().enumerate() {
        let mut positions = Vec::new();
        for (at, position) in service.positions.iter().enumerate() {
            if let Some((node, why)) = node_at_fault(position, outputs, any_started) {
                unusable.insert(node.to_owned(), why.to_owned());
                positions.push(at);
            }
        }
        if !positions.is_empty() {
            failed.push((index, positions));
        }
    }
    let facts: Vec<&Facts> = failed
        .iter()
        .map(|(index, _)| &services[*index].facts)
        .collect();
    let placements = placement::place_elsewhere(&facts, settings, unusable);
    let moves: Vec<Move> = failed
        .into_iter()
        .zip(placements)
        .map(|((service, positions), placement)| Move {
            service,
            positions,
            placement,
        })
        .collect();
    assignment::reassign(services, &moves, unusable, round)
}

/// The node that did not start the probe of a position, and why, if another node may be able to.
fn node_at_fault<'a>(
    position: &'a PlannedPosition,
    outputs: &'a BTreeMap<String, ProbeOutput>,
    any_started: bool,
) -> Option<(&'a str, &'a str)> {
    let slice = position.slice.as_ref().ok()?;
    let End::NotStarted { why, fault } = &outputs.get(&slice.probe)?.end else {
        return None;
    };
    let elsewhere = match fault {
        Fault::Node => true,
        Fault::Unclear => any_started,
        Fault::NotTheNode => false,
    };
    elsewhere.then_some((position.node.as_deref()?, why.as_str()))
}

#[cfg(test)]
mod tests {
    use super::{FURTHER_NODES, relocate};
    use crate::{
        plan::{
            assignment::assign,
            service_check::{ServiceCheck, place},
        },
        probes::output::{End, Fault, ProbeOutput},
        testing::{check, endpoint, facts, node, probe_settings},
    };
    use std::collections::BTreeMap;
    use svc_reach_common::{
        position::Position::{self, NodeOther, NodeSame, PodOther, PodSame},
        target::{Relation, TargetKind},
    };

    /// A Service with backends on nodes `a` and `b`, in a cluster of five nodes.
    fn planned() -> (Vec<ServiceCheck>, Vec<String>) {
        let mut facts = facts();
        facts.nodes = ["a", "b", "c", "d", "e"]
            .iter()
            .enumerate()
            .map(|(index, name)| node(name, index))
            .collect::<Vec<_>>()
            .into();
        facts.endpoints = vec![endpoint("a", 0), endpoint("b", 1)];
        let mut services = place(vec![facts], &probe_settings(), |_| check());
        let probes = assign(&mut services);
        (
            services,
            probes.into_iter().map(|probe| probe.name).collect(),
        )
    }

    fn output(end: End) -> ProbeOutput {
        ProbeOutput {
            results: BTreeMap::new(),
            host: None,
            end,
        }
    }

    fn not_started(fault: Fault) -> ProbeOutput {
        output(End::NotStarted {
            why: "it is full".to_owned(),
            fault,
        })
    }

    fn node_of(services: &[ServiceCheck], position: Position) -> &str {
        let mut positions = services[0].positions.iter();
        let found = positions.find(|planned| planned.position == position);
        found.unwrap().node.as_deref().unwrap()
    }

    #[test]
    fn a_position_moves_to_another_node_of_its_kind() {
        let (mut services, probes) = planned();
        assert_eq!(probes, ["node-same", "node-other", "pod-same", "pod-other"]);
        let mut outputs: BTreeMap<String, ProbeOutput> = probes
            .iter()
            .map(|name| (name.clone(), output(End::Complete)))
            .collect();
        for name in ["node-same", "pod-other"] {
            outputs.insert(name.to_owned(), not_started(Fault::Node));
        }
        let mut unusable = BTreeMap::new();
        let plans = relocate(&mut services, &probe_settings(), &outputs, &mut unusable, 1);
        let names: Vec<(&str, &str)> = plans
            .iter()
            .map(|plan| (plan.name.as_str(), plan.node.as_str()))
            .collect();
        assert_eq!(
            names,
            [("node-same-retry1", "b"), ("pod-other-retry1", "d")]
        );
        let nodes = [NodeSame, NodeOther, PodSame, PodOther];
        let nodes = nodes.map(|position| node_of(&services, position));
        assert_eq!(nodes, ["b", "c", "a", "d"], "only failed positions move");
        let moved = &services[0].positions[3];
        assert_eq!(moved.tried, ["c (it is full)"]);
        let own = moved.targets.iter().any(|target| {
            target.kind == TargetKind::NodePort
                && target.node.as_deref() == Some("d")
                && target.relation == Some(Relation::Own)
        });
        assert!(own, "its own node's port is asked: {:?}", moved.targets);
        let slice = moved.slice.as_ref().unwrap();
        assert_eq!(slice.probe, "pod-other-retry1");
    }

    #[test]
    fn nodes_run_out() {
        let (mut services, _) = planned();
        let mut unusable = BTreeMap::new();
        let mut outputs = BTreeMap::new();
        let mut nodes = Vec::new();
        for round in 1..=FURTHER_NODES + 1 {
            let slice = services[0].positions[0].slice.clone().unwrap();
            outputs.insert(slice.probe, not_started(Fault::Node));
            let plans = relocate(
                &mut services,
                &probe_settings(),
                &outputs,
                &mut unusable,
                round,
            );
            nodes.extend(plans.into_iter().map(|plan| plan.node));
        }
        assert_eq!(nodes, ["b"], "only two nodes have a backend");
        assert!(
            services[0].positions[0].slice.is_ok(),
            "its last reason stays"
        );
    }

    #[test]
    fn a_fault_that_is_everywhere_is_not_tried_elsewhere() {
        for (fault, other, moves) in [
            (Fault::Node, not_started(Fault::Node), true),
            (Fault::Unclear, not_started(Fault::Unclear), false),
            (Fault::Unclear, output(End::Complete), true),
            (Fault::NotTheNode, output(End::Complete), false),
        ] {
            let (mut services, _) = planned();
            let outputs = BTreeMap::from([
                ("pod-other".to_owned(), not_started(fault)),
                ("pod-same".to_owned(), other.clone()),
            ]);
            let mut unusable = BTreeMap::new();
            let plans = relocate(&mut services, &probe_settings(), &outputs, &mut unusable, 1);
            let moved = plans.iter().any(|plan| plan.name.starts_with("pod-other"));
            assert_eq!(moved, moves, "{fault:?}, {:?}", other.end);
        }
    }
}
