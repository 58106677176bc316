//! A UDP socket on all addresses of a host. It answers each datagram from the address that the datagram was sent to.
//!
//! By default the kernel chooses the source address of an answer by the route to the client. On a host with several
//! addresses that may be another one, and then neither the client nor connection tracking knows the answer.

use std::{io, net::SocketAddr};
use tokio::net::UdpSocket;

#[cfg(target_os = "linux")]
use linux::PacketInfo;

/// See the module's documentation. On other systems than Linux, the system chooses the source address.
pub struct Datagrams(UdpSocket);

/// Who sent a datagram, and to which address.
pub struct Sender {
    /// The sender's address.
    pub client: SocketAddr,
    #[cfg(target_os = "linux")]
    asked: Option<PacketInfo>,
}

impl Datagrams {
    /// Listens on the first of these addresses that works. Each is the unspecified address of a family.
    pub async fn bind(any: &[SocketAddr]) -> io::Result<Self> {
        let socket = UdpSocket::bind(any).await?;
        #[cfg(target_os = "linux")]
        linux::report_addresses(&socket)?;
        Ok(Self(socket))
    }

    #[cfg(test)]
    fn port(&self) -> u16 {
        self.0.local_addr().unwrap().port()
    }
}

#[cfg(not(target_os = "linux"))]
impl Datagrams {
    pub async fn receive(&self, datagram: &mut [u8]) -> io::Result<(usize, Sender)> {
        let (length, client) = self.0.recv_from(datagram).await?;
        Ok((length, Sender { client }))
    }

    pub async fn answer(&self, sender: &Sender, body: &[u8]) -> io::Result<usize> {
        self.0.send_to(body, sender.client).await
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use super::{Datagrams, Sender};
    use nix::{
        cmsg_space,
        libc::{in_pktinfo, in6_pktinfo},
        sys::socket::{
            ControlMessage, ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, sendmsg,
            setsockopt, sockopt,
        },
    };
    use std::{
        io::{self, IoSlice, IoSliceMut},
        net::SocketAddr,
        os::fd::AsRawFd,
    };
    use tokio::{io::Interest, net::UdpSocket};

    /// The address that a datagram was sent to, as the kernel reports it and accepts it as a source. An IPv6 socket
    /// reports IPv4 addresses as mapped ones (linux `net/ipv6/datagram.c`, `ip6_datagram_recv_common_ctl`) and accepts
    /// them (`net/ipv4/ip_sockglue.c`, `ip_cmsg_send`).
    #[derive(Clone, Copy)]
    pub enum PacketInfo {
        V4(in_pktinfo),
        V6(in6_pktinfo),
    }

    /// Makes the kernel report the address that each datagram was sent to.
    pub fn report_addresses(socket: &UdpSocket) -> io::Result<()> {
        match socket.local_addr()? {
            SocketAddr::V4(_) => setsockopt(socket, sockopt::Ipv4PacketInfo, &true)?,
            SocketAddr::V6(_) => setsockopt(socket, sockopt::Ipv6RecvPacketInfo, &true)?,
        }
        Ok(())
    }

    impl Datagrams {
        /// Waits for a datagram. If it is longer than `datagram`, its rest is lost.
        pub async fn receive(&self, datagram: &mut [u8]) -> io::Result<(usize, Sender)> {
            let receive = || {
                let mut space = cmsg_space!(in6_pktinfo);
                let mut parts = [IoSliceMut::new(datagram)];
                let message = recvmsg::<SockaddrStorage>(
                    self.0.as_raw_fd(),
                    &mut parts,
                    Some(&mut space),
                    MsgFlags::empty(),
                )?;
                let client = message.address.as_ref().and_then(socket_address);
                let sender = Sender {
                    client: client.ok_or(io::ErrorKind::AddrNotAvailable)?,
                    asked: message.cmsgs()?.find_map(as_source),
                };
                Ok((message.bytes, sender))
            };
            self.0.async_io(Interest::READABLE, receive).await
        }

        /// Sends `body` back to the sender of a datagram.
        pub async fn answer(&self, sender: &Sender, body: &[u8]) -> io::Result<usize> {
            let source = match &sender.asked {
                Some(PacketInfo::V4(info)) => Some(ControlMessage::Ipv4PacketInfo(info)),
                Some(PacketInfo::V6(info)) => Some(ControlMessage::Ipv6PacketInfo(info)),
                None => None,
            };
            let send = || {
                sendmsg(
                    self.0.as_raw_fd(),
                    &[IoSlice::new(body)],
                    source.as_slice(),
                    MsgFlags::empty(),
                    Some(&SockaddrStorage::from(sender.client)),
                )
                .map_err(io::Error::from)
            };
            self.0.async_io(Interest::WRITABLE, send).await
        }
    }

    /// The address without the interface. So the answer takes the route to the client, which may be another interface.
    fn as_source(message: ControlMessageOwned) -> Option<PacketInfo> {
        if let ControlMessageOwned::Ipv4PacketInfo(info) = message {
            return Some(PacketInfo::V4(in_pktinfo {
                ipi_ifindex: 0,
                ..info
            }));
        }
        if let ControlMessageOwned::Ipv6PacketInfo(info) = message {
            return Some(PacketInfo::V6(in6_pktinfo {
                ipi6_ifindex: 0,
                ..info
            }));
        }
        None
    }

    fn socket_address(address: &SockaddrStorage) -> Option<SocketAddr> {
        let v4 = address
            .as_sockaddr_in()
            .map(|v4| SocketAddr::V4((*v4).into()));
        v4.or_else(|| {
            address
                .as_sockaddr_in6()
                .map(|v6| SocketAddr::V6((*v6).into()))
        })
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::{
        net::{Ipv4Addr, Ipv6Addr},
        time::Duration,
    };
    use tokio::time::timeout;

    /// A client that accepts answers of the address that it asked only. The kernel would answer it from 127.0.0.1.
    #[tokio::test]
    async fn ipv4_answers_come_from_the_address_that_was_asked() {
        for any in [
            SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
            SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
        ] {
            let server = Datagrams::bind(&[any]).await.unwrap();
            let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            client.connect(("127.0.0.2", server.port())).await.unwrap();
            client.send(b"hello").await.unwrap();
            let mut datagram = [0; 16];
            let (length, sender) = server.receive(&mut datagram).await.unwrap();
            assert_eq!(&datagram[..length], b"hello");
            let own = client.local_addr().unwrap();
            assert_eq!(sender.client.ip().to_canonical(), own.ip());
            assert_eq!(sender.client.port(), own.port());
            server.answer(&sender, b"answer").await.unwrap();
            let length = timeout(Duration::from_secs(5), client.recv(&mut datagram))
                .await
                .unwrap_or_else(|_| panic!("no answer from {any}"))
                .unwrap();
            assert_eq!(&datagram[..length], b"answer");
        }
    }
}
