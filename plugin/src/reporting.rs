//! Makes the report from facts and observations. Pure.

pub mod advisories;
pub mod cells;
pub mod detection;
pub mod documents;
pub mod network_policies;
pub mod prediction;
pub mod service;
pub mod source;

use crate::reporting::documents::Documents;
use crate::{
    config::ClusterOverrides,
    probes::probed_position::ProbedPosition,
    reporting::{advisories::Findings, cells::ObservedCell, network_policies::PolicyCheck},
    survey::{
        kube_proxy::{ProxyConfig, ProxyOverrides, Settings},
        network_policies::PolicySurvey,
        provider_hints::ProviderHints,
    },
};
use std::time::Duration;
use svc_reach_common::{
    facts::Facts,
    judging,
    model::{
        World,
        connection::{Balancer, Forecast, Paths},
    },
    position::Position,
    proxy_mode::ProxyMode,
    report::{self, API_VERSION, Cell, Kind, Prediction, Report, Summary},
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
    /// What the user says about the cluster.
    pub overrides: ClusterOverrides,
    /// What is required of a run, and what fails it.
    pub terms: &'a Terms,
    /// The API server's time before the probes were created, RFC 3339, if it is known.
    pub at: Option<&'a str>,
}

/// Makes the report of a run. `left_out`: why the position `external` was left out, partly or completely.
pub fn report(
    run: &str,
    elapsed: Duration,
    facts: &Facts,
    stands: &[ProbedPosition],
    expectations: Expectations<'_>,
    left_out: Option<&str>,
) -> Report {
    let detection::Detection {
        mut environment,
        circumstances,
    } = detection::detect(
        facts,
        stands,
        expectations.proxy,
        expectations.hints,
        expectations.overrides,
    );
    let catalog = &expectations.documents.catalog;
    let selection = expectations
        .documents
        .selection(environment.provider.as_deref());
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
    let settings = Settings::gather(&overrides, expectations.proxy, &[]);
    let world = World::of(facts, &settings.proxy);
    let paths = Paths {
        balancer: Balancer::of(&facts.service),
        ..Paths::of_network(environment.network_model)
    };
    let documents = judging::Judge {
        catalog,
        selection: &selection,
        circumstances: &circumstances,
        terms: expectations.terms,
    };
    let policies = PolicyCheck::new(
        expectations.policies,
        facts,
        stands,
        settings.mode_told
            && matches!(
                settings.proxy.mode,
                ProxyMode::Iptables | ProxyMode::Ipvs | ProxyMode::Nftables
            ),
        paths.balancer.pass_through,
    );
    let cells: Vec<Cell> = cells::seen(stands)
        .iter()
        .map(|seen| {
            let stand = seen.stand;
            let node = stand.node.as_deref();
            // Nothing can be predicted for a position without a node, except `external`.
            let forecast = (node.is_some() || stand.position == Position::External).then(|| {
                prediction::forecast(
                    &world,
                    facts,
                    &settings,
                    &paths,
                    stand.position,
                    node,
                    seen.target,
                )
            });
            let mut cell = observed(seen, forecast.as_ref().map(Forecast::prediction));
            cell.policy = policies.finding(seen, forecast.as_ref());
            if let (Some(policy), Some(predicted)) = (&cell.policy, &mut cell.predicted) {
                network_policies::apply(policy, predicted);
            }
            documents.judge(&mut cell);
            cell
        })
        .collect();
    Report {
        api_version: API_VERSION.to_owned(),
        kind: Kind::Report,
        run: run.to_owned(),
        elapsed_ms: u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
        service: service::service(facts),
        matrix: primary.map(report::MatrixReference::of),
        advisories: advisories::advisories(
            Findings {
                facts,
                environment: &environment,
                circumstances: &circumstances,
                hints: expectations.hints,
                cells: &cells,
                terms: expectations.terms,
                at: expectations.at,
            },
            left_out,
            &expectations.policies.notes,
        ),
        environment,
        circumstances,
        terms: expectations.terms.clone(),
        summary: Summary::of(&cells, expectations.terms),
        cells,
    }
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
        hint: None,
    }
}
