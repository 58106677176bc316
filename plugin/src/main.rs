//! `kubectl svc-reach`: from where can a Service be reached, is that what the documentation says, and if not, why?

mod advisories;
mod app;
mod assignment;
mod cells;
mod cleanup;
mod cli;
mod clues;
mod cluster;
mod completion;
mod config;
mod deployment;
mod detection;
mod error;
mod explain;
mod external;
mod following;
mod images;
mod interrupt;
mod judge;
mod kubeconfig;
mod ledger;
mod logging;
mod man;
mod matrices;
mod names;
mod output;
mod placement;
mod plain;
mod planning;
mod pod_state;
mod preflight;
mod probe_job;
mod progress;
mod reader;
mod reporting;
mod run;
mod shell;
mod smoke_test;
mod survey;
mod targets;
#[cfg(test)]
mod test_data;
mod version;
mod wait;
mod watch;

use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    if let Some(words) = completion::asked(std::env::args_os()) {
        // Whoever asks for completions has left where they cannot be written.
        let _ = completion::answer(&words, &mut std::io::stdout());
        return ExitCode::SUCCESS;
    }
    if let Some(folder) = man::asked(std::env::args_os()) {
        return match man::write(folder) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => ExitCode::from(app::report_error(&error).code()),
        };
    }
    let cli = cli::Cli::read(std::env::args_os()).unwrap_or_else(|error| error.exit());
    logging::start(&cli.connection.verbose);
    let (signals, interrupt) = interrupt::Signals::new();
    let run = async { app::run(config::Config::new(cli)?, interrupt).await };
    // Signals first: whoever asks for them to be heeded goes on once they are.
    let ended = tokio::select! {
        biased;
        at_once = signals.watch() => Ok(at_once),
        ended = run => ended,
    };
    ExitCode::from(
        ended
            .unwrap_or_else(|error| app::report_error(&error))
            .code(),
    )
}
