//! Tests of `explain`, from the dump to the printed answer.

mod reports;

use super::{
    answer::{ExplainQuery, ExplainReply, answer},
    args::ExplainArgs,
    dump::{Dump, Source, read_files},
    flows, table,
};
use crate::survey::kube_proxy::{LocalDetector, ProxyOverrides, Settings};
use clap::Parser;
use serde_json::{Value, json};
use std::path::Path;
use svc_reach_common::{
    model::{Detector, NodePortAddresses},
    proxy_mode::ProxyMode,
};

#[derive(Debug, Parser)]
struct Cli {
    #[command(flatten)]
    args: ExplainArgs,
}

fn args(words: &[&str]) -> ExplainArgs {
    Cli::try_parse_from(std::iter::once(&"explain").chain(words))
        .unwrap()
        .args
}

fn overrides(words: &[&str]) -> ProxyOverrides {
    let mut all = vec!["web"];
    all.extend(words);
    args(&all).proxy.overrides().unwrap()
}

fn source(text: impl Into<String>) -> Source {
    Source {
        name: "dump".to_owned(),
        text: text.into(),
    }
}

fn dump(objects: &Value) -> Dump {
    Dump::parse(&[source(objects.to_string())]).unwrap()
}

fn node(name: &str, address: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name},
           "status": {"addresses": [{"type": "InternalIP", "address": address}],
                      "conditions": [{"type": "Ready", "status": "True"}],
                      "nodeInfo": {"kubeProxyVersion": "v1.20.2", "kubeletVersion": "v1.20.2"}}})
}

fn service(spec: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "shop"}, "spec": spec})
}

fn slice(version: &str, endpoints: &Value) -> Value {
    json!({"apiVersion": format!("discovery.k8s.io/{version}"), "kind": "EndpointSlice", "addressType": "IPv4",
           "metadata": {"name": "web-1", "namespace": "shop", "labels": {"kubernetes.io/service-name": "web"}},
           "ports": [{"name": "", "port": 8080, "protocol": "TCP"}], "endpoints": endpoints})
}

/// A Service with policy Local, its backend on `n1`, and kube-proxy as kubeadm configures it.
fn shop() -> Vec<Value> {
    vec![
        service(
            &json!({"type": "NodePort", "clusterIP": "10.96.0.7", "externalTrafficPolicy": "Local",
                        "ports": [{"port": 80, "nodePort": 30080}]}),
        ),
        slice(
            "v1beta1",
            &json!([{"addresses": ["10.244.1.5"], "conditions": {"ready": true},
                     "topology": {"kubernetes.io/hostname": "n1"}}]),
        ),
        node("n1", "172.30.0.11"),
        node("n2", "172.30.0.12"),
        node("n3", "172.30.0.13"),
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "kube-proxy", "namespace": "kube-system"},
               "data": {"config.conf": "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n\
                                        clusterCIDR: 10.244.0.0/16\nmode: \"\"\niptables:\n  masqueradeAll: false\n",
                        "kubeconfig.conf": "apiVersion: v1\nkind: Config\n"}}),
    ]
}

fn ask(dump: &Dump, overrides: &ProxyOverrides, flow: &Value) -> Value {
    let queries = flows::parse(&json!([flow]).to_string()).unwrap();
    match answer(dump, overrides, &ExplainQuery::Flows(queries)).unwrap() {
        ExplainReply::Flows(answers) => serde_json::to_value(&answers[0]).unwrap(),
        ExplainReply::Explanation(_) => panic!("flows were asked"),
    }
}

fn flow() -> Value {
    json!({"id": "f1", "node": "n2", "client": "pod", "clientIp": "10.244.2.9",
           "to": {"ip": "172.30.0.12", "port": 30080, "protocol": "TCP"}})
}

#[test]
fn flow_answers_have_the_documented_shape() {
    let dump = dump(&json!({"apiVersion": "v1", "kind": "List", "items": shop()}));
    let mut answered = ask(&dump, &ProxyOverrides::default(), &flow());
    let why = answered["why"].take();
    assert_eq!(
        answered,
        json!({"id": "f1", "action": "endpoints", "endpoints": ["10.244.1.5:8080"], "masquerade": false, "why": null})
    );
    for why in why.as_array().unwrap() {
        assert!(why["rule"].is_string(), "{why}");
        assert!(
            why["source"]
                .as_str()
                .unwrap()
                .starts_with("kubernetes/kubernetes v1.20.2 "),
            "{why}"
        );
    }
    // Without the cluster CIDR, kube-proxy cannot recognise a pod as a client, and this node has no endpoint.
    let anybody = ask(&dump, &overrides(&["--cluster-cidr="]), &flow());
    assert_eq!(
        (&anybody["action"], &anybody["masquerade"]),
        (&json!("drop"), &Value::Null)
    );
    let ipvs = overrides(&["--proxy-mode=ipvs", "--kubernetes-version=1.24"]);
    assert_eq!(ask(&dump, &ipvs, &flow())["action"], "endpoints");
    assert_eq!(
        ask(&dump, &overrides(&["--proxy-mode=ipvs"]), &flow())["action"],
        "reject"
    );
}

#[test]
fn errors_name_the_invalid_flow() {
    let dump = dump(&json!(shop()));
    let mut elsewhere = flow();
    elsewhere["node"] = json!("n9");
    let queries = flows::parse(&json!([flow(), elsewhere]).to_string()).unwrap();
    let error = answer(
        &dump,
        &ProxyOverrides::default(),
        &ExplainQuery::Flows(queries),
    )
    .unwrap_err();
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert_eq!(error.to_string(), "failed to answer flow f1");
    assert_eq!(cause, r#"unknown node "n9", expected one of: n1, n2, n3"#);
    let unknown =
        flows::parse(r#"[{"node": "n1", "client": "robot", "to": {"ip": "1.2.3.4", "port": 1}}]"#);
    assert!(
        unknown
            .unwrap_err()
            .to_string()
            .contains("expected one of: host, pod, external")
    );
    let ebpf = answer(
        &dump,
        &overrides(&["--proxy-mode=ebpf"]),
        &ExplainQuery::Flows(flows::parse(&json!([flow()]).to_string()).unwrap()),
    );
    assert!(ebpf.is_err(), "this proxy is not modelled");
}

#[test]
fn one_packet_reads_like_ip_route_get() {
    let dump = dump(&json!(shop()));
    let args = args(&[
        "--to",
        "172.30.0.12:30080/tcp",
        "--client",
        "external",
        "--node",
        "n2",
    ]);
    let question = args
        .question("shop", |name| Ok(name.to_owned()), None)
        .unwrap();
    let ExplainReply::Flows(answers) =
        answer(&dump, &args.proxy.overrides().unwrap(), &question).unwrap()
    else {
        panic!("a packet was asked");
    };
    assert_eq!(
        answers[0].text(),
        "drop: the packet is discarded and the client times out\n  \
         the node that the packet arrives at handles the node port, by externalTrafficPolicy\n    \
         kubernetes/kubernetes v1.20.2 pkg/proxy/iptables/proxier.go\n  \
         externalTrafficPolicy Local: there are endpoints, but none on this node: dropped\n    \
         kubernetes/kubernetes v1.20.2 pkg/proxy/iptables/proxier.go"
    );
}

/// A dump gives the same result in every form.
#[test]
fn a_dump_may_have_any_form() {
    let objects = shop();
    let items = || Value::Array(objects.clone());
    let yaml = |object: &Value| {
        // JSON is YAML, but a document that does not begin with a bracket has to be read as YAML.
        format!("---\n# an object\n{}", as_yaml(object, 0))
    };
    let by_kind: Vec<Source> = ["Service", "EndpointSlice", "Node", "ConfigMap"]
        .iter()
        .map(|kind| {
            let mut of_kind: Vec<Value> = objects
                .iter()
                .filter(|object| object["kind"] == *kind)
                .cloned()
                .collect();
            for object in &mut of_kind {
                object.as_object_mut().unwrap().remove("kind");
            }
            source(json!({"kind": format!("{kind}List"), "items": of_kind}).to_string())
        })
        .collect();
    let forms: Vec<(&str, Vec<Source>)> = vec![
        (
            "a list",
            vec![source(
                json!({"kind": "List", "apiVersion": "v1", "items": items()}).to_string(),
            )],
        ),
        ("an array", vec![source(items().to_string())]),
        (
            "objects one after the other",
            vec![source(
                objects
                    .iter()
                    .map(Value::to_string)
                    .collect::<Vec<_>>()
                    .join("\n"),
            )],
        ),
        ("lists of one kind each", by_kind),
        (
            "YAML documents",
            vec![source(
                objects.iter().map(yaml).collect::<Vec<_>>().join("\n"),
            )],
        ),
        (
            "a YAML list",
            vec![source(yaml(
                &json!({"kind": "List", "apiVersion": "v1", "items": items()}),
            ))],
        ),
        (
            "one file for each object",
            objects
                .iter()
                .map(|object| source(object.to_string()))
                .collect(),
        ),
    ];
    for (name, sources) in forms {
        let dump = Dump::parse(&sources).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(dump.problems, Vec::<String>::new(), "{name}");
        assert_eq!(dump.nodes.len(), 3, "{name}");
        assert_eq!(dump.services[0].1.len(), 1, "{name}: endpoints");
        assert_eq!(
            dump.proxy_config
                .as_ref()
                .map(|config| config.source.as_str()),
            Some("ConfigMap kube-system/kube-proxy, config.conf"),
            "{name}"
        );
        assert_eq!(
            ask(&dump, &ProxyOverrides::default(), &flow())["endpoints"],
            json!(["10.244.1.5:8080"]),
            "{name}"
        );
    }
}

/// YAML in block style, as kubectl writes it.
fn as_yaml(value: &Value, indent: usize) -> String {
    let pad = " ".repeat(indent);
    let filled = |value: &Value| {
        value.as_object().is_some_and(|fields| !fields.is_empty())
            || value.as_array().is_some_and(|items| !items.is_empty())
    };
    let after = |mark: &str, value: &Value| {
        if filled(value) {
            format!("{pad}{mark}\n{}", as_yaml(value, indent + 2))
        } else {
            format!("{pad}{mark} {value}\n")
        }
    };
    if let Some(fields) = value.as_object() {
        fields
            .iter()
            .map(|(key, value)| after(&format!("{key:?}:"), value))
            .collect()
    } else if let Some(items) = value.as_array() {
        items.iter().map(|item| after("-", item)).collect()
    } else {
        format!("{pad}{value}\n")
    }
}

#[test]
fn endpoints_replace_missing_slices() {
    let mut objects = shop();
    objects[1] = json!({"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "web", "namespace": "shop"},
        "subsets": [{"addresses": [{"ip": "10.244.1.6", "nodeName": "n1"}], "ports": [{"port": 8080}]}]});
    let only = dump(&json!(objects));
    assert_eq!(
        ask(&only, &ProxyOverrides::default(), &flow())["endpoints"],
        json!(["10.244.1.6:8080"])
    );
    // If there are slices, Endpoints are ignored.
    objects.push(slice(
        "v1",
        &json!([{"addresses": ["10.244.1.5"], "nodeName": "n1"}]),
    ));
    let both = dump(&json!(objects));
    assert_eq!(
        ask(&both, &ProxyOverrides::default(), &flow())["endpoints"],
        json!(["10.244.1.5:8080"])
    );
}

#[test]
fn an_invalid_object_is_skipped() {
    let mut objects = shop();
    objects.push(
        json!({"kind": "Service", "metadata": {"name": "odd", "namespace": "shop"},
                        "spec": {"clusterIP": "not an address"}}),
    );
    let dump = dump(&json!(objects));
    assert_eq!(dump.services.len(), 1);
    assert!(
        dump.problems[0].contains("read service shop/odd: spec.clusterIPs[]"),
        "{:?}",
        dump.problems
    );
    let ask = |namespace: &str, name: &str| {
        let question = ExplainQuery::Service {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            network: None,
        };
        answer(&dump, &ProxyOverrides::default(), &question)
            .unwrap_err()
            .to_string()
    };
    assert!(ask("shop", "odd").contains("cannot be \"not an address\""));
    assert_eq!(
        ask("default", "web"),
        "failed to find Service default/web in the dump (there is one in namespace shop)"
    );
    assert_eq!(
        ask("shop", "cart"),
        "failed to find Service shop/cart in the dump"
    );
}

#[test]
fn an_invalid_dump_is_an_error() {
    for (text, expected) in [
        ("{\"kind\": \"Service\"", "failed to read dump as JSON"),
        ("kind: [", "failed to read dump as YAML"),
        (
            "",
            "found no Service, EndpointSlice, Endpoints or Node in dump",
        ),
        (
            "just text",
            "found no Service, EndpointSlice, Endpoints or Node in dump",
        ),
        (
            r#"{"kind": "List", "items": []}"#,
            "found no Service, EndpointSlice, Endpoints or Node in dump",
        ),
    ] {
        let error = Dump::parse(&[source(text)]).unwrap_err().to_string();
        assert!(error.contains(expected), "{text:?}: {error}");
    }
    let missing = read_files(Path::new("no/such/file")).unwrap_err();
    assert_eq!(missing.to_string(), "failed to read no/such/file");
}

#[test]
fn subfolders_are_read() {
    let folder = std::env::temp_dir().join(format!("svc-reach-dump-{}", std::process::id()));
    let below = folder.join("below");
    std::fs::create_dir_all(&below).unwrap();
    let objects = shop();
    std::fs::write(folder.join("services.json"), objects[0].to_string()).unwrap();
    std::fs::write(folder.join("notes.txt"), "not part of it").unwrap();
    std::fs::write(
        below.join("rest.yaml"),
        json!({"kind": "List", "items": objects[1..]}).to_string(),
    )
    .unwrap();
    let sources = read_files(&folder);
    let empty = folder.join("empty");
    std::fs::create_dir(&empty).unwrap();
    let nothing = read_files(&empty).map(|sources| sources.len());
    std::fs::remove_dir_all(&folder).unwrap();
    let dump = Dump::parse(&sources.unwrap()).unwrap();
    assert_eq!((dump.services.len(), dump.nodes.len()), (1, 3));
    assert!(
        nothing
            .unwrap_err()
            .to_string()
            .starts_with("found no .json")
    );
}

#[test]
fn settings_come_from_flags_then_the_cluster_then_defaults() {
    let config = |text: &str| {
        let text = format!("kind: KubeProxyConfiguration\n{text}");
        let objects = json!([node("n1", "172.30.0.11"),
            {"kind": "ConfigMap", "metadata": {"name": "kube-proxy", "namespace": "kube-system"}, "data": {"config.conf": text}}]);
        dump(&objects).proxy_config
    };
    let proxy = |overrides: &ProxyOverrides,
                 config: Option<&crate::survey::kube_proxy::ProxyConfig>| {
        Settings::gather(overrides, config, &[]).proxy
    };
    let range = |text: &str| text.parse().unwrap();

    let nothing = Settings::gather(&ProxyOverrides::default(), None, &[]);
    assert_eq!(
        (nothing.proxy.mode, nothing.mode_told),
        (ProxyMode::Iptables, false)
    );
    assert_eq!(nothing.proxy.detector, Detector::Unknown, "no settings");
    assert_eq!(
        nothing.for_flows().detector,
        Detector::ClusterCidr(Vec::new())
    );

    let ipvs = config(
        "mode: ipvs\nclusterCIDR: 10.244.0.0/16,fd00:10::/64\niptables: {masqueradeAll: true}\nnodePortAddresses: [172.30.0.0/16]\n",
    );
    let found = proxy(&ProxyOverrides::default(), ipvs.as_ref());
    assert_eq!(found.mode, ProxyMode::Ipvs);
    assert_eq!(
        found.detector,
        Detector::ClusterCidr(vec![range("10.244.0.0/16"), range("fd00:10::/64")])
    );
    assert!(found.masquerade_all && found.localhost_node_ports);
    assert_eq!(
        found.node_port_addresses,
        NodePortAddresses::within(vec![range("172.30.0.0/16")])
    );

    let over = overrides(&[
        "--proxy-mode=nftables",
        "--cluster-cidr=10.0.0.0/8",
        "--masquerade-all=false",
        "--localhost-node-ports=false",
        "--node-port-addresses=primary",
        "--service-cidr=10.96.0.0/16",
        "--kubernetes-version=v1.33.2",
    ]);
    let over = proxy(&over, ipvs.as_ref());
    assert_eq!(over.mode, ProxyMode::Nftables);
    assert_eq!(
        over.detector,
        Detector::ClusterCidr(vec![range("10.0.0.0/8")])
    );
    assert!(!over.masquerade_all && !over.localhost_node_ports);
    assert_eq!(over.node_port_addresses, NodePortAddresses::primary());
    assert_eq!(over.service_cidrs, [range("10.96.0.0/16")]);
    assert_eq!(over.version.unwrap().to_string(), "v1.33.2");

    for (text, expected) in [
        ("detectLocalMode: NodeCIDR\n", Detector::NodeCidr),
        ("detectLocalMode: BridgeInterface\n", Detector::Bridge),
        (
            "detectLocalMode: InterfaceNamePrefix\n",
            Detector::Interface,
        ),
        (
            "detectLocalMode: ClusterCIDR\n",
            Detector::ClusterCidr(Vec::new()),
        ),
        ("clusterCIDR: \"\"\n", Detector::ClusterCidr(Vec::new())),
    ] {
        assert_eq!(
            proxy(&ProxyOverrides::default(), config(text).as_ref()).detector,
            expected,
            "{text}"
        );
    }
    assert_eq!(config("mode: kernelspace\n"), None, "Windows");
    for &detector in LocalDetector::ALL {
        let overrides = overrides(&[&format!("--local-detector={detector}")]);
        assert_ne!(
            proxy(&overrides, None).detector,
            Detector::Unknown,
            "{detector}"
        );
    }
    let wrong = args(&["web", "--local-detector=eyes"])
        .proxy
        .overrides()
        .unwrap_err()
        .to_string();
    assert!(
        wrong.contains("expected one of: cluster-cidr, node-cidr, bridge, interface, none"),
        "{wrong}"
    );
    assert_eq!(overrides(&["--masquerade-all"]).masquerade_all, Some(true));
}

#[test]
fn only_values_that_are_not_understood_are_ignored() {
    let config = |text: &str| {
        let text = format!("kind: KubeProxyConfiguration\n{text}");
        let objects = json!([node("n1", "172.30.0.11"),
            {"kind": "ConfigMap", "metadata": {"name": "kube-proxy", "namespace": "kube-system"}, "data": {"config.conf": text}}]);
        let dump = dump(&objects);
        assert_eq!(dump.problems, Vec::<String>::new());
        dump.proxy_config.unwrap()
    };
    let cidr = Detector::ClusterCidr(vec!["10.244.0.0/16".parse().unwrap()]);
    let whole = config(
        "mode: nftables\nclusterCIDR: 10.244.0.0/16\nnodePortAddresses: [primary, localhost]\nnftables: {masqueradeAll: true}\n",
    );
    assert_eq!(
        (whole.mode, &whole.detector, whole.masquerade_all),
        (Some(ProxyMode::Nftables), &cidr, true)
    );
    assert_eq!(whole.problems, Vec::<String>::new());
    let expected = NodePortAddresses::read(["primary", "127.0.0.0/8", "::1/128"]).0;
    assert_eq!(whole.node_port_addresses, expected);

    // Each line has one value that the plugin does not understand.
    for (line, problem) in [
        (
            "nodePortAddresses: [primary, lan]",
            r#"nodePortAddresses has the unknown value "lan""#,
        ),
        (
            "nodePortAddresses: [primary, 7]",
            r#"nodePortAddresses has the unknown value "7""#,
        ),
        (
            "nodePortAddresses: {a: b}",
            "nodePortAddresses has the unknown value",
        ),
        ("mode: ebpf2", r#"mode has the unknown value "ebpf2""#),
        (
            "mode: [nftables]",
            r#"mode has the unknown value ["nftables"]"#,
        ),
        (
            "detectLocalMode: Eyes",
            r#"detectLocalMode has the unknown value "Eyes""#,
        ),
        (
            "clusterCIDR: 10.244.0.0/16,pods",
            r#"clusterCIDR has the unknown value "pods""#,
        ),
        (
            "iptables: {masqueradeAll: perhaps}",
            r#"iptables.masqueradeAll has the unknown value "perhaps""#,
        ),
        (
            "iptables: {localhostNodePorts: 3}",
            "iptables.localhostNodePorts has the unknown value 3",
        ),
    ] {
        let key = line.split(':').next().unwrap();
        let others: String = [
            "mode: nftables",
            "clusterCIDR: 10.244.0.0/16",
            "nftables: {masqueradeAll: true}",
            "someday: {a: [b]}",
        ]
        .iter()
        .filter(|other| !other.starts_with(&format!("{key}:")))
        .map(|other| format!("{other}\n"))
        .collect();
        let found = config(&format!("{others}{line}\n"));
        let problems = &found.problems;
        assert_eq!(problems.len(), 1, "{line}: {problems:?}");
        let begin = format!("ConfigMap kube-system/kube-proxy, config.conf: {problem}");
        assert!(problems[0].starts_with(&begin), "{line}: {problems:?}");
        if key == "mode" {
            assert_eq!(found.mode, None, "{line}");
            let settings = Settings::gather(&ProxyOverrides::default(), Some(&found), &[]);
            assert!(!settings.mode_told, "{line}");
        } else {
            assert_eq!(found.mode, Some(ProxyMode::Nftables), "{line}");
            assert!(found.masquerade_all, "{line}");
        }
        if key == "detectLocalMode" {
            assert_eq!(found.detector, Detector::Unknown, "{line}");
        } else {
            assert_eq!(found.detector, cidr, "{line}");
        }
        let complete = found.node_port_addresses.is_complete();
        assert_eq!(complete, key != "nodePortAddresses", "{line}");
    }
    assert_eq!(
        config("clusterCIDR: pods\n").detector,
        Detector::Unknown,
        "a range that is not understood does not mean that there is no range"
    );
    let words = overrides(&["--node-port-addresses=primary,localhost"]);
    assert_eq!(words.node_port_addresses, Some(expected));
    let wrong = args(&["web", "--node-port-addresses=lan"])
        .proxy
        .overrides();
    assert!(wrong.is_err(), "{wrong:?}");
}

#[test]
fn text_for_people_is_no_dump() {
    for text in [
        "Name:              web\nNamespace:         shop\nLabels:            <none>\n",
        "NAME   TYPE        CLUSTER-IP   EXTERNAL-IP   PORT(S)   AGE\nweb    ClusterIP   10.96.0.7    <none>        80/TCP    5d\n",
        "\nNAMESPACE   NAME\nshop        web\n",
    ] {
        let error = Dump::parse(&[source(text)]).unwrap_err();
        assert!(std::error::Error::source(&error).is_none());
        let error = error.to_string();
        assert!(error.starts_with("dump is text for people"), "{error}");
        assert!(error.contains("kubectl get svc,endpointslices"), "{error}");
        assert_eq!(error.matches("dump ").count(), 1, "{error}");
    }
}

/// A dump of a cluster with Cilium or Calico instead of kube-proxy may still have kube-proxy's ConfigMap.
#[test]
fn a_configuration_of_kube_proxy_may_be_left_over() {
    let cilium = json!({"kind": "ConfigMap", "metadata": {"name": "cilium-config", "namespace": "cilium"},
                        "data": {"kube-proxy-replacement": "true"}});
    let calico = json!({"kind": "Pod",
        "metadata": {"name": "calico-node-x", "namespace": "calico-system",
                     "ownerReferences": [{"kind": "DaemonSet", "name": "calico-node"}]},
        "spec": {"containers": [{"name": "calico-node", "image": "c",
                                 "env": [{"name": "FELIX_BPFENABLED", "value": "true"}]}]}});
    let kube_proxy = json!({"kind": "Pod", "metadata": {"name": "kube-proxy-x", "namespace": "kube-system"},
        "spec": {"nodeName": "n1", "containers": [{"name": "kube-proxy", "image": "kube-proxy@sha256:00"}]}});
    let mode = |more: &[&Value]| {
        let mut objects = shop();
        objects.extend(more.iter().map(|object| (*object).clone()));
        let question = ExplainQuery::Service {
            namespace: "shop".to_owned(),
            name: "web".to_owned(),
            network: None,
        };
        match answer(
            &dump(&json!(objects)),
            &ProxyOverrides::default(),
            &question,
        )
        .unwrap()
        {
            ExplainReply::Explanation(explanation) => explanation.environment.proxy_mode,
            ExplainReply::Flows(_) => panic!("a Service was asked"),
        }
    };
    assert_eq!(mode(&[]), Some(ProxyMode::Iptables));
    assert_eq!(mode(&[&cilium]), Some(ProxyMode::Ebpf));
    assert_eq!(mode(&[&calico]), Some(ProxyMode::Ebpf));
    assert_eq!(
        mode(&[&cilium, &kube_proxy]),
        Some(ProxyMode::Iptables),
        "kube-proxy runs"
    );
}

/// A packet may be for any Service of the dump.
#[test]
fn packets_to_a_service_without_known_endpoints_have_no_answer() {
    let mut objects = shop();
    objects.remove(1);
    let queries = flows::parse(&json!([flow()]).to_string()).unwrap();
    let error = answer(
        &dump(&json!(objects)),
        &ProxyOverrides::default(),
        &ExplainQuery::Flows(queries),
    )
    .unwrap_err();
    let why = std::error::Error::source(&error).unwrap().to_string();
    assert!(
        why.contains("the endpoints of Service shop/web are unknown"),
        "{why}"
    );
}

#[test]
fn settings_may_come_from_a_proxy_pod() {
    let pod = json!({"kind": "Pod", "metadata": {"name": "kube-proxy-x"}, "spec": {"containers": [{"name": "kube-proxy",
        "command": ["/bin/sh", "-c", "kube-proxy --cluster-cidr=10.4.0.0/14 --proxy-mode=ipvs --v=2"]}]}});
    let objects = json!([node("n1", "172.30.0.11"), pod]);
    let config = dump(&objects).proxy_config.unwrap();
    // A flag's value may be a word of its own.
    let mut in_words = objects.clone();
    in_words[1]["spec"]["containers"][0]["command"] = json!([
        "kube-proxy",
        "--cluster-cidr",
        "10.4.0.0/14",
        "--masquerade-all",
        "--proxy-mode",
        "ipvs"
    ]);
    let words = dump(&in_words).proxy_config.unwrap();
    assert_eq!(
        (words.mode, &words.detector),
        (config.mode, &config.detector)
    );
    assert!(words.masquerade_all && !config.masquerade_all);
    assert_eq!(
        (config.mode, config.source.as_str()),
        (Some(ProxyMode::Ipvs), "command line of pod kube-proxy-x")
    );
    assert_eq!(
        config.detector,
        Detector::ClusterCidr(vec!["10.4.0.0/14".parse().unwrap()])
    );
}

#[test]
fn invalid_packets_are_refused() {
    for (to, expected) in [
        ("172.30.0.12", "must have the form IP:PORT[/PROTOCOL]"),
        ("fd00::1:80", "must have the form IP:PORT[/PROTOCOL]"),
        ("172.30.0.12:80/icmp", "expected one of: TCP, UDP, SCTP"),
    ] {
        let args = args(&["--to", to, "--client", "pod", "--node", "n1"]);
        let error = args
            .question("shop", |name| Ok(name.to_owned()), None)
            .unwrap_err()
            .to_string();
        assert!(error.contains(expected), "{to}: {error}");
    }
    for words in [
        vec![],
        vec!["--to", "1.2.3.4:80"],
        vec!["web", "--flows", "f.json"],
        vec!["--node", "n1"],
    ] {
        let cli = Cli::try_parse_from(std::iter::once(&"explain").chain(&words));
        assert!(cli.is_err(), "{words:?}");
    }
}

#[test]
fn the_table_matches_the_snapshot() {
    let mut objects = shop();
    objects.truncate(4);
    objects.push(shop().pop().unwrap());
    let dump = dump(&json!(objects));
    let question = ExplainQuery::Service {
        namespace: "shop".to_owned(),
        name: "web".to_owned(),
        network: None,
    };
    let ExplainReply::Explanation(explanation) =
        answer(&dump, &ProxyOverrides::default(), &question).unwrap()
    else {
        panic!("a Service was asked");
    };
    let mut text = Vec::new();
    table::write(&explanation, 80, &mut text).unwrap();
    let text = String::from_utf8(text).unwrap();
    expect_test::expect_file!["tests/table.txt"].assert_eq(&text);
    let json = serde_json::to_value(&explanation).unwrap();
    assert_eq!(json["kind"], "Explanation");
    assert_eq!(json["environment"]["proxyMode"], "iptables");
    let cells = json["cells"].as_array().unwrap();
    assert!(cells.iter().all(|cell| cell["predicted"]["why"].is_array()));
}

/// What `explain` says about a pod on another node that requests the cluster IP, if these policies exist.
fn with_policies(policies: Vec<Value>) -> Value {
    let mut objects = shop();
    objects[1]["endpoints"][0]["targetRef"] =
        json!({"kind": "Pod", "namespace": "shop", "name": "web-0"});
    objects.extend(policies);
    let dump = dump(&json!({"kind": "List", "items": objects}));
    let question = ExplainQuery::Service {
        namespace: "shop".into(),
        name: "web".into(),
        network: None,
    };
    let reply = answer(&dump, &ProxyOverrides::default(), &question).unwrap();
    let ExplainReply::Explanation(explanation) = reply else {
        panic!("a Service was asked")
    };
    let explanation = serde_json::to_value(explanation).unwrap();
    let mut cells = explanation["cells"].as_array().unwrap().iter();
    let asked =
        |cell: &&Value| cell["position"] == "pod-other" && cell["target"]["kind"] == "cluster-ip";
    json!({"cell": cells.find(asked).unwrap(), "missing": explanation["missing"]})
}

#[test]
fn policies_that_forbid_a_connection_are_explained() {
    let policy = |version: &str, ingress: Value| {
        json!({"apiVersion": version, "kind": "NetworkPolicy", "metadata": {"name": "guard", "namespace": "shop"},
               "spec": {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": ingress}})
    };
    let by_label = json!([{"from": [{"podSelector": {"matchLabels": {"role": "client"}}}]}]);
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}});
    for (policies, reachable, rule) in [
        (vec![namespace], json!("reachable"), ""),
        (
            vec![policy("networking.k8s.io/v1", json!([]))],
            json!("unreachable"),
            "shop/guard",
        ),
        (
            vec![policy("networking.k8s.io/v1", json!([{}]))],
            json!("reachable"),
            "",
        ),
        (
            vec![policy("networking.k8s.io/v1", by_label)],
            Value::Null,
            "labels",
        ),
        (
            vec![policy("crd.projectcalico.org/v1", json!([]))],
            Value::Null,
            "Calico NetworkPolicy guard",
        ),
    ] {
        let name = json!(policies).to_string();
        let said = with_policies(policies);
        assert_eq!(said["cell"]["reachable"], reachable, "{name}: {said}");
        let why = &said["cell"]["predicted"]["why"];
        assert!(why.to_string().contains(rule), "{name}: {why}");
        assert!(
            !said["missing"].to_string().contains("NetworkPolicies"),
            "{said}"
        );
    }
    let said = with_policies(Vec::new());
    let missing = said["missing"].to_string();
    assert!(missing.contains("no NetworkPolicies"), "{missing}");
}
