//! What NetworkPolicies say about each cell. Pure.

mod ground;
mod path;
#[cfg(test)]
mod tests;

pub use ground::PolicyQuestion;

use crate::{probes::probed_position::ProbedPosition, survey::network_policies::PolicySurvey};
use ground::{Effect, Ground, together};
use path::CellPath;
use svc_reach_common::{
    facts::Facts,
    model::connection::Forecast,
    report::{PolicyEffect, PolicyFinding, Prediction, Why},
    verdict::Reachability,
};

/// The source of every rule of policies.
const SOURCE: &str = "https://kubernetes.io/docs/concepts/services-networking/network-policies/";

/// What can be done about a connection that policies forbid.
pub const REMEDY: &str = "allow it in a NetworkPolicy, or give the probes the labels of clients that are allowed (--probe-label)";

/// Evaluates the policies for the cells of one Service.
pub struct PolicyCheck<'a>(Ground<'a>);

impl<'a> PolicyCheck<'a> {
    /// Prepares the check of one Service. `kube_proxy`: whether the nodes run a kube-proxy that the model knows.
    /// `pass_through`: whether the load balancer's address is left to the load balancer, if that is known.
    pub fn new(
        survey: &'a PolicySurvey,
        facts: &'a Facts,
        stands: &'a [ProbedPosition],
        kube_proxy: bool,
        pass_through: Option<bool>,
    ) -> Self {
        Self(Ground::new(survey, facts, stands, kube_proxy, pass_through))
    }

    /// What the policies say about a cell; `None` if they allow it, or if nothing is known about any policy.
    pub fn finding(
        &self,
        question: PolicyQuestion<'a>,
        forecast: Option<&Forecast>,
    ) -> Option<PolicyFinding> {
        if self.0.survey.is_empty() {
            return None;
        }
        let cell = CellPath::new(&self.0, question, forecast)?;
        // The client needs all of these.
        let steps = [
            cell.lookup(),
            together(cell.egress()),
            together(cell.ingress()),
        ];
        let mut unknown = None;
        for step in steps {
            match step {
                Effect::Allowed => {}
                Effect::Denied(reason) => {
                    return Some(PolicyFinding {
                        effect: PolicyEffect::Denied,
                        reason,
                    });
                }
                Effect::Unknown(reason) => unknown = unknown.or(Some(reason)),
            }
        }
        unknown.map(|reason| PolicyFinding {
            effect: PolicyEffect::Unknown,
            reason,
        })
    }
}

/// Adds a finding to a prediction, which was computed as if there were no policies.
pub fn apply(finding: &PolicyFinding, prediction: &mut Prediction) {
    let rule = match finding.effect {
        PolicyEffect::Denied => {
            prediction.outcome = "denied by a NetworkPolicy".to_owned();
            prediction.reachable = Some(Reachability::Unreachable);
            prediction.remedy = Some(REMEDY.to_owned());
            finding.reason.clone()
        }
        PolicyEffect::Unknown if prediction.reachable == Some(Reachability::Reachable) => {
            prediction.outcome = "unknown: whether policies allow it".to_owned();
            prediction.reachable = None;
            finding.reason.clone()
        }
        PolicyEffect::Unknown => return,
    };
    prediction.why.push(Why {
        rule,
        source: SOURCE.to_owned(),
    });
}
