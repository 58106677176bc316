//! All policies of a cluster, or of the namespaces that matter.

use super::{
    decision::{Decision, Denial, Direction},
    labels::Labels,
    missing::Missing,
    network_policy::NetworkPolicy,
    party::{Identity, Party},
    port::PortNumber,
};
use std::collections::BTreeMap;

/// The policies, and the labels of namespaces that their peers refer to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policies {
    /// All policies of the namespaces of both sides.
    pub policies: Vec<NetworkPolicy>,
    /// Labels of namespaces. A namespace that is not listed has unknown labels.
    pub namespaces: BTreeMap<String, Labels>,
}

impl Policies {
    /// Whether a connection is allowed. The egress rules of the source and the ingress rules of the destination both
    /// have to allow it (concept page, "The two sorts of pod isolation").
    #[must_use]
    pub fn connection(
        &self,
        source: &Party<'_>,
        destination: &Party<'_>,
        number: PortNumber,
    ) -> Decision {
        let egress = self.egress(source, destination, number);
        if matches!(egress, Decision::Denied(_)) {
            return egress;
        }
        match self.ingress(source, destination, number) {
            Decision::Allowed => egress,
            ingress @ (Decision::Denied(_) | Decision::Unknown(_)) => ingress,
        }
    }

    /// Whether the destination may get a connection from the source.
    #[must_use]
    pub fn ingress(
        &self,
        source: &Party<'_>,
        destination: &Party<'_>,
        number: PortNumber,
    ) -> Decision {
        self.decide(Direction::Ingress, destination, source, destination, number)
    }

    /// Whether the source may open a connection to the destination.
    #[must_use]
    pub fn egress(
        &self,
        source: &Party<'_>,
        destination: &Party<'_>,
        number: PortNumber,
    ) -> Decision {
        self.decide(Direction::Egress, source, destination, destination, number)
    }

    /// Decides for one direction. `subject` is the side that policies may isolate.
    ///
    /// Policies add up: a pod is isolated if any policy selects it, and a connection is allowed if any rule of any of
    /// them allows it. Three connections are always allowed: those of pods that no policy selects, those between a pod
    /// and its own node, and those of a pod to itself (concept page).
    fn decide(
        &self,
        direction: Direction,
        subject: &Party<'_>,
        peer: &Party<'_>,
        destination: &Party<'_>,
        number: PortNumber,
    ) -> Decision {
        let pod = match subject.identity {
            // What policies do to pods on the host network is undefined. In the most common implementations their
            // traffic is that of the node, which policies do not select (concept page, "NetworkPolicy and hostNetwork
            // pods").
            Identity::Pod(pod) if !pod.host_network => pod,
            Identity::Pod(_) | Identity::Node(_) | Identity::Outside => return Decision::Allowed,
            Identity::Unknown => {
                let concerned = self
                    .policies
                    .iter()
                    .any(|policy| policy.rules(direction).is_some());
                return if concerned {
                    Decision::Unknown(Missing::Peer)
                } else {
                    Decision::Allowed
                };
            }
        };
        if matches!(peer.identity, Identity::Pod(other) if other.is(pod)) {
            return Decision::Allowed;
        }
        let mut own_node_unknown = false;
        if let Some(node) = peer.node() {
            match pod.node.as_deref() {
                Some(own) if own == node => return Decision::Allowed,
                Some(_) => {}
                None => own_node_unknown = true,
            }
        }

        let mut denying = Vec::new();
        let mut missing = None;
        let mut uncertain = None;
        let mut isolated = false;
        let mut all_uncertain_allow = true;
        let mut allowed = false;
        for policy in &self.policies {
            if policy.rules(direction).is_none() {
                continue;
            }
            let selects = policy.selects(pod);
            if selects == Ok(false) {
                continue;
            }
            let misses = policy.misses(direction, &self.namespaces, peer, destination, number);
            match selects {
                Err(why) => {
                    all_uncertain_allow &= misses == Ok(None);
                    // A policy that allows nothing more does not matter to a pod that others isolate.
                    if !matches!(misses, Ok(Some(_))) {
                        missing = missing.or(Some(why.clone()));
                    }
                    uncertain = uncertain.or(Some(why));
                }
                Ok(_) => {
                    isolated = true;
                    match misses {
                        Ok(None) => allowed = true,
                        Ok(Some(policy)) => denying.push(policy),
                        Err(why) => missing = missing.or(Some(why)),
                    }
                }
            }
        }
        if allowed {
            return Decision::Allowed;
        }
        if !isolated {
            return match uncertain {
                Some(why) if !all_uncertain_allow => Decision::Unknown(why),
                Some(_) | None => Decision::Allowed,
            };
        }
        if own_node_unknown {
            missing = missing.or(Some(Missing::PodNode(pod.to_string())));
        }
        if matches!(peer.identity, Identity::Unknown) {
            // It may be the pod's own node.
            missing = missing.or(Some(Missing::Peer));
        }
        match missing {
            Some(why) => Decision::Unknown(why),
            None => Decision::Denied(Denial {
                direction,
                pod: pod.to_string(),
                policies: denying,
            }),
        }
    }
}
