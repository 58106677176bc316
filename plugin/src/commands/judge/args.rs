//! Arguments of `judge`.

use crate::config::{ExpectationArgs, OutputArgs};
use clap::{Args, ValueHint};

#[derive(Debug, Args)]
pub struct JudgeArgs {
    /// Report that -o json or -o yaml printed; - reads standard input
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub file: String,
    /// A later report: compare the two
    #[arg(value_name = "NEW", value_hint = ValueHint::FilePath, conflicts_with_all = ["matrix", "strict", "column", "network_model", "proxy_mode", "fail_on", "require_reachable", "require_unreachable"])]
    pub new: Option<String>,
    #[command(flatten)]
    pub output: OutputArgs,
    #[command(flatten)]
    pub expectations: ExpectationArgs,
}
