//! Finds the properties of the cluster and the load balancer that documents depend on, with evidence. Pure.

mod circumstances;
mod network_model;
mod node_proxies;
mod notes;
mod pass_through;
mod proxy_mode;

use crate::{
    config::ClusterOverrides,
    probes::probed_position::ProbedPosition,
    survey::{kube_proxy::ProxyConfig, provider_hints::ProviderHints},
};
use circumstances::circumstances;
use network_model::{NETWORK_MODEL, network_models};
use node_proxies::{NodeProxy, node_proxies};
use notes::Notes;
use pass_through::pass_through;
use proxy_mode::{Modes, PROXY_MODE, proxy_modes};

use std::collections::BTreeMap;
use svc_reach_common::{
    facts::Facts,
    matrix::{Circumstances, Column},
    network_model::NetworkModel,
    provider::{Provider, operator::Operator},
    proxy_mode::ProxyMode,
    report::{Environment, Evidence},
    wire::line::HostView,
};

const TOLD: [&str; 2] = [PROXY_MODE, NETWORK_MODEL];

/// The properties of the cluster and the load balancer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detection {
    /// The cluster, with evidence.
    pub environment: Environment,
    /// What documented expectations depend on.
    pub circumstances: Circumstances,
    /// What kube-proxy says of itself on probed nodes, by name of the node.
    pub proxies: BTreeMap<String, NodeProxy>,
    /// Whether the mode in kube-proxy's configuration counts for nodes that were not probed.
    pub mode_configured: bool,
    /// Proxy modes that nodes may have.
    pub modes: Vec<ProxyMode>,
}

/// Combines everything that was read and observed.
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
    let operator = (provider == Some(Provider::HuaweiCce))
        .then(|| Operator::of(facts))
        .flatten()
        .map(|(operator, source)| {
            notes.add("operator", operator.as_str(), &source);
            operator
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
    let Modes {
        possible: modes,
        configured: mode_configured,
    } = proxy_modes(&views, proxy, hints, overrides, &mut notes);
    let proxies = node_proxies(&views, overrides, &mut notes);
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
    let circumstances = circumstances(facts, provider, columns, pass_through, &mut notes);
    Detection {
        environment: Environment {
            provider: provider.map(|provider| provider.to_string()),
            operator,
            kubernetes_version: facts.server_version.clone(),
            network_model: only(&models),
            proxy_mode: only(&modes),
            column,
            evidence: notes.0,
        },
        circumstances,
        proxies,
        mode_configured,
        modes,
    }
}

/// What documented expectations of an Ingress depend on: the Service of its controller. `own`: those of the Service that
/// is checked, since the cluster is the same.
pub fn of_controller(
    controller: &Facts,
    provider: Option<Provider>,
    modes: &[ProxyMode],
    own: &Circumstances,
) -> Circumstances {
    // The evidence is about the Service that is checked.
    let mut notes = Notes::default();
    let pass_through = pass_through(controller, provider, modes, &mut notes);
    circumstances(
        controller,
        provider,
        own.columns.clone(),
        pass_through,
        &mut notes,
    )
}

/// Overrides from the user, each with the evidence that contradicts it.
pub fn contradictions(evidence: &[Evidence]) -> Vec<(&Evidence, Vec<&Evidence>)> {
    let told = evidence
        .iter()
        .filter(|told| TOLD.contains(&told.source.as_str()));
    told.map(|told| {
        let against = |seen: &&Evidence| {
            // "unknown" and "probably vpc" contradict nothing.
            let certain = seen.value.parse::<ProxyMode>().is_ok()
                || seen.value.parse::<NetworkModel>().is_ok();
            seen.fact == told.fact && seen.value != told.value && certain
        };
        (told, evidence.iter().filter(against).collect())
    })
    .filter(|(_, against): &(_, Vec<_>)| !against.is_empty())
    .collect()
}

/// The columns that remain possible, as evidence.
pub fn remaining(circumstances: &Circumstances) -> Evidence {
    let columns = &circumstances.columns;
    let columns: Vec<String> = columns.iter().map(Column::to_string).collect();
    Evidence {
        fact: "column".to_owned(),
        value: format!("one of {}", columns.join(", ")),
        source: "the remaining possibilities; --network-model, --proxy-mode or --column set it"
            .to_owned(),
    }
}

fn only<T: Copy>(values: &[T]) -> Option<T> {
    match values {
        [value] => Some(*value),
        [] | [_, _, ..] => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{ClusterOverrides, Detection, detect, remaining};
    use crate::{
        probes::output::{End, ProbeOutput},
        probes::probed_position::ProbedPosition,
        survey::{kube_proxy::ProxyConfig, other_proxy::Workload, provider_hints::ProviderHints},
        testing::{endpoint, facts, node},
    };
    use std::collections::BTreeMap;
    use svc_reach_common::facts::TrafficPolicy;
    use svc_reach_common::{
        facts::{Facts, Ingress, IpMode, ServiceType},
        matrix::{Class, ServiceKind},
        network_model::NetworkModel,
        position::Position,
        provider::{operator::Operator, pass_through::PREVENT_LOOPBACK},
        proxy_mode::ProxyMode,
        wire::line::{HostFact, HostView, Interface},
    };

    /// A probe on the host network of `node`, which observed this mode and these interfaces.
    fn stand(node: &str, mode: Result<ProxyMode, &str>, interfaces: &[&str]) -> ProbedPosition {
        let interface = |name: &&str| Interface {
            name: (*name).to_owned(),
            addresses: Vec::new(),
        };
        ProbedPosition {
            accepted: Vec::new(),
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
                    kube_proxy_version: None,
                    kube_proxy_settings: None,
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
    fn overrides_come_before_nodes_and_configuration() {
        let ipvs = [stand("a", Ok(ProxyMode::Ipvs), &["eth0"])];
        let mute = [stand("a", Err("no answer in time"), &["eth0"])];
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
            sources(&unknown, "proxyMode")[0].ends_with("no answer in time"),
            "the reason is reported: {:?}",
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

    fn detect_modes(
        stands: &[ProbedPosition],
        config: Option<&ProxyConfig>,
        other: Option<Workload>,
    ) -> (Option<ProxyMode>, bool, String) {
        let hints = ProviderHints {
            other_proxy: Some(HostFact::Seen(
                other.map(|workload| workload.shown_by("a DaemonSet".to_owned())),
            )),
            ..ProviderHints::default()
        };
        let detection = detect(&cce(), stands, config, &hints, ClusterOverrides::default());
        let last = sources(&detection, "proxyMode")
            .last()
            .map(|text| (*text).to_owned());
        (
            detection.environment.proxy_mode,
            detection.mode_configured,
            last.unwrap_or_default(),
        )
    }

    #[test]
    fn a_workload_that_replaces_kube_proxy_gives_the_mode() {
        let mode =
            |stands: &[ProbedPosition]| detect_modes(stands, None, Some(Workload::Yangtse)).0;
        assert_eq!(mode(&[]), Some(ProxyMode::Ebpf));
        let beside = [stand("a", Ok(ProxyMode::Iptables), &[])];
        assert_eq!(
            mode(&beside),
            Some(ProxyMode::Iptables),
            "kube-proxy answered"
        );
    }

    /// Calico's and Cilium's documented ways to replace kube-proxy leave its ConfigMap behind.
    #[test]
    fn a_configuration_that_is_left_over_does_not_count() {
        let config = config("iptables");
        let refused = "Connection refused (os error 111)";
        let gone = [stand("a", Err(refused), &["eth0", "cilium_host"])];
        let (mode, configured, source) = detect_modes(&gone, Some(&config), None);
        assert_eq!((mode, configured), (Some(ProxyMode::Ebpf), false));
        assert_eq!(
            source,
            "Cilium instead of kube-proxy (cilium_host on node a)"
        );
        // Proxies without a named mode are not modelled, and no column of a document is theirs.
        for interface in ["antrea-gw0", "ovn-k8s-mp0", "kube-dummy-if"] {
            let gone = [stand("a", Err(refused), &[interface])];
            let (mode, configured, source) = detect_modes(&gone, Some(&config), None);
            assert_eq!((mode, configured), (None, false), "{interface}");
            assert!(source.contains(interface), "{source}");
        }
        let unknown = [stand("a", Err(refused), &["eth0"])];
        let (mode, configured, source) = detect_modes(&unknown, Some(&config), None);
        assert_eq!((mode, configured), (None, false));
        assert!(source.contains("which does not count"), "{source}");
        // Only a refusal shows that nobody listens, and kube-proxy may be told to listen elsewhere.
        let mute = [stand("a", Err("no answer in time"), &["cilium_host"])];
        let (mode, ..) = detect_modes(&mute, Some(&config), None);
        assert_eq!(mode, Some(ProxyMode::Iptables));
        let mut elsewhere = config.clone();
        elsewhere.elsewhere = true;
        let (mode, ..) = detect_modes(&gone, Some(&elsewhere), None);
        assert_eq!(mode, Some(ProxyMode::Iptables));
        // One node of several is not every node.
        let two = [
            stand("a", Err(refused), &["cilium_host"]),
            stand("b", Ok(ProxyMode::Ipvs), &["eth0"]),
        ];
        let (mode, configured, _) = detect_modes(&two, Some(&config), None);
        assert_eq!(
            (mode, configured),
            (Some(ProxyMode::Ipvs), false),
            "config differs"
        );
    }

    /// Cilium may be a mere network, beside a kube-proxy that has no ConfigMap (RKE2, K3s, EKS).
    #[test]
    fn cilium_as_a_network_is_no_proxy() {
        let (mode, ..) = detect_modes(&[], None, None);
        assert_eq!(mode, None);
    }

    #[test]
    fn the_network_model_is_never_guessed() {
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
            "the reason is reported"
        );
    }

    /// Rows: annotations, policy, classes, pass-through.
    #[test]
    fn annotations_give_class_and_pass_through() {
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
            // Without the annotation, the documented default applies.
            (vec![], local, vec![Class::Shared], off),
            (vec![(passing, "true")], cluster, vec![Class::Shared], on),
            (vec![(passing, "false")], local, vec![Class::Shared], off),
            (vec![(passing, "onlyLocal")], local, vec![Class::Shared], on),
            (
                vec![(passing, "onlyLocal")],
                cluster,
                vec![Class::Shared],
                off,
            ),
            (
                vec![(passing, "perhaps")],
                cluster,
                vec![Class::Shared],
                open,
            ),
            (vec![(class, "gold")], local, both, open),
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

    /// MetalLB, Tailscale and others serve Services with their class on CCE, too.
    #[test]
    fn a_class_of_another_controller_is_no_class_of_cce() {
        let mut facts = cce();
        facts.service.kind = ServiceType::LoadBalancer;
        facts.service.load_balancer_class = Some("metallb.io/metallb".into());
        for annotated in [false, true] {
            if annotated {
                let annotations = &mut facts.service.annotations;
                annotations.insert("kubernetes.io/elb.class".into(), "union".into());
            }
            let hints = ProviderHints::default();
            let detection = detect(&facts, &[], None, &hints, ClusterOverrides::default());
            assert_eq!(detection.circumstances.classes, [], "{annotated}");
            assert_eq!(detection.circumstances.pass_through, [false]);
            assert_eq!(
                sources(&detection, "loadBalancerClass"),
                ["spec.loadBalancerClass"]
            );
        }
    }

    /// Only some nodes of a large cluster are read.
    #[test]
    fn backends_on_nodes_that_were_not_read_may_be_on_the_host_network() {
        let mut facts = cce();
        facts.endpoints = vec![endpoint("a", 0)];
        let on_host = |facts: &Facts| {
            let hints = ProviderHints::default();
            let detection = detect(facts, &[], None, &hints, ClusterOverrides::default());
            detection.circumstances.host_network
        };
        assert_eq!(on_host(&facts), Some(false));
        facts.endpoints[0].node = Some("elsewhere".into());
        assert_eq!(on_host(&facts), None);
    }

    #[test]
    fn the_default_class_is_that_of_cce_only() {
        let classes = |mut facts: Facts| {
            facts.service.kind = ServiceType::LoadBalancer;
            let hints = ProviderHints::default();
            let detected = detect(&facts, &[], None, &hints, ClusterOverrides::default());
            (
                sources(&detected, "loadBalancerClass").len(),
                detected.circumstances.classes,
            )
        };
        assert_eq!(classes(cce()), (1, vec![Class::Shared]));
        assert_eq!(classes(facts()), (0, Class::ALL.to_vec()));
    }

    #[test]
    fn the_operator_is_detected_on_cce_only() {
        let operator = |mut facts: Facts| {
            let mut node = facts.nodes.first().cloned().unwrap_or_else(|| node("a", 0));
            let zone = "failure-domain.beta.kubernetes.io/zone".to_owned();
            node.labels.insert(zone, "eu-de-01".to_owned());
            facts.nodes = vec![node].into();
            let hints = ProviderHints::default();
            let detected = detect(&facts, &[], None, &hints, ClusterOverrides::default());
            detected.environment.operator
        };
        assert_eq!(operator(cce()), Some(Operator::OpenTelekomCloud));
        assert_eq!(operator(facts()), None);
    }

    #[test]
    fn the_front_is_detected() {
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
    fn tke_passes_through_in_ipvs_mode_by_default() {
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
        annotations.insert(PREVENT_LOOPBACK.into(), "true".into());
        assert_eq!(passing(&facts, Some(ProxyMode::Ipvs)), [false]);
    }

    #[test]
    fn ip_mode_proxy_is_pass_through() {
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
    fn backends_with_a_node_address_are_on_the_host_network() {
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
