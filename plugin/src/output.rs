//! Reports as text. Renderers take a report and a writer, tables a screen, too; they decide nothing and read nothing
//! else.

mod file;
mod findings;
mod grid;
mod json;
mod junit;
mod markdown;
mod printable;
mod screen;
mod table;
mod tap;
mod wording;
mod yaml;

use crate::{
    config::{Color, Format, Output},
    error::{Error, UsageError},
};
use anstream::AutoStream;
use file::File;
use screen::Screen;
use std::io::{self, Write};
use svc_reach_common::report::Report;
use table::Detail;

/// A form of the report, and a place that was found fit to take it.
#[derive(Debug)]
pub struct Outlet {
    format: Format,
    /// `None`: standard output.
    file: Option<File>,
    screen: Screen,
}

impl Outlet {
    /// Finds out whether reports can go where they shall.
    ///
    /// # Errors
    ///
    /// A file that cannot be written, or that two reports would go to.
    pub fn all(outputs: &[Output], color: Color) -> Result<Vec<Self>, Error> {
        let mut outlets: Vec<Self> = Vec::new();
        for output in outputs {
            let file = match &output.file {
                None => None,
                Some(path) => Some(File::find(path).map_err(|source| Error::OutputFile {
                    file: path.clone(),
                    source,
                })?),
            };
            let taken = |file: &File| {
                outlets
                    .iter()
                    .any(|other| other.file.as_ref() == Some(file))
            };
            if let Some(file) = file.as_ref().filter(|file| taken(file)) {
                return Err(Error::Usage(UsageError::invalid(
                    "--output",
                    &file.given().display().to_string(),
                    "takes another output already",
                )));
            }
            outlets.push(Self {
                format: output.format,
                screen: match file {
                    Some(_) => Screen::file(color),
                    None => Screen::stdout(color),
                },
                file,
            });
        }
        Ok(outlets)
    }

    /// Writes the report.
    ///
    /// # Errors
    ///
    /// Those of the file, or of standard output.
    pub fn write(&self, report: &Report) -> Result<(), Error> {
        let mut text = Vec::new();
        write(self.format, report, self.screen, &mut text).map_err(Error::Write)?;
        match &self.file {
            Some(file) => file.write(&text).map_err(|source| Error::WriteFile {
                file: file.given().to_owned(),
                source,
            }),
            None => {
                let output = io::stdout().lock();
                let written = if self.screen.color {
                    // Consoles of Windows have to be told of colours.
                    all(AutoStream::always(output), &text)
                } else {
                    all(output, &text)
                };
                written.map_err(Error::Write)
            }
        }
    }
}

fn all(mut writer: impl Write, text: &[u8]) -> io::Result<()> {
    writer.write_all(text)?;
    writer.flush()
}

/// Writes a report in a format.
///
/// # Errors
///
/// Those of the writer.
fn write(
    format: Format,
    report: &Report,
    screen: Screen,
    writer: &mut impl Write,
) -> io::Result<()> {
    match format {
        Format::Table => table::write(report, Detail::Short, screen, writer),
        Format::Wide => table::write(report, Detail::Wide, screen, writer),
        Format::Json => json::write(report, writer),
        Format::Yaml => yaml::write(report, writer),
        Format::Junit => junit::write(report, writer),
        Format::Tap => tap::write(report, writer),
        Format::Markdown => markdown::write(report, writer),
    }
}
