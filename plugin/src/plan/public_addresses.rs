//! Addresses of nodes and load balancers that the user knows and the API does not show. Pure.

use super::service_check::ServiceCheck;
use crate::config::{ServiceName, UnlistedAddresses, UsageError};
use std::{net::IpAddr, sync::Arc};
use svc_reach_common::facts::{Facts, Node};

/// Gives the named nodes and Services these addresses. `namespace`: that of Services that are named without one.
///
/// # Errors
///
/// Fails if a node or a Service is not known. The others have their addresses then.
pub fn add(
    services: &mut [Facts],
    given: &UnlistedAddresses,
    namespace: &str,
) -> Result<(), UsageError> {
    if services.is_empty() {
        return Ok(());
    }
    let nodes = add_to_nodes(services, &given.nodes);
    nodes.and(add_to_services(services, &given.load_balancers, namespace))
}

fn add_to_services(
    services: &mut [Facts],
    given: &[(ServiceName, IpAddr)],
    namespace: &str,
) -> Result<(), UsageError> {
    let mut unknown = None;
    for (name, address) in given {
        let mut services = services.iter_mut().map(|facts| &mut facts.service);
        match services.find(|it| name.means(&it.namespace, &it.name, namespace)) {
            None => unknown = unknown.or(Some((name, address))),
            Some(service) => {
                let listed = service.load_balancer.iter().filter_map(|entry| entry.ip);
                let mut known = listed.chain(service.unlisted_addresses.iter().copied());
                if known.all(|known| known != *address) {
                    service.unlisted_addresses.push(*address);
                }
            }
        }
    }
    match unknown {
        None => Ok(()),
        Some((name, address)) => {
            let namespace = name.namespace.as_deref().unwrap_or(namespace);
            let text = format!("{}.{namespace}={address}", name.name);
            Err(UsageError::NoServiceOfAddress(text))
        }
    }
}

/// They are like addresses of type `ExternalIP`.
fn add_to_nodes(services: &mut [Facts], given: &[(String, IpAddr)]) -> Result<(), UsageError> {
    let Some(first) = services.first() else {
        return Ok(());
    };
    if given.is_empty() {
        return Ok(());
    }
    // Services of one cluster share this list.
    let mut nodes: Vec<Node> = first.nodes.to_vec();
    let mut unknown = None;
    for (name, address) in given {
        match nodes.iter_mut().find(|node| node.name == *name) {
            Some(node) if node.external_ips.contains(address) => {}
            Some(node) => node.external_ips.push(*address),
            None => unknown = unknown.or(Some(name)),
        }
    }
    let nodes = Arc::new(nodes);
    for facts in services {
        facts.nodes = Arc::clone(&nodes);
    }
    match unknown {
        None => Ok(()),
        Some(name) => Err(UsageError::NoNode(name.clone())),
    }
}

/// Makes sure that the ports of the named nodes are requested.
pub fn ask(services: &mut [ServiceCheck], given: &[(String, IpAddr)]) {
    for service in services {
        for (name, _) in given {
            let at = service
                .facts
                .nodes
                .iter()
                .position(|node| node.name == *name);
            if let Some(at) = at.filter(|at| !service.placement.asked.contains(at)) {
                service.placement.asked.push(at);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{add_to_nodes, add_to_services, ask};
    use crate::{
        config::ServiceName,
        plan::{service_check::place, targets::targets},
        testing::{check, endpoint, facts, node, probe_settings},
    };
    use svc_reach_common::{
        position::Position,
        target::{Scope, TargetKind},
    };

    #[test]
    fn node_ports_are_requested_at_public_addresses_that_the_api_does_not_show() {
        let mut facts = facts();
        facts.nodes = (0..5)
            .map(|n| node(&format!("n{n}"), n))
            .collect::<Vec<_>>()
            .into();
        facts.endpoints = vec![endpoint("n0", 0)];
        let given = [("n4".to_owned(), "203.0.113.9".parse().unwrap())];
        let mut services = vec![facts];
        add_to_nodes(&mut services, &given).unwrap();
        let mut checks = place(services, &probe_settings(), |_| check());
        ask(&mut checks, &given);
        let all = targets(&checks[0].facts, &checks[0].placement, Position::External);
        let public: Vec<(&str, TargetKind)> = all
            .iter()
            .filter(|target| target.scope == Some(Scope::Public))
            .map(|target| (target.address.as_str(), target.kind))
            .collect();
        assert_eq!(public, [("203.0.113.9", TargetKind::NodePort)]);

        let unknown = [("n9".to_owned(), "203.0.113.9".parse().unwrap())];
        let error = add_to_nodes(&mut [checks.remove(0).facts], &unknown).unwrap_err();
        assert!(
            error.to_string().contains("n9: no node of this name"),
            "{error}"
        );
    }

    #[test]
    fn load_balancers_are_requested_at_addresses_that_the_api_does_not_show() {
        let name = |name: &str| ServiceName {
            namespace: None,
            name: name.to_owned(),
        };
        let address = "203.0.113.9".parse().unwrap();
        let mut services = vec![facts()];
        let (own, namespace) = {
            let service = &services[0].service;
            (service.name.clone(), service.namespace.clone())
        };
        let given = [(name(&own), address), (name(&own), address)];
        add_to_services(&mut services, &given, &namespace).unwrap();
        let placement = place(services.clone(), &probe_settings(), |_| check())
            .remove(0)
            .placement;
        let all = targets(&services[0], &placement, Position::External);
        let asked = all
            .iter()
            .filter(|target| target.kind == TargetKind::LoadBalancer);
        let asked: Vec<&str> = asked.map(|target| target.address.as_str()).collect();
        assert_eq!(asked, ["203.0.113.9"]);

        let error = add_to_services(&mut services, &[(name("api"), address)], "shop").unwrap_err();
        assert!(
            error.to_string().contains("api.shop=203.0.113.9"),
            "{error}"
        );
    }
}
