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

pub(super) use self::packet::Assumed;

use super::world::World;
use crate::proxy_mode::ProxyMode;
use context::{Context, NodePortAddress};

impl<'a> World<'a> {
    /// What the node's proxy does with a packet.
    ///
    /// # Errors
    ///
    /// Fails if the node or its proxy is unknown, or if the model does not know such a proxy.
    pub fn flow(&self, packet: &Packet<'_>) -> Result<Answer<'a>, NotModelled> {
        self.flow_by(packet, Assumed::default())
    }

    /// Like [`World::flow`], with assumptions about what is unknown.
    pub(super) fn flow_by(
        &self,
        packet: &Packet<'_>,
        assumed: Assumed<'_>,
    ) -> Result<Answer<'a>, NotModelled> {
        let answer = answer(self, packet, assumed)?;
        match answer.service {
            // Without its endpoints, only what kube-proxy itself answers is known about a Service.
            Some(service)
                if answer.action != ProxyAction::Accept && !self.knows_endpoints_of(service) =>
            {
                Err(NotModelled::Endpoints(service.to_string()))
            }
            Some(service) if self.needs_zone(packet.node, service) => {
                Err(NotModelled::Zone(packet.node.to_owned()))
            }
            Some(_) | None => Ok(answer),
        }
    }

    /// Whether kube-proxy listens for health checks at the packet's destination, which is an address of its node. Since
    /// 1.23 it listens on the addresses that answer node ports only (kubernetes/kubernetes#104742, v1.23.4
    /// `pkg/proxy/healthcheck/service_health.go`).
    pub(super) fn listens_for_health_checks(
        &self,
        packet: &Packet<'_>,
        assumed: Assumed<'_>,
    ) -> Result<bool, NotModelled> {
        let cx = Context::new(self, packet, assumed)?;
        match cx.proxy.mode {
            ProxyMode::Iptables | ProxyMode::Ipvs | ProxyMode::Nftables => {}
            mode @ (ProxyMode::Userspace | ProxyMode::Ebpf) => return Err(NotModelled::Mode(mode)),
        }
        Ok(!cx.version.since(23) || cx.node_port_address() != NodePortAddress::Excluded)
    }
}

fn answer<'a>(
    world: &World<'a>,
    packet: &Packet<'_>,
    assumed: Assumed<'_>,
) -> Result<Answer<'a>, NotModelled> {
    let cx = Context::new(world, packet, assumed)?;
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
