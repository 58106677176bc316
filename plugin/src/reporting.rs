//! From facts and observations to the report. Pure.

use crate::{
    cells::{self, Stand},
    targets::scope_of,
};
use std::time::Duration;
use svc_reach_common::{
    facts::{Facts, Ingress, ServiceType},
    line::Seen,
    report::{
        self, API_VERSION, Advisory, Cell, Environment, Evidence, Kind, LoadBalancer,
        LoadBalancerAddress, Report, Severity, Summary,
    },
    verdict::{Expected, judge},
};

/// Makes the report of a run.
pub fn report(
    run: &str,
    elapsed: Duration,
    facts: &Facts,
    stands: &[Stand],
    left_out: Option<&str>,
) -> Report {
    let cells: Vec<Cell> = cells::seen(stands)
        .iter()
        .map(|seen| Cell {
            position: seen.stand.position,
            node: seen.stand.node.clone(),
            target: seen.target.clone(),
            expected: None,
            editions: Vec::new(),
            predicted: None,
            observed: cells::observed(seen),
            verdict: judge(&seen.observation, Expected::Nothing),
            hint: None,
        })
        .collect();
    Report {
        api_version: API_VERSION.to_owned(),
        kind: Kind::Report,
        run: run.to_owned(),
        elapsed_ms: u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
        service: service(facts),
        environment: environment(facts, stands),
        matrix: None,
        summary: Summary::of(cells.iter().map(|cell| cell.verdict)),
        cells,
        advisories: left_out
            .map(|why| Advisory {
                id: "external-left-out".to_owned(),
                severity: Severity::Info,
                text: format!("position external was left out, in part or whole: {why}"),
                source: None,
            })
            .into_iter()
            .collect(),
    }
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
            Seen::Seen(mode) => {
                modes.push(*mode);
                (
                    mode.to_string(),
                    format!("127.0.0.1:10249/proxyMode on node {node}"),
                )
            }
            Seen::Unknown(why) => (
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
