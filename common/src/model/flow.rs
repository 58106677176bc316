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

use super::{proxy::Detector, world::World};
use crate::proxy_mode::ProxyMode;
use context::Context;

impl<'a> World<'a> {
    /// What the node's proxy does with a packet.
    ///
    /// # Errors
    ///
    /// Where the node is not known, or its proxy is none that the model knows.
    pub fn flow(&self, packet: &Packet<'_>) -> Result<Answer<'a>, NotModelled> {
        answer(self, packet, &self.proxy.detector)
    }

    /// As [`World::flow`], with a detector other than the proxy's.
    pub(super) fn flow_by(
        &self,
        packet: &Packet<'_>,
        detector: &Detector,
    ) -> Result<Answer<'a>, NotModelled> {
        answer(self, packet, detector)
    }
}

/// Answers for one packet.
fn answer<'a>(
    world: &World<'a>,
    packet: &Packet<'_>,
    detector: &Detector,
) -> Result<Answer<'a>, NotModelled> {
    let cx = Context::new(world, packet, detector)?;
    let mut answer = match world.proxy.mode {
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
