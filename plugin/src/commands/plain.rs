//! Answers about the program itself, as lines or JSON.

use crate::config::UsageError;
use crate::{error::Error, output};
use clap::Args;
use serde::Serialize;
use std::io::{self, Write};
use svc_reach_common::words;

words! {
    /// How to print an answer about the program itself.
    pub enum PlainFormat("output format") {
        /// Lines.
        Text = "text",
        /// For programs.
        Json = "json",
    }
}

/// Arguments of a command about the program itself.
#[derive(Debug, Args)]
pub struct PlainArgs {
    /// Output format: text or json
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: String,
}

impl PlainArgs {
    /// The output format.
    ///
    /// # Errors
    ///
    /// If the format is unknown.
    pub fn format(&self) -> Result<PlainFormat, UsageError> {
        Ok(self.output.parse()?)
    }
}

impl PlainFormat {
    /// Writes data in this format. `text` writes it as lines.
    ///
    /// # Errors
    ///
    /// If writing fails.
    pub fn write(
        self,
        data: &impl Serialize,
        writer: &mut impl Write,
        text: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), Error> {
        let written = match self {
            Self::Text => text(writer),
            Self::Json => output::json::pretty(data, writer),
        };
        written.map_err(Error::Write)
    }
}

#[cfg(test)]
mod tests {
    use super::PlainFormat;
    use crate::{output::printable::hidden, testing::NASTY};

    #[test]
    fn json_has_no_control_characters() {
        let mut text = Vec::new();
        PlainFormat::Json
            .write(&[NASTY], &mut text, |_| Ok(()))
            .unwrap();
        let text = String::from_utf8(text).unwrap();
        assert_eq!(serde_json::from_str::<[String; 1]>(&text).unwrap(), [NASTY]);
        assert!(!text.chars().any(|c| hidden(c) && c != '\n'), "{text}");
    }
}
