//! Transport protocols of Service ports.

words! {
    /// Transport protocol of a Service port, as the Kubernetes API spells it.
    #[derive(Default)]
    pub enum Protocol("protocol") {
        /// Transmission Control Protocol.
        #[default]
        Tcp = "TCP",
        /// User Datagram Protocol.
        Udp = "UDP",
        /// Stream Control Transmission Protocol.
        Sctp = "SCTP",
    }
}
