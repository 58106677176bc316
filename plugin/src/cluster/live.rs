//! A real API server, chosen by the user's kubeconfig.

use super::{Call, CallError, Cluster, Lines, Method, token_file::TokenFile};
use crate::{
    cluster::kubeconfig::{self, KubeconfigError},
    config::Connection,
};
use futures_util::{AsyncBufReadExt, StreamExt};
use kube::Client;
use serde_json::Value;
use std::{
    cell::Cell,
    time::{Duration, Instant},
};

/// Time limit of a call, unless the user sets another. The API server itself ends ordinary requests after 60 s
/// (kube-apiserver `--request-timeout`).
const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// Time limit for connecting to the API server.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A client of a real API server.
pub struct Live {
    client: Client,
    token: Option<TokenFile>,
    timeout: Duration,
    calls: Cell<u32>,
}

impl Live {
    /// Reads the kubeconfig, or the ServiceAccount if the plugin runs in a pod, and prepares a client. Sends nothing to
    /// the API server. Also returns the namespace to use.
    pub async fn connect(connection: &Connection) -> Result<(Self, String), KubeconfigError> {
        let mut config = kubeconfig::config(connection).await?;
        config.connect_timeout = Some(CONNECT_TIMEOUT);
        let namespace = connection
            .namespace
            .clone()
            .unwrap_or_else(|| config.default_namespace.clone());
        let token = TokenFile::of(&mut config.auth_info)?;
        let client = kubeconfig::client(config).await?;
        let timeout = connection.request_timeout.unwrap_or(CALL_TIMEOUT);
        Ok((
            Self {
                client,
                token,
                timeout,
                calls: Cell::new(0),
            },
            namespace,
        ))
    }

    /// Number of calls made so far.
    pub fn calls(&self) -> u32 {
        self.calls.get()
    }

    fn request(&self, call: &Call) -> Result<http::Request<Vec<u8>>, CallError> {
        self.calls.set(self.calls.get() + 1);
        let mut uri = call.path.clone();
        if !call.query.is_empty() {
            let query: String = form_urlencoded::Serializer::new(String::new())
                .extend_pairs(&call.query)
                .finish();
            uri.push('?');
            uri.push_str(&query);
        }
        let method = match call.method {
            Method::Get => http::Method::GET,
            Method::Post => http::Method::POST,
            Method::Delete => http::Method::DELETE,
        };
        let body = call
            .body
            .as_ref()
            .map(Value::to_string)
            .unwrap_or_default()
            .into_bytes();
        let mut request = http::Request::builder()
            .method(method)
            .uri(uri)
            .header(http::header::CONTENT_TYPE, "application/json");
        if let Some(token) = &self.token {
            let header = token
                .header()
                .map_err(|source| CallError::Transport(Box::new(source)))?;
            request = request.header(http::header::AUTHORIZATION, header);
        }
        request
            .body(body)
            .map_err(|source| CallError::Transport(Box::new(source)))
    }

    async fn bounded<T>(
        &self,
        call: &Call,
        future: impl Future<Output = kube::Result<T>>,
    ) -> Result<T, CallError> {
        let begun = Instant::now();
        let result = match tokio::time::timeout(self.timeout, future).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(kube::Error::Api(status))) => Err(CallError::Status(status)),
            Ok(Err(error)) => Err(CallError::Transport(Box::new(error))),
            Err(_) => Err(CallError::TimedOut(self.timeout)),
        };
        let elapsed_ms = begun.elapsed().as_millis();
        match &result {
            Ok(_) => tracing::debug!(%call, elapsed_ms, "answered"),
            Err(error) => tracing::debug!(%call, elapsed_ms, %error, "failed"),
        }
        result
    }
}

impl Cluster for Live {
    async fn call(&self, call: Call) -> Result<Value, CallError> {
        let request = self.request(&call)?;
        self.bounded(&call, self.client.request(request)).await
    }

    async fn lines(&self, call: Call) -> Result<Lines, CallError> {
        let request = self.request(&call)?;
        let reader = self
            .bounded(&call, self.client.request_stream(request))
            .await?;
        Ok(reader.lines().boxed_local())
    }
}
