//! Detects pass-through: whether requests from inside the cluster go to the load balancer itself.

use super::notes::Notes;

use svc_reach_common::{
    facts::{Facts, IpMode},
    provider::{Provider, elb},
    proxy_mode::ProxyMode,
};

/// Turns pass-through off on Tencent Kubernetes Engine. The source is at [`pass_through`].
pub const PREVENT_LOOPBACK: &str = "service.cloud.tencent.com/prevent-loopback";

/// The possible values of pass-through. The first of these that applies counts:
///
/// 1. CCE's annotations ([`elb::pass_through`])
/// 2. in IPVS mode, TKE's annotation, which turns pass-through off; it is on by default
///    (tencentyun/intlcloud-documents at 7a4d535, `yehe_doc/容器/容器服务/故障处理/CLB 回环问题_intl_en.md`)
/// 3. Kubernetes' `ipMode: Proxy`, with which kube-proxy does not handle the address
pub fn pass_through(
    facts: &Facts,
    provider: Option<Provider>,
    modes: &[ProxyMode],
    notes: &mut Notes,
) -> Vec<bool> {
    let service = &facts.service;
    if let Some(values) = elb::pass_through(service) {
        let (value, source) = match service.annotations.get(elb::PASS_THROUGH) {
            Some(word) => (word.as_str(), format!("annotation {}", elb::PASS_THROUGH)),
            None if values.len() > 1 => (
                "unknown",
                format!(
                    "no annotation {}; newer versions of CCE pass through under policy Local",
                    elb::PASS_THROUGH
                ),
            ),
            None => ("false", format!("no annotation {}", elb::PASS_THROUGH)),
        };
        notes.add("passThrough", value, source);
        return values.to_vec();
    }
    if provider == Some(Provider::TencentTke) && modes.contains(&ProxyMode::Ipvs) {
        let word = service.annotations.get(PREVENT_LOOPBACK);
        if word.is_some_and(|word| word == "true") {
            notes.add(
                "passThrough",
                false,
                format!("annotation {PREVENT_LOOPBACK}"),
            );
            return vec![false];
        }
        notes.add(
            "passThrough",
            true,
            format!("no annotation {PREVENT_LOOPBACK}; TKE's default in IPVS mode"),
        );
        return modes.iter().map(|mode| *mode == ProxyMode::Ipvs).collect();
    }
    let proxied = service
        .load_balancer
        .iter()
        .any(|ingress| ingress.ip_mode == Some(IpMode::Proxy));
    if proxied {
        notes.add("passThrough", true, "status.loadBalancer.ingress[].ipMode");
    }
    vec![proxied]
}
