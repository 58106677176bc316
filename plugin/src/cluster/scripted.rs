//! A stand-in for an API server, for faults that a real one cannot be made to have when a test wants them.

use super::{Call, CallError, Cluster, Lines, Method};
use futures_util::{StreamExt, stream};
use kube::core::Status;
use serde_json::Value;
use std::{cell::RefCell, collections::VecDeque, io, time::Duration};
use tokio::time::sleep;

/// What a scripted API server answers.
pub enum Reply {
    /// An object.
    Object(Value),
    /// A failure with an HTTP status code.
    Failure(u16),
    /// The same, with a message.
    Refusal(u16, &'static str),
    /// Nothing, until the call is given up.
    Silence,
    /// Lines, and then the end of the stream.
    Lines(Vec<String>),
    /// Lines, and then nothing more, on a stream that stays open.
    Open(Vec<String>),
}

/// Answers a call, as `METHOD path`, by how often the same was asked before.
type Script = dyn Fn(&str, usize) -> Reply;

/// Answers as it is told, a call at a time, and remembers what it was asked.
pub struct Scripted {
    script: Box<Script>,
    asked: RefCell<Vec<String>>,
}

impl Scripted {
    /// An API server that answers by `script`.
    pub fn new(script: impl Fn(&str, usize) -> Reply + 'static) -> Self {
        Self {
            script: Box::new(script),
            asked: RefCell::default(),
        }
    }

    /// Calls that were made, as `METHOD path`, in their order.
    pub fn asked(&self) -> Vec<String> {
        self.asked.borrow().clone()
    }

    fn reply(&self, call: &Call) -> Reply {
        let method = match call.method {
            Method::Get if call.query.iter().any(|(key, _)| *key == "watch") => "WATCH",
            Method::Get => "GET",
            Method::Post if call.query.iter().any(|(key, _)| *key == "dryRun") => "DRY-RUN",
            Method::Post => "POST",
            Method::Delete => "DELETE",
        };
        let text = format!("{method} {}", call.path);
        let before = self
            .asked
            .borrow()
            .iter()
            .filter(|asked| **asked == text)
            .count();
        self.asked.borrow_mut().push(text.clone());
        (self.script)(&text, before)
    }
}

fn failure(call: &Call, code: u16, message: &str) -> CallError {
    let reason = match (code, call.method) {
        (403, _) => "Forbidden",
        (404, _) => "NotFound",
        (409, Method::Post) => "AlreadyExists",
        (409, _) => "Conflict",
        _ => "InternalError",
    };
    CallError::Status(Status::failure(message, reason).with_code(code).boxed())
}

/// After which a call is given up, as [`super::live::Live`] does.
const SILENCE: Duration = Duration::from_secs(30);

async fn silence() -> CallError {
    sleep(SILENCE).await;
    CallError::TimedOut(SILENCE)
}

impl Cluster for Scripted {
    async fn call(&self, call: Call) -> Result<Value, CallError> {
        match self.reply(&call) {
            Reply::Object(value) => Ok(value),
            Reply::Failure(code) => Err(failure(&call, code, "scripted")),
            Reply::Refusal(code, message) => Err(failure(&call, code, message)),
            Reply::Silence => Err(silence().await),
            Reply::Lines(_) | Reply::Open(_) => panic!("{call} is not answered in lines"),
        }
    }

    async fn lines(&self, call: Call) -> Result<Lines, CallError> {
        let lines = |lines: Vec<String>| {
            stream::iter(VecDeque::from(lines).into_iter().map(io::Result::Ok))
        };
        match self.reply(&call) {
            Reply::Lines(text) => Ok(lines(text).boxed_local()),
            Reply::Open(text) => Ok(lines(text).chain(stream::pending()).boxed_local()),
            Reply::Failure(code) => Err(failure(&call, code, "scripted")),
            Reply::Refusal(code, message) => Err(failure(&call, code, message)),
            Reply::Silence => Err(silence().await),
            Reply::Object(_) => panic!("{call} is answered in lines"),
        }
    }
}
