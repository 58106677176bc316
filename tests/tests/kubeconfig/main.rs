//! Kubeconfigs and connection flags work as in kubectl: if kubectl reaches an API server, so does the plugin.
//!
//! Most tests use a fake API server that records what the plugin sends. The others check that a real API server accepts
//! it.

#![expect(clippy::unwrap_used, reason = "a helper that fails must fail its test")]

mod certificates;
mod credentials;
mod files;
mod flags;
mod listener;
mod proxies;
mod signals;
mod test_cluster;

use serde_json::{Value, json};
use std::{
    path::PathBuf,
    process::{Command, Output, Stdio},
};
use svc_reach_tests::{folder::Folder, kubectl::plugin_folder};

/// Writes a kubeconfig with one context to a file in the folder.
fn in_folder(folder: &Folder, cluster: &Value, user: &Value) -> PathBuf {
    folder.file("config", &kubeconfig(cluster, user).to_string())
}

fn kubeconfig(cluster: &Value, user: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "here",
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "u", "user": user}],
        "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
    })
}

/// Runs `explain web` with only these environment variables. It sends requests to the API server and creates nothing.
fn explain(env: &[(&str, &str)], args: &[&str]) -> Output {
    let plugin = plugin_folder().join("kubectl-svc_reach");
    assert!(
        plugin.exists(),
        "{} is not built: cargo build -p svc-reach",
        plugin.display()
    );
    Command::new(plugin)
        .args(["explain", "web"])
        .args(args)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .envs(env.iter().copied())
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// The exit code and standard error of a program.
fn ended(output: &Output) -> (i32, String) {
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code().unwrap(), error)
}

const V1: &str = "client.authentication.k8s.io/v1";
