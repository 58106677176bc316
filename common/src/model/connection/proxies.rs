//! What the proxies on a packet's way do with it. An unknown setting is asked for only if it matters.

use super::{Computed, Forecast, Input, Journey, Needed, Origin};
use crate::{
    facts::Node,
    model::{
        flow::{Answer, Assumed, NotModelled, Packet},
        proxy::{Detector, NodePortAddresses, Proxy},
        world::Family,
    },
    position::Network,
    report::Why,
};
use std::net::{IpAddr, SocketAddr};

type Answered<'a> = Result<Answer<'a>, NotModelled>;

impl<'a> Journey<'_, 'a> {
    /// What the client's own node does with its packet.
    pub(super) fn own_flow(&self, node: &Node, address: IpAddr) -> Result<Answered<'a>, Needed> {
        let sources = self.sources(node, Family::of(address));
        self.flow(node, self.client.network, &sources, address)
    }

    /// The forecast for a packet that arrives at a node from elsewhere, with one of these sources.
    pub(super) fn arrival(
        &self,
        node: &Node,
        address: IpAddr,
        sources: &[Option<IpAddr>],
        why: Vec<Why>,
    ) -> Computed {
        let taken = |source: IpAddr| self.world.takes_for_itself(&node.name, source);
        if !sources.is_empty() && sources.iter().all(|source| source.is_some_and(taken)) {
            return Ok(Self::dropped(why));
        }
        match self.flow(node, Network::External, sources, address)? {
            Ok(answer) => self.delivered(&answer, node, address, Origin::Elsewhere, why),
            Err(error) => Ok(Forecast::not_modelled(&error)),
        }
    }

    fn flow(
        &self,
        node: &Node,
        client: Network,
        sources: &[Option<IpAddr>],
        ip: IpAddr,
    ) -> Result<Answered<'a>, Needed> {
        let mut found: Option<Answered<'a>> = None;
        for &client_ip in sources {
            let packet = Packet {
                node: &node.name,
                client,
                client_ip,
                ip,
                port: self.target.port.get(),
                protocol: self.target.protocol,
            };
            let answer = self.with_node_port_addresses(&packet, sources)?;
            match &found {
                None => found = Some(answer),
                Some(known) if same(known, &answer) => {}
                Some(_) if self.ask(Input::PodAddress)? => {}
                Some(_) => return Ok(answer),
            }
        }
        Ok(found.unwrap_or_else(|| Err(NotModelled::Proxy(node.name.clone()))))
    }

    fn with_node_port_addresses(
        &self,
        packet: &Packet<'_>,
        sources: &[Option<IpAddr>],
    ) -> Result<Answered<'a>, Needed> {
        let Some(proxy) = self.world.proxy_on(packet.node) else {
            // The error says that the node's proxy is unknown.
            return Ok(self.world.flow(packet));
        };
        let addresses = &proxy.node_port_addresses;
        let understood = self.with_detector(packet, proxy, addresses, sources)?;
        if addresses.is_complete() {
            return Ok(understood);
        }
        let all = self.with_detector(packet, proxy, &NodePortAddresses::all(), sources)?;
        Ok(
            if same(&understood, &all) || self.ask(Input::NodePortAddresses)? {
                all
            } else {
                understood
            },
        )
    }

    fn with_detector(
        &self,
        packet: &Packet<'_>,
        proxy: &Proxy,
        addresses: &NodePortAddresses,
        sources: &[Option<IpAddr>],
    ) -> Result<Answered<'a>, Needed> {
        let by = |detector: &Detector| self.with_source_ranges(packet, detector, addresses);
        if proxy.detector != Detector::Unknown {
            return by(&proxy.detector);
        }
        let with = by(&Detector::ClusterCidr(self.pod_ranges(sources)))?;
        let without = by(&Detector::None)?;
        Ok(if same(&with, &without) || self.ask(Input::Detector)? {
            with
        } else {
            without
        })
    }

    /// Whether the ranges list a client is asked only if its address is unknown.
    fn with_source_ranges(
        &self,
        packet: &Packet<'_>,
        detector: &Detector,
        addresses: &NodePortAddresses,
    ) -> Result<Answered<'a>, Needed> {
        let by = |listed: Option<bool>| {
            let assumed = Assumed {
                detector: Some(detector),
                node_port_addresses: Some(addresses),
                listed,
                on_interface: self
                    .on_interface
                    .filter(|_| self.target.node.as_deref() == Some(packet.node)),
            };
            self.world.flow_by(packet, assumed)
        };
        if self.listed.is_some() || packet.client_ip.is_some() {
            return Ok(by(self.listed));
        }
        let listed = by(Some(true));
        let left_out = by(Some(false));
        Ok(
            if same(&listed, &left_out) || self.ask(Input::ClientAddress)? {
                listed
            } else {
                left_out
            },
        )
    }
}

/// Whether two answers mean the same for a client.
fn same(one: &Answered<'_>, other: &Answered<'_>) -> bool {
    match (one, other) {
        (Ok(one), Ok(other)) => {
            let addresses = |answer: &Answer<'_>| -> Vec<SocketAddr> {
                let backends = answer.endpoints.iter();
                backends.map(|backend| backend.address).collect()
            };
            one.action == other.action
                && one.masquerade == other.masquerade
                && addresses(one) == addresses(other)
        }
        (Err(_), Err(_)) => true,
        (Ok(_), Err(_)) | (Err(_), Ok(_)) => false,
    }
}
