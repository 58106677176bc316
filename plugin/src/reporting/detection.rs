//! What kind of cluster and load balancer this is, as far as documents depend on it, and how that is known. Pure.

use crate::{
    config::ClusterOverrides,
    probes::probed_position::ProbedPosition,
    survey::{kube_proxy::ProxyConfig, provider_hints::ProviderHints},
};
use svc_reach_common::{
    facts::{Facts, IpMode, Service, ServiceType},
    matrix::{Circumstances, Class, Column, ServiceKind},
    network_model::NetworkModel,
    provider::{Provider, elb},
    proxy_mode::ProxyMode,
    report::{Environment, Evidence},
    wire::line::{HostFact, HostView},
};

/// Turns pass-through off on Tencent Kubernetes Engine; its source is at [`pass_through`].
const PREVENT_LOOPBACK: &str = "service.cloud.tencent.com/prevent-loopback";

/// Sources of evidence that the user is, `--column` included.
const PROXY_MODE: &str = "--proxy-mode";
const NETWORK_MODEL: &str = "--network-model";
const TOLD: [&str; 2] = [PROXY_MODE, NETWORK_MODEL];

/// What kind of cluster and load balancer this is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detection {
    /// The cluster, with evidence.
    pub environment: Environment,
    /// What documented expectations depend on.
    pub circumstances: Circumstances,
}

/// Evidence as it comes together.
#[derive(Default)]
struct Notes(Vec<Evidence>);

impl Notes {
    fn add(&mut self, fact: &str, value: impl ToString, source: impl Into<String>) {
        self.0.push(Evidence {
            fact: fact.to_owned(),
            value: value.to_string(),
            source: source.into(),
        });
    }
}

/// Weighs everything that was read and seen.
pub fn detect(
    facts: &Facts,
    stands: &[ProbedPosition],
    proxy: Option<&ProxyConfig>,
    hints: &ProviderHints,
    overrides: ClusterOverrides,
) -> Detection {
    let mut notes = Notes::default();
    let provider = Provider::of(facts).map(|(provider, evidence)| {
        notes.0.push(evidence);
        provider
    });
    if let Some(version) = &facts.server_version {
        notes.add("kubernetesVersion", version, "the API server's /version");
    }
    let views: Vec<(&str, &HostView)> = stands
        .iter()
        .filter_map(|stand| {
            let view = stand.heard.as_ref().ok()?.host.as_ref()?;
            Some((stand.node.as_deref().unwrap_or_default(), view))
        })
        .collect();
    let modes = proxy_modes(&views, proxy, hints, overrides, &mut notes);
    let models = network_models(&views, provider, hints, overrides, &mut notes);
    let columns: Vec<Column> = models
        .iter()
        .flat_map(|&network_model| {
            modes.iter().map(move |&proxy_mode| Column {
                network_model,
                proxy_mode,
            })
        })
        .collect();
    let column = only(&columns).map(|column| column.to_string());
    let pass_through = pass_through(facts, provider, &modes, &mut notes);
    let circumstances = circumstances(facts, columns, pass_through, &mut notes);
    Detection {
        environment: Environment {
            provider: provider.map(|provider| provider.to_string()),
            kubernetes_version: facts.server_version.clone(),
            network_model: only(&models),
            proxy_mode: only(&modes),
            column,
            evidence: notes.0,
        },
        circumstances,
    }
}

/// What was told of the cluster, and what was seen of it that says otherwise.
pub fn contradictions(evidence: &[Evidence]) -> Vec<(&Evidence, Vec<&Evidence>)> {
    let told = evidence
        .iter()
        .filter(|told| TOLD.contains(&told.source.as_str()));
    told.map(|told| {
        let against = |seen: &&Evidence| {
            // What is not known, or not certain, is no such word.
            let certain = seen.value.parse::<ProxyMode>().is_ok()
                || seen.value.parse::<NetworkModel>().is_ok();
            seen.fact == told.fact && seen.value != told.value && certain
        };
        (told, evidence.iter().filter(against).collect())
    })
    .filter(|(_, against): &(_, Vec<_>)| !against.is_empty())
    .collect()
}

/// Which columns remain, for documents that have some.
pub fn remaining(circumstances: &Circumstances) -> Evidence {
    let columns = &circumstances.columns;
    let columns: Vec<String> = columns.iter().map(Column::to_string).collect();
    Evidence {
        fact: "column".to_owned(),
        value: format!("one of {}", columns.join(", ")),
        source: "what remains; --network-model, --proxy-mode and --column tell it".to_owned(),
    }
}

fn only<T: Copy>(values: &[T]) -> Option<T> {
    match values {
        [value] => Some(*value),
        [] | [_, _, ..] => None,
    }
}

/// What the user told, else what kube-proxy answered on the probed nodes, else its ConfigMap; else a Cilium that nothing
/// of kube-proxy is seen beside; else both of the modes that the documents' tables have.
fn proxy_modes(
    views: &[(&str, &HostView)],
    proxy: Option<&ProxyConfig>,
    hints: &ProviderHints,
    overrides: ClusterOverrides,
    notes: &mut Notes,
) -> Vec<ProxyMode> {
    let mut seen = Vec::new();
    for (node, view) in views {
        let source = format!("127.0.0.1:10249/proxyMode on node {node}");
        match &view.proxy_mode {
            HostFact::Seen(mode) => {
                notes.add("proxyMode", mode, source);
                if !seen.contains(mode) {
                    seen.push(*mode);
                }
            }
            HostFact::Unknown(why) => notes.add("proxyMode", "unknown", format!("{source}: {why}")),
        }
    }
    if let Some(mode) = overrides.proxy_mode {
        notes.add("proxyMode", mode, PROXY_MODE);
        return vec![mode];
    }
    if !seen.is_empty() {
        return seen;
    }
    if let Some(config) = proxy {
        notes.add("proxyMode", config.mode, config.source.clone());
        return vec![config.mode];
    }
    match &hints.cilium {
        Some(HostFact::Seen(Some(name))) => {
            let source = format!("DaemonSet kube-system/{name}, and no kube-proxy was seen");
            notes.add("proxyMode", ProxyMode::Ebpf, source);
            vec![ProxyMode::Ebpf]
        }
        Some(HostFact::Seen(None) | HostFact::Unknown(_)) | None => {
            vec![ProxyMode::Iptables, ProxyMode::Ipvs]
        }
    }
}

/// The device of Open vSwitch's kernel datapath (openvswitch/ovs `Documentation/intro/install/general.rst`). Huawei
/// Cloud CCE's tunnel networks use Open vSwitch, its VPC networks do not (User Guide, Container Network Models).
const OPEN_VSWITCH: &str = "ovs-system";

/// What the user told; else Cloud Native Network 2.0 where its NetworkAttachmentDefinition is, and tunnel where a node
/// has a device of Open vSwitch. That there is none is no proof of a VPC network, so that both remain.
fn network_models(
    views: &[(&str, &HostView)],
    provider: Option<Provider>,
    hints: &ProviderHints,
    overrides: ClusterOverrides,
    notes: &mut Notes,
) -> Vec<NetworkModel> {
    let found = found_models(views, provider, hints, notes);
    match overrides.network_model {
        Some(model) => {
            notes.add("networkModel", model, NETWORK_MODEL);
            vec![model]
        }
        None => found,
    }
}

fn found_models(
    views: &[(&str, &HostView)],
    provider: Option<Provider>,
    hints: &ProviderHints,
    notes: &mut Notes,
) -> Vec<NetworkModel> {
    let definition = "NetworkAttachmentDefinition kube-system/default-network";
    let mut models = NetworkModel::ALL.to_vec();
    match &hints.default_network {
        Some(HostFact::Seen(true)) => {
            notes.add("networkModel", NetworkModel::Eni, definition);
            return vec![NetworkModel::Eni];
        }
        Some(HostFact::Seen(false)) => models.retain(|model| *model != NetworkModel::Eni),
        Some(HostFact::Unknown(why)) => {
            notes.add("networkModel", "unknown", format!("{definition}: {why}"));
        }
        None => {}
    }
    if provider != Some(Provider::HuaweiCce) {
        return models;
    }
    for (node, view) in views {
        let HostFact::Seen(interfaces) = &view.interfaces else {
            continue;
        };
        if interfaces
            .iter()
            .any(|interface| interface.name == OPEN_VSWITCH)
        {
            let source = format!("{OPEN_VSWITCH} on node {node}; likely");
            notes.add("networkModel", NetworkModel::Tunnel, source);
            return vec![NetworkModel::Tunnel];
        }
        let source =
            format!("no {OPEN_VSWITCH} on node {node}; not certain, so that it decides nothing");
        notes.add("networkModel", "rather vpc", source);
    }
    models
}

/// What documented expectations depend on.
fn circumstances(
    facts: &Facts,
    columns: Vec<Column>,
    pass_through: Vec<bool>,
    notes: &mut Notes,
) -> Circumstances {
    let service = &facts.service;
    let balanced = service.kind == ServiceType::LoadBalancer;
    if let Some(word) = service.annotations.get(elb::CLASS).filter(|_| balanced) {
        notes.add(
            "loadBalancerClass",
            word,
            format!("annotation {}", elb::CLASS),
        );
    }
    let (classes, gateway) = match elb::class(service).filter(|_| balanced) {
        Some(elb::ElbClass::Shared) => (vec![Class::Shared], false),
        Some(elb::ElbClass::Dedicated) => (vec![Class::Dedicated], false),
        Some(elb::ElbClass::DnatGateway) => (Vec::new(), true),
        None => (Class::ALL.to_vec(), false),
    };
    let front = if gateway {
        ServiceKind::Dnat
    } else if is_nginx_ingress(service) {
        notes.add(
            "ingressController",
            &service.name,
            "the name that the add-on gives its Service",
        );
        ServiceKind::NginxIngress
    } else {
        ServiceKind::LoadBalancer
    };
    Circumstances {
        front,
        classes,
        pass_through,
        columns,
        external_traffic_policy: service.external_traffic_policy,
        internal_traffic_policy: service.internal_traffic_policy,
        host_network: host_network(facts),
        served: facts.endpoints.iter().any(|endpoint| endpoint.ready),
    }
}

/// The name that CCE's add-on gives to its controller, and to the Service in front of it (Huawei Cloud CCE, User Guide,
/// Service overview, failure table).
fn is_nginx_ingress(service: &Service) -> bool {
    service.name.starts_with("cceaddon-nginx-ingress")
}

/// Whether requests from inside go to the load balancer itself: by CCE's annotations ([`elb::pass_through`]); by TKE's,
/// which turns it off where IPVS mode has it on
/// (tencentyun/intlcloud-documents at 7a4d535, `yehe_doc/容器/容器服务/故障处理/CLB 回环问题_intl_en.md`); by upstream's
/// `ipMode: Proxy`, with which kube-proxy leaves the address alone.
fn pass_through(
    facts: &Facts,
    provider: Option<Provider>,
    modes: &[ProxyMode],
    notes: &mut Notes,
) -> Vec<bool> {
    let service = &facts.service;
    if let Some(values) = elb::pass_through(service) {
        let (value, source) = match service.annotations.get(elb::PASS_THROUGH) {
            Some(word) => (word.as_str(), format!("annotation {}", elb::PASS_THROUGH)),
            None if values.len() > 1 => (
                "unknown",
                format!(
                    "no annotation {}; newer versions of CCE pass through under policy Local",
                    elb::PASS_THROUGH
                ),
            ),
            None => ("false", format!("no annotation {}", elb::PASS_THROUGH)),
        };
        notes.add("passThrough", value, source);
        return values.to_vec();
    }
    if provider == Some(Provider::TencentTke) && modes.contains(&ProxyMode::Ipvs) {
        let word = service.annotations.get(PREVENT_LOOPBACK);
        if word.is_some_and(|word| word == "true") {
            notes.add(
                "passThrough",
                false,
                format!("annotation {PREVENT_LOOPBACK}"),
            );
            return vec![false];
        }
        notes.add(
            "passThrough",
            true,
            format!("no annotation {PREVENT_LOOPBACK}; TKE's default in IPVS mode"),
        );
        return modes.iter().map(|mode| *mode == ProxyMode::Ipvs).collect();
    }
    let proxied = service
        .load_balancer
        .iter()
        .any(|ingress| ingress.ip_mode == Some(IpMode::Proxy));
    if proxied {
        notes.add("passThrough", true, "status.loadBalancer.ingress[].ipMode");
    }
    vec![proxied]
}

/// Whether backends are on the host network, which shows by their having a node's address; `None`: some are.
fn host_network(facts: &Facts) -> Option<bool> {
    let mut on_host = facts
        .endpoints
        .iter()
        .filter(|endpoint| endpoint.ready)
        .map(|endpoint| {
            facts
                .nodes
                .iter()
                .any(|node| node.internal_ips.contains(&endpoint.address))
        });
    let first = on_host.next()?;
    on_host.all(|other| other == first).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::{ClusterOverrides, Detection, detect, remaining};
    use crate::{
        probes::output::{End, ProbeOutput},
        probes::probed_position::ProbedPosition,
        survey::{kube_proxy::ProxyConfig, provider_hints::ProviderHints},
        testing::{endpoint, facts, node},
    };
    use std::collections::BTreeMap;
    use svc_reach_common::facts::TrafficPolicy;
    use svc_reach_common::{
        facts::{Facts, Ingress, IpMode, ServiceType},
        matrix::{Class, ServiceKind},
        network_model::NetworkModel,
        position::Position,
        proxy_mode::ProxyMode,
        wire::line::{HostFact, HostView, Interface},
    };

    /// A probe on the host network of `node`, which saw this mode and these interfaces.
    fn stand(node: &str, mode: Result<ProxyMode, &str>, interfaces: &[&str]) -> ProbedPosition {
        let interface = |name: &&str| Interface {
            name: (*name).to_owned(),
            addresses: Vec::new(),
        };
        ProbedPosition {
            position: Position::NodeSame,
            node: Some(node.to_owned()),
            targets: Vec::new(),
            heard: Ok(ProbeOutput {
                results: BTreeMap::new(),
                host: Some(HostView {
                    proxy_mode: match mode {
                        Ok(mode) => HostFact::Seen(mode),
                        Err(why) => HostFact::Unknown(why.to_owned()),
                    },
                    kube_ipvs0: HostFact::Seen(false),
                    interfaces: HostFact::Seen(interfaces.iter().map(interface).collect()),
                    routes: HostFact::Seen(Vec::new()),
                }),
                end: End::Complete,
            }),
        }
    }

    fn cce() -> Facts {
        let mut facts = facts();
        let mut node = node("a", 0);
        node.labels
            .insert("cce.cloud.com/cce-nodepool".into(), "pool".into());
        facts.nodes = vec![node].into();
        facts
    }

    fn config(mode: &str) -> ProxyConfig {
        let text = format!("kind: KubeProxyConfiguration\nmode: {mode}\n");
        ProxyConfig::of_text("kube-system/kube-proxy", "config.conf", &text)
            .unwrap()
            .unwrap()
    }

    fn columns(detection: &Detection) -> Vec<String> {
        let columns = &detection.circumstances.columns;
        columns.iter().map(ToString::to_string).collect()
    }

    fn sources<'d>(detection: &'d Detection, fact: &str) -> Vec<&'d str> {
        let evidence = &detection.environment.evidence;
        evidence
            .iter()
            .filter(|evidence| evidence.fact == fact)
            .map(|evidence| evidence.source.as_str())
            .collect()
    }

    #[test]
    fn what_the_user_tells_comes_first_then_the_node_then_the_configuration() {
        let ipvs = [stand("a", Ok(ProxyMode::Ipvs), &["eth0"])];
        let mute = [stand("a", Err("connection refused"), &["eth0"])];
        let told = ClusterOverrides {
            proxy_mode: Some(ProxyMode::Nftables),
            ..ClusterOverrides::default()
        };
        let none = ClusterOverrides::default();
        let iptables = config("iptables");
        let hints = ProviderHints::default();
        let rows = [
            (
                "told",
                detect(&cce(), &ipvs, Some(&iptables), &hints, told),
                Some(ProxyMode::Nftables),
            ),
            (
                "seen",
                detect(&cce(), &ipvs, Some(&iptables), &hints, none),
                Some(ProxyMode::Ipvs),
            ),
            (
                "configured",
                detect(&cce(), &mute, Some(&iptables), &hints, none),
                Some(ProxyMode::Iptables),
            ),
            ("unknown", detect(&cce(), &mute, None, &hints, none), None),
        ];
        for (name, detection, expected) in rows {
            assert_eq!(detection.environment.proxy_mode, expected, "{name}");
        }
        let unknown = detect(&cce(), &mute, None, &hints, none);
        assert!(
            sources(&unknown, "proxyMode")[0].ends_with("connection refused"),
            "could not look is told: {:?}",
            unknown.environment.evidence
        );
    }

    #[test]
    fn nodes_that_disagree_leave_both_modes() {
        let stands = [
            stand("a", Ok(ProxyMode::Ipvs), &[]),
            stand("b", Ok(ProxyMode::Iptables), &[]),
        ];
        let told = ClusterOverrides {
            network_model: Some(NetworkModel::Vpc),
            ..ClusterOverrides::default()
        };
        let detection = detect(&cce(), &stands, None, &ProviderHints::default(), told);
        assert_eq!(detection.environment.proxy_mode, None);
        assert_eq!(columns(&detection), ["vpc/ipvs", "vpc/iptables"]);
        assert_eq!(
            remaining(&detection.circumstances).value,
            "one of vpc/ipvs, vpc/iptables"
        );
    }

    #[test]
    fn cilium_without_kube_proxy_is_ebpf() {
        let hints = ProviderHints {
            cilium: Some(HostFact::Seen(Some("yangtse-cilium"))),
            ..ProviderHints::default()
        };
        let mode = |stands: &[ProbedPosition]| {
            let detection = detect(&cce(), stands, None, &hints, ClusterOverrides::default());
            detection.environment.proxy_mode
        };
        assert_eq!(mode(&[]), Some(ProxyMode::Ebpf));
        let beside = [stand("a", Ok(ProxyMode::Iptables), &[])];
        assert_eq!(
            mode(&beside),
            Some(ProxyMode::Iptables),
            "kube-proxy's own word"
        );
    }

    #[test]
    fn the_network_model_is_only_what_can_be_known() {
        let ovs = [stand("a", Ok(ProxyMode::Ipvs), &["eth0", "ovs-system"])];
        let plain = [stand("a", Ok(ProxyMode::Ipvs), &["eth0"])];
        let definition = |seen| ProviderHints {
            default_network: Some(seen),
            ..ProviderHints::default()
        };
        let told = ClusterOverrides {
            network_model: Some(NetworkModel::Vpc),
            ..ClusterOverrides::default()
        };
        let none = ClusterOverrides::default();
        let there = definition(HostFact::Seen(true));
        let absent = definition(HostFact::Seen(false));
        let forbidden = definition(HostFact::Unknown("forbidden".to_owned()));
        let all = ["tunnel/ipvs", "vpc/ipvs", "eni/ipvs"];
        type Row<'a> = (
            &'a str,
            &'a [ProbedPosition],
            &'a ProviderHints,
            ClusterOverrides,
            &'a [&'a str],
        );
        let rows: [Row<'_>; 5] = [
            ("told", &ovs, &there, told, &["vpc/ipvs"]),
            (
                "Cloud Native Network 2.0",
                &ovs,
                &there,
                none,
                &["eni/ipvs"],
            ),
            ("Open vSwitch", &ovs, &absent, none, &["tunnel/ipvs"]),
            ("no sign of either", &plain, &absent, none, &all[..2]),
            ("not allowed to look", &plain, &forbidden, none, &all),
        ];
        for (name, stands, hints, told, expected) in rows {
            let detection = detect(&cce(), stands, None, hints, told);
            assert_eq!(columns(&detection), expected, "{name}");
            let one = (expected.len() == 1).then(|| expected[0].to_owned());
            assert_eq!(detection.environment.column, one, "{name}");
        }
        let forbidden = detect(&cce(), &plain, None, &forbidden, none);
        assert!(
            sources(&forbidden, "networkModel")[0].ends_with("forbidden"),
            "could not look is told"
        );
    }

    /// Of annotations, policy and `ipMode`: class, what the address leads to, and pass-through.
    #[test]
    fn the_load_balancer_is_known_by_its_annotations() {
        let (class, passing) = ("kubernetes.io/elb.class", "kubernetes.io/elb.pass-through");
        let both = vec![Class::Shared, Class::Dedicated];
        let (local, cluster) = (TrafficPolicy::Local, TrafficPolicy::Cluster);
        let (on, off, open) = (&[true][..], &[false][..], &[false, true][..]);
        let rows = [
            (vec![(class, "union")], cluster, vec![Class::Shared], off),
            (vec![(class, "union")], local, vec![Class::Shared], open),
            (vec![(class, "shared")], local, vec![Class::Shared], open),
            (
                vec![(class, "performance")],
                local,
                vec![Class::Dedicated],
                open,
            ),
            (
                vec![(class, "dedicated")],
                cluster,
                vec![Class::Dedicated],
                off,
            ),
            (vec![], local, both.clone(), off),
            (vec![(class, "gold")], local, both.clone(), open),
            (vec![(passing, "true")], cluster, both.clone(), on),
            (vec![(passing, "false")], local, both.clone(), off),
            (vec![(passing, "onlyLocal")], local, both.clone(), on),
            (vec![(passing, "onlyLocal")], cluster, both.clone(), off),
            (vec![(passing, "perhaps")], cluster, both, open),
        ];
        for (annotations, policy, classes, pass_through) in rows {
            let mut facts = cce();
            facts.service.kind = ServiceType::LoadBalancer;
            facts.service.external_traffic_policy = policy;
            for (key, value) in &annotations {
                let annotations = &mut facts.service.annotations;
                annotations.insert((*key).to_owned(), (*value).to_owned());
            }
            let detected = detect(
                &facts,
                &[],
                None,
                &ProviderHints::default(),
                ClusterOverrides::default(),
            );
            let circumstances = detected.circumstances;
            assert_eq!(circumstances.classes, classes, "{annotations:?}");
            assert_eq!(
                circumstances.pass_through, pass_through,
                "{annotations:?} {policy}"
            );
        }
    }

    #[test]
    fn what_stands_in_front_is_a_gateway_an_ingress_controller_or_a_load_balancer() {
        let front = |facts: &Facts| {
            detect(
                facts,
                &[],
                None,
                &ProviderHints::default(),
                ClusterOverrides::default(),
            )
            .circumstances
            .front
        };
        let mut facts = cce();
        facts.service.kind = ServiceType::LoadBalancer;
        assert_eq!(front(&facts), ServiceKind::LoadBalancer);
        facts.service.name = "cceaddon-nginx-ingress-controller".into();
        assert_eq!(front(&facts), ServiceKind::NginxIngress);
        let annotations = &mut facts.service.annotations;
        annotations.insert("kubernetes.io/elb.class".into(), "dnat".into());
        assert_eq!(front(&facts), ServiceKind::Dnat);
    }

    #[test]
    fn tke_sends_requests_to_the_load_balancer_in_ipvs_mode_unless_told_not_to() {
        let mut facts = facts();
        facts.server_version = Some("v1.22.5-tke.9".to_owned());
        let passing = |facts: &Facts, mode| {
            let told = ClusterOverrides {
                proxy_mode: mode,
                ..ClusterOverrides::default()
            };
            detect(facts, &[], None, &ProviderHints::default(), told)
                .circumstances
                .pass_through
        };
        assert_eq!(passing(&facts, Some(ProxyMode::Ipvs)), [true]);
        assert_eq!(passing(&facts, Some(ProxyMode::Iptables)), [false]);
        assert_eq!(passing(&facts, None), [false, true], "not known which");
        let annotations = &mut facts.service.annotations;
        annotations.insert(super::PREVENT_LOOPBACK.into(), "true".into());
        assert_eq!(passing(&facts, Some(ProxyMode::Ipvs)), [false]);
    }

    #[test]
    fn upstream_s_ip_mode_is_pass_through() {
        let mut facts = facts();
        facts.service.load_balancer = vec![Ingress {
            ip: Some("192.168.0.200".parse().unwrap()),
            hostname: None,
            ip_mode: Some(IpMode::Proxy),
        }];
        let detected = detect(
            &facts,
            &[],
            None,
            &ProviderHints::default(),
            ClusterOverrides::default(),
        );
        assert_eq!(detected.circumstances.pass_through, [true]);
    }

    #[test]
    fn backends_are_on_the_host_network_where_they_have_a_node_s_address() {
        let host_network = |facts: &Facts| {
            detect(
                facts,
                &[],
                None,
                &ProviderHints::default(),
                ClusterOverrides::default(),
            )
            .circumstances
            .host_network
        };
        let mut facts = cce();
        assert_eq!(host_network(&facts), None, "no backend at all");
        facts.endpoints = vec![endpoint("a", 0)];
        assert_eq!(host_network(&facts), Some(false));
        let mut on_host = endpoint("a", 1);
        on_host.address = facts.nodes[0].internal_ips[0];
        facts.endpoints.push(on_host.clone());
        assert_eq!(host_network(&facts), None, "some of them");
        facts.endpoints = vec![on_host];
        assert_eq!(host_network(&facts), Some(true));
    }
}
