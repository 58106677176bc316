//! Logs on standard error, at the level of `-v` or `RUST_LOG`.

use crate::config::Verbosity;
use tracing_subscriber::{EnvFilter, filter::LevelFilter};

/// From this level on, kubectl logs headers and bodies.
const EVERYTHING: u8 = 8;

/// Starts logging. `verbose` has an item for each `-v`.
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
    // Other crates log too much below -vv. kube_client logs failures that our own errors report already.
    let filter = match std::env::var("RUST_LOG") {
        Ok(directives) if !directives.is_empty() => EnvFilter::new(directives),
        _ if verbose < 2 => EnvFilter::new(format!("warn,kube_client=off,svc_reach={level}")),
        _ => EnvFilter::new(level.to_string()),
    };
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .with_target(false)
        // If standard error is a closed terminal, reporting such an error would panic and leave probes behind.
        .log_internal_errors(false)
        .init();
}
