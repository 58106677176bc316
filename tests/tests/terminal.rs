//! Progress of a run: a live line for each probe on a terminal, plain lines elsewhere.

use serde_json::json;
use std::process::{Command, Stdio};
use svc_reach_tests::{
    fixture::{deploy, nodes, service},
    kubectl::{Kubectl, finish},
    namespace::Namespace,
};

const POSITIONS: [&str; 4] = ["node-same", "node-other", "pod-same", "pod-other"];

#[test]
#[ignore = "needs the test cluster and its image registry: tests/run brings them up"]
fn a_terminal_shows_the_progress_of_each_probe() {
    let kubectl = Kubectl::from_environment();
    let namespace = Namespace::new(&kubectl, &json!({}));
    let nodes = nodes(&kubectl);
    // Every probe also checks a port that does not answer, so that it runs for a while.
    let spec = json!({"type": "NodePort", "externalTrafficPolicy": "Local"});
    deploy(&kubectl, &namespace, &[&nodes[0]], &service(&spec));
    let args = namespace.args(&["svc-reach", "web", "--external", "never"]);

    let plain = kubectl.run(&args);
    assert_eq!(plain.code, Some(0), "{plain}");
    assert!(!plain.stderr.contains('\u{1b}'), "{plain}");
    for position in POSITIONS {
        let phases: Vec<&str> = plain
            .stderr
            .lines()
            .filter_map(|line| line.strip_prefix(position)?.strip_prefix(": "))
            .collect();
        assert_eq!(phases.first(), Some(&"creating"), "{position}: {plain}");
        assert_eq!(phases.last(), Some(&"done"), "{position}: {plain}");
        assert!(phases.contains(&"running"), "{position}: {plain}");
        assert!(!plain.stderr.contains("targets"), "{plain}");
    }

    // Run it again with a terminal, which script(1) provides.
    let args = [&args[..], &["--image-pull-policy", "Always"]].concat();
    let inner = kubectl.command(&args);
    let line: Vec<String> = std::iter::once(inner.get_program())
        .chain(inner.get_args())
        .map(|word| format!("'{}'", word.to_str().unwrap()))
        .collect();
    let mut command = Command::new("script");
    command
        .args([
            "-qec",
            &format!("stty cols 100 rows 40; {}", line.join(" ")),
            "/dev/null",
        ])
        .env_clear()
        .envs(
            inner
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        )
        .env("TERM", "xterm")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let live = finish(&args, command.spawn().unwrap());
    assert_eq!(live.code, Some(0), "{live}");
    let (before, report) = live.stdout.split_once("Service ").unwrap();
    for position in POSITIONS {
        for phase in ["creating", "pulling the image", "running, ", "done"] {
            let shown = format!("{position:<10} {phase}");
            assert!(before.contains(&shown), "{shown:?}: {live}");
        }
        assert!(!report.contains(&format!("{position:<10} done")), "{live}");
    }
    assert!(before.contains(" targets"), "{live}");
    // In the end the progress lines are removed: after the last one, lines are only cleared.
    let (_, cleared) = before.rsplit_once("done").unwrap();
    assert!(cleared.contains("\u{1b}[2K"), "{cleared:?}");
}
