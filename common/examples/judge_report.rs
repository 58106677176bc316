//! Judges a saved report again: `kubectl svc-reach nginx -o json | cargo run -p svc-reach-common --example judge_report`.
//!
//! It compares the observations with the newest documents, without a cluster.

#![expect(clippy::print_stdout, reason = "an example that people run")]

use std::{error::Error, io};
use svc_reach_common::{
    judging::Judge,
    matrix::{Catalog, MatrixSelection},
    report::Report,
};

fn main() -> Result<(), Box<dyn Error>> {
    let mut report: Report = serde_json::from_reader(io::stdin().lock())?;
    let catalog = Catalog::builtin()?;
    let selection = MatrixSelection::of(report.environment.provider.as_deref());
    let judge = Judge {
        catalog: &catalog,
        selection: &selection,
        circumstances: &report.circumstances,
        terms: &report.terms,
    };
    for cell in &mut report.cells {
        judge.judge(cell);
        println!(
            "{} to {}: {}, {}",
            cell.position, cell.target.address, cell.observed.value, cell.verdict
        );
    }
    report.summarize();
    println!("exit code {}", report.summary.exit().code());
    Ok(())
}
