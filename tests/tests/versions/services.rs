//! Services of every type, policy and family, in front of backends of every sort.

use serde_json::{Value, json};
use std::time::Duration;
use svc_reach_tests::{
    fixture::{apply, await_answer, server},
    kubectl::Kubectl,
    namespace::Namespace,
    wait::until,
};

/// Time limit for pods and load balancers.
const READY: Duration = Duration::from_secs(180);

/// The sorts of backends. The name is also the label `app` of their pods:
/// - `one`: one pod
/// - `two`: two pods on two nodes
/// - `host`: one pod on the host network
/// - `ending`: a pod that is terminating, and still serves
/// - `manual`: the pods of `one`, in EndpointSlices that this test writes for Services without a selector
/// - `none`: no pod
const BACKENDS: [&str; 6] = ["one", "two", "host", "ending", "manual", "none"];

/// Port of the pod on the host network. It serves no datagrams: the kernel answers those of its own node's pods from
/// another address of the node than they were sent to, unless a server asks for it.
const HOST_PORT: u16 = 18080;

/// Name of a Service's port on which its backends do not listen.
pub const BROKEN: &str = "broken";

/// Backends that Kubernetes would not remove together with the namespace, since one of them waits before it ends.
pub struct Backends<'a> {
    kubectl: &'a Kubectl,
    namespace: &'a Namespace,
}

impl Drop for Backends<'_> {
    fn drop(&mut self) {
        // Ignore errors: a failed test has already said why.
        let delete = ["delete", "pod", "--all", "--force", "--grace-period=0"];
        let _ = self.kubectl.run(&self.namespace.args(&delete));
    }
}

/// Creates everything, and waits until each Service has its endpoints.
pub fn apply_all<'a>(
    kubectl: &'a Kubectl,
    namespace: &'a Namespace,
    nodes: &[String],
) -> Backends<'a> {
    assert_eq!(nodes.len(), 3, "this test needs three nodes");
    let (second, third) = (&nodes[1], &nodes[2]);
    let backends = Backends { kubectl, namespace };
    let pods = vec![
        backend("one-0", "one", third),
        backend("two-0", "two", second),
        backend("two-1", "two", third),
        on_the_host_network(backend("host-0", "host", third)),
        slow_to_end(backend("ending-0", "ending", third)),
    ];
    apply(kubectl, namespace, pods);
    namespace.kubectl(&[
        "wait",
        "--for=condition=Ready",
        "pod",
        "--all",
        "--timeout=180s",
    ]);
    let services = all();
    let pod = kubectl.object(&namespace.args(&["get", "pod", "one-0"]));
    let slices: Vec<Value> = services
        .iter()
        .flat_map(|service| manual_slices(service, &pod))
        .collect();
    apply(
        kubectl,
        namespace,
        services.into_iter().chain(slices).collect(),
    );
    namespace.kubectl(&["delete", "pod", "ending-0", "--wait=false"]);
    await_slices(kubectl, namespace);
    backends
}

/// Waits until the load balancers send to backends, which they find by a health check of the nodes.
pub fn await_balancers(kubectl: &Kubectl, namespace: &Namespace) {
    for name in ["one-lb", "one-lb-el", "one-ranges-client-el"] {
        for index in 0..2 {
            let address = until("the addresses of a load balancer", READY, || {
                let service = kubectl.object(&namespace.args(&["get", "service", name]));
                let ip = &service["status"]["loadBalancer"]["ingress"][index]["ip"];
                ip.as_str()
                    .map(str::to_owned)
                    .ok_or_else(|| service["status"].to_string())
            });
            let host = if address.contains(':') {
                format!("[{address}]")
            } else {
                address
            };
            await_answer(kubectl, &host);
        }
    }
}

fn backend(name: &str, app: &str, node: &str) -> Value {
    let mut pod = server(name, node);
    pod["metadata"]["labels"]["app"] = app.into();
    pod
}

fn on_the_host_network(mut pod: Value) -> Value {
    let spec = &mut pod["spec"];
    spec["hostNetwork"] = true.into();
    let web = &mut spec["containers"][0];
    web["args"] = json!(["serve", "--port", HOST_PORT.to_string()]);
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

/// Every Service. Names are BACKENDS-TYPE-POLICIES: `el` is externalTrafficPolicy Local, and `il` is
/// internalTrafficPolicy Local.
fn all() -> Vec<Value> {
    let mut services = Vec::new();
    for backends in BACKENDS {
        for policies in [[false, false], [false, true]] {
            services.push(service(backends, "cip", policies, &json!({})));
        }
        services.push(service(
            backends,
            "headless",
            [false; 2],
            &json!({"clusterIP": "None"}),
        ));
        for policies in [[false, false], [false, true], [true, false], [true, true]] {
            services.push(service(
                backends,
                "np",
                policies,
                &json!({"type": "NodePort"}),
            ));
            services.push(service(
                backends,
                "lb",
                policies,
                &json!({"type": "LoadBalancer"}),
            ));
        }
        for external_local in [false, true] {
            let number = services.len();
            let addresses = json!([
                format!("203.0.113.{number}"),
                format!("2001:db8::{number:x}")
            ]);
            let spec = json!({"externalIPs": addresses});
            services.push(service(backends, "xip", [external_local, false], &spec));
        }
    }
    for external_local in [false, true] {
        services.extend(special(external_local));
    }
    services
}

/// Services with fields that the others leave out.
fn special(external_local: bool) -> Vec<Value> {
    let mut services = Vec::new();
    let mut add = |backends: &str, kind: &str, spec: Value| {
        services.push(service(backends, kind, [external_local, false], &spec));
    };
    for (name, ranges) in [
        (
            "ranges-client",
            ["192.168.60.100/32", "fd00:60:0:1::100/128"],
        ),
        ("ranges-pods", ["172.20.0.0/16", "fd00:60:a::/48"]),
    ] {
        let spec = json!({"type": "LoadBalancer", "loadBalancerSourceRanges": ranges});
        add("one", name, spec);
    }
    for family in ["IPv4", "IPv6"] {
        for (name, kind) in [("np", "NodePort"), ("lb", "LoadBalancer")] {
            let spec =
                json!({"type": kind, "ipFamilyPolicy": "SingleStack", "ipFamilies": [family]});
            add("one", &format!("{name}-{}", family.to_lowercase()), spec);
        }
    }
    let ports = json!([{"name": "http", "port": 80, "targetPort": "web"}]);
    add("one", "named", json!({"type": "NodePort", "ports": ports}));
    let ports = json!([
        {"name": "http", "port": 80, "targetPort": 8080},
        {"name": BROKEN, "port": 81, "targetPort": 9},
    ]);
    add("one", "broken", json!({"type": "NodePort", "ports": ports}));
    add(
        "two",
        "affinity",
        json!({"type": "NodePort", "sessionAffinity": "ClientIP"}),
    );
    services
}

fn service(
    backends: &str,
    kind: &str,
    [external_local, internal_local]: [bool; 2],
    spec: &Value,
) -> Value {
    let mut name = format!("{backends}-{kind}");
    let http = if backends == "host" { HOST_PORT } else { 8080 };
    let mut ports = vec![json!({"name": "http", "port": 80, "targetPort": http})];
    if backends == "one" {
        ports.push(json!({"name": "udp", "port": 80, "protocol": "UDP", "targetPort": 5353}));
    }
    let mut all = json!({
        "selector": {"app": backends}, "ipFamilyPolicy": "RequireDualStack", "ports": ports,
    });
    for (key, value) in spec.as_object().into_iter().flatten() {
        all[key] = value.clone();
    }
    if backends == "manual" {
        all["selector"] = Value::Null;
    }
    if external_local {
        all["externalTrafficPolicy"] = "Local".into();
        name.push_str("-el");
    }
    if internal_local {
        all["internalTrafficPolicy"] = "Local".into();
        name.push_str("-il");
    }
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {
            "name": name, "labels": {"service": name},
            // A dedicated load balancer: the node sees the client's own address. Upstream's kube-proxy passes nothing
            // through to it, which the model knows by the second annotation only.
            "annotations": {"kubernetes.io/elb.class": "performance", "kubernetes.io/elb.pass-through": "false"},
        },
        "spec": all,
    })
}

/// The EndpointSlices of a Service without a selector, one for each family. They name no node.
fn manual_slices(service: &Value, pod: &Value) -> Vec<Value> {
    if !service["spec"]["selector"].is_null() {
        return Vec::new();
    }
    let name = service["metadata"]["name"].as_str().unwrap();
    let addresses = pod["status"]["podIPs"].as_array().unwrap().iter();
    addresses
        .map(|address| {
            let address = address["ip"].as_str().unwrap();
            let family = if address.contains(':') {
                "IPv6"
            } else {
                "IPv4"
            };
            json!({
                "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
                "metadata": {
                    "name": format!("{name}-{}", family.to_lowercase()),
                    "labels": {"kubernetes.io/service-name": name},
                },
                "addressType": family,
                "endpoints": [{"addresses": [address], "conditions": {"ready": true}}],
                "ports": [{"name": "http", "port": 8080}],
            })
        })
        .collect()
}

/// Waits until Kubernetes has written the endpoints of every Service with a selector, and knows that a pod is ending.
fn await_slices(kubectl: &Kubectl, namespace: &Namespace) {
    until("endpoints of every Service", READY, || {
        let slices = kubectl.object(&namespace.args(&["get", "endpointslices"]));
        let mut missing = Vec::new();
        for service in all() {
            let name = service["metadata"]["name"].as_str().unwrap();
            let wanted = match service["spec"]["selector"]["app"].as_str() {
                Some("none") | None => 0,
                Some("two") => 2,
                Some(_) => 1,
            };
            let families = service["spec"]["ipFamilies"].as_array().map_or(2, Vec::len);
            let of =
                |slice: &&Value| slice["metadata"]["labels"]["kubernetes.io/service-name"] == name;
            let slices = slices["items"].as_array().into_iter().flatten().filter(of);
            let endpoints =
                slices.flat_map(|slice| slice["endpoints"].as_array().into_iter().flatten());
            let ending = service["spec"]["selector"]["app"] == "ending";
            let fits = |endpoint: &&Value| {
                let conditions = &endpoint["conditions"];
                conditions["serving"] == true && conditions["terminating"] == ending
            };
            if endpoints.filter(fits).count() < wanted * families {
                missing.push(name.to_owned());
            }
        }
        if missing.is_empty() {
            Ok(())
        } else {
            Err(missing.join(" "))
        }
    });
}
