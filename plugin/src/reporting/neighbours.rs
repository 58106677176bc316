//! Other Services that matter to a Service: those that have an address that its packets carry. Pure.

use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
};
use svc_reach_common::facts::{Facts, Service};

/// For each Service, the others that have its endpoints' addresses, its own addresses, or addresses of nodes.
///
/// The number of steps grows with the number of Services and endpoints, and hardly any Service has such neighbours.
pub fn neighbours(services: &[&Facts]) -> Vec<Vec<Facts>> {
    let Some(first) = services.first() else {
        return Vec::new();
    };
    let of_nodes: HashSet<IpAddr> = first
        .nodes
        .iter()
        .flat_map(|node| node.internal_ips.iter().copied())
        .collect();
    let mut owners: HashMap<IpAddr, Vec<usize>> = HashMap::new();
    let mut on_nodes: Vec<usize> = Vec::new();
    for (index, facts) in services.iter().enumerate() {
        for address in addresses(&facts.service) {
            owners.entry(address).or_default().push(index);
            if of_nodes.contains(&address) {
                on_nodes.push(index);
            }
        }
    }
    services
        .iter()
        .enumerate()
        .map(|(own, facts)| {
            let carried = facts.endpoints.iter().map(|endpoint| endpoint.address);
            let mut found: Vec<usize> = carried
                .chain(addresses(&facts.service))
                .filter_map(|address| owners.get(&address))
                .flatten()
                .chain(&on_nodes)
                .copied()
                .filter(|index| *index != own)
                .collect();
            found.sort_unstable();
            found.dedup();
            let others = found.into_iter().filter_map(|index| services.get(index));
            others.map(|facts| (*facts).clone()).collect()
        })
        .collect()
}

/// The addresses that kube-proxy handles.
fn addresses(service: &Service) -> impl Iterator<Item = IpAddr> {
    let balancer = service.load_balancer.iter().filter_map(|entry| entry.ip);
    let own = service.cluster_ips.iter().chain(&service.external_ips);
    own.copied().chain(balancer)
}

#[cfg(test)]
mod tests {
    use super::neighbours;
    use crate::testing::{endpoint, facts, node};
    use svc_reach_common::facts::Facts;

    #[test]
    fn only_services_whose_addresses_matter_are_neighbours() {
        let service = |name: &str, cluster_ip: &str| -> Facts {
            let mut facts = facts();
            facts.service.name = name.to_owned();
            facts.service.cluster_ips = vec![cluster_ip.parse().unwrap()];
            facts.nodes = vec![node("a", 0)].into();
            facts
        };
        let mut web = service("web", "10.247.0.1");
        web.endpoints = vec![endpoint("a", 0)];
        web.endpoints[0].address = "10.247.0.2".parse().unwrap();
        let backend = service("backend", "10.247.0.2");
        let unrelated = service("unrelated", "10.247.0.3");
        let mut greedy = service("greedy", "10.247.0.4");
        greedy
            .service
            .external_ips
            .clone_from(&greedy.nodes[0].internal_ips);
        let all = [&web, &backend, &unrelated, &greedy];
        let names: Vec<Vec<String>> = neighbours(&all)
            .into_iter()
            .map(|others| others.into_iter().map(|facts| facts.service.name).collect())
            .collect();
        assert_eq!(
            names,
            [&["backend", "greedy"][..], &["greedy"], &["greedy"], &[]]
        );
    }
}
