//! The krew manifest, and an installation as krew does it.

use crate::{pack, packaging, sha256, stand_in, succeed};
use serde_json::Value;
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};
use svc_reach_common::names;
use svc_reach_tests::{
    folder::Folder,
    kubectl::{self, plugin},
};

const PLATFORMS: [&str; 5] = [
    "linux-amd64",
    "linux-arm64",
    "darwin-amd64",
    "darwin-arm64",
    "windows-amd64",
];

/// The krew manifest for the archives in a folder.
fn manifest(archives: &Path) -> Value {
    let text = succeed(
        Command::new(packaging("manifest"))
            .args(["1.2.3", "https://example.org/svc-reach"])
            .arg(archives),
    );
    assert!(!text.contains('@'), "a placeholder is left: {text}");
    serde_saphyr::from_str(&text).unwrap()
}

fn keys(object: &Value) -> BTreeSet<&str> {
    object
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect()
}

/// Asserts that krew accepts the manifest (`internal/index/validation/validate.go`, which the index runs in strict
/// mode: unknown fields are errors), and that it follows krew's guides.
fn assert_krew_takes(manifest: &Value) {
    assert_eq!(
        keys(manifest),
        ["apiVersion", "kind", "metadata", "spec"].into()
    );
    assert_eq!(
        manifest["apiVersion"],
        "krew.googlecontainertools.github.com/v1alpha2"
    );
    assert_eq!(manifest["kind"], "Plugin");
    assert_eq!(
        manifest["metadata"],
        serde_json::json!({"name": "svc-reach"})
    );
    let spec = &manifest["spec"];
    let fields = [
        "version",
        "homepage",
        "shortDescription",
        "description",
        "caveats",
        "platforms",
    ];
    assert_eq!(keys(spec), fields.into());
    let text = |field: &str| spec[field].as_str().unwrap().to_owned();
    assert_eq!(text("version"), "v1.2.3");
    let short = text("shortDescription");
    assert!(
        (1..=50).contains(&short.len()) && !short.contains('\n'),
        "{short}"
    );
    // The guide wants neither commands nor options in a description.
    for usage in ["kubectl svc-reach", " --", "Usage"] {
        assert!(!text("description").contains(usage), "{usage}");
    }
    for need in ["svc-reach permissions", "hostNetwork"] {
        assert!(text("caveats").contains(need), "{need}");
    }
    let mut selected = BTreeSet::new();
    for platform in spec["platforms"].as_array().unwrap() {
        assert_eq!(keys(platform), ["selector", "uri", "sha256", "bin"].into());
        let selector = &platform["selector"];
        assert_eq!(keys(selector), ["matchLabels"].into());
        let labels = &selector["matchLabels"];
        assert_eq!(keys(labels), ["os", "arch"].into());
        let (os, arch) = (
            labels["os"].as_str().unwrap(),
            labels["arch"].as_str().unwrap(),
        );
        assert!(selected.insert((os, arch)), "{os}/{arch} is listed twice");
        let uri = platform["uri"].as_str().unwrap();
        assert!(
            uri.ends_with(&format!("/v1.2.3/kubectl-svc_reach-{os}-{arch}.tar.gz")),
            "{uri}"
        );
        let sum = platform["sha256"].as_str().unwrap();
        let hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
        assert!(sum.len() == 64 && sum.chars().all(hex), "{sum}");
        let suffix = if os == "windows" { ".exe" } else { "" };
        assert_eq!(platform["bin"], format!("kubectl-svc_reach{suffix}"));
    }
    assert!(!selected.is_empty());
}

#[test]
fn krew_accepts_the_manifest_for_any_platforms() {
    for (name, platforms) in [
        ("manifest-all", &PLATFORMS[..]),
        ("manifest-one", &PLATFORMS[..1]),
    ] {
        let folder = Folder::new(name);
        let program = stand_in(&folder);
        let archives: Vec<PathBuf> = platforms
            .iter()
            .map(|platform| pack(&folder, &program, platform))
            .collect();
        let manifest = manifest(&folder.join("archives"));
        assert_krew_takes(&manifest);
        let entries = manifest["spec"]["platforms"].as_array().unwrap();
        let sums: Vec<&str> = entries
            .iter()
            .map(|entry| entry["sha256"].as_str().unwrap())
            .collect();
        let expected: Vec<String> = archives.iter().map(|archive| sha256(archive)).collect();
        assert_eq!(sums, expected);
    }
    // Without archives, making a manifest fails.
    let empty = Folder::new("manifest-none");
    let mut command = Command::new(packaging("manifest"));
    let status = command
        .args(["1.2.3", "https://example.org"])
        .arg(empty.path())
        .output()
        .unwrap()
        .status;
    assert!(!status.success());
}

#[test]
#[ignore = "needs kubectl: tests/run builds it"]
fn kubectl_runs_what_krew_installs() {
    let folder = Folder::new("install");
    let archive = pack(&folder, &plugin(), "linux-amd64");
    let manifest = manifest(&folder.join("archives"));
    let entry = &manifest["spec"]["platforms"][0];
    assert_eq!(entry["sha256"], sha256(&archive));
    // Do what krew does: unpack the archive into the store, and make one link in the bin folder. In the name of the
    // link, underscores replace hyphens.
    let (store, bin) = (folder.join("store/svc-reach/v1.2.3"), folder.join("bin"));
    for made in [&store, &bin] {
        fs::create_dir_all(made).unwrap();
    }
    succeed(
        Command::new("tar")
            .arg("xzf")
            .arg(&archive)
            .arg("-C")
            .arg(&store),
    );
    let name = manifest["metadata"]["name"]
        .as_str()
        .unwrap()
        .replace('-', "_");
    let program = store.join(entry["bin"].as_str().unwrap());
    std::os::unix::fs::symlink(program, bin.join(format!("kubectl-{name}"))).unwrap();
    // Copy the completion helper, as the caveats say.
    fs::copy(
        store.join("kubectl_complete-svc_reach"),
        bin.join("kubectl_complete-svc_reach"),
    )
    .unwrap();

    let path = std::env::join_paths([bin.clone(), "/usr/bin".into(), "/bin".into()]).unwrap();
    let clean = |program: &Path, args: &[&str]| {
        let mut command = Command::new(program);
        command
            .args(args)
            .env_clear()
            .env("PATH", &path)
            .env("HOME", folder.path());
        succeed(&mut command)
    };
    let kubectl = PathBuf::from(kubectl::program());
    let version: Value =
        serde_json::from_str(&clean(&kubectl, &["svc-reach", "version", "-o", "json"])).unwrap();
    assert_eq!(version["clientVersion"], env!("CARGO_PKG_VERSION"));
    assert_eq!(
        clean(&kubectl, &["svc-reach", "images"]).trim(),
        names::IMAGES.join("\n")
    );
    let help = clean(&kubectl, &["svc-reach", "--help"]);
    assert!(help.contains("Usage: kubectl svc-reach"), "{help}");
    let helper = bin.join("kubectl_complete-svc_reach");
    assert_eq!(
        clean(&helper, &["matrix", "sh"]),
        "show\tShow one edition as the table that the document has\n:4\n"
    );
}
