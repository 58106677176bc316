//! A temporary folder for one test.

#![expect(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "a helper that fails must fail its test"
)]
#![expect(
    clippy::must_use_candidate,
    reason = "a caller that writes a file may not need its path"
)]

use std::{
    fs,
    ops::Deref,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};
use tempfile::TempDir;

/// A temporary folder. It is deleted when the test ends.
#[derive(Debug)]
pub struct Folder(TempDir);

impl Folder {
    /// Creates a folder whose name begins with `svc-reach-NAME`.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let prefix = format!("svc-reach-{name}-");
        Self(tempfile::Builder::new().prefix(&prefix).tempdir().unwrap())
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Writes a file, creates missing folders, and returns the file's path.
    pub fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.0.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    /// Writes an executable shell script and returns its path.
    pub fn program(&self, name: &str, script: &str) -> PathBuf {
        let path = self.file(name, &format!("#!/bin/sh\n{script}\n"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }
}

impl Deref for Folder {
    type Target = Path;

    fn deref(&self) -> &Path {
        self.path()
    }
}
