//! Finds out whether the pod network keeps the addresses of pods towards other nodes, from what backends saw. Pure.

use super::cells::ObservedCell;
use std::{collections::BTreeMap, net::IpAddr};
use svc_reach_common::{
    facts::{Facts, Node},
    position::Network,
    report::Evidence,
    target::TargetKind,
};

/// The addresses that probes in pods used, by node.
pub fn of_probes<'s>(seen: &[ObservedCell<'s>]) -> BTreeMap<&'s str, Vec<IpAddr>> {
    let mut found: BTreeMap<&str, Vec<IpAddr>> = BTreeMap::new();
    for cell in seen {
        let Some(node) = cell.stand.node.as_deref() else {
            continue;
        };
        if cell.stand.position.network() != Network::Pod {
            continue;
        }
        let all = found.entry(node).or_default();
        for attempt in cell.attempts {
            let Some(ip) = attempt.local.map(|local| local.ip()) else {
                continue;
            };
            if !all.contains(&ip) && !ip.is_loopback() && !ip.is_unspecified() {
                all.push(ip);
            }
        }
    }
    found
}

/// Whether pods get their node's address towards other nodes, in one family. `None`: no backend reported the client's
/// address, or the backends disagree.
///
/// A pod requests the node port of another node, and the backend reports the client's address. If the backend saw the
/// pod's own address, no node on the path replaced it. If it saw an address of the pod's node, the pod network replaced
/// it, since the other node's kube-proxy would have used the other node's address.
pub fn masqueraded(
    facts: &Facts,
    seen: &[ObservedCell<'_>],
    ipv6: bool,
    evidence: &mut Vec<Evidence>,
) -> Option<bool> {
    let found: Vec<(bool, Evidence)> = seen
        .iter()
        .filter_map(|cell| from_cell(facts, cell, ipv6))
        .collect();
    let (first, shown) = found.first()?;
    if found.iter().any(|(value, _)| value != first) {
        return None;
    }
    evidence.push(shown.clone());
    Some(*first)
}

/// What the attempts of one cell show, with the evidence.
fn from_cell(facts: &Facts, cell: &ObservedCell<'_>, ipv6: bool) -> Option<(bool, Evidence)> {
    let target = cell.target;
    let own = cell.stand.node.as_deref()?;
    let address: IpAddr = target.address.parse().ok()?;
    let named = |node: &&Node| node.name == own;
    let node = facts.nodes.iter().find(named)?;
    let of_other = |node: &Node| node.name != own && node.internal_ips.contains(&address);
    if cell.stand.position.network() != Network::Pod
        || target.kind != TargetKind::NodePort
        || address.is_ipv6() != ipv6
        || !facts.nodes.iter().any(of_other)
    {
        return None;
    }
    cell.attempts.iter().find_map(|attempt| {
        let (client, local) = (attempt.outcome.echo()?.client?, attempt.local?.ip());
        let masqueraded = if client == local {
            false
        } else if node.internal_ips.contains(&client) {
            true
        } else {
            return None;
        };
        let evidence = Evidence {
            fact: "podsMasqueraded".to_owned(),
            value: masqueraded.to_string(),
            source: format!(
                "the backend behind {address} saw {} as {client}",
                cell.stand.position
            ),
        };
        Some((masqueraded, evidence))
    })
}

#[cfg(test)]
mod tests {
    use crate::{
        config::{ClusterOverrides, ExpectationSettings},
        plan::{placement::place, targets::targets},
        probes::{
            output::{End, ProbeOutput},
            probed_position::ProbedPosition,
        },
        reporting::{self, Expectations, Unchecked, documents::Documents},
        survey::{
            kube_proxy::ProxyConfig, network_policies::PolicySurvey, provider_hints::ProviderHints,
        },
        testing::{endpoint, facts, node, probe_settings},
    };
    use std::time::Duration;
    use svc_reach_common::{
        facts::{Facts, TrafficPolicy},
        position::Position,
        report::{Cell, Report},
        target::TargetKind,
        terms::Terms,
        verdict::{ExpectedValue, Verdict},
        wire::outcome::{Attempt, Echo, Outcome, Phase},
    };

    const POD: &str = "10.244.2.9";

    /// A pod on node `c` requests node `a`, where one of two backends runs. The backend reports the address that it saw.
    fn run(policy: TrafficPolicy, saw: Option<&str>, outcomes: &[bool]) -> Report {
        let mut facts: Facts = facts();
        facts.service.external_traffic_policy = policy;
        facts.nodes = vec![node("a", 0), node("b", 1), node("c", 2)].into();
        facts.endpoints = vec![endpoint("a", 0), endpoint("b", 1)];
        let placement = place(&[&facts], &probe_settings()).remove(0);
        let attempts = outcomes.iter().map(|answered| Attempt {
            local: Some((POD.parse::<std::net::IpAddr>().unwrap(), 40_000).into()),
            ..Attempt::from(if *answered {
                Outcome::Answered {
                    status: Some(200),
                    echo: saw.map(|saw| Echo {
                        pod: None,
                        node: None,
                        client: Some(saw.parse().unwrap()),
                    }),
                }
            } else {
                Outcome::TimedOut {
                    phase: Phase::Connect,
                }
            })
        });
        let attempts: Vec<Attempt> = attempts.collect();
        let mut targets = targets(&facts, &placement, Position::PodOther);
        targets.retain(|target| {
            target.kind == TargetKind::NodePort && target.node.as_deref() == Some("a")
        });
        let stand = ProbedPosition {
            accepted: Vec::new(),
            position: Position::PodOther,
            node: Some("c".to_owned()),
            targets,
            heard: Ok(ProbeOutput {
                results: [(0, attempts)].into(),
                host: None,
                end: End::Complete,
            }),
        };
        let text = "kind: KubeProxyConfiguration\nmode: nftables\nclusterCIDR: 10.244.0.0/16\n";
        let proxy = ProxyConfig::of_text("kube-system/kube-proxy", "config.conf", text).unwrap();
        let expectations = Expectations {
            documents: &Documents::of(&ExpectationSettings::default()).unwrap(),
            proxy: proxy.as_ref(),
            hints: &ProviderHints::default(),
            others: &[],
            overrides: ClusterOverrides::default(),
            policies: &PolicySurvey::default(),
            mesh: Ok(None),
            terms: &Terms::default(),
            at: None,
        };
        let took = Duration::from_secs(1);
        reporting::report(
            "r1",
            took,
            &facts,
            &[stand],
            expectations,
            Unchecked::default(),
        )
    }

    fn only(report: &Report) -> &Cell {
        let [cell] = report.cells.as_slice() else {
            panic!("one target");
        };
        cell
    }

    fn evidence(report: &Report) -> Vec<&str> {
        let evidence = report.environment.evidence.iter();
        let own = evidence.filter(|evidence| evidence.fact == "podsMasqueraded");
        own.map(|evidence| evidence.value.as_str()).collect()
    }

    /// Measured on 1.20.2 and on 1.34.4 to 1.37.2: 3 to 6 of 9 attempts time out, and the backend sees the pod.
    #[test]
    fn chance_decides_if_a_reply_may_bypass_the_node() {
        let report = run(TrafficPolicy::Local, Some(POD), &[true, false, true]);
        let cell = only(&report);
        assert_eq!(evidence(&report), ["false"]);
        assert_eq!(cell.verdict, Verdict::AsExpected, "{cell:?}");
        let expected = cell.expected.as_ref().unwrap();
        assert_eq!(expected.value, ExpectedValue::ByChance);
        let hint = cell.hint.as_ref().unwrap();
        assert!(hint.contains("its reply bypasses the node"), "{hint}");
        assert_eq!(report.summary.exit_code, 0);
        let all = run(TrafficPolicy::Local, Some(POD), &[true, true, true]);
        assert_eq!(only(&all).verdict, Verdict::AsExpected);
    }

    #[test]
    fn without_evidence_some_failures_are_unstable() {
        // A network that masquerades serves every attempt. If some fail, the reason is another one.
        for saw in [None, Some("192.168.0.12"), Some("203.0.113.9")] {
            let report = run(TrafficPolicy::Local, saw, &[true, false, true]);
            assert_eq!(only(&report).verdict, Verdict::Unstable, "{saw:?}");
        }
        let masqueraded = run(TrafficPolicy::Local, Some("192.168.0.12"), &[true]);
        assert_eq!(evidence(&masqueraded), ["true"]);
        // Under policy Cluster the other node masquerades, so nothing is known about the pod network.
        let cluster = run(TrafficPolicy::Cluster, Some("192.168.0.10"), &[true]);
        assert_eq!(evidence(&cluster), Vec::<&str>::new());
    }
}
