//! The paths that one file uses, and the items that it re-exports.

use std::{io, path::Path};
use syn::{Attribute, ItemFn, ItemMod, ItemUse, UseTree, Visibility, visit::Visit};

/// The paths and re-exports of one file.
#[derive(Debug, Default)]
pub struct Source {
    /// Paths as they are written, without aliases.
    pub paths: Vec<Vec<String>>,
    /// Re-exports: the exported name, and the path that it leads to.
    pub exports: Vec<(String, Vec<String>)>,
}

impl Source {
    /// Reads and parses a file.
    pub fn read(file: &Path) -> io::Result<Self> {
        let text = std::fs::read_to_string(file)?;
        let parsed = syn::parse_file(&text)
            .map_err(|error| io::Error::other(format!("{}: {error}", file.display())))?;
        let mut source = Self::default();
        source.visit_file(&parsed);
        Ok(source)
    }

    fn tree(&mut self, before: &[String], tree: &UseTree, exported: bool) {
        let extended = |name: String| [before, &[name]].concat();
        match tree {
            UseTree::Path(path) => {
                self.tree(&extended(path.ident.to_string()), &path.tree, exported)
            }
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.tree(before, tree, exported);
                }
            }
            UseTree::Name(name) if name.ident == "self" => {
                self.leaf(before.to_vec(), None, exported)
            }
            UseTree::Name(name) => self.leaf(extended(name.ident.to_string()), None, exported),
            UseTree::Rename(rename) => {
                let alias = rename.rename.to_string();
                self.leaf(extended(rename.ident.to_string()), Some(alias), exported);
            }
            UseTree::Glob(_) => self.paths.push(before.to_vec()),
        }
    }

    fn leaf(&mut self, path: Vec<String>, alias: Option<String>, exported: bool) {
        if exported {
            // The import belongs to the file that uses the re-export, not to this one.
            if let Some(name) = alias.or_else(|| path.last().cloned()) {
                self.exports.push((name, path));
            }
        } else {
            self.paths.push(path);
        }
    }
}

fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute
                .parse_args::<syn::Ident>()
                .is_ok_and(|argument| argument == "test")
    })
}

impl Visit<'_> for Source {
    fn visit_item_mod(&mut self, module: &ItemMod) {
        if !is_test(&module.attrs) {
            syn::visit::visit_item_mod(self, module);
        }
    }

    fn visit_item_fn(&mut self, function: &ItemFn) {
        if !is_test(&function.attrs) {
            syn::visit::visit_item_fn(self, function);
        }
    }

    fn visit_item_use(&mut self, item: &ItemUse) {
        if !is_test(&item.attrs) {
            let exported = !matches!(item.vis, Visibility::Inherited);
            self.tree(&[], &item.tree, exported);
        }
    }

    fn visit_path(&mut self, path: &syn::Path) {
        let segments = path.segments.iter();
        self.paths
            .push(segments.map(|segment| segment.ident.to_string()).collect());
        syn::visit::visit_path(self, path);
    }
}
