//! The real `kubectl`, with the plugin on its path.

use std::{
    ffi::OsString,
    fmt,
    io::Write,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

/// Path of the test cluster's `cluster` command, where the tests run on that one. Set by `tests/run`.
const TESTBED: &str = "SVC_REACH_TESTBED";

/// Path of `kubectl`; the one on the PATH where not set.
const KUBECTL: &str = "SVC_REACH_KUBECTL";

/// Folder of the plugin under test.
const PLUGIN: &str = "SVC_REACH_PLUGIN_DIR";

/// How long `kubectl` may run: longer than every limit of the plugin's that a test sets.
const SECONDS: &str = "600";

/// How a program ended and what it said.
#[derive(Debug, Clone)]
pub struct Output {
    /// The command line.
    pub command: String,
    /// Exit code; `None`: by a signal.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            command,
            code,
            stdout,
            stderr,
        } = self;
        write!(
            f,
            "$ {command}\nexit code: {code:?}\n--- stdout\n{stdout}\n--- stderr\n{stderr}"
        )
    }
}

/// Runs `kubectl`.
#[derive(Debug, Clone)]
pub struct Kubectl {
    testbed: Option<PathBuf>,
    program: OsString,
    kubeconfig: OsString,
    path: OsString,
}

impl Kubectl {
    /// As the environment says.
    ///
    /// # Panics
    ///
    /// When it names no cluster: the tests that call this are not to be run without.
    #[must_use]
    #[expect(
        clippy::expect_used,
        reason = "a test that needs a cluster and has none fails, and says so"
    )]
    pub fn from_environment() -> Self {
        let kubeconfig = std::env::var_os("KUBECONFIG")
            .expect("KUBECONFIG names no cluster; tests/run brings one up");
        let plugin = plugin_folder();
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path =
            std::env::join_paths(std::iter::once(plugin).chain(std::env::split_paths(&path)));
        Self {
            testbed: std::env::var_os(TESTBED).map(PathBuf::from),
            program: program(),
            kubeconfig,
            path: path.expect("folders of PATH have no colon in their names"),
        }
    }

    /// The test cluster's own command.
    ///
    /// # Panics
    ///
    /// When the tests do not run on the test cluster: the tests that call this are not to be run elsewhere.
    #[must_use]
    #[expect(
        clippy::expect_used,
        reason = "a test that needs the test cluster and has none fails, and says so"
    )]
    pub fn testbed(&self) -> &Path {
        self.testbed
            .as_deref()
            .expect("SVC_REACH_TESTBED is not set: this test needs the cluster of tests/run")
    }

    /// The test cluster's own command, where the tests run on that one.
    #[must_use]
    pub fn testbed_if_any(&self) -> Option<&Path> {
        self.testbed.as_deref()
    }

    /// A command line of `kubectl`, with nothing of the environment but what it needs.
    ///
    /// On the test cluster it runs in the namespaces of the client there: this machine itself has no way into the
    /// cluster's network, and must not look for one.
    #[must_use]
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = match &self.testbed {
            Some(testbed) => {
                let mut command = Command::new(testbed);
                command.args(["enter", "client"]).arg(&self.program);
                command
            }
            None => Command::new(&self.program),
        };
        command.args(args).env_clear().env("PATH", &self.path);
        for kept in [
            "HOME",
            "SVC_REACH_CACHE",
            "XDG_CACHE_HOME",
            "SVC_REACH_API_PORT",
        ] {
            if let Some(value) = std::env::var_os(kept) {
                command.env(kept, value);
            }
        }
        if self.testbed.is_none() {
            command.env("KUBECONFIG", &self.kubeconfig);
        }
        command
    }

    /// Runs `kubectl` to its end, or to the end of our patience: then its exit code is that of timeout(1), 124.
    ///
    /// # Panics
    ///
    /// When there is no such program.
    #[must_use]
    #[expect(
        clippy::expect_used,
        reason = "a test without its program fails, and says so"
    )]
    pub fn run(&self, args: &[&str]) -> Output {
        let inner = self.command(args);
        let variables = inner.get_envs();
        let child = Command::new("timeout")
            .args(["--kill-after=10", SECONDS])
            .arg(inner.get_program())
            .args(inner.get_args())
            .env_clear()
            .envs(variables.filter_map(|(name, value)| Some((name, value?))))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        finish(args, child.expect("kubectl starts"))
    }

    /// Starts `kubectl`.
    ///
    /// # Panics
    ///
    /// When there is no such program.
    #[must_use]
    #[expect(
        clippy::expect_used,
        reason = "a test without its program fails, and says so"
    )]
    pub fn spawn(&self, args: &[&str]) -> Child {
        self.command(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("kubectl starts")
    }

    /// Runs `kubectl` and returns what it printed.
    ///
    /// # Panics
    ///
    /// When it fails.
    pub fn succeed(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert_eq!(output.code, Some(0), "{output}");
        output.stdout
    }

    /// Runs `kubectl` and reads the object that it prints.
    ///
    /// # Panics
    ///
    /// When it fails or prints no object.
    #[must_use]
    #[expect(clippy::expect_used, reason = "kubectl -o json prints JSON")]
    pub fn object(&self, args: &[&str]) -> serde_json::Value {
        let args: Vec<&str> = args.iter().copied().chain(["-o", "json"]).collect();
        serde_json::from_str(&self.succeed(&args)).expect("kubectl prints JSON")
    }

    /// Applies objects.
    ///
    /// # Panics
    ///
    /// When the cluster does not take them.
    #[expect(clippy::expect_used, reason = "a pipe that was asked for is there")]
    pub fn apply(&self, object: &serde_json::Value) {
        let args = ["apply", "-f", "-"];
        let mut child = self
            .command(&args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("kubectl starts");
        child
            .stdin
            .take()
            .expect("stdin is piped")
            .write_all(object.to_string().as_bytes())
            .expect("kubectl reads");
        let output = finish(&args, child);
        assert_eq!(output.code, Some(0), "{output}\n--- stdin\n{object:#}");
    }
}

/// Waits for a program and takes in what it said.
///
/// # Panics
///
/// When it cannot be waited for.
#[must_use]
#[expect(clippy::expect_used, reason = "a child of ours can be waited for")]
pub fn finish(args: &[&str], child: Child) -> Output {
    let output = child
        .wait_with_output()
        .expect("a child of ours can be waited for");
    Output {
        command: format!("kubectl {}", args.join(" ")),
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// `kubectl` itself.
#[must_use]
pub fn program() -> OsString {
    std::env::var_os(KUBECTL).unwrap_or_else(|| "kubectl".into())
}

/// Folder of the plugin under test.
#[must_use]
pub fn plugin_folder() -> PathBuf {
    std::env::var_os(PLUGIN).map_or_else(built, PathBuf::from)
}

/// The plugin under test.
///
/// # Panics
///
/// Where it is not built.
#[must_use]
pub fn plugin() -> PathBuf {
    let plugin = plugin_folder().join("kubectl-svc_reach");
    assert!(
        plugin.exists(),
        "{} is not built: cargo build -p svc-reach",
        plugin.display()
    );
    plugin
}

/// Where cargo puts the plugin: beside the folder of the running test.
fn built() -> PathBuf {
    let test = std::env::current_exe().unwrap_or_default();
    test.ancestors()
        .nth(2)
        .unwrap_or_else(|| Path::new("."))
        .to_owned()
}
