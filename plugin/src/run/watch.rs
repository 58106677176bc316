//! `--watch`: runs repeatedly and prints a line for each change.

use crate::{
    cluster::Cluster,
    commands::judge::{change::Comparison, table},
    error::Error,
    output::{Outlet, printable::printable},
    run::Run,
    terminal::{messages::report_error, reader},
};
use jiff::{Timestamp, Unit};
use std::{
    collections::BTreeMap,
    io::{self, Write},
    time::Duration,
};
use svc_reach_common::{
    exit::Exit,
    report::{Report, Reports},
};
use tokio::time::sleep;

/// How long a watch repeats a run during which the cluster changed, unless `--settle` says otherwise. A watch is for
/// changes, and its lines should compare states that were observed.
const SETTLE: Duration = Duration::from_secs(30);

/// Runs repeatedly, with a pause in between, until it is interrupted or the reader of standard output is gone. Prints
/// the first report in full, and later only what changed.
///
/// # Errors
///
/// If the first run fails, or if the reader is gone. If a later run fails, this prints the error and continues, because
/// the API server may come back.
pub async fn watch(
    run: &Run<'_, impl Cluster>,
    pause: Duration,
    outlets: &[Outlet],
) -> Result<Exit, Error> {
    let mut before: Option<Reports> = None;
    // Only the first run waits. If a backend disappears later, the watch has to report it.
    let mut first = run.settings.clone();
    first.settle = Some(first.settle.unwrap_or(SETTLE));
    let mut later = first.clone();
    later.wait = None;
    loop {
        let mut told = Ok(());
        // Start with all Services each time: a deleted Service may come back.
        let mut settings = if before.is_some() { &later } else { &first }.clone();
        let ran = loop {
            let this = Run {
                settings: &settings,
                again: before.is_some(),
                ..*run
            };
            let ran = this
                .once(|reports| match &before {
                    _ if run.interrupt.get().is_some() => Exit::AsExpected,
                    None => {
                        told = tell(outlets, |outlet| outlet.write(reports));
                        before = Some(reports.clone());
                        reports.exit()
                    }
                    Some(old) => {
                        told = tell_changes(&changes(old, reports), reports, outlets);
                        before = Some(reports.clone());
                        reports.exit()
                    }
                })
                .await;
            // If a Service is gone, check the others without it. The failed run has created nothing.
            if let Err(Error::NoService {
                namespace, name, ..
            }) = &ran
                && before.is_some()
                && let Some(rest) = settings.without(namespace, name, run.namespace)
            {
                settings = rest;
            } else {
                break ran;
            }
        };
        match ran {
            Ok(_) => {}
            Err(error) if before.is_none() => return Err(error),
            Err(error) => {
                report_error(&error);
            }
        }
        told?;
        tokio::select! {
            exit = run.interrupt.raised() => return Ok(exit),
            () = sleep(pause) => {}
        }
        // If nothing changes, nothing is written, and no failed write would show that the reader is gone.
        if reader::has_left(&io::stdout()) {
            return Err(Error::Write(io::ErrorKind::BrokenPipe.into()));
        }
    }
}

/// Writes to each outlet. Files come first, so that they are up to date for a script that reacts to standard output.
/// Returns an error only if the reader is gone.
fn tell(outlets: &[Outlet], write: impl Fn(&Outlet) -> Result<(), Error>) -> Result<(), Error> {
    let (read, kept): (Vec<_>, Vec<_>) = outlets.iter().partition(|outlet| outlet.is_stdout());
    kept.into_iter()
        .chain(read)
        .map(|outlet| unless_left(write(outlet)))
        .fold(Ok(()), Result::and)
}

/// Writes whole reports to files and as JSON, and changes as lines for people. If nothing else goes to standard output,
/// the lines still do.
fn tell_changes(changes: &[String], reports: &Reports, outlets: &[Outlet]) -> Result<(), Error> {
    let lines = || lines(changes).map_err(Error::Write);
    let told = tell(outlets, |outlet| {
        if outlet.is_repeated() {
            outlet.write(reports)
        } else {
            lines()
        }
    });
    if outlets.iter().any(Outlet::is_stdout) {
        told
    } else {
        told.and(unless_left(lines()))
    }
}

/// Prints a write error and ignores it, because a later write may succeed. Returns it if the reader is gone for good.
fn unless_left(written: Result<(), Error>) -> Result<(), Error> {
    written.or_else(|error| {
        if error.is_of_a_reader_who_left() {
            return Err(error);
        }
        report_error(&error);
        Ok(())
    })
}

fn lines(changes: &[String]) -> io::Result<()> {
    let mut output = io::stdout().lock();
    let now = Timestamp::now();
    let now = now.round(Unit::Second).unwrap_or(now);
    for change in changes {
        writeln!(output, "{now} {change}")?;
    }
    output.flush()
}

/// What changed between two runs, one line for each change.
fn changes(old: &Reports, new: &Reports) -> Vec<String> {
    let by_name = |reports: &'_ Reports| -> BTreeMap<(String, String), Report> {
        let items = reports.items().iter().cloned();
        items
            .map(|report| {
                let service = &report.service;
                ((service.namespace.clone(), service.name.clone()), report)
            })
            .collect()
    };
    let (mut old, new) = (by_name(old), by_name(new));
    let mut lines = Vec::new();
    for (name, to) in &new {
        let service = printable(&format!("{}/{}", name.0, name.1));
        match old.remove(name) {
            None => lines.push(format!("new {service}")),
            Some(from) => {
                let comparison = Comparison::between(&from, to);
                lines.extend(
                    comparison.changes.iter().map(|change| {
                        format!("{} {service} {}", change.became, table::line(change))
                    }),
                );
            }
        }
    }
    let gone = old.into_keys();
    lines.extend(gone.map(|(namespace, name)| printable(&format!("gone {namespace}/{name}"))));
    lines
}

#[cfg(test)]
mod tests {
    use super::{changes, tell, watch};
    use crate::{
        cluster::scripted::{Reply, Scripted},
        config::{Color, Output, ReportFormat},
        error::Error,
        output::Outlet,
        reporting::documents::Documents,
        run::Run,
        terminal::interrupt::Signals,
        testing::{prepared, report, typed},
    };
    use serde_json::{Value, json};
    use std::{io::ErrorKind, time::Duration};
    use svc_reach_common::{
        exit::Exit,
        observation::ObservedValue,
        report::{Report, Reports},
    };

    fn named(name: &str) -> Report {
        let mut report = report();
        name.clone_into(&mut report.service.name);
        report
    }

    #[test]
    fn only_a_closed_pipe_ends_a_watch() {
        let output = Output {
            format: ReportFormat::Table,
            file: None,
        };
        let outlets = Outlet::all(&[output], Color::Never).unwrap();
        for (kind, ends) in [
            (ErrorKind::BrokenPipe, true),
            (ErrorKind::StorageFull, false),
        ] {
            let told = tell(&outlets, |_| Err(Error::Write(kind.into())));
            assert_eq!(told.is_err(), ends, "{kind}");
        }
    }

    /// Watches `a` and `b`, and returns the Services in the output file at the end. `script` gets each call and how
    /// often it was made before, and may replace the default reply.
    async fn watched(
        script: impl Fn(&str, usize, &Signals) -> Option<Reply> + 'static,
    ) -> Vec<String> {
        let (signals, interrupt) = Signals::new();
        let cluster = Scripted::new(move |call, nth| {
            if let Some(reply) = script(call, nth, &signals) {
                return reply;
            }
            match call {
                "POST /apis/batch/v1/namespaces/web/jobs" => Reply::Object(json!({})),
                // No pod ever appears. This test does not need one.
                "WATCH /api/v1/namespaces/web/pods" => Reply::Open(vec![]),
                "GET /api/v1/namespaces/web/pods" => Reply::Object(json!({"items": []})),
                call if call.starts_with("DELETE") => Reply::Object(json!({})),
                call => prepared(call),
            }
        });
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("report");
        let output = Output {
            format: ReportFormat::Json,
            file: Some(file.clone()),
        };
        let (connection, settings) = typed(&["a", "b", "--watch", "--only", "pod-same,cluster-ip"]);
        let run = Run {
            cluster: &cluster,
            connection: &connection,
            namespace: "web",
            settings: &settings,
            documents: &Documents::of(&settings.expectations).unwrap(),
            interrupt: &interrupt,
            again: false,
        };
        let outlets = Outlet::all(&[output], Color::Never).unwrap();
        let ended = watch(&run, Duration::from_secs(1), &outlets).await;
        assert_eq!(ended.unwrap(), Exit::Interrupted);
        let list: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        let reports = list["items"].as_array().unwrap().iter();
        reports
            .map(|report| report["service"]["name"].as_str().unwrap().to_owned())
            .collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_watch_continues_without_a_deleted_service() {
        const A: &str = "GET /api/v1/namespaces/web/services/a";
        const B: &str = "GET /api/v1/namespaces/web/services/b";
        // The end of the first run and the beginning of the second miss b, and then each reads a again, alone.
        for (back, interrupted, expected) in [(9, 6, &["a"][..]), (3, 8, &["a", "b"])] {
            let names = watched(move |call, nth, signals| match call {
                A if nth == interrupted => {
                    signals.raise(Exit::Interrupted);
                    None
                }
                B if (1..back).contains(&nth) => Some(Reply::Failure(404)),
                _ => None,
            });
            let names = tokio::time::timeout(Duration::from_secs(600), names).await;
            assert_eq!(names.unwrap(), expected, "back at {back}");
        }
    }

    #[test]
    fn each_line_names_service_and_cell() {
        let old = Reports::list(vec![named("a"), named("b")]);
        let mut a = named("a");
        a.cells[0].observed.value = ObservedValue::Unreachable;
        a.cells[0].observed.reason = "connection refused\u{1b}[2J".into();
        let new = Reports::list(vec![a, named("c")]);
        assert_eq!(
            changes(&old, &new),
            [
                "worse default/a node-other -> pod-ip 172.16.0.10:8080 on a (backend): reachable (answered HTTP 200), now unreachable (connection refused\\u{1b}[2J)",
                "new default/c",
                "gone default/b",
            ]
        );
        assert!(changes(&new, &new).is_empty());
    }
}
