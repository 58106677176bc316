//! From facts and observations to the report. Pure.

use crate::{
    advisories::{self, Known},
    cells::{self, Seen, Stand},
    clues::Clues,
    detection::{self, ELB_CLASS, ELB_PASS_THROUGH},
    explain::{
        self,
        settings::{ProxyConfig, Settings, Told},
    },
    targets::scope_of,
};
use std::time::Duration;
use svc_reach_common::{
    facts::{Facts, Ingress, ServiceType},
    matrix::{Branch, Catalog, Circumstances, Edition, Ruling, Selection},
    model::{
        World,
        connection::{Balancer, Forecast, Paths},
    },
    position::Position,
    report::{
        self, API_VERSION, Basis, Cell, EditionValue, Expectation, Kind, LoadBalancer,
        LoadBalancerAddress, ObservedValue, Prediction, Report, Summary,
    },
    target::{Scope, Target},
    verdict::{Expected, Reachability, judge},
};

/// What observations are held against.
#[derive(Debug, Clone, Copy)]
pub struct Expectations<'a> {
    /// The documents.
    pub catalog: &'a Catalog,
    /// Which of them; `None`: those of the provider.
    pub selection: Option<&'a Selection>,
    /// Whether editions of the provider's document other than the newest do not count.
    pub strict: bool,
    /// kube-proxy's configuration, where it was found.
    pub proxy: Option<&'a ProxyConfig>,
    /// What other objects tell.
    pub clues: &'a Clues,
    /// What the user told of the cluster.
    pub told: detection::Told,
}

/// Makes the report of a run. `left_out`: why this machine was not a position, in part or whole.
pub fn report(
    run: &str,
    elapsed: Duration,
    facts: &Facts,
    stands: &[Stand],
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
        expectations.clues,
        expectations.told,
    );
    let selection = match expectations.selection {
        Some(selection) => selection.clone(),
        None => {
            let provider = environment.provider.as_deref();
            let mut selection = Selection::of(
                provider.filter(|name| expectations.catalog.of(name).next().is_some()),
            );
            selection.strict = expectations.strict;
            selection
        }
    };
    let primary = expectations.catalog.primary(&selection);
    if environment.column.is_none() && primary.is_some_and(|edition| !edition.columns().is_empty())
    {
        environment
            .evidence
            .push(detection::remaining(&circumstances));
    }
    let told = Told {
        mode: environment.proxy_mode,
        ..Told::default()
    };
    let settings = Settings::gather(&told, expectations.proxy, &[]);
    let world = World::of(facts, &settings.proxy);
    let paths = Paths {
        balancer: Balancer::of(&facts.service),
        ..Paths::of_network(environment.network_model)
    };
    let documents = Documents {
        catalog: expectations.catalog,
        selection: &selection,
        circumstances: &circumstances,
    };
    let cells: Vec<Cell> = cells::seen(stands)
        .iter()
        .map(|seen| {
            let stand = seen.stand;
            let node = stand.node.as_deref();
            // A position that no node fits is a place that nothing can be predicted of.
            let forecast = (node.is_some() || stand.position == Position::External).then(|| {
                explain::cells::forecast(
                    &world,
                    facts,
                    &settings,
                    &paths,
                    stand.position,
                    node,
                    seen.target,
                )
            });
            cell(facts, documents, seen, forecast)
        })
        .collect();
    Report {
        api_version: API_VERSION.to_owned(),
        kind: Kind::Report,
        run: run.to_owned(),
        elapsed_ms: u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
        service: service(facts),
        matrix: primary.map(|edition| report::Matrix {
            id: edition.name.clone(),
            edition: edition.edition.clone(),
            alias: edition.alias.clone(),
            source: edition.source.clone(),
        }),
        advisories: advisories::advisories(
            Known {
                facts,
                environment: &environment,
                circumstances: &circumstances,
                clues: expectations.clues,
                cells: &cells,
            },
            left_out,
        ),
        environment,
        summary: Summary::of(cells.iter().map(|cell| cell.verdict)),
        cells,
    }
}

/// The documents, and which of their cells are this Service's.
#[derive(Clone, Copy)]
struct Documents<'a> {
    catalog: &'a Catalog,
    selection: &'a Selection,
    circumstances: &'a Circumstances,
}

impl<'a> Documents<'a> {
    /// What they say of a cell. No document speaks of a Service that nothing stands behind.
    fn ruling(&self, facts: &Facts, seen: &Seen<'_>) -> Ruling<'a> {
        if !facts.endpoints.iter().any(|endpoint| endpoint.ready) {
            return Ruling::Silent;
        }
        let target = Target {
            scope: seen.target.scope.or_else(|| scope_seen(seen)),
            ..seen.target.clone()
        };
        let situations = self.circumstances.situations(seen.stand.position, &target);
        self.catalog.ruling(self.selection, &situations)
    }
}

/// The scope of what a name led to, where that was the same each time.
fn scope_seen(seen: &Seen<'_>) -> Option<Scope> {
    let mut scopes = seen
        .attempts
        .iter()
        .filter_map(|attempt| Some(scope_of(attempt.remote?.ip())));
    let first = scopes.next()?;
    scopes.all(|scope| scope == first).then_some(first)
}

fn cell(
    facts: &Facts,
    documents: Documents<'_>,
    seen: &Seen<'_>,
    forecast: Option<Forecast>,
) -> Cell {
    let ruling = documents.ruling(facts, seen);
    let predicted = forecast.as_ref().map(Forecast::prediction);
    let observed = cells::observed(seen);
    let mut hints = Vec::new();
    let mut editions = Vec::new();
    let (expected, against) = match &ruling {
        // Where the documents are silent, the model is what there is to hold the cell against.
        Ruling::Silent => {
            let by_model = predicted.as_ref().and_then(|predicted| predicted.reachable);
            let expected = by_model.map(|value| Expectation {
                value,
                basis: Basis::Predicted,
                matrix: None,
                edition: None,
                source: None,
            });
            (expected, by_model.map_or(Expected::Nothing, Expected::One))
        }
        Ruling::Depends(edition, branches) => {
            hints.push(depends(edition, branches));
            (None, Expected::Nothing)
        }
        Ruling::Says { edition, cell, all } => {
            editions = all
                .iter()
                .map(|(edition, value)| EditionValue {
                    edition: edition.edition.clone(),
                    alias: edition.alias.clone(),
                    value: *value,
                })
                .collect();
            let disputed = all.iter().any(|(_, value)| *value != cell.value);
            if disputed {
                hints.push(dispute(all, observed.value));
            }
            hints.extend(
                predicted
                    .as_ref()
                    .and_then(|predicted| disagreement(cell.value, predicted, observed.value)),
            );
            let source = cell.source.as_ref().unwrap_or(&edition.source);
            let expected = Expectation {
                value: cell.value,
                basis: cell.basis,
                matrix: Some(edition.name.clone()),
                edition: Some(edition.edition.clone()),
                source: Some(format!("{source} ({})", cell.pointer)),
            };
            let against = if disputed {
                Expected::Disputed
            } else {
                Expected::One(cell.value)
            };
            (Some(expected), against)
        }
    };
    if observed.value == ObservedValue::Unreachable {
        let documented = match &ruling {
            Ruling::Says { edition, cell, .. } => edition.remedy(cell),
            Ruling::Silent | Ruling::Depends(..) => None,
        };
        let by_model = || Some(forecast.as_ref()?.cause?.remedy().to_owned());
        hints.extend(documented.or_else(by_model));
    }
    Cell {
        position: seen.stand.position,
        node: seen.stand.node.clone(),
        target: seen.target.clone(),
        verdict: judge(&seen.observation, against),
        expected,
        editions,
        predicted,
        observed,
        hint: (!hints.is_empty()).then(|| hints.join("; ")),
    }
}

/// What an edition's word depends on.
fn depends(edition: &Edition, branches: &[Branch]) -> String {
    let branches: Vec<String> = branches.iter().map(Branch::to_string).collect();
    format!(
        "{} {} depends on what is not known here ({}), so that the cell is not judged",
        edition.name,
        edition.readable(),
        branches.join("; ")
    )
}

/// Who says what, and whom the observation agrees with.
fn dispute(all: &[(&Edition, Reachability)], observed: ObservedValue) -> String {
    let saying = |value: Reachability| {
        let names: Vec<&str> = all
            .iter()
            .filter(|(_, said)| *said == value)
            .map(|(edition, _)| edition.readable())
            .collect();
        format!("{} say {value}", names.join(", "))
    };
    let agrees = match observed {
        ObservedValue::Reachable => Some(Reachability::Reachable),
        ObservedValue::Unreachable => Some(Reachability::Unreachable),
        ObservedValue::Unstable | ObservedValue::NotObserved => None,
    };
    match agrees {
        Some(value) => {
            let other = match value {
                Reachability::Reachable => Reachability::Unreachable,
                Reachability::Unreachable => Reachability::Reachable,
            };
            format!("{}, as was seen; {}", saying(value), saying(other))
        }
        None => format!(
            "{}; {}",
            saying(Reachability::Reachable),
            saying(Reachability::Unreachable)
        ),
    }
}

/// Where document and model disagree, which of them what was seen agrees with, and the model's reason.
fn disagreement(
    document: Reachability,
    predicted: &Prediction,
    observed: ObservedValue,
) -> Option<String> {
    let model = predicted.reachable.filter(|model| *model != document)?;
    let agrees = |with: Reachability| match (with, observed) {
        (Reachability::Reachable, ObservedValue::Reachable)
        | (Reachability::Unreachable, ObservedValue::Unreachable) => true,
        (_, ObservedValue::Unstable | ObservedValue::NotObserved)
        | (Reachability::Reachable, ObservedValue::Unreachable)
        | (Reachability::Unreachable, ObservedValue::Reachable) => false,
    };
    let because = predicted.why.last().map_or("", |why| why.rule.as_str());
    Some(if agrees(model) {
        format!("the forwarding model expects this, against the document: {because}")
    } else {
        format!(
            "the forwarding model expects {}, against the document: {because}",
            predicted.outcome
        )
    })
}

pub fn service(facts: &Facts) -> report::Service {
    let service = &facts.service;
    let external = match service.kind {
        ServiceType::NodePort | ServiceType::LoadBalancer => true,
        ServiceType::ClusterIp => !service.external_ips.is_empty(),
        ServiceType::ExternalName => false,
    };
    let internal = !service.cluster_ips.is_empty();
    report::Service {
        namespace: service.namespace.clone(),
        name: service.name.clone(),
        kind: service.kind,
        external_traffic_policy: external.then_some(service.external_traffic_policy),
        internal_traffic_policy: internal.then_some(service.internal_traffic_policy),
        ports: service.ports.clone(),
        load_balancer: (service.kind == ServiceType::LoadBalancer).then(|| LoadBalancer {
            class: service.annotations.get(ELB_CLASS).cloned(),
            pass_through: service.annotations.get(ELB_PASS_THROUGH).cloned(),
            addresses: service.load_balancer.iter().map(address).collect(),
        }),
    }
}

fn address(ingress: &Ingress) -> LoadBalancerAddress {
    LoadBalancerAddress {
        ip: ingress.ip,
        hostname: ingress.hostname.clone(),
        scope: ingress.ip.map(scope_of),
        ip_mode: ingress.ip_mode,
    }
}
