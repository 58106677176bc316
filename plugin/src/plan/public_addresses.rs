//! Public addresses of nodes that the user knows and the API does not show. Pure.

use super::service_check::ServiceCheck;
use crate::config::UsageError;
use std::{net::IpAddr, sync::Arc};
use svc_reach_common::facts::{Facts, Node};

/// Gives the named nodes these addresses, like those of type `ExternalIP`.
///
/// # Errors
///
/// Fails if a node is not known.
pub fn add(services: &mut [Facts], given: &[(String, IpAddr)]) -> Result<(), UsageError> {
    let Some(first) = services.first() else {
        return Ok(());
    };
    if given.is_empty() {
        return Ok(());
    }
    // Services of one cluster share this list.
    let mut nodes: Vec<Node> = first.nodes.to_vec();
    for (name, address) in given {
        let node = nodes
            .iter_mut()
            .find(|node| node.name == *name)
            .ok_or_else(|| UsageError::NoNode(name.clone()))?;
        if !node.external_ips.contains(address) {
            node.external_ips.push(*address);
        }
    }
    let nodes = Arc::new(nodes);
    for facts in services {
        facts.nodes = Arc::clone(&nodes);
    }
    Ok(())
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
    use super::{add, ask};
    use crate::{
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
        add(&mut services, &given).unwrap();
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
        let error = add(&mut [checks.remove(0).facts], &unknown).unwrap_err();
        assert!(
            error.to_string().contains("n9: no node of this name"),
            "{error}"
        );
    }
}
