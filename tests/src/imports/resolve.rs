//! Resolves paths, as they are written, to the files that define the named items.

use super::source::Source;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::Path,
};

/// How many re-exports in a row are followed.
const HOPS: usize = 8;

/// The files of a crate, by module path such as `a::b`. The path of the root is empty.
#[derive(Debug)]
pub struct Crate(BTreeMap<String, Source>);

impl Crate {
    /// Reads every source file below a folder. It skips the program's `main.rs`, which is a crate of its own.
    pub fn read(sources: &Path) -> io::Result<Self> {
        let mut files = BTreeMap::new();
        let mut open = vec![(sources.to_owned(), Vec::<String>::new())];
        while let Some((folder, module)) = open.pop() {
            for entry in fs::read_dir(folder)? {
                let path = entry?.path();
                let stem = path.file_stem().unwrap_or_default().to_string_lossy();
                let inner = [module.as_slice(), &[stem.clone().into_owned()]].concat();
                if path.is_dir() {
                    open.push((path, inner));
                } else if path.extension().is_some_and(|extension| extension == "rs")
                    && !(module.is_empty() && stem == "main")
                {
                    let name = match (module.is_empty(), stem.as_ref()) {
                        (true, "lib") => String::new(),
                        (false, "mod") => module.join("::"),
                        _ => inner.join("::"),
                    };
                    files.insert(name, Source::read(&path)?);
                }
            }
        }
        Ok(Self(files))
    }

    /// For each file, the files that it imports.
    pub fn imports(&self) -> BTreeMap<String, BTreeSet<String>> {
        self.0
            .iter()
            .map(|(module, source)| {
                let mut names: BTreeMap<&str, Vec<String>> = BTreeMap::new();
                for path in &source.paths {
                    if let (Some(name), Some(path)) = (path.last(), self.absolute(module, path)) {
                        names.insert(name, path);
                    }
                }
                let files = source.paths.iter().filter_map(|path| {
                    let path = self.absolute(module, path).or_else(|| {
                        // `module::item`, if the module was imported.
                        let (first, rest) = path.split_first()?;
                        let start = names.get(first.as_str()).filter(|_| !rest.is_empty())?;
                        Some([start.as_slice(), rest].concat())
                    })?;
                    self.file_of(&path, HOPS)
                });
                (
                    module.clone(),
                    files.filter(|file| file != module).collect(),
                )
            })
            .collect()
    }

    /// The path from the root of the crate. `None`: the path leads out of this crate.
    fn absolute(&self, module: &str, path: &[String]) -> Option<Vec<String>> {
        let mut at: Vec<String> = if module.is_empty() {
            Vec::new()
        } else {
            module.split("::").map(str::to_owned).collect()
        };
        let mut path = path;
        match path.first()?.as_str() {
            "crate" => return Some(path.get(1..)?.to_vec()),
            "self" => path = path.get(1..)?,
            "super" => {
                while path.first().is_some_and(|first| first == "super") {
                    at.pop()?;
                    path = path.get(1..)?;
                }
            }
            child => {
                let child = [at.as_slice(), &[child.to_owned()]].concat().join("::");
                if !self.0.contains_key(&child) {
                    return None;
                }
            }
        }
        at.extend_from_slice(path);
        Some(at)
    }

    /// The file that defines the item that a path names. A path to a module is not an import by itself. Only the items
    /// that are used from the module count.
    fn file_of(&self, path: &[String], hops: usize) -> Option<String> {
        if self.0.contains_key(&path.join("::")) {
            return None;
        }
        let (file, rest) = (0..=path.len()).rev().find_map(|length| {
            let file = path[..length].join("::");
            self.0
                .contains_key(&file)
                .then_some((file, &path[length..]))
        })?;
        let name = rest.first()?;
        let export = self.0[&file]
            .exports
            .iter()
            .find(|(known, _)| known == name);
        match export {
            Some((_, behind)) if hops > 0 => {
                let behind = self.absolute(&file, behind)?;
                self.file_of(&[behind.as_slice(), &rest[1..]].concat(), hops - 1)
            }
            Some(_) | None => Some(file),
        }
    }
}
