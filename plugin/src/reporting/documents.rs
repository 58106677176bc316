//! What observations are held against.

use super::source::choose;
use crate::{config::ExpectationSettings, error::Error};
use svc_reach_common::matrix::{Catalog, MatrixSelection};

/// What observations are held against.
#[derive(Debug)]
pub struct Documents {
    /// Every matrix that is known.
    pub catalog: Catalog,
    /// What the command line asks for; `None`: what the provider calls for.
    chosen: Option<MatrixSelection>,
    /// Whether one edition alone counts.
    strict: bool,
}

impl Documents {
    /// The documents that the program carries, and the file that the command line names.
    ///
    /// # Errors
    ///
    /// A matrix or edition that there is not, or a file that is no matrix.
    pub fn of(settings: &ExpectationSettings) -> Result<Self, Error> {
        let mut catalog = Catalog::builtin()?;
        let strict = settings.strict;
        let chosen = match &settings.matrix {
            None => None,
            Some(given) => {
                let (name, edition) = choose(&mut catalog, given)?;
                Some(MatrixSelection {
                    edition,
                    strict,
                    ..MatrixSelection::of(Some(&name))
                })
            }
        };
        Ok(Self {
            catalog,
            chosen,
            strict,
        })
    }

    /// Which of them count on a cluster of this provider.
    pub fn selection(&self, provider: Option<&str>) -> MatrixSelection {
        match &self.chosen {
            Some(chosen) => chosen.clone(),
            None => self.catalog.select(provider, self.strict),
        }
    }
}
