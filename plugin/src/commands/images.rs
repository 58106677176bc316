//! `images`: what a closed network has to mirror. It needs no cluster.

use crate::{commands::plain::PlainFormat, error::Error};
use serde::Serialize;
use std::io::Write;
use svc_reach_common::names;

/// What a closed network has to mirror.
#[derive(Debug, Serialize)]
pub struct Images {
    images: &'static [&'static str],
}

impl Images {
    /// Every image that this program can have a cluster pull.
    pub const ALL: Self = Self {
        images: names::IMAGES,
    };

    /// Writes them, one per line.
    ///
    /// # Errors
    ///
    /// What the writer says.
    pub fn write(&self, format: PlainFormat, writer: &mut impl Write) -> Result<(), Error> {
        format.write(self, writer, |writer| {
            self.images
                .iter()
                .try_for_each(|image| writeln!(writer, "{image}"))
        })
    }
}
