//! What the forwarding model predicts for one cell.

use std::net::IpAddr;
use svc_reach_common::{
    facts::Facts,
    model::{
        World,
        connection::{Client, Forecast, Paths},
    },
    position::Position,
    target::Target,
};

/// What the model predicts for one cell. `addresses` are the client's own, if they are known.
#[must_use]
pub fn forecast(
    world: &World<'_>,
    facts: &Facts,
    paths: &Paths,
    position: Position,
    node: Option<&str>,
    addresses: &[IpAddr],
    target: &Target,
) -> Forecast {
    let client = Client {
        network: position.network(),
        node,
        addresses,
    };
    // The world is made from these facts, so it contains this Service.
    world.connect_by_name(
        paths,
        &facts.service.namespace,
        &facts.service.name,
        client,
        target,
    )
}
