//! The Service, the result, and the run.

use super::{Nth, name};
use crate::output::{answer, wording};
use maud::{Markup, html};
use svc_reach_common::{
    exit::Exit,
    facts::{ServicePort, TargetPort},
    report::{LoadBalancer, LoadBalancerAddress, Report},
};

/// The Service, the answer, and the numbers behind it.
pub fn header(report: &Report, nth: Nth) -> Markup {
    html! {
        header {
            h2 id=(nth.id("service")) { (name(report)) }
            p.verdict.(tone(report)) {
                b { (answer(report)) }
                span { (answer::answer(report)) }
            }
            (tally(report))
            (facts(report))
        }
    }
}

/// How the run ended, as a CSS class.
pub fn tone(report: &Report) -> &'static str {
    match report.summary.exit() {
        Exit::AsExpected => "good",
        Exit::Differs => "bad",
        Exit::Usage | Exit::Incomplete | Exit::Cluster | Exit::Interrupted | Exit::Terminated => {
            "open"
        }
    }
}

/// How the run ended.
pub fn answer(report: &Report) -> &'static str {
    match report.summary.exit() {
        Exit::AsExpected => "As expected",
        Exit::Differs => "Not as expected",
        Exit::Incomplete => "Incomplete",
        Exit::Usage | Exit::Cluster | Exit::Interrupted | Exit::Terminated => "Failed",
    }
}

/// The number of cells with each verdict.
fn tally(report: &Report) -> Markup {
    let summary = &report.summary;
    let counts = [
        ("as-expected", "as expected", summary.as_expected),
        ("worse", "worse", summary.worse),
        ("unstable", "unstable", summary.unstable),
        ("better", "better", summary.better),
        ("worse", "client address lost", summary.client_worse),
        ("disputed", "disputed", summary.disputed),
        ("not-observed", "not observed", summary.not_observed),
        ("undocumented", "undocumented", summary.undocumented),
    ];
    html! {
        @if summary.cells() > 0 {
            ul.tally aria-label="Cells by verdict" {
                @for (class, name, count) in counts.into_iter().filter(|(.., count)| *count > 0) {
                    li.{ "is-" (class) } { b { (count) } " " (name) }
                }
            }
        }
    }
}

/// The Service and its cluster in a few words.
fn facts(report: &Report) -> Markup {
    let service = &report.service;
    let environment = &report.environment;
    let word = |word: Option<&'static str>| word.map(str::to_owned);
    let rows = [
        ("Type", Some(service.kind.to_string())),
        (
            "externalTrafficPolicy",
            word(
                service
                    .external_traffic_policy
                    .map(|policy| policy.as_str()),
            ),
        ),
        (
            "internalTrafficPolicy",
            word(
                service
                    .internal_traffic_policy
                    .map(|policy| policy.as_str()),
            ),
        ),
        ("Ports", listed(service.ports.iter().map(port))),
        (
            "Load balancer",
            service.load_balancer.as_ref().and_then(load_balancer),
        ),
        ("Backends", listed(wording::backends(report).into_iter())),
        ("Provider", environment.provider.clone()),
        ("Kubernetes", environment.kubernetes_version.clone()),
        (
            "Network model",
            word(environment.network_model.map(|model| model.as_str())),
        ),
        (
            "Proxy mode",
            word(environment.proxy_mode.map(|mode| mode.as_str())),
        ),
    ];
    html! {
        dl.facts {
            @for (name, value) in rows {
                @if let Some(value) = value {
                    div { dt { (name) } dd { (value) } }
                }
            }
        }
    }
}

/// The run that made this report.
pub fn run(report: &Report) -> Markup {
    let seconds = report.elapsed_ms / 1000;
    let tenths = report.elapsed_ms % 1000 / 100;
    html! {
        p.run {
            "Run " (report.run) ", " (seconds) "." (tenths) " s, exit code " (report.summary.exit_code) ", report "
            (report.api_version) "."
        }
    }
}

fn port(port: &ServicePort) -> String {
    let mut text = format!("{}/{}", port.port, port.protocol);
    if let Some(name) = &port.name {
        text = format!("{name} {text}");
    }
    match &port.target_port {
        Some(TargetPort::Number(number)) => text += &format!(" → {number}"),
        Some(TargetPort::Name(name)) => text += &format!(" → {name}"),
        None => {}
    }
    if let Some(node_port) = port.node_port {
        text += &format!(", node port {node_port}");
    }
    text
}

fn load_balancer(balancer: &LoadBalancer) -> Option<String> {
    let class = balancer
        .class
        .as_ref()
        .map(|class| format!("class {class}"));
    let pass_through = balancer
        .pass_through
        .as_ref()
        .map(|setting| format!("pass-through {setting}"));
    listed(
        balancer
            .addresses
            .iter()
            .filter_map(address)
            .chain(class)
            .chain(pass_through),
    )
}

fn address(address: &LoadBalancerAddress) -> Option<String> {
    let mut text = match (&address.ip, &address.hostname) {
        (Some(ip), Some(hostname)) => format!("{ip} ({hostname})"),
        (Some(ip), None) => ip.to_string(),
        (None, Some(hostname)) => hostname.clone(),
        (None, None) => return None,
    };
    if let Some(scope) = address.scope {
        text += &format!(", {scope}");
    }
    Some(text)
}

fn listed(items: impl Iterator<Item = String>) -> Option<String> {
    let items: Vec<String> = items.collect();
    (!items.is_empty()).then(|| items.join("; "))
}
