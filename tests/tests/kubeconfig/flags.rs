//! Flags that kubectl's users expect.

use crate::{ended, explain, in_folder, listener::Listener};
use serde_json::json;
use std::{
    path::{Path, PathBuf},
    process::Command,
};
use svc_reach_tests::{
    folder::Folder,
    kubectl::{self, plugin_folder},
};

#[test]
fn verbosity_flags_work_as_in_kubectl() {
    let folder = Folder::new("logs");
    let api = Listener::new();
    let config = in_folder(&folder, &api.cluster(), &json!({"token": "very-secret"}));
    let config = config.to_str().unwrap();
    for (args, env, requests, everything) in [
        (&[][..], "", false, false),
        (&["-v=0"], "", false, false),
        (&["-v"], "", true, false),
        (&["-v=6"], "", true, false),
        (&["--v=6"], "", true, false),
        (&["-vv"], "", true, true),
        (&["-v=9"], "", true, true),
        (&[], "svc_reach=debug", true, false),
    ] {
        let output = explain(&[("KUBECONFIG", config), ("RUST_LOG", env)], args);
        let (_, error) = ended(&output);
        assert_eq!(
            error.contains("GET /api/v1/"),
            requests,
            "{args:?} {env}: {error}"
        );
        assert_eq!(
            error.contains("TRACE"),
            everything,
            "{args:?} {env}: {error}"
        );
        assert!(!error.contains("very-secret"), "{args:?}: {error}");
        assert!(output.stdout.is_empty(), "logs go to standard error");
    }
    let (code, error) = ended(&explain(&[("KUBECONFIG", config)], &["-v=loud"]));
    assert_eq!(code, 2, "{error}");
}

#[test]
#[ignore = "needs a cluster: tests/run brings one up"]
fn every_connection_flag_of_kubectl_is_accepted() {
    // Flags of kubectl that do not affect the connection, or that have no meaning for the plugin.
    const ELSE: [&str; 20] = [
        "add-dir-header",
        "alsologtostderr",
        "cache-dir",
        "log-backtrace-at",
        "log-dir",
        "log-file",
        "log-file-max-size",
        "log-flush-frequency",
        "logtostderr",
        "match-server-version",
        "one-output",
        "profile",
        "profile-output",
        "skip-headers",
        "skip-log-headers",
        "stderrthreshold",
        "vmodule",
        "warnings-as-errors",
        "kuberc",
        "help",
    ];
    let plugin = plugin_folder().join("kubectl-svc_reach");
    let mut programs = vec![Path::new(&kubectl::program()).to_owned()];
    programs.extend(std::env::var_os("SVC_REACH_NEW_KUBECTL").map(PathBuf::from));
    for program in programs {
        let output = Command::new(&program).arg("options").output().unwrap();
        let options = String::from_utf8(output.stdout).unwrap();
        let flags: Vec<&str> = options
            .lines()
            .filter_map(|line| line.split_once("--")?.1.split('=').next())
            .filter(|flag| flag.chars().all(|c| c.is_ascii_lowercase() || c == '-'))
            .collect();
        assert!(flags.len() > 15, "{}: {options}", program.display());
        for flag in flags.into_iter().filter(|flag| !ELSE.contains(flag)) {
            // The plugin may reject the value of a flag. It must not say that the flag is unknown.
            let output = Command::new(&plugin)
                .args(["version", &format!("--{flag}=6")])
                .env_clear()
                .output()
                .unwrap();
            let (_, error) = ended(&output);
            assert!(!error.contains("unexpected argument"), "--{flag}: {error}");
        }
    }
}
