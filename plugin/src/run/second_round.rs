//! Which targets a probe asks again, in a second round or more. Pure.
//!
//! A running probe gets no messages. So its plan says what is expected of each target, if that is known before the run,
//! and the probe asks again what it sees differently. What is as expected costs no time.

use crate::{
    plan::{assignment::ProbePlan, service_check::ServiceCheck},
    probes::probed_position::ProbedPosition,
    reporting::{self, Expectations, Unchecked},
};
use std::{collections::HashMap, time::Duration};
use svc_reach_common::{
    matrix::Standing,
    observation::NotObserved,
    position::{Network, Position},
    report::Cell,
    target::{Target, TargetKind},
    verdict::{Basis, ExpectedValue},
    wire::plan::Again,
};

/// Writes into the plans when each target of a Service is asked again.
pub fn mark(
    service: &ServiceCheck,
    plans: &mut HashMap<String, &mut ProbePlan>,
    expectations: Expectations<'_>,
) {
    let positions = service.positions.iter();
    let planned: Vec<_> = positions
        .filter_map(|planned| Some((planned, planned.slice.as_ref().ok()?)))
        .collect();
    if !planned
        .iter()
        .any(|(_, slice)| plans.contains_key(&slice.probe))
    {
        return;
    }
    let stands = planned.iter().map(|(planned, _)| {
        let node = planned.node.clone();
        not_yet_probed(planned.position, node, planned.targets.clone())
    });
    let mut again = of_stands(service, &stands.collect::<Vec<_>>(), expectations).into_iter();
    for (planned, slice) in planned {
        let of_position = again.by_ref().take(planned.targets.len());
        let Some(plan) = plans.get_mut(&slice.probe) else {
            continue;
        };
        for (id, again) in slice.ids.iter().zip(of_position.collect::<Vec<_>>()) {
            let Some(request) = id.and_then(|id| plan.plan.targets.get_mut(id as usize)) else {
                continue;
            };
            request.again = if request.again.is_never() {
                again
            } else {
                request.again.and(again)
            };
        }
    }
}

/// When each of these targets of the position `external` is asked again.
pub fn external(
    service: &ServiceCheck,
    targets: &[Target],
    expectations: Expectations<'_>,
) -> Vec<Again> {
    let stand = not_yet_probed(Position::External, None, targets.to_vec());
    of_stands(service, &[stand], expectations)
}

fn not_yet_probed(
    position: Position,
    node: Option<String>,
    targets: Vec<Target>,
) -> ProbedPosition {
    ProbedPosition {
        position,
        node,
        targets,
        heard: Err(NotObserved::Interrupted),
        accepted: Vec::new(),
    }
}

/// When the targets of these positions are asked again, in their order.
fn of_stands(
    service: &ServiceCheck,
    stands: &[ProbedPosition],
    expectations: Expectations<'_>,
) -> Vec<Again> {
    let policies = !expectations.policies.is_empty();
    let unchecked = Unchecked::default();
    let facts = &service.facts;
    let report = reporting::report("", Duration::ZERO, facts, stands, expectations, unchecked);
    let cells = report.cells.iter();
    cells.map(|cell| of_cell(cell, policies)).collect()
}

/// When a target with this expectation is asked again. If nothing is expected yet, it may be expected to be reachable
/// once the probes have seen more of the cluster. `policies`: whether there are NetworkPolicies.
fn of_cell(cell: &Cell, policies: bool) -> Again {
    let counting = cell.editions.iter();
    let counting = counting.filter(|edition| edition.standing == Some(Standing::Counts));
    let mut values = counting.map(|edition| edition.value);
    let first = values.next();
    if values.any(|value| Some(value) != first) {
        return Again::IfMixed;
    }
    let basis = cell.expected.as_ref().map(|expected| expected.basis);
    match cell.expected.as_ref().map(|expected| expected.value) {
        // kube-proxy's health check answers 503 on a node without a backend.
        None | Some(ExpectedValue::Reachable)
            if cell.target.kind == TargetKind::HealthCheckNodePort =>
        {
            Again::UnlessAnswered
        }
        // Network plugins allow late what a new pod does, and the API does not say when.
        None | Some(ExpectedValue::Reachable)
            if policies && cell.position.network() == Network::Pod =>
        {
            Again::UntilReached
        }
        None | Some(ExpectedValue::Reachable) => Again::UnlessReached,
        Some(ExpectedValue::Unreachable) if basis == Some(Basis::Policy) => Again::UntilNotReached,
        Some(ExpectedValue::Unreachable) => Again::UnlessNotReached,
        Some(ExpectedValue::ByChance) => Again::Never,
    }
}

#[cfg(test)]
mod tests {
    use super::of_cell;
    use crate::testing::cell;
    use svc_reach_common::{
        matrix::Standing,
        observation::ObservedValue,
        position::Position,
        report::{EditionValue, Expectation},
        target::TargetKind,
        verdict::{Basis, ExpectedValue, Reachability},
        wire::plan::Again,
    };

    fn again(
        kind: TargetKind,
        expected: Option<(ExpectedValue, Basis)>,
        says: &[Reachability],
    ) -> Again {
        let mut cell = cell(
            Position::PodSame,
            kind,
            "192.168.0.10",
            ObservedValue::NotObserved,
        );
        cell.expected = expected.map(|(value, basis)| Expectation {
            value,
            basis,
            matrix: None,
            edition: None,
            source: None,
        });
        let editions = says.iter().map(|value| EditionValue {
            edition: "one".into(),
            alias: None,
            value: *value,
            operator: None,
            standing: Some(Standing::Counts),
        });
        cell.editions = editions.collect();
        of_cell(&cell, false)
    }

    #[test]
    fn a_target_is_asked_again_if_it_is_not_as_expected() {
        use Basis::{Policy, Stated};
        use ExpectedValue::{ByChance, Reachable, Unreachable};
        let (port, health) = (TargetKind::NodePort, TargetKind::HealthCheckNodePort);
        for (kind, expected, asked) in [
            (port, Some((Reachable, Stated)), Again::UnlessReached),
            (port, None, Again::UnlessReached),
            (port, Some((Unreachable, Stated)), Again::UnlessNotReached),
            (port, Some((Unreachable, Policy)), Again::UntilNotReached),
            (port, Some((ByChance, Stated)), Again::Never),
            (health, Some((Reachable, Stated)), Again::UnlessAnswered),
            (health, Some((Unreachable, Stated)), Again::UnlessNotReached),
        ] {
            assert_eq!(again(kind, expected, &[]), asked, "{kind} {expected:?}");
        }
        let disputed = [Reachability::Reachable, Reachability::Unreachable];
        let expected = Some((Reachable, Stated));
        assert_eq!(again(port, expected, &disputed), Again::IfMixed);
    }

    #[test]
    fn network_policies_take_effect_late_on_new_pods_only() {
        for (position, expected) in [
            (Position::PodSame, Again::UntilReached),
            (Position::NodeOther, Again::UnlessReached),
            (Position::External, Again::UnlessReached),
        ] {
            let value = ObservedValue::NotObserved;
            let cell = cell(position, TargetKind::ClusterIp, "10.0.0.1", value);
            assert_eq!(of_cell(&cell, true), expected, "{position}");
        }
    }
}
