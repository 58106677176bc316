//! Load balancers that end TLS, as a Service's annotations describe them.

use super::elb;
use crate::facts::{Service, ServicePort};

/// The certificate of an AWS load balancer. With it, the ports in [`AWS_SSL_PORTS`] are TLS (cloud-provider-aws, "The
/// Service Controller").
const AWS_SSL_CERT: &str = "service.beta.kubernetes.io/aws-load-balancer-ssl-cert";
/// Numbers or names of the ports with TLS; all ports by default (same source).
const AWS_SSL_PORTS: &str = "service.beta.kubernetes.io/aws-load-balancer-ssl-ports";
/// The protocol of the backends: `http`, `https`, `ssl` or `tcp` (same source).
const AWS_BACKEND_PROTOCOL: &str = "service.beta.kubernetes.io/aws-load-balancer-backend-protocol";

/// What a load balancer that ends TLS sends to the backends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behind {
    /// The same without TLS.
    Plain,
    /// A TLS session of its own.
    Tls,
}

/// What is behind the load balancer on a port, if the load balancer ends TLS there. `None`: nothing says that it does.
#[must_use]
pub fn behind(service: &Service, port: &ServicePort) -> Option<Behind> {
    let annotation = |key| service.annotations.get(key).map(String::as_str);
    let listed =
        |list: &str, found: &dyn Fn(&str) -> bool| list.split(',').map(str::trim).any(found);
    let number = port.port.to_string();
    let of_elb = |entry: &str| match entry.split_once(':') {
        Some((protocol, at)) => at.trim() == number && matches!(protocol.trim(), "https" | "HTTPS"),
        None => false,
    };
    if annotation(elb::CERT_ID).is_some()
        && annotation(elb::PROTOCOL_PORT).is_some_and(|list| listed(list, &of_elb))
    {
        return Some(Behind::Plain);
    }
    annotation(AWS_SSL_CERT)?;
    let of_aws =
        |entry: &str| entry == "*" || entry == number || Some(entry) == port.name.as_deref();
    listed(annotation(AWS_SSL_PORTS).unwrap_or("*"), &of_aws).then(|| {
        match annotation(AWS_BACKEND_PROTOCOL) {
            Some("https" | "ssl") => Behind::Tls,
            Some(_) | None => Behind::Plain,
        }
    })
}
