//! Arguments of `matrix`.

use clap::{Args, Subcommand};

#[derive(Debug, Args)]
pub struct MatrixArgs {
    #[command(subcommand)]
    pub question: MatrixQuery,
}

#[derive(Debug, Subcommand)]
pub enum MatrixQuery {
    /// List names, editions, dates, sources and numbers of cells
    List(ListArgs),
    /// Show one edition as the table that the document has
    Show(ShowArgs),
    /// Show what differs between two editions
    Diff(DiffArgs),
}

#[derive(Debug, Args)]
pub struct ListArgs {
    #[command(flatten)]
    pub output: MatrixOutputArgs,
}

#[derive(Debug, Args)]
pub struct ShowArgs {
    /// NAME[@EDITION], the newest edition if none is named; or FILE[@EDITION]
    #[arg(value_name = "MATRIX")]
    pub matrix: String,
    #[command(flatten)]
    pub output: MatrixOutputArgs,
}

#[derive(Debug, Args)]
pub struct DiffArgs {
    /// First edition: NAME[@EDITION] or FILE[@EDITION]
    #[arg(value_name = "FROM")]
    pub from: String,
    /// Second edition
    #[arg(value_name = "TO")]
    pub to: String,
    #[command(flatten)]
    pub output: MatrixOutputArgs,
}

#[derive(Debug, Args)]
pub struct MatrixOutputArgs {
    /// Output format: table, json, yaml or markdown
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub output: String,
}
