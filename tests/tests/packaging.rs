//! What a user installs, and what the program tells of itself.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use serde_json::Value;
use std::{
    path::PathBuf,
    process::{Command, Output},
};
use svc_reach_common::{names, plan};
use svc_reach_tests::kubectl::plugin_folder;

/// The plugin under test.
fn plugin() -> PathBuf {
    let plugin = plugin_folder().join("kubectl-svc_reach");
    assert!(
        plugin.exists(),
        "{} is not built: cargo build -p svc-reach",
        plugin.display()
    );
    plugin
}

fn run(args: &[&str]) -> Output {
    Command::new(plugin())
        .args(args)
        .env_clear()
        .output()
        .unwrap()
}

/// What a command prints that succeeds and has nothing to say on standard error.
fn printed(args: &[&str]) -> String {
    let output = run(args);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {error}");
    assert_eq!(error, "", "{args:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn json(args: &[&str]) -> Value {
    serde_json::from_str(&printed(args)).unwrap()
}

#[test]
fn version_tells_what_is_deployed_and_which_documents_count() {
    let version = json(&["version", "-o", "json"]);
    assert_eq!(version["clientVersion"], env!("CARGO_PKG_VERSION"));
    assert_eq!(version["probe"]["image"], names::IMAGE);
    assert_eq!(version["probe"]["protocolVersion"], plan::VERSION);
    // The newest edition of a matrix is the one that matrix list has first, and each matrix is there once.
    let listed = json(&["matrix", "list", "-o", "json"]);
    let mut newest: Vec<(&Value, &Value)> = Vec::new();
    for edition in listed.as_array().unwrap() {
        if newest.iter().all(|(name, _)| *name != &edition["name"]) {
            newest.push((&edition["name"], &edition["edition"]));
        }
    }
    let told: Vec<(&Value, &Value)> = version["matrices"]
        .as_array()
        .unwrap()
        .iter()
        .map(|matrix| (&matrix["name"], &matrix["edition"]))
        .collect();
    assert_eq!(told, newest);
    let text = printed(&["version"]);
    for part in ["Client Version: v", names::IMAGE, "huawei-cce@"] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn images_are_what_a_run_would_deploy_one_per_line() {
    let lines = printed(&["images"]);
    let lines: Vec<&str> = lines.lines().collect();
    // What a run deploys by default must be in the list that a closed network mirrors.
    let help = printed(&["--help"]);
    let words: Vec<&str> = help.split_whitespace().collect();
    let default = lines.iter().any(|image| {
        words
            .windows(2)
            .any(|pair| pair == ["[default:", &format!("{image}]")])
    });
    assert!(default, "{lines:?} against {help}");
    assert_eq!(
        json(&["images", "-o", "json"])["images"],
        serde_json::json!(lines)
    );
}
