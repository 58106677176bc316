//! The command line without a cluster: mistakes, missing files, API servers that do not answer, and what works offline.

#![expect(clippy::unwrap_used, reason = "a helper that fails must fail its test")]

use serde_json::Value;
use std::{
    io::Read,
    net::TcpListener,
    path::PathBuf,
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};
use svc_reach_tests::folder::Folder;
use svc_reach_tests::kubectl::plugin;

fn run(args: &[&str]) -> Output {
    Command::new(plugin())
        .args(args)
        .env_clear()
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Writes a kubeconfig for an API server on this machine to a file in the folder.
fn kubeconfig(folder: &Folder, port: u16) -> PathBuf {
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\n\
         clusters: [{{name: c, cluster: {{server: \"http://127.0.0.1:{port}\"}}}}]\n\
         users: [{{name: u, user: {{}}}}]\n\
         contexts: [{{name: c, context: {{cluster: c, user: u}}}}]\n"
    );
    folder.file("kubeconfig", &text)
}

#[test]
fn a_wrong_command_line_exits_with_2_and_says_why() {
    for (args, says) in [
        (vec![], "required arguments were not provided"),
        (
            vec!["nginx", "--nonsense"],
            "unexpected argument '--nonsense'",
        ),
        (vec!["deploy/nginx"], "only Services can be checked"),
        (vec!["Nginx"], "not a valid Service name"),
        (
            vec!["nginx", "-o", "xml"],
            "expected one of: table, wide, json",
        ),
        (
            vec!["nginx", "-o", "table", "-o", "json"],
            "only one -o may omit =FILE",
        ),
        (
            vec!["nginx", "-o", "json=r.json", "--output-file", "r"],
            "--output-file needs an -o without =FILE",
        ),
        (
            vec!["nginx", "-o", "json=/nonexistent/r.json"],
            "failed to open /nonexistent/r.json for writing",
        ),
        (
            vec!["nginx", "--output-file", "/"],
            "failed to open / for writing: is a directory",
        ),
        (vec!["nginx", "--attempts", "0"], "must be at least 1"),
        (vec!["nginx", "--attempts", "many"], "invalid value 'many'"),
        (
            vec!["nginx", "--timeout", "soon"],
            "not a duration such as 500ms, 10s or 1m",
        ),
        (vec!["nginx", "--path", "index"], "must begin with /"),
        (vec!["nginx", "--path", "/a b"], "must not contain spaces"),
        (
            vec!["nginx", "--image-pull-policy", "Sometimes"],
            "expected one of: Always, IfNotPresent, Never",
        ),
        (
            vec!["nginx", "--toleration", "a:b"],
            "NoSchedule, PreferNoSchedule or NoExecute",
        ),
        (
            vec!["nginx", "--node-selector", "pool"],
            "must have the form KEY=VALUE",
        ),
        (
            vec!["nginx", "--probe-label", "app"],
            "must have the form KEY=VALUE",
        ),
        (
            vec!["nginx", "--probe-label", "svc-reach/run=x"],
            "the plugin sets this label itself",
        ),
        (vec!["svc/"], "not a valid Service name"),
        (
            vec!["nginx", "--probe", "icmp"],
            "expected one of: auto, http, https, tcp",
        ),
        (
            vec!["nginx", "--external", "yes"],
            "expected one of: auto, never",
        ),
        (vec!["nginx", "--timeout", "0"], "must be at least 1ms"),
        (
            vec!["nginx", "--probe-timeout", "0s"],
            "must be greater than zero",
        ),
        (
            vec!["nginx", "--probe-timeout=-5s"],
            "not a duration such as 500ms, 10s or 1m",
        ),
        (
            vec!["nginx", "--request-timeout", "soon"],
            "not a duration such as 500ms, 10s or 1m",
        ),
        (vec!["nginx", "--toleration", "=v"], "the taint has no key"),
        (vec!["cleanup", "nginx"], "unexpected argument 'nginx'"),
        (
            vec!["nginx", "--kubeconfig", "/nonexistent/config"],
            "/nonexistent/config",
        ),
    ] {
        let output = run(&args);
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {stderr}");
        assert!(stderr.contains(says), "{args:?}: {stderr}");
        assert_eq!(
            text(&output.stdout),
            "",
            "{args:?}: standard output is only for data"
        );
    }
}

#[test]
fn an_unknown_context_exits_with_2() {
    let folder = Folder::new("context");
    let config = kubeconfig(&folder, 1);
    let output = run(&[
        "nginx",
        "--kubeconfig",
        config.to_str().unwrap(),
        "--context",
        "elsewhere",
    ]);
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("elsewhere"), "{stderr}");
}

#[test]
fn an_unreadable_kubeconfig_is_named() {
    let folder = Folder::new("broken");
    let config = kubeconfig(&folder, 1);
    std::fs::write(&config, "clusters: {").unwrap();
    let output = run(&["nginx", "--kubeconfig", config.to_str().unwrap()]);
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(
        stderr.contains(config.to_str().unwrap()),
        "the file is not named: {stderr}"
    );
}

#[test]
fn an_absent_api_server_exits_with_4_and_a_hint() {
    // This port was free a moment ago, so nothing listens on it.
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let folder = Folder::new("absent");
    let config = kubeconfig(&folder, port);
    let output = run(&["nginx", "--kubeconfig", config.to_str().unwrap()]);
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{stderr}");
    assert!(
        stderr.contains("failed to get Service default/nginx"),
        "{stderr}"
    );
    assert!(
        stderr.contains("Connection refused"),
        "the cause is missing: {stderr}"
    );
    assert!(stderr.contains("kubectl version"), "{stderr}");
}

#[test]
fn a_silent_api_server_exits_with_4_in_time() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let folder = Folder::new("silent");
    let config = kubeconfig(&folder, listener.local_addr().unwrap().port());
    std::thread::spawn(move || {
        // Keep connections open and unanswered until the plugin closes them.
        for connection in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut connection = connection;
                let _ = connection.read_to_end(&mut Vec::new());
            });
        }
    });
    let output = run(&[
        "nginx",
        "--kubeconfig",
        config.to_str().unwrap(),
        "--request-timeout",
        "1s",
    ]);
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{stderr}");
    assert!(
        stderr.contains("the API server did not answer within 1 s"),
        "{stderr}"
    );
}

#[test]
fn a_signal_ends_a_run_that_has_created_nothing() {
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let folder = Folder::new(signal);
        let config = kubeconfig(&folder, silent.local_addr().unwrap().port());
        let child = Command::new(plugin())
            .args(["nginx", "--kubeconfig", config.to_str().unwrap()])
            .env_clear()
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // The run has started when it connects. It would wait half a minute for the answer.
        let asking = silent.accept().unwrap();
        let began = Instant::now();
        let sent = Command::new("kill")
            .args([&format!("-{signal}"), &child.id().to_string()])
            .status()
            .unwrap();
        assert!(sent.success(), "kill -{signal}");
        let output = child.wait_with_output().unwrap();
        drop(asking);
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "SIG{signal}: {stderr}");
        assert_eq!(
            text(&output.stdout),
            "",
            "SIG{signal}: no report may be printed"
        );
        assert!(
            began.elapsed() < Duration::from_secs(10),
            "SIG{signal}: there is nothing to clean up: {stderr}"
        );
    }
}

#[test]
fn help_lists_exit_codes_and_the_kubectl_usage() {
    let output = run(&["--help"]);
    let help = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0));
    assert!(help.contains("Usage: kubectl svc-reach"), "{help}");
    for code in ["  0 ", "  1 ", "  2 ", "  3 ", "  4 ", "  130 ", "143"] {
        assert!(help.contains(code), "{code:?}: {help}");
    }
    for flag in [
        "--output",
        "--output-file",
        "--color",
        "--image",
        "--image-pull-policy",
        "--image-pull-secret",
        "--probe-namespace",
        "--node-selector",
        "--probe-label",
        "--toleration",
        "--priority-class",
        "--probe-timeout",
        "--namespace",
        "--context",
        "--kubeconfig",
        "--as",
    ] {
        assert!(help.contains(flag), "{flag}: {help}");
    }
    assert_eq!(
        text(&run(&["--version"]).stdout),
        format!("svc-reach {}\n", env!("CARGO_PKG_VERSION"))
    );
}

fn stdout(args: &[&str]) -> String {
    let output = run(args);
    assert_eq!(
        output.status.code(),
        Some(0),
        "{args:?}: {}",
        text(&output.stderr)
    );
    text(&output.stdout)
}

#[test]
fn matrices_are_read_without_a_cluster() {
    let list: Value = serde_json::from_str(&stdout(&["matrix", "list", "-o", "json"])).unwrap();
    let editions = list.as_array().unwrap();
    let docs = [
        "000_e154fa8d9004b8e6",
        "001_502f9bba88be26d9",
        "002_fb5a9ec3cf9d7c29",
        "003_406e01f826ad155b",
        "004_775ad724de395237",
    ];
    for edition in docs {
        let entry = editions.iter().find(|entry| entry["edition"] == edition);
        assert!(
            entry.is_some_and(|entry| entry["cells"].as_u64().unwrap() > 100),
            "{edition}: {entry:?}"
        );
        let reference = format!("huawei-cce@{edition}");
        let shown: Value =
            serde_json::from_str(&stdout(&["matrix", "show", &reference, "-o", "json"])).unwrap();
        assert_eq!(shown["edition"], edition);
        let keys: Vec<&String> = shown["cells"][0].as_object().unwrap().keys().collect();
        let expected = [
            "service",
            "class",
            "access",
            "position",
            "column",
            "target",
            "externalTrafficPolicy",
            "passThrough",
            "flavour",
            "value",
            "basis",
            "pointer",
        ];
        assert!(
            expected
                .iter()
                .all(|key| keys.iter().any(|known| known == key)),
            "{keys:?}"
        );
    }
    // An edition by its alias, and the other formats.
    let table = stdout(&["matrix", "show", "huawei-cce@2024-01-en"]);
    for part in [
        "000_e154fa8d9004b8e6 (2024-01-en), 2024-01-04, en",
        "│ NodePort                 │ public, private │ pod-same   │ node-port/other   │ ✓           │ ✗        │ ✗               │ ✗            │",
        "externalTrafficPolicy Local, with pass-through",
        "use the cluster IP",
    ] {
        assert!(table.contains(part), "{part:?} in\n{table}");
    }
    let markdown = stdout(&["matrix", "show", "kubernetes", "-o", "markdown"]);
    assert!(
        markdown.starts_with("# kubernetes") && markdown.contains("\n|---"),
        "{markdown}"
    );
    let yaml = stdout(&["matrix", "show", "kubernetes", "-o", "yaml"]);
    assert!(
        yaml.starts_with("name: kubernetes\nprovider: upstream\n"),
        "{yaml}"
    );
}

#[test]
fn matrix_diff_shows_contradictions_first() {
    let (from, to) = ("huawei-cce@2024-01-en", "huawei-cce@2024-01-zh");
    let table = stdout(&["matrix", "diff", from, to]);
    let first = table.lines().nth(3).unwrap();
    for part in [
        "NodePort",
        "pod-same",
        "node-port/other",
        "tunnel/ipvs",
        "✓",
        "✗",
    ] {
        assert!(first.contains(part), "{part:?} in {first}");
    }
    let json: Value =
        serde_json::from_str(&stdout(&["matrix", "diff", from, to, "-o", "json"])).unwrap();
    let cells = json["cells"].as_array().unwrap();
    let contradicted = cells
        .iter()
        .filter(|cell| !cell["from"].is_null() && !cell["to"].is_null());
    assert_eq!(
        contradicted.count(),
        2,
        "the same cell for public and for private access"
    );
    let same = stdout(&["matrix", "diff", from, from]);
    assert_eq!(same, "2024-01-en and 2024-01-en are the same\n");
}

#[test]
fn an_invalid_report_exits_with_2_and_says_why() {
    let folder = Folder::new("report");
    let file = folder.join("report.json");
    let path = file.to_str().unwrap();
    for (content, expected) in [
        ("", "unexpected end of input"),
        (
            "{\"apiVersion\": \"v1\", \"kind\": \"Report\"}",
            "apiVersion is \"v1\"",
        ),
        (
            "{\"apiVersion\": \"v1\", \"kind\": \"Pod\"}",
            "unknown kind \"Pod\"",
        ),
        ("apiVersion: svc-reach/v1\nkind: Report\n", "missing field"),
        (
            "apiVersion: svc-reach/v1\nkind: ReportList\nitems: []\n",
            "it contains no report",
        ),
    ] {
        std::fs::write(&file, content).unwrap();
        let output = run(&["judge", path]);
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{content}: {error}");
        assert!(
            error.contains(path) && error.contains(expected),
            "{content}: {error}"
        );
    }
    for args in [
        &["judge", "./absent.json"][..],
        &["judge", "a.json", "b.json", "--matrix", "kubernetes"],
        &["judge", "-", "-"],
        &["judge"],
    ] {
        assert_eq!(run(args).status.code(), Some(2), "{args:?}");
    }
}

#[test]
fn an_invalid_matrix_exits_with_2_and_says_why() {
    let folder = Folder::new("matrix");
    let file = folder.join("matrix.yaml");
    let path = file.to_str().unwrap();
    let text_of = |row: &str| {
        format!(
            "name: ours\nprovider: us\neditions:\n- edition: one\n  language: en\n  source: wiki\n  rows:\n  - {row}\n"
        )
    };
    let rows = [
        (
            "{position: pod-else, pointer: p, values: {dns: reachable}}",
            "line 8: unknown position \"pod-else\"",
        ),
        (
            "{position: pod-same, pointer: p, values: {dns: maybe}}",
            "line 8",
        ),
        (
            "{position: pod-same, pointer: p, values: {dns: [reachable]}, columns: [vpc/ipvs, vpc/iptables]}",
            "line 8, cell dns: 1 values for 2 columns",
        ),
        ("[", "line"),
    ];
    for (row, expected) in rows {
        std::fs::write(&file, text_of(row)).unwrap();
        for args in [
            &["matrix", "show", path][..],
            &["nginx", "--matrix", path][..],
        ] {
            let output = run(args);
            let error = text(&output.stderr);
            assert_eq!(output.status.code(), Some(2), "{row}: {error}");
            assert!(
                error.contains(path) && error.contains(expected),
                "{row}: {error}"
            );
        }
    }
    for (args, expected) in [
        (
            &["matrix", "show", "gold"][..],
            "unknown matrix \"gold\", expected one of: alibaba-ack",
        ),
        (
            &["matrix", "show", "huawei-cce@1999"],
            "has no edition \"1999\"",
        ),
        (&["matrix", "show", "./absent.yaml"], "absent.yaml"),
        (&["nginx", "--column", "vpc"], "unknown column \"vpc\""),
        (&["nginx", "--column", "vpc/iptable"], "unknown proxy mode"),
        (
            &["nginx", "--column", "vpc/ipvs", "--proxy-mode", "ipvs"],
            "cannot be used with",
        ),
        (
            &["nginx", "--network-model", "overlay"],
            "unknown network model",
        ),
        (&["nginx", "--only", "pods"], "neither a position"),
        (
            &["nginx", "--skip", "pod-ip,dsn"],
            "--skip: \"dsn\" is neither",
        ),
        (&["nginx", "--fail-on", "bad"], "unknown failure \"bad\""),
        (
            &["nginx", "--fail-on", "not-observed"],
            "always give exit code 3",
        ),
        (
            &["nginx", "--require-reachable", "pod-other"],
            "is not a position and a target",
        ),
        (&["nginx", "--wait", "soon"], "--wait \"soon\""),
        (&["matrix"], "Usage"),
    ] {
        let output = run(args);
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {error}");
        assert!(error.contains(expected), "{args:?}: {error}");
    }
}
