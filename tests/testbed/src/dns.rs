//! The cluster's DNS server, over UDP and TCP. It does not ask other servers: an unknown name does not exist.

use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};

use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, CNAME, SOA};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use k8s_openapi::api::core::v1::Endpoints;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::Client;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::time::sleep;

use crate::cluster::{POLL, all, client};
use crate::zone::{Ready, Zone};
use crate::{Failure, Result};

/// Seconds for which a client may cache an answer, or the fact that there is none. It is short because tests change
/// Services all the time.
const TTL: u32 = 1;

/// `None` until the cluster has been read once.
type Shared = Arc<RwLock<Option<Zone>>>;

/// Serves on `address`. Returns only if it fails.
pub async fn serve(address: &str, domain: &str, elb_domain: &str) -> Result<()> {
    let zone = Shared::default();
    let udp = UdpSocket::bind(address).await?;
    let tcp = TcpListener::bind(address).await?;
    tokio::select! {
        ended = follow(&zone, domain, elb_domain) => ended,
        ended = serve_udp(&udp, &zone) => ended,
        ended = serve_tcp(&tcp, &zone) => ended,
    }
}

async fn follow(zone: &Shared, domain: &str, elb_domain: &str) -> Result<()> {
    let client = client().await?;
    loop {
        match tokio::try_join!(all(&client), endpoints(&client)) {
            Ok((services, endpoints)) => {
                let new = Zone::new(domain, elb_domain, &services, &endpoints);
                *zone.write().unwrap_or_else(PoisonError::into_inner) = Some(new);
            }
            // Keep the last zone, so that DNS works while the API server is briefly unavailable.
            Err(error) => eprintln!("failed to read the cluster: {error}"),
        }
        sleep(POLL).await;
    }
}

/// The ready endpoints: from EndpointSlices, or before Kubernetes 1.21 from Endpoints.
async fn endpoints(client: &Client) -> Result<Ready> {
    match all::<EndpointSlice>(client).await {
        Ok(slices) => Ok(slices.into()),
        Err(error) if is_not_found(&error) => Ok(all::<Endpoints>(client).await?.into()),
        Err(error) => Err(error),
    }
}

fn is_not_found(error: &Failure) -> bool {
    let answer = error.downcast_ref::<kube::Error>();
    matches!(answer, Some(kube::Error::Api(status)) if status.is_not_found())
}

async fn serve_udp(socket: &UdpSocket, zone: &Shared) -> Result<()> {
    let mut buffer = [0; 4096];
    loop {
        let (length, client) = socket.recv_from(&mut buffer).await?;
        let Some(answer) = buffer
            .get(..length)
            .and_then(|question| answer(question, zone))
        else {
            continue;
        };
        // If the answer does not fit, the client asks again over TCP (RFC 1035 section 4.2.1, RFC 6891 section 6.2.3).
        let fits = usize::from(answer.max_payload());
        let bytes = match answer.to_vec() {
            Ok(bytes) if bytes.len() <= fits => Ok(bytes),
            Ok(_) => answer.truncate().to_vec(),
            Err(error) => Err(error),
        };
        match bytes {
            Ok(bytes) => drop(socket.send_to(&bytes, client).await),
            Err(error) => eprintln!("failed to encode the answer to {client}: {error}"),
        }
    }
}

async fn serve_tcp(listener: &TcpListener, zone: &Shared) -> Result<()> {
    loop {
        let (stream, client) = listener.accept().await?;
        let zone = Arc::clone(zone);
        tokio::spawn(async move {
            if let Err(error) = serve_stream(stream, &zone).await {
                eprintln!("{client}: {error}");
            }
        });
    }
}

/// Serves one TCP connection until the client closes it. Each message follows its length (RFC 1035 section 4.2.2).
async fn serve_stream(mut stream: TcpStream, zone: &Shared) -> Result<()> {
    loop {
        let length = match stream.read_u16().await {
            Ok(length) => length,
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let mut question = vec![0; usize::from(length)];
        stream.read_exact(&mut question).await?;
        let Some(answer) = answer(&question, zone) else {
            return Ok(());
        };
        let bytes = answer.to_vec()?;
        stream.write_u16(u16::try_from(bytes.len())?).await?;
        stream.write_all(&bytes).await?;
    }
}

/// Answers one message. `None`: the message is not a query.
fn answer(bytes: &[u8], zone: &Shared) -> Option<Message> {
    let question = Message::from_vec(bytes).ok()?;
    if question.metadata.message_type != MessageType::Query {
        return None;
    }
    let zone = zone.read().unwrap_or_else(PoisonError::into_inner);
    Some(reply(&question, zone.as_ref()))
}

fn reply(question: &Message, zone: Option<&Zone>) -> Message {
    let mut reply = Message::response(question.metadata.id, question.metadata.op_code);
    reply.metadata.recursion_desired = question.metadata.recursion_desired;
    // This server does not recurse, but some resolvers ignore the answers of a server that does not set this flag.
    reply.metadata.recursion_available = true;
    reply.queries.clone_from(&question.queries);
    reply.edns.clone_from(&question.edns);
    reply.metadata.response_code =
        match (question.metadata.op_code, question.queries.as_slice(), zone) {
            (OpCode::Query, [query], Some(zone)) => fill(&mut reply, query, zone),
            (OpCode::Query, [_], None) => ResponseCode::ServFail,
            (OpCode::Query, _, _) => ResponseCode::FormErr,
            _ => ResponseCode::NotImp,
        };
    reply
}

fn fill(reply: &mut Message, query: &Query, zone: &Zone) -> ResponseCode {
    reply.metadata.authoritative = true;
    let found = zone.resolve(&query.name().to_ascii());
    let mut owner = query.name().clone();
    for alias in &found.aliases {
        let Ok(target) = Name::from_ascii(format!("{alias}.")) else {
            return ResponseCode::ServFail;
        };
        reply.add_answer(Record::from_rdata(
            owner,
            TTL,
            RData::CNAME(CNAME(target.clone())),
        ));
        owner = target;
    }
    let code = match &found.addresses {
        Some(addresses) => {
            for address in addresses {
                let data = match (query.query_type(), address) {
                    (RecordType::A, IpAddr::V4(ip)) => RData::A(A::from(*ip)),
                    (RecordType::AAAA, IpAddr::V6(ip)) => RData::AAAA(AAAA::from(*ip)),
                    _ => continue,
                };
                reply.add_answer(Record::from_rdata(owner.clone(), TTL, data));
            }
            ResponseCode::NoError
        }
        None => ResponseCode::NXDomain,
    };
    if reply.answers.is_empty() {
        // The SOA says how long the client may cache that there is no answer (RFC 2308).
        let soa = SOA::new(Name::root(), Name::root(), 1, 1, 1, 1, TTL);
        reply.add_authority(Record::from_rdata(Name::root(), TTL, RData::SOA(soa)));
    }
    code
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(name: &str, kind: RecordType, zone: Option<&Zone>) -> Message {
        let mut question = Message::query();
        question.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
        reply(&question, zone)
    }

    fn zone() -> Zone {
        let services = serde_json::json!([
            {"metadata": {"name": "web", "namespace": "a"}, "spec": {"clusterIP": "10.248.0.7"}},
            {"metadata": {"name": "dual", "namespace": "a"}, "spec": {"clusterIPs": ["10.248.0.8", "fd00:60:5::8"]}},
            {"metadata": {"name": "far", "namespace": "a"}, "spec": {"type": "ExternalName", "externalName": "example.org"}},
        ]);
        Zone::new(
            "cluster.local",
            "elb.test",
            &serde_json::from_value::<Vec<_>>(services).unwrap(),
            &Ready::default(),
        )
    }

    #[test]
    fn only_unknown_names_get_nxdomain() {
        let rows = [
            (
                "web.a.svc.cluster.local.",
                RecordType::A,
                ResponseCode::NoError,
                1,
            ),
            (
                "web.a.svc.cluster.local.",
                RecordType::AAAA,
                ResponseCode::NoError,
                0,
            ),
            (
                "dual.a.svc.cluster.local.",
                RecordType::A,
                ResponseCode::NoError,
                1,
            ),
            (
                "dual.a.svc.cluster.local.",
                RecordType::AAAA,
                ResponseCode::NoError,
                1,
            ),
            (
                "none.a.svc.cluster.local.",
                RecordType::A,
                ResponseCode::NXDomain,
                0,
            ),
            ("example.org.", RecordType::A, ResponseCode::NXDomain, 0),
            (
                "far.a.svc.cluster.local.",
                RecordType::A,
                ResponseCode::NXDomain,
                1,
            ),
        ];
        for (name, kind, code, answers) in rows {
            let got = ask(name, kind, Some(&zone()));
            assert_eq!(
                (got.metadata.response_code, got.answers.len()),
                (code, answers),
                "{name} {kind}"
            );
        }
    }

    #[test]
    fn it_answers_servfail_until_the_cluster_is_read() {
        let got = ask("web.a.svc.cluster.local.", RecordType::A, None);
        assert_eq!(
            got.metadata.response_code,
            ResponseCode::ServFail,
            "a name that is not known yet must not get NXDOMAIN"
        );
    }
}
