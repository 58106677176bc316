//! One HTTP/1.1 request, as far as the head of its response. Redirects are answers; bodies are not read.

use crate::tap::Tap;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::{
    Request, Response,
    body::{Bytes, Incoming},
    client::conn::http1,
    header,
};
use hyper_util::rt::TokioIo;
use std::pin::pin;
use svc_reach_common::{
    names,
    wire::outcome::{Echo, Outcome},
};
use tokio::io::{AsyncRead, AsyncWrite};

/// Bytes of response head that are read before a server is told to have talked too much. An ordinary server sends a
/// few hundred; common proxies accept 8 to 64 KiB.
const MAX_HEAD: usize = 16 * 1024;

/// Header fields that are read.
const MAX_FIELDS: usize = 100;

/// What we call ourselves.
const USER_AGENT: &str = concat!("svc-reach-probe/", env!("CARGO_PKG_VERSION"));

/// Asks for `path` and tells what the head of the response says.
///
/// # Errors
///
/// Those of the connection and of the protocol. A request that cannot be written down is an outcome: it is not the
/// server's fault.
pub async fn get<T>(io: Tap<T>, path: &str, authority: &str) -> Result<Outcome, hyper::Error>
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    let request = match request(path, authority) {
        Ok(request) => request,
        Err(error) => {
            return Ok(Outcome::Failed {
                detail: format!("not a request: {error}"),
                errno: None,
            });
        }
    };
    exchange(io, request, async |response| {
        let status = Some(response.status().as_u16());
        Ok(Outcome::Answered {
            status,
            echo: echo(response.headers()),
        })
    })
    .await
}

/// Asks for `path` and returns the body of the response, of which no more than `limit` bytes are read.
///
/// # Errors
///
/// Those of the connection and of the protocol, in words.
pub async fn get_text<T>(
    io: Tap<T>,
    path: &str,
    authority: &str,
    limit: usize,
) -> Result<String, String>
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    let request = request(path, authority).map_err(|error| error.to_string())?;
    let text = exchange(io, request, async |response| {
        if !response.status().is_success() {
            return Ok(Err(format!("HTTP {}", response.status().as_u16())));
        }
        let body = Limited::new(response.into_body(), limit).collect().await;
        Ok(match body {
            Ok(body) => {
                String::from_utf8(body.to_bytes().to_vec()).map_err(|error| error.to_string())
            }
            Err(error) => Err(error.to_string()),
        })
    });
    text.await.unwrap_or_else(|error| Err(error.to_string()))
}

fn request(path: &str, authority: &str) -> Result<Request<Empty<Bytes>>, hyper::http::Error> {
    Request::get(path)
        .header(header::HOST, authority)
        .header(header::USER_AGENT, USER_AGENT)
        .header(header::ACCEPT, "*/*")
        .header(header::CONNECTION, "close")
        .body(Empty::new())
}

/// Sends a request and lets `read` make something of the response while the connection is kept going.
async fn exchange<T, R>(
    io: Tap<T>,
    request: Request<Empty<Bytes>>,
    read: impl AsyncFnOnce(Response<Incoming>) -> Result<R, hyper::Error>,
) -> Result<R, hyper::Error>
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_FIELDS)
        .handshake(TokioIo::new(io))
        .await?;
    let answer = async { read(sender.send_request(request).await?).await };
    let mut answer = pin!(answer);
    let mut connection = pin!(connection);
    tokio::select! {
        biased;
        answer = &mut answer => answer,
        // A connection that has ended has told the request why, unless it is the one that knows better.
        ended = &mut connection => match (ended, answer.await) {
            (_, Ok(answer)) => Ok(answer),
            (Err(error), Err(_)) | (Ok(()), Err(error)) => Err(error),
        },
    }
}

/// What our own test server tells, where it is the server.
fn echo(headers: &header::HeaderMap) -> Option<Echo> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    Echo {
        pod: text(names::HEADER_POD).map(str::to_owned),
        node: text(names::HEADER_NODE).map(str::to_owned),
        client: text(names::HEADER_CLIENT).and_then(|client| client.parse().ok()),
    }
    .plausible()
}
