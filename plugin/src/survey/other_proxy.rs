//! What forwards Service traffic instead of kube-proxy, by its workloads, its configuration and its interfaces. A
//! configuration of kube-proxy may be left over from before. Pure.

use serde_json::Value;
use std::collections::BTreeMap;
use svc_reach_common::{proxy_mode::ProxyMode, wire::line::Interface};

/// Name of Cilium's ConfigMap, which is in the namespace of its DaemonSet (cilium/cilium
/// `install/kubernetes/cilium/templates/cilium-configmap.yaml`).
pub const CILIUM_CONFIG: &str = "cilium-config";

/// The key that says whether Cilium replaces kube-proxy.
const REPLACEMENT: &str = "kube-proxy-replacement";

/// Something that forwards Service traffic instead of kube-proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherProxy {
    /// Its name.
    pub name: &'static str,
    /// Its mode; `None`: no mode has a name.
    pub mode: Option<ProxyMode>,
    /// What shows it.
    pub source: String,
}

/// A DaemonSet that may forward Service traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Workload {
    /// Cilium, whose configuration says whether it does.
    Cilium,
    /// GKE Dataplane V2, which is Cilium and replaces kube-proxy
    /// (<https://cloud.google.com/kubernetes-engine/docs/concepts/dataplane-v2>).
    Anetd,
    /// Cilium on Huawei Cloud CCE, which replaces kube-proxy (opentelekomcloud-docs/cloud-container-engine at b553f21,
    /// `pod_network_settings/dataplane_v2_network_acceleration.rst`).
    Yangtse,
    /// OVN-Kubernetes, which has no kube-proxy (ovn-kubernetes/ovn-kubernetes `docs/design/service-traffic-policy.md`).
    OvnKubernetes,
    /// kube-router, if its service proxy is on (cloudnativelabs/kube-router `docs/user-guide.md`).
    KubeRouter,
    /// Calico, if its eBPF dataplane is on (<https://docs.tigera.io/calico/latest/operations/ebpf/enabling-ebpf>).
    Calico,
    /// Antrea, if `proxyAll` is on (antrea-io/antrea `docs/antrea-proxy.md`).
    Antrea,
}

impl Workload {
    /// The workload of a DaemonSet's name.
    pub fn of(name: &str) -> Option<Self> {
        Some(match name {
            "cilium" => Self::Cilium,
            "anetd" => Self::Anetd,
            "yangtse-cilium" => Self::Yangtse,
            "ovnkube-node" => Self::OvnKubernetes,
            "kube-router" => Self::KubeRouter,
            "calico-node" => Self::Calico,
            "antrea-agent" => Self::Antrea,
            _ => return None,
        })
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Cilium | Self::Yangtse => "Cilium",
            Self::Anetd => "GKE Dataplane V2",
            Self::OvnKubernetes => "OVN-Kubernetes",
            Self::KubeRouter => "kube-router",
            Self::Calico => "Calico",
            Self::Antrea => "Antrea",
        }
    }

    const fn mode(self) -> Option<ProxyMode> {
        match self {
            Self::Cilium | Self::Anetd | Self::Yangtse | Self::Calico => Some(ProxyMode::Ebpf),
            Self::OvnKubernetes | Self::KubeRouter | Self::Antrea => None,
        }
    }

    /// As a proxy that this shows.
    pub fn shown_by(self, source: String) -> OtherProxy {
        OtherProxy {
            name: self.name(),
            mode: self.mode(),
            source,
        }
    }

    /// Whether pods with this template replace kube-proxy; `None`: the template does not say.
    ///
    /// `template` has `spec.containers`, such as a pod, or the template of a DaemonSet.
    pub fn replaces(self, template: &Value) -> Option<bool> {
        match self {
            Self::Anetd | Self::Yangtse | Self::OvnKubernetes => Some(true),
            // A ConfigMap says it.
            Self::Cilium | Self::Antrea => None,
            // On by default.
            Self::KubeRouter => Some(
                !strings(template, "args")
                    .chain(strings(template, "command"))
                    .any(|word| word == "--run-service-proxy=false"),
            ),
            Self::Calico => Some(
                environment(template)
                    .any(|(name, value)| name == "FELIX_BPFENABLED" && value == "true"),
            ),
        }
    }
}

fn containers(template: &Value) -> impl Iterator<Item = &Value> {
    let containers = template.pointer("/spec/containers");
    containers.and_then(Value::as_array).into_iter().flatten()
}

fn strings<'v>(template: &'v Value, key: &'static str) -> impl Iterator<Item = &'v str> {
    containers(template)
        .filter_map(move |container| container.get(key)?.as_array())
        .flatten()
        .filter_map(Value::as_str)
}

fn environment(template: &Value) -> impl Iterator<Item = (&str, &str)> {
    containers(template)
        .filter_map(|container| container.get("env")?.as_array())
        .flatten()
        .filter_map(|entry| Some((entry.get("name")?.as_str()?, entry.get("value")?.as_str()?)))
}

/// Whether Cilium's configuration says that it replaces kube-proxy; `None`: it replaces a part, or does not say
/// (cilium/cilium `Documentation/network/kubernetes/kubeproxy-free.rst`).
pub fn cilium_replaces(data: &BTreeMap<String, String>) -> Option<bool> {
    match data.get(REPLACEMENT).map(String::as_str) {
        Some("true" | "strict") => Some(true),
        // Without the key, it is off.
        Some("false" | "disabled") | None => Some(false),
        Some(_) => None,
    }
}

/// Whether Antrea's configuration has `proxyAll: true`.
pub fn antrea_replaces(data: &BTreeMap<String, String>) -> bool {
    data.get("antrea-agent.conf").is_some_and(|text| {
        text.lines().any(|line| {
            line.trim()
                .strip_prefix("proxyAll:")
                .is_some_and(|value| value.trim() == "true")
        })
    })
}

/// Interfaces that belong to a proxy, or to a network that has one: where they are and no kube-proxy answers, this is
/// what forwards. Each is named in its project's source: cilium/cilium `pkg/defaults`, projectcalico/calico
/// `felix/dataplane/linux/dataplanedefs`, antrea-io/antrea `pkg/agent/config`, ovn-kubernetes/ovn-kubernetes
/// `go-controller/pkg/types`, cloudnativelabs/kube-router `pkg/controllers/proxy`.
const INTERFACES: [(&str, Workload); 6] = [
    ("cilium_host", Workload::Cilium),
    ("bpfin.cali", Workload::Calico),
    ("bpfout.cali", Workload::Calico),
    ("antrea-gw0", Workload::Antrea),
    ("ovn-k8s-mp0", Workload::OvnKubernetes),
    ("kube-dummy-if", Workload::KubeRouter),
];

/// The proxy whose interface a node has, and the interface. It counts only if no kube-proxy answers there.
pub fn by_interfaces(interfaces: &[Interface]) -> Option<(Workload, &'static str)> {
    INTERFACES.into_iter().find_map(|(name, workload)| {
        let mut all = interfaces.iter();
        all.any(|own| own.name == name).then_some((workload, name))
    })
}

#[cfg(test)]
mod tests {
    use super::{Workload, antrea_replaces, by_interfaces, cilium_replaces};
    use serde_json::json;
    use std::collections::BTreeMap;
    use svc_reach_common::wire::line::Interface;

    #[test]
    fn workloads_say_whether_they_replace_kube_proxy() {
        let template = |args: &[&str], bpf: &str| {
            json!({"spec": {"containers": [
                {"name": "agent", "args": args, "env": [{"name": "FELIX_BPFENABLED", "value": bpf}]},
            ]}})
        };
        let rows = [
            ("anetd", &[][..], "", Some(true)),
            ("ovnkube-node", &[], "", Some(true)),
            ("kube-router", &["--run-router=true"], "", Some(true)),
            (
                "kube-router",
                &["--run-service-proxy=false"],
                "",
                Some(false),
            ),
            ("calico-node", &[], "true", Some(true)),
            ("calico-node", &[], "false", Some(false)),
            ("cilium", &[], "", None),
        ];
        for (name, args, bpf, expected) in rows {
            let workload = Workload::of(name).unwrap();
            assert_eq!(
                workload.replaces(&template(args, bpf)),
                expected,
                "{name} {args:?} {bpf}"
            );
        }
        assert_eq!(Workload::of("kube-proxy"), None);
    }

    #[test]
    fn configurations_say_whether_they_replace_kube_proxy() {
        let data = |key: &str, value: &str| BTreeMap::from([(key.to_owned(), value.to_owned())]);
        for (value, expected) in [
            ("true", Some(true)),
            ("strict", Some(true)),
            ("false", Some(false)),
            ("disabled", Some(false)),
            ("partial", None),
            ("probe", None),
        ] {
            let data = data("kube-proxy-replacement", value);
            assert_eq!(cilium_replaces(&data), expected, "{value}");
        }
        assert_eq!(
            cilium_replaces(&BTreeMap::new()),
            Some(false),
            "off by default"
        );
        let text = "antreaProxy:\n  # proxyAll: true\n  proxyAll: true\n";
        assert!(antrea_replaces(&data("antrea-agent.conf", text)));
        assert!(!antrea_replaces(&data(
            "antrea-agent.conf",
            "  # proxyAll: true\n"
        )));
    }

    #[test]
    fn interfaces_show_what_a_node_runs() {
        let named = |name: &str| Interface {
            name: name.to_owned(),
            addresses: Vec::new(),
        };
        let of = |name: &str| by_interfaces(&[named("eth0"), named(name)]).map(|(found, _)| found);
        assert_eq!(of("cilium_host"), Some(Workload::Cilium));
        assert_eq!(of("kube-dummy-if"), Some(Workload::KubeRouter));
        assert_eq!(of("bpfin.cali"), Some(Workload::Calico));
        assert_eq!(of("cali1234"), None);
    }
}
