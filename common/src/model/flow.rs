//! What one node's proxy does with a packet.

mod context;
mod endpoints;
mod iptables;
mod ipvs;
mod nftables;
mod packet;
mod rules;

#[cfg(test)]
mod tests;

pub use self::packet::{Answer, NotModelled, Packet, ProxyAction};

use super::{
    proxy::{Detector, NodePortAddresses},
    world::World,
};
use crate::proxy_mode::ProxyMode;
use context::{Context, NodePortAddress};

impl<'a> World<'a> {
    /// What the node's proxy does with a packet.
    ///
    /// # Errors
    ///
    /// Fails if the node or its proxy is unknown, or if the model does not know such a proxy.
    pub fn flow(&self, packet: &Packet<'_>) -> Result<Answer<'a>, NotModelled> {
        answer(self, packet, None, None)
    }

    /// Whether the node's kube-proxy answers health checks at the address that a packet goes to. Since 1.23 it does so at
    /// the addresses that answer node ports (kubernetes/kubernetes#104742; v1.37.2
    /// `pkg/proxy/healthcheck/service_health.go`, `newServiceHealthServer`), before that at every address.
    ///
    /// # Errors
    ///
    /// Fails if the node or its proxy is unknown.
    pub(super) fn answers_health_checks(
        &self,
        packet: &Packet<'_>,
        addresses: &NodePortAddresses,
    ) -> Result<bool, NotModelled> {
        let cx = Context::new(self, packet, None, Some(addresses))?;
        Ok(!cx.version.since(23) || cx.node_port_address() != NodePortAddress::Excluded)
    }

    /// Like [`World::flow`], with another detector and other addresses for node ports than the proxy's.
    pub(super) fn flow_by(
        &self,
        packet: &Packet<'_>,
        detector: &Detector,
        addresses: &NodePortAddresses,
    ) -> Result<Answer<'a>, NotModelled> {
        answer(self, packet, Some(detector), Some(addresses))
    }
}

/// Answers for one packet, by this detector and these addresses for node ports, or by the proxy's own.
fn answer<'a>(
    world: &World<'a>,
    packet: &Packet<'_>,
    detector: Option<&Detector>,
    addresses: Option<&NodePortAddresses>,
) -> Result<Answer<'a>, NotModelled> {
    let cx = Context::new(world, packet, detector, addresses)?;
    let mut answer = match cx.proxy.mode {
        ProxyMode::Iptables => iptables::answer(&cx),
        ProxyMode::Nftables => nftables::answer(&cx),
        ProxyMode::Ipvs => ipvs::answer(&cx),
        mode @ (ProxyMode::Userspace | ProxyMode::Ebpf) => return Err(NotModelled::Mode(mode)),
    };
    answer
        .endpoints
        .sort_by_cached_key(|backend| backend.address.to_string());
    Ok(answer)
}
