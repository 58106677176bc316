//! HTTP/1.1 on one connection, for the servers that need it.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

/// An answer with its whole body in memory.
pub type Answer = Response<Full<Bytes>>;

/// Serves one connection until it ends. If the client goes away, this only logs it.
pub async fn converse<S, H, F, A>(stream: S, state: Arc<H>, answer: A)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    H: Send + Sync + 'static,
    F: Future<Output = Answer> + Send,
    A: Fn(Arc<H>, Request<Incoming>) -> F,
{
    let service = service_fn(|request| {
        let reply = answer(Arc::clone(&state), request);
        async { Ok::<_, Infallible>(reply.await) }
    });
    let connection =
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    if let Err(error) = connection.await {
        eprintln!("connection failed: {error}");
    }
}

/// Makes an answer of content type `application/json`.
pub fn json(status: StatusCode, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(
        header::CONTENT_TYPE,
        header::HeaderValue::from_static("application/json"),
    );
    answer
}
