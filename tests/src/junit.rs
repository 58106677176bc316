//! Reads a JUnit file with an independent parser: junitparser from PyPI.

use serde::Deserialize;
use std::{path::Path, process::Command};

/// The content of a JUnit file.
#[derive(Debug, Deserialize)]
pub struct Junit {
    /// Number of test cases, as the file states it.
    pub tests: usize,
    /// Number of failures, as the file states it.
    pub failures: usize,
    /// Number of errors, as the file states it.
    pub errors: usize,
    /// Number of skipped test cases, as the file states it.
    pub skipped: usize,
    /// Number of test cases that the parser counted.
    pub cases: usize,
    /// For each test case that did not pass: `Failure`, `Error` or `Skipped`, and the message with its text.
    pub results: Vec<(String, String)>,
}

const READ: &str = r#"
import json, sys
from junitparser import JUnitXml

suites = JUnitXml.fromfile(sys.argv[1])
cases = [case for suite in suites for case in suite]
results = [(type(result).__name__, f"{result.message} {result.text}") for case in cases for result in case.result]
stated = {name: getattr(suites, name) for name in ("tests", "failures", "errors", "skipped")}
print(json.dumps({**stated, "cases": len(cases), "results": results}))
"#;

/// Reads a JUnit file.
///
/// # Panics
///
/// If the parser cannot be installed, or the file is not JUnit.
#[must_use]
#[expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "if the file cannot be read, the test fails with what the parser said"
)]
pub fn read(path: &Path) -> Junit {
    let schemas = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas");
    let output = Command::new(schemas)
        .args(["python", "-c", READ])
        .arg(path)
        .output()
        .unwrap();
    serde_json::from_slice(&output.stdout).unwrap_or_else(|fault| {
        let error = String::from_utf8_lossy(&output.stderr);
        panic!("failed to read {}: {fault}\n{error}", path.display())
    })
}
