//! Detects pass-through: whether requests from inside the cluster go to the load balancer itself.

use super::notes::Notes;

use svc_reach_common::{
    facts::{Facts, IpMode},
    provider::{Provider, pass_through::by_provider},
    proxy_mode::ProxyMode,
};

/// The possible values of pass-through. The first of these that applies counts:
///
/// 1. the provider's own rules ([`by_provider`])
/// 2. Kubernetes' `ipMode: Proxy`, with which kube-proxy does not handle the address
/// 3. a name instead of an address, which no kube-proxy can handle
pub fn pass_through(
    facts: &Facts,
    provider: Option<Provider>,
    modes: &[ProxyMode],
    notes: &mut Notes,
) -> Vec<bool> {
    let service = &facts.service;
    if let Some(found) = by_provider(service, provider, modes) {
        notes.add("passThrough", found.word, found.source);
        return found.values;
    }
    let any = |proxied: fn(&svc_reach_common::facts::Ingress) -> bool| {
        service.load_balancer.iter().any(proxied)
    };
    if any(|ingress| ingress.ip_mode == Some(IpMode::Proxy)) {
        notes.add("passThrough", true, "status.loadBalancer.ingress[].ipMode");
        return vec![true];
    }
    if any(|ingress| ingress.ip.is_none() && ingress.hostname.is_some()) {
        notes.add(
            "passThrough",
            true,
            "status.loadBalancer.ingress[].hostname, which kube-proxy ignores",
        );
        return vec![true];
    }
    vec![false]
}
