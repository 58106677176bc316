//! UDP.

use crate::{datagram, outcomes, servers::udp};
use std::net::UdpSocket;
use svc_reach_common::wire::outcome::Outcome;

#[test]
fn datagram_outcomes() {
    let answering = udp(Some(b"anything"));
    let silent = udp(None);
    let closed = UdpSocket::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    assert_eq!(
        outcomes([
            (answering, datagram()),
            (silent, datagram()),
            (closed, datagram())
        ]),
        [
            Outcome::Answered {
                status: None,
                echo: None
            },
            Outcome::Silent,
            Outcome::Refused { errno: 111 }
        ]
    );
}
