//! An API server that can only list names, for tests of completion and suggestions.

#![expect(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "a helper that fails must fail its test"
)]

use serde_json::Value;
use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    path::{Path, PathBuf},
    thread,
};

/// A kubeconfig for an API server on this machine. It has further contexts that are not in use, one of them with a name
/// that cannot be completed.
#[must_use]
pub fn kubeconfig(folder: &Path, port: u16) -> PathBuf {
    let path = folder.join("kubeconfig");
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: here\n\
         clusters: [{{name: c, cluster: {{server: \"http://127.0.0.1:{port}\"}}}}]\n\
         users: [{{name: u, user: {{}}}}]\n\
         contexts: [{{name: here, context: {{cluster: c, user: u, namespace: shop}}}},\
         {{name: there, context: {{cluster: c, user: u}}}},\
         {{name: \"aws:eks/dev\", context: {{cluster: c, user: u}}}},\
         {{name: \"a\\n:1\", context: {{cluster: c, user: u}}}}]\n"
    );
    fs::write(&path, text).unwrap();
    path
}

/// An API server with three lists of names. One entry is not a valid name. Every other request gets 404.
#[must_use]
pub fn api_server() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let request = lines.next().unwrap_or(Ok(String::new())).unwrap();
            while lines
                .next()
                .is_some_and(|line| line.is_ok_and(|line| !line.is_empty()))
            {}
            let path = request.split([' ', '?']).nth(1).unwrap_or_default();
            let names: Option<&[&str]> = match path {
                "/api/v1/namespaces" => Some(&["shop", "web"]),
                "/api/v1/namespaces/shop/services" => Some(&["cart", "\u{1b}[31mred"]),
                "/api/v1/namespaces/web/services" => Some(&["nginx", "nginx-admin"]),
                _ => None,
            };
            let (status, body) = match names {
                Some(names) => {
                    let item = |name: &&str| serde_json::json!({"metadata": {"name": name}});
                    let items: Vec<Value> = names.iter().map(item).collect();
                    (
                        "200 OK",
                        serde_json::json!({"kind": "List", "items": items}),
                    )
                }
                None => (
                    "404 Not Found",
                    serde_json::json!({"kind": "Status", "apiVersion": "v1", "status": "Failure",
                        "reason": "NotFound", "code": 404, "message": "not found"}),
                ),
            };
            let body = body.to_string();
            let head = format!(
                "HTTP/1.1 {status}\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}",
                body.len()
            );
            // A client that was stopped no longer reads the answer.
            let _ = write!(stream, "{head}\r\n\r\n{body}");
        }
    });
    port
}
