//! `svc-reach-probe`: the program in the probe's image.

use std::{
    collections::HashSet,
    io::{Read, Write},
    process::ExitCode,
};
use svc_reach_common::{
    names,
    wire::{
        line::Line,
        plan::{self, Plan, RequestKind},
    },
};
use svc_reach_probe::serve::{self, Identity};
use tokio::sync::oneshot;

const USAGE: &str = "\
usage: svc-reach-probe run PLAN…    carry out a plan (JSON, in one or more pieces, or - for standard input)
       svc-reach-probe serve [--port N]… [--udp-port N]…    answer HTTP requests and datagrams
       svc-reach-probe version";

/// Maximum length of a plan on standard input, in bytes. A plan in a pod's arguments is shorter, since etcd accepts
/// objects only up to 1.5 MiB (etcd documentation, `--max-request-bytes`).
const MAX_PLAN: u64 = 64 * 1024 * 1024;

/// Exit code for an invalid command line or plan.
const UNUSABLE: u8 = 2;

/// Exit code if the work could not be done, or if the output could not be written.
const FAILED: u8 = 1;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args_os()
        .skip(1)
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return complain(FAILED, &format!("failed to start the runtime: {error}")),
    };
    let local = tokio::task::LocalSet::new();
    runtime.block_on(local.run_until(async {
        // The signal handlers must be installed before the command starts.
        tokio::select! {
            biased;
            code = signalled() => code,
            code = command(&arguments) => code,
        }
    }))
}

async fn command(arguments: &[String]) -> ExitCode {
    match arguments.split_first() {
        Some((word, pieces)) if word == "run" && !pieces.is_empty() => run(pieces).await,
        Some((word, options)) if word == "serve" => serve(options).await,
        Some((word, [])) if word == "version" => say(env!("CARGO_PKG_VERSION")),
        Some(_) | None => complain(UNUSABLE, USAGE),
    }
}

async fn run(pieces: &[String]) -> ExitCode {
    let plan = match read(pieces).await {
        Ok(plan) => plan,
        Err(error) => {
            let _ = write(&Line::Fatal {
                error: error.clone(),
            });
            return complain(UNUSABLE, &error);
        }
    };
    let (broke, mut broken) = oneshot::channel();
    let mut broke = Some(broke);
    let work = svc_reach_probe::run(&plan, |line| {
        if let Err(error) = write(&line)
            && let Some(broke) = broke.take()
        {
            let _ = broke.send(error);
        }
    });
    // If the output cannot be written any more, the rest of the plan is useless.
    let ended = tokio::select! {
        biased;
        Ok(error) = &mut broken => Err(error),
        () = work => broken.try_recv().map_or(Ok(()), Err),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => complain(FAILED, &format!("failed to write the results: {error}")),
    }
}

async fn read(pieces: &[String]) -> Result<Plan, String> {
    let text = match pieces {
        [piece] if piece == "-" => standard_input()
            .await
            .map_err(|error| format!("failed to read the plan: {error}"))?,
        pieces => pieces.concat(),
    };
    let plan: Plan = serde_json::from_str(&text).map_err(|error| format!("not a plan: {error}"))?;
    if plan.version != plan::VERSION {
        return Err(format!(
            "the plan has version {}, but this agent supports version {}",
            plan.version,
            plan::VERSION
        ));
    }
    let mut ids = HashSet::new();
    for target in &plan.targets {
        if !ids.insert(target.id) {
            return Err(format!("the plan has target {} twice", target.id));
        }
        if let RequestKind::Http { path, .. } = &target.probe
            && !plan::is_path(path)
        {
            return Err(format!(
                "not a plan: the path of target {} is {path:?}",
                target.id
            ));
        }
    }
    Ok(plan)
}

/// Reads in a separate thread, so that a signal can end the program while it waits for input.
async fn standard_input() -> std::io::Result<String> {
    let (reader, text) = oneshot::channel();
    std::thread::spawn(move || {
        let mut text = String::new();
        let read = std::io::stdin()
            .lock()
            .take(MAX_PLAN)
            .read_to_string(&mut text);
        let _ = reader.send(read.map(|_| text));
    });
    text.await.map_err(std::io::Error::other)?
}

/// Writes each line with a single write, so that a reader does not see part of a line for long.
fn write(line: &Line) -> std::io::Result<()> {
    let mut text = serde_json::to_string(line)?;
    text.push('\n');
    let mut output = std::io::stdout().lock();
    output.write_all(text.as_bytes())?;
    output.flush()
}

async fn serve(options: &[String]) -> ExitCode {
    let (mut tcp, mut udp) = (Vec::new(), Vec::new());
    for option in options.chunks(2) {
        let port = option.get(1).and_then(|text| text.parse::<u16>().ok());
        match (option.first().map(String::as_str), port) {
            (Some("--port"), Some(port)) => tcp.push(port),
            (Some("--udp-port"), Some(port)) => udp.push(port),
            _ => return complain(UNUSABLE, USAGE),
        }
    }
    if tcp.is_empty() && udp.is_empty() {
        tcp.push(8080);
    }
    let name = |key| std::env::var(key).ok().filter(|name| !name.is_empty());
    let identity = Identity {
        pod: name(names::ENV_POD_NAME),
        node: name(names::ENV_NODE_NAME),
    };
    match serve::serve(identity, &tcp, &udp).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => complain(FAILED, &format!("failed to listen: {error}")),
    }
}

fn say(text: &str) -> ExitCode {
    match writeln!(std::io::stdout(), "{text}") {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::from(FAILED),
    }
}

fn complain(code: u8, text: &str) -> ExitCode {
    // If this fails, there is no other place for the message.
    let _ = writeln!(std::io::stderr(), "{text}");
    ExitCode::from(code)
}

/// Waits for a signal. The agent is the first process of a container, and the kernel does not end such a process by
/// default, so it needs handlers for both signals.
#[cfg(unix)]
async fn signalled() -> ExitCode {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate)) = (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
    ) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => ExitCode::from(130),
        _ = terminate.recv() => ExitCode::from(143),
    }
}

#[cfg(not(unix))]
async fn signalled() -> ExitCode {
    std::future::pending().await
}
