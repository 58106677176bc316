//! The archive for one platform.

use crate::{pack, packaging, sha256, stand_in, succeed};
use std::{collections::BTreeSet, fs, process::Command};
use svc_reach_tests::folder::Folder;

#[test]
fn an_archive_is_reproducible() {
    let mut sums = BTreeSet::new();
    for (name, umask) in [("archive-one", "022"), ("archive-two", "077")] {
        let folder = Folder::new(name);
        let (program, man) = (stand_in(&folder), folder.join("man"));
        pack(&folder, &program, "linux-amd64");
        // Pack again with other file times, another umask and another order of files in the folder.
        let page = man.join("kubectl-svc-reach.1");
        let text = fs::read(&page).unwrap();
        fs::remove_file(&page).unwrap();
        fs::write(&page, text).unwrap();
        let archive = folder.join("again.tar.gz");
        let script = "umask $1; shift; exec \"$@\"";
        succeed(
            Command::new("bash")
                .args(["-c", script, "bash", umask])
                .args([&packaging("pack"), &program])
                .arg("linux-amd64")
                .args([&man, &archive]),
        );
        sums.insert(sha256(&archive));
        sums.insert(sha256(
            &folder.join("archives/kubectl-svc_reach-linux-amd64.tar.gz"),
        ));
    }
    assert_eq!(sums.len(), 1, "{sums:?}");
}

#[test]
fn an_archive_holds_what_krew_needs() {
    let folder = Folder::new("contents");
    for (platform, present, absent) in [
        (
            "linux-amd64",
            &["kubectl-svc_reach", "kubectl_complete-svc_reach"][..],
            "kubectl-svc_reach.exe",
        ),
        (
            "windows-amd64",
            &["kubectl-svc_reach.exe"],
            "kubectl_complete-svc_reach",
        ),
    ] {
        let archive = pack(&folder, &stand_in(&folder), platform);
        let listed = succeed(Command::new("tar").arg("tvzf").arg(&archive));
        let mut names = BTreeSet::new();
        for line in listed.lines() {
            // Krew fails with "unable to handle file type" for anything but files and folders.
            assert!(line.starts_with('-') || line.starts_with('d'), "{line}");
            let name = line.split_whitespace().last().unwrap();
            assert!(names.insert(name), "{name} is in the archive twice");
            let executable = line.starts_with("-rwxr-xr-x");
            assert_eq!(executable, name.starts_with("kubectl"), "{line}");
        }
        for name in present
            .iter()
            .chain(&["LICENSE", "man/man1/kubectl-svc-reach.1"])
            // Error messages of the program name these.
            .chain(&[
                "manifests/rbac-cluster.yaml",
                "manifests/rbac-namespaced.yaml",
            ])
        {
            assert!(names.contains(name), "{platform} lacks {name}: {listed}");
        }
        assert!(!names.contains(absent), "{platform}: {listed}");
    }
}
