//! Which endpoints of a Service port a node may use.

use super::{
    context::Context,
    rules::{self, Rule},
};
use crate::model::world::{Backend, PortOf};

/// Annotations that ask for topology hints. The first one takes precedence
/// (kubernetes/kubernetes v1.27.1 `pkg/proxy/service.go`).
const HINTS_ANNOTATION: &str = "service.kubernetes.io/topology-aware-hints";
const TOPOLOGY_MODE_ANNOTATION: &str = "service.kubernetes.io/topology-mode";

/// Label with a node's zone. kube-proxy does not read the older label.
const LABEL_ZONE: &str = "topology.kubernetes.io/zone";

/// The endpoints of a Service port that a node may use.
pub(super) struct Sets<'w, 'a> {
    /// The endpoints under policy Cluster.
    pub cluster: Vec<&'w Backend<'a>>,
    /// The endpoints under policy Local.
    pub local: Vec<&'w Backend<'a>>,
    /// Whether the cluster has any usable endpoint.
    pub any: bool,
    /// The rule that narrowed or widened `cluster`.
    pub cluster_rule: Option<Rule>,
    /// The rule that widened `local`.
    pub local_rule: Option<Rule>,
}

/// What topology hints ask for.
enum Topology<'n> {
    Everywhere,
    Zone(&'n str),
    Node,
}

impl<'w, 'a> Context<'w, 'a> {
    /// The endpoints that a Service port may use on this node.
    pub(super) fn sets(&self, port: &'w PortOf<'a>) -> Sets<'w, 'a> {
        if self.version.since(24) {
            categorized(self, port)
        } else {
            filtered(self, port)
        }
    }
}

/// Since 1.24 (kubernetes/kubernetes v1.24.3, v1.30.3, v1.37.2 `pkg/proxy/topology.go` `CategorizeEndpoints`).
fn categorized<'w, 'a>(cx: &Context<'w, 'a>, port: &'w PortOf<'a>) -> Sets<'w, 'a> {
    let service = port.service;
    let external = cx.externally_accessible(port);
    let uses_cluster = !cx.internal_local(service) || external;
    let uses_local = cx.internal_local(service) || (cx.external_local(service) && external);
    // On by default since 1.26 (`ProxyTerminatingEndpoints`).
    let lingering_counts = cx.version.since(26);
    let lingers = |backend: &&Backend<'_>| !backend.ready() && backend.lingers();
    let here = |backend: &&Backend<'_>| backend.is_on(&cx.node.name);

    let mut sets = Sets {
        cluster: Vec::new(),
        local: Vec::new(),
        any: false,
        cluster_rule: None,
        local_rule: None,
    };
    if uses_cluster {
        let topology = topology(cx, port);
        sets.cluster = port
            .backends
            .iter()
            .filter(|backend| backend.ready())
            .filter(|backend| match &topology {
                Topology::Everywhere => true,
                Topology::Zone(zone) => hinted(&backend.endpoint.hint_zones, zone),
                Topology::Node => hinted(&backend.endpoint.hint_nodes, &cx.node.name),
            })
            .collect();
        sets.cluster_rule = match topology {
            Topology::Everywhere => None,
            Topology::Zone(_) => Some(rules::HINTS_ZONE),
            Topology::Node => Some(rules::HINTS_NODE),
        };
        if sets.cluster.is_empty() && lingering_counts {
            // The source does not exclude ready endpoints here, but they would have been found above.
            sets.cluster = port.backends.iter().filter(lingers).collect();
            sets.cluster_rule = (!sets.cluster.is_empty()).then_some(rules::TERMINATING);
        }
        sets.any = !sets.cluster.is_empty();
    }
    if uses_local {
        sets.any |= port
            .backends
            .iter()
            .any(|backend| backend.ready() || (lingering_counts && lingers(&backend)));
        sets.local = port
            .backends
            .iter()
            .filter(here)
            .filter(|backend| backend.ready())
            .collect();
        if sets.local.is_empty() && lingering_counts {
            sets.local = port.backends.iter().filter(here).filter(lingers).collect();
            sets.local_rule = (!sets.local.is_empty()).then_some(rules::TERMINATING);
        }
    }
    sets
}

/// Up to 1.23, only ready endpoints count. In 1.22 and 1.23, `internalTrafficPolicy: Local` narrows them for every
/// address of the Service, unless `externalTrafficPolicy` is Local
/// (kubernetes/kubernetes v1.20.2 `pkg/proxy/endpointslicecache.go`, v1.22.0 and v1.23.4 `pkg/proxy/topology.go`
/// `FilterEndpoints`). Feature gates for hints and terminating endpoints are off by default.
fn filtered<'w, 'a>(cx: &Context<'w, 'a>, port: &'w PortOf<'a>) -> Sets<'w, 'a> {
    let narrowed = cx.internal_local(port.service) && !cx.external_local(port.service);
    let here = |backend: &&Backend<'_>| backend.is_on(&cx.node.name);
    let cluster: Vec<_> = port
        .backends
        .iter()
        .filter(|backend| backend.ready())
        .filter(|backend| !narrowed || here(backend))
        .collect();
    Sets {
        any: !cluster.is_empty(),
        local: cluster
            .iter()
            .copied()
            .filter(|backend| here(backend))
            .collect(),
        cluster,
        cluster_rule: narrowed.then_some(rules::INTERNAL_LOCAL_BEFORE_1_24),
        local_rule: None,
    }
}

fn hinted(hints: &[String], name: &str) -> bool {
    hints.iter().any(|hint| hint == name)
}

/// What hints ask for. They count only if every ready endpoint has one, and at least one is for this zone (or node).
///
/// - 1.24 to 1.26: zone hints count with the annotation `auto` or `Auto`.
/// - 1.27 to 1.30: zone hints count with any annotation that is not empty and does not say "disabled".
/// - Since 1.31: zone hints count without an annotation.
/// - Since 1.34: node hints count (KEP-3015).
///
/// Sources: `TopologyAwareHints` and `ServiceTrafficDistribution` in kubernetes/kubernetes v1.31.14
/// `pkg/features/kube_features.go`, `topologyModeFromHints` in v1.34.4 `pkg/proxy/topology.go`.
fn topology<'w>(cx: &Context<'w, '_>, port: &PortOf<'_>) -> Topology<'w> {
    let annotation = |key| port.service.annotations.get(key).map(String::as_str);
    let asked = if cx.version.since(31) {
        true
    } else if cx.version.since(27) {
        let value = annotation(HINTS_ANNOTATION).or_else(|| annotation(TOPOLOGY_MODE_ANNOTATION));
        !matches!(value, None | Some("" | "disabled" | "Disabled"))
    } else {
        matches!(annotation(HINTS_ANNOTATION), Some("auto" | "Auto"))
    };
    let mut ready = port
        .backends
        .iter()
        .filter(|backend| backend.ready())
        .map(|backend| backend.endpoint)
        .peekable();
    if !asked || ready.peek().is_none() {
        return Topology::Everywhere;
    }
    let ready: Vec<_> = ready.collect();
    let all_nodes = ready.iter().all(|endpoint| !endpoint.hint_nodes.is_empty());
    let this_node = ready
        .iter()
        .any(|endpoint| hinted(&endpoint.hint_nodes, &cx.node.name));
    if cx.version.since(34) && all_nodes && this_node {
        return Topology::Node;
    }
    let Some(zone) = cx
        .node
        .labels
        .get(LABEL_ZONE)
        .filter(|zone| !zone.is_empty())
    else {
        return Topology::Everywhere;
    };
    let all_zones = ready.iter().all(|endpoint| !endpoint.hint_zones.is_empty());
    let this_zone = ready
        .iter()
        .any(|endpoint| hinted(&endpoint.hint_zones, zone));
    if all_zones && this_zone {
        Topology::Zone(zone)
    } else {
        Topology::Everywhere
    }
}
