//! The scripts that make a release.

use crate::{sha256, succeed};
use std::{
    fs,
    path::Path,
    process::{Command, Output},
};
use svc_reach_tests::{folder::Folder, kubectl::plugin};

/// Copies the files that the release scripts need to a folder, so that a test does not touch the user's dist/.
fn sources(folder: &Path) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for path in [
        "Cargo.toml",
        "LICENSE",
        "common/src/names.rs",
        "krew.yaml",
        "manifests",
        "packaging",
        "packaging/oci-image",
    ] {
        succeed(
            Command::new("cp")
                .args(["-r", "--parents", path])
                .arg(folder)
                .current_dir(&root),
        );
    }
}

/// Makes a release of the plugin under test in the folder.
fn release(folder: &Path, args: &[&str]) -> Output {
    sources(folder);
    let program = folder.join("dist/bin/linux-amd64");
    fs::create_dir_all(&program).unwrap();
    // Strip the symbols as in a release. Packing those of a debug build takes a minute.
    succeed(
        Command::new("strip")
            .arg(plugin())
            .arg("-o")
            .arg(program.join("kubectl-svc_reach")),
    );
    // The PATH has no cargo, and so no cargo-cyclonedx.
    Command::new(folder.join("packaging/release"))
        .args(args)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .output()
        .unwrap()
}

/// A fake cargo. The program that it "builds" prints the probe image that the real one would deploy.
const CARGO: &str = r#"#!/bin/sh
out=target/x86_64-unknown-linux-gnu
case "$*" in
*svc-reach-probe) out=$out/probe/svc-reach-probe ;;
*"--profile image"*) out=$out/image/kubectl-svc_reach ;;
*) out=$out/release/kubectl-svc_reach ;;
esac
mkdir -p "${out%/*}"
printf '#!/bin/sh\necho "%s"\necho example/plugin:1\n' "${SVC_REACH_PROBE_IMAGE-by its tag}" >"$out"
chmod +x "$out"
"#;

#[test]
fn a_release_pins_the_probe_image_by_digest() {
    let folder = Folder::new("release-digest");
    sources(&folder);
    let bin = folder.join("bin");
    fs::create_dir(&bin).unwrap();
    fs::write(bin.join("cargo"), CARGO).unwrap();
    succeed(Command::new("chmod").arg("+x").arg(bin.join("cargo")));
    let run = |script: &str, args: &[&str]| {
        succeed(
            Command::new(folder.join("packaging").join(script))
                .args(args)
                .env_clear()
                .env("PATH", format!("{}:/usr/bin:/bin", bin.display()))
                .env("HOME", folder.path()),
        )
    };
    let images = run("images", &[]);
    let images: Vec<&str> = images.lines().collect();
    let tag = concat!("svc-reach/probe:", env!("CARGO_PKG_VERSION"));
    assert!(
        images[0].starts_with(&format!("{tag}@sha256:")),
        "{images:?}"
    );
    assert!(
        images[1].starts_with("example/plugin:1@sha256:"),
        "{images:?}"
    );
    let program = folder.join("dist/bin/linux-amd64/kubectl-svc_reach");
    let list = folder.join("dist/IMAGES");
    // A list of images that an earlier release left is ignored.
    let own = format!("{}\n{}\n", images[0], images[0]);
    let earlier = own.replace(env!("CARGO_PKG_VERSION"), "0.0.1");
    for (written, deployed) in [(own, images[0]), (earlier, "by its tag")] {
        fs::write(&list, written).unwrap();
        run("release", &["--build-only"]);
        let output = succeed(&mut Command::new(&program));
        assert_eq!(output.lines().next(), Some(deployed));
    }
}

#[test]
fn a_release_is_reproducible() {
    let sums = ["release-one", "release-two"].map(|name| {
        let folder = Folder::new(name);
        let output = release(&folder, &["--no-build", "--no-sbom"]);
        assert!(output.status.success(), "{output:?}");
        let sums = fs::read_to_string(folder.join("dist/SHA256SUMS")).unwrap();
        let archive = folder.join("dist/kubectl-svc_reach-linux-amd64.tar.gz");
        assert!(sums.contains(&sha256(&archive)), "{sums}");
        sums
    });
    assert_eq!(sums[0], sums[1]);
}

#[test]
fn a_release_needs_an_sbom_or_the_no_sbom_flag() {
    let folder = Folder::new("release-bill");
    let output = release(&folder, &["--no-build"]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("--no-sbom"), "{error}");
    assert!(!folder.join("dist/SHA256SUMS").exists(), "{error}");
}
