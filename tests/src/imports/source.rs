//! What one file names: paths that it uses, and items that it re-exports.

use std::{io, path::Path};
use syn::{Attribute, Item, UseTree, Visibility, visit::Visit};

/// What one file names.
#[derive(Debug, Default)]
pub struct Source {
    /// Paths as they are written, without an alias.
    pub paths: Vec<Vec<String>>,
    /// Re-exports: the name, and the path behind it.
    pub exports: Vec<(String, Vec<String>)>,
}

impl Source {
    /// Reads a file.
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
            // The file that takes the item from here counts, not this one.
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
    fn visit_item(&mut self, item: &Item) {
        match item {
            Item::Mod(module) if is_test(&module.attrs) => {}
            Item::Fn(function) if is_test(&function.attrs) => {}
            Item::Use(item) if is_test(&item.attrs) => {}
            Item::Use(item) => {
                let exported = !matches!(item.vis, Visibility::Inherited);
                self.tree(&[], &item.tree, exported);
            }
            item => syn::visit::visit_item(self, item),
        }
    }

    fn visit_path(&mut self, path: &syn::Path) {
        let segments = path.segments.iter();
        self.paths
            .push(segments.map(|segment| segment.ident.to_string()).collect());
        syn::visit::visit_path(self, path);
    }
}
