//! What the command line asks for, done. The main job in reading order is [`crate::run`].

use crate::{
    cleanup,
    cluster::live::Live,
    completion,
    config::{Action, Config, Connection},
    error::Error,
    images::Images,
    interrupt::Interrupt,
    matrices::Documents,
    output::Outlet,
    progress,
    run::Job,
    smoke_test,
    version::Version,
    watch,
};
use std::ops::ControlFlow;
use svc_reach_common::{exit::Exit, report::Reports};

/// Does what the command line says and tells how that ended.
///
/// # Errors
///
/// What kept it from being done.
pub async fn run(config: Config, interrupt: Interrupt) -> Result<Exit, Error> {
    let mut output = std::io::stdout();
    let connection = &config.connection;
    match config.action {
        Action::Matrix(command) => command.answer(&mut output).map(|()| Exit::AsExpected),
        Action::Judge(command) => command.answer(&mut output),
        Action::Completion(shell) => {
            completion::script(shell, &mut output).map(|()| Exit::AsExpected)
        }
        Action::Images(format) => Images::ALL
            .write(format, &mut output)
            .map(|()| Exit::AsExpected),
        Action::Version(format) => Version::of_this()?
            .write(format, &mut output)
            .map(|()| Exit::AsExpected),
        Action::Explain(command) if command.offline() => {
            let namespace = connection.namespace.as_deref().unwrap_or("default");
            command
                .answer_from_dump(namespace, &mut output)
                .map(|()| Exit::AsExpected)
        }
        Action::Run(run) => {
            // A matrix or a file that cannot be used is found out before the cluster is asked for anything.
            let run = match run.config.clone() {
                None => *run,
                Some(file) => smoke_test::read(&file, *run, connection.namespace.as_deref())?,
            };
            let documents = Documents::of(&run.expectations)?;
            let outlets = Outlet::all(&run.outputs, run.color)?;
            let (cluster, namespace) = match connect(connection, &interrupt).await? {
                ControlFlow::Continue(connected) => connected,
                ControlFlow::Break(exit) => return Ok(exit),
            };
            let job = Job {
                cluster: &cluster,
                connection,
                namespace: &namespace,
                run: &run,
                documents: &documents,
                interrupt: &interrupt,
                again: false,
            };
            let exit = match run.watch {
                None => job.once(|reports| write(reports, &outlets)).await,
                Some(pause) => watch::watch(&job, pause, &outlets).await,
            };
            tracing::info!(calls = cluster.calls(), "calls to the API server");
            exit
        }
        Action::Explain(command) => {
            let (cluster, namespace) = match connect(connection, &interrupt).await? {
                ControlFlow::Continue(connected) => connected,
                ControlFlow::Break(exit) => return Ok(exit),
            };
            tokio::select! {
                exit = interrupt.raised() => Ok(exit),
                explained = command.answer_from_cluster(&cluster, &namespace, &mut output) => {
                    explained.map(|()| Exit::AsExpected)
                }
            }
        }
        Action::Cleanup { run } => {
            let (cluster, namespace) = match connect(connection, &interrupt).await? {
                ControlFlow::Continue(connected) => connected,
                ControlFlow::Break(exit) => return Ok(exit),
            };
            let flags = connection.flags();
            cleanup::cleanup(&cluster, &namespace, run.as_deref(), &flags, &mut output)
                .await
                .map(|()| Exit::AsExpected)
        }
    }
}

/// A client and the current namespace, or how the run ends where the user has not the patience: a credential plugin may
/// wait for somebody.
async fn connect(
    connection: &Connection,
    interrupt: &Interrupt,
) -> Result<ControlFlow<Exit, (Live, String)>, Error> {
    interrupt.heed_signals().await;
    tokio::select! {
        exit = interrupt.raised() => Ok(ControlFlow::Break(exit)),
        connected = Live::connect(connection) => connected.map(ControlFlow::Continue),
    }
}

/// Writes the reports of a run; tells how that ended.
pub fn write(reports: &Reports, outlets: &[Outlet]) -> Exit {
    // One that cannot be written is no reason to keep the others back.
    outlets
        .iter()
        .fold(reports.exit(), |exit, outlet| match outlet.write(reports) {
            Ok(()) => exit,
            Err(error) => exit.and(report_error(&error)),
        })
}

/// Prints an error, its causes and the next step; tells how a run with it ends.
pub fn report_error(error: &Error) -> Exit {
    // The reader knows that it left.
    if error.is_of_a_reader_who_left() {
        return error.exit();
    }
    progress::plain(&format!("error: {}", error.chain()));
    if let Some(hint) = error.hint() {
        progress::plain(&format!("hint: {hint}"));
    }
    error.exit()
}
