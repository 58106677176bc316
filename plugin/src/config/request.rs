//! How the probes make requests.

use super::duration::duration;
use super::error::UsageError;
use super::service_name::ServiceName;
use clap::{Args, builder::Resettable};
use serde::Deserialize;
use std::{
    net::IpAddr,
    num::{NonZeroU16, NonZeroU32},
};
use svc_reach_common::{wire::plan::is_path, words};

/// How the probes make requests.
#[derive(Debug, Args)]
#[command(next_help_heading = "Requests")]
pub struct RequestArgs {
    /// How to check TCP ports: auto, http, https or tcp
    ///
    /// By default, the appProtocol, name or number of the port decides.
    #[arg(long, alias = "probe", value_name = "PROTOCOL", default_value = "auto", help_heading = Resettable::Reset, hide_default_value = true)]
    pub protocol: String,
    /// Path of HTTP requests
    #[arg(hide_short_help = true, long, value_name = "PATH", default_value = "/")]
    pub path: String,
    /// Host header of HTTP requests. Default: the address
    #[arg(hide_short_help = true, long, value_name = "HOST")]
    pub host_header: Option<String>,
    /// Text to send to a UDP port
    #[arg(
        hide_short_help = true,
        long,
        value_name = "TEXT",
        default_value = "svc-reach"
    )]
    pub udp_payload: String,
    /// Attempts for each target. Default: more for more backends
    #[arg(hide_short_help = true, long, value_name = "N")]
    pub attempts: Option<u16>,
    /// Limit for one attempt
    #[arg(
        hide_short_help = true,
        long,
        value_name = "DURATION",
        default_value = "3s"
    )]
    pub timeout: String,
    /// Whether to check from this machine, too: auto or never
    #[arg(
        hide_short_help = true,
        long,
        value_name = "WHEN",
        default_value = "auto"
    )]
    pub external: String,
    /// Public address of a node that the API does not show, as NODE=IP (repeatable)
    ///
    /// Its node ports are requested there, too.
    #[arg(hide_short_help = true, long, value_name = "NODE=IP")]
    pub node_public_address: Vec<String>,
    /// Address of a load balancer that the API does not show, as SERVICE=IP (repeatable)
    #[arg(hide_short_help = true, long, value_name = "SERVICE=IP")]
    pub load_balancer_address: Vec<String>,
}

words! {
    /// How to check a TCP port.
    pub enum ProtocolChoice("protocol") {
        /// As the port's `appProtocol`, name or number suggests.
        Auto = "auto",
        /// HTTP.
        Http = "http",
        /// HTTP over TLS.
        Https = "https",
        /// Only a connection.
        Tcp = "tcp",
    }
}

words! {
    /// Whether to check from this machine, too.
    pub enum External("value of --external") {
        /// If the Service has a public address, or if a private address answers.
        Auto = "auto",
        /// Do not check from here.
        Never = "never",
    }
}

/// How the probes make requests.
#[derive(Debug, Clone)]
pub struct RequestSettings {
    /// How to check a TCP port.
    pub protocol: ProtocolChoice,
    /// Path of HTTP requests.
    pub path: String,
    /// `Host` header of HTTP requests.
    pub host: Option<String>,
    /// What to send to a UDP port.
    pub udp_payload: String,
    /// Attempts on each target; `None`: the number of backends decides.
    pub attempts: Option<NonZeroU16>,
    /// Limit for one attempt, in milliseconds.
    pub timeout_ms: NonZeroU32,
    /// Whether to check from this machine, too.
    pub external: External,
    /// Addresses that the API does not show.
    pub unlisted: UnlistedAddresses,
}

/// Addresses that the user knows and the API does not show.
#[derive(Debug, Clone, Default)]
pub struct UnlistedAddresses {
    /// Public addresses of nodes, by name.
    pub nodes: Vec<(String, IpAddr)>,
    /// Addresses of load balancers, by Service.
    pub load_balancers: Vec<(ServiceName, IpAddr)>,
}

/// Path of an HTTP request.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
pub struct RequestPath(pub String);

impl TryFrom<String> for RequestPath {
    type Error = UsageError;

    fn try_from(path: String) -> Result<Self, UsageError> {
        if is_path(&path) {
            Ok(Self(path))
        } else {
            Err(UsageError::NoPath(path))
        }
    }
}

/// Reads `NAME=IP`, once for each address. `flag`: where the texts come from, and the form that they must have.
fn named_addresses(
    flag: (&'static str, &'static str),
    given: &[String],
) -> Result<Vec<(String, IpAddr)>, UsageError> {
    let mut addresses: Vec<(String, IpAddr)> = Vec::new();
    for text in given {
        let invalid = |why| UsageError::invalid(flag.0, text, why);
        let (name, address) = text
            .split_once('=')
            .filter(|(name, _)| !name.is_empty())
            .ok_or_else(|| invalid(flag.1))?;
        let address: IpAddr = address
            .parse()
            .map_err(|_| invalid("the part after = is not an IP address"))?;
        if address.is_unspecified() || address.is_loopback() || address.is_multicast() {
            return Err(invalid("no other machine can have this address"));
        }
        addresses.push((name.to_owned(), address));
    }
    Ok(addresses)
}

fn unlisted(nodes: &[String], load_balancers: &[String]) -> Result<UnlistedAddresses, UsageError> {
    const NODE: &str = "--node-public-address";
    const BALANCER: &str = "--load-balancer-address";
    let of_nodes = named_addresses((NODE, "must have the form NODE=IP"), nodes)?;
    for (at, (node, address)) in of_nodes.iter().enumerate() {
        let mut before = of_nodes[..at].iter();
        if before.any(|(other, known)| known == address && other != node) {
            let text = format!("{node}={address}");
            return Err(UsageError::invalid(
                NODE,
                &text,
                "another node has the same address",
            ));
        }
    }
    let form = (BALANCER, "must have the form SERVICE=IP");
    let of_balancers = named_addresses(form, load_balancers)?
        .into_iter()
        .map(|(text, address)| {
            let service = ServiceName::parse(&text, None);
            let service = service.map_err(|error| error.of(BALANCER))?;
            Ok((service, address))
        })
        .collect::<Result<_, UsageError>>()?;
    Ok(UnlistedAddresses {
        nodes: of_nodes,
        load_balancers: of_balancers,
    })
}

pub fn request(args: RequestArgs) -> Result<RequestSettings, UsageError> {
    let timeout = duration("--timeout", &args.timeout)?;
    let timeout_ms = u32::try_from(timeout.as_millis())
        .ok()
        .and_then(NonZeroU32::new)
        .ok_or_else(|| UsageError::invalid("--timeout", &args.timeout, "must be at least 1ms"))?;
    let attempts = args
        .attempts
        .map(|n| {
            NonZeroU16::new(n)
                .ok_or_else(|| UsageError::invalid("--attempts", "0", "must be at least 1"))
        })
        .transpose()?;
    Ok(RequestSettings {
        protocol: args.protocol.parse()?,
        path: RequestPath::try_from(args.path)
            .map_err(|error| error.of("--path"))?
            .0,
        host: args.host_header,
        udp_payload: args.udp_payload,
        attempts,
        timeout_ms,
        external: args.external.parse()?,
        unlisted: unlisted(&args.node_public_address, &args.load_balancer_address)?,
    })
}

#[cfg(test)]
mod tests {
    use super::unlisted;

    #[test]
    fn node_addresses_are_validated() {
        let read = |texts: &[&str]| {
            let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
            unlisted(&texts, &[]).map_err(|error| error.to_string())
        };
        assert_eq!(
            read(&["a=203.0.113.5", "a=2001:db8::5", "b=203.0.113.6"])
                .unwrap()
                .nodes
                .len(),
            3
        );
        for (texts, why) in [
            (&["a"][..], "must have the form NODE=IP"),
            (&["=203.0.113.5"], "must have the form NODE=IP"),
            (&["a=b.example"], "is not an IP address"),
            (&["a=127.0.0.1"], "no other machine can have this address"),
            (
                &["a=203.0.113.5", "b=203.0.113.5"],
                "another node has the same address",
            ),
        ] {
            let error = read(texts).unwrap_err();
            assert!(error.contains(why), "{texts:?}: {error}");
        }
    }

    #[test]
    fn addresses_of_load_balancers_are_validated() {
        let read = |text: &str| {
            let read = unlisted(&[], &[text.to_owned()]).map_err(|error| error.to_string());
            read.map(|read| read.load_balancers)
        };
        for (text, namespace) in [
            ("web=203.0.113.5", None),
            ("svc/web.shop=203.0.113.5", Some("shop")),
        ] {
            let (service, address) = read(text).unwrap().remove(0);
            assert_eq!(
                (service.namespace.as_deref(), service.name.as_str()),
                (namespace, "web")
            );
            assert_eq!(address.to_string(), "203.0.113.5");
        }
        for (text, why) in [
            ("web", "must have the form SERVICE=IP"),
            ("=203.0.113.5", "must have the form SERVICE=IP"),
            ("web=lb.example", "is not an IP address"),
            ("Web=203.0.113.5", "not a valid Service name"),
        ] {
            let error = read(text).unwrap_err();
            let flag = error.starts_with("--load-balancer-address");
            assert!(flag && error.contains(why), "{text}: {error}");
        }
    }
}
