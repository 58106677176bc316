//! Ingresses in front of the Service: what documents say about the way to their controllers. Pure.

use super::detection;
use std::sync::Arc;
use svc_reach_common::{
    client::Client,
    facts::{Facts, IngressController, ServedRoute},
    judging::Judge,
    matrix::Circumstances,
    position::{Network, Position},
    provider::Provider,
    proxy_mode::ProxyMode,
    report::Cell,
};

/// What documents say about the Ingresses of one Service.
pub struct Ingresses {
    controllers: Vec<(Arc<IngressController>, Circumstances)>,
}

impl Ingresses {
    /// Gathers the controllers. `own`: what documents about the Service depend on.
    pub fn of(
        facts: &Facts,
        provider: Option<Provider>,
        modes: &[ProxyMode],
        own: &Circumstances,
    ) -> Self {
        let mut controllers: Vec<(Arc<IngressController>, Circumstances)> = Vec::new();
        let routes = facts.routes.iter().flatten();
        for controller in routes.filter_map(controller) {
            if controllers.iter().any(|(known, _)| known == controller) {
                continue;
            }
            let of_controller = Facts {
                service: controller.service.clone(),
                endpoints: controller.endpoints.clone(),
                routes: Ok(Vec::new()),
                ..facts.clone()
            };
            let found = detection::of_controller(&of_controller, provider, modes, own);
            controllers.push((Arc::clone(controller), found));
        }
        Self { controllers }
    }

    /// Judges a cell of an Ingress. If its controller is unknown, no document counts.
    pub fn judge(&self, facts: &Facts, documents: &Judge<'_>, cell: &mut Cell) {
        let mut routes = facts.routes.iter().flatten();
        let served = routes.find(|served| {
            Some(&served.route) == cell.target.route.as_ref()
                && served.addresses.contains(&cell.target.address)
        });
        let controller = served.and_then(controller);
        let mut known = self.controllers.iter();
        let known = controller.and_then(|of| known.find(|(controller, _)| controller == of));
        cell.client =
            Client::unknown("the controller of the Ingress is the client of the backends");
        match known {
            None => documents.judge(cell),
            Some((controller, circumstances)) => Judge {
                circumstances,
                ..*documents
            }
            .judge_from(beside(controller, cell), cell),
        }
    }
}

fn controller(served: &ServedRoute) -> Option<&Arc<IngressController>> {
    served.controller.as_ref().ok()?.as_ref()
}

/// The client's position, as the controller's documents count it: whether its node runs a pod of the controller.
/// `None`: it is unknown.
fn beside(controller: &IngressController, cell: &Cell) -> Option<Position> {
    let same = |node: &str| {
        let mut endpoints = controller.endpoints.iter();
        endpoints.any(|endpoint| endpoint.ready && endpoint.node.as_deref() == Some(node))
    };
    match cell.position.network() {
        Network::External => Some(Position::External),
        Network::Host if same(cell.node.as_deref()?) => Some(Position::NodeSame),
        Network::Host => Some(Position::NodeOther),
        Network::Pod if same(cell.node.as_deref()?) => Some(Position::PodSame),
        Network::Pod => Some(Position::PodOther),
    }
}
