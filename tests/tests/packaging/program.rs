//! What the program says about itself.

use serde_json::Value;
use std::process::{Command, Output};
use svc_reach_common::{names, wire::plan};
use svc_reach_tests::kubectl::plugin;

fn run(args: &[&str]) -> Output {
    Command::new(plugin())
        .args(args)
        .env_clear()
        .output()
        .unwrap()
}

/// The standard output of a command. Asserts that it succeeds and prints nothing on standard error.
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
fn version_shows_the_probe_image_and_the_matrices() {
    let version = json(&["version", "-o", "json"]);
    assert_eq!(version["clientVersion"], env!("CARGO_PKG_VERSION"));
    assert_eq!(version["probe"]["image"], names::IMAGE);
    assert_eq!(version["probe"]["protocolVersion"], plan::VERSION);
    // `version` lists each matrix once, with its newest edition. That is the first one in `matrix list`.
    let listed = json(&["matrix", "list", "-o", "json"]);
    let mut newest: Vec<(&Value, &Value)> = Vec::new();
    for edition in listed.as_array().unwrap() {
        if newest.iter().all(|(name, _)| *name != &edition["name"]) {
            newest.push((&edition["name"], &edition["edition"]));
        }
    }
    let shown: Vec<(&Value, &Value)> = version["matrices"]
        .as_array()
        .unwrap()
        .iter()
        .map(|matrix| (&matrix["name"], &matrix["edition"]))
        .collect();
    assert_eq!(shown, newest);
    let text = printed(&["version"]);
    for part in ["Client Version: v", names::IMAGE, "huawei-cce@"] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn images_lists_what_a_run_deploys() {
    let lines = printed(&["images"]);
    let lines: Vec<&str> = lines.lines().collect();
    // Users of closed networks mirror this list, so it must contain the image that a run deploys by default.
    let help = printed(&["--help"]);
    let words: Vec<&str> = help.split_whitespace().collect();
    let default = lines.iter().any(|image| {
        words
            .windows(2)
            .any(|pair| pair == ["[default:", &format!("{image}]")])
    });
    assert!(
        default,
        "no default image of the help is in {lines:?}: {help}"
    );
    assert_eq!(
        json(&["images", "-o", "json"])["images"],
        serde_json::json!(lines)
    );
}

#[test]
fn every_shell_has_a_completion_script() {
    for shell in ["bash", "zsh", "fish", "powershell"] {
        let script = printed(&["completion", shell]);
        assert!(script.contains("kubectl-svc_reach"), "{shell}: {script}");
    }
}

#[test]
fn usage_shows_the_kubectl_form() {
    for args in [
        &["--help"][..],
        &["explain", "--help"],
        &["matrix", "show", "--help"],
        &["--nonsense"],
        &["matrix", "show"],
        &["explain", "--nonsense"],
        &["images", "--nonsense"],
    ] {
        let output = run(args);
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        let usage: Vec<&str> = text
            .lines()
            .filter(|line| line.contains("Usage:"))
            .collect();
        assert_eq!(usage.len(), 1, "{args:?}: {text}");
        assert!(
            usage[0].starts_with("Usage: kubectl svc-reach"),
            "{args:?}: {text}"
        );
    }
}
