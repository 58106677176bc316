//! Names that completion offers, and corrections of mistyped names.

use crate::packaging;
use std::{
    net::TcpListener,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};
use svc_reach_tests::{
    folder::Folder,
    kubectl::{plugin, plugin_folder},
    names_only::{api_server, kubeconfig},
};

/// What the release's completion helper prints for these words, without descriptions. The plugin is on its PATH.
fn completions(kubeconfig: &Path, words: &[&str]) -> Vec<String> {
    let helper = packaging("kubectl_complete-svc_reach");
    let path = std::env::join_paths([plugin_folder(), "/usr/bin".into(), "/bin".into()]).unwrap();
    let output = Command::new(helper)
        .args(words)
        .env_clear()
        .env("PATH", path)
        .env("KUBECONFIG", kubeconfig)
        .output()
        .unwrap();
    assert!(output.status.success(), "{words:?}");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{words:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .map(|line| line.split('\t').next().unwrap().to_owned())
        .collect()
}

#[test]
fn completion_suggests_names_and_values() {
    let folder = Folder::new("completion");
    let config = kubeconfig(&folder, api_server());
    for (words, expected) in [
        (&["svc/"][..], &["svc/cart", ":4"][..]),
        (
            &["-n", "web", "service/nginx-"],
            &["service/nginx-admin", ":4"],
        ),
        (
            &["explain", "--namespace=web", "n"],
            &["nginx", "nginx-admin", ":4"],
        ),
        (&["-n", ""], &["shop", "web", ":4"]),
        (&["--namespace=w"], &["web", ":4"]),
        // A name that would break the completion protocol is left out.
        (&["--context", ""], &["here", "there", "aws:eks/dev", ":4"]),
        (&["--context", "there", "--name"], &["--namespace", ":4"]),
        (&["ma"], &["matrix", ":4"]),
        (&["matrix", "s"], &["show", ":4"]),
        (
            &["matrix", "show", "-o", ""],
            &["table", "json", "yaml", "markdown", ":4"],
        ),
        (
            &["nginx", "--strict", "--proxy-mode", "ip"],
            &["iptables", "ipvs", ":4"],
        ),
        (&["explain", "-o", ""], &["table", "json", ":4"]),
        (&["nginx", "--color", "a"], &["auto", "always", ":4"]),
        (&["nginx", "--only", "node-s"], &["node-same", ":4"]),
        (
            &["nginx", "--only=pod-other,d"],
            &["pod-other,dns", "pod-other,dnat", ":4"],
        ),
        (
            &["nginx", "--fail-on", ""],
            &[
                "worse",
                "better",
                "unstable",
                "disputed",
                "undocumented",
                "client-address",
                ":4",
            ],
        ),
        (&["nginx", "--fail-on", "worse,b"], &["worse,better", ":4"]),
        (
            &["nginx", "--column", "vpc/ip"],
            &["vpc/iptables", "vpc/ipvs", ":4"],
        ),
        (
            &["nginx", "--require-unreachable", "external:node"],
            &["external:node-port", ":4"],
        ),
        // The shell completes names of files.
        (&["--kubeconfig", ""], &[":0"]),
        (&["nginx", "-o", "junit=re"], &[":0"]),
        // If names cannot be listed, there are no candidates and no error.
        (&["--kubeconfig", "/absent", "svc/"], &[":4"]),
        (&["-n", "absent", "svc/"], &[":4"]),
        (&["deploy/n"], &[":4"]),
        (&["judge", "old.json", "new.json", ""], &[":4"]),
        // A command line may name several Services.
        (&["-x", "--nonsense", "nginx", "more", ""], &["cart", ":4"]),
    ] {
        assert_eq!(completions(&config, words), expected, "{words:?}");
    }
    let all = completions(&config, &[""]);
    for one in ["explain", "cleanup", "version", "cart"] {
        assert!(all.iter().any(|line| line == one), "{one}: {all:?}");
    }
}

#[test]
fn completion_gives_up_on_a_silent_cluster() {
    let folder = Folder::new("silent");
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let config = kubeconfig(&folder, silent.local_addr().unwrap().port());
    let begun = Instant::now();
    assert_eq!(completions(&config, &["svc/"]), [":4"]);
    // Completion waits much less than a run, but long enough for a slow cluster.
    let waited = begun.elapsed();
    assert!(waited < Duration::from_secs(8), "{waited:?}");
    assert!(waited > Duration::from_secs(1), "{waited:?}");
}

#[test]
fn a_mistyped_service_gets_a_suggestion() {
    let folder = Folder::new("mistyped");
    let config = kubeconfig(&folder, api_server());
    let ask = |args: &[&str]| {
        let output = Command::new(plugin())
            .args(args)
            .env_clear()
            .env("KUBECONFIG", &config)
            .output()
            .unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    for (args, said) in [
        (&["ngnix", "-n", "web"][..], "did you mean nginx?"),
        (&["svc/ngnix.web"], "did you mean nginx?"),
        (&["explain", "nginx-admn.web"], "did you mean nginx-admin?"),
        // No name is similar, or names cannot be listed.
        (&["redis", "-n", "web"], "kubectl get services -n web"),
        (&["nginx", "-n", "absent"], "kubectl get services -n absent"),
    ] {
        let (code, error) = ask(args);
        assert_eq!(code, Some(4), "{args:?}: {error}");
        assert!(error.contains(said), "{args:?}: {error}");
        assert!(error.contains("failed to get Service"), "{args:?}: {error}");
    }
    let (code, error) = ask(&["nginx.web", "-n", "shop"]);
    assert_eq!(code, Some(2), "{error}");
}
