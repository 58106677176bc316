//! One attempt on one target: a new connection from a new source port, with time limits.

use crate::{
    bounds::{Bounds, micros},
    failure, http,
    pace::{self, Pace},
    resolver::Resolver,
    tap::Tap,
    tls, udp,
};
use std::{
    net::{IpAddr, SocketAddr},
    pin::pin,
    time::Duration,
};
use svc_reach_common::wire::{
    outcome::{Attempt, Meaning, Outcome, Phase},
    plan::{self, Plan, Request, RequestKind, Tls},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite},
    net::TcpStream,
    sync::Notify,
    time::{Instant, timeout, timeout_at},
};

/// What all attempts of a plan share.
pub struct Context {
    connect_timeout: Duration,
    attempt_timeout: Duration,
    grace: Duration,
    resolver: Resolver,
    tls: tls::Connector,
    /// Of all datagrams.
    pace: Pace,
    /// Of those that are sent again.
    pace_again: Pace,
}

/// Minimum time for each address of a name, if that much time is left. A lost SYN is sent again after one second
/// (linux `include/net/tcp.h`, `TCP_TIMEOUT_INIT`).
const MIN_TURN: Duration = Duration::from_millis(1500);

impl Context {
    /// Reads the system's resolver settings.
    pub fn new(plan: &Plan) -> Self {
        Self {
            connect_timeout: plan.connect_timeout(),
            attempt_timeout: plan.attempt_timeout(),
            grace: plan.grace(),
            resolver: Resolver::from_system(),
            tls: tls::Connector::new(),
            pace: Pace::new(pace::AT_ONCE, pace::GAP),
            pace_again: Pace::new(pace::AT_ONCE_AGAIN, pace::GAP_AGAIN),
        }
    }

    /// Makes one attempt. Notifies `connected` when a connection is made.
    pub async fn attempt(&self, request: &Request, connected: &Notify) -> Attempt {
        match request.probe {
            RequestKind::Udp { .. } => Box::pin(self.paced(request, connected)).await,
            RequestKind::Tcp | RequestKind::Control | RequestKind::Http { .. } => {
                self.unpaced(request, connected).await
            }
        }
    }

    /// Makes an attempt with a datagram when it is its turn.
    async fn paced(&self, request: &Request, connected: &Notify) -> Attempt {
        let turn = self.pace.turn().await;
        let mut attempt = pin!(self.unpaced(request, connected));
        if let Ok(attempt) = timeout(pace::UNDER_WAY, &mut attempt).await {
            return attempt;
        }
        drop(turn);
        attempt.await
    }

    /// Sends the datagram of an attempt once more, of which nothing was heard. It leaves from the same port, so that every
    /// node on its way sends it where it sent the first one (linux `net/netfilter/nf_conntrack_core.c` knows both as one
    /// connection): a backend that does not answer is not passed over for another.
    pub async fn send_again(&self, request: &Request, lost: Attempt) -> Attempt {
        let (RequestKind::Udp { payload }, Some(remote)) = (&request.probe, lost.remote) else {
            return lost;
        };
        let _turn = self.pace_again.turn().await;
        let over = Instant::now() + self.grace;
        let bounds = Bounds {
            turn: over,
            connected: over,
            answered: over,
        };
        let mut again = made(Outcome::Silent, Some(remote));
        again.sent_again = true;
        let payload = payload.as_bytes();
        again.outcome = udp::ask(lost.local, remote, payload, bounds, &mut again).await;
        match again.outcome.meaning() {
            Meaning::Reached | Meaning::Accepted | Meaning::NotReached | Meaning::Ambiguous => {
                again
            }
            // That no second one could be sent says nothing.
            Meaning::Unknown => lost,
        }
    }

    /// Makes one attempt, now.
    async fn unpaced(&self, request: &Request, connected: &Notify) -> Attempt {
        let now = Instant::now();
        let connected_by = now
            + match request.probe {
                RequestKind::Control => self.connect_timeout.min(plan::CONTROL),
                RequestKind::Tcp | RequestKind::Http { .. } | RequestKind::Udp { .. } => {
                    self.connect_timeout
                }
            };
        let bounds = Bounds {
            turn: connected_by,
            connected: connected_by,
            answered: now + self.attempt_timeout,
        };
        match timeout_at(connected_by, self.addresses(&request.host)).await {
            Err(_) => made(
                Outcome::TimedOut {
                    phase: Phase::Resolve,
                },
                None,
            ),
            Ok(Err(outcome)) => made(outcome, None),
            Ok(Ok(addresses)) => self.try_each(&addresses, request, bounds, connected).await,
        }
    }

    /// Tries the addresses of a name like an ordinary client: one after another, until one connects.
    async fn try_each(
        &self,
        addresses: &[IpAddr],
        request: &Request,
        bounds: Bounds,
        connected: &Notify,
    ) -> Attempt {
        let over = match request.probe {
            RequestKind::Udp { .. } => bounds.answered,
            RequestKind::Tcp | RequestKind::Control | RequestKind::Http { .. } => bounds.connected,
        };
        let mut result = made(Outcome::NameNotFound, None);
        for (nth, address) in addresses.iter().enumerate() {
            let now = Instant::now();
            if nth > 0 && now >= over {
                break;
            }
            let turn = now + turn(over.saturating_duration_since(now), addresses.len() - nth);
            let remote = SocketAddr::new(*address, request.port.get());
            let tried = self
                .try_one(remote, request, Bounds { turn, ..bounds }, connected)
                .await;
            let last = came_through(&tried);
            if nth == 0 || says_more(&tried, &result) {
                result = tried;
            }
            if last {
                break;
            }
        }
        result
    }

    async fn try_one(
        &self,
        remote: SocketAddr,
        request: &Request,
        bounds: Bounds,
        connected: &Notify,
    ) -> Attempt {
        let mut tried = made(Outcome::NameNotFound, Some(remote));
        tried.outcome = match &request.probe {
            RequestKind::Udp { payload } => {
                Box::pin(udp::ask(
                    None,
                    remote,
                    payload.as_bytes(),
                    bounds,
                    &mut tried,
                ))
                .await
            }
            RequestKind::Tcp | RequestKind::Control | RequestKind::Http { .. } => {
                self.connect(remote, request, bounds, &mut tried, connected)
                    .await
            }
        };
        tried
    }

    /// The addresses of a host. If the host is an address, it is not looked up.
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
        connected: &Notify,
    ) -> Outcome {
        let began = Instant::now();
        let stream = match timeout_at(bounds.turn, TcpStream::connect(remote)).await {
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
        connected.notify_one();
        let bounds = bounds.leaving(self.grace);
        let (path, host, tls) = match &request.probe {
            RequestKind::Http { path, host, tls } => (path, host, tls),
            RequestKind::Tcp => return watch(stream, attempt).await,
            RequestKind::Control | RequestKind::Udp { .. } => return Outcome::Connected,
        };
        let authority = host
            .clone()
            .unwrap_or_else(|| authority(&request.host, remote));
        let plain = Tap::new(stream);
        match tls {
            Tls::Off => exchange(plain, path, &authority, bounds, attempt).await,
            // Thousands of attempts wait at the same time. Rare paths are boxed to keep each of them small.
            Tls::Unverified => {
                let began = Instant::now();
                let received = plain.received();
                let name = host.as_deref().unwrap_or(&request.host);
                let session = Box::pin(self.tls.connect(name, remote.ip(), plain));
                match timeout_at(bounds.connected, session).await {
                    Err(_) if received.count() > 0 => Outcome::TlsFailure {
                        detail: format!("{} bytes, but no session in time", received.count()),
                    },
                    Err(_) => Outcome::TimedOut { phase: Phase::Tls },
                    Ok(Err(error)) => failure::handshaking(&error, received.count()),
                    Ok(Ok(session)) => {
                        attempt.tls_us = Some(micros(began, Instant::now()));
                        Box::pin(exchange(
                            Tap::new(session),
                            path,
                            &authority,
                            bounds.leaving(self.grace),
                            attempt,
                        ))
                        .await
                    }
                }
            }
        }
    }
}

/// An attempt of which only this is known yet.
fn made(outcome: Outcome, remote: Option<SocketAddr>) -> Attempt {
    Attempt {
        remote,
        ..Attempt::from(outcome)
    }
}

/// How long to try one address, given the time left and the number of addresses left. Each address gets an equal share,
/// so that an address that drops packets leaves time for one that works.
fn turn(left: Duration, addresses: usize) -> Duration {
    let fair = left / u32::try_from(addresses).unwrap_or(u32::MAX).max(1);
    fair.max(MIN_TURN).min(left)
}

/// Whether a client tries no further address, because it has its connection or its answer.
fn came_through(tried: &Attempt) -> bool {
    tried.connect_us.is_some() || tried.outcome.meaning() == Meaning::Reached
}

/// Whether an attempt says more about the name than the attempts on the addresses before it.
///
/// - An answer says the most.
/// - If one address could not be tried, or may have received a datagram, refusals of the others prove nothing about the
///   name.
/// - Otherwise the first address counts: a node without IPv6 has no route to the later ones.
fn says_more(tried: &Attempt, best: &Attempt) -> bool {
    let weight = |attempt: &Attempt| match attempt.outcome.meaning() {
        Meaning::Reached | Meaning::Accepted => 4,
        Meaning::Unknown => 3,
        Meaning::Ambiguous => 2,
        Meaning::NotReached => 0,
    };
    weight(tried) > weight(best)
}

/// Watches a connection on which nothing is sent, in case the server ends it.
async fn watch(mut stream: TcpStream, attempt: &mut Attempt) -> Outcome {
    let began = Instant::now();
    let mut greeting = [0; 256];
    match timeout(plan::WATCHED, stream.read(&mut greeting)).await {
        Err(_) => Outcome::Connected,
        Ok(Ok(0)) => Outcome::Closed {
            phase: Phase::Connect,
        },
        Ok(Ok(_)) => {
            attempt.first_byte_us = Some(micros(began, Instant::now()));
            Outcome::Connected
        }
        Ok(Err(error)) => failure::connecting(&error),
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
        Ok(Ok((outcome, server))) => {
            attempt.server = server;
            outcome
        }
        Ok(Err(error)) => failure::exchanging(&error, received.count()),
        // A server that sends anything was reached, even if it is slow.
        Err(_) if received.count() > 0 => Outcome::NotHttp {
            detail: format!(
                "{} bytes, but no complete response head in time",
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

#[cfg(test)]
mod tests {
    use super::{Bounds, Context, MIN_TURN, turn};
    use std::{
        net::{IpAddr, SocketAddr, TcpListener, UdpSocket},
        num::{NonZeroU16, NonZeroU32},
        time::Duration,
    };
    use svc_reach_common::wire::{
        outcome::{Attempt, Outcome, Phase},
        plan::{self, Plan, Request, RequestKind, Tls, View},
    };
    use tokio::{
        io::AsyncWriteExt,
        net::{TcpSocket, TcpStream},
        sync::Notify,
        time::{Instant, sleep, timeout},
    };

    const TIMEOUT: Duration = Duration::from_secs(4);

    /// An address that cannot be tried: it is link-local, and no link is named.
    const UNTRIED: &str = "fe80::1";
    const NO_ROUTE: &str = "255.255.255.255";

    fn udp() -> RequestKind {
        RequestKind::Udp {
            payload: "hello".into(),
        }
    }

    fn plan(timeout: Duration, targets: Vec<Request>) -> Plan {
        let timeout_ms = NonZeroU32::new(u32::try_from(timeout.as_millis()).unwrap()).unwrap();
        Plan {
            version: plan::VERSION,
            attempts: NonZeroU16::MIN,
            concurrency: NonZeroU16::MIN,
            connect_timeout_ms: timeout_ms,
            attempt_timeout_ms: timeout_ms,
            view: View::None,
            targets,
        }
    }

    /// A listener with a full queue, and the connections in the queue. Until it accepts one, Linux drops new
    /// connections (net/ipv4/tcp_input.c, tcp_conn_request).
    async fn full(address: SocketAddr) -> (tokio::net::TcpListener, Vec<TcpStream>) {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(address).unwrap();
        let listener = socket.listen(0).unwrap();
        let address = listener.local_addr().unwrap();
        let mut waiting = Vec::new();
        while let Ok(stream) =
            timeout(Duration::from_millis(200), TcpStream::connect(address)).await
        {
            waiting.push(stream.unwrap());
        }
        (listener, waiting)
    }

    async fn try_each(addresses: &[&str], port: u16, probe: RequestKind) -> Attempt {
        let context = Context::new(&plan(TIMEOUT, vec![]));
        let request = Request::new(0, "web".into(), NonZeroU16::new(port).unwrap(), probe);
        let addresses: Vec<IpAddr> = addresses.iter().map(|text| text.parse().unwrap()).collect();
        let over = Instant::now() + TIMEOUT;
        let bounds = Bounds {
            turn: over,
            connected: over,
            answered: over,
        };
        context
            .try_each(&addresses, &request, bounds, &Notify::new())
            .await
    }

    #[tokio::test]
    async fn best_address_counts() {
        let live = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = live.local_addr().unwrap().port();
        let (live, dead, refused) = ("127.0.0.1", "127.0.0.2", Outcome::Refused { errno: 111 });
        for (addresses, expected, remote) in [
            ([dead, live], Some(Outcome::Connected), live),
            ([UNTRIED, live], Some(Outcome::Connected), live),
            ([dead, NO_ROUTE], Some(refused), dead),
            ([UNTRIED, dead], None, UNTRIED),
            ([dead, UNTRIED], None, UNTRIED),
            ([UNTRIED, NO_ROUTE], None, UNTRIED),
        ] {
            let told = try_each(&addresses, port, RequestKind::Tcp).await;
            match expected {
                Some(expected) => assert_eq!(told.outcome, expected, "{addresses:?}"),
                None => assert!(
                    matches!(told.outcome, Outcome::Failed { .. }),
                    "{addresses:?}: {told:?}"
                ),
            }
            assert_eq!(
                told.remote.unwrap().ip().to_string(),
                remote,
                "{addresses:?}"
            );
        }
    }

    #[tokio::test]
    async fn datagrams_try_each_address() {
        let silent = UdpSocket::bind("127.0.0.2:0").unwrap();
        let port = silent.local_addr().unwrap().port();
        let live = tokio::net::UdpSocket::bind(("127.0.0.1", port))
            .await
            .unwrap();
        let server = tokio::spawn(async move {
            let (_, client) = live.recv_from(&mut [0; 64]).await.unwrap();
            live.send_to(b"hello", client).await.unwrap();
        });
        let told = try_each(&["127.0.0.2", "127.0.0.1"], port, udp()).await;
        assert!(
            matches!(told.outcome, Outcome::Answered { .. }),
            "a silent address leaves time for another: {told:?}"
        );
        server.await.unwrap();
        let told = try_each(&["127.0.0.3", "127.0.0.2"], port, udp()).await;
        assert_eq!(
            told.outcome,
            Outcome::Silent,
            "an address that may have received it counts more than one that refused"
        );
    }

    #[tokio::test]
    async fn dropping_address_leaves_time_for_the_next() {
        let live = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = live.local_addr().unwrap().port();
        let _full = full(([127, 0, 0, 2], port).into()).await;
        let began = Instant::now();
        let told = try_each(&["127.0.0.2", "127.0.0.1"], port, RequestKind::Tcp).await;
        assert_eq!(told.outcome, Outcome::Connected);
        assert_eq!(told.remote.unwrap().ip().to_string(), "127.0.0.1");
        let told = try_each(&["127.0.0.2"; 9], port, RequestKind::Tcp).await;
        assert!(matches!(told.outcome, Outcome::TimedOut { .. }), "{told:?}");
        assert!(
            began.elapsed() < TIMEOUT * 2,
            "the limit for all addresses together holds"
        );
    }

    /// Asks a server that accepts a connection only when the client sends its SYN again, after one second. The server
    /// answers after `answer`, or never.
    async fn ask_late_server(answer: Option<Duration>) -> (Outcome, Duration, Plan) {
        let (listener, waiting) = full(([127, 0, 0, 1], 0).into()).await;
        let request = Request::new(
            0,
            "127.0.0.1".into(),
            NonZeroU16::new(listener.local_addr().unwrap().port()).unwrap(),
            RequestKind::Http {
                path: "/".into(),
                host: None,
                tls: Tls::Off,
            },
        );
        let plan = plan(Duration::from_millis(1300), vec![request]);
        let serve = async {
            sleep(Duration::from_millis(300)).await;
            for _ in &waiting {
                listener.accept().await.unwrap();
            }
            let (mut stream, _) = listener.accept().await.unwrap();
            let Some(answer) = answer else {
                return std::future::pending().await;
            };
            sleep(answer).await;
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
            std::future::pending().await
        };
        let context = Context::new(&plan);
        let began = Instant::now();
        let connected = Notify::new();
        let attempt = tokio::select! {
            attempt = context.attempt(&plan.targets[0], &connected) => attempt,
            () = serve => unreachable!("it never ends"),
        };
        assert!(
            attempt.connect_us.is_some_and(|us| us > 900_000),
            "{attempt:?}"
        );
        (attempt.outcome, began.elapsed(), plan)
    }

    #[tokio::test]
    async fn late_connection_leaves_time_for_the_answer() {
        let (outcome, ..) = ask_late_server(Some(Duration::from_millis(600))).await;
        assert!(matches!(outcome, Outcome::Answered { .. }), "{outcome:?}");
        let (outcome, took, plan) = ask_late_server(None).await;
        assert_eq!(
            outcome,
            Outcome::TimedOut {
                phase: Phase::Answer
            }
        );
        let longest = plan.longest_attempt();
        assert_eq!(longest, Duration::from_millis(2300));
        assert!(took < longest, "{took:?}");
    }

    #[test]
    fn addresses_share_the_time() {
        let seconds = Duration::from_secs;
        assert_eq!(turn(seconds(4), 2), seconds(2));
        assert_eq!(turn(seconds(4), 9), MIN_TURN);
        assert_eq!(turn(seconds(1), 2), seconds(1));
        assert_eq!(turn(seconds(4), 1), seconds(4));
    }
}
