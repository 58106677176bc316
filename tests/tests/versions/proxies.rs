//! Which kube-proxies to run, and on which nodes.

use crate::families::Families;
use std::{
    process::Command,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use svc_reach_tests::{kubectl::Kubectl, wait::until};

/// What to run, as `VERSION=MODE` separated by commas. The test cluster must have built all of them.
const OFFERED: &str = "SVC_REACH_KUBE_PROXIES";

/// The same for the random Services. Default: all.
const OFFERED_RANDOM: &str = "SVC_REACH_RANDOM_KUBE_PROXIES";

/// Time limit until a new kube-proxy has written its rules.
const SERVES: Duration = Duration::from_secs(600);

/// A kube-proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KubeProxy {
    /// Its version, such as `1.37.2`.
    pub version: String,
    /// Its mode.
    pub mode: String,
}

impl KubeProxy {
    /// Those that `tests/run` asks for.
    pub fn offered() -> Vec<Self> {
        Self::listed(&std::env::var(OFFERED).unwrap_or_default())
    }

    /// Those that `tests/run` asks for with random Services.
    pub fn offered_random() -> Vec<Self> {
        std::env::var(OFFERED_RANDOM).map_or_else(|_| Self::offered(), |text| Self::listed(&text))
    }

    fn listed(text: &str) -> Vec<Self> {
        let all: Vec<Self> = text.split(',').filter_map(Self::parsed).collect();
        assert!(
            !all.is_empty(),
            "{OFFERED}={text:?} names no kube-proxy, such as 1.37.2=nftables"
        );
        all
    }

    fn parsed(text: &str) -> Option<Self> {
        let (version, mode) = text.split_once('=')?;
        Some(Self {
            version: version.to_owned(),
            mode: mode.to_owned(),
        })
    }
}

/// What to run on the nodes: each kube-proxy on all of them, and at last different ones.
pub fn choices(proxies: &[KubeProxy], nodes: usize) -> Vec<Vec<KubeProxy>> {
    let mut choices: Vec<Vec<KubeProxy>> = proxies
        .iter()
        .map(|proxy| vec![proxy.clone(); nodes])
        .collect();
    if proxies.len() > 1 {
        let last = nodes.saturating_sub(1).max(1);
        let spread = |node: usize| proxies[node * (proxies.len() - 1) / last].clone();
        choices.push((0..nodes).map(spread).collect());
    }
    choices
}

/// The name of a choice: the kube-proxy, or one for each node.
pub fn name(choice: &[KubeProxy]) -> String {
    let name = |proxy: &KubeProxy| format!("{} {}", proxy.version, proxy.mode);
    let mut names: Vec<String> = choice.iter().map(name).collect();
    names.dedup();
    names.join(", ")
}

/// Puts the kube-proxies on the nodes, and waits until each of them has written its rules. `settings` are lines of their
/// configuration.
pub fn put(
    kubectl: &Kubectl,
    families: &Families,
    nodes: &[String],
    choice: &[KubeProxy],
    settings: &str,
) {
    let began = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    for (node, proxy) in nodes.iter().zip(choice) {
        let output = Command::new(kubectl.testbed())
            .args(["proxy", node, &proxy.version, &proxy.mode, settings])
            .output()
            .unwrap();
        assert!(output.status.success(), "cluster proxy {node}: {output:?}");
    }
    for (node, proxy) in nodes.iter().zip(choice) {
        let version = format!("git_version=\"v{}\"", proxy.version);
        until("a kube-proxy that has written its rules", SERVES, || {
            let metrics = ask(kubectl, node, "metrics");
            let mode = ask(kubectl, node, "proxyMode");
            let written = metrics
                .lines()
                .filter(|line| {
                    line.starts_with("kubeproxy_sync_proxy_rules_last_timestamp_seconds{")
                })
                .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
                .filter(|seconds| *seconds > began.as_secs_f64())
                .count();
            let complete = written >= families.all().len();
            if metrics.contains(&version) && mode == proxy.mode && complete {
                Ok(())
            } else {
                Err(format!(
                    "{node}: mode {mode:?}, rules of {written} families"
                ))
            }
        });
    }
}

/// What a node's kube-proxy says about itself.
fn ask(kubectl: &Kubectl, node: &str, page: &str) -> String {
    // In a cluster of IPv6 only, kube-proxy serves this at ::1.
    let url = format!("http://localhost:10249/{page}");
    let output = Command::new(kubectl.testbed())
        .args(["enter", node, "curl", "-s", "-m", "2", &url])
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}
