//! Random Services, over all fields that the model knows.

use crate::{
    backends::Sort,
    families::Families,
    services::{BROKEN, Case, OTHER_PROXY},
};
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};

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
        Err(_) => SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |time| time.as_secs()),
    }
}

/// SplitMix64 (<https://doi.org/10.1145/2714064.2660195>): the same numbers on every machine.
struct Random(u64);

impl Random {
    const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// True once in `of` times.
    const fn once_in(&mut self, of: u64) -> bool {
        self.next().is_multiple_of(of)
    }

    fn one_of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        let index = usize::try_from(self.next() % all.len() as u64).unwrap_or_default();
        &all[index]
    }
}

/// The Services of a seed.
pub fn services(seed: u64, families: &Families) -> Vec<Case> {
    let mut random = Random(seed);
    let (mut balancers, mut external) = (0, 0);
    (0..COUNT)
        .map(|number| {
            let mut kind = *random.one_of(&["ClusterIP", "None", "NodePort", "LoadBalancer"]);
            if kind == "LoadBalancer" {
                balancers += 1;
                if balancers > BALANCERS {
                    kind = "NodePort";
                }
            }
            let mut case = service(&mut random, number, kind, families);
            if kind != "None" && random.once_in(4) && external < EXTERNAL {
                let addresses = families.choose(
                    format!("203.0.113.{}", 200 + external),
                    format!("2001:db8::{:x}", 0x1000 + external),
                );
                case.object["spec"]["externalIPs"] = addresses.into();
                if kind == "ClusterIP" && random.once_in(2) {
                    case.object["spec"]["externalTrafficPolicy"] = "Local".into();
                }
                external += 1;
            }
            case
        })
        .collect()
}

fn service(random: &mut Random, number: usize, kind: &str, families: &Families) -> Case {
    let sort = *random.one_of(&Sort::ALL);
    let mut spec = json!({});
    if kind == "None" {
        spec["clusterIP"] = "None".into();
    } else {
        spec["type"] = kind.into();
    }
    if random.once_in(2) {
        let (policy, of) = some_families(random, families);
        spec["ipFamilyPolicy"] = policy.into();
        spec["ipFamilies"] = of;
    }
    spec["ports"] = ports(random, sort);
    if random.once_in(3) {
        spec["internalTrafficPolicy"] = "Local".into();
    }
    if random.once_in(4) {
        spec["sessionAffinity"] = "ClientIP".into();
    }
    if random.once_in(3) {
        spec["publishNotReadyAddresses"] = true.into();
    }
    if random.once_in(3) {
        let distributions = ["PreferClose", "PreferSameNode", "PreferSameZone"];
        spec["trafficDistribution"] = (*random.one_of(&distributions)).into();
    }
    if matches!(kind, "NodePort" | "LoadBalancer") && random.once_in(2) {
        spec["externalTrafficPolicy"] = "Local".into();
    }
    if kind == "LoadBalancer" {
        if random.once_in(2) {
            spec["loadBalancerSourceRanges"] = ranges(random);
        }
        if random.once_in(6) {
            spec["allocateLoadBalancerNodePorts"] = false.into();
        }
    }
    let mut case = Case::new(&format!("random-{number}"), sort, families, &spec);
    if kind == "LoadBalancer" {
        case = match random.next() % 6 {
            0 => case.proxied(),
            1 => case.shared(),
            2 => case.named(),
            _ => case,
        };
    }
    if kind != "None" && random.once_in(20) {
        case.object["metadata"]["labels"][OTHER_PROXY] = "another".into();
    }
    case
}

fn some_families(random: &mut Random, families: &Families) -> (&'static str, Value) {
    let mut of = families.all().to_vec();
    if random.once_in(2) {
        of.reverse();
    }
    if random.once_in(2) || !families.are_two() {
        of.truncate(1);
        ("SingleStack", json!(of))
    } else {
        ("PreferDualStack", json!(of))
    }
}

/// One to three ports.
fn ports(random: &mut Random, sort: Sort) -> Value {
    let number = random
        .one_of(&[json!(sort.http_port()), json!("web")])
        .clone();
    let mut ports = vec![json!({"name": "http", "port": 80, "targetPort": number})];
    if sort.serves_datagrams() && random.once_in(3) {
        let port = json!({"name": "udp", "port": 80, "protocol": "UDP", "targetPort": 5353});
        ports.push(port);
    }
    if random.once_in(3) {
        ports.push(json!({"name": BROKEN, "port": 81, "targetPort": 9}));
    }
    if random.once_in(3) {
        ports.reverse();
    }
    ports.into()
}

/// Ranges of the client outside, of pods, of nodes, or of nobody.
fn ranges(random: &mut Random) -> Value {
    let all = [
        ["192.168.60.100/32", "fd00:60:0:1::100/128"],
        ["172.20.0.0/16", "fd00:60:a::/48"],
        ["192.168.60.0/26", "fd00:60:0:1::10/124"],
        ["198.51.100.0/24", "2001:db8:1::/48"],
    ];
    let mut ranges: Vec<&str> = random.one_of(&all).to_vec();
    if random.once_in(3) {
        ranges.extend(random.one_of(&all));
    }
    ranges.sort_unstable();
    ranges.dedup();
    json!(ranges)
}
