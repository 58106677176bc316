//! What forwards Service traffic on a node.

words! {
    /// What forwards Service traffic on a node: kube-proxy's modes, and what replaces it.
    pub enum ProxyMode("proxy mode") {
        /// kube-proxy, iptables rules.
        Iptables = "iptables",
        /// kube-proxy, IPVS virtual servers.
        Ipvs = "ipvs",
        /// kube-proxy, nftables rules (Kubernetes 1.29 and later).
        Nftables = "nftables",
        /// kube-proxy, copying in user space (removed in Kubernetes 1.26).
        Userspace = "userspace",
        /// A replacement of kube-proxy in eBPF, such as Cilium's.
        Ebpf = "ebpf",
    }
}
