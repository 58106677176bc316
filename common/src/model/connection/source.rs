//! The addresses that a client's packets may have as their source.

use super::{Input, Journey, Needed, primary, reasons};
use crate::{facts::Node, model::world::Family, position::Network, report::Why};
use ipnet::IpNet;
use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// How many known pods of a node stand for the others.
const EXAMPLES: usize = 8;

/// How many addresses next to a pod's are tried in search of one that nothing has.
const NEIGHBOURS: u32 = 256;

impl Journey<'_, '_> {
    /// The possible sources of the client's packets on its own node. `None` is an address that is not known.
    pub(super) fn sources(&self, node: &Node, family: Family) -> Vec<Option<IpAddr>> {
        match self.client.network {
            Network::Host => vec![primary(node, family)],
            Network::Pod => self.pod_addresses(node, family),
            Network::External => vec![None],
        }
    }

    /// The possible sources of the client's packets when they leave its node for another node.
    pub(super) fn leaving(
        &self,
        own: &Node,
        family: Family,
    ) -> Result<(Vec<Option<IpAddr>>, Vec<Why>), Needed> {
        if self.client.network != Network::Pod {
            return Ok((self.sources(own, family), Vec::new()));
        }
        let (sources, reason) = if self.ask(Input::PodsMasqueraded)? {
            (vec![primary(own, family)], reasons::POD_MASQUERADED)
        } else {
            (self.pod_addresses(own, family), reasons::POD_ADDRESS_KEPT)
        };
        let mut why = reason.why();
        if self.paths.pods_masqueraded.is_some() {
            "what is known about the pod network".clone_into(&mut why.source);
        }
        Ok((sources, vec![why]))
    }

    /// Addresses that a pod of this node may have and that nothing is known to have. The first of these that is known
    /// counts:
    ///
    /// 1. the client's own addresses
    /// 2. addresses next to those of known pods on the node, and the node's pod range if these pods are in it
    /// 3. the node's pod range, unless pods elsewhere show that such ranges are not used
    /// 4. addresses next to those of known pods on other nodes
    fn pod_addresses(&self, node: &Node, family: Family) -> Vec<Option<IpAddr>> {
        let own = self.client.addresses.iter().copied();
        let own: Vec<_> = own
            .filter(|ip| Family::of(*ip) == family)
            .map(Some)
            .collect();
        if !own.is_empty() {
            return own;
        }
        let range = range_of(node, family).filter(|_| self.pods_are_in_ranges(family));
        let mut pods: Vec<IpAddr> = self.world.pods_on(&node.name, family).collect();
        if pods.is_empty() && range.is_none() {
            let all = self.world.pods().map(|(_, address)| address);
            pods = all.filter(|&ip| Family::of(ip) == family).collect();
        }
        let step = pods.len().div_ceil(EXAMPLES).max(1);
        let mut found: BTreeSet<IpAddr> = pods
            .into_iter()
            .step_by(step)
            .filter_map(|pod| self.free_address(pod, None))
            .collect();
        // Something may apply to a part of the range, so both of its ends count.
        if let Some(range) = range {
            let ends = [range.network(), range.broadcast()];
            found.extend(
                ends.into_iter()
                    .filter_map(|end| self.free_address(end, Some(range))),
            );
        }
        if found.is_empty() {
            return vec![None];
        }
        found.into_iter().map(Some).collect()
    }

    /// Whether known pods have addresses of their nodes' pod ranges. Some networks allocate addresses by other rules
    /// and ignore these ranges.
    fn pods_are_in_ranges(&self, family: Family) -> bool {
        self.world.pods().all(|(name, address)| {
            let node = self.world.node(name);
            Family::of(address) != family
                || node
                    .and_then(|node| range_of(node, family))
                    .is_none_or(|range| range.contains(&address))
        })
    }

    /// The nearest address to this one that nothing is known to have, within a range if there is one.
    fn free_address(&self, address: IpAddr, within: Option<IpNet>) -> Option<IpAddr> {
        (1..NEIGHBOURS)
            .flat_map(|distance| [before(address, distance), after(address, distance)])
            .flatten()
            .filter(|free| within.is_none_or(|range| range.contains(free)))
            .find(|&free| !self.world.is_taken(free))
    }

    /// Ranges of pods for the assumption that kube-proxy recognises pods by such ranges: the nodes' ranges, and these
    /// sources of the client if it is a pod. Each family has a range, even if nothing is known to be in it.
    pub(super) fn pod_ranges(&self, sources: &[Option<IpAddr>]) -> Vec<IpNet> {
        let mut ranges: Vec<IpNet> = self
            .world
            .nodes()
            .flat_map(|node| node.pod_cidrs.iter().copied())
            .collect();
        if self.client.network == Network::Pod {
            let masqueraded = self.case.get(Input::PodsMasqueraded) == Some(true);
            let nodes = |ip: &IpAddr| self.world.node_of_address(*ip).is_some();
            let pods = sources.iter().flatten();
            ranges.extend(
                pods.filter(|ip| !(masqueraded && nodes(ip)))
                    .map(|&ip| IpNet::from(ip)),
            );
        }
        for family in [Family::V4, Family::V6] {
            if !ranges
                .iter()
                .any(|range| Family::of(range.addr()) == family)
            {
                ranges.push(documentation(family));
            }
        }
        ranges
    }
}

fn range_of(node: &Node, family: Family) -> Option<IpNet> {
    let mut ranges = node.pod_cidrs.iter().copied();
    ranges.find(|range| Family::of(range.addr()) == family)
}

/// The range that RFC 5737 or RFC 3849 reserves for documentation.
const fn documentation(family: Family) -> IpNet {
    match family {
        Family::V4 => IpNet::V4(ipnet::Ipv4Net::new_assert(Ipv4Addr::new(192, 0, 2, 0), 24)),
        Family::V6 => IpNet::V6(ipnet::Ipv6Net::new_assert(
            Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0),
            32,
        )),
    }
}

fn before(address: IpAddr, distance: u32) -> Option<IpAddr> {
    Some(match address {
        IpAddr::V4(ip) => IpAddr::V4(Ipv4Addr::from_bits(ip.to_bits().checked_sub(distance)?)),
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(
            ip.to_bits().checked_sub(distance.into())?,
        )),
    })
}

fn after(address: IpAddr, distance: u32) -> Option<IpAddr> {
    Some(match address {
        IpAddr::V4(ip) => IpAddr::V4(Ipv4Addr::from_bits(ip.to_bits().checked_add(distance)?)),
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(
            ip.to_bits().checked_add(distance.into())?,
        )),
    })
}
