//! Why a connection succeeds or fails, apart from what one proxy does.

use crate::{model::cause::Cause, report::Why};

/// A reason with its source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reason(&'static str, &'static str, Option<Cause>);

impl Reason {
    /// The kind of failure that this reason explains, if it explains one.
    pub(super) const fn cause(self) -> Option<Cause> {
        self.2
    }

    pub(super) fn why(self) -> Why {
        Why {
            rule: self.0.to_owned(),
            source: self.1.to_owned(),
        }
    }
}

const NETWORK_MODEL: &str =
    "kubernetes.io/docs/concepts/services-networking, the Kubernetes network model";
const CONNTRACK: &str = "linux v6.1 net/netfilter/nf_nat_core.c: a translation is undone by the connection tracking of the node that made it";
const HEALTH: &str = "kubernetes/kubernetes v1.37.2 pkg/proxy/healthcheck/service_health.go";
const SOURCE_IP: &str = "kubernetes.io/docs/tutorials/services/source-ip";

macro_rules! reasons {
    (@cause) => { None };
    (@cause $cause:ident) => { Some(Cause::$cause) };
    ($($name:ident $(($cause:ident))?: $source:expr, $text:literal;)+) => {
        $(pub(super) const $name: Reason = Reason($text, $source, reasons!(@cause $($cause)?));)+
    };
}

reasons! {
    POD_TO_POD: NETWORK_MODEL, "pods and nodes reach every pod by its address; kube-proxy is not involved";
    HEADLESS: "kubernetes.io/docs/concepts/services-networking/dns-pod-service", "the name of a headless Service gives the endpoints' own addresses";
    HEADLESS_EMPTY (NoEndpoint): "kubernetes.io/docs/concepts/services-networking/dns-pod-service", "a headless Service without endpoints has no address: the name is not found";
    HEADLESS_PORT (HeadlessPort): "kubernetes.io/docs/concepts/services-networking/service, headless Services", "the name of a headless Service gives the endpoints' own addresses, and nothing maps the Service's port to theirs";
    PUBLIC_ADDRESS: "derived from address translation outside of the node", "a node's public address is translated outside the node, so even the node's own packets arrive as if from elsewhere";
    POD_MASQUERADED: "an assumption about the pod network", "the pod network gives the packet the address of the pod's node";
    POD_ADDRESS_KEPT: "an assumption about the pod network", "the pod network keeps the pod's address";
    PASS_THROUGH: "an assumption about the provider's kube-proxy", "the address is left to the load balancer (pass-through)";
    BALANCER_TO_PODS: "an assumption about the load balancer", "the load balancer sends to the pods directly";
    BALANCER_CLUSTER: SOURCE_IP, "the load balancer sends to the node port of any node";
    BALANCER_LOCAL: SOURCE_IP, "the load balancer sends to the node port of nodes whose health check reports a backend";
    BALANCER_NO_POD (NoEndpoint): "an assumption about the load balancer", "the load balancer sends to the pods directly, and none is ready";
    BALANCER_IS_NODE: "status.loadBalancer.ingress[].ip, which is an address of a node", "the load balancer's address is the node's own, so the packet arrives at that node";
    BALANCER_ADDRESS_KEPT: "MetalLB, concepts; Google Cloud, passthrough Network Load Balancers", "the packet still has the load balancer's address, so no node port is involved";
    BALANCER_NODE_LEFT_OUT (BalancerNodeLeftOut): "kubernetes.io/docs/reference/labels-annotations-taints, exclude-from-external-load-balancers", "the load balancer sends to nodes with a backend, but leaves all of them out: they are not Ready, have the label node.kubernetes.io/exclude-from-external-load-balancers, or run no kube-proxy";
    NOT_LISTED (SourceRanges): "kubernetes.io/docs/reference/kubernetes-api/service-resources/service-v1, loadBalancerSourceRanges", "the load balancer does not allow this client";
    VIRTUAL_ENDPOINT (VirtualEndpoint): "kubernetes.io/docs/concepts/services-networking/service, Services without selectors", "the endpoint is an address of another Service, and kube-proxy does not translate a packet twice";
    OTHER_SOURCE (OtherSource): "RFC 1122 section 4.1.3.5; linux v6.1 net/ipv4/udp.c, ip_route_output_flow", "the server on the host network answers from another address of its node than the one that was asked, so the client discards the answer";
    BALANCER_NO_NODE (NoEndpoint): SOURCE_IP, "no node passes the load balancer's health check";
    BALANCER_HAIRPIN (BalancerHairpin): "Huawei Cloud ELB FAQ elb_faq_21020218; AWS NLB troubleshooting, loopback timeout", "a load balancer that keeps the client's address cannot send a packet from a backend's node back to that node";
    NO_LISTENER: "derived", "nothing on the node listens there";
    LOST_REPLY (LostReply): CONNTRACK, "an endpoint on another node gets the packet with the client's own address, so its reply bypasses the node that rewrote the packet and does not match the connection";
    SAME_NODE_BYPASS (SameNodeReply): CONNTRACK, "an endpoint on the client's own node replies to it directly, so its reply bypasses the network stack that rewrote the packet and does not match the connection";
    SOURCE_IS_LOCAL (SourceIsLocal): "kubernetes/kubernetes#93456; linux v6.1 net/ipv4/fib_frontend.c fib_validate_source", "the packet leaves with the dialled address as its source; the endpoint's node also has that address on kube-ipvs0, so no reply comes back";
    NODE_ADDRESS_TAKEN (NodeAddressTaken): "kubernetes/kubernetes v1.37.2 pkg/proxy/ipvs/proxier.go, which adds external IPs to kube-ipvs0; linux v6.1 net/ipv4/fib_frontend.c fib_validate_source", "a Service has a node's address as external IP or load balancer's address, so in IPVS mode the other nodes take it for their own and drop what comes from there";
    HOST_REPLY_FILTERED (FilteredReply): "linux v6.1 net/ipv4/fib_frontend.c, rp_filter", "the reply of a pod on another node to this node's address is dropped on the way";
    AFFINITY: "kubernetes.io/docs/reference/networking/virtual-ips, session affinity", "with session affinity, a client stays with its first endpoint, so it is served always or never";
    HEALTH_CHECK_OK: HEALTH, "the node runs a ready endpoint: its health check port answers 200";
    HEALTH_CHECK_EXCLUDED (NotANodePortAddress): HEALTH, "since 1.23 kube-proxy listens for health checks only on addresses that answer node ports, and this one does not (nodePortAddresses)";
    HEALTH_CHECK_UNAVAILABLE: HEALTH, "the node runs no ready endpoint: its health check port answers 503";
}
