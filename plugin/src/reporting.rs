//! From facts and observations to the report. Pure.

use crate::{
    cells::{self, Seen, Stand},
    explain::{
        self,
        settings::{ProxyConfig, Settings, Told},
    },
    targets::scope_of,
};
use std::time::Duration;
use svc_reach_common::{
    facts::{Facts, Ingress, ServiceType},
    line,
    matrix::Matrix,
    model::{
        World,
        connection::{Balancer, Forecast, Paths},
    },
    position::Position,
    report::{
        self, API_VERSION, Advisory, Basis, Cell, Environment, Evidence, Expectation, Kind,
        LoadBalancer, LoadBalancerAddress, ObservedValue, Prediction, Report, Severity, Summary,
    },
    verdict::{Expected, Reachability, judge},
};

/// What observations are held against.
#[derive(Debug, Clone, Copy)]
pub struct Expectations<'a> {
    /// The document.
    pub matrix: &'a Matrix,
    /// kube-proxy's configuration, for the model, where it was found.
    pub proxy: Option<&'a ProxyConfig>,
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
    let matrix = expectations.matrix;
    let environment = environment(facts, stands);
    let told = Told {
        mode: environment.proxy_mode,
        ..Told::default()
    };
    let settings = Settings::gather(&told, expectations.proxy, &[]);
    let world = World::of(facts, &settings.proxy);
    let paths = Paths {
        balancer: Balancer::of(&facts.service),
        ..Paths::of_network(None)
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
            cell(facts, matrix, seen, forecast)
        })
        .collect();
    Report {
        api_version: API_VERSION.to_owned(),
        kind: Kind::Report,
        run: run.to_owned(),
        elapsed_ms: u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
        service: service(facts),
        environment,
        matrix: Some(report::Matrix {
            id: matrix.name.clone(),
            edition: matrix.edition.clone(),
            source: matrix.source.clone(),
        }),
        summary: Summary::of(cells.iter().map(|cell| cell.verdict)),
        cells,
        advisories: advisories(facts, left_out),
    }
}

fn cell(facts: &Facts, matrix: &Matrix, seen: &Seen<'_>, forecast: Option<Forecast>) -> Cell {
    let row = matrix.row(facts, seen.stand.position, seen.target);
    let predicted = forecast.as_ref().map(Forecast::prediction);
    let by_model = predicted.as_ref().and_then(|predicted| predicted.reachable);
    // Where the document is silent, the model is what there is to hold the cell against.
    let expected = row.map(|row| matrix.expectation(row)).or_else(|| {
        by_model.map(|value| Expectation {
            value,
            basis: Basis::Predicted,
            matrix: None,
            edition: None,
            source: None,
        })
    });
    let observed = cells::observed(seen);
    let remedy = || {
        let of_row = row.and_then(|row| row.hint.clone());
        of_row.or_else(|| {
            forecast
                .as_ref()?
                .cause
                .map(|cause| cause.remedy().to_owned())
        })
    };
    let hint = [
        predicted
            .as_ref()
            .and_then(|predicted| disagreement(row?.value, predicted, observed.value)),
        (observed.value == ObservedValue::Unreachable)
            .then(remedy)
            .flatten(),
    ];
    let hint: Vec<String> = hint.into_iter().flatten().collect();
    Cell {
        position: seen.stand.position,
        node: seen.stand.node.clone(),
        target: seen.target.clone(),
        verdict: judge(
            &seen.observation,
            expected
                .as_ref()
                .map_or(Expected::Nothing, |expected| Expected::One(expected.value)),
        ),
        expected,
        editions: Vec::new(),
        predicted,
        observed,
        hint: (!hint.is_empty()).then(|| hint.join("; ")),
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

fn advisories(facts: &Facts, left_out: Option<&str>) -> Vec<Advisory> {
    let advisory = |id: &str, severity, text| Advisory {
        id: id.to_owned(),
        severity,
        text,
        source: None,
    };
    let service = &facts.service;
    let mut advisories = Vec::new();
    if let Some(name) = &service.external_name {
        let text = format!(
            "the Service is an alias for {name} in the cluster's DNS; nothing is forwarded"
        );
        advisories.push(advisory("external-name", Severity::Info, text));
    } else if !facts.endpoints.iter().any(|endpoint| endpoint.ready) {
        let text = match facts.endpoints.len() {
            0 => "the Service has no endpoint".to_owned(),
            n => format!("none of the Service's {n} endpoints is ready"),
        };
        advisories.push(advisory("no-ready-endpoint", Severity::Warning, text));
    }
    if service.kind == ServiceType::LoadBalancer && service.load_balancer.is_empty() {
        let text = "the load balancer has no address yet".to_owned();
        advisories.push(advisory(
            "no-load-balancer-address",
            Severity::Warning,
            text,
        ));
    }
    if let Some(why) = left_out {
        let text = format!("position external was left out, in part or whole: {why}");
        advisories.push(advisory("external-left-out", Severity::Info, text));
    }
    advisories
}

/// Annotations that say what kind of load balancer a Service has, of the providers whose documents we know: Huawei
/// Cloud CCE's own, and that of the open-source provider.
const CLASS_ANNOTATION: &str = "kubernetes.io/elb.class";
const PASS_THROUGH_ANNOTATION: &str = "kubernetes.io/elb.pass-through";

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
            class: service.annotations.get(CLASS_ANNOTATION).cloned(),
            pass_through: service.annotations.get(PASS_THROUGH_ANNOTATION).cloned(),
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

/// What the probes saw of their nodes. Nodes that disagree leave the fact open, with both as evidence.
fn environment(facts: &Facts, stands: &[Stand]) -> Environment {
    let mut modes = Vec::new();
    let mut evidence = Vec::new();
    for stand in stands {
        let Some(view) = stand
            .heard
            .as_ref()
            .ok()
            .and_then(|heard| heard.host.as_ref())
        else {
            continue;
        };
        let node = stand.node.as_deref().unwrap_or_default();
        let (value, source) = match &view.proxy_mode {
            line::Seen::Seen(mode) => {
                modes.push(*mode);
                (
                    mode.to_string(),
                    format!("127.0.0.1:10249/proxyMode on node {node}"),
                )
            }
            line::Seen::Unknown(why) => (
                "unknown".to_owned(),
                format!("127.0.0.1:10249/proxyMode on node {node}: {why}"),
            ),
        };
        evidence.push(Evidence {
            fact: "proxyMode".to_owned(),
            value,
            source,
        });
    }
    let agreed = modes
        .first()
        .copied()
        .filter(|first| modes.iter().all(|mode| mode == first));
    if let Some(version) = &facts.server_version {
        evidence.push(Evidence {
            fact: "kubernetesVersion".to_owned(),
            value: version.clone(),
            source: "the API server's /version".to_owned(),
        });
    }
    Environment {
        kubernetes_version: facts.server_version.clone(),
        proxy_mode: agreed,
        evidence,
        ..Environment::default()
    }
}
