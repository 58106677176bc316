//! Web servers on chosen nodes, and Services in front of them.

use crate::{kubectl::Kubectl, namespace::Namespace, wait::until};
use serde_json::{Value, json};
use std::{process::Command, time::Duration};

/// The probe's image. It can also act as the web server.
pub const IMAGE: &str = svc_reach_common::names::IMAGE;

/// How long a web server may take to become ready.
const READY: Duration = Duration::from_secs(180);

/// Names of the Ready nodes without taints that are not cordoned, sorted.
#[must_use]
pub fn nodes(kubectl: &Kubectl) -> Vec<String> {
    let list = kubectl.object(&["get", "nodes"]);
    let ready = |node: &&Value| {
        let conditions = node["status"]["conditions"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        conditions
            .iter()
            .any(|c| c["type"] == "Ready" && c["status"] == "True")
            && node["spec"]["unschedulable"] != true
            && node["spec"]["taints"].is_null()
    };
    let mut names: Vec<String> = list["items"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(ready)
        .filter_map(|node| node["metadata"]["name"].as_str().map(str::to_owned))
        .collect();
    names.sort();
    names
}

/// A pod that answers HTTP on ports 8080 and 8081, and UDP on port 5353.
#[must_use]
pub fn server(name: &str, node: &str) -> Value {
    let field = |path: &str| json!({"fieldRef": {"fieldPath": path}});
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": "web"}},
        "spec": {
            "nodeName": node,
            "terminationGracePeriodSeconds": 1,
            "securityContext": {"runAsNonRoot": true, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{
                "name": "web",
                "image": IMAGE,
                "args": ["serve", "--port", "8080", "--port", "8081", "--udp-port", "5353"],
                "env": [
                    {"name": "POD_NAME", "valueFrom": field("metadata.name")},
                    {"name": "NODE_NAME", "valueFrom": field("spec.nodeName")},
                ],
                "ports": [{"name": "web", "containerPort": 8080}],
                "readinessProbe": {"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 1},
                "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
            }],
        },
    })
}

/// The Service `web` on port 80. Fields of `spec` replace the defaults.
#[must_use]
pub fn service(spec: &Value) -> Value {
    let mut service = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "web"},
        "spec": {"selector": {"app": "web"}, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]},
    });
    for (key, value) in spec.as_object().into_iter().flatten() {
        service["spec"][key] = value.clone();
    }
    service
}

/// Deploys one server on each of the nodes and the Service, and waits until every server is a ready endpoint.
pub fn deploy(kubectl: &Kubectl, namespace: &Namespace, nodes: &[&str], service: &Value) {
    let mut items = vec![service.clone()];
    items.extend(
        nodes
            .iter()
            .enumerate()
            .map(|(i, node)| server(&format!("web-{i}"), node)),
    );
    apply(kubectl, namespace, items);
    await_endpoints(kubectl, namespace, nodes.len());
    // kube-proxy ignores headless Services.
    if service["spec"]["clusterIP"] != "None" {
        await_proxies(kubectl, namespace, nodes.len());
    }
}

/// As [`deploy`], with a Service of this name that selects only its own servers.
pub fn deploy_named(
    kubectl: &Kubectl,
    namespace: &Namespace,
    name: &str,
    nodes: &[&str],
    spec: &Value,
) {
    let mut service = service(spec);
    service["metadata"]["name"] = name.into();
    service["metadata"]["labels"] = json!({"app": name});
    service["spec"]["selector"] = json!({"app": name});
    let mut items = vec![service];
    for (index, node) in nodes.iter().enumerate() {
        let mut server = server(&format!("{name}-{index}"), node);
        server["metadata"]["labels"]["app"] = name.into();
        items.push(server);
    }
    apply(kubectl, namespace, items);
    await_endpoints_of(kubectl, namespace, name, nodes.len());
    if spec["clusterIP"] != "None" {
        await_proxies_of(kubectl, namespace, name, nodes.len());
    }
}

/// As [`await_proxies_of`], for the Service `web`.
pub fn await_proxies(kubectl: &Kubectl, namespace: &Namespace, count: usize) {
    await_proxies_of(kubectl, namespace, "web", count);
}

/// Waits until kube-proxy on every node has rules for `count` endpoints of a Service. If `count` is 0, it waits for the
/// rule that rejects connections instead. Without the test cluster the rules cannot be read, and this does not wait.
///
/// kube-proxy is usually faster than a probe starts, but not on a busy machine.
///
/// # Panics
///
/// If the rules do not appear in time.
pub fn await_proxies_of(kubectl: &Kubectl, namespace: &Namespace, service: &str, count: usize) {
    let Some(testbed) = kubectl.testbed_if_any() else {
        return;
    };
    let service = format!("{}/{service}", namespace.name);
    until("rules for the endpoints on every node", READY, || {
        for node in nodes(kubectl) {
            let output = Command::new(testbed)
                .args(["enter", &node, "sh", "-c", READ_RULES])
                .output();
            let rules = output.map_err(|error| error.to_string())?.stdout;
            let rules = String::from_utf8_lossy(&rules);
            let found = if count == 0 {
                refusals(&rules, &service)
            } else {
                endpoints(&rules, &service)
            };
            let wanted = count.max(1);
            if found < wanted {
                return Err(format!("{found} of {wanted} for {service} on {node}"));
            }
        }
        Ok(())
    });
}

/// Prints kube-proxy's rules of IPv4. In iptables mode, there is no table of nftables.
pub const READ_RULES: &str = "iptables-save; nft list table ip kube-proxy 2>/dev/null";

/// How many rules refuse connections to a Service because it has no endpoint
/// (kubernetes/kubernetes v1.20.2 `pkg/proxy/iptables/proxier.go`, v1.37.2 `pkg/proxy/nftables/proxier.go`).
fn refusals(rules: &str, service: &str) -> usize {
    let comment = format!("\"{service}");
    let refuses = |line: &&str| {
        let iptables = line.starts_with("-A KUBE-") && line.contains("-j REJECT");
        line.contains(&comment) && (iptables || line.contains("goto reject-chain"))
    };
    rules.lines().filter(refuses).count()
}

/// How many endpoints of a Service have rules (the same sources). In nftables mode, one rule of the Service's chain has
/// all endpoints: `dnat to` one of them, or `numgen random mod N` and a map.
fn endpoints(rules: &str, service: &str) -> usize {
    let (comment, chain) = (format!("\"{service}"), format!("-{service}/"));
    let mut within = false;
    let mut found = 0;
    for line in rules.lines().map(str::trim) {
        if line.starts_with("chain ") {
            within = line.starts_with("chain service-") && line.contains(&chain);
        } else if within {
            let several = line.split_once(" mod ").map(|(_, rest)| rest);
            let several = several.and_then(|rest| rest.split(' ').next()?.parse::<usize>().ok());
            found += several.unwrap_or(usize::from(line.contains("dnat to ")));
        } else if line.starts_with("-A KUBE-SEP-") {
            found += usize::from(line.contains(&comment) && line.contains("-j DNAT"));
        }
    }
    found
}

/// Applies objects in the namespace.
pub fn apply(kubectl: &Kubectl, namespace: &Namespace, mut items: Vec<Value>) {
    for item in &mut items {
        item["metadata"]["namespace"] = namespace.name.clone().into();
    }
    kubectl.apply(&json!({"apiVersion": "v1", "kind": "List", "items": items}));
}

/// As [`await_endpoints_of`], for the Service `web`.
pub fn await_endpoints(kubectl: &Kubectl, namespace: &Namespace, count: usize) {
    await_endpoints_of(kubectl, namespace, "web", count);
}

/// Waits until a Service has exactly `count` ready endpoints.
pub fn await_endpoints_of(kubectl: &Kubectl, namespace: &Namespace, service: &str, count: usize) {
    until("ready endpoints", READY, || {
        // The controller creates the Endpoints a moment after the Service, so the first reads may fail.
        let output = kubectl.run(&namespace.args(&["get", "endpoints", service, "-o", "json"]));
        let endpoints: Value =
            serde_json::from_str(&output.stdout).map_err(|_| output.to_string())?;
        let ready = endpoints["subsets"][0]["addresses"]
            .as_array()
            .map_or(0, Vec::len);
        if ready == count {
            Ok(())
        } else {
            Err(format!(
                "{ready} of {count} endpoints are ready: {endpoints}"
            ))
        }
    });
}

/// As [`load_balancer_of`], for the Service `web`.
#[must_use]
pub fn load_balancer(kubectl: &Kubectl, namespace: &Namespace) -> String {
    load_balancer_of(kubectl, namespace, "web")
}

/// Waits until the load balancer of a Service has an IP or a host name, and returns it.
#[must_use]
pub fn load_balancer_of(kubectl: &Kubectl, namespace: &Namespace, service: &str) -> String {
    until("an address of the load balancer", READY, || {
        let service = kubectl.object(&namespace.args(&["get", "service", service]));
        let ingress = &service["status"]["loadBalancer"]["ingress"][0];
        let address = ingress["ip"]
            .as_str()
            .or_else(|| ingress["hostname"].as_str());
        address
            .map(str::to_owned)
            .ok_or_else(|| service["status"].to_string())
    })
}

/// Waits until a load balancer of the test cluster answers its client. The load balancer takes a moment to find its
/// backends.
pub fn await_answer(kubectl: &Kubectl, address: &str) {
    let url = format!("http://{address}/");
    until("an answer from the load balancer", READY, || {
        let output = Command::new(kubectl.testbed())
            .args(["enter", "client", "curl", "-sS", "-m", "1"])
            .args(["-o", "/dev/null", &url])
            .output()
            .map_err(|error| error.to_string())?;
        if output.status.success() {
            Ok(())
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    });
}

/// A pod with nginx on a node. `says`: what it does with a request, as directives. Returns its address.
pub fn front(kubectl: &Kubectl, namespace: &Namespace, node: &str, says: &str) -> String {
    let conf = format!(
        "user root; pid /run/nginx.pid; error_log /dev/stderr; events {{}}\n\
         http {{ access_log off; server {{ listen 80; location / {{ {says} }} }} }}\n"
    );
    let settings = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "front"}, "data": {"nginx.conf": conf},
    });
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "front"},
        "spec": {
            "nodeName": node,
            "terminationGracePeriodSeconds": 1,
            "containers": [{
                "name": "nginx", "image": "nginx:1.22",
                "readinessProbe": {"tcpSocket": {"port": 80}, "periodSeconds": 1},
                "volumeMounts": [{"name": "conf", "mountPath": "/etc/nginx/nginx.conf", "subPath": "nginx.conf"}],
            }],
            "volumes": [{"name": "conf", "configMap": {"name": "front"}}],
        },
    });
    apply(kubectl, namespace, vec![settings, pod]);
    namespace.kubectl(&[
        "wait",
        "--for=condition=Ready",
        "pod/front",
        "--timeout=180s",
    ]);
    text(kubectl, namespace, ["pod", "front", "/status/podIP"])
}

/// The text of a field of an object: its kind, its name, and the JSON pointer of the field.
///
/// # Panics
///
/// If the object does not have the field.
#[must_use]
#[expect(clippy::panic, reason = "a missing field must fail the test")]
pub fn text(kubectl: &Kubectl, namespace: &Namespace, [kind, name, field]: [&str; 3]) -> String {
    let object = kubectl.object(&namespace.args(&["get", kind, name]));
    let value = object.pointer(field);
    let value = value.unwrap_or_else(|| panic!("{kind} {name} has no {field}"));
    value.as_str().map_or(value.to_string(), str::to_owned)
}
