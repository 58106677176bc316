//! Completion as users see it when they press Tab: in real shells, and in a kubectl that asks plugins.

#![expect(clippy::unwrap_used, reason = "a helper that fails must fail its test")]

use std::{
    ffi::OsString,
    fs,
    io::Write,
    os::unix::fs::symlink,
    path::Path,
    process::{Command, Stdio},
};
use svc_reach_tests::folder::Folder;
use svc_reach_tests::{
    kubectl::plugin_folder,
    names_only::{api_server, kubeconfig},
};

/// What the user types after the command before Tab, and the words of the line after Tab.
const LINES: [(&str, &[&str]); 16] = [
    ("-n web nginx-", &["-n", "web", "nginx-admin"]),
    ("-n web svc/nginx-", &["-n", "web", "svc/nginx-admin"]),
    ("ca", &["cart"]),
    (
        "explain -n web nginx-",
        &["explain", "-n", "web", "nginx-admin"],
    ),
    ("-n w", &["-n", "web"]),
    ("--namespace=w", &["--namespace=web"]),
    (
        "nginx --probe-namespace s",
        &["nginx", "--probe-namespace", "shop"],
    ),
    ("--context the", &["--context", "there"]),
    ("--context aws:e", &["--context", "aws:eks/dev"]),
    ("--context=aws:eks/d", &["--context=aws:eks/dev"]),
    ("exp", &["explain"]),
    ("matrix show -o ma", &["matrix", "show", "-o", "markdown"]),
    ("judge ./rep", &["judge", "./report.json"]),
    (
        "nginx -o json=./rep",
        &["nginx", "-o", "json=./report.json"],
    ),
    (
        "nginx --skip external,node-o",
        &["nginx", "--skip", "external,node-other"],
    ),
    (
        "nginx --require-reachable external:lo",
        &["nginx", "--require-reachable", "external:load-balancer"],
    ),
];

/// A folder with the installed release, a kubeconfig for an API server that can list names, and a report.
fn folder(name: &str) -> Folder {
    let path = Folder::new(name);
    let config = kubeconfig(&path, api_server());
    assert_eq!(config, path.join("kubeconfig"));
    fs::write(path.join("report.json"), "").unwrap();
    // Link only the files of the release, without the other programs in cargo's folder.
    let packaging = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging");
    let bin = path.join("bin");
    fs::create_dir_all(&bin).unwrap();
    for (folder, name) in [
        (plugin_folder(), "kubectl-svc_reach"),
        (packaging, "kubectl_complete-svc_reach"),
    ] {
        let link = bin.join(name);
        let _ = fs::remove_file(&link);
        symlink(folder.join(name), link).unwrap();
    }
    path
}

/// A command that has the release on its PATH, and the kubeconfig.
fn command(program: impl Into<OsString>, folder: &Path) -> Command {
    let mut command = Command::new(program.into());
    let path = [folder.join("bin"), "/usr/bin".into(), "/bin".into()];
    let path = std::env::join_paths(path).unwrap();
    command
        .current_dir(folder)
        .env_clear()
        .env("PATH", path)
        .env("HOME", folder)
        .env("TERM", "dumb")
        .env("KUBECONFIG", folder.join("kubeconfig"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Types each of [`LINES`] in a shell on a terminal and presses Tab. Returns the words of each line after that.
fn pressed(shell: &str, set_up: &str, program: &str, folder: &Path) -> Vec<Vec<String>> {
    // Print the words instead of running them. After Tab, Ctrl-A goes to the beginning of the line for "printf '<%s>'
    // BEGIN", and Ctrl-E goes to the end for "END".
    let mut input = format!("{set_up}\n");
    for (typed, _) in LINES {
        input.push_str(&format!(
            "{program} {typed}\t\u{1}printf '<%s>' BEGIN \u{5} END\n"
        ));
    }
    let mut child = command("script", folder)
        .args(["-qec", shell, "/dev/null"])
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin
        .write_all(format!("{input}exit\n").as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    drop(stdin);
    let screen = String::from_utf8_lossy(&output.stdout).into_owned();
    let lines: Vec<Vec<String>> = screen
        .split("<BEGIN>")
        .skip(1)
        .filter_map(|rest| rest.split("<END>").next())
        .map(|words| {
            let words = words.trim_start_matches('<').trim_end_matches('>');
            words.split("><").map(str::to_owned).collect()
        })
        .collect();
    assert_eq!(lines.len(), LINES.len(), "{shell}: {screen}");
    lines
}

fn expect(shell: &str, set_up: &str, program: &str, name: &str) {
    let folder = folder(name);
    let seen = pressed(shell, set_up, program, &folder);
    for ((typed, expected), seen) in LINES.into_iter().zip(seen) {
        let whole: Vec<&str> = program.split(' ').chain(expected.iter().copied()).collect();
        assert_eq!(seen, whole, "{shell}: {program} {typed}");
    }
}

#[test]
fn bash_completes() {
    expect(
        "bash --norc --noprofile -i",
        "source <(kubectl-svc_reach completion bash)",
        "kubectl-svc_reach",
        "bash",
    );
}

#[test]
#[ignore = "needs zsh: tests/run installs it"]
fn zsh_completes() {
    expect(
        "zsh -f -i",
        "bindkey -e; unsetopt beep; autoload -U compinit; compinit -u -D; source <(kubectl-svc_reach completion zsh)",
        "kubectl-svc_reach",
        "zsh",
    );
}

#[test]
#[ignore = "needs fish: tests/run installs it"]
fn fish_completes() {
    let folder = folder("fish");
    for (typed, expected) in LINES {
        let script = format!(
            "kubectl-svc_reach completion fish | source; complete -C 'kubectl-svc_reach {typed}'"
        );
        let output = command("fish", &folder)
            .args(["--no-config", "-c", &script])
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let candidates: Vec<&str> = text
            .lines()
            .map(|line| line.split('\t').next().unwrap())
            .collect();
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(
            candidates,
            expected[expected.len() - 1..],
            "{typed}: {error}"
        );
    }
}

/// Path of a kubectl that asks plugins for completions.
#[expect(
    clippy::expect_used,
    reason = "a test fails if its program does not exist"
)]
fn new_kubectl() -> String {
    std::env::var("SVC_REACH_NEW_KUBECTL")
        .expect("SVC_REACH_NEW_KUBECTL is not set: tests/kubectl prints it")
}

#[test]
#[ignore = "needs kubectl 1.26 or later: tests/run fetches it"]
fn kubectl_completes() {
    let folder = folder("kubectl");
    for (typed, expected) in LINES {
        let mut words: Vec<&str> = typed.split(' ').collect();
        let begun = words.pop().unwrap();
        let output = command(new_kubectl(), &folder)
            .args(["__complete", "svc-reach"])
            .args(words)
            .arg(begun)
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let (candidates, directive) = text
            .trim_end()
            .rsplit_once('\n')
            .unwrap_or(("", text.trim_end()));
        if begun.contains("./") {
            assert_eq!(
                (candidates, directive),
                ("", ":0"),
                "{typed}: the shell completes names of files"
            );
            continue;
        }
        let last = expected[expected.len() - 1];
        let last = last.split_once('=').map_or(last, |(_, value)| value);
        let candidates: Vec<&str> = candidates
            .lines()
            .map(|line| line.split('\t').next().unwrap())
            .collect();
        assert_eq!(
            (candidates.as_slice(), directive),
            (&[last][..], ":4"),
            "{typed}: {text}"
        );
    }
}

#[test]
#[ignore = "needs kubectl 1.26 or later, and bash-completion: tests/run fetches them"]
fn kubectl_completes_in_bash() {
    let program = new_kubectl();
    let (folder, _) = program.rsplit_once('/').unwrap();
    let set_up = format!(
        "PATH={folder}:$PATH; source /usr/share/bash-completion/bash_completion; source <(kubectl completion bash)"
    );
    expect(
        "bash --norc --noprofile -i",
        &set_up,
        "kubectl svc-reach",
        "kubectl-bash",
    );
}

#[test]
#[ignore = "needs kubectl 1.26 or later: tests/run fetches it"]
fn a_new_kubectl_lists_the_plugin() {
    let folder = folder("plugin-list");
    let run = |args: &[&str]| {
        let output = command(new_kubectl(), &folder).args(args).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (
            output.status.code(),
            text(output.stdout),
            text(output.stderr),
        )
    };
    let (code, list, warnings) = run(&["plugin", "list"]);
    let plugin = folder.join("bin/kubectl-svc_reach");
    assert!(list.contains(plugin.to_str().unwrap()), "{list}{warnings}");
    assert!(
        !format!("{list}{warnings}").contains("warning"),
        "{list}{warnings}"
    );
    assert_eq!(code, Some(0), "{list}{warnings}");
    let (code, help, _) = run(&["svc-reach", "--help"]);
    assert_eq!(code, Some(0), "{help}");
    assert!(help.contains("Usage: kubectl svc-reach"), "{help}");
    assert_eq!(run(&["svc-reach", "--nonsense"]).0, Some(2));
}
