//! A validating webhook that replaces Pod Security admission, which Kubernetes has only since 1.22.
//!
//! A review does not contain the labels of the namespace. So the webhook's configuration selects namespaces by their
//! label `pod-security.kubernetes.io/enforce`, and calls the path of that level: `/baseline` or `/restricted`. The
//! webhook has no side effects, so the API server calls it for dry runs, too.
//! <https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/>

use std::sync::Arc;

use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::{Request, StatusCode};
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::Result;
use crate::http::{Answer, converse, json as answer_json};
use crate::pod_security::{Level, refusal};

/// Largest accepted review, in bytes. An update contains two pods, each of at most etcd's size limit.
const LARGEST_REVIEW: usize = 4 << 20;

/// Serves on `address`. Returns only if it fails.
pub async fn serve(address: &str, certificate: &str, key: &str) -> Result<()> {
    let chain =
        CertificateDer::pem_file_iter(certificate)?.collect::<std::result::Result<Vec<_>, _>>()?;
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, PrivateKeyDer::from_pem_file(key)?)?;
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind(address).await?;
    loop {
        let (stream, client) = listener.accept().await?;
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            match acceptor.accept(stream).await {
                Ok(stream) => converse(stream, Arc::new(()), |_, request| answer(request)).await,
                Err(error) => eprintln!("TLS with {client} failed: {error}"),
            }
        });
    }
}

async fn answer(request: Request<Incoming>) -> Answer {
    let level = match request.uri().path() {
        "/baseline" => Level::Baseline,
        "/restricted" => Level::Restricted,
        _ => return answer_json(StatusCode::NOT_FOUND, "{}"),
    };
    let body = match Limited::new(request.into_body(), LARGEST_REVIEW)
        .collect()
        .await
    {
        Ok(body) => body.to_bytes(),
        Err(error) => {
            return answer_json(
                StatusCode::BAD_REQUEST,
                json!({"error": error.to_string()}).to_string(),
            );
        }
    };
    match review(level, &body) {
        Ok(review) => answer_json(StatusCode::OK, review.to_string()),
        Err(error) => answer_json(
            StatusCode::BAD_REQUEST,
            json!({"error": error.to_string()}).to_string(),
        ),
    }
}

fn review(level: Level, body: &[u8]) -> Result<Value> {
    let asked: Value = serde_json::from_slice(body)?;
    let request = &asked["request"];
    let pod: Pod = serde_json::from_value(request["object"].clone())?;
    let name = pod
        .metadata
        .name
        .or(pod.metadata.generate_name)
        .unwrap_or_default();
    let why = pod
        .spec
        .and_then(|spec| refusal(level, &spec))
        .map(|why| format!("pods \"{name}\" is forbidden: {why}"));
    if let Some(why) = &why {
        eprintln!("{}: {why}", request["namespace"]);
    }
    let mut response = json!({"uid": request["uid"], "allowed": why.is_none()});
    if let Some(why) = why {
        response["status"] = json!({"code": 403, "reason": "Forbidden", "message": why});
    }
    Ok(
        json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response}),
    )
}
