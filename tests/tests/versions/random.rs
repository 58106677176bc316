//! Random Services, over all fields that the model knows.

use crate::{
    backends::Sort,
    families::Families,
    services::{BROKEN, Case, OTHER_PROXY},
};
use fastrand::Rng;
use serde_json::{Value, json};

/// Number of Services.
const COUNT: usize = 200;

/// The test cluster has 48 addresses for load balancers, of each family.
const BALANCERS: usize = 40;

/// The range of external IPs that the network routes has 256 addresses. The other Services use those below 200.
const EXTERNAL: usize = 50;

/// Which random Services to make.
const SEED: &str = "SVC_REACH_SEED";

/// The seed in the environment, or a new one.
pub fn seed() -> u64 {
    match std::env::var(SEED) {
        Ok(text) => text
            .parse()
            .unwrap_or_else(|error| panic!("{SEED}={text}: {error}")),
        Err(_) => fastrand::u32(..).into(),
    }
}

/// True once in `of` times.
fn once_in(random: &mut Rng, of: u64) -> bool {
    random.u64(..of) == 0
}

/// The Services of a seed.
pub fn services(seed: u64, families: &Families) -> Vec<Case> {
    let random = &mut Rng::with_seed(seed);
    let (mut balancers, mut external) = (0, 0);
    (0..COUNT)
        .map(|number| {
            let mut kind = random
                .choice(["ClusterIP", "None", "NodePort", "LoadBalancer"])
                .unwrap();
            if kind == "LoadBalancer" {
                balancers += 1;
                if balancers > BALANCERS {
                    kind = "NodePort";
                }
            }
            let mut case = service(random, number, kind, families);
            if kind != "None" && once_in(random, 4) && external < EXTERNAL {
                let addresses = families.choose(
                    format!("203.0.113.{}", 200 + external),
                    format!("2001:db8::{:x}", 0x1000 + external),
                );
                case.object["spec"]["externalIPs"] = addresses.into();
                if kind == "ClusterIP" && once_in(random, 2) {
                    case.object["spec"]["externalTrafficPolicy"] = "Local".into();
                }
                external += 1;
            }
            case
        })
        .collect()
}

fn service(random: &mut Rng, number: usize, kind: &str, families: &Families) -> Case {
    let sort = random.choice(Sort::ALL).unwrap();
    let mut spec = json!({});
    if kind == "None" {
        spec["clusterIP"] = "None".into();
    } else {
        spec["type"] = kind.into();
    }
    if once_in(random, 2) {
        let (policy, of) = some_families(random, families);
        spec["ipFamilyPolicy"] = policy.into();
        spec["ipFamilies"] = of;
    }
    spec["ports"] = ports(random, sort);
    if once_in(random, 3) {
        spec["internalTrafficPolicy"] = "Local".into();
    }
    if once_in(random, 4) {
        spec["sessionAffinity"] = "ClientIP".into();
    }
    if once_in(random, 3) {
        spec["publishNotReadyAddresses"] = true.into();
    }
    if once_in(random, 3) {
        let distributions = ["PreferClose", "PreferSameNode", "PreferSameZone"];
        spec["trafficDistribution"] = random.choice(distributions).unwrap().into();
    }
    if matches!(kind, "NodePort" | "LoadBalancer") && once_in(random, 2) {
        spec["externalTrafficPolicy"] = "Local".into();
    }
    if kind == "LoadBalancer" {
        if once_in(random, 2) {
            spec["loadBalancerSourceRanges"] = ranges(random);
        }
        if once_in(random, 6) {
            spec["allocateLoadBalancerNodePorts"] = false.into();
        }
    }
    let mut case = Case::new(&format!("random-{number}"), sort, families, &spec);
    if kind == "LoadBalancer" {
        case = match random.u8(..6) {
            0 => case.proxied(),
            1 => case.shared(),
            2 => case.named(),
            _ => case,
        };
    }
    if kind != "None" && once_in(random, 20) {
        case.object["metadata"]["labels"][OTHER_PROXY] = "another".into();
    }
    case
}

fn some_families(random: &mut Rng, families: &Families) -> (&'static str, Value) {
    let mut of = families.all().to_vec();
    if once_in(random, 2) {
        of.reverse();
    }
    if once_in(random, 2) || !families.are_two() {
        of.truncate(1);
        ("SingleStack", json!(of))
    } else {
        ("PreferDualStack", json!(of))
    }
}

/// One to three ports.
fn ports(random: &mut Rng, sort: Sort) -> Value {
    let number = random
        .choice([json!(sort.http_port()), json!("web")])
        .unwrap();
    let mut ports = vec![json!({"name": "http", "port": 80, "targetPort": number})];
    if once_in(random, 3) {
        let port = json!({"name": "udp", "port": 80, "protocol": "UDP", "targetPort": 5353});
        ports.push(port);
    }
    if once_in(random, 3) {
        ports.push(json!({"name": BROKEN, "port": 81, "targetPort": 9}));
    }
    if once_in(random, 3) {
        ports.reverse();
    }
    ports.into()
}

/// Ranges of the client outside, of pods, of nodes, or of nobody.
fn ranges(random: &mut Rng) -> Value {
    let all = [
        ["192.168.60.100/32", "fd00:60:0:1::100/128"],
        ["172.20.0.0/16", "fd00:60:a::/48"],
        ["192.168.60.0/26", "fd00:60:0:1::10/124"],
        ["198.51.100.0/24", "2001:db8:1::/48"],
    ];
    let mut ranges: Vec<&str> = random.choice(all).unwrap().to_vec();
    if once_in(random, 3) {
        ranges.extend(random.choice(all).unwrap());
    }
    ranges.sort_unstable();
    ranges.dedup();
    json!(ranges)
}
