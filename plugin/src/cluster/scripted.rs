//! A fake API server, for tests of faults that a real one cannot produce on demand.

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
    /// A failure with an HTTP status code and a message.
    Refusal(u16, &'static str),
    /// No answer until the call times out.
    Silence,
    /// Lines, and then the end of the stream.
    Lines(Vec<String>),
    /// Lines, and then nothing more, on a stream that stays open.
    Open(Vec<String>),
}

/// Gives the reply to a call. It gets the call as `METHOD path`, and how often the same call was made before.
type Script = dyn Fn(&str, usize) -> Reply;

/// A fake API server. It replies as its script says, and records the calls.
pub struct Scripted {
    script: Box<Script>,
    asked: RefCell<Vec<String>>,
}

impl Scripted {
    /// A fake API server with this script.
    pub fn new(script: impl Fn(&str, usize) -> Reply + 'static) -> Self {
        Self {
            script: Box::new(script),
            asked: RefCell::default(),
        }
    }

    /// The calls so far, as `METHOD path`, in order.
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

/// Time limit of a call, as in [`super::live::Live`].
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
