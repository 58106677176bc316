//! One attempt on one target: a new connection from a new source port, bounded in time.

use crate::{failure, http, resolver::Resolver, tap::Tap, tls, udp};
use std::{
    net::{IpAddr, SocketAddr},
    num::NonZeroU32,
    time::Duration,
};
use svc_reach_common::{
    outcome::{Attempt, Outcome, Phase},
    plan::{Plan, Probe, Request, Tls},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::{Instant, timeout_at},
};

/// What all attempts of a plan share.
pub struct Context {
    connect_timeout: Duration,
    attempt_timeout: Duration,
    resolver: Resolver,
    tls: tls::Connector,
}

/// When an attempt must have come how far.
#[derive(Clone, Copy)]
pub struct Bounds {
    /// Name resolved, connected, TLS session made.
    pub connected: Instant,
    /// Over.
    pub answered: Instant,
}

impl Context {
    /// Reads the system's resolver settings, once.
    pub fn new(plan: &Plan) -> Self {
        let milliseconds = |number: NonZeroU32| Duration::from_millis(u64::from(number.get()));
        Self {
            connect_timeout: milliseconds(plan.connect_timeout_ms),
            attempt_timeout: milliseconds(plan.attempt_timeout_ms),
            resolver: Resolver::from_system(),
            tls: tls::Connector::new(),
        }
    }

    /// Makes one attempt.
    pub async fn attempt(&self, request: &Request) -> Attempt {
        let now = Instant::now();
        let answered = now + self.attempt_timeout;
        let bounds = Bounds {
            connected: answered.min(now + self.connect_timeout),
            answered,
        };
        let mut attempt = Attempt {
            outcome: Outcome::NameNotFound,
            local: None,
            remote: None,
            connect_us: None,
            tls_us: None,
            first_byte_us: None,
        };
        match timeout_at(bounds.connected, self.addresses(&request.host)).await {
            Err(_) => {
                attempt.outcome = Outcome::TimedOut {
                    phase: Phase::Resolve,
                }
            }
            Ok(Err(outcome)) => attempt.outcome = outcome,
            // Further addresses of a name are tried as any client would, where one before does not connect. What the
            // first of them showed stands unless one connects: a node without IPv6 has no route to the others.
            Ok(Ok(addresses)) => {
                for (nth, address) in addresses.into_iter().enumerate() {
                    let remote = SocketAddr::new(address, request.port.get());
                    let mut tried = Attempt {
                        outcome: Outcome::NameNotFound,
                        local: None,
                        remote: Some(remote),
                        connect_us: None,
                        tls_us: None,
                        first_byte_us: None,
                    };
                    tried.outcome = match &request.probe {
                        Probe::Udp { payload } => {
                            Box::pin(udp::ask(remote, payload.as_bytes(), bounds, &mut tried)).await
                        }
                        Probe::Tcp | Probe::Http { .. } => {
                            self.connect(remote, request, bounds, &mut tried).await
                        }
                    };
                    let connected = tried.connect_us.is_some()
                        || matches!(tried.outcome, Outcome::Answered { .. });
                    if connected || nth == 0 {
                        attempt = tried;
                    }
                    if connected || Instant::now() >= bounds.connected {
                        break;
                    }
                }
            }
        }
        attempt
    }

    /// The addresses of a host. An address is taken as it is and never looked up.
    async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, Outcome> {
        match host.parse() {
            Ok(address) => Ok(vec![address]),
            Err(_) => Box::pin(self.resolver.addresses(host)).await,
        }
    }

    async fn connect(
        &self,
        remote: SocketAddr,
        request: &Request,
        bounds: Bounds,
        attempt: &mut Attempt,
    ) -> Outcome {
        let began = Instant::now();
        let stream = match timeout_at(bounds.connected, TcpStream::connect(remote)).await {
            Err(_) => {
                return Outcome::TimedOut {
                    phase: Phase::Connect,
                };
            }
            Ok(Err(error)) => return failure::connecting(&error),
            Ok(Ok(stream)) => stream,
        };
        attempt.connect_us = Some(micros(began, Instant::now()));
        attempt.local = stream.local_addr().ok();
        let Probe::Http { path, host, tls } = &request.probe else {
            return Outcome::Connected;
        };
        let authority = host
            .clone()
            .unwrap_or_else(|| authority(&request.host, remote));
        let plain = Tap::new(stream);
        match tls {
            Tls::Off => exchange(plain, path, &authority, bounds, attempt).await,
            // Boxed, as are the other ways that most attempts do not go: thousands of them wait at once.
            Tls::Unverified => {
                let began = Instant::now();
                let received = plain.received();
                let name = host.as_deref().unwrap_or(&request.host);
                let session = Box::pin(self.tls.connect(name, remote.ip(), plain));
                match timeout_at(bounds.connected, session).await {
                    Err(_) if received.count() > 0 => Outcome::TlsFailure {
                        detail: format!("{} bytes, and no session in time", received.count()),
                    },
                    Err(_) => Outcome::TimedOut { phase: Phase::Tls },
                    Ok(Err(error)) => failure::handshaking(&error, received.count()),
                    Ok(Ok(session)) => {
                        attempt.tls_us = Some(micros(began, Instant::now()));
                        Box::pin(exchange(
                            Tap::new(session),
                            path,
                            &authority,
                            bounds,
                            attempt,
                        ))
                        .await
                    }
                }
            }
        }
    }
}

async fn exchange<T: AsyncRead + AsyncWrite + Unpin>(
    io: Tap<T>,
    path: &str,
    authority: &str,
    bounds: Bounds,
    attempt: &mut Attempt,
) -> Outcome {
    let began = Instant::now();
    let received = io.received();
    let answer = timeout_at(bounds.answered, http::get(io, path, authority)).await;
    attempt.first_byte_us = received.first().map(|at| micros(began, at));
    match answer {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(error)) => failure::exchanging(&error, received.count()),
        // A server that says something, if slowly, is one that was reached.
        Err(_) if received.count() > 0 => Outcome::NotHttp {
            detail: format!(
                "{} bytes, and no end of a response head in time",
                received.count()
            ),
        },
        Err(_) => Outcome::TimedOut {
            phase: Phase::Answer,
        },
    }
}

/// The `Host` header of a request to an address or name (RFC 9110, section 7.2).
fn authority(host: &str, remote: SocketAddr) -> String {
    match host.parse::<IpAddr>() {
        Ok(_) => remote.to_string(),
        Err(_) => format!("{host}:{}", remote.port()),
    }
}

/// Microseconds from one time to another.
pub fn micros(began: Instant, ended: Instant) -> u64 {
    u64::try_from(ended.saturating_duration_since(began).as_micros()).unwrap_or(u64::MAX)
}
