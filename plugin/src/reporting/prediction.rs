//! What the forwarding model predicts for one cell.

use crate::survey::kube_proxy::Settings;
use svc_reach_common::{
    facts::Facts,
    model::{
        World,
        connection::{Client, Forecast, Input, Paths},
    },
    position::Position,
    target::{Target, TargetKind},
};

/// What the model predicts for one cell.
#[must_use]
pub fn forecast(
    world: &World<'_>,
    facts: &Facts,
    settings: &Settings,
    paths: &Paths,
    position: Position,
    node: Option<&str>,
    target: &Target,
) -> Forecast {
    let client = Client {
        network: position.network(),
        node,
    };
    // If some nodes told their modes, the world knows which other nodes' modes it lacks.
    if !settings.mode_told && settings.nodes.is_empty() && target.kind != TargetKind::PodIp {
        return Forecast::unknown(Input::ProxyMode);
    }
    // The world is made from these facts, so it contains this Service.
    world.connect_by_name(
        paths,
        &facts.service.namespace,
        &facts.service.name,
        client,
        target,
    )
}
