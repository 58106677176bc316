//! Public reports of Services that could not be reached, as dumps with the right value of every cell that was asserted.

use super::super::{args::ExplainArgs, command::ExplainCommand};
use crate::cluster::yaml;
use clap::Parser;
use serde_json::{Value, json};
use std::{fs, path::Path};

/// The files of a folder, by name.
fn reports() -> Vec<(String, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/commands/explain/tests/reports");
    let mut reports: Vec<(String, Value)> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            let mut documents = yaml::documents(&fs::read_to_string(&path).unwrap()).unwrap();
            (name, documents.remove(0))
        })
        .collect();
    reports.sort_by(|one, other| one.0.cmp(&other.0));
    reports
}

/// What `explain --from FILE` prints.
fn explain(name: &str, report: &Value, args: &[&str]) -> String {
    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        args: ExplainArgs,
    }
    let unique = format!(
        "svc-reach-{}-{name}-{}.json",
        std::process::id(),
        args.len()
    );
    let file = std::env::temp_dir().join(unique);
    let list = json!({"kind": "List", "items": report["dump"]});
    fs::write(&file, list.to_string()).unwrap();
    let words = [
        "explain",
        text(&report["service"]),
        "--from",
        file.to_str().unwrap(),
    ];
    let args = Cli::try_parse_from(words.iter().chain(args)).unwrap().args;
    let mut printed = Vec::new();
    let answered = ExplainCommand::new(args)
        .unwrap()
        .answer_from_dump(text(&report["namespace"]), &mut printed);
    fs::remove_file(&file).unwrap();
    answered.unwrap_or_else(|error| panic!("{name}: {error}"));
    String::from_utf8(printed).unwrap()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

/// The value of a cell: reachable, unreachable, by chance, unknown, or absent.
fn value(explanation: &Value, position: &str, kind: &str, address: &str) -> char {
    let cell = explanation["cells"]
        .as_array()
        .unwrap()
        .iter()
        .find(|cell| {
            let target = &cell["target"];
            let own = text(&target["address"]);
            cell["position"] == position
                && target["kind"] == kind
                && format!("{own}:{}", target["port"]) == address
        });
    match cell.map(|cell| (&cell["reachable"], &cell["predicted"]["chance"])) {
        None => '-',
        Some((Value::String(word), _)) if word == "reachable" => 'R',
        Some((Value::String(_), _)) => 'U',
        Some((_, Value::Null)) => '?',
        Some(_) => 'S',
    }
}

/// Compares every cell. `!R` is anything but reachable.
fn check(name: &str, explanation: &Value, cells: &str) {
    for line in cells.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [expected, positions, kind, address] = words[..] else {
            panic!("{name}: {line}");
        };
        for position in positions.split(',') {
            let found = value(explanation, position, kind, address);
            let right = match expected.strip_prefix('!') {
                Some(wrong) => !wrong.starts_with(found),
                None => expected.starts_with(found),
            };
            assert!(
                right,
                "{name}: {position} to {kind} {address} is {found}, not {expected}"
            );
        }
    }
}

#[test]
fn every_cell_has_the_right_value() {
    let reports = reports();
    assert!(reports.len() > 7, "{}", reports.len());
    for (name, report) in &reports {
        let json = |args: &[&str]| -> Value {
            let args: Vec<&str> = args.iter().copied().chain(["-o", "json"]).collect();
            serde_json::from_str(&explain(name, report, &args)).unwrap()
        };
        let explanation = json(&[]);
        check(name, &explanation, text(&report["cells"]));
        if let Value::Array(endpoints) = &report["endpoints"] {
            for cell in explanation["cells"].as_array().unwrap() {
                if cell["target"]["kind"] == "cluster-ip" && cell["position"] != "external" {
                    assert_eq!(cell["predicted"]["endpoints"], json!(endpoints), "{name}");
                }
            }
        }
        for other in report["also"].as_array().into_iter().flatten() {
            let args: Vec<&str> = other["args"].as_array().unwrap().iter().map(text).collect();
            check(
                &format!("{name} {args:?}"),
                &json(&args),
                text(&other["cells"]),
            );
        }
    }
}

/// The table fits the screen and says what the reporter had to know.
#[test]
fn the_table_says_what_matters() {
    for (name, report) in &reports() {
        let table = explain(name, report, &[]);
        let one_line = table.split_whitespace().collect::<Vec<_>>().join(" ");
        for says in report["says"].as_array().unwrap() {
            assert!(
                one_line.contains(text(says)),
                "{name}: no {says} in\n{table}"
            );
        }
        for line in table.lines() {
            let columns = textwrap::core::display_width(line);
            assert!(columns <= 80, "{name}: {columns} columns\n{table}");
        }
    }
}
