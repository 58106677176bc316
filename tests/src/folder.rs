//! A folder of a test's own.

#![expect(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "helpers of tests fail as tests do"
)]
#![expect(
    clippy::must_use_candidate,
    reason = "whoever writes a file may know where it is"
)]

use std::{
    fs,
    ops::Deref,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};
use tempfile::TempDir;

/// A folder that goes when the test does.
#[derive(Debug)]
pub struct Folder(TempDir);

impl Folder {
    /// Makes a folder whose name begins with `svc-reach-NAME`.
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

    /// Writes a file and returns its path.
    pub fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.0.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    /// Writes a shell script that can be executed, and returns its path.
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
