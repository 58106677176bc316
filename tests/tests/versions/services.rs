//! Services of every type, policy and family, in front of backends of every sort.

use crate::{
    backends::{self, Sort},
    families::Families,
};
use serde_json::{Value, json};
use std::time::Duration;
use svc_reach_common::position::Position;
use svc_reach_tests::{
    fixture::{apply, await_answer},
    kubectl::Kubectl,
    namespace::Namespace,
    wait::until,
};

/// Time limit for endpoints and load balancers.
const READY: Duration = Duration::from_secs(600);

/// Name of a Service's port on which its backends do not listen.
pub const BROKEN: &str = "broken";

/// Label of the Services that are also checked with a setting of kube-proxy.
pub const SETTINGS: &str = "settings";

/// Label of a Service that kube-proxy leaves to another proxy.
pub const OTHER_PROXY: &str = "service.kubernetes.io/service-proxy-name";

/// A Service to check.
#[derive(Debug, Clone)]
pub struct Case {
    /// The Service.
    pub object: Value,
    /// Its backends.
    pub sort: Sort,
}

impl Case {
    /// A Service. Fields of `spec` replace the defaults.
    pub fn new(name: &str, sort: Sort, families: &Families, spec: &Value) -> Self {
        let ports = json!([{"name": "http", "port": 80, "targetPort": sort.http_port()}]);
        let mut all = families.of_service();
        all["selector"] = json!({"app": sort.name()});
        all["ports"] = ports;
        for (key, value) in spec.as_object().into_iter().flatten() {
            all[key] = value.clone();
        }
        if sort == Sort::Manual {
            all["selector"] = Value::Null;
        }
        let object = json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {
                "name": name, "labels": {"service": name},
                // A dedicated load balancer: the node sees the client's own address. Upstream's kube-proxy passes
                // nothing through to it, which the model knows by the second annotation only.
                "annotations": {
                    "kubernetes.io/elb.class": "performance",
                    "kubernetes.io/elb.pass-through": "false",
                },
            },
            "spec": all,
        });
        Self { object, sort }
    }

    fn annotated(mut self, key: &str, value: &str) -> Self {
        self.object["metadata"]["annotations"][key] = value.into();
        self
    }

    /// With a load balancer whose addresses kube-proxy leaves alone.
    pub fn proxied(self) -> Self {
        self.annotated("svcr.test/ip-mode", "Proxy")
    }

    /// With a load balancer that changes the client's address.
    pub fn shared(self) -> Self {
        self.annotated("kubernetes.io/elb.class", "union")
    }

    /// With a load balancer that is known by a name.
    pub fn named(self) -> Self {
        self.annotated("kubernetes.io/elb.pass-through", "true")
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.object["metadata"]["name"].as_str().unwrap_or_default()
    }

    /// Whether the slices of its endpoints call them ready.
    fn publishes(&self) -> bool {
        match self.sort {
            Sort::One | Sort::Two | Sort::Each | Sort::Host | Sort::Manual => true,
            Sort::Ending | Sort::Unready => self.object["spec"]["publishNotReadyAddresses"] == true,
            Sort::None => false,
        }
    }

    /// Why a position does not exist. `None`: it does.
    pub fn absence(&self, position: Position) -> Option<&'static str> {
        let beside = position.beside_backend()?;
        match (self.sort, beside) {
            (Sort::Each, false) => Some("every node runs a backend"),
            (Sort::Manual, true) => Some("no ready endpoint names its node"),
            (_, true) if !self.publishes() => Some("the Service has no ready endpoint"),
            (_, true | false) => None,
        }
    }

    fn families(&self) -> usize {
        let families = self.object["spec"]["ipFamilies"].as_array();
        families.map_or(0, Vec::len)
    }

    /// Whether its load balancer surely answers a client outside on port 80, once it has found the backends.
    fn answers_outside(&self) -> bool {
        let spec = &self.object["spec"];
        let serves = matches!(self.sort, Sort::One | Sort::Two | Sort::Each | Sort::Host);
        serves
            && spec["externalTrafficPolicy"] == "Local"
            && spec["loadBalancerSourceRanges"].is_null()
            && spec["allocateLoadBalancerNodePorts"].is_null()
            && spec["ports"][0]["name"] == "http"
            && self.object["metadata"]["labels"][OTHER_PROXY].is_null()
    }

    fn is_balanced(&self) -> bool {
        self.object["spec"]["type"] == "LoadBalancer"
    }
}

/// Every Service. Names are BACKENDS-TYPE-POLICIES: `el` is externalTrafficPolicy Local, and `il` is
/// internalTrafficPolicy Local.
pub fn all(families: &Families) -> Vec<Case> {
    let sorts = [
        Sort::One,
        Sort::Two,
        Sort::Host,
        Sort::Ending,
        Sort::Manual,
        Sort::None,
    ];
    let mut cases = Vec::new();
    for sort in sorts {
        let mut add = |kind: &str, policies: [bool; 2], spec: Value| {
            cases.push(with_policies(sort, kind, policies, families, spec));
        };
        for policies in [[false, false], [false, true]] {
            add("cip", policies, json!({}));
        }
        add("headless", [false; 2], json!({"clusterIP": "None"}));
        for policies in [[false, false], [false, true], [true, false], [true, true]] {
            add("np", policies, json!({"type": "NodePort"}));
            add("lb", policies, json!({"type": "LoadBalancer"}));
        }
    }
    for (sort, number) in sorts.into_iter().zip(1_u8..) {
        for (external_local, number) in [(false, number), (true, number + 100)] {
            let addresses = families.choose(
                format!("203.0.113.{number}"),
                format!("2001:db8::{number:x}"),
            );
            let spec = json!({"externalIPs": addresses});
            cases.push(with_policies(
                sort,
                "xip",
                [external_local, false],
                families,
                spec,
            ));
        }
    }
    for external_local in [false, true] {
        cases.extend(special(families, external_local));
    }
    cases
}

/// Services with fields that the others leave out.
fn special(families: &Families, external_local: bool) -> Vec<Case> {
    let mut cases = Vec::new();
    let case = |sort: Sort, kind: &str, spec: Value| {
        with_policies(sort, kind, [external_local, false], families, spec)
    };
    // A range of a family that the cluster does not have matches nothing.
    for (name, ranges) in [
        (
            "ranges-client",
            ["192.168.60.100/32", "fd00:60:0:1::100/128"],
        ),
        ("ranges-pods", ["172.20.0.0/16", "fd00:60:a::/48"]),
    ] {
        let spec = json!({"type": "LoadBalancer", "loadBalancerSourceRanges": ranges});
        cases.push(case(Sort::One, name, spec));
    }
    if families.are_two() {
        for family in families.all() {
            for (name, kind) in [("np", "NodePort"), ("lb", "LoadBalancer")] {
                let spec =
                    json!({"type": kind, "ipFamilyPolicy": "SingleStack", "ipFamilies": [family]});
                let name = format!("{name}-{}", family.to_lowercase());
                cases.push(case(Sort::One, &name, spec));
            }
        }
    }
    let balanced = || json!({"type": "LoadBalancer"});
    cases.push(case(Sort::Two, "proxied", balanced()).proxied());
    cases.push(case(Sort::Two, "shared", balanced()).shared());
    cases.push(case(Sort::Two, "balancer-name", balanced()).named());
    let ports = json!([{"name": "http", "port": 80, "targetPort": "web"}]);
    cases.push(case(
        Sort::One,
        "named",
        json!({"type": "NodePort", "ports": ports}),
    ));
    let ports = json!([
        {"name": "http", "port": 80, "targetPort": 8080},
        {"name": BROKEN, "port": 81, "targetPort": 9},
    ]);
    cases.push(case(
        Sort::One,
        "broken",
        json!({"type": "NodePort", "ports": ports}),
    ));
    let spec = json!({"type": "NodePort", "sessionAffinity": "ClientIP"});
    cases.push(case(Sort::Two, "affinity", spec));
    cases
}

fn with_policies(
    sort: Sort,
    kind: &str,
    [external_local, internal_local]: [bool; 2],
    families: &Families,
    mut spec: Value,
) -> Case {
    let mut name = format!("{}-{kind}", sort.name());
    if external_local {
        spec["externalTrafficPolicy"] = "Local".into();
        name.push_str("-el");
    }
    if internal_local {
        spec["internalTrafficPolicy"] = "Local".into();
        name.push_str("-il");
    }
    if sort == Sort::One && spec["ports"].is_null() {
        spec["ports"] = json!([
            {"name": "http", "port": 80, "targetPort": sort.http_port()},
            {"name": "udp", "port": 80, "protocol": "UDP", "targetPort": 5353},
        ]);
    }
    let mut case = Case::new(&name, sort, families, &spec);
    if kind == "np" && matches!(sort, Sort::One | Sort::Two) {
        case.object["metadata"]["labels"][SETTINGS] = "true".into();
    }
    case
}

/// Creates the Services, and waits until Kubernetes has written the endpoints of each.
pub fn create(kubectl: &Kubectl, namespace: &Namespace, cases: &[Case]) {
    let pods = backends::list(kubectl, namespace);
    let mut objects: Vec<Value> = cases.iter().map(|case| case.object.clone()).collect();
    for case in cases.iter().filter(|case| case.sort == Sort::Manual) {
        if let Some(pod) = pods.iter().find(|pod| pod.name == "one-0") {
            objects.extend(backends::manual_slices(&case.object, pod));
        }
    }
    apply(kubectl, namespace, objects);
    backends::begin_to_end(namespace);
    await_slices(kubectl, namespace, cases);
}

fn await_slices(kubectl: &Kubectl, namespace: &Namespace, cases: &[Case]) {
    until("endpoints of every Service", READY, || {
        let slices = kubectl.object(&namespace.args(&["get", "endpointslices"]));
        let mut missing = Vec::new();
        for case in cases {
            let of = |slice: &&Value| {
                slice["metadata"]["labels"]["kubernetes.io/service-name"] == case.name()
            };
            let slices = slices["items"].as_array().into_iter().flatten().filter(of);
            let endpoints =
                slices.flat_map(|slice| slice["endpoints"].as_array().into_iter().flatten());
            let fits = |endpoint: &&Value| {
                let conditions = &endpoint["conditions"];
                conditions["ready"] == case.publishes()
                    && conditions["terminating"] == (case.sort == Sort::Ending)
            };
            if endpoints.filter(fits).count() < case.sort.pods() * case.families() {
                missing.push(case.name());
            }
        }
        if missing.is_empty() {
            Ok(())
        } else {
            Err(missing.join(" "))
        }
    });
}

/// Waits until every load balancer has its addresses and answers a client outside, if it should. A load balancer finds
/// its backends by a health check of the nodes, which fails for a moment when a kube-proxy is replaced.
pub fn await_balancers(kubectl: &Kubectl, namespace: &Namespace, cases: &[Case]) {
    let addresses = until("the addresses of the load balancers", READY, || {
        let list = kubectl.object(&namespace.args(&["get", "services"]));
        let items = list["items"].as_array().map_or(&[][..], Vec::as_slice);
        let mut answering = Vec::new();
        for case in cases.iter().filter(|case| case.is_balanced()) {
            let item = items
                .iter()
                .find(|item| item["metadata"]["name"] == case.name());
            let status = item.map_or(&Value::Null, |item| &item["status"]["loadBalancer"]);
            let ingress = status["ingress"].as_array().map_or(&[][..], Vec::as_slice);
            if ingress.len() != case.families() {
                return Err(format!("{}: {status}", case.name()));
            }
            if case.answers_outside() {
                let ips = ingress.iter().filter_map(|ingress| ingress["ip"].as_str());
                answering.extend(ips.map(str::to_owned));
            }
        }
        Ok(answering)
    });
    for address in addresses {
        if address.contains(':') {
            await_answer(kubectl, &format!("[{address}]"));
        } else {
            await_answer(kubectl, &address);
        }
    }
}
