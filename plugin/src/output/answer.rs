//! The answer in one sentence, for a reader who knows nothing about probes and matrices.

use super::wording::{of, places};
use svc_reach_common::{
    client::ClientVerdict,
    facts::ServiceType,
    observation::ObservedValue,
    report::{Cell, Report},
    verdict::{Basis, Verdict},
};

/// How many targets of one verdict the sentence names.
const NAMED: usize = 2;

/// Verdicts that a reader has to look at, the most serious first.
const NOTEWORTHY: [Verdict; 6] = [
    Verdict::Worse,
    Verdict::Unstable,
    Verdict::Better,
    Verdict::Disputed,
    Verdict::NotObserved,
    Verdict::Undocumented,
];

/// The answer of a report about one Service. It names the Service without its namespace.
pub fn answer(report: &Report) -> String {
    sentence(report, &report.service.name)
}

/// The answer about one of several Services. It names the Service with its namespace.
pub fn answer_of_many(report: &Report) -> String {
    let name = format!("{}/{}", report.service.namespace, report.service.name);
    sentence(report, &name)
}

/// The Service: its name, its type and its external traffic policy.
pub fn service(report: &Report) -> String {
    let service = &report.service;
    let mut text = format!(
        "Service {}/{}, type {}",
        service.namespace, service.name, service.kind
    );
    if let Some(policy) = service.external_traffic_policy {
        text += &format!(", externalTrafficPolicy {policy}");
    }
    text
}

fn sentence(report: &Report, name: &str) -> String {
    if let Some(why) = &report.outage {
        return outage(report, name, why);
    }
    if report.cells.is_empty() {
        let alias = report.service.kind == ServiceType::ExternalName;
        let why = match alias {
            true => "it is an alias in the cluster's DNS, and nothing is forwarded",
            false => "no position has an address of this Service to connect to",
        };
        return format!("{name}: there is nothing to check, because {why}.");
    }
    let findings: Vec<String> = NOTEWORTHY
        .into_iter()
        .filter_map(|verdict| finding(report, verdict))
        .chain(clients(report))
        .collect();
    if findings.is_empty() {
        return as_expected(report, name);
    }
    format!(
        "{name} {}: of {}, {}.",
        verdict(report),
        checks(report.cells.len()),
        findings.join("; ")
    )
}

/// The answer if no backend is ready. The forwarding model expects that nothing answers, so as expected would be the wrong
/// word.
fn outage(report: &Report, name: &str, why: &str) -> String {
    let mut text = format!("{name}: nothing can answer, because {why}");
    let wanted = report.terms.want_outage();
    if wanted {
        text += "; you require that";
    }
    let verdicts = NOTEWORTHY.into_iter();
    let findings: Vec<String> = verdicts.filter_map(|it| finding(report, it)).collect();
    if !findings.is_empty() {
        let all = checks(report.cells.len());
        text += &format!(". Of {all}, {}", findings.join("; "));
    } else if !report.cells.is_empty() {
        let all = checks(report.cells.len());
        text += &format!(". {all} reached nothing");
    }
    text + "."
}

/// The answer if nothing differs. It says what the expectations are based on.
fn as_expected(report: &Report, name: &str) -> String {
    let all = report.cells.len();
    let resting_on = |basis| {
        report
            .cells
            .iter()
            .filter(|cell| {
                cell.expected
                    .as_ref()
                    .is_some_and(|expected| expected.basis == basis)
            })
            .count()
    };
    let (predicted, required) = (resting_on(Basis::Predicted), resting_on(Basis::Required));
    let policy = resting_on(Basis::Policy);
    let who = if predicted == all {
        "the forwarding model says "
    } else if required == all {
        "your requirements say "
    } else if policy == all {
        "NetworkPolicies say "
    } else if predicted + required + policy == 0 {
        "the documentation says "
    } else {
        ""
    };
    let mut text = if any_reachable(report) {
        format!(
            "{name} is reachable from everywhere {who}it should be: {}",
            checks(all)
        )
    } else {
        format!(
            "{name} is reachable from nowhere, and {who}so it should be: {}",
            checks(all)
        )
    };
    if who.is_empty() {
        let parts = [
            (predicted, "by the forwarding model alone"),
            (required, "by your requirements"),
            (policy, "by NetworkPolicies"),
        ];
        for (count, by) in parts.into_iter().filter(|(count, _)| *count > 0) {
            text += &format!(", {count} of them {by}");
        }
    }
    let by_chance = report
        .cells
        .iter()
        .filter(|cell| cell.observed.value == ObservedValue::Unstable)
        .count();
    if by_chance > 0 {
        text += &format!(", {by_chance} of them only by chance");
    }
    text + "."
}

/// The most serious statement about a report that is not entirely as expected.
fn verdict(report: &Report) -> &'static str {
    let summary = &report.summary;
    if summary.worse > 0 {
        if any_reachable(report) {
            "is not reachable from everywhere it should be"
        } else {
            "is not reachable from anywhere"
        }
    } else if summary.unstable > 0 {
        "is reachable only some of the time"
    } else if summary.better > 0 {
        "is reachable from where it should not be"
    } else if summary.client_worse > 0 {
        "does not see the addresses of its clients as it should"
    } else if summary.not_observed > 0 {
        "could not be checked completely"
    } else if summary.compared() == 0 {
        "could not be judged"
    } else {
        "is as expected wherever it is clear what to expect"
    }
}

fn any_reachable(report: &Report) -> bool {
    let reached = |cell: &Cell| {
        matches!(
            cell.observed.value,
            ObservedValue::Reachable | ObservedValue::Unstable
        )
    };
    report.cells.iter().any(reached)
}

/// What a reader has to know about the cells with one verdict.
fn finding(report: &Report, verdict: Verdict) -> Option<String> {
    let cells: Vec<&Cell> = of(report, verdict).collect();
    let count = cells.len();
    let one = count == 1;
    if count == 0 {
        return None;
    }
    Some(match verdict {
        Verdict::Worse => format!("{count} failed ({})", first_places(report, &cells)),
        Verdict::Unstable => format!(
            "{count} succeeded only sometimes ({})",
            first_places(report, &cells)
        ),
        Verdict::Better => format!(
            "{count} reached what should be unreachable ({})",
            first_places(report, &cells)
        ),
        Verdict::Disputed => format!(
            "{count} {} disputed between editions of the documentation",
            if one { "is" } else { "are" }
        ),
        Verdict::NotObserved => format!("{count} could not be made{}", only_reason(&cells)),
        Verdict::Undocumented => format!(
            "{count} {} no expectation to compare with",
            if one { "has" } else { "have" }
        ),
        Verdict::AsExpected => return None,
    })
}

/// How many checks lost the client's address.
fn clients(report: &Report) -> Option<String> {
    let lost = |cell: &&Cell| cell.client.verdict == ClientVerdict::Worse;
    let cells: Vec<&Cell> = report.cells.iter().filter(lost).collect();
    let count = cells.len();
    (count > 0).then(|| {
        format!(
            "{count} lost the client's address ({})",
            first_places(report, &cells)
        )
    })
}

fn checks(count: usize) -> String {
    match count {
        1 => "1 check".to_owned(),
        count => format!("{count} checks"),
    }
}

/// The first few places of a finding.
fn first_places(report: &Report, cells: &[&Cell]) -> String {
    let mut named = places(report, cells);
    let rest: usize = named.drain(NAMED.min(named.len())..).map(|(_, n)| n).sum();
    let mut named: Vec<String> = named.into_iter().map(|(text, _)| text).collect();
    if rest > 0 {
        named.push(format!("and {rest} more"));
    }
    named.join(", ")
}

/// The reason, if all cells share one.
fn only_reason(cells: &[&Cell]) -> String {
    let reason = cells.first().map_or("", |cell| &cell.observed.reason);
    if cells.iter().all(|cell| cell.observed.reason == reason) {
        format!(" ({reason})")
    } else {
        String::new()
    }
}

#[cfg(test)]
mod tests {
    use super::answer;
    use crate::output::marks;
    use crate::testing::{crowded, down, undocumented};
    use svc_reach_common::{
        observation::ObservedValue,
        position::Position,
        report::{Report, Summary},
        terms::{Required, Terms},
        verdict::{Basis, ExpectedValue, Reachability, Verdict},
    };

    /// Five targets from five positions, with only those cells that a document states. `verdict` takes the position and
    /// the index of the target.
    fn judged(verdict: impl Fn(Position, usize) -> Verdict) -> Report {
        let mut report = crowded();
        for (index, cell) in report.cells.iter_mut().enumerate() {
            cell.verdict = verdict(cell.position, index % 5);
            cell.observed.value = match cell.verdict {
                Verdict::Worse => ObservedValue::Unreachable,
                Verdict::Unstable => ObservedValue::Unstable,
                Verdict::NotObserved => ObservedValue::NotObserved,
                Verdict::AsExpected
                | Verdict::Better
                | Verdict::Disputed
                | Verdict::Undocumented => ObservedValue::Reachable,
            };
            cell.observed.reason = "no image".to_owned();
        }
        report.cells.retain(|cell| {
            let basis = cell.expected.as_ref().map(|expected| expected.basis);
            basis == Some(Basis::Stated)
        });
        report.summary = Summary::of(&report.cells, &Terms::default());
        report
    }

    #[test]
    fn the_answer_says_what_is_wrong() {
        use Verdict::{AsExpected, Better, NotObserved, Unstable, Worse};
        let one = |verdict| {
            move |position, target| match (position, target) {
                (Position::PodOther, 1) => verdict,
                _ => AsExpected,
            }
        };
        let all = judged(|_, _| AsExpected).cells.len();
        let rows = [
            (
                judged(|_, _| AsExpected),
                format!(
                    "nginx is reachable from everywhere the documentation says it should be: {all} checks."
                ),
            ),
            (
                judged(one(Worse)),
                format!(
                    "nginx is not reachable from everywhere it should be: of {all} checks, 1 failed (cluster-ip 10.247.0.7:80 from pod-other)."
                ),
            ),
            (
                judged(one(NotObserved)),
                format!(
                    "nginx could not be checked completely: of {all} checks, 1 could not be made (no image)."
                ),
            ),
            (
                judged(one(Better)),
                format!(
                    "nginx is reachable from where it should not be: of {all} checks, 1 reached what should be unreachable (cluster-ip 10.247.0.7:80 from pod-other)."
                ),
            ),
            (
                judged(|_, target| if target == 1 { Unstable } else { AsExpected }),
                format!(
                    "nginx is reachable only some of the time: of {all} checks, 5 succeeded only sometimes (cluster-ip 10.247.0.7:80 from everywhere)."
                ),
            ),
        ];
        for (report, expected) in rows {
            assert_eq!(answer(&report), expected);
        }
        let worse = answer(&judged(|_, _| Worse));
        assert!(
            worse.starts_with("nginx is not reachable from anywhere: "),
            "{worse}"
        );
        let more = format!(", and {} more).", all - 10);
        assert!(worse.ends_with(&more), "only the first are named: {worse}");
    }

    #[test]
    fn an_outage_is_the_answer() {
        let mut report = down();
        let all = report.cells.len();
        let why = "nginx: nothing can answer, because no pod matches its selector app=nginx";
        assert_eq!(
            answer(&report),
            format!("{why}. {all} checks reached nothing.")
        );
        let wanted = Required::parse("pod-other:cluster-ip", Reachability::Unreachable);
        report.terms.required = vec![wanted.unwrap()];
        assert_eq!(
            answer(&report),
            format!("{why}; you require that. {all} checks reached nothing.")
        );
        report.terms = Terms::default();
        report.cells[0].verdict = Verdict::Better;
        let found = format!("{why}. Of {all} checks, 1 reached what should be unreachable (");
        assert!(answer(&report).starts_with(&found), "{}", answer(&report));
    }

    #[test]
    fn the_answer_counts_what_is_reachable_by_chance() {
        let mut report = judged(|_, _| Verdict::AsExpected);
        let all = report.cells.len();
        let cell = &mut report.cells[1];
        cell.observed.value = ObservedValue::Unstable;
        let expected = cell.expected.as_mut().unwrap();
        (expected.value, expected.basis) = (ExpectedValue::ByChance, Basis::Predicted);
        assert_eq!(
            answer(&report),
            format!(
                "nginx is reachable from everywhere it should be: {all} checks, 1 of them by the forwarding model alone, 1 of them only by chance."
            )
        );
        assert_eq!(marks::mark(&report.cells[1]), "≈");
        let (mark, meaning) = marks::legend(&report)[1];
        assert_eq!(
            (mark, meaning),
            ('≈', "reachable only sometimes, as expected: by chance")
        );
    }

    #[test]
    fn a_service_down_as_expected_is_not_called_reachable() {
        let mut report = judged(|_, _| Verdict::AsExpected);
        for cell in &mut report.cells {
            cell.observed.value = ObservedValue::Unreachable;
        }
        assert!(answer(&report).starts_with("nginx is reachable from nowhere, and "));
    }

    #[test]
    fn the_answer_says_what_expectations_are_based_on() {
        let mut report = judged(|_, _| Verdict::AsExpected);
        let all = report.cells.len();
        let rest_on = |report: &mut Report, skip: usize, take: usize, basis| {
            for cell in report.cells.iter_mut().skip(skip).take(take) {
                if let Some(expected) = &mut cell.expected {
                    expected.basis = basis;
                }
            }
        };
        rest_on(&mut report, 0, 2, Basis::Predicted);
        assert_eq!(
            answer(&report),
            format!(
                "nginx is reachable from everywhere it should be: {all} checks, 2 of them by the forwarding model alone."
            )
        );
        rest_on(&mut report, 2, all, Basis::Required);
        assert_eq!(
            answer(&report),
            format!(
                "nginx is reachable from everywhere it should be: {all} checks, 2 of them by the forwarding model alone, {} of them by your requirements.",
                all - 2
            )
        );
        rest_on(&mut report, 0, all, Basis::Required);
        assert_eq!(
            answer(&report),
            format!(
                "nginx is reachable from everywhere your requirements say it should be: {all} checks."
            )
        );
        rest_on(&mut report, 0, all, Basis::Predicted);
        assert_eq!(
            answer(&report),
            format!(
                "nginx is reachable from everywhere the forwarding model says it should be: {all} checks."
            )
        );
        assert!(answer(&undocumented()).starts_with("nginx could not be judged: of 5 checks, "));
    }
}
