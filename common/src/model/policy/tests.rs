//! Policies as people write them, with the connections that they allow.

use super::{
    ContainerPort, Decision, Direction, Identity, Labels, Missing, NetworkPolicy, Party, Pod,
    Policies, PortNumber,
};
use crate::protocol::Protocol;
use ipnet::IpNet;
use serde_json::{Value, json};
use std::collections::BTreeMap;

fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

fn pod(namespace: &str, name: &str, own: &[(&str, &str)], address: &str, node: &str) -> Pod {
    Pod {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        labels: Labels::all(labels(own)),
        addresses: vec![address.parse().unwrap()],
        host_network: false,
        node: Some(node.to_owned()),
        ports: Some(vec![
            ContainerPort {
                name: "http".to_owned(),
                port: 8080.try_into().unwrap(),
                protocol: Protocol::Tcp,
            },
            ContainerPort {
                name: "dns".to_owned(),
                port: 53.try_into().unwrap(),
                protocol: Protocol::Udp,
            },
        ]),
    }
}

/// The backend, on node `n1`.
fn api() -> Pod {
    pod(
        "web",
        "api",
        &[("app", "api"), ("tier", "back")],
        "10.0.1.5",
        "n1",
    )
}

/// A client in the backend's namespace, on node `n2`.
fn front() -> Pod {
    pod("web", "front", &[("app", "front")], "10.0.2.5", "n2")
}

/// A client in another namespace, on node `n2`.
fn monitor() -> Pod {
    pod("ops", "monitor", &[("app", "monitor")], "10.0.2.6", "n2")
}

fn host() -> Pod {
    Pod {
        host_network: true,
        ..pod("web", "host", &[("app", "front")], "192.168.0.12", "n2")
    }
}

fn party(pod: &Pod) -> Party<'_> {
    Party::new(
        Identity::Pod(pod),
        pod.addresses.iter().map(|address| IpNet::from(*address)),
    )
}

fn at<'a>(identity: Identity<'a>, range: &str) -> Party<'a> {
    Party::new(identity, [range.parse().unwrap()])
}

fn tcp(port: u16) -> PortNumber {
    number(port, Protocol::Tcp)
}

fn number(port: u16, protocol: Protocol) -> PortNumber {
    PortNumber {
        port: port.try_into().unwrap(),
        protocol,
    }
}

/// Policies of namespace `web`, named `p0`, `p1` and so on.
fn policies(specs: &[Value]) -> Policies {
    Policies {
        policies: specs
            .iter()
            .enumerate()
            .map(|(index, spec)| {
                let metadata = json!({"namespace": "web", "name": format!("p{index}")});
                NetworkPolicy::try_from(&json!({"metadata": metadata, "spec": spec})).unwrap()
            })
            .collect(),
        namespaces: [("web", &[("team", "web")]), ("ops", &[("team", "ops")])]
            .into_iter()
            .map(|(name, own)| (name.to_owned(), Labels::all(labels(own))))
            .collect(),
    }
}

/// `allowed`, `denied` or `unknown`.
fn word(decision: &Decision) -> &'static str {
    match decision {
        Decision::Allowed => "allowed",
        Decision::Denied(_) => "denied",
        Decision::Unknown(_) => "unknown",
    }
}

/// The decision for a connection from `front` to port 8080 of `api`.
fn from_front(specs: &[Value]) -> &'static str {
    word(&policies(specs).ingress(&party(&front()), &party(&api()), tcp(8080)))
}

#[test]
fn a_policy_isolates_the_pods_that_it_selects() {
    let expression = |operator: &str, key: &str, values: &[&str]| {
        let one = json!({"key": key, "operator": operator, "values": values});
        json!({"podSelector": {"matchExpressions": [one]}})
    };
    for (spec, expected) in [
        (json!({}), "denied"),
        (json!({"podSelector": {}}), "denied"),
        (
            json!({"podSelector": {"matchLabels": {"app": "api"}}}),
            "denied",
        ),
        (
            json!({"podSelector": {"matchLabels": {"app": "api", "tier": "back"}}}),
            "denied",
        ),
        (
            json!({"podSelector": {"matchLabels": {"app": "api", "tier": "front"}}}),
            "allowed",
        ),
        (
            json!({"podSelector": {"matchLabels": {"other": ""}}}),
            "allowed",
        ),
        (expression("In", "app", &["api", "x"]), "denied"),
        (expression("In", "app", &["x"]), "allowed"),
        (expression("In", "other", &["x"]), "allowed"),
        (expression("NotIn", "app", &["x"]), "denied"),
        (expression("NotIn", "app", &["api"]), "allowed"),
        (expression("NotIn", "other", &["x"]), "denied"),
        (expression("Exists", "app", &[]), "denied"),
        (expression("Exists", "other", &[]), "allowed"),
        (expression("DoesNotExist", "other", &[]), "denied"),
        (expression("DoesNotExist", "app", &[]), "allowed"),
    ] {
        assert_eq!(from_front(std::slice::from_ref(&spec)), expected, "{spec}");
    }
}

#[test]
fn without_policies_everything_is_allowed() {
    assert_eq!(from_front(&[]), "allowed");
    let mut other_namespace = policies(&[json!({})]);
    other_namespace.policies[0].namespace = "ops".to_owned();
    let decision = other_namespace.ingress(&party(&front()), &party(&api()), tcp(8080));
    assert_eq!(word(&decision), "allowed");
}

#[test]
fn policies_affect_only_the_directions_of_their_types() {
    let deny = |types: &[&str]| json!({"policyTypes": types});
    for (spec, ingress, egress) in [
        (deny(&["Ingress"]), "denied", "allowed"),
        (deny(&["Egress"]), "allowed", "denied"),
        (deny(&["Ingress", "Egress"]), "denied", "denied"),
        (json!({"ingress": [{}]}), "allowed", "allowed"),
        (
            json!({"ingress": [{}], "policyTypes": ["Egress"]}),
            "allowed",
            "denied",
        ),
        (json!({"egress": [{}]}), "denied", "allowed"),
        (json!({"egress": []}), "denied", "allowed"),
    ] {
        let policies = policies(std::slice::from_ref(&spec));
        let (front, api) = (front(), api());
        let to = policies.ingress(&party(&front), &party(&api), tcp(8080));
        let from = policies.egress(&party(&front), &party(&api), tcp(8080));
        assert_eq!((word(&to), word(&from)), (ingress, egress), "{spec}");
    }
}

#[test]
fn policies_add_up() {
    let other_port = json!({"ingress": [{"ports": [{"port": 1}]}]});
    let front =
        json!({"ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "front"}}}]}]});
    assert_eq!(from_front(&[json!({}), other_port.clone()]), "denied");
    assert_eq!(
        from_front(&[json!({}), other_port.clone(), front.clone()]),
        "allowed"
    );
    assert_eq!(from_front(&[front, other_port]), "allowed");
}

#[test]
fn ports_of_a_rule() {
    let (http, udp_dns) = (tcp(8080), number(53, Protocol::Udp));
    let sctp = number(8080, Protocol::Sctp);
    for (ports, asked, expected) in [
        (json!(null), http, "allowed"),
        (json!([]), http, "allowed"),
        (json!([{}]), http, "allowed"),
        (json!([{}]), udp_dns, "denied"),
        (json!([{"protocol": "UDP"}]), udp_dns, "allowed"),
        (json!([{"port": 8080}]), http, "allowed"),
        (json!([{"port": 8080}]), sctp, "denied"),
        (json!([{"port": 8080, "protocol": "SCTP"}]), sctp, "allowed"),
        (json!([{"port": 8081}]), http, "denied"),
        (json!([{"port": 8081}, {"port": 8080}]), http, "allowed"),
        (json!([{"port": 8000, "endPort": 8080}]), http, "allowed"),
        (json!([{"port": 8080, "endPort": 8080}]), http, "allowed"),
        (json!([{"port": 8000, "endPort": 8079}]), http, "denied"),
        (json!([{"port": "http"}]), http, "allowed"),
        (json!([{"port": "http"}]), tcp(80), "denied"),
        (
            json!([{"port": "http", "protocol": "UDP"}]),
            number(8080, Protocol::Udp),
            "denied",
        ),
        (
            json!([{"port": "dns", "protocol": "UDP"}]),
            udp_dns,
            "allowed",
        ),
        (json!([{"port": "nobody-has-it"}]), http, "denied"),
    ] {
        let policies = policies(&[json!({"ingress": [{"ports": ports}]})]);
        let decision = policies.ingress(&party(&front()), &party(&api()), asked);
        assert_eq!(word(&decision), expected, "{ports} {asked:?}");
    }
}

#[test]
fn peers_of_a_rule() {
    let (front, monitor) = (front(), monitor());
    let node = at(Identity::Node("n2"), "192.168.0.12/32");
    let outside = at(Identity::Outside, "198.51.100.7/32");
    let somewhere = at(Identity::Outside, "0.0.0.0/0");
    let parties = [party(&front), party(&monitor), node, outside, somewhere];
    let app = |name: &str| json!({"matchLabels": {"app": name}});
    let team = |name: &str| json!({"matchLabels": {"team": name}});
    let (yes, no, open) = ("allowed", "denied", "unknown");
    for (from, expected) in [
        (json!(null), [yes; 5]),
        (json!([]), [yes; 5]),
        (json!([{"podSelector": {}}]), [yes, no, no, no, no]),
        (
            json!([{"podSelector": app("front")}]),
            [yes, no, no, no, no],
        ),
        (json!([{"podSelector": app("monitor")}]), [no; 5]),
        (json!([{"namespaceSelector": {}}]), [yes, yes, no, no, no]),
        (
            json!([{"namespaceSelector": team("ops")}]),
            [no, yes, no, no, no],
        ),
        (
            json!([{"namespaceSelector": team("ops"), "podSelector": app("monitor")}]),
            [no, yes, no, no, no],
        ),
        (
            json!([{"namespaceSelector": team("ops"), "podSelector": app("front")}]),
            [no; 5],
        ),
        (
            json!([{"namespaceSelector": team("ops")}, {"podSelector": app("front")}]),
            [yes, yes, no, no, no],
        ),
        (json!([{"ipBlock": {"cidr": "0.0.0.0/0"}}]), [yes; 5]),
        (json!([{"ipBlock": {"cidr": "::/0"}}]), [no; 5]),
        (
            json!([{"ipBlock": {"cidr": "10.0.2.0/24"}}]),
            [yes, yes, no, no, open],
        ),
        (
            json!([{"ipBlock": {"cidr": "10.0.2.0/24", "except": ["10.0.2.6/32"]}}]),
            [yes, no, no, no, open],
        ),
        (
            json!([{"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8", "198.51.100.0/24"]}}]),
            [no, no, yes, no, open],
        ),
        (
            json!([{"ipBlock": {"cidr": "192.168.0.12/32"}}]),
            [no, no, yes, no, open],
        ),
    ] {
        let policies = policies(&[json!({"ingress": [{"from": from}]})]);
        let found = parties
            .each_ref()
            .map(|party| word(&policies.ingress(party, &self::party(&api()), tcp(8080))));
        assert_eq!(found, expected, "{from}");
    }
}

#[test]
fn ranges_of_ipv6() {
    let client = at(Identity::Outside, "2001:db8:1::7/128");
    for (block, expected) in [
        (json!({"cidr": "2001:db8::/32"}), "allowed"),
        (
            json!({"cidr": "2001:db8::/32", "except": ["2001:db8:2::/48"]}),
            "allowed",
        ),
        (
            json!({"cidr": "2001:db8::/32", "except": ["2001:db8:1::/48"]}),
            "denied",
        ),
        (json!({"cidr": "::/0"}), "allowed"),
        (json!({"cidr": "0.0.0.0/0"}), "denied"),
    ] {
        let policies = policies(&[json!({"ingress": [{"from": [{"ipBlock": block}]}]})]);
        let decision = policies.ingress(&client, &party(&api()), tcp(8080));
        assert_eq!(word(&decision), expected, "{block}");
    }
}

#[test]
fn egress_of_a_pod() {
    let (front, api, monitor) = (front(), api(), monitor());
    let outside = at(Identity::Outside, "198.51.100.7/32");
    let other_node = at(Identity::Node("n1"), "192.168.0.11/32");
    let parties = [party(&api), party(&monitor), outside, other_node];
    let (yes, no) = ("allowed", "denied");
    for (rule, expected) in [
        (json!({}), [yes; 4]),
        (json!({"to": [{"podSelector": {}}]}), [yes, no, no, no]),
        (
            json!({"to": [{"namespaceSelector": {}}]}),
            [yes, yes, no, no],
        ),
        (
            json!({"to": [{"ipBlock": {"cidr": "198.51.100.0/24"}}]}),
            [no, no, yes, no],
        ),
        (
            json!({"to": [{"ipBlock": {"cidr": "192.168.0.0/24"}}]}),
            [no, no, no, yes],
        ),
        (json!({"ports": [{"port": 8080}]}), [yes; 4]),
        // A name is that of the destination's containers. Addresses have no names.
        (json!({"ports": [{"port": "http"}]}), [yes, yes, no, no]),
        (
            json!({"ports": [{"port": "http"}], "to": [{"podSelector": {}}]}),
            [yes, no, no, no],
        ),
    ] {
        let policies = policies(&[json!({"egress": [rule], "policyTypes": ["Egress"]})]);
        let found = parties
            .each_ref()
            .map(|party| word(&policies.egress(&self::party(&front), party, tcp(8080))));
        assert_eq!(found, expected, "{rule}");
    }
}

#[test]
fn both_ends_must_allow_a_connection() {
    let (front, api, monitor) = (front(), api(), monitor());
    let selecting = |app: &str, rest: Value| {
        let mut spec = rest;
        spec["podSelector"] = json!({"matchLabels": {"app": app}});
        spec
    };
    let no_egress = selecting("front", json!({"policyTypes": ["Egress"]}));
    let no_ingress = selecting("api", json!({"policyTypes": ["Ingress"]}));
    let direction = |policies: &Policies, from: &Pod| match policies.connection(
        &party(from),
        &party(&api),
        tcp(8080),
    ) {
        Decision::Denied(denial) => Some(denial.direction),
        Decision::Allowed | Decision::Unknown(_) => None,
    };
    let egress = policies(std::slice::from_ref(&no_egress));
    assert_eq!(direction(&egress, &front), Some(Direction::Egress));
    assert_eq!(direction(&egress, &monitor), None);
    let ingress = policies(std::slice::from_ref(&no_ingress));
    assert_eq!(direction(&ingress, &front), Some(Direction::Ingress));
    assert_eq!(direction(&ingress, &monitor), Some(Direction::Ingress));
    // A denial is certain, even if the other end is unknown.
    let unknown = Party::new(Identity::Unknown, []);
    let decision = egress.connection(&party(&front), &unknown, tcp(8080));
    assert_eq!(
        word(&decision),
        "unknown",
        "the destination may be the pod's own node"
    );
}

#[test]
fn a_pod_always_talks_to_its_own_node_and_to_itself() {
    let policies = policies(&[json!({"policyTypes": ["Ingress", "Egress"]})]);
    let api = api();
    let to = |source: &Party<'_>| word(&policies.ingress(source, &party(&api), tcp(8080)));
    let from = |party: &Party<'_>| word(&policies.egress(&self::party(&api), party, tcp(8080)));
    let own_node = at(Identity::Node("n1"), "192.168.0.11/32");
    let other_node = at(Identity::Node("n2"), "192.168.0.12/32");
    let own_host = Pod {
        node: Some("n1".to_owned()),
        ..host()
    };
    assert_eq!((to(&own_node), from(&own_node)), ("allowed", "allowed"));
    assert_eq!((to(&other_node), from(&other_node)), ("denied", "denied"));
    assert_eq!(to(&party(&own_host)), "allowed");
    assert_eq!(to(&party(&host())), "denied");
    assert_eq!(
        (to(&party(&api)), from(&party(&api))),
        ("allowed", "allowed")
    );
    let nowhere = Pod {
        node: None,
        ..api.clone()
    };
    let decision = policies.ingress(&other_node, &party(&nowhere), tcp(8080));
    assert_eq!(
        decision,
        Decision::Unknown(Missing::PodNode("web/api".to_owned()))
    );
}

#[test]
fn pods_on_the_host_network_are_no_subject_and_an_undefined_peer() {
    let (host, api) = (host(), api());
    let deny = policies(&[json!({"policyTypes": ["Ingress", "Egress"]})]);
    assert_eq!(
        word(&deny.egress(&party(&host), &party(&api), tcp(8080))),
        "allowed"
    );
    assert_eq!(
        word(&deny.ingress(&party(&api), &party(&host), tcp(8080))),
        "allowed"
    );
    for (from, expected) in [
        (json!({"podSelector": {}}), "unknown"),
        (
            json!({"podSelector": {"matchLabels": {"app": "front"}}}),
            "unknown",
        ),
        (
            json!({"podSelector": {"matchLabels": {"app": "other"}}}),
            "denied",
        ),
        (
            json!({"namespaceSelector": {"matchLabels": {"team": "ops"}}}),
            "denied",
        ),
        (json!({"ipBlock": {"cidr": "192.168.0.0/24"}}), "allowed"),
        (json!({"ipBlock": {"cidr": "10.0.0.0/8"}}), "denied"),
    ] {
        let policies = policies(&[json!({"ingress": [{"from": [from]}]})]);
        let decision = policies.ingress(&party(&host), &party(&api), tcp(8080));
        assert_eq!(word(&decision), expected, "{from}");
    }
}

#[test]
fn what_is_unknown_is_unknown_only_if_it_matters() {
    let front = front();
    let stranger = Pod {
        labels: Labels::some(labels(&[("app", "front")])),
        ..front.clone()
    };
    let elsewhere = Pod {
        namespace: "lost".to_owned(),
        ..front.clone()
    };
    let nowhere = Party::new(Identity::Pod(&front), []);
    let unknown = Party::new(Identity::Unknown, []);
    let selecting = |key: &str| json!({"podSelector": {"matchLabels": {(key): "front"}}});
    let teams = json!({"namespaceSelector": {"matchLabels": {"team": "web"}}});
    let block = json!({"ipBlock": {"cidr": "10.0.2.0/24"}});
    let rows = [
        ("known label", party(&stranger), selecting("app"), "allowed"),
        (
            "unknown label",
            party(&stranger),
            selecting("tier"),
            "unknown",
        ),
        (
            "every pod",
            party(&stranger),
            json!({"podSelector": {}}),
            "allowed",
        ),
        ("namespace", party(&elsewhere), teams.clone(), "unknown"),
        (
            "every namespace",
            party(&elsewhere),
            json!({"namespaceSelector": {}}),
            "allowed",
        ),
        (
            "other namespace",
            party(&elsewhere),
            json!({"podSelector": {}}),
            "denied",
        ),
        ("address", nowhere.clone(), block.clone(), "unknown"),
        (
            "no address needed",
            nowhere,
            json!({"podSelector": {}}),
            "allowed",
        ),
        ("pod or address", unknown.clone(), teams, "unknown"),
        ("address of nobody", unknown, block, "unknown"),
    ];
    for (name, source, from, expected) in rows {
        let policies = policies(&[json!({"ingress": [{"from": [from]}]})]);
        let decision = policies.ingress(&source, &party(&api()), tcp(8080));
        assert_eq!(word(&decision), expected, "{name}");
    }
}

#[test]
fn a_policy_that_perhaps_selects_the_pod() {
    let backend = Pod {
        labels: Labels::some(labels(&[("app", "api")])),
        ports: None,
        ..api()
    };
    let perhaps = |rest: Value| {
        let mut spec = rest;
        spec["podSelector"] = json!({"matchLabels": {"tier": "back"}});
        spec
    };
    let deny_all = json!({});
    let named = json!({"ingress": [{"ports": [{"port": "http"}]}]});
    for (name, specs, expected) in [
        ("it denies", vec![perhaps(json!({}))], "unknown"),
        (
            "it allows",
            vec![perhaps(json!({"ingress": [{}]}))],
            "allowed",
        ),
        (
            "another one denies",
            vec![deny_all.clone(), perhaps(json!({}))],
            "denied",
        ),
        (
            "it may allow",
            vec![deny_all.clone(), perhaps(json!({"ingress": [{}]}))],
            "unknown",
        ),
        (
            "another one allows",
            vec![json!({"ingress": [{}]}), perhaps(json!({}))],
            "allowed",
        ),
        ("the port's name is unknown", vec![named], "unknown"),
    ] {
        let decision = policies(&specs).ingress(&party(&front()), &party(&backend), tcp(8080));
        assert_eq!(word(&decision), expected, "{name}");
    }
}

#[test]
fn a_denial_names_policies_and_rules() {
    let policies = policies(&[
        json!({}),
        json!({"ingress": [
            {"from": [{"podSelector": {"matchLabels": {"app": "other"}}}]},
            {"ports": [{"port": 9090}]},
            {"ports": [{"port": 9090}], "from": [{"podSelector": {"matchLabels": {"app": "other"}}}]},
        ]}),
    ]);
    let decision = policies.ingress(&party(&front()), &party(&api()), tcp(8080));
    let Decision::Denied(denial) = decision else {
        panic!("{decision:?}");
    };
    assert_eq!(
        denial.to_string(),
        "pod web/api may not get this connection: \
         NetworkPolicy web/p0 allows no ingress to the pods that it selects; \
         NetworkPolicy web/p1: ingress[0] does not list this client, ingress[1] does not list this port, \
         ingress[2] lists neither this client nor this port"
    );
}
