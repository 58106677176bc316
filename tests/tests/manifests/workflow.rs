//! The GitHub workflow.

use crate::{documents, manifest, root, with_web};
use std::{fs, process::Command};
use svc_reach_tests::{folder::Folder, kubectl::plugin_folder};

/// Runs the steps of the workflow in bash, as GitHub does, with an archive of this plugin.
#[test]
#[ignore = "needs the test cluster: tests/run brings it up"]
fn the_workflow_verifies_the_archive_before_it_installs() {
    let (kubectl, namespace) = with_web("Cluster");
    let folder = Folder::new("runner");
    let file = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let (program, archive) = (
        plugin_folder().join("kubectl-svc_reach"),
        file("archive.tar.gz"),
    );
    fs::create_dir_all(file("man")).unwrap();
    for (program, args) in [
        (program.clone(), vec!["__man".to_owned(), file("man")]),
        (
            root().join("packaging/pack"),
            vec![
                program.to_str().unwrap().to_owned(),
                "linux-amd64".to_owned(),
                file("man"),
                archive.clone(),
            ],
        ),
    ] {
        assert!(Command::new(program).args(args).status().unwrap().success());
    }
    let sum = Command::new("sha256sum")
        .arg(&archive)
        .output()
        .unwrap()
        .stdout;
    let sum = String::from_utf8(sum).unwrap();
    let sum = sum.split_whitespace().next().unwrap();

    let workflow = documents(&manifest("github-actions.yaml")).remove(0);
    let job = &workflow["jobs"]["svc-reach"];
    let script = |name: &str| {
        let steps = job["steps"].as_array().unwrap();
        let step = steps.iter().find(|step| step["name"] == name).unwrap();
        step["run"].as_str().unwrap().to_owned()
    };
    let install = |sum: &str| {
        Command::new("bash")
            .args(["-e", "-c", &script("Install")])
            .env("ARCHIVE", format!("file://{archive}"))
            .env("SHA256", sum)
            .env("RUNNER_TEMP", folder.path())
            .env("GITHUB_PATH", file("path"))
            .output()
            .unwrap()
    };
    let placeholder = job["env"]["SHA256"].as_str().unwrap();
    let refused = install(placeholder);
    assert!(!refused.status.success(), "{refused:?}");
    assert!(
        !folder.join("path").exists(),
        "an archive that fails the check must not be installed"
    );
    let installed = install(sum);
    assert!(installed.status.success(), "{installed:?}");

    let ask = script("Check").replace(
        "nginx --namespace default",
        &format!("web --namespace {}", namespace.name),
    );
    assert!(ask.contains(&namespace.name));
    let kubeconfig = Command::new(kubectl.testbed())
        .args(["kubeconfig", "client"])
        .output()
        .unwrap()
        .stdout;
    let kubeconfig = String::from_utf8(kubeconfig).unwrap();
    let path = fs::read_to_string(file("path")).unwrap();
    let output = Command::new(kubectl.testbed())
        .args(["enter", "client", "bash", "-e", "-c", &ask])
        .current_dir(folder.path())
        .env(
            "PATH",
            format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", path.trim()),
        )
        .env("CONTENT", fs::read_to_string(kubeconfig.trim()).unwrap())
        .env("RUNNER_TEMP", folder.path())
        .env("GITHUB_STEP_SUMMARY", file("summary.md"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
    let service = format!("{}/web", namespace.name);
    for name in ["summary.md", "svc-reach.xml", "svc-reach.json"] {
        assert!(
            text(name).contains(&service) || text(name).contains(&namespace.name),
            "{name}: {}",
            text(name)
        );
    }
    assert!(
        !folder.join("kubeconfig").exists(),
        "the kubeconfig must be deleted"
    );
}
