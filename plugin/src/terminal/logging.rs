//! Logs, on standard error: as many as `-v` asks for, or as `RUST_LOG` says.

use crate::config::Verbosity;
use tracing_subscriber::{EnvFilter, filter::LevelFilter};

/// The level from which kubectl shows headers, or even bodies.
const EVERYTHING: u8 = 8;

/// Starts logging. `verbose`: every `-v`.
pub fn start(verbose: &[Verbosity]) {
    let more = verbose.iter().map(|one| match one {
        Verbosity::More => 1,
        Verbosity::Level(0) => 0,
        Verbosity::Level(..EVERYTHING) => 1,
        Verbosity::Level(EVERYTHING..) => 2,
    });
    let verbose: u32 = more.sum();
    let level = match verbose {
        0 => LevelFilter::WARN,
        1 => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    };
    // Other crates' debugging is noise, until all of it is asked for; what kube fails at is ours to tell.
    let filter = match std::env::var("RUST_LOG") {
        Ok(directives) if !directives.is_empty() => EnvFilter::new(directives),
        _ if verbose < 2 => {
            EnvFilter::new(format!("warn,kube_client=off,kubectl_svc_reach={level}"))
        }
        _ => EnvFilter::new(level.to_string()),
    };
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .with_target(false)
        // What says so ends this process where standard error is a terminal that was closed, with probes left to remove.
        .log_internal_errors(false)
        .init();
}
