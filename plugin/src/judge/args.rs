//! What was typed after `judge`.

use crate::cli::ExpectationArgs;
use clap::Args;

#[derive(Debug, Args)]
pub struct JudgeArgs {
    /// A report that -o json or -o yaml printed; - for standard input
    #[arg(value_name = "FILE")]
    pub file: String,
    /// A later one: what changed between the two
    #[arg(value_name = "NEW", conflicts_with_all = ["matrix", "strict", "column", "network_model", "proxy_mode"])]
    pub new: Option<String>,
    /// Output format: as of a run; of two reports: table or json
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub output: String,
    #[command(flatten)]
    pub expectations: ExpectationArgs,
}
