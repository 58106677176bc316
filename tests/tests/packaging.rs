//! What a user installs, and what the program tells of itself.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use serde_json::Value;
use std::{
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};
use svc_reach_common::{names, plan};
use svc_reach_tests::kubectl::plugin_folder;

/// A folder of the test's own.
fn folder(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("svc-reach-{}-{name}", std::process::id()));
    std::fs::create_dir_all(&path).unwrap();
    path
}

/// A kubeconfig of an API server on this machine, with a second context beside the one in use.
fn kubeconfig(folder: &Path, port: u16) -> PathBuf {
    let path = folder.join("kubeconfig");
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: here\n\
         clusters: [{{name: c, cluster: {{server: \"http://127.0.0.1:{port}\"}}}}]\n\
         users: [{{name: u, user: {{}}}}]\n\
         contexts: [{{name: here, context: {{cluster: c, user: u, namespace: shop}}}},\
         {{name: there, context: {{cluster: c, user: u}}}},\
         {{name: \"a\\n:1\", context: {{cluster: c, user: u}}}}]\n"
    );
    std::fs::write(&path, text).unwrap();
    path
}

/// An API server with three lists of names, one of them no name at all. Everything else is not there.
fn api_server() -> u16 {
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
            // A client that was stopped no longer reads.
            let _ = write!(stream, "{head}\r\n\r\n{body}");
        }
    });
    port
}

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

/// What the completion helper of the release prints for words, the plugin being on the PATH.
fn completions(kubeconfig: &Path, words: &[&str]) -> Vec<String> {
    let helper =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/kubectl_complete-svc_reach");
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
fn kubectl_is_told_what_a_word_can_become() {
    let folder = folder("completion");
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
        // A name that would break the protocol is left out.
        (&["--context", ""], &["here", "there", ":4"]),
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
        // Files are the shell's business.
        (&["--kubeconfig", ""], &[":0"]),
        // What cannot be looked up is no candidate, and no message.
        (&["--kubeconfig", "/absent", "svc/"], &[":4"]),
        (&["-n", "absent", "svc/"], &[":4"]),
        (&["deploy/n"], &[":4"]),
        (&["-x", "--nonsense", "nginx", "more", ""], &[":4"]),
    ] {
        assert_eq!(completions(&config, words), expected, "{words:?}");
    }
    let all = completions(&config, &[""]);
    for one in ["explain", "cleanup", "version", "cart"] {
        assert!(all.iter().any(|line| line == one), "{one}: {all:?}");
    }
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_silent_cluster_does_not_hold_up_a_user_who_types() {
    let folder = folder("silent");
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let config = kubeconfig(&folder, silent.local_addr().unwrap().port());
    let begun = Instant::now();
    assert_eq!(completions(&config, &["svc/"]), [":4"]);
    // Far below what a run would wait, and not below the time that a slow cluster is given.
    let waited = begun.elapsed();
    assert!(waited < Duration::from_secs(8), "{waited:?}");
    assert!(waited > Duration::from_secs(1), "{waited:?}");
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn every_shell_has_its_script() {
    for shell in ["bash", "zsh", "fish", "powershell"] {
        let script = printed(&["completion", shell]);
        for word in ["kubectl-svc_reach", "explain", "probe-namespace"] {
            assert!(script.contains(word), "{shell} lacks {word}");
        }
    }
    // Where a shell is at hand, it is asked.
    let mut bash = Command::new("bash")
        .args(["-c", "source /dev/stdin; COMP_WORDS=(kubectl-svc_reach matrix s); COMP_CWORD=2; $(complete -p kubectl-svc_reach | sed 's/.*-F \\([^ ]*\\).*/\\1/') kubectl-svc_reach s matrix; echo \"${COMPREPLY[@]}\""])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    bash.stdin
        .take()
        .unwrap()
        .write_all(printed(&["completion", "bash"]).as_bytes())
        .unwrap();
    let output = bash.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "show");
}

#[test]
fn a_mistyped_service_is_answered_with_the_nearest() {
    let folder = folder("mistyped");
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
        // Nothing is like it, or nothing can be listed.
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
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn usage_says_what_users_type() {
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
