//! Recognises the cloud or distribution of a cluster by its nodes and its version.

pub mod elb;
pub mod operator;
pub mod pass_through;
pub mod tls;

use crate::{
    facts::{Facts, Service},
    report::Evidence,
};

words! {
    /// A cloud's or distribution's Kubernetes. A provider's matrix has the same name.
    pub enum Provider("provider") {
        /// Huawei Cloud Container Engine, and the same product of Open Telekom Cloud.
        HuaweiCce = "huawei-cce",
        /// Amazon Elastic Kubernetes Service.
        AwsEks = "aws-eks",
        /// Google Kubernetes Engine.
        Gke = "gke",
        /// Azure Kubernetes Service.
        Aks = "aks",
        /// Alibaba Cloud Container Service for Kubernetes.
        AlibabaAck = "alibaba-ack",
        /// Tencent Kubernetes Engine.
        TencentTke = "tencent-tke",
        /// kind, whose nodes are containers.
        Kind = "kind",
        /// K3s.
        K3s = "k3s",
        /// A cluster made with kubeadm, on no known cloud.
        Kubeadm = "kubeadm",
    }
}

/// Something that only the nodes or the API server of one provider have.
enum Sign {
    /// A label of nodes.
    Label(&'static str),
    /// Two labels on the same node, which together belong to one provider only.
    Labels(&'static str, &'static str),
    /// The beginning of `spec.providerID` of nodes.
    ProviderId(&'static str),
    /// An annotation of nodes.
    Annotation(&'static str),
    /// Part of the API server's version, or of the version of a node's kubelet.
    Version(fn(&str) -> bool),
}

/// The first sign that is found counts. Clouds come first, since a cluster on a cloud may be made with kubeadm or k3s.
///
/// Sources, in order: opentelekomcloud-docs/cloud-container-engine at b553f21,
/// `umn/source/nodes/management_nodes/managing_node_labels.rst` and
/// `api-ref/source/apis/cluster_management/creating_a_node.rst` (labels),
/// `umn/source/auto_scaling/using_hpa_and_ca_for_auto_scaling_of_workloads_and_nodes.rst` (version);
/// <https://docs.aws.amazon.com/eks/latest/userguide/managed-node-groups.html> and kubernetes/cloud-provider-aws
/// `pkg/providers/v1/instances.go`; <https://cloud.google.com/kubernetes-engine/docs/concepts/node-pools> and
/// kubernetes/cloud-provider-gcp `providers/gce`; <https://learn.microsoft.com/azure/aks/use-labels> and
/// kubernetes-sigs/cloud-provider-azure `pkg/provider`; kubernetes/cloud-provider-alibaba-cloud `pkg/controller/helper`
/// (labels, provider IDs); Tencent's own nodes as public dumps show them (not documented); kubernetes-sigs/kind
/// `pkg/cluster/internal/create`; k3s-io/k3s `pkg/cloudprovider`; kubernetes/kubernetes v1.36.3
/// `cmd/kubeadm/app/constants/constants.go` (`AnnotationKubeadmCRISocket`; absent in v1.37.2).
const SIGNS: [(Provider, Sign); 16] = [
    (
        Provider::HuaweiCce,
        Sign::Label("cce.cloud.com/cce-nodepool"),
    ),
    (
        Provider::HuaweiCce,
        Sign::Labels("node.kubernetes.io/subnetid", "os.name"),
    ),
    (Provider::HuaweiCce, Sign::Version(of_cce)),
    (Provider::AwsEks, Sign::Label("eks.amazonaws.com/nodegroup")),
    (
        Provider::AwsEks,
        Sign::Version(|version| version.contains("-eks-")),
    ),
    (Provider::Gke, Sign::Label("cloud.google.com/gke-nodepool")),
    (
        Provider::Gke,
        Sign::Version(|version| version.contains("-gke.")),
    ),
    (Provider::Aks, Sign::Label("kubernetes.azure.com/cluster")),
    (
        Provider::AlibabaAck,
        Sign::Label("alibabacloud.com/nodepool-id"),
    ),
    (
        Provider::AlibabaAck,
        Sign::Version(|version| version.contains("-aliyun.")),
    ),
    (
        Provider::TencentTke,
        Sign::Label("tke.cloud.tencent.com/nodepool-id"),
    ),
    (
        Provider::TencentTke,
        Sign::Version(|version| version.contains("-tke.")),
    ),
    (Provider::Kind, Sign::ProviderId("kind://")),
    (Provider::K3s, Sign::ProviderId("k3s://")),
    (
        Provider::K3s,
        Sign::Version(|version| version.contains("+k3s")),
    ),
    (
        Provider::Kubeadm,
        Sign::Annotation("kubeadm.alpha.kubernetes.io/cri-socket"),
    ),
];

impl Provider {
    /// The provider, and the sign that it was recognised by.
    #[must_use]
    pub fn of(facts: &Facts) -> Option<(Self, Evidence)> {
        SIGNS.iter().find_map(|(provider, sign)| {
            let source = sign.seen(facts)?;
            let evidence = Evidence {
                fact: "provider".to_owned(),
                value: provider.to_string(),
                source,
            };
            Some((*provider, evidence))
        })
    }
}

impl Sign {
    /// Where the sign was found, if it was.
    fn seen(&self, facts: &Facts) -> Option<String> {
        match self {
            Self::Label(label) => facts
                .nodes
                .iter()
                .find(|node| node.labels.contains_key(*label))
                .map(|node| format!("label {label} of node {}", node.name)),
            Self::Labels(one, other) => facts
                .nodes
                .iter()
                .find(|node| node.labels.contains_key(*one) && node.labels.contains_key(*other))
                .map(|node| format!("labels {one} and {other} of node {}", node.name)),
            Self::ProviderId(prefix) => facts
                .nodes
                .iter()
                .find(|node| {
                    node.provider_id
                        .as_deref()
                        .is_some_and(|id| id.starts_with(prefix))
                })
                .map(|node| format!("providerID of node {}", node.name)),
            Self::Annotation(annotation) => facts
                .nodes
                .iter()
                .find(|node| node.annotations.contains_key(*annotation))
                .map(|node| format!("annotation {annotation} of node {}", node.name)),
            Self::Version(is) => {
                let server = facts.server_version.as_deref();
                let server = server.filter(|version| is(version));
                let server = server.map(|version| format!("the API server's version {version}"));
                server.or_else(|| {
                    facts.nodes.iter().find_map(|node| {
                        let version = node.kubelet_version.as_deref().filter(|text| is(text))?;
                        Some(format!("kubelet's version {version} on node {}", node.name))
                    })
                })
            }
        }
    }
}

/// Whether a version contains a release of CCE, as in `v1.17.9-r0-CCE21.1.1.3` and `v1.25.5-r0-25.0.12`.
fn of_cce(version: &str) -> bool {
    version
        .split('-')
        .nth(1)
        .and_then(|release| release.strip_prefix('r'))
        .is_some_and(|number| {
            !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
        })
}

/// Whether the Service belongs to CCE's NGINX Ingress add-on, which gives this name to its controller and to the
/// Service in front of it (Huawei Cloud CCE, User Guide, Service overview, failure table).
#[must_use]
pub fn is_nginx_ingress(service: &Service) -> bool {
    service.name.starts_with("cceaddon-nginx-ingress")
}

#[cfg(test)]
mod tests {
    use super::Provider;
    use crate::facts::{Facts, FurtherNodes, Node, Service};
    use serde_json::{Value, json};

    /// The facts of a cluster with one node.
    fn facts(version: &str, metadata: &Value, provider_id: Option<&str>) -> Facts {
        let mut metadata = metadata.clone();
        metadata["name"] = json!("node-1");
        let node = json!({
            "apiVersion": "v1", "kind": "Node", "metadata": metadata,
            "spec": {"providerID": provider_id},
            "status": {"addresses": [{"type": "InternalIP", "address": "192.168.0.10"}]},
        });
        let service = json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"namespace": "default", "name": "nginx"},
            "spec": {"type": "ClusterIP", "clusterIP": "10.247.0.7", "ports": [{"port": 80}]},
        });
        Facts {
            service: Service::try_from(&service).unwrap(),
            endpoints: Vec::new(),
            nodes: vec![Node::try_from(&node).unwrap()].into(),
            further_nodes: FurtherNodes::None,
            changed: None,
            server_version: Some(version.to_owned()),
            routes: Ok(Vec::new()),
        }
    }

    /// Labels, annotations and versions come from the providers' documents or from public dumps of their nodes.
    #[test]
    fn recognises_providers() {
        let labels = |labels: Value| json!({"labels": labels});
        let rows = [
            (
                "CCE, as its documents print a node",
                facts(
                    "v1.25.5-r0-25.0.12.1",
                    &labels(json!({
                        "failure-domain.beta.kubernetes.io/zone": "eu-de-01",
                        "kubernetes.io/eniquota": "12",
                        "node.kubernetes.io/subnetid": "fd43acad-33e7-48b2-a85a-24833f362e0e",
                        "os.architecture": "amd64",
                        "os.name": "EulerOS_2.0_SP5",
                    })),
                    None,
                ),
                Some((
                    Provider::HuaweiCce,
                    "labels node.kubernetes.io/subnetid and os.name of node node-1",
                )),
            ),
            (
                "CCE, by its version alone",
                facts("v1.17.9-r0-CCE21.1.1.3.B001-17.36.8", &json!({}), None),
                Some((
                    Provider::HuaweiCce,
                    "the API server's version v1.17.9-r0-CCE21.1.1.3.B001-17.36.8",
                )),
            ),
            (
                "CCE, a node of a pool",
                facts(
                    "v1.29.1",
                    &labels(json!({"cce.cloud.com/cce-nodepool": "pool-1"})),
                    None,
                ),
                Some((
                    Provider::HuaweiCce,
                    "label cce.cloud.com/cce-nodepool of node node-1",
                )),
            ),
            (
                "EKS",
                facts(
                    "v1.29.4-eks-036c24b",
                    &labels(
                        json!({"eks.amazonaws.com/nodegroup": "ng-1", "topology.kubernetes.io/zone": "eu-west-1a"}),
                    ),
                    Some("aws:///eu-west-1a/i-0a1b2c3d4e5f60718"),
                ),
                Some((
                    Provider::AwsEks,
                    "label eks.amazonaws.com/nodegroup of node node-1",
                )),
            ),
            (
                "GKE",
                facts(
                    "v1.28.7-gke.1026000",
                    &labels(json!({"cloud.google.com/gke-nodepool": "default-pool"})),
                    Some("gce://project/europe-west1-b/gke-node"),
                ),
                Some((
                    Provider::Gke,
                    "label cloud.google.com/gke-nodepool of node node-1",
                )),
            ),
            (
                "AKS",
                facts(
                    "v1.28.5",
                    &labels(json!({"kubernetes.azure.com/cluster": "MC_rg_aks_westeurope"})),
                    Some(
                        "azure:///subscriptions/0/resourceGroups/mc_rg/providers/Microsoft.Compute/virtualMachineScaleSets/aks/virtualMachines/0",
                    ),
                ),
                Some((
                    Provider::Aks,
                    "label kubernetes.azure.com/cluster of node node-1",
                )),
            ),
            (
                "TKE",
                facts(
                    "v1.22.5-tke.9",
                    &json!({}),
                    Some("qcloud:///100003/ins-jifjbvhg"),
                ),
                Some((
                    Provider::TencentTke,
                    "the API server's version v1.22.5-tke.9",
                )),
            ),
            (
                "ACK",
                facts(
                    "v1.28.3-aliyun.1",
                    &labels(json!({"alibabacloud.com/nodepool-id": "np1"})),
                    None,
                ),
                Some((
                    Provider::AlibabaAck,
                    "label alibabacloud.com/nodepool-id of node node-1",
                )),
            ),
            (
                "kind, which kubeadm makes",
                facts(
                    "v1.31.0",
                    &json!({"annotations": {"kubeadm.alpha.kubernetes.io/cri-socket": "unix:///run/containerd/containerd.sock"}}),
                    Some("kind://docker/kind/kind-control-plane"),
                ),
                Some((Provider::Kind, "providerID of node node-1")),
            ),
            (
                "k3s",
                facts("v1.30.2+k3s1", &json!({}), Some("k3s://node-1")),
                Some((Provider::K3s, "providerID of node node-1")),
            ),
            (
                "kubeadm",
                facts(
                    "v1.27.3",
                    &json!({"annotations": {"kubeadm.alpha.kubernetes.io/cri-socket": "unix:///run/crio/crio.sock"}}),
                    None,
                ),
                Some((
                    Provider::Kubeadm,
                    "annotation kubeadm.alpha.kubernetes.io/cri-socket of node node-1",
                )),
            ),
            (
                "nothing to go by, and a version that only looks like CCE's",
                facts(
                    "v1.27.3-rc.1+rke2r1",
                    &labels(json!({"os.name": "linux"})),
                    None,
                ),
                None,
            ),
        ];
        for (name, facts, expected) in rows {
            let known = Provider::of(&facts);
            let known = known
                .as_ref()
                .map(|(provider, evidence)| (*provider, evidence.source.as_str()));
            assert_eq!(known, expected, "{name}");
        }
    }
}
