//! What documented expectations depend on.

use super::notes::Notes;

use ipnet::IpNet;

use svc_reach_common::{
    facts::{Facts, ServiceType},
    matrix::{Circumstances, Class, Column, ServiceKind},
    provider::{Provider, elb, is_nginx_ingress},
};

/// What documented expectations depend on.
pub fn circumstances(
    facts: &Facts,
    provider: Option<Provider>,
    columns: Vec<Column>,
    pass_through: Vec<bool>,
    notes: &mut Notes,
) -> Circumstances {
    let service = &facts.service;
    let balanced = service.kind == ServiceType::LoadBalancer;
    let annotated = service.annotations.get(elb::CLASS);
    if let Some(word) = annotated.filter(|_| balanced && service.load_balancer_class.is_none()) {
        notes.add(
            "loadBalancerClass",
            word,
            format!("annotation {}", elb::CLASS),
        );
    }
    // With `loadBalancerClass`, another controller serves the Service than the provider's, so no class of the provider's
    // documents is its class.
    let other_controller = service
        .load_balancer_class
        .as_ref()
        .filter(|_| balanced && provider == Some(Provider::HuaweiCce));
    if let Some(class) = other_controller {
        notes.add("loadBalancerClass", class, "spec.loadBalancerClass");
    }
    let unnamed = balanced && !service.annotations.contains_key(elb::CLASS);
    let (classes, gateway) = match elb::class(service).filter(|_| balanced) {
        Some(elb::ElbClass::Shared) => (vec![Class::Shared], false),
        Some(elb::ElbClass::Dedicated) => (vec![Class::Dedicated], false),
        Some(elb::ElbClass::DnatGateway) => (Vec::new(), true),
        None if other_controller.is_some() => (Vec::new(), false),
        None if unnamed && provider == Some(Provider::HuaweiCce) => {
            notes.add(
                "loadBalancerClass",
                elb::DEFAULT_CLASS,
                format!("no annotation {}; the documented default", elb::CLASS),
            );
            (vec![Class::Shared], false)
        }
        None => (Class::ALL.to_vec(), false),
    };
    let front = if gateway {
        ServiceKind::Dnat
    } else if is_nginx_ingress(service) {
        notes.add(
            "ingressController",
            &service.name,
            "the name that the add-on gives to its Service",
        );
        ServiceKind::NginxIngress
    } else {
        ServiceKind::LoadBalancer
    };
    Circumstances {
        front,
        classes,
        pass_through,
        columns,
        external_traffic_policy: service.external_traffic_policy,
        internal_traffic_policy: service.internal_traffic_policy,
        host_network: host_network(facts),
        source_ranges: balanced && restricts(&service.load_balancer_source_ranges),
        served: facts.endpoints.iter().any(|endpoint| endpoint.ready),
    }
}

/// Whether ranges of clients leave some clients out.
fn restricts(ranges: &[IpNet]) -> bool {
    !ranges.is_empty() && !ranges.iter().any(|range| range.prefix_len() == 0)
}

/// Whether backends are on the host network, where they have a node's address. `None`: only some are, there is no ready
/// backend, or one is on a node that was not read.
pub fn host_network(facts: &Facts) -> Option<bool> {
    let mut on_host = facts
        .endpoints
        .iter()
        .filter(|endpoint| endpoint.ready)
        .map(|endpoint| {
            let of_node = facts
                .nodes
                .iter()
                .any(|node| node.internal_ips.contains(&endpoint.address));
            let known = |name: &String| facts.node(name).is_some();
            (of_node || endpoint.node.as_ref().is_none_or(known)).then_some(of_node)
        });
    let first = on_host.next()??;
    on_host.all(|other| other == Some(first)).then_some(first)
}
