//! A fake API server, which records what the plugin sends.

use crate::ended;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    process::Output,
    sync::{Arc, Mutex},
    thread,
};

type Headers = BTreeMap<String, Vec<String>>;

/// A fake API server. It records the headers of the last request and answers every request with 404.
pub struct Listener {
    pub port: u16,
    last: Arc<Mutex<Option<Headers>>>,
}

impl Listener {
    pub fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let last: Arc<Mutex<Option<Headers>>> = Arc::default();
        let heard = Arc::clone(&last);
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let lines = BufReader::new(stream.try_clone().unwrap()).lines();
                let mut headers = Headers::new();
                for line in lines.skip(1).map_while(Result::ok) {
                    let Some((name, value)) = line.split_once(": ") else {
                        break;
                    };
                    let values = headers.entry(name.to_lowercase()).or_default();
                    values.push(value.to_owned());
                }
                *heard.lock().unwrap() = Some(headers);
                let body = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure",
                    "reason": "NotFound", "code": 404, "message": "only listening"})
                .to_string();
                let _ = write!(
                    stream,
                    "HTTP/1.1 404 Not Found\r\ncontent-type: application/json\r\n\
                     connection: close\r\ncontent-length: {}\r\n\r\n{body}",
                    body.len()
                );
            }
        });
        Self { port, last }
    }

    pub fn cluster(&self) -> Value {
        json!({"server": format!("http://127.0.0.1:{}", self.port)})
    }

    /// Takes the headers of the last request. `None`: there was no request since the last call.
    pub fn headers(&self) -> Option<Headers> {
        self.last.lock().unwrap().take()
    }
}

#[expect(
    clippy::panic,
    reason = "a test fails if the expected request does not come"
)]
pub fn unasked(user: &Value, args: &[&str], output: &Output) -> Headers {
    panic!("{user} {args:?}: there was no request: {}", ended(output).1)
}
