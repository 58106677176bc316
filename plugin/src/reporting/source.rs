//! Finds a matrix: a built-in one, or one in a file.

use crate::error::Error;
use svc_reach_common::matrix::{Catalog, MatrixError, split};

/// Finds the matrix that `NAME[@EDITION]` or `FILE[@EDITION]` names. A file is read into the catalog. Returns the name
/// of the matrix and the given edition.
pub fn choose(catalog: &mut Catalog, given: &str) -> Result<(String, Option<String>), Error> {
    // The name of a file may contain an @ itself.
    let (path, edition) = match given.rsplit_once('@') {
        Some((path, edition)) if !is_file(given) && is_file(path) => (path, Some(edition)),
        Some(_) | None if is_file(given) => (given, None),
        Some(_) | None => {
            let (name, edition) = split(given);
            catalog.find(given)?;
            return Ok((name.to_owned(), edition.map(str::to_owned)));
        }
    };
    let text = std::fs::read_to_string(path).map_err(|source| Error::File {
        file: path.to_owned(),
        source: Box::new(source),
    })?;
    let name = catalog.add(path, &text)?;
    if let Some(edition) = edition {
        catalog.find(&format!("{name}@{edition}"))?;
    }
    Ok((name, edition.map(str::to_owned)))
}

/// Whether a text names a file. No matrix has such a name.
fn is_file(given: &str) -> bool {
    given.contains('/')
        || [".yaml", ".yml", ".json"]
            .iter()
            .any(|ending| given.ends_with(ending))
}

/// The result of [`choose`] as text for [`Catalog::find`].
pub fn reference(name: &str, edition: Option<&str>) -> String {
    edition.map_or_else(|| name.to_owned(), |edition| format!("{name}@{edition}"))
}

/// The edition that `given` names.
pub fn edition<'c>(
    catalog: &'c mut Catalog,
    given: &str,
) -> Result<&'c svc_reach_common::matrix::Edition, Error> {
    let (name, edition) = choose(catalog, given)?;
    let found: Result<_, MatrixError> = catalog.find(&reference(&name, edition.as_deref()));
    Ok(found?)
}
