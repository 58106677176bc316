//! Pass-through: whether a provider's kube-proxy leaves a load balancer's address alone, so that requests from inside
//! the cluster go to the load balancer itself.

use super::{Provider, elb};
use crate::{facts::Service, proxy_mode::ProxyMode};

/// Turns pass-through off on Tencent Kubernetes Engine. The source is at [`by_provider`].
pub const PREVENT_LOOPBACK: &str = "service.cloud.tencent.com/prevent-loopback";

/// What a provider's rules say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PassThrough {
    /// The possible values.
    pub values: Vec<bool>,
    /// The value in words.
    pub word: String,
    /// What says so.
    pub source: String,
}

/// What the provider's rules say; `None`: it has none for this Service, so kube-proxy works as upstream's.
///
/// 1. CCE's annotations ([`elb::pass_through`]).
/// 2. In IPVS mode, TKE's annotation turns pass-through off; it is on by default (tencentyun/intlcloud-documents at
///    7a4d535, `yehe_doc/容器/容器服务/故障处理/CLB 回环问题_intl_en.md`).
#[must_use]
pub fn by_provider(
    service: &Service,
    provider: Option<Provider>,
    modes: &[ProxyMode],
) -> Option<PassThrough> {
    if let Some(values) = elb::pass_through(service) {
        let absent = format!("no annotation {}", elb::PASS_THROUGH);
        let (word, source) = match service.annotations.get(elb::PASS_THROUGH) {
            Some(word) => (word.as_str(), format!("annotation {}", elb::PASS_THROUGH)),
            None if values.len() > 1 => (
                "unknown",
                format!("{absent}; newer versions of CCE pass through under policy Local"),
            ),
            None => ("false", absent),
        };
        return Some(PassThrough {
            values: values.to_vec(),
            word: word.to_owned(),
            source,
        });
    }
    if provider != Some(Provider::TencentTke) || !modes.contains(&ProxyMode::Ipvs) {
        return None;
    }
    let prevented = service
        .annotations
        .get(PREVENT_LOOPBACK)
        .is_some_and(|word| word == "true");
    let (values, source) = if prevented {
        (vec![false], format!("annotation {PREVENT_LOOPBACK}"))
    } else {
        let mut values: Vec<bool> = modes.iter().map(|mode| *mode == ProxyMode::Ipvs).collect();
        values.sort_unstable();
        values.dedup();
        let source = format!("no annotation {PREVENT_LOOPBACK}; TKE's default in IPVS mode");
        (values, source)
    };
    Some(PassThrough {
        values,
        word: (!prevented).to_string(),
        source,
    })
}
