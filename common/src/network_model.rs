//! How pods are connected.

words! {
    /// Container network model, as Huawei Cloud CCE names it.
    pub enum NetworkModel("network model") {
        /// Container tunnel network: an overlay (VXLAN) between nodes.
        Tunnel = "tunnel",
        /// VPC network: pod ranges are routes of the VPC.
        Vpc = "vpc",
        /// Cloud Native Network 2.0: pods have (sub-)interfaces of the VPC itself (CCE Turbo).
        Eni = "eni",
    }
}
