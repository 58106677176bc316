//! Finds files of a crate that import each other in a circle.
//!
//! An import leads from the file that names an item to the file that defines it. Re-exports are followed. A `mod`
//! declaration is not an import. Code under `#[cfg(test)]` does not count.

mod resolve;
mod source;

use resolve::Crate;
use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::Path,
};

/// Sets of files that import each other, by module path. Each set has at least two members.
///
/// # Errors
///
/// If a file cannot be read or is not valid Rust.
pub fn circles(sources: &Path) -> io::Result<Vec<BTreeSet<String>>> {
    let imports = Crate::read(sources)?.imports();
    let reachable: BTreeMap<&String, BTreeSet<&String>> = imports
        .keys()
        .map(|file| (file, reachable(file, &imports)))
        .collect();
    let mut circles: Vec<BTreeSet<String>> = Vec::new();
    for (file, ahead) in &reachable {
        let circle: BTreeSet<String> = ahead
            .iter()
            .filter(|other| reachable[**other].contains(*file))
            .map(|other| (*other).clone())
            .collect();
        if circle.len() > 1 && !circles.contains(&circle) {
            circles.push(circle);
        }
    }
    Ok(circles)
}

/// Everything that a file imports, directly or indirectly.
fn reachable<'i>(
    file: &String,
    imports: &'i BTreeMap<String, BTreeSet<String>>,
) -> BTreeSet<&'i String> {
    let mut seen = BTreeSet::new();
    let mut open: Vec<&String> = imports[file].iter().collect();
    while let Some(next) = open.pop() {
        if seen.insert(next) {
            open.extend(&imports[next]);
        }
    }
    seen
}
