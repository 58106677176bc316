//! Runs every example in the documents and in the help.

#![expect(clippy::unwrap_used, reason = "a helper that fails must fail its test")]

use serde_json::json;
use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};
use svc_reach_common::names;
use svc_reach_tests::folder::Folder;
use svc_reach_tests::{
    fixture::{
        apply, await_answer, await_endpoints_of, await_proxies_of, deploy, load_balancer_of, nodes,
        service,
    },
    kubectl::{self, Kubectl, Output, finish, plugin_folder},
    namespace::Namespace,
    process::{Lines, send},
};

/// The beginnings of command lines that are examples.
const BEGINNINGS: [&str; 4] = [
    "kubectl svc-reach ",
    "kubectl-svc_reach ",
    "source <(kubectl svc-reach ",
    "source <(kubectl-svc_reach ",
];

/// Text of examples, and what replaces it in this test. Every entry must be used by an example.
const STAND_INS: [(&str, &str); 3] = [
    ("-n web", "-n NAMESPACE"),
    // Other tests create and delete Services at the same time.
    ("-A -l 'component!=apiserver'", "-A -l part-of=NAMESPACE"),
    ("registry.example/svc-reach/probe:0.1.0", names::IMAGE),
];

/// Files that examples write.
const FILES: [&str; 4] = ["before.json", "after.json", "report.xml", "report.md"];

/// Ends a watch after 300 s if the test cannot end it. It passes the test's signal on to the watch.
const WATCHED: &str = "timeout --foreground 300";

/// A command line, and where it was found.
#[derive(Debug)]
struct Example {
    place: String,
    line: String,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The command line at the beginning of a line, or of a piece of code. Text after two spaces is a description.
fn command_line(text: &str) -> Option<&str> {
    let text = text.trim();
    let text = text.strip_prefix("$ ").unwrap_or(text);
    let line = text.split("  ").next().unwrap_or(text);
    // The beginnings end with a space, so the bare name of the program is not an example.
    let begins = BEGINNINGS
        .iter()
        .any(|beginning| line.starts_with(beginning));
    begins.then_some(line)
}

/// Examples of a document: lines of indented or fenced code, and code within a sentence.
fn of_document(path: &Path) -> Vec<Example> {
    let text = fs::read_to_string(path).unwrap();
    let mut examples = Vec::new();
    let mut fenced = false;
    let mut prose = String::new();
    let mut found = |number: usize, line: &str| {
        examples.push(Example {
            place: format!("{}:{number}", path.file_name().unwrap().display()),
            line: line.to_owned(),
        });
    };
    for (number, line) in (1..).zip(text.lines()) {
        if line.starts_with("```") {
            fenced = !fenced;
        } else if fenced || line.starts_with("    ") {
            if let Some(line) = command_line(line) {
                found(number, line);
            }
        } else {
            prose.push_str(line);
            prose.push(' ');
        }
    }
    // Join the lines of prose first, because code within a sentence may continue on the next line.
    for code in prose.split('`').skip(1).step_by(2) {
        if let Some(line) = command_line(code) {
            found(0, line);
        }
    }
    examples
}

fn documents(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            if name != "target" && !name.starts_with('.') {
                documents(&path, found);
            }
        } else if name.ends_with(".md") && name != "CHANGELOG.md" {
            found.push(path);
        }
    }
}

/// The text of a document below `docs/`.
fn document(name: &str) -> String {
    fs::read_to_string(root().join("docs").join(name)).unwrap()
}

/// Examples in the help of a command and of its subcommands.
fn of_help(words: &[&str], examples: &mut Vec<Example>) {
    let output = Command::new(plugin_folder().join("kubectl-svc_reach"))
        .args(words)
        .arg("--help")
        .env_clear()
        .env("COLUMNS", "200")
        .output()
        .unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    let mut usage = false;
    for line in help.lines() {
        usage = line.starts_with("Usage:") || usage && !line.is_empty();
        let Some(line) = command_line(line).filter(|_| !usage) else {
            continue;
        };
        examples.push(Example {
            place: format!("{} --help", words.join(" ")),
            line: line.to_owned(),
        });
    }
    let commands = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_whitespace().next());
    for command in commands.filter(|command| *command != "help") {
        of_help(&[words, &[command]].concat(), examples);
    }
}

/// Ends a watch after its first run, which must say that all is well.
fn watched(command: &mut Command) -> (Option<i32>, String, String) {
    let mut child = command.spawn().unwrap();
    let mut lines = Lines::of(child.stdout.take().unwrap());
    let answer = lines.next_with(&[" is reachable from everywhere"], Duration::from_secs(180));
    send("INT", child.id());
    let Output { code, stderr, .. } = finish(&["svc-reach", "--watch"], child);
    (code, answer, stderr)
}

/// All examples, in the order in which a reader meets them.
fn examples() -> Vec<Example> {
    let mut paths = Vec::new();
    documents(&root(), &mut paths);
    paths.sort_by_key(|path| {
        (
            path.components().count(),
            path.file_name() != Some("README.md".as_ref()),
            path.clone(),
        )
    });
    let mut examples: Vec<Example> = paths.iter().flat_map(|path| of_document(path)).collect();
    of_help(&[], &mut examples);
    examples
}

#[test]
fn examples_are_found_in_documents_and_help() {
    let examples = examples();
    for (place, line) in [
        ("expectations.md", "kubectl svc-reach matrix list"),
        ("README.md", "kubectl svc-reach -h"),
        ("README.md", "kubectl svc-reach nginx"),
        (
            "how-it-works.md",
            "source <(kubectl-svc_reach completion bash)",
        ),
        (" --help", "kubectl svc-reach explain nginx"),
        (
            "completion --help",
            "source <(kubectl svc-reach completion bash)",
        ),
    ] {
        assert!(
            examples
                .iter()
                .any(|example| example.place.starts_with(place) && example.line == line),
            "{place}: {line}: {examples:#?}"
        );
    }
    for (written, _) in STAND_INS {
        assert!(
            examples
                .iter()
                .any(|example| example.line.contains(written)),
            "{written}"
        );
    }
}

#[test]
#[ignore = "needs the test cluster: tests/run brings one up"]
#[expect(clippy::print_stdout, reason = "tests print what they ran")]
fn every_example_works() {
    let kubectl = Kubectl::from_environment();
    let namespace = Namespace::new(&kubectl, &json!({}));
    let nodes = nodes(&kubectl);
    let labels = json!({"app": "web", "part-of": namespace.name});
    let mut web = service(&json!({}));
    web["metadata"]["labels"] = labels.clone();
    deploy(&kubectl, &namespace, &[&nodes[0]], &web);
    let mut nginx = service(&json!({"type": "LoadBalancer"}));
    nginx["metadata"] = json!({"name": "nginx", "labels": labels});
    apply(&kubectl, &namespace, vec![nginx]);
    // A Service without a backend, which the smoke test file expects to be unreachable.
    let back = Namespace::new(&kubectl, &json!({}));
    let mut admin = service(&json!({}));
    admin["metadata"]["name"] = "admin".into();
    apply(&kubectl, &back, vec![admin]);
    await_endpoints_of(&kubectl, &namespace, "nginx", 1);
    await_proxies_of(&kubectl, &namespace, "nginx", 1);
    let address = load_balancer_of(&kubectl, &namespace, "nginx");
    await_answer(&kubectl, &address);

    // Set up a folder as a reader would: a kubeconfig, kubectl and the plugin on the PATH, and the dump that the
    // documents describe.
    let folder = Folder::new("documents");
    let bin = folder.join("bin");
    fs::create_dir_all(&bin).unwrap();
    symlink(kubectl::program(), bin.join("kubectl")).unwrap();
    symlink(
        plugin_folder().join("kubectl-svc_reach"),
        bin.join("kubectl-svc_reach"),
    )
    .unwrap();
    let output = Command::new(kubectl.testbed())
        .args(["kubeconfig", "client"])
        .output()
        .unwrap();
    let config = folder.join("kubeconfig");
    fs::copy(String::from_utf8(output.stdout).unwrap().trim(), &config).unwrap();
    let command = |line: &str| {
        let path = format!("PATH={}:/usr/bin:/bin", bin.display());
        let mut command = Command::new(kubectl.testbed());
        command
            .args(["enter", "client", "env", &path])
            .arg(format!("KUBECONFIG={}", config.display()))
            .args(["bash", "-c", line])
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    };
    let run = |line: &str| {
        let output = command(line).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (
            output.status.code(),
            text(&output.stdout),
            text(&output.stderr),
        )
    };
    let set_up = format!(
        "kubectl config set-context --current --namespace={}",
        namespace.name
    );
    assert_eq!(run(&set_up).0, Some(0));
    let dump = "kubectl get svc,endpointslices,endpoints,nodes,pods,configmaps -A -o json";
    assert!(
        document("expectations.md")
            .replace('\n', " ")
            .contains(dump),
        "the documents say how to make a dump"
    );
    let (code, objects, error) = run(dump);
    assert_eq!(code, Some(0), "{error}");
    // Without a cluster, the namespace defaults to "default".
    fs::write(
        folder.join("dump.json"),
        objects.replace(&namespace.name, "default"),
    )
    .unwrap();

    let smoke_tests = document("smoke-tests.md");
    let file = smoke_tests.split_once("```yaml\n").unwrap().1;
    let file = file.split_once("```").unwrap().0;
    let mut own = file.to_owned();
    for (written, instead) in [
        ("namespace: web ", &namespace),
        ("namespace: back\n", &back),
    ] {
        assert!(own.contains(written), "{written:?} in {file}");
        let end = &written[written.len() - 1..];
        own = own.replace(written, &format!("namespace: {}{end}", instead.name));
    }
    fs::write(folder.join("smoke-test.yaml"), own).unwrap();

    let mut faults = Vec::new();
    let mut written = BTreeSet::new();
    for Example { place, line } in examples() {
        let mut here = line.clone();
        for (written, instead) in STAND_INS {
            here = here.replace(written, &instead.replace("NAMESPACE", &namespace.name));
        }
        // Delete the file of an earlier example, or it hides that this example writes nothing.
        let writes =
            |file: &&str| line.contains(&format!("={file}")) || line.contains(&format!("> {file}"));
        let files: Vec<&str> = FILES.into_iter().filter(writes).collect();
        for file in &files {
            let _ = fs::remove_file(folder.join(file));
            written.insert(*file);
        }
        let watch = line.contains("--watch");
        let began = std::time::Instant::now();
        let (code, _, error) = if watch {
            // Set a wide screen, so that the sentence that is awaited is not wrapped.
            watched(command(&format!("exec {WATCHED} {here}")).env("COLUMNS", "1000"))
        } else {
            run(&here)
        };
        println!("{code:?} after {:?}: {place}: {here}", began.elapsed());
        // If an example chooses the matrix or the column, a cell may be worse than expected. Otherwise all are as
        // expected.
        let chosen = ["--matrix", "--column", "--network-model"];
        let chosen = chosen.iter().any(|flag| line.contains(flag));
        let ended = if watch { Some(130) } else { Some(0) };
        if !(code == ended || chosen && code == Some(1)) {
            faults.push(format!("{place}: {here}\nexit code {code:?}\n{error}"));
        }
        for file in files {
            if fs::metadata(folder.join(file)).map_or(0, |file| file.len()) == 0 {
                faults.push(format!("{place}: {here}\nno {file} was written"));
            }
        }
    }
    assert_eq!(
        written,
        FILES.into(),
        "every file must be written by an example"
    );
    assert!(faults.is_empty(), "{}", faults.join("\n\n"));
}
