//! The DNS names of a cluster's Services, after the Kubernetes DNS specification
//! (<https://github.com/kubernetes/dns/blob/1.22.20/docs/specification.md>). There are no SRV records and no names of
//! single pods.

use std::collections::HashMap;
use std::net::Ipv4Addr;

use k8s_openapi::api::core::v1::{Endpoints, Service};

/// What a name leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// The cluster IP of a Service, or the ready endpoints of a headless Service.
    Addresses(Vec<Ipv4Addr>),
    /// The target of a Service of type `ExternalName`.
    Alias(String),
}

/// The answer to a question for addresses.
#[derive(Debug, PartialEq, Eq)]
pub struct Resolution {
    /// The chain of aliases: each name is the target of the name before it. The first is the target of the queried
    /// name.
    pub aliases: Vec<String>,
    /// `None`: the last name of the chain does not exist in this zone.
    pub addresses: Option<Vec<Ipv4Addr>>,
}

/// All names at one point in time.
#[derive(Debug, Default)]
pub struct Zone {
    /// The domain of load balancers. A name below it contains the load balancer's address.
    elb_domain: String,
    /// Entries by full name, in lower case and without the trailing dot.
    entries: HashMap<String, Entry>,
}

/// How many aliases are followed. A longer chain is treated as a loop.
const LONGEST_CHAIN: usize = 8;

impl Zone {
    /// Builds the zone of a cluster with these Services and endpoints.
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
                // The name of a headless Service does not exist while the Service has no ready endpoint.
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

    /// Resolves a name to its addresses and follows aliases.
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

/// The label that encodes a load balancer's address: `192.168.60.200` becomes `ip-192-168-60-200`.
pub fn balancer_label(address: Ipv4Addr) -> String {
    format!("ip-{}", address.to_string().replace('.', "-"))
}

/// The address that such a label encodes.
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
    fn names_resolve_to_addresses() {
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
    fn a_loop_of_aliases_has_no_address() {
        assert_eq!(
            zone().resolve("ring.a.svc.cluster.local").addresses,
            None,
            "a name that is an alias for itself has no address"
        );
    }
}
