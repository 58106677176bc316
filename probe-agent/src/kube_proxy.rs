//! What kube-proxy says of itself, on the node that it runs on: its mode, its version and its settings.
//!
//! Whatever listens there may be something else, and may say anything. All of it is bounded, and what is not what
//! kube-proxy says is unknown, with the reason.

use crate::{failure::short, http, tap::Tap};
use serde::Deserialize;
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};
use svc_reach_common::{
    proxy_mode::ProxyMode,
    wire::line::{HostFact, KubeProxySettings},
};
use tokio::{net::TcpStream, time::timeout};

/// Where kube-proxy serves `/proxyMode`, `/metrics` and `/configz`: the defaults of `metricsBindAddress`, the second one
/// if `bindAddress` is an IPv6 address (kubernetes/kubernetes v1.37.2 `cmd/kube-proxy/app/server.go` `serveMetrics`,
/// `pkg/proxy/apis/config/v1alpha1/defaults.go`).
const ADDRESSES: [SocketAddr; 2] = [
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 10249),
    SocketAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), 10249),
];

/// kube-proxy answers at once or not at all.
const TIMEOUT: Duration = Duration::from_secs(1);

/// Bytes of the mode that are read: it is one word.
const MODE_BYTES: usize = 4096;

/// Bytes of the metrics that are read. An ordinary kube-proxy has 50 to 100 KiB of them.
const METRICS_BYTES: usize = 1024 * 1024;

/// Bytes of the settings that are read. They are 3 KiB, but for ranges of addresses.
const SETTINGS_BYTES: usize = 64 * 1024;

/// The metric that has kube-proxy's version (kubernetes/kubernetes v1.37.2
/// `staging/src/k8s.io/component-base/metrics/prometheus/version/metrics.go`).
const BUILD_INFO: &str = "kubernetes_build_info{";
const VERSION_LABEL: &str = "git_version";

/// A version is at most this long.
const VERSION_BYTES: usize = 64;

/// A word or a list of ranges is at most this long.
const WORD_BYTES: usize = 256;

/// A list is at most this long.
const WORDS: usize = 64;

/// What kube-proxy says of itself.
#[derive(Debug, PartialEq, Eq)]
pub struct KubeProxy {
    /// The mode that it is in.
    pub mode: HostFact<ProxyMode>,
    /// Its version.
    pub version: HostFact<String>,
    /// Its effective settings.
    pub settings: HostFact<KubeProxySettings>,
}

/// Asks kube-proxy.
pub async fn look() -> KubeProxy {
    look_at(&ADDRESSES).await
}

async fn look_at(addresses: &[SocketAddr]) -> KubeProxy {
    let (mode, metrics, configz) = tokio::join!(
        text(addresses, "/proxyMode", MODE_BYTES),
        text(addresses, "/metrics", METRICS_BYTES),
        text(addresses, "/configz", SETTINGS_BYTES),
    );
    KubeProxy {
        mode: fact(mode.and_then(|word| {
            word.trim()
                .parse::<ProxyMode>()
                .map_err(|error| error.to_string())
        })),
        version: fact(metrics.and_then(|text| version(&text))),
        settings: fact(configz.and_then(|text| settings(&text))),
    }
}

fn fact<T>(looked: Result<T, String>) -> HostFact<T> {
    match looked {
        Ok(seen) => HostFact::Seen(seen),
        Err(why) => HostFact::Unknown(short(&why)),
    }
}

/// What stands at a path, at the first of the addresses where somebody listens.
async fn text(addresses: &[SocketAddr], path: &str, limit: usize) -> Result<String, String> {
    let answer = async {
        let mut refused = None;
        for &address in addresses {
            match TcpStream::connect(address).await {
                Ok(stream) => {
                    let authority = address.to_string();
                    return http::get_text(Tap::new(stream), path, &authority, limit).await;
                }
                Err(error) => refused = refused.or(Some(error.to_string())),
            }
        }
        Err(refused.unwrap_or_default())
    };
    timeout(TIMEOUT, answer)
        .await
        .unwrap_or_else(|_| Err("no answer in time".to_owned()))
}

/// The version in kube-proxy's metrics.
fn version(metrics: &str) -> Result<String, String> {
    let mut versions = metrics
        .lines()
        .filter_map(|line| label(line.strip_prefix(BUILD_INFO)?, VERSION_LABEL));
    let first = versions
        .next()
        .ok_or_else(|| "no kubernetes_build_info with a git_version".to_owned())?;
    if versions.any(|other| other != first) {
        return Err("several versions".to_owned());
    }
    let plausible = (1..=VERSION_BYTES).contains(&first.len())
        && first
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'\\' | b'"'));
    if plausible {
        Ok(first.to_owned())
    } else {
        Err(format!("not a version: {first}"))
    }
}

/// The value of a label, as it is written. Quotes and backslashes in values are escaped
/// (Prometheus documentation, "Exposition formats", "Text format details").
fn label<'m>(mut labels: &'m str, wanted: &str) -> Option<&'m str> {
    loop {
        let (name, rest) = labels.split_once("=\"")?;
        let mut escaped = false;
        let end = rest.find(|c| {
            let ends = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            ends
        })?;
        if name.trim() == wanted {
            return rest.get(..end);
        }
        labels = rest.get(end + 1..)?.trim_start_matches([',', ' ']);
    }
}

/// `/configz` has the settings of each component of a process under the name of their group
/// (kubernetes/kubernetes v1.37.2 `staging/src/k8s.io/component-base/configz/configz.go`, `cmd/kube-proxy/app/server.go`).
#[derive(Deserialize)]
struct Configz {
    #[serde(rename = "kubeproxy.config.k8s.io")]
    kube_proxy: Option<Settings>,
}

/// `KubeProxyConfiguration`: since 1.36 as in kube-proxy's file (kubernetes/kubernetes v1.36.3
/// `staging/src/k8s.io/kube-proxy/config/v1alpha1/types.go`), before with the names of the fields in Go (v1.35.4
/// `pkg/proxy/apis/config/types.go`).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Settings {
    #[serde(alias = "Mode")]
    mode: String,
    #[serde(rename = "clusterCIDR", alias = "ClusterCIDR")]
    cluster_cidr: Option<String>,
    #[serde(alias = "DetectLocalMode")]
    detect_local_mode: Option<String>,
    #[serde(alias = "DetectLocal")]
    detect_local: Option<DetectLocal>,
    #[serde(alias = "NodePortAddresses")]
    node_port_addresses: Option<Vec<String>>,
    #[serde(alias = "Linux")]
    linux: Option<OfMode>,
    #[serde(alias = "IPTables")]
    iptables: Option<OfMode>,
    #[serde(alias = "NFTables")]
    nftables: Option<OfMode>,
}

#[derive(Deserialize)]
struct DetectLocal {
    /// In Go only.
    #[serde(rename = "ClusterCIDRs")]
    cluster_cidrs: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OfMode {
    #[serde(alias = "MasqueradeAll")]
    masquerade_all: Option<bool>,
    #[serde(alias = "LocalhostNodePorts")]
    localhost_node_ports: Option<bool>,
}

/// The settings in `/configz`.
fn settings(configz: &str) -> Result<KubeProxySettings, String> {
    let configz: Configz = serde_json::from_str(configz).map_err(|error| error.to_string())?;
    let settings = configz
        .kube_proxy
        .ok_or_else(|| "no settings of kube-proxy".to_owned())?;
    let one = settings.cluster_cidr.as_deref().unwrap_or_default();
    let several = settings
        .detect_local
        .and_then(|detect| detect.cluster_cidrs)
        .unwrap_or_default();
    let of_mode = if settings.mode == "nftables" {
        &settings.nftables
    } else {
        // ipvs mode takes the setting from the same place.
        &settings.iptables
    };
    let found = KubeProxySettings {
        cluster_cidrs: one
            .split(',')
            .map(str::to_owned)
            .chain(several)
            .filter(|range| !range.is_empty())
            .collect(),
        detect_local_mode: settings.detect_local_mode,
        node_port_addresses: settings.node_port_addresses.unwrap_or_default(),
        masquerade_all: [&settings.linux, of_mode]
            .into_iter()
            .flatten()
            .find_map(|part| part.masquerade_all),
        localhost_node_ports: settings
            .iptables
            .as_ref()
            .and_then(|iptables| iptables.localhost_node_ports),
        mode: settings.mode,
    };
    let words = || {
        let lists = [&found.cluster_cidrs, &found.node_port_addresses];
        lists
            .into_iter()
            .flatten()
            .chain([&found.mode])
            .chain(&found.detect_local_mode)
    };
    if words().any(|word| word.len() > WORD_BYTES) || words().count() > WORDS {
        return Err("settings that are too long".to_owned());
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::{
        HostFact, KubeProxy, KubeProxySettings, METRICS_BYTES, ProxyMode, SETTINGS_BYTES,
        SocketAddr, TIMEOUT, label, look_at, settings, version,
    };
    use std::collections::BTreeMap;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
        time::Instant,
    };

    /// As kube-proxy 1.37 writes it, shortened.
    const METRICS: &str = "# HELP go_gc_duration_seconds A summary of the wall-time pause\n\
        go_info{version=\"go1.26.1\"} 1\n\
        # TYPE kubernetes_build_info gauge\n\
        kubernetes_build_info{build_date=\"2026-08-11T10:00:00Z\",compiler=\"gc\",git_commit=\"0a1b\",git_tree_state=\"clean\",git_version=\"v1.37.2\",go_version=\"go1.26.1\",major=\"1\",minor=\"37\",platform=\"linux/amd64\"} 1\n\
        process_cpu_seconds_total 1.5\n";

    /// The same of 1.34, with the names of the fields in Go.
    const IN_GO: &str = r#"{"kubeproxy.config.k8s.io":{"Linux":{"Conntrack":{"MaxPerCore":32768},"MasqueradeAll":true,"OOMScoreAdj":-999},
        "Windows":{"RunAsService":false},"FeatureGates":{},"BindAddress":"0.0.0.0","MetricsBindAddress":"127.0.0.1:10249","Mode":"nftables",
        "IPTables":{"MasqueradeBit":14,"LocalhostNodePorts":true},"IPVS":{"Scheduler":""},"NFTables":{"MasqueradeBit":14},
        "DetectLocalMode":"ClusterCIDR","DetectLocal":{"BridgeInterface":"","ClusterCIDRs":["10.244.0.0/16","fd00:10::/32"],"InterfaceNamePrefix":""},
        "NodePortAddresses":["primary"],"SyncPeriod":"30s"}}"#;

    /// As since 1.36.
    const AS_IN_THE_FILE: &str = r#"{"kubeproxy.config.k8s.io":{"kind":"KubeProxyConfiguration","apiVersion":"kubeproxy.config.k8s.io/v1alpha1",
        "bindAddress":"0.0.0.0","mode":"nftables","iptables":{"masqueradeBit":14,"masqueradeAll":false,"localhostNodePorts":true},
        "ipvs":{"scheduler":""},"nftables":{"masqueradeBit":14,"masqueradeAll":true},"detectLocalMode":"ClusterCIDR",
        "detectLocal":{"bridgeInterface":"","interfaceNamePrefix":""},"clusterCIDR":"10.244.0.0/16,fd00:10::/32","nodePortAddresses":["primary"]}}"#;

    fn of_nftables() -> KubeProxySettings {
        KubeProxySettings {
            mode: "nftables".into(),
            cluster_cidrs: vec!["10.244.0.0/16".into(), "fd00:10::/32".into()],
            detect_local_mode: Some("ClusterCIDR".into()),
            node_port_addresses: vec!["primary".into()],
            masquerade_all: Some(true),
            localhost_node_ports: Some(true),
        }
    }

    #[test]
    fn settings_are_read_as_every_version_writes_them() {
        assert_eq!(settings(IN_GO), Ok(of_nftables()));
        assert_eq!(settings(AS_IN_THE_FILE), Ok(of_nftables()));
        // As in 1.24: the range is not part of how pods are detected, and lists that are empty are null.
        let older = r#"{"kubeproxy.config.k8s.io":{"Mode":"ipvs","ClusterCIDR":"10.244.0.0/16","NodePortAddresses":null,
            "IPTables":{"MasqueradeAll":true},"DetectLocalMode":"NodeCIDR"}}"#;
        let older = settings(older).unwrap();
        assert_eq!(older.cluster_cidrs, ["10.244.0.0/16"]);
        assert!(older.node_port_addresses.is_empty());
        assert_eq!(older.masquerade_all, Some(true));
        assert_eq!(older.localhost_node_ports, None);
        assert_eq!(older.detect_local_mode.as_deref(), Some("NodeCIDR"));
    }

    #[test]
    fn what_is_not_settings_is_not_guessed_at() {
        let word = "x".repeat(300);
        let long = format!(r#"{{"kubeproxy.config.k8s.io":{{"mode":"{word}"}}}}"#);
        let many = format!(
            r#"{{"kubeproxy.config.k8s.io":{{"mode":"ipvs","nodePortAddresses":{:?}}}}}"#,
            ["10.0.0.0/8"; 100]
        );
        for text in [
            "",
            "null",
            "iptables",
            "[]",
            "{}",
            r#"{"kubeletconfig":{"mode":"ipvs"}}"#,
            r#"{"kubeproxy.config.k8s.io":null}"#,
            r#"{"kubeproxy.config.k8s.io":{}}"#,
            r#"{"kubeproxy.config.k8s.io":{"mode":7}}"#,
            r#"{"kubeproxy.config.k8s.io":{"mode":"ipvs","nodePortAddresses":"10.0.0.0/8"}}"#,
            r#"{"kubeproxy.config.k8s.io":{"mode":"ipvs","Mode":"iptables"}}"#,
            r#"{"kubeproxy.config.k8s.io":{"mode":"ipvs""#,
            &long,
            &many,
        ] {
            assert!(settings(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_version_is_that_of_the_build() {
        assert_eq!(version(METRICS).as_deref(), Ok("v1.37.2"));
        let build = |labels: &str| format!("kubernetes_build_info{{{labels}}} 1\n");
        for (labels, expected) in [
            (r#"git_version="v1.34.4-r0+k3s1""#, Some("v1.34.4-r0+k3s1")),
            (
                r#"compiler="a\"b,git_version=\"v1.1.1\"", git_version="v1.36.3""#,
                Some("v1.36.3"),
            ),
            (r#"other_git_version="v1.1.1""#, None),
            (r#"git_version="""#, None),
            (r#"git_version="v1.37.2"#, None),
            (r#"git_version="v1 \n""#, None),
            ("", None),
        ] {
            assert_eq!(
                version(&build(labels)).ok().as_deref(),
                expected,
                "{labels}"
            );
        }
        let long = build(&format!(r#"git_version="{}""#, "1".repeat(65)));
        assert!(version(&long).is_err());
        let two = build(r#"git_version="v1.37.2""#) + &build(r#"git_version="v1.36.3""#);
        assert_eq!(version(&two), Err("several versions".into()));
        assert!(version("").is_err());
        assert_eq!(label(r#"a="1",b="2""#, "b"), Some("2"));
    }

    /// A server on loopback, of which each path has a whole response, or none.
    async fn serve(responses: &[(&str, Vec<u8>)]) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let responses: BTreeMap<String, Vec<u8>> = responses
            .iter()
            .map(|(path, response)| ((*path).to_owned(), response.clone()))
            .collect();
        tokio::spawn(async move {
            let mut silent = Vec::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut head = [0; 1024];
                let length = stream.read(&mut head).await.unwrap();
                let head = String::from_utf8_lossy(&head[..length]).into_owned();
                let path = head.split(' ').nth(1).unwrap_or_default();
                match responses.get(path) {
                    Some(response) => {
                        // A client that has read enough breaks off.
                        let _ = stream.write_all(response).await;
                    }
                    None => silent.push(stream),
                }
            }
        });
        address
    }

    fn ok(body: &[u8]) -> Vec<u8> {
        [b"HTTP/1.1 200 OK\r\n\r\n", body].concat()
    }

    #[tokio::test]
    async fn kube_proxy_is_asked_for_its_mode_version_and_settings() {
        let address = serve(&[
            ("/proxyMode", ok(b"nftables")),
            ("/metrics", ok(METRICS.as_bytes())),
            ("/configz", ok(AS_IN_THE_FILE.as_bytes())),
        ])
        .await;
        let expected = KubeProxy {
            mode: HostFact::Seen(ProxyMode::Nftables),
            version: HostFact::Seen("v1.37.2".into()),
            settings: HostFact::Seen(of_nftables()),
        };
        assert_eq!(look_at(&[address]).await, expected);
        let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let closed = nobody.local_addr().unwrap();
        drop(nobody);
        assert_eq!(
            look_at(&[closed, address]).await,
            expected,
            "the second address, where nobody listens on the first"
        );
        let none = look_at(&[closed]).await;
        assert!(
            matches!(&none.version, HostFact::Unknown(why) if why.contains("refused")),
            "{none:?}"
        );
    }

    #[tokio::test]
    async fn what_else_may_listen_there_is_not_believed_and_takes_no_more_than_its_time() {
        let unknown = |seen: &KubeProxy, name: &str| {
            assert!(
                matches!(seen.mode, HostFact::Unknown(_)),
                "{name}: {seen:?}"
            );
            for why in [
                format!("{:?}", seen.version),
                format!("{:?}", seen.settings),
            ] {
                assert!(why.starts_with("Unknown("), "{name}: {why}");
                assert!(why.len() < 200, "{name}: {why}");
            }
        };
        let endless = |limit: usize| ok(&vec![b'x'; limit + 1]);
        let everywhere = |response: Vec<u8>| {
            ["/proxyMode", "/metrics", "/configz"].map(|path| (path, response.clone()))
        };
        for (name, responses) in [
            ("not UTF-8", everywhere(ok(b"\xff\xfe{}"))),
            ("nothing", everywhere(ok(b""))),
            ("not HTTP", everywhere(b"SSH-2.0-x\r\n".to_vec())),
            (
                "not found",
                everywhere(b"HTTP/1.1 404 Not Found\r\n\r\n".to_vec()),
            ),
            (
                "elsewhere",
                everywhere(b"HTTP/1.1 302 Found\r\nlocation: /\r\n\r\n".to_vec()),
            ),
            (
                "too large",
                [
                    ("/proxyMode", endless(SETTINGS_BYTES)),
                    (
                        "/metrics",
                        [ok(METRICS.as_bytes()), vec![b'\n'; METRICS_BYTES]].concat(),
                    ),
                    (
                        "/configz",
                        [ok(AS_IN_THE_FILE.as_bytes()), vec![b' '; SETTINGS_BYTES]].concat(),
                    ),
                ],
            ),
        ] {
            let address = serve(&responses).await;
            unknown(&look_at(&[address]).await, name);
        }
        let silent = serve(&[]).await;
        let began = Instant::now();
        unknown(&look_at(&[silent]).await, "silent");
        assert!(began.elapsed() < TIMEOUT * 2, "all at once");
    }
}
