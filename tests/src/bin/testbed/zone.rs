//! The names of a cluster and what they stand for, after the Kubernetes DNS specification
//! (<https://github.com/kubernetes/dns/blob/1.22.20/docs/specification.md>), as far as Services need it: no SRV records,
//! no names of single pods.

use std::collections::HashMap;
use std::net::Ipv4Addr;

use k8s_openapi::api::core::v1::{Endpoints, Service};

/// What a name of the zone is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A Service with an address, or the ready endpoints of a headless one.
    Addresses(Vec<Ipv4Addr>),
    /// A Service of type `ExternalName`.
    Alias(String),
}

/// The answer to a question for addresses.
#[derive(Debug, PartialEq, Eq)]
pub struct Resolution {
    /// The names that the asked one led to, each standing for the one before.
    pub aliases: Vec<String>,
    /// `None` when the last name does not exist here.
    pub addresses: Option<Vec<Ipv4Addr>>,
}

/// All names of one moment.
#[derive(Debug, Default)]
pub struct Zone {
    /// Domain under which load balancers have names that contain their address.
    elb_domain: String,
    /// By full name, lower case, without the closing dot.
    entries: HashMap<String, Entry>,
}

/// How many aliases are followed; more is taken for a circle.
const LONGEST_CHAIN: usize = 8;

impl Zone {
    /// The zone of a cluster with these Services and endpoints.
    pub fn new(
        domain: &str,
        elb_domain: &str,
        services: &[Service],
        endpoints: &[Endpoints],
    ) -> Self {
        let mut entries = HashMap::new();
        for service in services {
            let (Some(name), Some(namespace)) =
                (&service.metadata.name, &service.metadata.namespace)
            else {
                continue;
            };
            let Some(spec) = &service.spec else { continue };
            let entry = if spec.type_.as_deref() == Some("ExternalName") {
                spec.external_name
                    .clone()
                    .map(|target| Entry::Alias(lower(&target)))
            } else if spec.cluster_ip.as_deref() == Some("None") {
                let ready = ready_addresses(name, namespace, endpoints);
                // A headless Service without an endpoint has no name, unlike one whose name has no address.
                (!ready.is_empty()).then_some(Entry::Addresses(ready))
            } else {
                spec.cluster_ip
                    .as_deref()
                    .and_then(|ip| ip.parse().ok())
                    .map(|ip| Entry::Addresses(vec![ip]))
            };
            if let Some(entry) = entry {
                entries.insert(format!("{name}.{namespace}.svc.{domain}"), entry);
            }
        }
        Self {
            elb_domain: elb_domain.to_owned(),
            entries,
        }
    }

    /// Follows a name to its addresses.
    pub fn resolve(&self, name: &str) -> Resolution {
        let mut aliases = Vec::new();
        let mut name = lower(name);
        loop {
            match self.entry(&name) {
                Some(Entry::Alias(target)) if aliases.len() < LONGEST_CHAIN => {
                    aliases.push(target.clone());
                    name = target;
                }
                Some(Entry::Addresses(addresses)) => {
                    return Resolution {
                        aliases,
                        addresses: Some(addresses),
                    };
                }
                Some(Entry::Alias(_)) | None => {
                    return Resolution {
                        aliases,
                        addresses: None,
                    };
                }
            }
        }
    }

    fn entry(&self, name: &str) -> Option<Entry> {
        let balancer = name
            .strip_suffix(&self.elb_domain)
            .and_then(|name| name.strip_suffix('.'))
            .and_then(balancer_address);
        match balancer {
            Some(address) => Some(Entry::Addresses(vec![address])),
            None => self.entries.get(name).cloned(),
        }
    }
}

/// The name of a load balancer's address below the load balancers' domain: `192.168.60.200` is `ip-192-168-60-200`.
pub fn balancer_label(address: Ipv4Addr) -> String {
    format!("ip-{}", address.to_string().replace('.', "-"))
}

/// The address in such a name.
pub fn balancer_address(label: &str) -> Option<Ipv4Addr> {
    label.strip_prefix("ip-")?.replace('-', ".").parse().ok()
}

fn lower(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

fn ready_addresses(name: &str, namespace: &str, endpoints: &[Endpoints]) -> Vec<Ipv4Addr> {
    endpoints
        .iter()
        .filter(|e| {
            e.metadata.name.as_deref() == Some(name)
                && e.metadata.namespace.as_deref() == Some(namespace)
        })
        .flat_map(|e| e.subsets.iter().flatten())
        .flat_map(|subset| subset.addresses.iter().flatten())
        .filter_map(|address| address.ip.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn zone() -> Zone {
        let services = json!([
            {"metadata": {"name": "web", "namespace": "a"}, "spec": {"clusterIP": "10.248.0.7"}},
            {"metadata": {"name": "heads", "namespace": "a"}, "spec": {"clusterIP": "None"}},
            {"metadata": {"name": "empty", "namespace": "a"}, "spec": {"clusterIP": "None"}},
            {"metadata": {"name": "near", "namespace": "a"}, "spec": {"type": "ExternalName", "externalName": "web.a.svc.cluster.local"}},
            {"metadata": {"name": "far", "namespace": "a"}, "spec": {"type": "ExternalName", "externalName": "Example.org."}},
            {"metadata": {"name": "ring", "namespace": "a"}, "spec": {"type": "ExternalName", "externalName": "ring.a.svc.cluster.local"}},
        ]);
        let endpoints = json!([
            {"metadata": {"name": "heads", "namespace": "a"}, "subsets": [
                {"addresses": [{"ip": "172.20.1.2"}], "notReadyAddresses": [{"ip": "172.20.1.9"}]},
                {"addresses": [{"ip": "172.20.2.3"}]}]},
            {"metadata": {"name": "heads", "namespace": "b"}, "subsets": [{"addresses": [{"ip": "172.20.3.3"}]}]},
        ]);
        let services: Vec<Service> = serde_json::from_value(services).unwrap();
        let endpoints: Vec<Endpoints> = serde_json::from_value(endpoints).unwrap();
        Zone::new("cluster.local", "elb.test", &services, &endpoints)
    }

    #[test]
    fn names_lead_to_addresses() {
        type Row = (
            &'static str,
            &'static [&'static str],
            Option<&'static [[u8; 4]]>,
        );
        let rows: [Row; 10] = [
            ("web.a.svc.cluster.local", &[], Some(&[[10, 248, 0, 7]])),
            ("WEB.a.svc.Cluster.local.", &[], Some(&[[10, 248, 0, 7]])),
            ("web.b.svc.cluster.local", &[], None),
            ("web", &[], None),
            (
                "heads.a.svc.cluster.local",
                &[],
                Some(&[[172, 20, 1, 2], [172, 20, 2, 3]]),
            ),
            ("empty.a.svc.cluster.local", &[], None),
            (
                "near.a.svc.cluster.local",
                &["web.a.svc.cluster.local"],
                Some(&[[10, 248, 0, 7]]),
            ),
            ("far.a.svc.cluster.local", &["example.org"], None),
            (
                "ip-192-168-60-201.elb.test",
                &[],
                Some(&[[192, 168, 60, 201]]),
            ),
            ("elb.test", &[], None),
        ];
        for (name, aliases, addresses) in rows {
            let got = zone().resolve(name);
            assert_eq!(got.aliases, aliases, "aliases of {name}");
            let addresses = addresses.map(|list| {
                list.iter()
                    .map(|octets| Ipv4Addr::from(*octets))
                    .collect::<Vec<_>>()
            });
            assert_eq!(got.addresses, addresses, "addresses of {name}");
        }
    }

    #[test]
    fn a_circle_of_aliases_ends() {
        assert_eq!(
            zone().resolve("ring.a.svc.cluster.local").addresses,
            None,
            "a name that stands for itself has no address"
        );
    }
}
