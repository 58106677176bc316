//! The rules. Each has a sentence and the file of kubernetes/kubernetes that contains it.

use crate::{
    model::{cause::Cause, version::Version},
    proxy_mode::ProxyMode,
    report::Why,
};

/// The file that contains a rule.
#[derive(Debug, Clone, Copy)]
pub(super) enum File {
    /// `proxier.go` of the node's proxy mode.
    Proxier,
    /// The file that chooses endpoints by policy, readiness and hints.
    Topology,
    /// The file that defines service ports.
    ServicePort,
    /// The file that chooses addresses for node ports.
    NodePortAddresses,
    /// The kernel's IPVS, which chooses the destination.
    Kernel,
    /// The kernel's IPVS, which sends on a packet that it has translated.
    KernelTransmit,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Rule(&'static str, File, Option<Cause>);

impl Rule {
    /// The kind of failure that this rule explains, if it explains one.
    pub(super) const fn cause(self) -> Option<Cause> {
        self.2
    }

    /// The rule with its source, at the tag that was read for this version.
    pub(super) fn why(self, mode: ProxyMode, version: Version) -> Why {
        let tag = version.tag_read();
        let path = match self.1 {
            File::Proxier => format!("pkg/proxy/{mode}/proxier.go"),
            File::Topology if version.since(17) => "pkg/proxy/topology.go".to_owned(),
            File::Topology => "pkg/proxy/endpoints.go".to_owned(),
            File::ServicePort if version.since(30) => "pkg/proxy/serviceport.go".to_owned(),
            File::ServicePort => "pkg/proxy/service.go".to_owned(),
            File::NodePortAddresses if version.since(27) => {
                "pkg/proxy/util/nodeport_addresses.go".to_owned()
            }
            File::NodePortAddresses => "pkg/proxy/util/utils.go".to_owned(),
            File::Kernel => return self.by_kernel("net/netfilter/ipvs/ip_vs_core.c"),
            File::KernelTransmit => return self.by_kernel("net/netfilter/ipvs/ip_vs_xmit.c"),
        };
        Why {
            rule: self.0.to_owned(),
            source: format!("kubernetes/kubernetes {tag} {path}"),
        }
    }

    fn by_kernel(self, path: &str) -> Why {
        Why {
            rule: self.0.to_owned(),
            source: format!("linux v6.1 {path}"),
        }
    }
}

macro_rules! rules {
    (@cause) => { None };
    (@cause $cause:ident) => { Some(Cause::$cause) };
    ($($name:ident: $file:ident $(($cause:ident))? = $text:literal;)+) => {
        $(pub(super) const $name: Rule = Rule($text, File::$file, rules!(@cause $($cause)?));)+
    };
}

rules! {
    // The destination.
    NO_RULE: Proxier = "no Service has this address, port and protocol, so no rule matches";
    NO_RULE_NODE_PORT: Proxier = "no Service has this node port and protocol, so the node answers as for any of its own ports";
    NODE_PORT_ADDRESS: NodePortAddresses (NotANodePortAddress) = "this address of the node does not answer node ports (nodePortAddresses)";
    NODE_PORT_PRIMARY: NodePortAddresses (NotANodePortAddress) = "in nftables mode only the node's primary address answers node ports unless nodePortAddresses says otherwise";
    NODE_PORT_LOOPBACK: Proxier (NotANodePortAddress) = "node ports do not answer on this loopback address";
    PUBLIC_NODE_ADDRESS: Proxier = "a node's ExternalIP is assumed to be translated outside the node and not to be on one of its interfaces, so no rule matches";
    HEALTH_CHECK_ACCEPT: Proxier = "healthCheckNodePort is accepted: kube-proxy itself answers on it";
    HEALTH_CHECK_LISTENER: Proxier = "healthCheckNodePort needs no rule: kube-proxy listens on it";
    CLUSTER_IP: Proxier = "a cluster IP goes to the endpoints that internalTrafficPolicy allows";
    EXTERNAL_IP: Proxier = "every node handles an external IP, by externalTrafficPolicy";
    EXTERNAL_IP_IGNORES_POLICY: Proxier = "every node handles an external IP; up to 1.19 externalTrafficPolicy does not apply to it";
    EXTERNAL_IP_FROM_OUTSIDE: Proxier = "up to 1.20 a node handles an external IP only for packets from outside, not for its own or for those of pods on a bridge";
    EXTERNAL_IP_BRIDGE_UNKNOWN: Proxier = "up to 1.20 a node does not handle an external IP for pods on a bridge; whether these pods are on one is unknown and assumed not";
    LOAD_BALANCER: Proxier = "every node handles a load balancer's address, by externalTrafficPolicy";
    LOAD_BALANCER_PROXY: ServicePort = "a load balancer's address with ipMode Proxy is left to the load balancer";
    NODE_PORT: Proxier = "the node that the packet arrives at handles the node port, by externalTrafficPolicy";

    // Policies.
    CLUSTER_POLICY: Proxier = "externalTrafficPolicy Cluster: all endpoints, always masqueraded";
    CLUSTER_POLICY_EXTERNAL_IP: Proxier = "1.21 to 1.23: an external IP under policy Cluster is masqueraded unless the client is a pod";
    LOCAL_POLICY_POD: Proxier = "externalTrafficPolicy Local: a pod is sent to all endpoints, with its own address";
    LOCAL_POLICY_POD_ASSUMED: Proxier = "how kube-proxy recognises pods is unknown; the client is treated as a pod because it is one";
    LOCAL_POLICY_HOST: Proxier = "externalTrafficPolicy Local: a client on the node itself is sent to all endpoints, masqueraded";
    LOCAL_POLICY: Proxier = "externalTrafficPolicy Local: endpoints of this node only, with the client's own address";
    LOCAL_POLICY_DROP: Proxier (NoneOnNode) = "externalTrafficPolicy Local: there are endpoints, but none on this node: dropped";
    LOCAL_POLICY_DROP_OUTPUT: Proxier (NoneOnNode) = "nftables mode before 1.33.6 and 1.34 drops packets of the node itself before it could send them to endpoints on other nodes";
    INTERNAL_LOCAL: Proxier = "internalTrafficPolicy Local: endpoints of this node only";
    INTERNAL_LOCAL_DROP: Proxier (NoneOnClientsNode) = "internalTrafficPolicy Local: there are endpoints, but none on this node: dropped";
    INTERNAL_LOCAL_BEFORE_1_24: Topology = "1.22 and 1.23: internalTrafficPolicy Local narrows every address of the Service, not only the cluster IP, unless externalTrafficPolicy is Local too";
    IPVS_LOCAL: Proxier = "a local policy: for every client, the virtual server has only the endpoints of this node";
    IPVS_LOCAL_EMPTY: Proxier (NoneOnNode) = "a local policy and no endpoint on this node: up to 1.23 the virtual server is empty";
    IPVS_INTERNAL_EMPTY: Proxier (NoneOnClientsNode) = "internalTrafficPolicy Local and no endpoint on this node: the virtual server is empty";
    IPVS_LOCAL_FALLBACK: Proxier = "a local policy and no endpoint on this node: since 1.24 the virtual server has all endpoints, without masquerade for external traffic";

    // Endpoints.
    TERMINATING: Topology = "no endpoint is ready, so terminating endpoints that still serve are used (since 1.26)";
    HINTS_ZONE: Topology = "topology hints narrow the endpoints to those for the node's zone";
    HINTS_NODE: Topology = "topology hints narrow the endpoints to those for this node (since 1.34)";
    NO_ENDPOINTS: Proxier (NoEndpoint) = "the Service has no usable endpoint, so the packet is rejected";
    NO_ENDPOINTS_OUTPUT: Proxier (NoEndpoint) = "the Service has no usable endpoint, but external addresses are rejected only on the way in, so no rule matches a packet of the node itself";
    NO_REAL_SERVER: Kernel (NoEndpoint) = "a virtual server without a real server answers port unreachable";

    // The source.
    SOURCE_RANGES_DROP: Proxier (SourceRanges) = "loadBalancerSourceRanges does not include the client, so the packet is dropped";
    SOURCE_RANGES_ALLOW: Proxier = "loadBalancerSourceRanges includes the client";
    SOURCE_RANGES_NODE: Proxier = "loadBalancerSourceRanges includes the node's address, so the load balancer's own address is allowed as a source";
    SOURCE_RANGES_HOST_UNFILTERED: Proxier = "1.25 to 1.28: loadBalancerSourceRanges is not applied to clients on the node itself in ipvs mode";
    SOURCE_UNKNOWN: Proxier (SourceRanges) = "the client's address is unknown and assumed to be outside loadBalancerSourceRanges";
    MASQUERADE_ALL: Proxier = "masqueradeAll: traffic to cluster IPs is masqueraded";
    MASQUERADE_NOT_POD: Proxier = "a cluster IP is masqueraded for clients that are not pods";
    KEEP_POD: Proxier = "a cluster IP keeps the address of pods";
    NO_DETECTOR: Proxier = "kube-proxy cannot recognise pods (no cluster CIDR), so a cluster IP is not masqueraded";
    DETECTOR_UNKNOWN: Proxier = "whether this is masqueraded depends on kube-proxy's cluster CIDR, which is unknown";
    HAIRPIN: Proxier = "a client that reaches itself is masqueraded";
    HAIRPIN_ELSEWHERE: Proxier = "since 1.36 in nftables mode, a client that reaches itself by another node is not masqueraded";
    HAIRPIN_SOME: Proxier = "the client is one of the endpoints, so it is masqueraded only if it reaches itself";
    HOST_NETWORK: Proxier = "a packet from elsewhere to a backend on the node's own host network does not pass POSTROUTING, so it is not masqueraded";
    HOST_NETWORK_IPVS: KernelTransmit = "IPVS delivers a packet for a backend on the node's own host network without POSTROUTING, so it is not masqueraded";
    IPVS_VIP_SOURCE: Proxier = "without a cluster CIDR, packets from a Service address (which processes on the node use) are masqueraded";
    IPVS_MASQUERADE: Proxier = "external traffic under policy Cluster is masqueraded";
    IPVS_SCTP_MASQUERADE: Proxier = "up to 1.22 in ipvs mode: SCTP node ports are masqueraded under policy Local too";
    IPVS_KEEP: Proxier = "external traffic under policy Local keeps its source address";

    // A Service has the address but not the port.
    NFT_INVALID_PORT: Proxier = "no Service has this port at this cluster IP: rejected (since 1.30)";
    NFT_UNALLOCATED: Proxier = "no Service has this address of the Service range: dropped";
    IPVS_INVALID_PORT: Proxier = "no Service has this port at this address, which the node has on kube-ipvs0: rejected (since 1.26)";
    IPVS_EXTERNAL_IP_LOCAL_REJECT: Proxier (ExternalIpRejected) = "1.26 to 1.29 in ipvs mode: external IPs under externalTrafficPolicy Local are rejected on the way in, by a filter that does not know them";
    IPVS_HOST_PORT: Proxier = "the node has this address on kube-ipvs0: up to 1.25 whatever listens on the node answers";
}
