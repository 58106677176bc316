//! Sends one HTTP/1.1 request and reads the head of the response. A redirect is an answer and is not followed.

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

/// Maximum size of a response head in bytes. An ordinary server sends a few hundred bytes; common proxies accept 8 to
/// 64 KiB.
const MAX_HEAD: usize = 16 * 1024;

/// Maximum number of header fields.
const MAX_FIELDS: usize = 100;

/// Maximum number of characters of a `server` header that are kept.
const MAX_SERVER: usize = 80;

/// The `User-Agent` header of requests.
const USER_AGENT: &str = concat!("svc-reach-probe/", env!("CARGO_PKG_VERSION"));

/// Requests `path`. Returns what the head of the response says, and its `server` header.
///
/// # Errors
///
/// Fails with errors of the connection and of the protocol. An invalid request is not an error but an outcome, since
/// the server is not the cause.
pub async fn get<T>(
    io: Tap<T>,
    path: &str,
    authority: &str,
) -> Result<(Outcome, Option<String>), hyper::Error>
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    let request = match request(path, authority) {
        Ok(request) => request,
        Err(error) => {
            let outcome = Outcome::Failed {
                detail: format!("not a valid request: {error}"),
                errno: None,
            };
            return Ok((outcome, None));
        }
    };
    exchange(io, request, async |response| {
        let outcome = Outcome::Answered {
            status: Some(response.status().as_u16()),
            echo: echo(response.headers()),
        };
        Ok((outcome, server(response.headers())))
    })
    .await
}

/// Requests `path` and returns the body of the response, up to `limit` bytes.
///
/// # Errors
///
/// Fails with errors of the connection and of the protocol, if the body is longer than `limit`, and if the status is
/// not a success.
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

/// Sends a request and passes the response to `read`, while the connection continues.
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
        // If the connection ended with an error, that error says more than the request's error.
        ended = &mut connection => match (ended, answer.await) {
            (_, Ok(answer)) => Ok(answer),
            (Err(error), Err(_)) | (Ok(()), Err(error)) => Err(error),
        },
    }
}

/// The `server` header, cut if it is long.
fn server(headers: &header::HeaderMap) -> Option<String> {
    let value = headers.get(header::SERVER)?;
    let text = String::from_utf8_lossy(value.as_bytes());
    Some(text.chars().take(MAX_SERVER).collect())
}

/// What our own test server reports about itself, if it is the server.
fn echo(headers: &header::HeaderMap) -> Option<Echo> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    Echo {
        pod: text(names::HEADER_POD).map(str::to_owned),
        node: text(names::HEADER_NODE).map(str::to_owned),
        client: text(names::HEADER_CLIENT).and_then(|client| client.parse().ok()),
    }
    .plausible()
}
