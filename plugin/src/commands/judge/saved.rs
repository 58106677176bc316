//! Reports that an earlier run printed.

use crate::error::Error;
use serde::Deserialize;
use std::io::Read;
use svc_reach_common::report::{API_VERSION, Kind, Report, Reports};

/// Why a file is not a report.
#[derive(Debug, thiserror::Error)]
enum SavedReportError {
    #[error("{0}")]
    Yaml(String),
    #[error("not a report of kubectl svc-reach: apiVersion is {0:?}, expected {API_VERSION:?}")]
    ApiVersion(String),
    #[error("it contains no report")]
    Empty,
}

/// The fields that identify the kind of object.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    api_version: String,
    kind: Kind,
}

/// Reads the reports of a file, or of standard input if it is `-`. They may be YAML or JSON.
pub fn read(file: &str) -> Result<Reports, Error> {
    let unusable = |source: Box<dyn std::error::Error + Send + Sync>| Error::File {
        file: file.to_owned(),
        source,
    };
    let text = if file == "-" {
        let mut text = String::new();
        std::io::stdin()
            .read_to_string(&mut text)
            .map(|_| text)
            .map_err(|error| unusable(error.into()))?
    } else {
        std::fs::read_to_string(file).map_err(|error| unusable(error.into()))?
    };
    parse(&text).map_err(|error| unusable(error.into()))
}

fn parse(text: &str) -> Result<Reports, SavedReportError> {
    let head: Head = yaml(text)?;
    if head.api_version != API_VERSION {
        return Err(SavedReportError::ApiVersion(head.api_version));
    }
    let reports = match head.kind {
        Kind::Report => yaml::<Report>(text)?.into(),
        Kind::ReportList => Reports::List(yaml(text)?),
    };
    if reports.items().is_empty() {
        return Err(SavedReportError::Empty);
    }
    Ok(reports)
}

/// Reads YAML of any length, because we wrote the report ourselves. JSON has a faster reader.
fn yaml<T: for<'de> Deserialize<'de>>(text: &str) -> Result<T, SavedReportError> {
    if text.trim_start().starts_with('{') {
        return serde_json::from_str(text)
            .map_err(|error| SavedReportError::Yaml(error.to_string()));
    }
    serde_saphyr::from_str(text)
        .map_err(|error| SavedReportError::Yaml(error.without_snippet().to_string()))
}
