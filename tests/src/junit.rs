//! A JUnit file as a parser reads it that is not ours: junitparser, of PyPI.

use serde::Deserialize;
use std::{path::Path, process::Command};

/// What a file says.
#[derive(Debug, Deserialize)]
pub struct Junit {
    /// How many test cases it says that it has.
    pub tests: usize,
    /// How many of them it says have failed.
    pub failures: usize,
    /// How many of them it says had an error.
    pub errors: usize,
    /// How many of them it says were skipped.
    pub skipped: usize,
    /// Test cases in it.
    pub cases: usize,
    /// What those that did not pass ended with (`Failure`, `Error` or `Skipped`), and what is said of it.
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

/// Reads a file.
///
/// # Panics
///
/// Where the parser is not to be had, or finds no JUnit in the file.
#[must_use]
#[expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test without its file fails, and shows what the parser said"
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
        panic!("{} was not read: {fault}\n{error}", path.display())
    })
}
