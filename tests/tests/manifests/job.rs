//! The commands that wait for the Job.

use crate::{manifest, root};
use std::{fs, os::unix::fs::PermissionsExt, process::Command};
use svc_reach_tests::folder::Folder;

/// Runs the commands in the comment of job.yaml, with a fake kubectl that answers as if the Job had ended.
#[test]
fn the_commands_that_wait_for_the_job_always_end() {
    let text = manifest("job.yaml");
    let lines: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("#   "))
        .collect();
    let document = fs::read_to_string(root().join("docs/pipelines.md")).unwrap();
    let documented: Vec<String> = lines
        .iter()
        .map(|line| format!("    {}\n", line.replace("default", "web")))
        .collect();
    assert!(document.contains(&documented.concat()), "{documented:#?}");
    let folder = Folder::new("await");
    let kubectl = folder.join("kubectl");
    let script = "#!/bin/sh\ncase \"$*\" in\n*exitCode*) printf %s \"$CODE\" ;;\n*conditions*) printf %s \"$CONDITIONS\" ;;\nesac\n";
    fs::write(&kubectl, script).unwrap();
    fs::set_permissions(&kubectl, fs::Permissions::from_mode(0o755)).unwrap();
    for (conditions, code, expected) in [
        ("Complete", "0", 0),
        ("SuccessCriteriaMet Complete", "0", 0),
        ("Failed", "3", 3),
        ("FailureTarget Failed", "1", 1),
        // At the Job's deadline its pod is removed, so there is no exit code.
        ("FailureTarget Failed", "", 2),
    ] {
        let status = Command::new("bash")
            .args(["-c", &lines.join("\n")])
            .env("PATH", format!("{}:/usr/bin:/bin", folder.display()))
            .env("CONDITIONS", conditions)
            .env("CODE", code)
            .status()
            .unwrap();
        assert_eq!(status.code(), Some(expected), "{conditions}, {code:?}");
    }
}
