//! Sends one datagram and waits for any datagram as an answer.

use crate::{
    bounds::{Bounds, micros},
    failure,
};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use svc_reach_common::wire::outcome::{Attempt, Echo, Outcome};
use tokio::{
    net::UdpSocket,
    time::{Instant, timeout_at},
};

/// Maximum number of bytes of an answer that are read.
const MAX_ANSWER: usize = 2048;

/// Sends `payload` and waits for an answer. It uses the source address `from` if that is given and free.
pub async fn ask(
    from: Option<SocketAddr>,
    remote: SocketAddr,
    payload: &[u8],
    bounds: Bounds,
    attempt: &mut Attempt,
) -> Outcome {
    let any = match remote {
        SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
    };
    let socket = match UdpSocket::bind(from.unwrap_or(any)).await {
        Err(_) if from.is_some() => UdpSocket::bind(any).await,
        bound => bound,
    };
    let socket = match socket {
        Ok(socket) => socket,
        Err(error) => return failure::opening(&error),
    };
    if let Err(error) = socket.connect(remote).await {
        return failure::connecting(&error);
    }
    attempt.local = socket.local_addr().ok();
    let began = Instant::now();
    // If a packet filter on the node drops the packet, this fails with EPERM (linux net/ipv4/ip_output.c,
    // net/netfilter/core.c).
    if let Err(error) = socket.send(payload).await {
        return failure::connecting(&error);
    }
    let mut answer = [0; MAX_ANSWER];
    match timeout_at(bounds.turn, socket.recv(&mut answer)).await {
        Err(_) => Outcome::Silent,
        // An ICMP error came back for our datagram.
        Ok(Err(error)) => failure::connecting(&error),
        Ok(Ok(length)) => {
            attempt.first_byte_us = Some(micros(began, Instant::now()));
            let echo = answer
                .get(..length)
                .and_then(|bytes| serde_json::from_slice::<Echo>(bytes).ok())
                .and_then(Echo::plausible);
            Outcome::Answered { status: None, echo }
        }
    }
}
