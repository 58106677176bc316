//! No files of a crate import each other in a circle, so that each can be read, tested and moved alone.

use std::{collections::BTreeSet, path::Path};
use svc_reach_tests::{folder::Folder, imports::circles};

/// Names and texts of files.
type Files<'a> = &'a [(&'a str, &'a str)];

#[test]
fn no_files_import_each_other_in_a_circle() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for sources in [
        "common/src",
        "probe-agent/src",
        "plugin/src",
        "tests/src",
        "tests/testbed/src",
    ] {
        let found = circles(&root.join(sources)).unwrap();
        assert!(found.is_empty(), "{sources}: {found:#?}");
    }
}

#[test]
fn a_circle_is_found_however_it_is_written() {
    let circle = |files: &[(&str, &str)]| {
        let folder = Folder::new("imports");
        for (name, text) in files {
            folder.file(name, text);
        }
        circles(&folder).unwrap()
    };
    let ab = BTreeSet::from(["a".to_owned(), "b".to_owned()]);
    let rows: [(&str, Files<'_>, bool); 6] = [
        (
            "by use",
            &[
                ("lib.rs", "mod a; mod b;"),
                ("a.rs", "use crate::b::B; pub struct A;"),
                ("b.rs", "use super::a::A; pub struct B;"),
            ],
            true,
        ),
        (
            "by a path in code",
            &[
                ("lib.rs", ""),
                ("a.rs", "use crate::b; pub fn a() { b::b() }"),
                ("b.rs", "pub fn b() { crate::a::a() }"),
            ],
            true,
        ),
        (
            "by a re-export of the parent",
            &[
                ("lib.rs", "pub use a::A;"),
                ("a.rs", "use crate::b::B; pub struct A;"),
                ("b.rs", "use crate::A; pub struct B;"),
            ],
            true,
        ),
        (
            "one way",
            &[
                ("lib.rs", "mod a; mod b;"),
                ("a.rs", "use crate::b::B; pub struct A;"),
                ("b.rs", "pub struct B;"),
            ],
            false,
        ),
        (
            "a module that is named and not used",
            &[
                ("lib.rs", ""),
                ("a.rs", "use crate::b;"),
                ("b.rs", "use crate::a::A;"),
            ],
            false,
        ),
        (
            "in a test only",
            &[
                ("lib.rs", ""),
                ("a.rs", "use crate::b::B;"),
                (
                    "b.rs",
                    "pub struct B; #[cfg(test)] mod tests { use crate::a::A; }",
                ),
            ],
            false,
        ),
    ];
    for (name, files, expected) in rows {
        let expected: Vec<_> = expected.then(|| ab.clone()).into_iter().collect();
        assert_eq!(circle(files), expected, "{name}");
    }
}
