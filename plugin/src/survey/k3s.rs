//! kube-proxy's settings in K3s, which runs it in its own process. There is no ConfigMap and no pod, but nodes have an
//! annotation with the arguments of K3s.

use super::kube_proxy::{Flags, ProxyConfig};
use svc_reach_common::facts::Node;

/// The arguments of K3s as a JSON array, with those of its configuration file (k3s-io/k3s
/// `pkg/nodeconfig/nodeconfig.go`).
const ARGUMENTS: &str = "k3s.io/node-args";

/// The default of `--cluster-cidr` (<https://docs.k3s.io/cli/server>).
const CLUSTER_CIDR: &str = "10.42.0.0/16";

/// The settings that all nodes share; `None`: no node is a server of K3s, K3s runs no kube-proxy, or nodes differ.
///
/// K3s starts kube-proxy in iptables mode with the cluster's range, and then applies `--kube-proxy-arg` (k3s-io/k3s
/// `pkg/daemons/agent/agent_linux.go` `kubeProxyArgs`).
pub fn kube_proxy(nodes: &[Node]) -> Option<ProxyConfig> {
    let arguments: Vec<(&str, Vec<String>)> = nodes
        .iter()
        .filter_map(|node| Some((node.name.as_str(), arguments(node)?)))
        .collect();
    let (server, of_server) = arguments
        .iter()
        .find(|(_, words)| words.first().is_some_and(|word| word == "server"))?;
    if of_server.iter().any(|word| word == "--disable-kube-proxy") {
        return None;
    }
    let cluster_cidr = values(of_server, "--cluster-cidr");
    let cluster_cidr = if cluster_cidr.is_empty() {
        CLUSTER_CIDR.to_owned()
    } else {
        cluster_cidr.join(",")
    };
    let flags = |words: &[String]| {
        let mut flags = Flags::default();
        flags.set("proxy-mode", "iptables");
        flags.set("cluster-cidr", &cluster_cidr);
        for flag in values(words, "--kube-proxy-arg") {
            if let Some((name, value)) = flag.split_once('=') {
                flags.set(name.trim_start_matches("--"), value);
            }
        }
        flags
    };
    let shared = flags(of_server);
    if arguments.iter().any(|(_, words)| flags(words) != shared) {
        return None;
    }
    let source = format!("annotation {ARGUMENTS} of node {server}");
    ProxyConfig::of_flags(source, &shared)
}

fn arguments(node: &Node) -> Option<Vec<String>> {
    serde_json::from_str(node.annotations.get(ARGUMENTS)?).ok()
}

/// The values of a flag, which may be repeated. Each is in its own word.
fn values<'w>(words: &'w [String], flag: &str) -> Vec<&'w str> {
    words
        .windows(2)
        .filter_map(|pair| match pair {
            [name, value] if name == flag => Some(value.as_str()),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::kube_proxy;
    use crate::testing::node;
    use svc_reach_common::{facts::Node, model::Detector, proxy_mode::ProxyMode};

    fn nodes(arguments: &[&str]) -> Vec<Node> {
        let node = |(index, text): (usize, &&str)| {
            let mut node = node(&format!("n{index}"), index);
            node.annotations
                .insert("k3s.io/node-args".into(), (*text).to_owned());
            node
        };
        arguments.iter().enumerate().map(node).collect()
    }

    #[test]
    fn arguments_of_k3s_give_settings_of_kube_proxy() {
        let server = r#"["server","--disable","traefik"]"#;
        let agent = r#"["agent"]"#;
        let ipvs =
            r#"["server","--kube-proxy-arg","proxy-mode=ipvs","--cluster-cidr","10.50.0.0/16"]"#;
        let ipvs_agent = r#"["agent","--kube-proxy-arg","proxy-mode=ipvs"]"#;
        let of = |arguments: &[&str]| {
            let config = kube_proxy(&nodes(arguments))?;
            let Detector::ClusterCidr(ranges) = config.detector else {
                panic!("{:?}", config.detector);
            };
            Some((config.mode?, ranges[0].to_string()))
        };
        let range = |text: &str| text.to_owned();
        assert_eq!(
            of(&[server, agent]),
            Some((ProxyMode::Iptables, range("10.42.0.0/16")))
        );
        assert_eq!(
            of(&[ipvs, ipvs_agent]),
            Some((ProxyMode::Ipvs, range("10.50.0.0/16")))
        );
        assert_eq!(of(&[ipvs, agent]), None, "nodes differ");
        assert_eq!(of(&[agent]), None, "the server's arguments are unknown");
        assert_eq!(of(&[r#"["server","--disable-kube-proxy"]"#]), None);
        assert_eq!(of(&["server"]), None, "not JSON");
        assert_eq!(of(&[]), None);
    }
}
