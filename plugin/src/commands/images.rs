//! `images`: the images that a cluster without access to public registries has to mirror. It needs no cluster.

use crate::{commands::plain::PlainFormat, error::Error};
use serde::Serialize;
use std::io::Write;
use svc_reach_common::names;

/// The images that a run pulls.
#[derive(Debug, Serialize)]
pub struct Images {
    images: &'static [&'static str],
}

impl Images {
    /// Every image that a run can pull.
    pub const ALL: Self = Self {
        images: names::IMAGES,
    };

    /// Writes the images, one per line in text.
    ///
    /// # Errors
    ///
    /// If writing fails.
    pub fn write(&self, format: PlainFormat, writer: &mut impl Write) -> Result<(), Error> {
        format.write(self, writer, |writer| {
            self.images
                .iter()
                .try_for_each(|image| writeln!(writer, "{image}"))
        })
    }
}
