//! Manifests and workflows match their schemas.

use crate::{chart::helm_test, documents, manifest, root, task::tekton_pod};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};
use svc_reach_tests::folder::Folder;

/// Manifests that an API server accepts without any extension installed.
const NATIVE: [&str; 6] = [
    "argo-cd.yaml",
    "cronjob.yaml",
    "demo.yaml",
    "job.yaml",
    "rbac-cluster.yaml",
    "rbac-namespaced.yaml",
];

/// Minor versions of Kubernetes 1 whose schemas are checked. The tests' API server covers an older one (1.20).
const VERSIONS: std::ops::RangeInclusive<u32> = 25..=37;

/// Manifests that only later versions have schemas for, and the first such minor version.
const SINCE: [(&str, u32); 1] = [("admission.yaml", 30)];

/// Runs a program of tests/requirements.txt. Returns whether it succeeded, and its output.
fn schemas(args: &[&str]) -> (bool, String) {
    let output = Command::new(root().join("tests/schemas"))
        .args(args)
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).unwrap())
}

#[test]
#[ignore = "needs the schemas that PyPI has: tests/run fetches them"]
fn every_manifest_matches_the_schema_of_every_version() {
    let folder = Folder::new("schemas");
    let native = NATIVE.iter().map(|name| (*name, *VERSIONS.start()));
    let mut files: Vec<(PathBuf, usize, u32)> = native
        .chain(SINCE)
        .map(|(name, since)| {
            let objects = documents(&manifest(name)).len();
            (root().join("manifests").join(name), objects, since)
        })
        .collect();
    for (name, pod) in [
        ("helm.json", helm_test(None)),
        ("tekton.json", tekton_pod("nginx", "default", None)),
    ] {
        fs::write(folder.join(name), pod.to_string()).unwrap();
        files.push((folder.join(name), 1, *VERSIONS.start()));
    }
    let mut pod = helm_test(None);
    pod["spec"]["activeDeadlineSecond"] = 1.into();
    let misspelt = folder.join("misspelt.json");
    fs::write(&misspelt, pod.to_string()).unwrap();

    let mut failures = Vec::new();
    for minor in VERSIONS {
        let version = format!("1.{minor}");
        let path = |(file, ..): &(PathBuf, usize, u32)| file.to_str().unwrap().to_owned();
        let of_version = || files.iter().filter(|(.., since)| *since <= minor);
        let paths: Vec<String> = of_version().map(path).collect();
        let mut args = vec!["kubernetes-validate", "--strict", "-k", &version];
        args.extend(paths.iter().map(String::as_str));
        args.push(misspelt.to_str().unwrap());
        let (_, said) = schemas(&args);
        let lines = |file: &Path, begin: &str, end: &str| {
            let begin = format!("{begin} {} ", file.display());
            let of_file = said.lines().filter(|line| line.starts_with(&begin));
            of_file.filter(|line| line.contains(end)).count()
        };
        let against = format!("against version {version}");
        for (file, objects, _) in of_version() {
            let name = file.file_name().unwrap().display();
            // kubernetes-validate only warns about a kind without a schema. Here that is a failure.
            if lines(file, "INFO", &against) == *objects {
                println!("{name} matches the schemas of {version}: {objects} objects");
            } else {
                failures.push(format!(
                    "{name} does not match the schemas of {version}: {said}"
                ));
            }
        }
        assert_eq!(
            lines(&misspelt, "ERROR", "activeDeadlineSecond"),
            1,
            "{said}"
        );
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
#[ignore = "needs the schemas that PyPI has: tests/run fetches them"]
fn the_workflows_match_the_schema_of_github() {
    let check = |file: &Path| {
        schemas(&[
            "check-jsonschema",
            "--builtin-schema",
            "vendor.github-workflows",
            file.to_str().unwrap(),
        ])
    };
    let ours = root().join("manifests/github-actions.yaml");
    for file in [&ours, &root().join(".github/workflows/release.yaml")] {
        let (fits, said) = check(file);
        assert!(fits, "{}: {said}", file.display());
    }
    let folder = Folder::new("workflow");
    let wrong = folder.join("wrong.yaml");
    fs::write(
        &wrong,
        manifest("github-actions.yaml").replace("runs-on:", "run-on:"),
    )
    .unwrap();
    let (fits, said) = check(&wrong);
    assert!(!fits && said.contains("run-on"), "{said}");
}
