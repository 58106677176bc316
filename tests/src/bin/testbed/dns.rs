//! The cluster's DNS, over UDP and TCP. It is no resolver: a name that it does not know does not exist.

use std::net::Ipv4Addr;
use std::sync::{Arc, PoisonError, RwLock};

use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::{A, CNAME, SOA};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::time::sleep;

use crate::Result;
use crate::cluster::{POLL, all, client};
use crate::zone::Zone;

/// Seconds for which an answer, or the absence of one, may be remembered. Tests change Services all the time.
const TTL: u32 = 1;

/// `None` until the cluster has been read once.
type Shared = Arc<RwLock<Option<Zone>>>;

/// Answers on `address` until it is ended.
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
        match tokio::try_join!(all(&client), all(&client)) {
            Ok((services, endpoints)) => {
                let new = Zone::new(domain, elb_domain, &services, &endpoints);
                *zone.write().unwrap_or_else(PoisonError::into_inner) = Some(new);
            }
            // The last zone stays: a DNS server outlives a short loss of the API server.
            Err(error) => eprintln!("reading the cluster: {error}"),
        }
        sleep(POLL).await;
    }
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
        // RFC 1035 section 4.2.1, RFC 6891 section 6.2.3: what does not fit is asked again over TCP.
        let fits = usize::from(answer.max_payload());
        let bytes = match answer.to_vec() {
            Ok(bytes) if bytes.len() <= fits => Ok(bytes),
            Ok(_) => answer.truncate().to_vec(),
            Err(error) => Err(error),
        };
        match bytes {
            Ok(bytes) => drop(socket.send_to(&bytes, client).await),
            Err(error) => eprintln!("answer to {client}: {error}"),
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

/// RFC 1035 section 4.2.2: each message has its length in front. The client's closing ends it.
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

/// `None` for what is not a question at all.
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
    // Not true, but some resolvers take no answer from a server that does not claim it.
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
            if query.query_type() == RecordType::A {
                for address in addresses {
                    reply.add_answer(Record::from_rdata(
                        owner.clone(),
                        TTL,
                        RData::A(A::from(Ipv4Addr::from(address.octets()))),
                    ));
                }
            }
            ResponseCode::NoError
        }
        None => ResponseCode::NXDomain,
    };
    if reply.answers.is_empty() {
        // RFC 2308: how long to remember that there is nothing.
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
            {"metadata": {"name": "far", "namespace": "a"}, "spec": {"type": "ExternalName", "externalName": "example.org"}},
        ]);
        Zone::new(
            "cluster.local",
            "elb.test",
            &serde_json::from_value::<Vec<_>>(services).unwrap(),
            &[],
        )
    }

    #[test]
    fn a_name_without_such_a_record_exists_and_an_unknown_one_does_not() {
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
    fn before_the_cluster_was_read_nothing_is_denied() {
        let got = ask("web.a.svc.cluster.local.", RecordType::A, None);
        assert_eq!(
            got.metadata.response_code,
            ResponseCode::ServFail,
            "not yet known must not be NXDOMAIN"
        );
    }
}
