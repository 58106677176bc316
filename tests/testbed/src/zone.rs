//! The DNS names of a cluster's Services, after the Kubernetes DNS specification
//! (<https://github.com/kubernetes/dns/blob/1.22.20/docs/specification.md>). There are no SRV records and no names of
//! single pods.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use k8s_openapi::api::core::v1::{Endpoints, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;

/// What a name leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// The cluster IPs of a Service, or the ready endpoints of a headless Service.
    Addresses(Vec<IpAddr>),
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
    pub addresses: Option<Vec<IpAddr>>,
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
    pub fn new(domain: &str, elb_domain: &str, services: &[Service], endpoints: &Ready) -> Self {
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
                // The name of a headless Service does not exist while the Service has no ready endpoint.
                endpoints.of(namespace, name).map(Entry::Addresses)
            } else {
                // `clusterIPs` does not exist before 1.20, which added dual stack.
                let addresses: Vec<IpAddr> = spec
                    .cluster_ips
                    .iter()
                    .flatten()
                    .chain(
                        spec.cluster_ip
                            .iter()
                            .filter(|_| spec.cluster_ips.is_none()),
                    )
                    .filter_map(|ip| ip.parse().ok())
                    .collect();
                (!addresses.is_empty()).then_some(Entry::Addresses(addresses))
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

/// The label that encodes a load balancer's address: `192.168.60.200` becomes `ip-192-168-60-200`, and `fd00::1`
/// becomes `ip6-fd00--1`.
pub fn balancer_label(address: IpAddr) -> String {
    match address {
        IpAddr::V4(ip) => format!("ip-{}", ip.to_string().replace('.', "-")),
        IpAddr::V6(ip) => format!("ip6-{}", ip.to_string().replace(':', "-")),
    }
}

/// The address that such a label encodes.
pub fn balancer_address(label: &str) -> Option<IpAddr> {
    if let Some(ip) = label.strip_prefix("ip-") {
        return Some(ip.replace('-', ".").parse::<Ipv4Addr>().ok()?.into());
    }
    let ip = label.strip_prefix("ip6-")?;
    Some(ip.replace('-', ":").parse::<Ipv6Addr>().ok()?.into())
}

fn lower(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

/// The addresses of ready endpoints, by namespace and Service.
#[derive(Debug, Default)]
pub struct Ready(HashMap<(String, String), Vec<IpAddr>>);

impl Ready {
    fn of(&self, namespace: &str, service: &str) -> Option<Vec<IpAddr>> {
        self.0
            .get(&(namespace.to_owned(), service.to_owned()))
            .filter(|addresses| !addresses.is_empty())
            .cloned()
    }

    fn add<'a>(
        &mut self,
        namespace: Option<&String>,
        service: Option<&String>,
        addresses: impl Iterator<Item = &'a String>,
    ) {
        if let (Some(namespace), Some(service)) = (namespace, service) {
            self.0
                .entry((namespace.clone(), service.clone()))
                .or_default()
                .extend(addresses.filter_map(|ip| ip.parse::<IpAddr>().ok()));
        }
    }
}

impl From<Vec<EndpointSlice>> for Ready {
    fn from(slices: Vec<EndpointSlice>) -> Self {
        let mut ready = Self::default();
        for slice in &slices {
            let labels = slice.metadata.labels.as_ref();
            let service = labels.and_then(|labels| labels.get("kubernetes.io/service-name"));
            // An endpoint without this condition counts as ready:
            // https://kubernetes.io/docs/concepts/services-networking/endpoint-slices/#ready
            let endpoints = slice.endpoints.iter().flatten().filter(|endpoint| {
                endpoint
                    .conditions
                    .as_ref()
                    .and_then(|conditions| conditions.ready)
                    != Some(false)
            });
            let addresses = endpoints.flat_map(|endpoint| &endpoint.addresses);
            ready.add(slice.metadata.namespace.as_ref(), service, addresses);
        }
        ready
    }
}

impl From<Vec<Endpoints>> for Ready {
    fn from(list: Vec<Endpoints>) -> Self {
        let mut ready = Self::default();
        for endpoints in &list {
            let addresses = endpoints
                .subsets
                .iter()
                .flatten()
                .flat_map(|subset| subset.addresses.iter().flatten())
                .map(|address| &address.ip);
            ready.add(
                endpoints.metadata.namespace.as_ref(),
                endpoints.metadata.name.as_ref(),
                addresses,
            );
        }
        ready
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn zone() -> Zone {
        let services = json!([
            {"metadata": {"name": "web", "namespace": "a"}, "spec": {"clusterIP": "10.248.0.7"}},
            {"metadata": {"name": "dual", "namespace": "a"},
             "spec": {"clusterIP": "10.248.0.8", "clusterIPs": ["10.248.0.8", "fd00:60:5::8"]}},
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
        Zone::new("cluster.local", "elb.test", &services, &endpoints.into())
    }

    #[test]
    fn endpoint_slices_of_both_families_are_combined() {
        let slices = json!([
            {"metadata": {"name": "heads-4", "namespace": "a", "labels": {"kubernetes.io/service-name": "heads"}}, "addressType": "IPv4",
             "endpoints": [{"addresses": ["172.20.1.2"], "conditions": {"ready": true}},
                           {"addresses": ["172.20.1.3"], "conditions": {"ready": false}}]},
            {"metadata": {"name": "heads-6", "namespace": "a", "labels": {"kubernetes.io/service-name": "heads"}}, "addressType": "IPv6",
             "endpoints": [{"addresses": ["fd00:60:a:1::2"]}]},
        ]);
        let slices: Vec<EndpointSlice> = serde_json::from_value(slices).unwrap();
        let expected = ["172.20.1.2", "fd00:60:a:1::2"].map(|ip| ip.parse().unwrap());
        assert_eq!(
            Ready::from(slices).of("a", "heads").as_deref(),
            Some(&expected[..])
        );
    }

    #[test]
    fn the_label_of_a_load_balancer_decodes_to_its_address() {
        for ip in ["192.168.60.200", "fd00:60:0:e::1"] {
            let ip: IpAddr = ip.parse().unwrap();
            assert_eq!(balancer_address(&balancer_label(ip)), Some(ip));
        }
    }

    #[test]
    fn names_resolve_to_addresses() {
        type Row = (
            &'static str,
            &'static [&'static str],
            Option<&'static [&'static str]>,
        );
        let rows: [Row; 12] = [
            ("web.a.svc.cluster.local", &[], Some(&["10.248.0.7"])),
            ("WEB.a.svc.Cluster.local.", &[], Some(&["10.248.0.7"])),
            (
                "dual.a.svc.cluster.local",
                &[],
                Some(&["10.248.0.8", "fd00:60:5::8"]),
            ),
            ("web.b.svc.cluster.local", &[], None),
            ("web", &[], None),
            (
                "heads.a.svc.cluster.local",
                &[],
                Some(&["172.20.1.2", "172.20.2.3"]),
            ),
            ("empty.a.svc.cluster.local", &[], None),
            (
                "near.a.svc.cluster.local",
                &["web.a.svc.cluster.local"],
                Some(&["10.248.0.7"]),
            ),
            ("far.a.svc.cluster.local", &["example.org"], None),
            ("ip-192-168-60-201.elb.test", &[], Some(&["192.168.60.201"])),
            (
                "ip6-fd00-60-0-e--1.elb.test",
                &[],
                Some(&["fd00:60:0:e::1"]),
            ),
            ("elb.test", &[], None),
        ];
        for (name, aliases, addresses) in rows {
            let got = zone().resolve(name);
            assert_eq!(got.aliases, aliases, "aliases of {name}");
            let addresses = addresses.map(|list| {
                list.iter()
                    .map(|ip| ip.parse().unwrap())
                    .collect::<Vec<IpAddr>>()
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
