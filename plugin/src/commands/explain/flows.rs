//! Packets, and what a node's proxy does with each: `--to` for one, `--flows` for many.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::net::IpAddr;
use svc_reach_common::{
    model::{NotModelled, Packet, ProxyAction, World},
    position::Network,
    protocol::Protocol,
    report::Why,
};

/// A question about a packet.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Query {
    /// An ID of the user's choice.
    #[serde(default)]
    pub id: Value,
    /// The node that handles it.
    pub node: String,
    /// Where the client is.
    pub client: Network,
    /// The client's address, if it is known.
    #[serde(default)]
    pub client_ip: Option<IpAddr>,
    /// Where the packet goes.
    pub to: To,
}

/// Where a packet goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct To {
    /// Address.
    pub ip: IpAddr,
    /// Port.
    pub port: u16,
    /// Transport protocol.
    #[serde(default)]
    pub protocol: Protocol,
}

/// What the node's proxy does with a packet.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FlowAnswer {
    /// The ID of the question.
    pub id: Value,
    /// What the proxy does.
    pub action: ProxyAction,
    /// The endpoints that the proxy may choose, sorted.
    pub endpoints: Vec<String>,
    /// Whether the proxy masquerades the packet. `null`: it depends on the endpoint, it is unknown, or the packet goes
    /// to no endpoint.
    pub masquerade: Option<bool>,
    /// The rules that decide it.
    pub why: Vec<Why>,
}

/// Parses the questions of `--flows`.
///
/// # Errors
///
/// If the text is not a JSON array of packets.
pub fn parse(text: &str) -> Result<Vec<Query>, serde_json::Error> {
    serde_json::from_str(text)
}

impl Query {
    /// Asks the model.
    ///
    /// # Errors
    ///
    /// If the model has no answer.
    pub fn answer(&self, world: &World<'_>) -> Result<FlowAnswer, NotModelled> {
        let answer = world.flow(&Packet {
            node: &self.node,
            client: self.client,
            client_ip: self.client_ip,
            ip: self.to.ip,
            port: self.to.port,
            protocol: self.to.protocol,
        })?;
        Ok(FlowAnswer {
            id: self.id.clone(),
            action: answer.action,
            endpoints: answer
                .endpoints
                .iter()
                .map(|backend| backend.address.to_string())
                .collect(),
            masquerade: answer.masquerade,
            why: answer.why,
        })
    }

    /// The name for messages: the ID, or the number in the list.
    #[must_use]
    pub fn name(&self, index: usize) -> String {
        match &self.id {
            Value::Null => format!("number {}", index + 1),
            Value::String(id) => id.clone(),
            id @ (Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
                id.to_string()
            }
        }
    }
}

impl FlowAnswer {
    /// The answer in the style of `ip route get`: one line, then the reasons.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = match self.action {
            ProxyAction::Endpoints => format!(
                "endpoints {}, {}",
                self.endpoints.join(" "),
                match self.masquerade {
                    Some(true) => "masqueraded",
                    Some(false) => "with the client's own address",
                    None => "masqueraded or not; see below",
                }
            ),
            ProxyAction::Reject => "reject: the connection is refused".to_owned(),
            ProxyAction::Drop => {
                "drop: the packet is discarded and the client times out".to_owned()
            }
            ProxyAction::Accept => "accept: the node itself answers".to_owned(),
            ProxyAction::None => "none: no rule of the proxy matches".to_owned(),
        };
        for why in &self.why {
            text += &format!("\n  {}\n    {}", why.rule, why.source);
        }
        text
    }
}
