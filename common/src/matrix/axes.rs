//! Axes of a matrix whose values are words.

words! {
    /// What publishes the workload, as in the documents' tables.
    pub enum ServiceKind("service") {
        /// A port on the nodes.
        NodePort = "NodePort",
        /// A load balancer in front of the nodes or the pods.
        LoadBalancer = "LoadBalancer",
        /// A DNAT gateway in front of the nodes.
        Dnat = "DNAT",
        /// The nginx ingress controller, which is behind a load balancer.
        NginxIngress = "nginx-ingress",
    }
}

words! {
    /// Class of a load balancer.
    pub enum Class("load balancer class") {
        /// Shared between tenants; does not keep the client's address (`union`).
        Shared = "shared",
        /// Used by one tenant only (`performance`).
        Dedicated = "dedicated",
    }
}

words! {
    /// Flavour of a cluster.
    pub enum Flavour("cluster flavour") {
        /// CCE Standard: pods are reached through their node.
        Standard = "standard",
        /// CCE Turbo: pods have interfaces of the VPC.
        Turbo = "turbo",
    }
}

words! {
    /// What forwards Service traffic.
    pub enum Forwarder("forwarder") {
        /// A kube-proxy, in any of its modes.
        KubeProxy = "kube-proxy",
        /// Something that replaces kube-proxy.
        Replacement = "replacement",
    }
}

words! {
    /// The kind of address that a cell is about.
    pub enum Spot("cell target") {
        /// The node port of a node that runs a backend.
        NodePortBackend = "node-port/backend",
        /// The node port of a node that runs no backend.
        NodePortOther = "node-port/other",
        /// The node port of the client's own node.
        NodePortOwn = "node-port/own",
        /// The address of the load balancer, gateway or ingress.
        Address = "address",
        /// One of `spec.externalIPs`.
        ExternalIp = "external-ip",
        /// One of `spec.clusterIPs`.
        ClusterIp = "cluster-ip",
        /// The Service's name in the cluster's DNS.
        Dns = "dns",
        /// A backend's own address.
        PodIp = "pod-ip",
        /// The health check node port of a node.
        HealthCheckNodePort = "health-check-node-port",
    }
}
