//! Reads NetworkPolicies.

use super::named::{Metadata, Named, ObjectError};
use crate::model::policy::{
    Direction, IpBlock, LabelSelector, NetworkPolicy, Peer, PolicyPort, PortChoice, Requirement,
    Rule,
};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

#[derive(Deserialize)]
struct Wire {
    metadata: Metadata,
    spec: Option<Spec>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    pod_selector: Option<Selector>,
    ingress: Option<Vec<WireRule>>,
    egress: Option<Vec<WireRule>>,
    policy_types: Option<Vec<String>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Selector {
    match_labels: Option<BTreeMap<String, String>>,
    match_expressions: Option<Vec<Expression>>,
}

#[derive(Deserialize)]
struct Expression {
    key: String,
    operator: String,
    values: Option<Vec<String>>,
}

/// A rule of either direction. An ingress rule has `from`, an egress rule has `to`.
#[derive(Deserialize)]
struct WireRule {
    ports: Option<Vec<WirePort>>,
    from: Option<Vec<WirePeer>>,
    to: Option<Vec<WirePeer>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WirePort {
    protocol: Option<String>,
    port: Option<NumberOrName>,
    end_port: Option<i64>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum NumberOrName {
    Number(i64),
    Name(String),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WirePeer {
    pod_selector: Option<Selector>,
    namespace_selector: Option<Selector>,
    ip_block: Option<Block>,
}

#[derive(Deserialize)]
struct Block {
    cidr: String,
    except: Option<Vec<String>>,
}

impl TryFrom<&Value> for NetworkPolicy {
    type Error = ObjectError;

    fn try_from(object: &Value) -> Result<Self, ObjectError> {
        let named = Named::of("NetworkPolicy", object);
        let Wire { metadata, spec } = named.read("NetworkPolicy", object)?;
        let spec = spec.unwrap_or_default();
        let ingress = rules(&named, spec.ingress.unwrap_or_default(), |rule| rule.from)?;
        let egress = rules(&named, spec.egress.unwrap_or_default(), |rule| rule.to)?;
        let mut types = Vec::new();
        for text in spec.policy_types.iter().flatten() {
            types.push(named.parse::<Direction>("spec.policyTypes[]", text)?);
        }
        if types.is_empty() {
            // kubernetes/kubernetes v1.37.2 pkg/apis/networking/v1/defaults.go, SetDefaults_NetworkPolicy
            types.push(Direction::Ingress);
            if !egress.is_empty() {
                types.push(Direction::Egress);
            }
        }
        let of = |direction, rules| types.contains(&direction).then_some(rules);
        Ok(Self {
            pods: selector(&named, spec.pod_selector.unwrap_or_default())?,
            ingress: of(Direction::Ingress, ingress),
            egress: of(Direction::Egress, egress),
            namespace: metadata.namespace.unwrap_or_default(),
            name: metadata.name,
        })
    }
}

fn rules(
    named: &Named,
    rules: Vec<WireRule>,
    peers: impl Fn(WireRule) -> Option<Vec<WirePeer>>,
) -> Result<Vec<Rule>, ObjectError> {
    rules
        .into_iter()
        .map(|mut rule| {
            let ports = rule.ports.take().unwrap_or_default().into_iter();
            let ports = ports
                .map(|one| port(named, one))
                .collect::<Result<_, _>>()?;
            let peers = peers(rule).unwrap_or_default().into_iter();
            let peers = peers
                .map(|one| peer(named, one))
                .collect::<Result<_, _>>()?;
            Ok(Rule { ports, peers })
        })
        .collect()
}

fn port(named: &Named, port: WirePort) -> Result<PolicyPort, ObjectError> {
    const END: &str = "spec ports[].endPort";
    let choice = match (port.port, port.end_port) {
        (None, None) => PortChoice::All,
        (Some(NumberOrName::Name(name)), None) => PortChoice::Name(name),
        (Some(NumberOrName::Number(number)), end) => {
            let first = named.port("spec ports[].port", number)?;
            let last = end.map_or(Ok(first), |number| named.port(END, number))?;
            if last < first {
                return Err(named.wrong(END, last, "less than port"));
            }
            PortChoice::Range { first, last }
        }
        (None | Some(NumberOrName::Name(_)), Some(end)) => {
            return Err(named.wrong(END, end, "port is not a number"));
        }
    };
    Ok(PolicyPort {
        protocol: named.parse_or_default("spec ports[].protocol", port.protocol.as_deref())?,
        choice,
    })
}

/// Reads a peer. The API server accepts only an `ipBlock` alone, or one or both selectors
/// (kubernetes/kubernetes v1.37.2 `pkg/apis/networking/validation/validation.go`, `ValidateNetworkPolicyPeer`).
/// Anything else is an error, because it may be of a kind that is not known here.
fn peer(named: &Named, peer: WirePeer) -> Result<Peer, ObjectError> {
    const PEER: &str = "spec from[] or to[]";
    match (peer.pod_selector, peer.namespace_selector, peer.ip_block) {
        (None, None, None) => Err(named.wrong(
            PEER,
            "{}",
            "a peer has podSelector, namespaceSelector or ipBlock",
        )),
        (None, None, Some(block)) => {
            let except = block.except.unwrap_or_default();
            Ok(Peer::Block(IpBlock {
                cidr: named.parse("spec ipBlock.cidr", &block.cidr)?,
                except: except
                    .iter()
                    .map(|text| named.parse("spec ipBlock.except[]", text))
                    .collect::<Result<_, _>>()?,
            }))
        }
        (_, _, Some(block)) => {
            Err(named.wrong(PEER, block.cidr, "a peer with ipBlock has no selector"))
        }
        (pods, namespaces, None) => Ok(Peer::Pods {
            pods: pods.map(|one| selector(named, one)).transpose()?,
            namespaces: namespaces.map(|one| selector(named, one)).transpose()?,
        }),
    }
}

fn selector(named: &Named, selector: Selector) -> Result<LabelSelector, ObjectError> {
    let expressions = selector.match_expressions.unwrap_or_default();
    Ok(LabelSelector {
        labels: selector.match_labels.unwrap_or_default(),
        expressions: expressions
            .into_iter()
            .map(|expression| {
                Ok(Requirement {
                    operator: named
                        .parse("spec matchExpressions[].operator", &expression.operator)?,
                    key: expression.key,
                    values: expression.values.unwrap_or_default(),
                })
            })
            .collect::<Result<_, ObjectError>>()?,
    })
}

#[cfg(test)]
mod tests {
    use crate::model::policy::{NetworkPolicy, Peer, PortChoice};
    use serde_json::{Value, json};

    fn read(spec: &Value) -> Result<NetworkPolicy, String> {
        let object = json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
            "metadata": {"namespace": "web", "name": "p"}, "spec": spec,
        });
        NetworkPolicy::try_from(&object).map_err(|error| error.to_string())
    }

    #[test]
    fn policy_types_have_defaults() {
        for (spec, ingress, egress) in [
            (json!({}), true, false),
            (json!({"ingress": []}), true, false),
            (json!({"egress": []}), true, false),
            (json!({"egress": [{}]}), true, true),
            (json!({"egress": [{}], "policyTypes": []}), true, true),
            (
                json!({"egress": [{}], "policyTypes": ["Ingress"]}),
                true,
                false,
            ),
            (
                json!({"ingress": [{}], "policyTypes": ["Egress"]}),
                false,
                true,
            ),
            (json!({"policyTypes": ["Ingress", "Egress"]}), true, true),
        ] {
            let policy = read(&spec).unwrap();
            let found = (policy.ingress.is_some(), policy.egress.is_some());
            assert_eq!(found, (ingress, egress), "{spec}");
        }
    }

    #[test]
    fn an_absent_list_of_peers_is_an_empty_list() {
        for rule in [json!({}), json!({"from": []}), json!({"from": null})] {
            let policy = read(&json!({"ingress": [rule]})).unwrap();
            assert!(policy.ingress.unwrap()[0].peers.is_empty(), "{rule}");
        }
    }

    #[test]
    fn ports_and_peers_are_read() {
        let policy = read(&json!({"ingress": [{
            "ports": [{}, {"port": 80}, {"port": 80, "endPort": 90, "protocol": "SCTP"}, {"port": "http"}],
            "from": [{"podSelector": {}}, {"namespaceSelector": {}}, {"ipBlock": {"cidr": "10.0.0.0/8"}}],
        }]}))
        .unwrap();
        let rule = &policy.ingress.unwrap()[0];
        let ports: Vec<String> = rule
            .ports
            .iter()
            .map(|port| match &port.choice {
                PortChoice::All => format!("{} all", port.protocol),
                PortChoice::Range { first, last } => format!("{} {first}-{last}", port.protocol),
                PortChoice::Name(name) => format!("{} {name}", port.protocol),
            })
            .collect();
        assert_eq!(ports, ["TCP all", "TCP 80-80", "SCTP 80-90", "TCP http"]);
        assert!(matches!(
            &rule.peers[0],
            Peer::Pods {
                pods: Some(_),
                namespaces: None
            }
        ));
        assert!(matches!(
            &rule.peers[1],
            Peer::Pods {
                pods: None,
                namespaces: Some(_)
            }
        ));
        assert!(matches!(&rule.peers[2], Peer::Block(_)));
    }

    #[test]
    fn what_the_api_server_would_not_accept_is_an_error() {
        let selector =
            json!({"matchExpressions": [{"key": "a", "operator": "Gt", "values": ["1"]}]});
        for (spec, says) in [
            (
                json!({"ingress": [{"from": [{}]}]}),
                "a peer has podSelector",
            ),
            (
                json!({"ingress": [{"from": [{"podSelector": {}, "ipBlock": {"cidr": "::/0"}}]}]}),
                "has no selector",
            ),
            (
                json!({"ingress": [{"from": [{"ipBlock": {"cidr": "10.0.0.0"}}]}]}),
                "ipBlock.cidr",
            ),
            (
                json!({"ingress": [{"ports": [{"port": 70000}]}]}),
                "not a port number",
            ),
            (
                json!({"ingress": [{"ports": [{"port": 90, "endPort": 80}]}]}),
                "less than port",
            ),
            (
                json!({"ingress": [{"ports": [{"port": "http", "endPort": 80}]}]}),
                "not a number",
            ),
            (
                json!({"ingress": [{"ports": [{"endPort": 80}]}]}),
                "not a number",
            ),
            (json!({"podSelector": selector}), "unknown operator \"Gt\""),
            (json!({"policyTypes": ["Sideways"]}), "unknown policy type"),
        ] {
            let error = read(&spec).unwrap_err();
            assert!(error.contains(says), "{spec}: {error}");
            assert!(error.contains("NetworkPolicy web/p"), "{error}");
        }
    }
}
