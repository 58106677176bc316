//! Detects the network model, which is how pods are connected.

use super::notes::Notes;
use crate::{config::ClusterOverrides, survey::provider_hints::ProviderHints};

use svc_reach_common::{
    network_model::NetworkModel,
    provider::Provider,
    wire::line::{HostFact, HostView},
};

pub const NETWORK_MODEL: &str = "--network-model";

/// The device of Open vSwitch's kernel datapath (openvswitch/ovs `Documentation/intro/install/general.rst`). In Huawei
/// Cloud CCE, tunnel networks use Open vSwitch and VPC networks do not (User Guide, Container Network Models).
pub const OPEN_VSWITCH: &str = "ovs-system";

/// The network models that are possible. The first of these that applies counts:
///
/// 1. the user's override
/// 2. Cloud Native Network 2.0, if its NetworkAttachmentDefinition exists
/// 3. tunnel, if a node of CCE has a device of Open vSwitch
///
/// If no node has one, that is not proof of a VPC network, so both remain.
pub fn network_models(
    views: &[(&str, &HostView)],
    provider: Option<Provider>,
    hints: &ProviderHints,
    overrides: ClusterOverrides,
    notes: &mut Notes,
) -> Vec<NetworkModel> {
    let found = found_models(views, provider, hints, notes);
    match overrides.network_model {
        Some(model) => {
            notes.add("networkModel", model, NETWORK_MODEL);
            vec![model]
        }
        None => found,
    }
}

pub fn found_models(
    views: &[(&str, &HostView)],
    provider: Option<Provider>,
    hints: &ProviderHints,
    notes: &mut Notes,
) -> Vec<NetworkModel> {
    let definition = "NetworkAttachmentDefinition kube-system/default-network";
    let mut models = NetworkModel::ALL.to_vec();
    match &hints.default_network {
        Some(HostFact::Seen(true)) => {
            notes.add("networkModel", NetworkModel::Eni, definition);
            return vec![NetworkModel::Eni];
        }
        Some(HostFact::Seen(false)) => models.retain(|model| *model != NetworkModel::Eni),
        Some(HostFact::Unknown(why)) => {
            notes.add("networkModel", "unknown", format!("{definition}: {why}"));
        }
        None => {}
    }
    if provider != Some(Provider::HuaweiCce) {
        return models;
    }
    for (node, view) in views {
        let HostFact::Seen(interfaces) = &view.interfaces else {
            continue;
        };
        if interfaces
            .iter()
            .any(|interface| interface.name == OPEN_VSWITCH)
        {
            let source = format!("{OPEN_VSWITCH} on node {node}, which suggests this model");
            notes.add("networkModel", NetworkModel::Tunnel, source);
            return vec![NetworkModel::Tunnel];
        }
        let source = format!("no {OPEN_VSWITCH} on node {node}, which is not proof");
        notes.add("networkModel", "probably vpc", source);
    }
    models
}
