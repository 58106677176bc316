//! What forwards Service traffic on a node.

words! {
    /// What forwards Service traffic on a node: kube-proxy's modes, and what replaces it.
    pub enum ProxyMode("proxy mode") {
        /// kube-proxy with iptables rules.
        Iptables = "iptables",
        /// kube-proxy with IPVS virtual servers.
        Ipvs = "ipvs",
        /// kube-proxy with nftables rules (Kubernetes 1.29 and later).
        Nftables = "nftables",
        /// kube-proxy that copies data in user space (removed in Kubernetes 1.26).
        Userspace = "userspace",
        /// An eBPF replacement for kube-proxy, such as Cilium's.
        Ebpf = "ebpf",
    }
}
