//! The backends of the Services: pods of several sorts, on chosen nodes.

use crate::families;
use serde_json::{Value, json};
use std::net::IpAddr;
use svc_reach_tests::{
    fixture::{apply, server},
    kubectl::Kubectl,
    namespace::Namespace,
};

/// Port of the pods on the host network for HTTP.
const HOST_PORT: u16 = 18080;

/// A sort of backends. Its name is the label `app` of the pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    /// One pod.
    One,
    /// Two pods on two nodes.
    Two,
    /// A pod on each node.
    Each,
    /// One pod on the host network.
    Host,
    /// A pod that is terminating, and still serves.
    Ending,
    /// A pod that serves, but never becomes ready.
    Unready,
    /// The pod of [`Self::One`], in EndpointSlices of a Service without a selector. They name no node.
    Manual,
    /// No pod.
    None,
}

impl Sort {
    /// All sorts.
    pub const ALL: [Self; 8] = [
        Self::One,
        Self::Two,
        Self::Each,
        Self::Host,
        Self::Ending,
        Self::Unready,
        Self::Manual,
        Self::None,
    ];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::One => "one",
            Self::Two => "two",
            Self::Each => "each",
            Self::Host => "host",
            Self::Ending => "ending",
            Self::Unready => "unready",
            Self::Manual => "manual",
            Self::None => "none",
        }
    }

    /// How many pods there are.
    pub const fn pods(self) -> usize {
        match self {
            Self::One | Self::Host | Self::Ending | Self::Unready => 1,
            Self::Two => 2,
            Self::Each => 3,
            Self::Manual | Self::None => 0,
        }
    }

    /// The port on which the backends serve HTTP.
    pub const fn http_port(self) -> u16 {
        match self {
            Self::Host => HOST_PORT,
            Self::One
            | Self::Two
            | Self::Each
            | Self::Ending
            | Self::Unready
            | Self::Manual
            | Self::None => 8080,
        }
    }
}

/// Pods that Kubernetes would not remove together with the namespace, since one of them waits before it ends.
pub struct Pods<'a> {
    kubectl: &'a Kubectl,
    namespace: &'a Namespace,
}

impl Drop for Pods<'_> {
    fn drop(&mut self) {
        // Ignore errors: a failed test has already said why.
        let delete = ["delete", "pod", "--all", "--force", "--grace-period=0"];
        let _ = self.kubectl.run(&self.namespace.args(&delete));
    }
}

/// Creates the pods of all sorts and two clients, and waits until they serve.
pub fn create<'a>(kubectl: &'a Kubectl, namespace: &'a Namespace, nodes: &[String]) -> Pods<'a> {
    let [first, second, third] = nodes else {
        unreachable!("the test cluster has three nodes, not {nodes:?}")
    };
    let pods = Pods { kubectl, namespace };
    let unready = never_ready(backend("unready-0", "unready", second));
    let ready = vec![
        backend("one-0", "one", third),
        backend("two-0", "two", second),
        backend("two-1", "two", third),
        backend("each-0", "each", first),
        backend("each-1", "each", second),
        backend("each-2", "each", third),
        on_the_host_network(backend("host-0", "host", third)),
        slow_to_end(backend("ending-0", "ending", third)),
        backend("client-0", "client", first),
        backend("client-1", "client", third),
    ];
    apply(kubectl, namespace, ready);
    let ready = "--for=condition=Ready";
    namespace.kubectl(&["wait", ready, "pod", "--all", "--timeout=180s"]);
    apply(kubectl, namespace, vec![unready]);
    let started = "--for=jsonpath={.status.phase}=Running";
    namespace.kubectl(&["wait", started, "pod", "unready-0", "--timeout=180s"]);
    pods
}

/// Begins to end the pod of [`Sort::Ending`]. Services must exist before that, since the controller only adds a
/// terminating pod to EndpointSlices that already have it.
pub fn begin_to_end(namespace: &Namespace) {
    namespace.kubectl(&["delete", "pod", "ending-0", "--wait=false"]);
}

fn backend(name: &str, app: &str, node: &str) -> Value {
    let mut pod = server(name, node);
    pod["metadata"]["labels"]["app"] = app.into();
    // A busy machine answers late. That must not change the endpoints while they are checked.
    pod["spec"]["containers"][0]["readinessProbe"]["failureThreshold"] = 600.into();
    pod
}

fn on_the_host_network(mut pod: Value) -> Value {
    let spec = &mut pod["spec"];
    spec["hostNetwork"] = true.into();
    let web = &mut spec["containers"][0];
    web["args"] = json!([
        "serve",
        "--port",
        HOST_PORT.to_string(),
        "--udp-port",
        "5353"
    ]);
    web["ports"] = json!([{"name": "web", "containerPort": HOST_PORT}]);
    web["readinessProbe"]["httpGet"]["port"] = HOST_PORT.into();
    pod
}

/// The kubelet runs the hook before it ends the container, which serves until then.
fn slow_to_end(mut pod: Value) -> Value {
    pod["spec"]["terminationGracePeriodSeconds"] = 7200.into();
    pod["spec"]["containers"][0]["lifecycle"] = json!({"preStop": {"sleep": {"seconds": 7200}}});
    pod
}

/// The kubelet asks a port on which nothing listens.
fn never_ready(mut pod: Value) -> Value {
    pod["spec"]["containers"][0]["readinessProbe"]["httpGet"]["port"] = 9.into();
    pod
}

/// A pod that runs.
#[derive(Debug, Clone)]
pub struct Pod {
    /// Its name.
    pub name: String,
    /// Its node.
    pub node: String,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
}

/// The pods of a namespace.
pub fn list(kubectl: &Kubectl, namespace: &Namespace) -> Vec<Pod> {
    let list = kubectl.object(&namespace.args(&["get", "pods"]));
    let pods = list["items"].as_array().into_iter().flatten();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    pods.map(|pod| Pod {
        name: text(&pod["metadata"]["name"]),
        node: text(&pod["spec"]["nodeName"]),
        addresses: addresses(pod),
    })
    .collect()
}

fn addresses(pod: &Value) -> Vec<IpAddr> {
    let ips = pod["status"]["podIPs"].as_array().into_iter().flatten();
    ips.filter_map(|ip| ip["ip"].as_str()?.parse().ok())
        .collect()
}

/// The EndpointSlices of a Service of [`Sort::Manual`], one for each of its families.
pub fn manual_slices(service: &Value, pod: &Pod) -> Vec<Value> {
    let name = service["metadata"]["name"].as_str().unwrap_or_default();
    let ports: Vec<Value> = service["spec"]["ports"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|port| {
            let number = port["targetPort"].as_u64();
            let number = number.unwrap_or_else(|| Sort::Manual.http_port().into());
            let protocol = port["protocol"].as_str().unwrap_or("TCP");
            json!({"name": port["name"], "protocol": protocol, "port": number})
        })
        .collect();
    pod.addresses
        .iter()
        .map(|address| (families::name(*address), address))
        .map(|(family, address)| {
            json!({
                "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
                "metadata": {
                    "name": format!("{name}-{}", family.to_lowercase()),
                    "labels": {"kubernetes.io/service-name": name},
                },
                "addressType": family,
                "endpoints": [{"addresses": [address], "conditions": {"ready": true}}],
                "ports": ports,
            })
        })
        .collect()
}
