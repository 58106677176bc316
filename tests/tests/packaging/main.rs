//! The release that users install, and what the program says about itself.

#![expect(clippy::unwrap_used, reason = "a helper that fails must fail its test")]

mod archive;
mod image;
mod krew;
mod program;
mod release;
mod suggestions;

use sha2::{Digest, Sha256};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};
use svc_reach_tests::kubectl::plugin;

/// A script or a template of the release.
fn packaging(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../packaging")
        .join(name)
}

fn succeed(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

/// Packs the release archive of a platform into `archives/` of the folder.
fn pack(folder: &Path, binary: &Path, platform: &str) -> PathBuf {
    let man = folder.join("man");
    fs::create_dir_all(&man).unwrap();
    succeed(Command::new(plugin()).arg("__man").arg(&man));
    let archive = folder.join(format!("archives/kubectl-svc_reach-{platform}.tar.gz"));
    succeed(
        Command::new(packaging("pack"))
            .arg(binary)
            .arg(platform)
            .arg(&man)
            .arg(&archive),
    );
    archive
}

/// A file that replaces the program, because packing does not depend on its content.
fn stand_in(folder: &Path) -> PathBuf {
    let path = folder.join("program");
    fs::write(&path, "stand-in").unwrap();
    path
}

fn sha256(file: &Path) -> String {
    let digest = Sha256::digest(fs::read(file).unwrap());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
