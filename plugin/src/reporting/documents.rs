//! The documents that observations are compared with.

use super::source::choose;
use crate::{config::ExpectationSettings, error::Error};
use svc_reach_common::{
    matrix::{Catalog, MatrixSelection},
    provider::operator::Operator,
    report::Environment,
};

/// The documents that observations are compared with.
#[derive(Debug)]
pub struct Documents {
    /// Every matrix that is known.
    pub catalog: Catalog,
    /// The choice on the command line. `None`: it depends on the provider.
    chosen: Option<MatrixSelection>,
    /// Whether only one edition counts.
    strict: bool,
}

impl Documents {
    /// The built-in documents, and the file that the command line names.
    ///
    /// # Errors
    ///
    /// When a matrix or edition does not exist, or a file is not a matrix.
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

    /// The documents that apply to this cluster.
    pub fn selection(&self, cluster: &Environment) -> MatrixSelection {
        let operator = cluster.operator.map(Operator::as_str);
        match &self.chosen {
            Some(chosen) => MatrixSelection {
                operator: operator.map(str::to_owned),
                ..chosen.clone()
            },
            None => self
                .catalog
                .select(cluster.provider.as_deref(), operator, self.strict),
        }
    }
}
