//! The numbers of a report, and the exit code that follows from them.

use super::cell::Cell;
use crate::{client::ClientVerdict, exit::Exit, terms::Terms, verdict::Verdict};
use serde::{Deserialize, Serialize};

/// Numbers of cells by verdict, and the exit code that follows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// [`Verdict::AsExpected`].
    pub as_expected: usize,
    /// [`Verdict::Worse`].
    pub worse: usize,
    /// [`Verdict::Better`].
    pub better: usize,
    /// [`Verdict::Disputed`].
    pub disputed: usize,
    /// [`Verdict::Unstable`].
    pub unstable: usize,
    /// [`Verdict::NotObserved`].
    pub not_observed: usize,
    /// [`Verdict::Undocumented`].
    pub undocumented: usize,
    /// [`ClientVerdict::Worse`]: cells whose backends do not see the client's address, although they should.
    #[serde(default)]
    pub client_worse: usize,
    /// [`ClientVerdict::Better`]: cells whose backends see the client's address, although they should not.
    #[serde(default)]
    pub client_better: usize,
    /// Exit code of the run, unless it was interrupted.
    pub exit_code: u8,
}

impl Summary {
    /// Counts the verdicts of cells and derives the exit code.
    #[must_use]
    pub fn of(cells: &[Cell], terms: &Terms) -> Self {
        let mut summary = Self::counted(cells.iter().map(|cell| cell.verdict));
        let clients = |verdict| {
            let of = cells.iter().filter(|cell| cell.client.verdict == verdict);
            of.count()
        };
        summary.client_worse = clients(ClientVerdict::Worse);
        summary.client_better = clients(ClientVerdict::Better);
        let failed = cells.iter().any(|cell| terms.fail(cell));
        let incomplete = summary.not_observed > 0
            || summary.compared() == 0
            || terms.unmet(cells).next().is_some();
        let exit = if failed {
            Exit::Differs
        } else if incomplete {
            Exit::Incomplete
        } else {
            Exit::AsExpected
        };
        summary.exit_code = exit.code();
        summary
    }

    fn counted(verdicts: impl Iterator<Item = Verdict>) -> Self {
        let mut summary = Self::default();
        for verdict in verdicts {
            *match verdict {
                Verdict::AsExpected => &mut summary.as_expected,
                Verdict::Worse => &mut summary.worse,
                Verdict::Better => &mut summary.better,
                Verdict::Disputed => &mut summary.disputed,
                Verdict::Unstable => &mut summary.unstable,
                Verdict::NotObserved => &mut summary.not_observed,
                Verdict::Undocumented => &mut summary.undocumented,
            } += 1;
        }
        summary
    }

    /// Number of cells that were compared with an expectation.
    #[must_use]
    pub const fn compared(&self) -> usize {
        self.as_expected + self.worse + self.better + self.unstable
    }

    /// How the run ended, unless it was interrupted.
    #[must_use]
    pub fn exit(&self) -> Exit {
        let known = Exit::ALL.iter().find(|exit| exit.code() == self.exit_code);
        known.copied().unwrap_or(Exit::Incomplete)
    }

    /// Number of cells.
    #[must_use]
    pub const fn cells(&self) -> usize {
        self.as_expected
            + self.worse
            + self.better
            + self.disputed
            + self.unstable
            + self.not_observed
            + self.undocumented
    }
}

#[cfg(test)]
mod tests {
    use super::Summary;
    use crate::{
        client::Client,
        observation::ObservedValue,
        position::Position,
        protocol::Protocol,
        report::cell::{Cell, Observed},
        target::{Target, TargetKind},
        terms::{Failure, Required, Terms},
        verdict::{
            Basis, Reachability,
            Verdict::{
                self, AsExpected, Better, Disputed, NotObserved, Undocumented, Unstable, Worse,
            },
        },
    };

    fn cell(verdict: Verdict) -> Cell {
        Cell {
            position: Position::PodOther,
            node: None,
            target: Target {
                kind: TargetKind::ClusterIp,
                address: "10.0.0.1".to_owned(),
                port: 80.try_into().unwrap(),
                protocol: Protocol::Tcp,
                port_name: None,
                node: None,
                node_role: None,
                relation: None,
                scope: None,
                route: None,
            },
            expected: None,
            editions: Vec::new(),
            predicted: None,
            policy: None,
            observed: Observed {
                value: ObservedValue::Reachable,
                reason: String::new(),
                ok: None,
                of: None,
                latency_ms: None,
                client_ip_seen: None,
                attempts: Vec::new(),
            },
            verdict,
            client: Client::default(),
            hint: None,
        }
    }

    fn exit_code(verdicts: &[Verdict], terms: &Terms) -> u8 {
        let cells: Vec<Cell> = verdicts.iter().map(|verdict| cell(*verdict)).collect();
        let summary = Summary::of(&cells, terms);
        assert_eq!(summary.cells(), verdicts.len());
        assert_eq!(summary.exit().code(), summary.exit_code);
        summary.exit_code
    }

    #[test]
    fn cells_decide_the_exit_code() {
        let rows: [(&str, &[Verdict], u8); 9] = [
            ("all as expected", &[AsExpected, AsExpected], 0),
            ("some undocumented", &[AsExpected, Undocumented], 0),
            ("worse", &[AsExpected, Worse], 1),
            ("better", &[AsExpected, Better], 1),
            ("unstable and unobserved", &[Unstable, NotObserved], 1),
            ("unobserved", &[AsExpected, NotObserved], 3),
            ("nothing to compare with", &[Undocumented], 3),
            ("only disputed", &[Disputed], 3),
            ("no cells", &[], 3),
        ];
        for (name, verdicts, code) in rows {
            assert_eq!(exit_code(verdicts, &Terms::default()), code, "{name}");
        }
    }

    #[test]
    fn fail_on_decides_which_verdicts_fail() {
        let on = |fail_on: &[Failure]| Terms {
            fail_on: fail_on.to_vec(),
            ..Terms::default()
        };
        let rows: [(&[Failure], &[Verdict], u8); 7] = [
            (&[Failure::Worse], &[AsExpected, Better], 0),
            (&[Failure::Worse], &[Better], 0),
            (&[Failure::Worse], &[Worse], 1),
            (
                &[Failure::Worse, Failure::Disputed],
                &[AsExpected, Disputed],
                1,
            ),
            (&[Failure::Undocumented], &[AsExpected, Undocumented], 1),
            (&[], &[AsExpected, Worse], 0),
            // A cell that could not be observed is never a success.
            (&[], &[AsExpected, NotObserved], 3),
        ];
        for (fail_on, verdicts, code) in rows {
            assert_eq!(
                exit_code(verdicts, &on(fail_on)),
                code,
                "{fail_on:?}: {verdicts:?}"
            );
        }
    }

    #[test]
    fn a_lost_client_address_fails_only_if_that_is_certain() {
        use crate::client::{ClientExpectation, ClientVerdict, SourceAddress};
        use Basis::{Implied, Predicted, Stated};
        let only_verdicts = Terms {
            fail_on: vec![Failure::Worse],
            ..Terms::default()
        };
        for (verdict, basis, terms, counted, code) in [
            (ClientVerdict::Worse, Stated, Terms::default(), 1, 1),
            (ClientVerdict::Worse, Predicted, Terms::default(), 1, 1),
            (ClientVerdict::Worse, Implied, Terms::default(), 1, 0),
            (ClientVerdict::Worse, Stated, only_verdicts, 1, 0),
            (ClientVerdict::Better, Stated, Terms::default(), 0, 0),
            (ClientVerdict::Disputed, Stated, Terms::default(), 0, 0),
            (ClientVerdict::NotJudged, Stated, Terms::default(), 0, 0),
        ] {
            let mut lost = cell(AsExpected);
            lost.client.verdict = verdict;
            lost.client.expected = Some(ClientExpectation {
                value: SourceAddress::Kept,
                basis,
                matrix: None,
                edition: None,
                source: None,
            });
            let summary = Summary::of(&[lost], &terms);
            let numbers = (summary.client_worse, summary.exit_code);
            assert_eq!(numbers, (counted, code), "{verdict}, {basis}");
        }
    }

    #[test]
    fn required_cells_must_be_met() {
        let required = |text: &str| Terms {
            fail_on: Vec::new(),
            required: vec![Required::parse(text, Reachability::Reachable).unwrap()],
        };
        let rows: [(&str, &[Verdict], u8); 5] = [
            ("pod-other:cluster-ip", &[AsExpected], 0),
            ("pod-other:cluster-ip", &[AsExpected, Worse], 1),
            ("pod-other:cluster-ip", &[Unstable], 1),
            ("pod-other:cluster-ip", &[AsExpected, NotObserved], 3),
            ("external:load-balancer", &[AsExpected], 3),
        ];
        for (text, verdicts, code) in rows {
            assert_eq!(
                exit_code(verdicts, &required(text)),
                code,
                "{text}: {verdicts:?}"
            );
        }
        for (text, part) in [
            ("cluster-ip", "is not a position and a target"),
            ("pod:cluster-ip", "unknown position"),
            ("pod-other:ip", "unknown target"),
        ] {
            let error = Required::parse(text, Reachability::Reachable)
                .unwrap_err()
                .to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
