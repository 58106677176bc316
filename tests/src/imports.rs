//! Which files of a crate import which, and where they do so in a circle.
//!
//! An import counts from the file that names an item to the file that defines it. A re-export is followed, and declaring a module is
//! no import. Code under `#[cfg(test)]` does not count.

mod resolve;
mod source;

use resolve::Crate;
use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::Path,
};

/// Files that import each other, by module path. Each set has two members at least.
///
/// # Errors
///
/// A file that cannot be read or is not Rust.
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

/// Everything that a file imports, directly or not.
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
