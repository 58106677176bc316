//! The entry point: reads the command line and does what it asks for. [`crate::run`] has the main job in reading order.

use crate::{
    cli::{
        Cli,
        action::{Action, Config},
        completion, man,
    },
    cluster::live::Live,
    commands::{cleanup, images::Images, permissions, version::VersionInfo},
    config::{Connection, RunSettings},
    error::Error,
    output::{self, Outlet},
    reporting::documents::Documents,
    run::{Run, smoke_test, watch},
    terminal::{
        self,
        interrupt::{Interrupt, Signals},
        messages::report_error,
    },
};
use std::process::ExitCode;
use svc_reach_common::exit::Exit;

/// Reads the command line, does what it asks for, and returns the exit code.
#[tokio::main(flavor = "current_thread")]
pub async fn main() -> ExitCode {
    if let Some(words) = completion::asked(std::env::args_os()) {
        // A write fails only if the shell has closed the pipe. No message is needed then.
        let _ = completion::answer(&words, &mut std::io::stdout());
        return ExitCode::SUCCESS;
    }
    if let Some(folder) = man::asked(std::env::args_os()) {
        return match man::write(folder) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => ExitCode::from(report_error(&error).code()),
        };
    }
    let cli = Cli::read(std::env::args_os()).unwrap_or_else(|error| error.exit());
    terminal::logging::start(&cli.connection.verbose);
    let (signals, interrupt) = Signals::new();
    let run = async { run(Config::new(cli)?, interrupt).await };
    // Poll the signal watcher first: `heed_signals` yields once and relies on the watcher to be listening after that.
    let ended = tokio::select! {
        biased;
        at_once = signals.watch() => Ok(at_once),
        ended = run => ended,
    };
    ExitCode::from(ended.unwrap_or_else(|error| report_error(&error)).code())
}

/// Runs the command and returns its exit status.
///
/// # Errors
///
/// The failure that stopped the command.
async fn run(config: Config, interrupt: Interrupt) -> Result<Exit, Error> {
    let mut output = std::io::stdout();
    let connection = &config.connection;
    match config.action {
        Action::Matrix(command) => done(command.answer(&mut output)),
        Action::Judge(command) => command.answer(&mut output),
        Action::Completion(shell) => done(completion::script(shell, &mut output)),
        Action::Images(format) => done(Images::ALL.write(format, &mut output)),
        Action::Version(format) => done(VersionInfo::of_this()?.write(format, &mut output)),
        Action::Explain(command) if command.offline() => {
            let namespace = connection.namespace.as_deref().unwrap_or("default");
            done(command.answer_from_dump(namespace, &mut output))
        }
        Action::Run(settings) => check(*settings, connection, &interrupt).await,
        Action::Explain(command) => {
            connected(connection, &interrupt, async |cluster, namespace| {
                tokio::select! {
                    exit = interrupt.raised() => Ok(exit),
                    explained = command.answer_from_cluster(&cluster, &namespace, &mut output) => done(explained),
                }
            })
            .await
        }
        Action::Permissions(subject) => {
            let subject = subject.as_ref();
            if let Some(namespace) = &connection.namespace {
                return done(permissions::write(namespace, subject, &mut output));
            }
            connected(connection, &interrupt, async |_, namespace| {
                done(permissions::write(&namespace, subject, &mut output))
            })
            .await
        }
        Action::Cleanup { run } => {
            connected(connection, &interrupt, async |cluster, namespace| {
                let flags = connection.flags();
                done(cleanup::cleanup(&cluster, &namespace, run.as_deref(), &flags, &mut output).await)
            })
            .await
        }
    }
}

/// Checks Services: once, or repeatedly with `--watch`.
async fn check(
    settings: RunSettings,
    connection: &Connection,
    interrupt: &Interrupt,
) -> Result<Exit, Error> {
    // Read and open all files before the first call to the API server, so that a wrong file fails early.
    let settings = match settings.config.clone() {
        None => settings,
        Some(file) => smoke_test::read(&file, settings, connection.namespace.as_deref())?,
    };
    let documents = Documents::of(&settings.expectations)?;
    let outlets = Outlet::all(&settings.outputs, settings.color)?;
    connected(connection, interrupt, async |cluster, namespace| {
        let run = Run {
            cluster: &cluster,
            connection,
            namespace: &namespace,
            settings: &settings,
            documents: &documents,
            interrupt,
            again: false,
        };
        let exit = match settings.watch {
            None => {
                run.once(|reports| output::write_all(reports, &outlets))
                    .await
            }
            Some(pause) => watch::watch(&run, pause, &outlets).await,
        };
        tracing::info!(calls = cluster.calls(), "calls to the API server");
        exit
    })
    .await
}

/// Connects to the cluster and calls `go_on` with a client and the current namespace. A credential plugin may wait for
/// user input, so an interrupt aborts the connection.
async fn connected(
    connection: &Connection,
    interrupt: &Interrupt,
    go_on: impl AsyncFnOnce(Live, String) -> Result<Exit, Error>,
) -> Result<Exit, Error> {
    interrupt.heed_signals().await;
    let (cluster, namespace) = tokio::select! {
        exit = interrupt.raised() => return Ok(exit),
        connected = Live::connect(connection) => connected.map_err(|source| Error::Kubeconfig {
            file: connection.kubeconfig.clone(),
            source: Box::new(source),
        })?,
    };
    go_on(cluster, namespace).await
}

/// A command without verdicts exits with 0 on success.
fn done(result: Result<(), Error>) -> Result<Exit, Error> {
    result.map(|()| Exit::AsExpected)
}
