//! What to compare observations with, and which results fail a run.

use super::error::UsageError;
use clap::Args;
use serde::Deserialize;
use svc_reach_common::{
    matrix::Column,
    network_model::NetworkModel,
    proxy_mode::ProxyMode,
    terms::{Failure, GivenTerms, Required, Terms},
    verdict::{Reachability, Verdict},
};

/// What to compare observations with.
#[derive(Debug, Args)]
#[command(next_help_heading = "Expectations")]
pub struct ExpectationArgs {
    /// Matrix to compare with: NAME[@EDITION] or FILE[@EDITION]. Default: the one of the detected provider
    #[arg(hide_short_help = true, long, value_name = "MATRIX")]
    pub matrix: Option<String>,
    /// Compare with one edition only, even where others disagree
    #[arg(hide_short_help = true, long)]
    pub strict: bool,
    /// What ends the run with exit code 1, of worse, better, unstable, client-address, disputed and undocumented. Default: the first four
    ///
    /// client-address: backends do not see the client's address, although a document states that they do or the
    /// forwarding model is certain of it.
    #[arg(hide_short_help = true, long, value_name = "VERDICTS")]
    pub fail_on: Option<String>,
    /// Require a cell to be reachable, whatever the documents say
    ///
    /// For example: pod-other:cluster-ip. The option is repeatable.
    #[arg(hide_short_help = true, long, value_name = "POSITION:TARGET")]
    pub require_reachable: Vec<String>,
    /// Require a cell to be unreachable, whatever the documents say
    ///
    /// For example: external:node-port. The option is repeatable.
    #[arg(hide_short_help = true, long, value_name = "POSITION:TARGET")]
    pub require_unreachable: Vec<String>,
    /// Network model and proxy mode of the cluster, such as vpc/iptables
    #[arg(hide_short_help = true, long, value_name = "COLUMN", conflicts_with_all = ["network_model", "proxy_mode"])]
    pub column: Option<String>,
    /// Container network model: tunnel, vpc or eni. Default: what can be detected
    #[arg(hide_short_help = true, long, value_name = "MODEL")]
    pub network_model: Option<String>,
    /// What forwards Service traffic: iptables, ipvs, nftables, userspace or ebpf. Default: what can be detected
    #[arg(hide_short_help = true, long, value_name = "MODE")]
    pub proxy_mode: Option<String>,
}

/// What to compare observations with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExpectationSettings {
    /// `NAME[@EDITION]` or `FILE[@EDITION]`; `None`: the matrix of the detected provider.
    pub matrix: Option<String>,
    /// Whether to compare with one edition only.
    pub strict: bool,
    /// What the user says about the cluster.
    pub overrides: ClusterOverrides,
}

/// What the user says about the cluster.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ClusterOverrides {
    /// `--network-model`, or the first half of `--column`.
    pub network_model: Option<NetworkModel>,
    /// `--proxy-mode`, or the second half of `--column`.
    pub proxy_mode: Option<ProxyMode>,
}

/// Something that can fail a run.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "String")]
pub struct FailOn(pub Failure);

impl TryFrom<String> for FailOn {
    type Error = UsageError;

    fn try_from(word: String) -> Result<Self, UsageError> {
        match word.parse() {
            Ok(failure) => Ok(Self(failure)),
            Err(_) if word == Verdict::AsExpected.as_str() => Err(UsageError::NoFailure(
                word,
                "as-expected cells never fail a run",
            )),
            Err(_) if word == Verdict::NotObserved.as_str() => Err(UsageError::NoFailure(
                word,
                "cells that could not be observed always give exit code 3",
            )),
            Err(error) => Err(error.into()),
        }
    }
}

/// Interprets the flags that say what to compare with.
pub fn expectations(args: ExpectationArgs) -> Result<ExpectationSettings, UsageError> {
    let overrides = match args.column {
        Some(column) => {
            let column: Column = column.parse()?;
            ClusterOverrides {
                network_model: Some(column.network_model),
                proxy_mode: Some(column.proxy_mode),
            }
        }
        None => ClusterOverrides {
            network_model: args.network_model.map(|word| word.parse()).transpose()?,
            proxy_mode: args.proxy_mode.map(|word| word.parse()).transpose()?,
        },
    };
    Ok(ExpectationSettings {
        matrix: args.matrix,
        strict: args.strict,
        overrides,
    })
}

/// What fails a run and what is required, from the command line.
pub fn given_terms(args: &ExpectationArgs) -> Result<GivenTerms, UsageError> {
    let fail_on = |words: &String| {
        words
            .split(',')
            .filter(|word| !word.is_empty())
            .map(|word| Ok(FailOn::try_from(word.to_owned())?.0))
            .collect::<Result<_, UsageError>>()
            .map_err(|error| error.of("--fail-on"))
    };
    let required = |texts: &[String], value| {
        let all = texts.iter().map(|text| Ok(Required::parse(text, value)?));
        let all: Vec<Required> = all.collect::<Result<_, UsageError>>()?;
        Ok::<_, UsageError>((!all.is_empty()).then_some(all))
    };
    Ok(GivenTerms {
        fail_on: args.fail_on.as_ref().map(fail_on).transpose()?,
        reachable: required(&args.require_reachable, Reachability::Reachable)?,
        unreachable: required(&args.require_unreachable, Reachability::Unreachable)?,
    })
}

/// The given terms, completed with the others. An error if they contradict each other.
pub fn terms(given: &GivenTerms, others: &Terms) -> Result<Terms, UsageError> {
    let terms = given.over(others);
    match terms.contradiction() {
        None => Ok(terms),
        Some(both) => Err(UsageError::invalid(
            "--require-unreachable",
            &both.place(),
            "is also required to be reachable",
        )),
    }
}
