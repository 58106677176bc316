//! Resolves names with the pod's `resolv.conf`: its servers, its search list, its `ndots`.
//!
//! It does not use the C library's resolver, so the image needs no library and no `nsswitch.conf`.

use crate::failure::{self, short};
use hickory_resolver::{
    TokioResolver,
    config::ResolveHosts,
    net::{DnsError, NetError, runtime::TokioRuntimeProvider},
    proto::{
        op::ResponseCode,
        rr::{Name, RecordType},
    },
    system_conf::read_system_conf,
};
use std::net::IpAddr;
use svc_reach_common::wire::outcome::{Meaning, Outcome, Phase};

/// Resolves names, or contains the reason why it cannot.
pub struct Resolver(Result<System, String>);

/// The system's settings, and a resolver that uses them.
struct System {
    resolver: TokioResolver,
    search: Vec<Name>,
    ndots: usize,
}

impl Resolver {
    /// Uses the system's settings.
    pub fn from_system() -> Self {
        Self(System::read().map_err(|error| error.to_string()))
    }

    /// The addresses of a name, IPv4 first.
    ///
    /// # Errors
    ///
    /// Fails with the outcome of the attempt.
    pub async fn addresses(&self, name: &str) -> Result<Vec<IpAddr>, Outcome> {
        let failed = |detail| Outcome::Failed {
            detail,
            errno: None,
        };
        let system = self
            .0
            .as_ref()
            .map_err(|error| failed(format!("failed to read the resolver's settings: {error}")))?;
        let name =
            Name::from_utf8(name).map_err(|error| failed(format!("not a valid name: {error}")))?;
        // Look up each name of the search list separately: hickory would return only the last name's error.
        let mut worst = Outcome::NameNotFound;
        for name in candidates(&name, &system.search, system.ndots) {
            match system.ask(name).await {
                Ok(addresses) => return Ok(addresses),
                Err(outcome) => worst = graver(worst, outcome),
            }
        }
        Err(worst)
    }
}

impl System {
    fn read() -> Result<Self, NetError> {
        let (config, mut options) = read_system_conf()?;
        let (search, ndots) = (config.search().to_vec(), options.ndots);
        // Every attempt asks again, like a new client.
        options.cache_size = 0;
        options.use_hosts_file = ResolveHosts::Never;
        let mut builder =
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        *builder.options_mut() = options;
        Ok(Self {
            resolver: builder.build()?,
            search,
            ndots,
        })
    }

    /// The addresses of a fully qualified name.
    async fn ask(&self, name: Name) -> Result<Vec<IpAddr>, Outcome> {
        let answers = tokio::join!(
            self.resolver.lookup(name.clone(), RecordType::A),
            self.resolver.lookup(name, RecordType::AAAA),
        );
        let mut addresses = Vec::new();
        let mut worst = Outcome::NameNotFound;
        for answer in <[_; 2]>::from(answers) {
            match answer {
                Ok(found) => {
                    let records = found.answers().iter();
                    addresses.extend(records.filter_map(|record| record.data.ip_addr()));
                }
                Err(error) => worst = graver(worst, outcome(&error)),
            }
        }
        if addresses.is_empty() {
            Err(worst)
        } else {
            Ok(addresses)
        }
    }
}

/// The fully qualified names to try for a name, in order (resolv.conf(5), `search` and `ndots`).
fn candidates(name: &Name, search: &[Name], ndots: usize) -> Vec<Name> {
    let mut itself = name.clone();
    itself.set_fqdn(true);
    if name.is_fqdn() {
        return vec![itself];
    }
    let mut names: Vec<Name> = search
        .iter()
        .filter_map(|domain| name.clone().append_domain(domain).ok())
        .map(|mut name| {
            name.set_fqdn(true);
            name
        })
        .collect();
    let dots = usize::from(name.num_labels()).saturating_sub(1);
    names.insert(if dots >= ndots { 0 } else { names.len() }, itself);
    names
}

/// Chooses the outcome to report if several lookups have no address. A lookup that could not be made comes first, then
/// one that failed. The name does not exist only if every lookup says so.
fn graver(first: Outcome, next: Outcome) -> Outcome {
    let weight = |outcome: &Outcome| match outcome.meaning() {
        Meaning::Unknown => 2,
        Meaning::Reached | Meaning::Accepted | Meaning::Ambiguous | Meaning::NotReached => {
            u8::from(*outcome != Outcome::NameNotFound)
        }
    };
    if weight(&next) > weight(&first) {
        next
    } else {
        first
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "every other error is also a failed lookup"
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
        // No query was sent, for example because no file descriptor was left. This says nothing about the name.
        NetError::NoConnections | NetError::Busy => Outcome::Failed {
            detail: format!("no name server could be queried: {error}"),
            errno: None,
        },
        // The answer by UDP was truncated, and it could not be fetched by TCP. So the name may have addresses.
        NetError::Truncated => Outcome::Failed {
            detail: "the name server's answer was truncated, and fetching it by TCP failed"
                .to_owned(),
            errno: None,
        },
        // An error on the server's side is a failed lookup. An error on our side says nothing about the name.
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
    use svc_reach_common::wire::outcome::Outcome;

    #[test]
    fn local_shortages_are_failures() {
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
