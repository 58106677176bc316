//! Runs the real `kubectl`, with the plugin on its PATH.

use std::{
    ffi::OsString,
    fmt,
    io::Write,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

/// Path of the command `tests/cluster/cluster`. `tests/run` sets it if the tests run on the test cluster.
const TESTBED: &str = "SVC_REACH_TESTBED";

/// Path of `kubectl`. If it is not set, the one on the PATH is used.
const KUBECTL: &str = "SVC_REACH_KUBECTL";

/// Folder of the plugin under test.
const PLUGIN: &str = "SVC_REACH_PLUGIN_DIR";

/// Time limit for `kubectl`, in seconds. It is longer than every time limit of the plugin that a test sets.
const SECONDS: &str = "600";

/// How a program ended and what it printed.
#[derive(Debug, Clone)]
pub struct Output {
    /// The command line.
    pub command: String,
    /// Exit code. `None`: a signal ended the program.
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
    /// Uses the cluster, `kubectl` and plugin that the environment names.
    ///
    /// # Panics
    ///
    /// If KUBECONFIG is not set. Tests that call this need a cluster.
    #[must_use]
    #[expect(
        clippy::expect_used,
        reason = "a test that needs a cluster fails without one"
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

    /// Path of the command `tests/cluster/cluster`.
    ///
    /// # Panics
    ///
    /// If the tests do not run on the test cluster. Tests that call this need it.
    #[must_use]
    #[expect(
        clippy::expect_used,
        reason = "a test that needs the test cluster fails without it"
    )]
    pub fn testbed(&self) -> &Path {
        self.testbed
            .as_deref()
            .expect("SVC_REACH_TESTBED is not set: this test needs the cluster of tests/run")
    }

    /// Path of the command `tests/cluster/cluster`, if the tests run on the test cluster.
    #[must_use]
    pub fn testbed_if_any(&self) -> Option<&Path> {
        self.testbed.as_deref()
    }

    /// A `kubectl` command with only the environment variables that it needs.
    ///
    /// On the test cluster it runs in the network namespace of the client there, because this machine has no route into
    /// the cluster's network.
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
            "SVC_REACH_PREFIX",
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

    /// Runs `kubectl` to its end. If it exceeds the time limit, the exit code is 124, that of timeout(1).
    ///
    /// # Panics
    ///
    /// If the program does not exist.
    #[must_use]
    #[expect(
        clippy::expect_used,
        reason = "a test fails if its program does not exist"
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

    /// Starts `kubectl` and does not wait for it.
    ///
    /// # Panics
    ///
    /// If the program does not exist.
    #[must_use]
    #[expect(
        clippy::expect_used,
        reason = "a test fails if its program does not exist"
    )]
    pub fn spawn(&self, args: &[&str]) -> Child {
        self.command(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("kubectl starts")
    }

    /// Runs `kubectl` and returns its standard output.
    ///
    /// # Panics
    ///
    /// If it fails.
    pub fn succeed(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert_eq!(output.code, Some(0), "{output}");
        output.stdout
    }

    /// Runs `kubectl` with `-o json` and parses the object that it prints.
    ///
    /// # Panics
    ///
    /// If it fails or prints no JSON.
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
    /// If the cluster refuses them.
    #[expect(clippy::expect_used, reason = "a requested pipe always exists")]
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

/// Waits for a program to end and collects its output.
///
/// # Panics
///
/// If waiting fails.
#[must_use]
#[expect(clippy::expect_used, reason = "waiting for our own child works")]
pub fn finish(args: &[&str], child: Child) -> Output {
    let output = child
        .wait_with_output()
        .expect("waiting for our own child works");
    Output {
        command: format!("kubectl {}", args.join(" ")),
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// The `kubectl` to run.
#[must_use]
pub fn program() -> OsString {
    std::env::var_os(KUBECTL).unwrap_or_else(|| "kubectl".into())
}

/// Folder of the plugin under test.
#[must_use]
pub fn plugin_folder() -> PathBuf {
    std::env::var_os(PLUGIN).map_or_else(built, PathBuf::from)
}

/// Path of the plugin under test.
///
/// # Panics
///
/// If the plugin has not been built.
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

/// Where cargo puts the plugin: one folder above that of the running test.
fn built() -> PathBuf {
    let test = std::env::current_exe().unwrap_or_default();
    test.ancestors()
        .nth(2)
        .unwrap_or_else(|| Path::new("."))
        .to_owned()
}
