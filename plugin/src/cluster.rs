//! Access to the API server, behind a trait of two methods.
//!
//! [`live::Live`] talks to a real API server. Tests use [`scripted::Scripted`], which can fail in any way.

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
    /// Body, if the request has one.
    pub body: Option<Value>,
}

/// HTTP methods that the plugin uses.
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

    /// Adds a query parameter.
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

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The API server answered with a failure.
    #[error("the API server answered {} {}: {}", .0.code, .0.reason, .0.message)]
    Status(Box<kube::core::Status>),
    /// No answer in time.
    #[error("the API server did not answer within {} s", .0.as_secs())]
    TimedOut(Duration),
    /// The API server could not be reached, or its answer could not be read.
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

    /// Whether the object, or its whole kind, does not exist (404).
    pub fn is_not_found(&self) -> bool {
        self.code() == Some(404)
    }

    /// Whether the user lacks a permission (403).
    pub fn is_forbidden(&self) -> bool {
        self.code() == Some(403)
    }

    /// Whether the API server refused the call, so that it certainly changed nothing. Four kinds of answer do not say
    /// that: 408 may come from a proxy, 429 asks for another try, 409 may mean that an earlier try succeeded, and after
    /// a 5xx the call may have been carried out in part.
    pub fn is_refusal(&self) -> bool {
        self.code()
            .is_some_and(|code| (400..500).contains(&code) && ![408, 409, 429].contains(&code))
    }

    /// Whether an object of this name already exists.
    pub fn is_already_exists(&self) -> bool {
        matches!(self, Self::Status(status) if status.is_already_exists())
    }

    /// Whether the API server did not accept the user's credentials (401).
    pub fn is_unauthorized(&self) -> bool {
        self.code() == Some(401)
    }
}

/// Lines of a watch or of a log, as they arrive.
pub type Lines = Pin<Box<dyn Stream<Item = io::Result<String>>>>;

/// The API server of a cluster.
pub trait Cluster {
    /// Makes a call and returns the object in the answer.
    async fn call(&self, call: Call) -> Result<Value, CallError>;

    /// Makes a call whose answer is a stream of lines, such as a watch or a log. The stream may stay open.
    async fn lines(&self, call: Call) -> Result<Lines, CallError>;
}
