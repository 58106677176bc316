//! Test servers, each with one kind of behaviour. Not every test program uses all of them.

#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "each test program uses some of them; helpers of tests fail as tests do"
)]

use rcgen::{CertifiedKey, generate_simple_self_signed};
use std::{
    ffi::OsString,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    ops::RangeBounds,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};
use tokio_rustls::rustls::{
    RootCertStore, ServerConfig, ServerConnection, Stream,
    crypto::ring,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    server::WebPkiClientVerifier,
};

/// The program under test: the released one if `tests/run` names it, otherwise cargo's.
pub fn probe() -> OsString {
    std::env::var_os("SVC_REACH_PROBE")
        .unwrap_or_else(|| env!("CARGO_BIN_EXE_svc-reach-probe").into())
}

/// How a server behaves.
#[derive(Debug, Clone)]
pub enum Talk {
    /// Sends a text, then waits until the client closes the connection.
    Say(String),
    /// Sends a text over TLS.
    Tls(&'static str),
    /// Starts a TLS session, and ends it with an alert if the client has no certificate.
    TlsForKnownClients,
    /// Accepts, and sends nothing.
    Nothing,
    /// Accepts, and closes the connection at once, like a proxy without a backend.
    HangUp,
    /// Accepts, and closes the connection after the client's first bytes.
    Close,
    /// Accepts, and resets the connection after the client's first bytes.
    Reset,
    /// Sends `first` once, then `then` until the client closes the connection.
    Forever {
        first: &'static str,
        then: &'static str,
    },
    /// Sends a text slowly, one byte at a time.
    Drip(&'static str),
}

/// A server on loopback.
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    requests: Arc<AtomicUsize>,
    heard: Arc<Mutex<String>>,
}

impl Server {
    /// Number of connections so far.
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    /// What the last client sent.
    pub fn heard(&self) -> String {
        self.heard.lock().unwrap().clone()
    }
}

/// Starts a server. It ends with the test's process.
pub fn listen(talk: Talk) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = Server {
        address: listener.local_addr().unwrap(),
        requests: Arc::default(),
        heard: Arc::default(),
    };
    let (requests, heard) = (Arc::clone(&server.requests), Arc::clone(&server.heard));
    let known_clients = matches!(talk, Talk::TlsForKnownClients);
    let tls = (known_clients || matches!(talk, Talk::Tls(_))).then(|| Arc::new(tls(known_clients)));
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            requests.fetch_add(1, Ordering::SeqCst);
            let (talk, heard, tls) = (talk.clone(), Arc::clone(&heard), tls.clone());
            // If a client breaks off, only this connection ends.
            thread::Builder::new()
                .stack_size(256 * 1024)
                .spawn(move || converse(stream, &talk, &heard, tls))
                .unwrap();
        }
    });
    server
}

fn converse(
    mut stream: TcpStream,
    talk: &Talk,
    heard: &Mutex<String>,
    tls: Option<Arc<ServerConfig>>,
) -> Option<()> {
    let mut request = [0; 1024];
    match talk {
        Talk::HangUp => return None,
        Talk::Nothing => {}
        Talk::Say(text) => {
            let greeting = text.starts_with("SSH");
            if greeting {
                stream.write_all(text.as_bytes()).ok()?;
            }
            let length = stream.read(&mut request).ok()?;
            *heard.lock().unwrap() = String::from_utf8_lossy(&request[..length]).into_owned();
            if !greeting {
                stream.write_all(text.as_bytes()).ok()?;
            }
        }
        Talk::Tls(text) => {
            let mut connection = ServerConnection::new(tls?).ok()?;
            let mut session = Stream::new(&mut connection, &mut stream);
            let _ = session.read(&mut request).ok()?;
            session.write_all(text.as_bytes()).ok()?;
        }
        Talk::TlsForKnownClients => {
            let mut connection = ServerConnection::new(tls?).ok()?;
            // When this fails, the alert has been sent. The rest of the client's data is read below, since unread data
            // would cause a reset that may overtake the alert.
            let _ = Stream::new(&mut connection, &mut stream).read(&mut request);
        }
        Talk::Close => {
            let _ = stream.read(&mut request).ok()?;
            return None;
        }
        // If data is unread when a connection is closed, Linux resets the connection (tcp_close).
        Talk::Reset => {
            stream.peek(&mut request).ok()?;
            return None;
        }
        Talk::Forever { first, then } => {
            let _ = stream.read(&mut request).ok()?;
            stream.write_all(first.as_bytes()).ok()?;
            loop {
                stream.write_all(then.as_bytes()).ok()?;
            }
        }
        Talk::Drip(text) => {
            let _ = stream.read(&mut request).ok()?;
            for byte in text.bytes() {
                stream.write_all(&[byte]).ok()?;
                thread::sleep(Duration::from_millis(50));
            }
        }
    }
    // Wait until the client closes the connection.
    let _ = stream.read_to_end(&mut Vec::new());
    None
}

fn tls(known_clients: bool) -> ServerConfig {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
    let provider = Arc::new(ring::default_provider());
    let config = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap();
    let config = if known_clients {
        let mut roots = RootCertStore::empty();
        roots.add(cert.der().clone()).unwrap();
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        config.with_client_cert_verifier(verifier.build().unwrap())
    } else {
        config.with_no_client_auth()
    };
    config
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap()
}

/// A server with one thread that takes so long for each request. It only answers the
/// connections with these numbers, from 0 on.
pub fn single_threaded(
    each: Duration,
    answered: impl RangeBounds<usize> + Send + 'static,
) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = Server {
        address: listener.local_addr().unwrap(),
        requests: Arc::default(),
        heard: Arc::default(),
    };
    let requests = Arc::clone(&server.requests);
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let nth = requests.fetch_add(1, Ordering::SeqCst);
            if !answered.contains(&nth) {
                continue;
            }
            let _ = stream.read(&mut [0; 1024]);
            thread::sleep(each);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        }
    });
    server
}

/// When a datagram arrived, and from where.
pub type Heard = (Instant, SocketAddr);

/// A UDP server that answers the latest datagram if `answers` says so. `answers` gets all datagrams so far, in order.
pub fn choosy_udp(answers: fn(&[Heard]) -> bool) -> (SocketAddr, Arc<Mutex<Vec<Heard>>>) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let log: Arc<Mutex<Vec<Heard>>> = Arc::default();
    let heard = Arc::clone(&log);
    thread::spawn(move || {
        let mut datagram = [0; 1024];
        while let Ok((_, client)) = socket.recv_from(&mut datagram) {
            let mut heard = heard.lock().unwrap();
            heard.push((Instant::now(), client));
            if answers(&heard) {
                let _ = socket.send_to(b"here", client);
            }
        }
    });
    (address, log)
}

/// A UDP server that gives this answer, or none.
pub fn udp(answer: Option<&'static [u8]>) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    thread::spawn(move || {
        let mut datagram = [0; 1024];
        while let Ok((_, client)) = socket.recv_from(&mut datagram) {
            if let Some(answer) = answer {
                let _ = socket.send_to(answer, client);
            }
        }
    });
    address
}
