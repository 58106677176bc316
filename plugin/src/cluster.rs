//! The cluster, as far as this program needs one: two methods.
//!
//! [`live::Live`] talks to an API server. Where a fault has to be made, [`scripted::Scripted`] stands in.

pub mod kubeconfig;
pub mod live;
pub mod names;
pub mod page;
#[cfg(test)]
pub mod scripted;
mod token_file;
pub mod yaml;

use futures_util::Stream;
use serde_json::Value;
use std::{fmt, io, pin::Pin, time::Duration};

/// One request to the API server.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// What to do.
    pub method: Method,
    /// Absolute path, without a query.
    pub path: String,
    /// Query parameters, not yet encoded.
    pub query: Vec<(&'static str, String)>,
    /// Body, for what has one.
    pub body: Option<Value>,
}

/// HTTP methods in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Reads.
    Get,
    /// Creates.
    Post,
    /// Deletes.
    Delete,
}

impl Call {
    /// Reads `path`.
    pub fn get(path: impl Into<String>) -> Self {
        Self {
            method: Method::Get,
            path: path.into(),
            query: Vec::new(),
            body: None,
        }
    }

    /// Creates `body` under `path`.
    pub fn post(path: impl Into<String>, body: Value) -> Self {
        Self {
            method: Method::Post,
            path: path.into(),
            query: Vec::new(),
            body: Some(body),
        }
    }

    /// Deletes `path`, with `body` as its options.
    pub fn delete(path: impl Into<String>, body: Value) -> Self {
        Self {
            method: Method::Delete,
            path: path.into(),
            query: Vec::new(),
            body: Some(body),
        }
    }

    /// The same with a query parameter more.
    #[must_use]
    pub fn with(mut self, key: &'static str, value: impl Into<String>) -> Self {
        self.query.push((key, value.into()));
        self
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let method = match self.method {
            Method::Get => "GET",
            Method::Post => "POST",
            Method::Delete => "DELETE",
        };
        write!(f, "{method} {}", self.path)?;
        for (index, (key, value)) in self.query.iter().enumerate() {
            write!(f, "{}{key}={value}", if index == 0 { '?' } else { '&' })?;
        }
        Ok(())
    }
}

/// Why a call came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The API server answered with a failure.
    #[error("the API server answered {} {}: {}", .0.code, .0.reason, .0.message)]
    Status(Box<kube::core::Status>),
    /// No answer in time.
    #[error("the API server did not answer within {} s", .0.as_secs())]
    TimedOut(Duration),
    /// The API server could not be asked, or its answer could not be read.
    #[error("failed to reach the API server")]
    Transport(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl CallError {
    /// HTTP status code of the API server's answer, if there was one.
    pub fn code(&self) -> Option<u16> {
        match self {
            Self::Status(status) => Some(status.code),
            Self::TimedOut(_) | Self::Transport(_) => None,
        }
    }

    /// Whether the object, or the whole kind of object, is not there.
    pub fn is_not_found(&self) -> bool {
        self.code() == Some(404)
    }

    /// Whether the user may not do this.
    pub fn is_forbidden(&self) -> bool {
        self.code() == Some(403)
    }

    /// Whether the API server answered that nothing came of the call. What a proxy says, what is to be asked again, and
    /// what may have failed half way (5xx) does not tell.
    pub fn is_refusal(&self) -> bool {
        self.code()
            .is_some_and(|code| (400..500).contains(&code) && ![408, 409, 429].contains(&code))
    }

    /// Whether an object of this name is there already.
    pub fn is_already_exists(&self) -> bool {
        matches!(self, Self::Status(status) if status.is_already_exists())
    }

    /// Whether the API server does not know who asks.
    pub fn is_unauthorized(&self) -> bool {
        self.code() == Some(401)
    }
}

/// Lines of a watch or of a log, as they come.
pub type Lines = Pin<Box<dyn Stream<Item = io::Result<String>>>>;

/// A cluster.
pub trait Cluster {
    /// Makes a call and returns the object that it answers with.
    async fn call(&self, call: Call) -> Result<Value, CallError>;

    /// Makes a call whose answer comes in lines for as long as it likes.
    async fn lines(&self, call: Call) -> Result<Lines, CallError>;
}
