//! `version`: the versions of the plugin, its probe and its matrices. It needs no cluster.

use crate::{commands::plain::PlainFormat, error::Error};
use serde::Serialize;
use std::io::{self, Write};
use svc_reach_common::{
    matrix::{Catalog, Edition},
    names,
    wire::plan,
};

/// The versions of the plugin, its probe and its matrices.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VersionInfo {
    client_version: &'static str,
    probe: ProbeInfo,
    matrices: Vec<MatrixInfo>,
}

/// The probe that this program deploys.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ProbeInfo {
    image: &'static str,
    protocol_version: u32,
}

/// A matrix and its newest edition.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct MatrixInfo {
    name: String,
    edition: String,
    alias: Option<String>,
    dated: Option<String>,
}

impl MatrixInfo {
    fn of(edition: &Edition) -> Self {
        Self {
            name: edition.name.clone(),
            edition: edition.edition.clone(),
            alias: edition.alias.clone(),
            dated: edition.dated.clone(),
        }
    }
}

impl VersionInfo {
    /// The versions of this program.
    ///
    /// # Errors
    ///
    /// If a built-in matrix cannot be read, which a test rules out.
    pub fn of_this() -> Result<Self, Error> {
        let catalog = Catalog::builtin()?;
        // The newest edition of each matrix comes first.
        let newest = catalog
            .editions()
            .chunk_by(|one, other| one.name == other.name)
            .filter_map(<[Edition]>::first);
        Ok(Self {
            client_version: env!("CARGO_PKG_VERSION"),
            probe: ProbeInfo {
                image: names::IMAGE,
                protocol_version: plan::VERSION,
            },
            matrices: newest.map(MatrixInfo::of).collect(),
        })
    }

    /// Writes the versions.
    ///
    /// # Errors
    ///
    /// If writing fails.
    pub fn write(&self, format: PlainFormat, writer: &mut impl Write) -> Result<(), Error> {
        format.write(self, writer, |writer| self.text(writer))
    }

    fn text(&self, writer: &mut dyn Write) -> io::Result<()> {
        writeln!(writer, "Client Version: v{}", self.client_version)?;
        writeln!(writer, "Probe Image: {}", self.probe.image)?;
        let protocol = self.probe.protocol_version;
        writeln!(writer, "Probe Protocol Version: {protocol}")?;
        for matrix in &self.matrices {
            let readable = matrix.alias.as_ref().unwrap_or(&matrix.edition);
            let dated = matrix.dated.as_deref().unwrap_or("undated");
            writeln!(writer, "Matrix: {}@{readable} ({dated})", matrix.name)?;
        }
        Ok(())
    }
}
