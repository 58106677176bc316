//! A test server that reports its name and the client's address.

use crate::datagrams::Datagrams;
use http_body_util::Full;
use hyper::{Request, Response, body::Bytes, header, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::{
    convert::Infallible,
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    rc::Rc,
    sync::Arc,
    time::Duration,
};
use svc_reach_common::{names, wire::outcome::Echo};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::{JoinSet, spawn_local},
};

/// Maximum number of connections at the same time on one port.
const CONNECTIONS: usize = 1024;

/// Timeout for the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// Maximum size of a request's head in bytes. This is hyper's minimum, and the least that common proxies accept.
const MAX_HEAD: usize = 8 * 1024;

/// Maximum size of a datagram in bytes.
const DATAGRAM: usize = 2048;

/// What a server reports about itself.
#[derive(Debug, Clone, Default)]
pub struct Identity {
    /// Its pod.
    pub pod: Option<String>,
    /// The node of that pod.
    pub node: Option<String>,
}

/// Serves HTTP on some ports and datagrams on others, until an error.
///
/// # Errors
///
/// Fails if it cannot listen on a port.
pub async fn serve(identity: Identity, tcp: &[u16], udp: &[u16]) -> io::Result<()> {
    let identity = Rc::new(identity);
    let mut servers = JoinSet::new();
    for port in tcp {
        let listener = TcpListener::bind(&any(*port)[..])
            .await
            .map_err(|error| on(*port, &error))?;
        servers.spawn_local(accept(listener, Rc::clone(&identity)));
    }
    for port in udp {
        let socket = Datagrams::bind(&any(*port)[..])
            .await
            .map_err(|error| on(*port, &error))?;
        servers.spawn_local(answer_datagrams(socket, Rc::clone(&identity)));
    }
    while servers.join_next().await.is_some() {}
    Ok(())
}

/// All IPv6 addresses, or all IPv4 addresses if the node has no IPv6. By default on Linux, an IPv6 socket also accepts
/// IPv4 (`bindv6only`).
fn any(port: u16) -> [SocketAddr; 2] {
    [
        SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)),
        SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)),
    ]
}

fn on(port: u16, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("port {port}: {error}"))
}

async fn accept(listener: TcpListener, identity: Rc<Identity>) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, client)) => {
                let identity = Rc::clone(&identity);
                spawn_local(async move {
                    answer(stream, client, &identity).await;
                    drop(slot);
                });
            }
            // No file descriptor is left, or the client has gone. Both are temporary.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

async fn answer(stream: TcpStream, client: SocketAddr, identity: &Identity) {
    let echo = echo(identity, client);
    let service = service_fn(|_: Request<hyper::body::Incoming>| {
        let response = response(&echo);
        async { Ok::<_, Infallible>(response) }
    });
    // The server does not care if a client breaks the connection.
    let _ = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

fn response(echo: &Echo) -> Response<Full<Bytes>> {
    let body = serde_json::to_vec(echo).unwrap_or_default();
    let mut response = Response::new(Full::new(Bytes::from(body)));
    let client = echo.client.map(|client| client.to_string());
    let fields = [
        ("content-type", Some("application/json")),
        (names::HEADER_POD, echo.pod.as_deref()),
        (names::HEADER_NODE, echo.node.as_deref()),
        (names::HEADER_CLIENT, client.as_deref()),
    ];
    for (name, value) in fields {
        if let Some(Ok(value)) = value.map(header::HeaderValue::from_str) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

async fn answer_datagrams(socket: Datagrams, identity: Rc<Identity>) {
    let mut datagram = [0; DATAGRAM];
    loop {
        // An error here belongs to an earlier datagram, to a client that has gone.
        // Empty datagrams get no answer, for tests of silent servers.
        if let Ok((1.., sender)) = socket.receive(&mut datagram).await {
            let body = serde_json::to_vec(&echo(&identity, sender.client)).unwrap_or_default();
            let _ = socket.answer(&sender, &body).await;
        }
    }
}

fn echo(identity: &Identity, client: SocketAddr) -> Echo {
    Echo {
        pod: identity.pod.clone(),
        node: identity.node.clone(),
        client: Some(client.ip().to_canonical()),
    }
}
