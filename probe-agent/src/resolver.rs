//! Names, resolved as the pod's `resolv.conf` says: its servers, its search list, its `ndots`.
//!
//! Without the C library's resolver, so that an image needs no library and no `nsswitch.conf`.

use crate::failure::{self, short};
use hickory_resolver::{
    TokioResolver,
    config::{LookupIpStrategy, ResolveHosts},
    net::{DnsError, NetError},
    proto::op::ResponseCode,
};
use std::net::IpAddr;
use svc_reach_common::outcome::{Outcome, Phase};

/// Resolves names, or knows why it cannot.
pub struct Resolver(Result<TokioResolver, String>);

impl Resolver {
    /// By the system's settings.
    pub fn from_system() -> Self {
        let resolver = TokioResolver::builder_tokio().and_then(|mut builder| {
            let options = builder.options_mut();
            // Every attempt asks anew, as every client would.
            options.cache_size = 0;
            options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
            options.use_hosts_file = ResolveHosts::Never;
            builder.build()
        });
        Self(resolver.map_err(|error| error.to_string()))
    }

    /// The addresses of a name, IPv4 first.
    ///
    /// # Errors
    ///
    /// The outcome of an attempt that cannot go on.
    pub async fn addresses(&self, name: &str) -> Result<Vec<IpAddr>, Outcome> {
        let resolver = self.0.as_ref().map_err(|error| Outcome::Failed {
            detail: format!("no settings to resolve names by: {error}"),
            errno: None,
        })?;
        let found = resolver
            .lookup_ip(name)
            .await
            .map_err(|error| outcome(&error))?;
        let mut addresses: Vec<IpAddr> = found.iter().collect();
        addresses.sort_by_key(IpAddr::is_ipv6);
        if addresses.is_empty() {
            Err(Outcome::NameNotFound)
        } else {
            Ok(addresses)
        }
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "whatever else goes wrong is a failed lookup, too"
)]
fn outcome(error: &NetError) -> Outcome {
    match error {
        NetError::Dns(DnsError::NoRecordsFound(none))
            if matches!(
                none.response_code,
                ResponseCode::NXDomain | ResponseCode::NoError
            ) =>
        {
            Outcome::NameNotFound
        }
        NetError::Dns(DnsError::NoRecordsFound(none)) => Outcome::NameLookupFailed {
            detail: short(&none.response_code.to_string()),
        },
        NetError::Timeout => Outcome::TimedOut {
            phase: Phase::Resolve,
        },
        // No question was sent, as without a descriptor to be had: that says nothing of the name.
        NetError::NoConnections | NetError::Busy => Outcome::Failed {
            detail: format!("no name server could be asked: {error}"),
            errno: None,
        },
        // What came back by datagram was cut, and all of it could not be had: there is an answer, which we have not.
        NetError::Truncated => Outcome::Failed {
            detail: "the name server's answer was cut, and could not be had by TCP".to_owned(),
            errno: None,
        },
        // A server's part in it is a failed lookup; what went wrong on this side says nothing of the name.
        NetError::Io(error) => match failure::connecting(error) {
            failed @ Outcome::Failed { .. } => failed,
            _ => Outcome::NameLookupFailed {
                detail: short(&error.to_string()),
            },
        },
        other => Outcome::NameLookupFailed {
            detail: short(&other.to_string()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::{NetError, outcome};
    use std::io;
    use svc_reach_common::outcome::Outcome;

    #[test]
    fn what_this_machine_is_short_of_says_nothing_of_the_name() {
        // EMFILE, ENFILE, ENOMEM, ENOBUFS.
        for errno in [24, 23, 12, 105] {
            let error = NetError::from(io::Error::from_raw_os_error(errno));
            let outcome = outcome(&error);
            assert!(
                matches!(outcome, Outcome::Failed { errno: Some(told), .. } if told == errno),
                "{outcome:?}"
            );
        }
        let truncated = outcome(&NetError::Truncated);
        assert!(matches!(truncated, Outcome::Failed { .. }), "{truncated:?}");
        // ECONNREFUSED.
        let refused = outcome(&NetError::from(io::Error::from_raw_os_error(111)));
        assert!(
            matches!(refused, Outcome::NameLookupFailed { .. }),
            "{refused:?}"
        );
    }
}
