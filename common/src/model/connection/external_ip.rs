//! A Service's external IP.

use super::{Computed, Forecast, Input, Journey};
use crate::model::{flow::ProxyAction, world::Family};

impl Journey<'_, '_> {
    pub(super) fn external_ip(&self) -> Computed {
        let Some(address) = self.address() else {
            return Ok(Forecast::unknown(Input::Address));
        };
        let Some(node) = self.node() else {
            // The node that it is routed to is unknown, unless it is a node's own address.
            if let Some(node) = self.world.node_of_address(address) {
                return self.arrival(node, address, &[None], Vec::new());
            }
            let mut forecasts = Vec::new();
            for node in self.world.nodes() {
                forecasts.push(self.arrival(node, address, &[None], Vec::new())?);
            }
            return Ok(Forecast::if_unanimous(forecasts, Input::ExternalIpRoute));
        };
        let answer = match self.own_flow(node, address)? {
            Ok(answer) => answer,
            Err(error) => return Ok(Forecast::not_modelled(&error)),
        };
        if answer.action == ProxyAction::None {
            return match self.world.node_of_address(address) {
                Some(other) if other.name != node.name => {
                    let (sources, why) = self.leaving(node, Family::of(address))?;
                    self.arrival(other, address, &sources, why)
                }
                Some(_) | None => Ok(Forecast::unknown(Input::ExternalIpRoute).because(answer.why)),
            };
        }
        let origin = self.origin(address, node);
        self.delivered(&answer, node, address, origin, Vec::new())
    }
}
