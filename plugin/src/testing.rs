//! Facts, settings and reports that tests start from.

use crate::{
    cli::Cli,
    cli::action::{Action, Config},
    cluster::scripted::Reply,
    config::{
        Check, Choice, ClusterOverrides, Connection, ExpectationSettings, External, ProbeSettings,
        ProtocolChoice, RequestSettings, RunSettings, UnlistedAddresses,
    },
    plan::{
        assignment::ProbePlan,
        placement::place,
        requests::{self, Requests},
        targets::targets,
    },
    probes::output::{End, ProbeOutput},
    probes::probed_position::ProbedPosition,
    reporting::documents::Documents,
    reporting::{self, Expectations, Unchecked},
    survey::{network_policies::PolicySurvey, provider_hints::ProviderHints},
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
    num::NonZeroU16,
    sync::Arc,
    time::Duration,
};
use svc_reach_common::{
    client::{Client, ClientExpectation, ClientValue, ClientVerdict, SourceAddress},
    facts::{
        Endpoint, EndpointPort, Facts, FurtherNodes, Ingress, Node, Service, ServicePort,
        ServiceType, TrafficPolicy,
    },
    observation::{NotObserved, ObservedValue},
    position::Position,
    protocol::Protocol,
    proxy_mode::ProxyMode,
    report::{AbsentPosition, Cell, EditionValue, Observed, Report, Summary},
    target::{Target, TargetKind},
    terms::{Failure, Required, Terms},
    verdict::{Basis, ExpectedValue, Reachability, Verdict},
    wire::{
        outcome::{Attempt, Outcome, Phase},
        plan::{Again, Plan},
    },
};

pub fn port(number: u16) -> NonZeroU16 {
    NonZeroU16::new(number).unwrap()
}

fn ip(a: u8, b: u8, c: u8, d: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(a, b, c, d))
}

/// The Service `default/nginx`: type NodePort, port 80 to 8080, no endpoints, no nodes.
pub fn facts() -> Facts {
    Facts {
        service: Service {
            namespace: "default".into(),
            name: "nginx".into(),
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            kind: ServiceType::NodePort,
            selector: BTreeMap::from([("app".into(), "nginx".into())]),
            cluster_ips: vec![ip(10, 247, 0, 7)],
            headless: false,
            external_name: None,
            external_ips: Vec::new(),
            external_traffic_policy: TrafficPolicy::Cluster,
            internal_traffic_policy: TrafficPolicy::Cluster,
            ports: vec![ServicePort {
                name: None,
                protocol: Protocol::Tcp,
                port: port(80),
                node_port: Some(port(30080)),
                target_port: None,
                app_protocol: None,
            }],
            health_check_node_port: None,
            load_balancer_source_ranges: Vec::new(),
            load_balancer_class: None,
            unlisted_addresses: Vec::new(),
            load_balancer: Vec::new(),
            session_affinity_seconds: None,
            publish_not_ready_addresses: false,
            traffic_distribution: None,
        },
        endpoints: Vec::new(),
        nodes: Arc::default(),
        further_nodes: FurtherNodes::None,
        changed: None,
        server_version: Some("v1.20.2".into()),
        routes: Ok(Vec::new()),
    }
}

/// The nodes, to change them.
pub fn nodes_mut(facts: &mut Facts) -> &mut Vec<Node> {
    Arc::make_mut(&mut facts.nodes)
}

/// A ready node with the private address `192.168.0.(10 + index)`.
pub fn node(name: &str, index: usize) -> Node {
    let address = ip(192, 168, 0, 10 + u8::try_from(index).unwrap());
    Node {
        complete: true,
        os: Some("linux".into()),
        arch: Some("amd64".into()),
        ..Node::of_pods(name.into(), vec![address])
    }
}

/// A ready endpoint `172.16.0.(10 + index):8080` on a node.
pub fn endpoint(node: &str, index: usize) -> Endpoint {
    Endpoint {
        address: ip(172, 16, 0, 10 + u8::try_from(index).unwrap()),
        node: Some(node.into()),
        pod: Some(format!("nginx-{index}")),
        zone: None,
        ready: true,
        serving: None,
        terminating: None,
        hint_zones: Vec::new(),
        hint_nodes: Vec::new(),
        ports: vec![EndpointPort {
            name: None,
            protocol: Protocol::Tcp,
            port: port(8080),
        }],
    }
}

/// The settings of a command line without flags.
pub fn probe_settings() -> ProbeSettings {
    ProbeSettings {
        image: "svc-reach/probe:test".into(),
        pull_policy: None,
        pull_secrets: Vec::new(),
        architectures: vec!["amd64".into()],
        namespace: None,
        node_selector: BTreeMap::new(),
        labels: BTreeMap::new(),
        tolerations: Vec::new(),
        priority_class: None,
        most: 100,
        start_timeout: Duration::from_secs(60),
    }
}

/// The settings of a command line without flags.
pub fn request_settings() -> RequestSettings {
    RequestSettings {
        protocol: ProtocolChoice::Auto,
        path: "/".into(),
        host: None,
        udp_payload: "svc-reach".into(),
        attempts: None,
        timeout_ms: std::num::NonZeroU32::new(3000).unwrap(),
        external: External::Auto,
        unlisted: UnlistedAddresses::default(),
    }
}

/// A target with only these values: TCP port 80, no node.
pub fn target(kind: TargetKind, address: &str) -> Target {
    Target {
        kind,
        address: address.to_owned(),
        port: port(80),
        protocol: Protocol::Tcp,
        port_name: None,
        node: None,
        node_role: None,
        relation: None,
        scope: None,
        route: None,
    }
}

/// A cell with only these values: TCP port 80, no node, no expectation.
pub fn cell(position: Position, kind: TargetKind, address: &str, value: ObservedValue) -> Cell {
    Cell {
        position,
        node: None,
        target: target(kind, address),
        expected: None,
        editions: Vec::new(),
        predicted: None,
        policy: None,
        observed: Observed {
            value,
            reason: value.to_string(),
            ok: None,
            of: None,
            latency_ms: None,
            client_ip_seen: None,
            attempts: Vec::new(),
        },
        verdict: Verdict::Undocumented,
        client: Client::default(),
        hint: None,
    }
}

/// An attempt of which only the outcome is known.
pub fn attempt(outcome: Outcome) -> Attempt {
    Attempt::from(outcome)
}

/// The settings of a command line without flags.
pub fn check() -> Check {
    Check {
        choice: Choice::default(),
        request: request_settings(),
        terms: Terms::default(),
    }
}

/// The plan of a probe for one Service.
pub fn plan_of(facts: &Facts, position: Position, targets: &[Target]) -> Plan {
    let settings = request_settings();
    let blank = requests::blank(&settings, position.network());
    let mut requests = Requests::default();
    let again = vec![Again::Never; targets.len()];
    requests.add(
        requests::requests(facts, &settings, position.network(), targets),
        &again,
    );
    requests.plan(blank)
}

/// The probe of a position, on node `n1`, without targets.
pub fn probe_plan(position: Position) -> ProbePlan {
    ProbePlan {
        name: position.to_string(),
        network: position.network(),
        node: "n1".into(),
        services: vec!["web/nginx".into()],
        plan: plan_of(&facts(), position, &[]),
    }
}

/// A requirement that `POSITION:TARGET` is reachable.
pub fn required(place: &str) -> Required {
    Required::parse(place, Reachability::Reachable).unwrap()
}

/// A Service with policy Local and one backend on node `a`, checked from node `b`. The probe of `pod-other` did not
/// start.
pub fn report() -> Report {
    let mut facts = facts();
    facts.service.external_traffic_policy = TrafficPolicy::Local;
    facts.nodes = vec![node("a", 0), node("b", 1)].into();
    facts.endpoints = vec![endpoint("a", 0)];
    let placement = place(&[&facts], &probe_settings()).remove(0);
    let stand = |position| ProbedPosition {
        accepted: Vec::new(),
        position,
        node: Some("b".into()),
        targets: targets(&facts, &placement, position),
        heard: Err(NotObserved::NotStarted(
            "the probe did not start: no\u{1b}[31m image".into(),
        )),
    };
    let mut looked = stand(Position::NodeOther);
    let results: BTreeMap<u32, Vec<Attempt>> = (0..)
        .zip(&looked.targets)
        .map(|(id, target)| {
            let outcome = if target.kind == TargetKind::ClusterIp {
                Outcome::TimedOut {
                    phase: Phase::Connect,
                }
            } else if target.kind == TargetKind::Dns {
                Outcome::NotHttp {
                    detail: "\u{7}bell".into(),
                }
            } else {
                Outcome::Answered {
                    status: Some(200),
                    echo: None,
                }
            };
            (id, vec![attempt(outcome)])
        })
        .collect();
    looked.heard = Ok(ProbeOutput {
        results,
        host: None,
        end: End::Complete,
    });
    let expectations = Expectations {
        documents: &Documents::of(&ExpectationSettings::default()).unwrap(),
        proxy: None,
        hints: &ProviderHints::default(),
        policies: &PolicySurvey::default(),
        mesh: Ok(None),
        others: &[],
        overrides: ClusterOverrides::default(),
        terms: &Terms::default(),
        at: None,
    };
    let stands = [looked, stand(Position::PodOther)];
    reporting::report(
        "r1",
        Duration::from_secs(4),
        &facts,
        &stands,
        expectations,
        Unchecked::default(),
    )
}

/// A very large Service: a load balancer, two IP families, two ports, policy Local, and three nodes of which one runs
/// the backend. Every cell is as expected.
pub fn healthy() -> Report {
    let mut facts = facts();
    let service = &mut facts.service;
    service.kind = ServiceType::LoadBalancer;
    service.external_traffic_policy = TrafficPolicy::Local;
    service.health_check_node_port = Some(port(32000));
    service.cluster_ips.push("fd00:10::7".parse().unwrap());
    let [http] = service.ports.as_slice() else {
        panic!("one port");
    };
    let named = |name: &str, number, node_port| ServicePort {
        name: Some(name.into()),
        port: port(number),
        node_port: Some(port(node_port)),
        ..http.clone()
    };
    service.ports = vec![named("http", 80, 30080), named("https", 443, 30443)];
    let ingress = |ip: &str| Ingress {
        ip: Some(ip.parse().unwrap()),
        hostname: None,
        ip_mode: None,
    };
    service.load_balancer = vec![ingress("192.168.0.200"), ingress("fd00::200")];
    facts.nodes = Arc::new(
        (0..3)
            .map(|index| {
                let mut node = node(&format!("node-{}", index + 1), index);
                node.internal_ips
                    .push(format!("fd00::1{index}").parse().unwrap());
                node
            })
            .collect(),
    );
    let mut endpoint = endpoint("node-1", 0);
    endpoint.ports = [("http", 8080), ("https", 8443)]
        .map(|(name, number)| EndpointPort {
            name: Some(name.into()),
            protocol: Protocol::Tcp,
            port: port(number),
        })
        .into();
    let mut other_family = endpoint.clone();
    other_family.address = "fd00:172::10".parse().unwrap();
    facts.endpoints = vec![endpoint, other_family];
    let placement = place(&[&facts], &probe_settings()).remove(0);
    let positions: Vec<ProbedPosition> = Position::ALL
        .iter()
        .map(|&position| {
            let targets = targets(&facts, &placement, position);
            let answered = Outcome::Answered {
                status: Some(200),
                echo: None,
            };
            ProbedPosition {
                accepted: Vec::new(),
                position,
                node: placement
                    .node(position)
                    .map(|node| node.unwrap().to_owned()),
                heard: Ok(ProbeOutput {
                    results: (0..)
                        .zip(&targets)
                        .map(|(id, _)| (id, vec![attempt(answered.clone()); 3]))
                        .collect(),
                    host: None,
                    end: End::Complete,
                }),
                targets,
            }
        })
        .collect();
    let documents = Documents::of(&ExpectationSettings::default()).unwrap();
    let expectations = Expectations {
        documents: &documents,
        proxy: None,
        hints: &ProviderHints::default(),
        policies: &PolicySurvey::default(),
        mesh: Ok(None),
        others: &[],
        overrides: ClusterOverrides {
            network_model: None,
            proxy_mode: Some(ProxyMode::Iptables),
        },
        terms: &Terms::default(),
        at: None,
    };
    let elapsed = Duration::from_secs(4);
    let mut report = reporting::report(
        "r1",
        elapsed,
        &facts,
        &positions,
        expectations,
        Unchecked::default(),
    );
    report.cells.retain(|cell| cell.expected.is_some());
    for cell in &mut report.cells {
        cell.verdict = Verdict::AsExpected;
        if cell.expected.as_ref().map(|expected| expected.value) == Some(ExpectedValue::Unreachable)
        {
            cell.observed.value = ObservedValue::Unreachable;
            cell.observed.reason = "timed out".to_owned();
            cell.observed.ok = Some(0);
        }
    }
    report.advisories.clear();
    report.summary = Summary::of(&report.cells, &Terms::default());
    report
}

/// Hostile text that a server, an annotation or the name of a node may contain.
pub const NASTY: &str =
    "a|b `c` <b>&]]>\u{1b}[2J\u{9b}\u{202e}@all # SKIP\n  ...\nok 99\r*x* \u{0}\u{ffff}";

/// [`report`] with every verdict, and with [`NASTY`] texts.
pub fn mixed() -> Report {
    let mut report = report();
    let of_pods = report
        .cells
        .iter_mut()
        .filter(|cell| cell.position == Position::PodOther)
        .skip(1);
    let verdicts = [
        (Verdict::Better, ObservedValue::Reachable),
        (Verdict::Unstable, ObservedValue::Unstable),
        (Verdict::Disputed, ObservedValue::Unreachable),
    ];
    for (cell, (verdict, value)) in of_pods.zip(verdicts) {
        cell.verdict = verdict;
        cell.observed.value = value;
        cell.observed.reason = format!("{verdict}: {NASTY}");
        cell.hint = Some(NASTY.to_owned());
        cell.predicted = None;
    }
    report.summary = Summary::of(&report.cells, &Terms::default());
    report
}

/// [`report`] with nothing to compare with.
pub fn undocumented() -> Report {
    let mut report = report();
    report
        .cells
        .retain(|cell| cell.position == Position::NodeOther);
    for cell in &mut report.cells {
        cell.verdict = Verdict::Undocumented;
        cell.expected = None;
    }
    report.summary = Summary::of(&report.cells, &Terms::default());
    report
}

/// [`healthy`] in a cluster whose every node runs a backend.
pub fn absent() -> Report {
    let mut report = healthy();
    let others = [Position::NodeOther, Position::PodOther];
    report.cells.retain(|cell| !others.contains(&cell.position));
    report.absent_positions = others
        .map(|position| AbsentPosition {
            position,
            reason: "every node runs a backend".to_owned(),
        })
        .into();
    report.summarize();
    report
}

/// [`healthy`] without a ready backend: no target answers, as the forwarding model expects.
pub fn down() -> Report {
    let mut report = healthy();
    let same = [Position::NodeSame, Position::PodSame];
    report.cells.retain(|cell| !same.contains(&cell.position));
    for cell in &mut report.cells {
        cell.observed.value = ObservedValue::Unreachable;
        cell.observed.reason = "refused".to_owned();
        cell.observed.ok = Some(0);
        if let Some(expected) = &mut cell.expected {
            expected.value = ExpectedValue::Unreachable;
        }
    }
    report.absent_positions = same
        .map(|position| AbsentPosition {
            position,
            reason: "the Service has no ready endpoint".to_owned(),
        })
        .into();
    report.outage = Some("no pod matches its selector app=nginx".to_owned());
    report.summarize();
    report
}

/// A report whose cells are all as expected, except that one backend does not see the client's address.
pub fn client_lost() -> Report {
    let mut report = report();
    report
        .cells
        .retain(|cell| cell.position == Position::NodeOther);
    for cell in &mut report.cells {
        cell.verdict = Verdict::AsExpected;
    }
    report.cells[0].client = Client {
        value: ClientValue::Replaced,
        address: Some(ip(192, 168, 0, 10)),
        replaced_by: Some("node a".into()),
        reason: None,
        expected: Some(ClientExpectation {
            value: SourceAddress::Kept,
            basis: Basis::Predicted,
            matrix: None,
            edition: None,
            source: None,
        }),
        verdict: ClientVerdict::Worse,
    };
    report.summary = Summary::of(&report.cells, &Terms::default());
    report
}

/// Reports of every kind, under every set of verdicts that can fail a run, with and without a requirement.
pub fn under_all_terms() -> Vec<Report> {
    let mut observed = mixed();
    observed
        .cells
        .retain(|cell| cell.verdict != Verdict::NotObserved);
    let failures = [
        Failure::Worse,
        Failure::Better,
        Failure::Unstable,
        Failure::Disputed,
        Failure::Undocumented,
        Failure::ClientAddress,
    ];
    let mut reports = Vec::new();
    for base in [
        report(),
        mixed(),
        observed,
        undocumented(),
        absent(),
        down(),
        client_lost(),
    ] {
        for set in 0..1 << failures.len() {
            let named = (0..).zip(failures).filter(|(bit, _)| set >> bit & 1 == 1);
            let fail_on: Vec<Failure> = named.map(|(_, failure)| failure).collect();
            for required in [
                None,
                Some("pod-other:cluster-ip"),
                Some("external:external-ip"),
            ] {
                let mut report = base.clone();
                report.terms = Terms {
                    fail_on: fail_on.clone(),
                    required: required.iter().map(|text| self::required(text)).collect(),
                };
                report.summarize();
                reports.push(report);
            }
        }
    }
    reports
}

/// [`mixed`] from all five positions, with two editions, and with names and addresses as long as in real clouds.
pub fn crowded() -> Report {
    let mut report = mixed();
    let seen: Vec<Cell> = report.cells.drain(..).take(5).collect();
    let hosts = [
        "2001:db8:85a3:1234:5678:8a2e:370:7334",
        "internal-k8s-default-nginx-0123456789-1234567890.eu-central-1.elb.example.com",
    ];
    for (index, position) in (1..).zip(Position::ALL) {
        let node = format!("ip-10-0-0-{index}.example.internal");
        let mut cells = seen.clone();
        for (cell, host) in cells.iter_mut().skip(3).zip(hosts) {
            cell.target.address = host.to_owned();
            cell.target.kind = TargetKind::HealthCheckNodePort;
        }
        for cell in &mut cells {
            cell.position = *position;
            cell.node = (*position != Position::External).then(|| node.clone());
            cell.observed.ok = Some(3);
            cell.observed.of = Some(3);
            cell.observed.latency_ms = Some(1.5);
            cell.editions = [
                ("new", Reachability::Reachable),
                ("old", Reachability::Unreachable),
            ]
            .map(|(edition, value)| EditionValue {
                edition: edition.to_owned(),
                alias: None,
                value,
                operator: None,
                standing: None,
            })
            .into();
        }
        report.cells.extend(cells);
    }
    report.summary = Summary::of(&report.cells, &Terms::default());
    report
}

/// The settings of a command line, without checks from this machine.
pub fn typed(args: &[&str]) -> (Connection, RunSettings) {
    let args = ["kubectl-svc_reach", "--external", "never"]
        .iter()
        .chain(args);
    let config = Config::new(Cli::read(args).unwrap()).unwrap();
    let Action::Run(run) = config.action else {
        panic!("it is no run: {:?}", config.action);
    };
    (config.connection, *run)
}

/// A node that accepts probes, as the API server returns it.
pub fn node_object(name: &str) -> Value {
    json!({
        "metadata": {"name": name},
        "status": {
            "conditions": [{"type": "Ready", "status": "True"}],
            "addresses": [{"type": "InternalIP", "address": "192.168.0.1"}],
            "nodeInfo": {"operatingSystem": "linux", "architecture": "amd64"},
        },
    })
}

/// Replies to every call before the first probe is created. In namespace `web`, every Service exists.
pub fn prepared(call: &str) -> Reply {
    if let Some(name) = call.strip_prefix("GET /api/v1/namespaces/web/services/") {
        return Reply::Object(json!({
            "metadata": {"name": name, "namespace": "web"},
            "spec": {"clusterIP": "10.0.0.1", "ports": [{"port": 80, "protocol": "TCP"}]},
        }));
    }
    Reply::Object(match call {
        "GET /apis/discovery.k8s.io/v1/namespaces/web/endpointslices" => json!({"items": [{
            "metadata": {"name": "nginx-1", "namespace": "web"},
            "addressType": "IPv4",
            "endpoints": [{"addresses": ["172.16.0.1"], "nodeName": "n1"}],
            "ports": [{"port": 80}],
        }]}),
        "GET /api/v1/nodes" => json!({"items": [node_object("n1"), node_object("n2")]}),
        "POST /apis/authorization.k8s.io/v1/selfsubjectrulesreviews" => {
            json!({"status": {"resourceRules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}]}})
        }
        call if call.starts_with("GET") => return Reply::Failure(404),
        call if call.starts_with("DRY-RUN") => json!({"spec": {"ttlSecondsAfterFinished": 60}}),
        other => panic!("{other}"),
    })
}
