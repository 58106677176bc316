//! The Service, as a report describes it.

use std::net::IpAddr;
use svc_reach_common::{
    facts::{Facts, Ingress, ServiceType},
    provider::elb,
    report::{self, LoadBalancer, LoadBalancerAddress},
    target::Scope,
};

/// The Service, as a report describes it. A policy that does not apply to its type is absent.
pub fn service(facts: &Facts) -> report::ReportedService {
    let service = &facts.service;
    let external = match service.kind {
        ServiceType::NodePort | ServiceType::LoadBalancer => true,
        ServiceType::ClusterIp => !service.external_ips.is_empty(),
        ServiceType::ExternalName => false,
    };
    let internal = !service.cluster_ips.is_empty();
    report::ReportedService {
        namespace: service.namespace.clone(),
        name: service.name.clone(),
        kind: service.kind,
        external_traffic_policy: external.then_some(service.external_traffic_policy),
        internal_traffic_policy: internal.then_some(service.internal_traffic_policy),
        ports: service.ports.clone(),
        load_balancer: (service.kind == ServiceType::LoadBalancer).then(|| LoadBalancer {
            class: service.annotations.get(elb::CLASS).cloned(),
            pass_through: service.annotations.get(elb::PASS_THROUGH).cloned(),
            addresses: service
                .load_balancer
                .iter()
                .map(address)
                .chain(service.unlisted_addresses.iter().map(|ip| unlisted(*ip)))
                .collect(),
        }),
    }
}

/// An address that is not in the status.
const fn unlisted(ip: IpAddr) -> LoadBalancerAddress {
    LoadBalancerAddress {
        ip: Some(ip),
        hostname: None,
        scope: Some(Scope::of(ip)),
        ip_mode: None,
    }
}

fn address(ingress: &Ingress) -> LoadBalancerAddress {
    LoadBalancerAddress {
        ip: ingress.ip,
        hostname: ingress.hostname.clone(),
        scope: ingress.ip.map(Scope::of),
        ip_mode: ingress.ip_mode,
    }
}
