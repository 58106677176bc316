//! What a forecast needs to know about a load balancer.

use crate::{
    facts::{Service, ServiceType},
    network_model::NetworkModel,
    provider::{Provider, elb, pass_through},
    proxy_mode::ProxyMode,
};

/// The properties of a load balancer that matter for connections.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Balancer {
    /// Whether the backend sees the client's address instead of the balancer's.
    pub keeps_client: Option<bool>,
    /// Whether it sends to pods directly, without any kube-proxy on the way.
    pub reaches_pods: Option<bool>,
    /// Whether the provider's kube-proxy leaves its address alone, unlike upstream's kube-proxy.
    pub pass_through: Option<bool>,
    /// Whether packets still have its address as their destination when they arrive at a node. Otherwise they have a
    /// node's address and the node port.
    pub keeps_destination: Option<bool>,
    /// Whether the provider admits only some clients, whose list the API does not show.
    pub limits_clients: bool,
}

/// The target type of a Network Load Balancer, and its short form
/// (kubernetes-sigs/aws-load-balancer-controller `docs/guide/service/annotations.md`, `docs/guide/service/nlb.md`).
const NLB_TARGET_TYPE: &str = "service.beta.kubernetes.io/aws-load-balancer-nlb-target-type";
const NLB_TYPE: &str = "service.beta.kubernetes.io/aws-load-balancer-type";

/// Network endpoint groups of pods
/// (<https://cloud.google.com/kubernetes-engine/docs/how-to/standalone-neg>).
const NEG: &str = "cloud.google.com/neg";

/// Turns floating IPs off, with which an Azure load balancer keeps the destination
/// (kubernetes-sigs/cloud-provider-azure `docs/topics/loadbalancer`).
const NO_FLOATING_IP: &str = "service.beta.kubernetes.io/azure-disable-load-balancer-floating-ip";

/// Classes of balancers that announce their address, so that a node receives the packets as they were sent
/// (<https://metallb.io/concepts/>; <https://kube-vip.io/docs/>).
const ANNOUNCED: [&str; 2] = ["metallb", "kube-vip.io/"];

impl Balancer {
    /// What is known about a Service's load balancer.
    ///
    /// `modes` are the proxy modes that nodes may have.
    #[must_use]
    pub fn of(
        service: &Service,
        provider: Option<Provider>,
        network: Option<NetworkModel>,
        modes: &[ProxyMode],
    ) -> Self {
        let class = service.load_balancer_class.as_deref();
        // A cloud's own controller does not serve a Service that names a class.
        let cloud = provider.filter(|_| class.is_none());
        let announced =
            class.is_some_and(|class| ANNOUNCED.iter().any(|prefix| class.starts_with(prefix)));
        let pass_through = match pass_through::by_provider(service, provider, modes) {
            None => Some(false),
            Some(found) => match found.values.as_slice() {
                [value] => Some(*value),
                _ => None,
            },
        };
        let turned_on = |key: &str| {
            service
                .annotations
                .get(key)
                .is_some_and(|word| word == "true")
        };
        Self {
            // On Huawei Cloud CCE, a dedicated load balancer keeps the client's address at layer 4 by default.
            keeps_client: (elb::class(service) == Some(elb::ElbClass::Dedicated)).then_some(true),
            reaches_pods: reaches_pods(service, provider, network),
            pass_through,
            keeps_destination: match cloud {
                _ if announced => Some(true),
                // Passthrough Network Load Balancers (Google Cloud, Cloud Load Balancing overview).
                Some(Provider::Gke) => Some(true),
                Some(Provider::Aks) => Some(!turned_on(NO_FLOATING_IP)),
                // They send to node ports (Huawei Cloud CCE, User Guide, Service overview, "node forwarding";
                // kubernetes/cloud-provider-aws `pkg/providers/v1`, target type `instance`).
                Some(Provider::HuaweiCce | Provider::AwsEks) => Some(false),
                Some(
                    Provider::AlibabaAck
                    | Provider::TencentTke
                    | Provider::Kind
                    | Provider::K3s
                    | Provider::Kubeadm,
                )
                | None => None,
            },
            limits_clients: elb::limits_clients(service),
        }
    }

    /// What is known about a Service's load balancer if the provider is not known.
    #[must_use]
    pub fn of_any_provider(service: &Service) -> Self {
        let known = Self::of(service, None, None, &[]);
        Self {
            // That nothing says so means nothing here.
            reaches_pods: known
                .reaches_pods
                .filter(|reaches| *reaches || service.kind != ServiceType::LoadBalancer),
            pass_through: None,
            ..known
        }
    }
}

/// Whether the load balancer sends to pods directly; `None` if that is unknown.
fn reaches_pods(
    service: &Service,
    provider: Option<Provider>,
    network: Option<NetworkModel>,
) -> Option<bool> {
    let annotation = |key: &str| service.annotations.get(key).map(String::as_str);
    if service.kind != ServiceType::LoadBalancer {
        return Some(false);
    }
    if annotation(NLB_TARGET_TYPE) == Some("ip") || annotation(NLB_TYPE) == Some("nlb-ip") {
        return Some(true);
    }
    // On CCE Turbo a dedicated load balancer forwards to pods (Huawei Cloud CCE, User Guide, Service overview, "ELB
    // forwarding").
    if provider == Some(Provider::HuaweiCce)
        && elb::class(service) == Some(elb::ElbClass::Dedicated)
    {
        return match network {
            Some(NetworkModel::Eni) => Some(true),
            Some(NetworkModel::Tunnel | NetworkModel::Vpc) => Some(false),
            None => None,
        };
    }
    // The groups may belong to this load balancer or to another one, such as that of an Ingress.
    if annotation(NEG).is_some_and(|text| text.contains("exposed_ports")) {
        return None;
    }
    Some(false)
}

#[cfg(test)]
mod tests {
    use super::Balancer;
    use crate::{
        facts::Service,
        network_model::NetworkModel::{self, Eni, Vpc},
        provider::Provider::{self, Aks, AwsEks, Gke, HuaweiCce, TencentTke},
        proxy_mode::ProxyMode::{self, Iptables, Ipvs},
    };
    use serde_json::{Value, json};

    fn service(annotations: &Value, class: Option<&str>) -> Service {
        Service::try_from(&json!({
            "metadata": {"name": "web", "namespace": "ns", "annotations": annotations},
            "spec": {"type": "LoadBalancer", "clusterIP": "10.96.0.7", "loadBalancerClass": class,
                     "ports": [{"port": 80, "nodePort": 30080}]},
        }))
        .unwrap()
    }

    #[test]
    fn where_a_load_balancer_sends_to() {
        type Row = (
            &'static str,
            Value,
            Option<Provider>,
            Option<NetworkModel>,
            Option<bool>,
        );
        let dedicated = || json!({"kubernetes.io/elb.class": "performance"});
        let rows: [Row; 9] = [
            ("Turbo", dedicated(), Some(HuaweiCce), Some(Eni), Some(true)),
            ("VPC", dedicated(), Some(HuaweiCce), Some(Vpc), Some(false)),
            ("either", dedicated(), Some(HuaweiCce), None, None),
            (
                "shared",
                json!({"kubernetes.io/elb.class": "union"}),
                Some(HuaweiCce),
                Some(Eni),
                Some(false),
            ),
            (
                "NLB with IP targets",
                json!({"service.beta.kubernetes.io/aws-load-balancer-nlb-target-type": "ip"}),
                Some(AwsEks),
                None,
                Some(true),
            ),
            (
                "NLB with instances",
                json!({"service.beta.kubernetes.io/aws-load-balancer-nlb-target-type": "instance"}),
                Some(AwsEks),
                None,
                Some(false),
            ),
            (
                "the older form",
                json!({"service.beta.kubernetes.io/aws-load-balancer-type": "nlb-ip"}),
                None,
                None,
                Some(true),
            ),
            (
                "NEG",
                json!({"cloud.google.com/neg": r#"{"exposed_ports": {"80": {}}}"#}),
                Some(Gke),
                None,
                None,
            ),
            ("nothing", json!({}), None, None, Some(false)),
        ];
        for (name, annotations, provider, network, expected) in rows {
            let service = service(&annotations, None);
            let balancer = Balancer::of(&service, provider, network, &[Iptables]);
            assert_eq!(balancer.reaches_pods, expected, "{name}");
        }
    }

    #[test]
    fn without_a_provider_nothing_is_certain_unless_the_service_says_it() {
        let ip = json!({"service.beta.kubernetes.io/aws-load-balancer-nlb-target-type": "ip"});
        for (annotations, expected) in [(json!({}), None), (ip, Some(true))] {
            let balancer = Balancer::of_any_provider(&service(&annotations, None));
            assert_eq!(balancer.reaches_pods, expected, "{annotations}");
            assert_eq!(balancer.pass_through, None, "{annotations}");
        }
    }

    #[test]
    fn what_the_packet_is_addressed_to() {
        for (class, provider, expected) in [
            (None, None, None),
            (None, Some(HuaweiCce), Some(false)),
            (None, Some(Gke), Some(true)),
            (None, Some(Aks), Some(true)),
            (Some("metallb.io/metallb"), Some(HuaweiCce), Some(true)),
            (Some("example.com/mine"), Some(HuaweiCce), None),
        ] {
            let balancer = Balancer::of(&service(&json!({}), class), provider, None, &[Iptables]);
            assert_eq!(
                balancer.keeps_destination, expected,
                "{class:?} {provider:?}"
            );
        }
    }

    /// In IPVS mode, TKE leaves the address to the load balancer unless an annotation forbids it.
    #[test]
    fn tke_passes_through_in_ipvs_mode() {
        let prevented = json!({"service.cloud.tencent.com/prevent-loopback": "true"});
        for (annotations, modes, expected) in [
            (json!({}), &[Ipvs][..], Some(true)),
            (json!({}), &[Iptables], Some(false)),
            (json!({}), &[Iptables, Ipvs], None),
            (prevented, &[Ipvs], Some(false)),
        ] {
            let modes: &[ProxyMode] = modes;
            let service = service(&annotations, None);
            let balancer = Balancer::of(&service, Some(TencentTke), None, modes);
            assert_eq!(balancer.pass_through, expected, "{annotations} {modes:?}");
        }
    }

    /// The annotations of CCE are for its own load balancers only.
    #[test]
    fn a_class_of_another_controller_makes_annotations_of_a_cloud_void() {
        let annotations = json!({"kubernetes.io/elb.class": "performance",
                                 "kubernetes.io/elb.pass-through": "true"});
        let other = service(&annotations, Some("metallb.io/metallb"));
        let balancer = Balancer::of(&other, Some(HuaweiCce), Some(Eni), &[Ipvs]);
        assert_eq!(
            (
                balancer.keeps_client,
                balancer.reaches_pods,
                balancer.pass_through
            ),
            (None, Some(false), Some(false))
        );
    }
}
