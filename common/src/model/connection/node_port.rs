//! Ports of nodes: node ports, and kube-proxy's own port for health checks.

use super::{Computed, Forecast, Input, Journey, Needed, PredictedOutcome, primary, reasons};
use crate::{
    facts::Node,
    model::{
        flow::{Assumed, Packet, ProxyAction},
        proxy::NodePortAddresses,
        world::{Family, is_proxied},
    },
    position::Network,
    protocol::Protocol,
    target::Scope,
};
use std::net::IpAddr;

impl Journey<'_, '_> {
    pub(super) fn node_port(&self) -> Computed {
        let Some(node) = self.target_node() else {
            return Ok(Forecast::unknown(Input::TargetNode));
        };
        let Some(address) = self.address() else {
            return Ok(Forecast::unknown(Input::Address));
        };
        if !self.is_public(node, address) {
            return self.own_port(node, address);
        }
        if self.is_on_interface(node, address)? {
            let journey = Journey {
                on_interface: Some(address),
                ..*self
            };
            return journey.own_port(node, address);
        }
        // The address is translated to the node's own on the way, and the packet arrives from outside.
        let Some(inside) = primary(node, Family::of(address)) else {
            return Ok(Forecast::unknown(Input::Address));
        };
        let why = vec![reasons::PUBLIC_ADDRESS.why()];
        let forecast = self
            .arrival(node, inside, &[None], why)?
            .behind_a_firewall();
        Ok(if self.client.node.is_some() {
            // The address that the client has outside is unknown.
            forecast.seen_as_unknown()
        } else {
            forecast
        })
    }

    fn is_public(&self, node: &Node, address: IpAddr) -> bool {
        !node.internal_ips.contains(&address)
            && (self.target.scope == Some(Scope::Public) || node.external_ips.contains(&address))
    }

    fn is_on_interface(&self, node: &Node, address: IpAddr) -> Result<bool, Needed> {
        match self.world.is_on_interface(&node.name, address) {
            Some(seen) => Ok(seen),
            None => self.ask(Input::PublicAddress),
        }
    }

    /// The node port at an address that the node itself has.
    fn own_port(&self, node: &Node, address: IpAddr) -> Computed {
        let Some(own) = self.node() else {
            return self.arrival(node, address, &[None], Vec::new());
        };
        let answer = match self.own_flow(own, address)? {
            Ok(answer) => answer,
            Err(error) => return Ok(Forecast::not_modelled(&error)),
        };
        if own.name == node.name || answer.action != ProxyAction::None {
            let origin = self.origin(address, own);
            return self.delivered(&answer, own, address, origin, Vec::new());
        }
        let (sources, why) = self.leaving(own, Family::of(address))?;
        let forecast = self.arrival(node, address, &sources, why)?;
        Ok(
            if self.client.network == Network::Pod && self.ask(Input::PodsMasqueraded)? {
                forecast.seen_as_another()
            } else {
                forecast
            },
        )
    }

    /// kube-proxy answers on every node: 200 if the node runs a ready endpoint, otherwise 503
    /// (kubernetes/kubernetes v1.37.2 `pkg/proxy/healthcheck/service_health.go`).
    pub(super) fn health_check(&self) -> Computed {
        let Some(node) = self.target_node() else {
            return Ok(Forecast::unknown(Input::TargetNode));
        };
        let Some(address) = self.address() else {
            return Ok(Forecast::unknown(Input::Address));
        };
        let on_interface = self.is_public(node, address) && self.is_on_interface(node, address)?;
        let inside = if self.is_public(node, address) && !on_interface {
            primary(node, Family::of(address))
        } else {
            Some(address)
        };
        let Some(ip) = inside else {
            return Ok(Forecast::unknown(Input::Address));
        };
        if let Some(own) = self.node().filter(|own| own.name != node.name) {
            // This node's own server may answer in its place.
            if self.world.takes_for_itself(&own.name, ip) {
                return Ok(Forecast::unknown(Input::Listener));
            }
            if self.client.network == Network::Host && self.drops(node, own, Family::of(ip)) {
                return Ok(Self::dropped(Vec::new()));
            }
        }
        // Another proxy serves the Service, and it may answer health checks or not.
        if !is_proxied(self.service) {
            return Ok(Forecast::unknown(Input::Listener));
        }
        let packet = Packet {
            node: &node.name,
            client: Network::External,
            client_ip: None,
            ip,
            port: self.target.port.get(),
            protocol: Protocol::Tcp,
        };
        let listens = |node_port_addresses| {
            let assumed = Assumed {
                node_port_addresses,
                on_interface: on_interface.then_some(address),
                ..Assumed::default()
            };
            self.world.listens_for_health_checks(&packet, assumed)
        };
        let understood = match listens(None) {
            Ok(listens) => listens,
            Err(error) => return Ok(Forecast::not_modelled(&error)),
        };
        let complete = self
            .world
            .proxy_on(&node.name)
            .is_none_or(|proxy| proxy.node_port_addresses.is_complete());
        let all = NodePortAddresses::all();
        let listens = if complete || listens(Some(&all)) == Ok(understood) {
            understood
        } else {
            self.ask(Input::NodePortAddresses)?
        };
        let reason = if !listens {
            reasons::HEALTH_CHECK_EXCLUDED
        } else if self.has_ready_endpoint(node) {
            reasons::HEALTH_CHECK_OK
        } else {
            reasons::HEALTH_CHECK_UNAVAILABLE
        };
        Ok(Forecast {
            action: Some(if listens {
                ProxyAction::Accept
            } else {
                ProxyAction::None
            }),
            endpoints: Vec::new(),
            masquerade: None,
            outcome: if listens {
                PredictedOutcome::Reached
            } else {
                PredictedOutcome::Refused
            },
            client_kept: None,
            why: vec![reason.why()],
            cause: reason.cause(),
        })
    }
}
