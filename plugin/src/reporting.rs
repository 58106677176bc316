//! Makes the report from facts and observations. Pure.

pub mod advisories;
mod answerer;
pub mod cells;
mod client_address;
pub mod detection;
mod distribution;
pub mod documents;
mod ingress;
pub mod neighbours;
pub mod network_policies;
mod pod_addresses;
pub mod prediction;
pub mod service;
pub mod source;

use crate::reporting::documents::Documents;
use crate::{
    config::ClusterOverrides,
    probes::{output::End, probed_position::ProbedPosition},
    reporting::{
        advisories::Findings,
        cells::ObservedCell,
        ingress::Ingresses,
        network_policies::{PolicyCheck, PolicyQuestion},
    },
    survey::{
        changes::Changes,
        kube_proxy::{ProxyConfig, ProxyOverrides, Settings},
        mesh::Mesh,
        network_policies::PolicySurvey,
        provider_hints::ProviderHints,
    },
};
use std::{borrow::Cow, collections::BTreeMap, net::IpAddr, time::Duration};
use svc_reach_common::{
    client::Client,
    facts::{Facts, Node},
    judging,
    model::{
        Version, World,
        connection::{Balancer, Paths},
    },
    observation::{NotObserved, Observation},
    position::{Network, Position},
    provider::Provider,
    report::{
        self, API_VERSION, AbsentPosition, Cell, Evidence, Kind, Prediction, Report, Summary,
    },
    target::{Target, TargetKind},
    terms::Terms,
    verdict::Verdict,
};

/// What observations are compared with.
#[derive(Debug, Clone, Copy)]
pub struct Expectations<'a> {
    /// The documents.
    pub documents: &'a Documents,
    /// kube-proxy's configuration, if it was found.
    pub proxy: Option<&'a ProxyConfig>,
    /// What other objects say.
    pub hints: &'a ProviderHints,
    /// The network policies.
    pub policies: &'a PolicySurvey,
    /// The mesh at the backends, if one was looked for and found, or why it is unknown whether there is one.
    pub mesh: Result<Option<&'a Mesh>, &'a str>,
    /// Other Services with an address that matters to this one.
    pub others: &'a [Facts],
    /// What the user says about the cluster.
    pub overrides: ClusterOverrides,
    /// What is required of a run, and what fails it.
    pub terms: &'a Terms,
    /// The API server's time before the probes were created, RFC 3339, if it is known.
    pub at: Option<&'a str>,
}

/// What no probe could check.
#[derive(Debug, Default)]
pub struct Unchecked<'a> {
    /// Why the position `external` was left out, partly or completely.
    pub external: Option<&'a str>,
    /// Whether the user may not list nodes.
    pub nodes_unlisted: bool,
    /// Positions that do not exist.
    pub absent: Vec<AbsentPosition>,
    /// Why nothing can answer, if the Service has no ready endpoint.
    pub outage: Option<String>,
    /// What changed during the run. Observations that depend on it do not count.
    pub changes: Changes,
}

/// Makes the report of a run.
pub fn report(
    run: &str,
    elapsed: Duration,
    facts: &Facts,
    stands: &[ProbedPosition],
    expectations: Expectations<'_>,
    unchecked: Unchecked<'_>,
) -> Report {
    let detection::Detection {
        mut environment,
        circumstances,
        proxies,
        mode_configured,
        modes,
    } = detection::detect(
        facts,
        stands,
        expectations.proxy,
        expectations.hints,
        expectations.overrides,
    );
    let catalog = &expectations.documents.catalog;
    let selection = expectations.documents.selection(&environment);
    let primary = catalog.primary(&selection);
    if environment.column.is_none() && primary.is_some_and(|edition| !edition.columns().is_empty())
    {
        environment
            .evidence
            .push(detection::remaining(&circumstances));
    }
    let overrides = ProxyOverrides {
        mode: environment.proxy_mode,
        ..ProxyOverrides::default()
    };
    let config = expectations.proxy.cloned().map(|mut config| {
        config.mode = config.mode.filter(|_| mode_configured);
        config
    });
    let mut settings = Settings::gather(&overrides, config.as_ref(), &[]);
    settings.proxy.version = expectations.hints.kube_proxy_version;
    if unchecked.nodes_unlisted && settings.proxy.version.is_none() {
        settings.proxy.version = of_the_api_server(facts, &mut environment.evidence);
    }
    if let Some(version) = expectations.hints.kube_proxy_version
        && proxies.values().any(|proxy| !proxy.has_version())
    {
        environment.evidence.push(Evidence {
            fact: "kubeProxyVersion".to_owned(),
            value: version.to_string(),
            source: "image of DaemonSet kube-proxy, for nodes whose kube-proxy did not say it"
                .to_owned(),
        });
    }
    for (node, proxy) in proxies {
        if let Some(proxy) = proxy.settings(&settings) {
            settings.nodes.insert(node, proxy);
        }
    }
    let mut all_seen = cells::seen(stands);
    for seen in &mut all_seen {
        let why = unchecked
            .changes
            .concerning(seen.stand.node.as_deref(), seen.target);
        if let Some(why) = why {
            seen.observation = Observation::NotObserved(NotObserved::Changed(why));
        }
    }
    answerer::check(facts, &mut all_seen);
    let pods = pod_addresses::of_probes(&all_seen);
    let public = public_addresses(facts, stands);
    let others = expectations.others.iter();
    let services = std::iter::once(facts)
        .chain(others)
        .map(|facts| (&facts.service, facts.endpoints.as_slice()));
    let probes = pods
        .iter()
        .flat_map(|(node, addresses)| addresses.iter().map(move |ip| (*node, *ip)));
    let nodes = known_nodes(facts, stands);
    let world = World::new(services, &nodes, &settings.proxy)
        .with_own_proxies(&settings.nodes, settings.mode_told)
        .with_pods(probes)
        .with_public_addresses(&public);
    let provider = Provider::of(facts).map(|(provider, _)| provider);
    let network = environment.network_model;
    let paths = [false, true].map(|ipv6| Paths {
        balancer: match provider {
            None if unchecked.nodes_unlisted => Balancer::of_any_provider(&facts.service),
            _ => Balancer::of(&facts.service, provider, network, &modes),
        },
        pods_masqueraded: pod_addresses::masqueraded(
            facts,
            &all_seen,
            ipv6,
            &mut environment.evidence,
        ),
        ..Paths::of(network, provider)
    });
    let documents = judging::Judge {
        catalog,
        selection: &selection,
        circumstances: &circumstances,
        terms: expectations.terms,
    };
    let ingresses = Ingresses::of(facts, provider, &modes, &circumstances);
    let policies = PolicyCheck::new(
        expectations.policies,
        facts,
        stands,
        settings.knows_kube_proxy(),
        paths[0].balancer.pass_through,
    );
    let cells: Vec<Cell> = all_seen
        .iter()
        .map(|seen| {
            let stand = seen.stand;
            let node = stand.node.as_deref();
            // Nothing can be predicted for a position without a node, except `external`.
            let forecast = (node.is_some() || stand.position == Position::External).then(|| {
                let own = node.and_then(|node| pods.get(node));
                let own = own.filter(|_| stand.position.network() == Network::Pod);
                prediction::forecast(
                    &world,
                    facts,
                    &paths[usize::from(is_ipv6(seen.target))],
                    stand.position,
                    node,
                    own.map(Vec::as_slice).unwrap_or_default(),
                    seen.target,
                )
            });
            let mut cell = observed(
                seen,
                forecast
                    .as_ref()
                    .map(|forecast| forecast.prediction(seen.target.kind)),
            );
            cell.client = client_address::client(facts, stands, stand, seen.attempts);
            let question = PolicyQuestion {
                position: stand.position,
                node,
                target: seen.target,
                attempts: seen.attempts,
            };
            cell.policy = policies.finding(question, forecast.as_ref());
            if let (Some(policy), Some(predicted)) = (&cell.policy, &mut cell.predicted) {
                network_policies::apply(policy, predicted);
            }
            if cell.target.kind == TargetKind::Ingress {
                ingresses.judge(facts, &documents, &mut cell);
            } else {
                documents.judge(&mut cell);
            }
            cell
        })
        .collect();
    let distribution = distribution::distribution(facts, &environment, &cells);
    let mut advisories = advisories::advisories(
        Findings {
            facts,
            environment: &environment,
            circumstances: &circumstances,
            hints: expectations.hints,
            cells: &cells,
            distribution: distribution.as_ref(),
            terms: expectations.terms,
            at: expectations.at,
            nodes_unlisted: unchecked.nodes_unlisted,
        },
        unchecked.external,
        unchecked.changes.why_unknown(),
        &expectations.policies.notes,
        expectations.mesh,
    );
    let known_pods: Vec<IpAddr> = world.pods().map(|(_, address)| address).collect();
    for advisory in advisories::of_the_cluster(
        facts,
        &known_pods,
        environment.proxy_mode,
        &settings.proxy.detector,
    ) {
        // A provider's document may say the same.
        if advisories.iter().all(|known| known.id != advisory.id) {
            advisories.push(advisory);
        }
    }
    let mut report = Report {
        api_version: API_VERSION.to_owned(),
        kind: Kind::Report,
        run: run.to_owned(),
        elapsed_ms: u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
        service: service::service(facts),
        matrix: primary.map(report::MatrixReference::of),
        advisories,
        distribution,
        environment,
        circumstances,
        terms: expectations.terms.clone(),
        summary: Summary::default(),
        cells,
        absent_positions: unchecked.absent,
        outage: unchecked.outage,
    };
    report.summarize();
    report
}

/// The nodes that the model may know. A node that is known by its pods only may be a virtual one without node ports, unless
/// a probe ran there.
fn known_nodes<'f>(facts: &'f Facts, stands: &[ProbedPosition]) -> Cow<'f, [Node]> {
    let started = |stand: &&ProbedPosition| {
        let output = stand.heard.as_ref().ok();
        output.is_some_and(|output| !matches!(output.end, End::NotStarted { .. }))
    };
    let ran_on = |node: &Node| {
        let mut started = stands.iter().filter(started);
        started.any(|stand| stand.node.as_ref() == Some(&node.name))
    };
    if facts.nodes.iter().all(|node| node.complete) {
        return Cow::Borrowed(&facts.nodes);
    }
    let nodes = facts.nodes.iter().cloned();
    nodes.filter(|node| node.complete || ran_on(node)).collect()
}

/// The version of the API server, for kube-proxies whose own is unknown. A kube-proxy is never newer, and up to three minor
/// versions older (<https://kubernetes.io/releases/version-skew-policy/>).
fn of_the_api_server(facts: &Facts, evidence: &mut Vec<Evidence>) -> Option<Version> {
    let version = facts.server_version.as_ref()?.parse::<Version>().ok()?;
    evidence.push(Evidence {
        fact: "kubeProxyVersion".to_owned(),
        value: version.to_string(),
        source: "assumed to be the API server's, for nodes whose kube-proxy did not say it"
            .to_owned(),
    });
    Some(version)
}

/// The addresses of type `ExternalIP` that probes saw on interfaces of their nodes. kube-proxy's own device has addresses
/// of Services.
fn public_addresses(facts: &Facts, stands: &[ProbedPosition]) -> BTreeMap<String, Vec<IpAddr>> {
    let seen = stands.iter().filter_map(|stand| {
        let node = facts.node(stand.node.as_deref()?)?;
        let view = stand.heard.as_ref().ok()?.host.as_ref()?;
        let interfaces = view.interfaces.get()?.iter();
        let own: Vec<IpAddr> = interfaces
            .filter(|interface| interface.name != "kube-ipvs0")
            .flat_map(|interface| interface.addresses.iter().copied())
            .filter(|ip| node.external_ips.contains(ip))
            .collect();
        Some((node.name.clone(), own))
    });
    seen.collect()
}

fn is_ipv6(target: &Target) -> bool {
    let address = target.address.parse::<IpAddr>();
    address.is_ok_and(|address| address.is_ipv6())
}

/// A cell with its observation, before it is judged.
fn observed(seen: &ObservedCell<'_>, predicted: Option<Prediction>) -> Cell {
    Cell {
        position: seen.stand.position,
        node: seen.stand.node.clone(),
        target: seen.target.clone(),
        expected: None,
        editions: Vec::new(),
        predicted,
        policy: None,
        observed: cells::observed(seen),
        verdict: Verdict::Undocumented,
        client: Client::default(),
        hint: None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Expectations, Unchecked, known_nodes, report};
    use crate::{
        config::{ClusterOverrides, ExpectationSettings},
        plan::{placement::place, targets::targets},
        probes::{
            output::{End, Fault, ProbeOutput},
            probed_position::ProbedPosition,
        },
        reporting::documents::Documents,
        survey::{network_policies::PolicySurvey, provider_hints::ProviderHints},
        testing::{endpoint, facts, node, probe_settings},
    };
    use std::{collections::BTreeMap, time::Duration};
    use svc_reach_common::{
        facts::Node,
        observation::NotObserved,
        position::Position,
        proxy_mode::ProxyMode,
        target::TargetKind,
        terms::Terms,
        wire::line::{HostFact, HostView, KubeProxySettings},
    };

    fn view(mode: ProxyMode, version: &str, masquerade_all: bool) -> HostView {
        HostView {
            proxy_mode: HostFact::Seen(mode),
            kube_proxy_version: Some(HostFact::Seen(version.into())),
            kube_proxy_settings: Some(HostFact::Seen(KubeProxySettings {
                mode: mode.to_string(),
                masquerade_all: Some(masquerade_all),
                ..KubeProxySettings::default()
            })),
            kube_ipvs0: HostFact::Seen(false),
            interfaces: HostFact::Seen(Vec::new()),
            routes: HostFact::Seen(Vec::new()),
        }
    }

    #[test]
    fn only_a_probe_shows_that_a_node_of_pods_has_node_ports() {
        let of_pods =
            |name: &str, index| Node::of_pods(name.to_owned(), node(name, index).internal_ips);
        let mut facts = facts();
        facts.nodes = vec![of_pods("a", 0), of_pods("b", 1), of_pods("c", 2)].into();
        facts.endpoints = vec![endpoint("a", 0), endpoint("b", 1)];
        let placement = place(&[&facts], &probe_settings()).remove(0);
        let position = Position::NodeSame;
        let targets = targets(&facts, &placement, position);
        let stand = |heard| ProbedPosition {
            accepted: Vec::new(),
            position,
            node: Some("a".to_owned()),
            targets: targets.clone(),
            heard,
        };
        let known = |stand| {
            let nodes = known_nodes(&facts, &[stand]).into_owned();
            nodes.into_iter().map(|node| node.name).collect::<Vec<_>>()
        };
        let complete = ProbeOutput::nothing(End::Complete);
        assert_eq!(known(stand(Ok(complete))), ["a"]);
        let not_started = ProbeOutput::nothing(End::not_started("no image", Fault::Unclear));
        assert_eq!(known(stand(Ok(not_started))), [""; 0]);
        assert_eq!(known(stand(Err(NotObserved::Interrupted))), [""; 0]);
    }

    #[test]
    fn in_a_mixed_cluster_each_probed_node_is_predicted_by_its_own_kube_proxy() {
        let mut facts = facts();
        facts.nodes = vec![node("a", 0), node("b", 1), node("c", 2)].into();
        facts.endpoints = vec![endpoint("a", 0)];
        let placement = place(&[&facts], &probe_settings()).remove(0);
        let stands: Vec<ProbedPosition> = [
            (
                Position::NodeSame,
                view(ProxyMode::Nftables, "v1.36.3", false),
            ),
            (
                Position::NodeOther,
                view(ProxyMode::Iptables, "v1.34.4", true),
            ),
        ]
        .into_iter()
        .map(|(position, view)| ProbedPosition {
            accepted: Vec::new(),
            position,
            node: placement
                .node(position)
                .map(|node| node.unwrap().to_owned()),
            targets: targets(&facts, &placement, position),
            heard: Ok(ProbeOutput {
                results: BTreeMap::new(),
                host: Some(view),
                end: End::Complete,
            }),
        })
        .collect();
        let expectations = Expectations {
            documents: &Documents::of(&ExpectationSettings::default()).unwrap(),
            proxy: None,
            hints: &ProviderHints::default(),
            others: &[],
            overrides: ClusterOverrides::default(),
            policies: &PolicySurvey::default(),
            mesh: Ok(None),
            terms: &Terms::default(),
            at: None,
        };
        let report = report(
            "r1",
            Duration::ZERO,
            &facts,
            &stands,
            expectations,
            Unchecked::default(),
        );
        assert_eq!(report.environment.proxy_mode, None, "the nodes disagree");
        let predicted = |position, kind, on: Option<&str>| {
            let cell = report.cells.iter().find(|cell| {
                cell.position == position
                    && cell.target.kind == kind
                    && cell.target.node.as_deref() == on
            });
            let predicted = cell.unwrap().predicted.clone().unwrap();
            (predicted.action, predicted.masquerade)
        };
        let served = |masquerade| ("endpoints".to_owned(), Some(masquerade));
        let kind = TargetKind::ClusterIp;
        assert_eq!(predicted(Position::NodeSame, kind, None), served(false));
        assert_eq!(
            predicted(Position::NodeOther, kind, None),
            served(true),
            "masqueradeAll of b"
        );
        let kind = TargetKind::NodePort;
        assert_eq!(
            predicted(Position::NodeSame, kind, Some("b")),
            served(true),
            "node port of b, which is asked from a"
        );
        assert_eq!(
            predicted(Position::NodeSame, kind, Some("c")),
            ("unknown".to_owned(), None),
            "no probe saw the kube-proxy of c"
        );
        let versions = report
            .environment
            .evidence
            .iter()
            .filter(|evidence| evidence.fact == "kubeProxyVersion")
            .map(|evidence| format!("{}: {}", evidence.value, evidence.source));
        assert_eq!(
            versions.collect::<Vec<_>>(),
            [
                "v1.36.3: kube-proxy's /metrics on a",
                "v1.34.4: kube-proxy's /metrics on b"
            ]
        );
    }
}
