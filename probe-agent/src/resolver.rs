//! Names, resolved as the pod's `resolv.conf` says: its servers, its search list, its `ndots`.
//!
//! Without the C library's resolver, so that an image needs no library and no `nsswitch.conf`.

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

/// Resolves names, or knows why it cannot.
pub struct Resolver(Result<System, String>);

/// The system's settings, and who asks by them.
struct System {
    resolver: TokioResolver,
    search: Vec<Name>,
    ndots: usize,
}

impl Resolver {
    /// By the system's settings.
    pub fn from_system() -> Self {
        Self(System::read().map_err(|error| error.to_string()))
    }

    /// The addresses of a name, IPv4 first.
    ///
    /// # Errors
    ///
    /// The outcome of an attempt that cannot go on.
    pub async fn addresses(&self, name: &str) -> Result<Vec<IpAddr>, Outcome> {
        let failed = |detail| Outcome::Failed {
            detail,
            errno: None,
        };
        let system = self
            .0
            .as_ref()
            .map_err(|error| failed(format!("no settings to resolve names by: {error}")))?;
        let name = Name::from_utf8(name).map_err(|error| failed(format!("not a name: {error}")))?;
        // Each name of the search list by itself: hickory tells only what became of the last.
        let mut told = Outcome::NameNotFound;
        for name in candidates(&name, &system.search, system.ndots) {
            match system.ask(name).await {
                Ok(addresses) => return Ok(addresses),
                Err(outcome) => told = graver(told, outcome),
            }
        }
        Err(told)
    }
}

impl System {
    fn read() -> Result<Self, NetError> {
        let (config, mut options) = read_system_conf()?;
        let (search, ndots) = (config.search().to_vec(), options.ndots);
        // Every attempt asks anew, as every client would.
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

    /// The addresses of a name that is complete.
    async fn ask(&self, name: Name) -> Result<Vec<IpAddr>, Outcome> {
        let answers = tokio::join!(
            self.resolver.lookup(name.clone(), RecordType::A),
            self.resolver.lookup(name, RecordType::AAAA),
        );
        let mut addresses = Vec::new();
        let mut told = Outcome::NameNotFound;
        for answer in <[_; 2]>::from(answers) {
            match answer {
                Ok(found) => {
                    let records = found.answers().iter();
                    addresses.extend(records.filter_map(|record| record.data.ip_addr()));
                }
                Err(error) => told = graver(told, outcome(&error)),
            }
        }
        if addresses.is_empty() {
            Err(told)
        } else {
            Ok(addresses)
        }
    }
}

/// The complete names that a name may stand for, in order (resolv.conf(5), `search` and `ndots`).
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

/// What to tell of several questions without an answer: that one could not be asked before that one failed, and only
/// where none did that there is no such name.
fn graver(told: Outcome, next: Outcome) -> Outcome {
    let weight = |outcome: &Outcome| match outcome.meaning() {
        Meaning::Unknown => 2,
        Meaning::Reached | Meaning::Ambiguous | Meaning::NotReached => {
            u8::from(*outcome != Outcome::NameNotFound)
        }
    };
    if weight(&next) > weight(&told) {
        next
    } else {
        told
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
    use svc_reach_common::wire::outcome::Outcome;

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
