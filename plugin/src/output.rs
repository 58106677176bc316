//! Prints reports. A renderer takes a report and a writer, and a table also takes a screen. Renderers decide nothing
//! and read nothing else.

mod answer;
mod file;
mod findings;
mod grid;
mod groups;
mod html;
pub mod json;
mod junit;
mod markdown;
mod marks;
mod overview;
pub mod printable;
pub mod screen;
pub mod table;
mod tap;
mod test_results;
pub mod wording;
pub mod yaml;

use crate::config::UsageError;
use crate::{
    config::{Color, Output, ReportFormat},
    error::Error,
    terminal::messages::report_error,
};
use anstream::AutoStream;
use file::OutputFile;
use screen::Screen;
use std::io::{self, Write};
use svc_reach_common::{exit::Exit, report::Reports};
use table::Detail;

/// A report format, and a place that can take it.
#[derive(Debug)]
pub struct Outlet {
    format: ReportFormat,
    /// `None`: standard output.
    file: Option<OutputFile>,
    screen: Screen,
}

impl Outlet {
    /// Checks that every report can be written where the user wants it.
    ///
    /// # Errors
    ///
    /// When a file cannot be written, or two reports would go to the same file.
    pub fn all(outputs: &[Output], color: Color) -> Result<Vec<Self>, Error> {
        let mut outlets: Vec<Self> = Vec::new();
        for output in outputs {
            let file = match &output.file {
                None => None,
                Some(path) => Some(OutputFile::find(path).map_err(|source| Error::OutputFile {
                    file: path.clone(),
                    source,
                })?),
            };
            let taken = |file: &OutputFile| {
                outlets
                    .iter()
                    .any(|other| other.file.as_ref() == Some(file))
            };
            if let Some(file) = file.as_ref().filter(|file| taken(file)) {
                return Err(Error::Usage(UsageError::invalid(
                    "--output",
                    &file.given().display().to_string(),
                    "is already the target of another -o",
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

    /// Whether the report goes to standard output.
    pub const fn is_stdout(&self) -> bool {
        self.file.is_none()
    }

    /// Whether the report is written again for every run of a watch. A file holds the latest report, and a program
    /// reads one JSON object after the other. People only read what changed.
    pub fn is_repeated(&self) -> bool {
        self.file.is_some() || self.format == ReportFormat::Json
    }

    /// Writes the report.
    ///
    /// # Errors
    ///
    /// When the file or standard output cannot be written.
    pub fn write(&self, reports: &Reports) -> Result<(), Error> {
        let mut text = Vec::new();
        write(self.format, reports, self.screen, &mut text).map_err(Error::Write)?;
        match &self.file {
            Some(file) => file.write(&text).map_err(|source| Error::WriteFile {
                file: file.given().to_owned(),
                source,
            }),
            None => {
                let output = io::stdout().lock();
                let written = if self.screen.color {
                    // Windows consoles need a translation of colour codes.
                    all(AutoStream::always(output), &text)
                } else {
                    all(output, &text)
                };
                written.map_err(Error::Write)
            }
        }
    }
}

/// Writes the reports to every outlet, and returns how the run ends. If one outlet fails, the others still get the
/// reports.
pub fn write_all(reports: &Reports, outlets: &[Outlet]) -> Exit {
    outlets
        .iter()
        .fold(reports.exit(), |exit, outlet| match outlet.write(reports) {
            Ok(()) => exit,
            Err(error) => exit.and(report_error(&error)),
        })
}

fn all(mut writer: impl Write, text: &[u8]) -> io::Result<()> {
    writer.write_all(text)?;
    writer.flush()
}

/// Writes the reports in one format.
///
/// # Errors
///
/// When the writer fails.
fn write(
    format: ReportFormat,
    reports: &Reports,
    screen: Screen,
    writer: &mut impl Write,
) -> io::Result<()> {
    match format {
        ReportFormat::Table => overview::table(reports, Detail::Short, screen, writer),
        ReportFormat::Wide => overview::table(reports, Detail::Wide, screen, writer),
        ReportFormat::Json => json::write(reports, writer),
        ReportFormat::Yaml => yaml::write(reports, writer),
        ReportFormat::Junit => junit::write(reports.items(), writer),
        ReportFormat::Tap => tap::write(reports.items(), writer),
        ReportFormat::Markdown => overview::markdown(reports, writer),
        ReportFormat::Html => html::write(reports.items(), writer),
    }
}

#[cfg(test)]
mod snapshots;

#[cfg(test)]
mod tests {
    use super::{Outlet, write};
    use crate::{
        config::{Color, Output, ReportFormat},
        output::screen::Screen,
        testing::{healthy, mixed},
    };
    use std::path::Path;
    use svc_reach_common::{exit::Exit, report::Report};
    use svc_reach_common::{position::Position, target::TargetKind, wire::outcome::Outcome};

    fn output(format: ReportFormat, file: &Path) -> Output {
        Output {
            format,
            file: Some(file.to_owned()),
        }
    }

    #[test]
    fn each_format_goes_to_its_own_file() {
        let folder = tempfile::tempdir().unwrap();
        let outputs: Vec<Output> = ReportFormat::ALL
            .iter()
            .map(|format| output(*format, &folder.path().join(format.as_str())))
            .collect();
        let outlets = Outlet::all(&outputs, Color::Auto).unwrap();
        let files = || folder.path().read_dir().unwrap().count();
        assert_eq!(files(), 0, "nothing is written yet");
        for outlet in &outlets {
            outlet.write(&mixed().into()).unwrap();
        }
        assert_eq!(files(), ReportFormat::ALL.len());
        let text = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
        let json: Report = serde_json::from_str(&text("json")).unwrap();
        assert_eq!(json, mixed());
        for name in ReportFormat::ALL {
            let text = text(name.as_str());
            assert!(text.ends_with('\n'), "{name}: {text}");
            assert!(!text.contains('\u{1b}'), "{name}: no colours in files");
        }
    }

    #[test]
    fn an_unusable_file_is_a_usage_error() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("report");
        let same = folder.path().join(".").join("report");
        for (outputs, says) in [
            (
                [
                    output(ReportFormat::Json, &file),
                    output(ReportFormat::Tap, &same),
                ],
                "is already the target of another -o",
            ),
            (
                [
                    output(ReportFormat::Json, &file),
                    output(ReportFormat::Tap, &folder.path().join("absent/report")),
                ],
                "absent/report",
            ),
        ] {
            let error = Outlet::all(&outputs, Color::Auto).unwrap_err();
            assert_eq!(error.exit(), Exit::Usage);
            assert!(error.chain().contains(says), "{}", error.chain());
        }
    }

    #[test]
    fn a_failed_write_names_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("report");
        let outlets = Outlet::all(&[output(ReportFormat::Json, &file)], Color::Auto).unwrap();
        folder.close().unwrap();
        let error = outlets[0].write(&mixed().into()).unwrap_err();
        assert_eq!(error.exit(), Exit::Cluster);
        let named = error.chain();
        assert!(named.contains(file.to_str().unwrap()), "{named}");
    }

    #[test]
    fn every_format_shows_an_http_error() {
        let mut report = healthy();
        for cell in &mut report.cells {
            if cell.position == Position::PodSame && cell.target.kind == TargetKind::ClusterIp {
                cell.observed.attempts[0].outcome = Outcome::Answered {
                    status: Some(404),
                    echo: None,
                };
            }
        }
        assert_eq!(report.summary.exit(), Exit::AsExpected);
        let screen = Screen {
            width: 80,
            color: false,
        };
        for format in ReportFormat::ALL {
            let mut text = Vec::new();
            write(*format, &report.clone().into(), screen, &mut text).unwrap();
            let text = String::from_utf8(text).unwrap();
            assert!(text.contains("404"), "{format}: {text}");
        }
    }
}
