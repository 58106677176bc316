//! What a user installs, and what the program tells of itself.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use serde_json::Value;
use sha2::{Digest, Sha256};
use std::{
    collections::BTreeSet,
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::{Duration, Instant},
};
use svc_reach_common::{names, wire::plan};
use svc_reach_tests::folder::Folder;
use svc_reach_tests::kubectl::plugin;
use svc_reach_tests::{
    kubectl::{self, plugin_folder},
    names_only::{api_server, kubeconfig},
};

fn run(args: &[&str]) -> Output {
    Command::new(plugin())
        .args(args)
        .env_clear()
        .output()
        .unwrap()
}

/// What a command prints that succeeds and has nothing to say on standard error.
fn printed(args: &[&str]) -> String {
    let output = run(args);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {error}");
    assert_eq!(error, "", "{args:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn json(args: &[&str]) -> Value {
    serde_json::from_str(&printed(args)).unwrap()
}

#[test]
fn version_tells_what_is_deployed_and_which_documents_count() {
    let version = json(&["version", "-o", "json"]);
    assert_eq!(version["clientVersion"], env!("CARGO_PKG_VERSION"));
    assert_eq!(version["probe"]["image"], names::IMAGE);
    assert_eq!(version["probe"]["protocolVersion"], plan::VERSION);
    // The newest edition of a matrix is the one that matrix list has first, and each matrix is there once.
    let listed = json(&["matrix", "list", "-o", "json"]);
    let mut newest: Vec<(&Value, &Value)> = Vec::new();
    for edition in listed.as_array().unwrap() {
        if newest.iter().all(|(name, _)| *name != &edition["name"]) {
            newest.push((&edition["name"], &edition["edition"]));
        }
    }
    let told: Vec<(&Value, &Value)> = version["matrices"]
        .as_array()
        .unwrap()
        .iter()
        .map(|matrix| (&matrix["name"], &matrix["edition"]))
        .collect();
    assert_eq!(told, newest);
    let text = printed(&["version"]);
    for part in ["Client Version: v", names::IMAGE, "huawei-cce@"] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn images_are_what_a_run_would_deploy_one_per_line() {
    let lines = printed(&["images"]);
    let lines: Vec<&str> = lines.lines().collect();
    // What a run deploys by default must be in the list that a closed network mirrors.
    let help = printed(&["--help"]);
    let words: Vec<&str> = help.split_whitespace().collect();
    let default = lines.iter().any(|image| {
        words
            .windows(2)
            .any(|pair| pair == ["[default:", &format!("{image}]")])
    });
    assert!(default, "{lines:?} against {help}");
    assert_eq!(
        json(&["images", "-o", "json"])["images"],
        serde_json::json!(lines)
    );
}

/// What the completion helper of the release prints for words, the plugin being on the PATH.
fn completions(kubeconfig: &Path, words: &[&str]) -> Vec<String> {
    let helper = packaging("kubectl_complete-svc_reach");
    let path = std::env::join_paths([plugin_folder(), "/usr/bin".into(), "/bin".into()]).unwrap();
    let output = Command::new(helper)
        .args(words)
        .env_clear()
        .env("PATH", path)
        .env("KUBECONFIG", kubeconfig)
        .output()
        .unwrap();
    assert!(output.status.success(), "{words:?}");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{words:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .map(|line| line.split('\t').next().unwrap().to_owned())
        .collect()
}

#[test]
fn kubectl_is_told_what_a_word_can_become() {
    let folder = Folder::new("completion");
    let config = kubeconfig(&folder, api_server());
    for (words, expected) in [
        (&["svc/"][..], &["svc/cart", ":4"][..]),
        (
            &["-n", "web", "service/nginx-"],
            &["service/nginx-admin", ":4"],
        ),
        (
            &["explain", "--namespace=web", "n"],
            &["nginx", "nginx-admin", ":4"],
        ),
        (&["-n", ""], &["shop", "web", ":4"]),
        (&["--namespace=w"], &["web", ":4"]),
        // A name that would break the protocol is left out.
        (&["--context", ""], &["here", "there", "aws:eks/dev", ":4"]),
        (&["--context", "there", "--name"], &["--namespace", ":4"]),
        (&["ma"], &["matrix", ":4"]),
        (&["matrix", "s"], &["show", ":4"]),
        (
            &["matrix", "show", "-o", ""],
            &["table", "json", "yaml", "markdown", ":4"],
        ),
        (
            &["nginx", "--strict", "--proxy-mode", "ip"],
            &["iptables", "ipvs", ":4"],
        ),
        (&["explain", "-o", ""], &["table", "json", ":4"]),
        (&["nginx", "--color", "a"], &["auto", "always", ":4"]),
        (&["nginx", "--only", "node-s"], &["node-same", ":4"]),
        (
            &["nginx", "--only=pod-other,d"],
            &["pod-other,dns", "pod-other,dnat", ":4"],
        ),
        (
            &["nginx", "--fail-on", ""],
            &[
                "worse",
                "better",
                "disputed",
                "unstable",
                "undocumented",
                ":4",
            ],
        ),
        (&["nginx", "--fail-on", "worse,b"], &["worse,better", ":4"]),
        (
            &["nginx", "--column", "vpc/ip"],
            &["vpc/iptables", "vpc/ipvs", ":4"],
        ),
        (
            &["nginx", "--require-unreachable", "external:node"],
            &["external:node-port", ":4"],
        ),
        // Files are the shell's business.
        (&["--kubeconfig", ""], &[":0"]),
        (&["nginx", "-o", "junit=re"], &[":0"]),
        // What cannot be looked up is no candidate, and no message.
        (&["--kubeconfig", "/absent", "svc/"], &[":4"]),
        (&["-n", "absent", "svc/"], &[":4"]),
        (&["deploy/n"], &[":4"]),
        (&["judge", "old.json", "new.json", ""], &[":4"]),
        // There can be several Services.
        (&["-x", "--nonsense", "nginx", "more", ""], &["cart", ":4"]),
    ] {
        assert_eq!(completions(&config, words), expected, "{words:?}");
    }
    let all = completions(&config, &[""]);
    for one in ["explain", "cleanup", "version", "cart"] {
        assert!(all.iter().any(|line| line == one), "{one}: {all:?}");
    }
}

#[test]
fn a_silent_cluster_does_not_hold_up_a_user_who_types() {
    let folder = Folder::new("silent");
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let config = kubeconfig(&folder, silent.local_addr().unwrap().port());
    let begun = Instant::now();
    assert_eq!(completions(&config, &["svc/"]), [":4"]);
    // Far below what a run would wait, and not below the time that a slow cluster is given.
    let waited = begun.elapsed();
    assert!(waited < Duration::from_secs(8), "{waited:?}");
    assert!(waited > Duration::from_secs(1), "{waited:?}");
}

#[test]
fn every_shell_has_its_script() {
    for shell in ["bash", "zsh", "fish", "powershell"] {
        let script = printed(&["completion", shell]);
        assert!(script.contains("kubectl-svc_reach"), "{shell}: {script}");
    }
}

#[test]
fn a_mistyped_service_is_answered_with_the_nearest() {
    let folder = Folder::new("mistyped");
    let config = kubeconfig(&folder, api_server());
    let ask = |args: &[&str]| {
        let output = Command::new(plugin())
            .args(args)
            .env_clear()
            .env("KUBECONFIG", &config)
            .output()
            .unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    for (args, said) in [
        (&["ngnix", "-n", "web"][..], "did you mean nginx?"),
        (&["svc/ngnix.web"], "did you mean nginx?"),
        (&["explain", "nginx-admn.web"], "did you mean nginx-admin?"),
        // Nothing is like it, or nothing can be listed.
        (&["redis", "-n", "web"], "kubectl get services -n web"),
        (&["nginx", "-n", "absent"], "kubectl get services -n absent"),
    ] {
        let (code, error) = ask(args);
        assert_eq!(code, Some(4), "{args:?}: {error}");
        assert!(error.contains(said), "{args:?}: {error}");
        assert!(error.contains("failed to get Service"), "{args:?}: {error}");
    }
    let (code, error) = ask(&["nginx.web", "-n", "shop"]);
    assert_eq!(code, Some(2), "{error}");
}

#[test]
fn usage_says_what_users_type() {
    for args in [
        &["--help"][..],
        &["explain", "--help"],
        &["matrix", "show", "--help"],
        &["--nonsense"],
        &["matrix", "show"],
        &["explain", "--nonsense"],
        &["images", "--nonsense"],
    ] {
        let output = run(args);
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        let usage: Vec<&str> = text
            .lines()
            .filter(|line| line.contains("Usage:"))
            .collect();
        assert_eq!(usage.len(), 1, "{args:?}: {text}");
        assert!(
            usage[0].starts_with("Usage: kubectl svc-reach"),
            "{args:?}: {text}"
        );
    }
}

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

/// An archive of a platform, in the folder `archives` beside the binary's.
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

/// Something in the place of a program: what is packed does not depend on what it is.
fn stand_in(folder: &Path) -> PathBuf {
    let path = folder.join("program");
    fs::write(&path, "stand-in").unwrap();
    path
}

fn sha256(file: &Path) -> String {
    let digest = Sha256::digest(fs::read(file).unwrap());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn an_archive_depends_on_what_is_in_it_and_nothing_else() {
    let mut sums = BTreeSet::new();
    for (name, umask) in [("archive-one", "022"), ("archive-two", "077")] {
        let folder = Folder::new(name);
        let (program, man) = (stand_in(&folder), folder.join("man"));
        pack(&folder, &program, "linux-amd64");
        // Other times, another mask, another order of files in the folder.
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

/// What the scripts of a release work on, in a folder of its own: what is in dist/ is nobody's but the user's.
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

/// Makes a release of the plugin under test.
fn release(folder: &Path, args: &[&str]) -> Output {
    sources(folder);
    let program = folder.join("dist/bin/linux-amd64");
    fs::create_dir_all(&program).unwrap();
    // A release has no symbols either, and packing those of a debug build takes a minute.
    succeed(
        Command::new("strip")
            .arg(plugin())
            .arg("-o")
            .arg(program.join("kubectl-svc_reach")),
    );
    // No cargo, and so no cargo-cyclonedx.
    Command::new(folder.join("packaging/release"))
        .args(args)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .output()
        .unwrap()
}

/// In the place of cargo: what it makes says what the plugin would that was compiled so.
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
fn a_release_deploys_the_probe_by_the_digest_of_its_image() {
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
    // What an earlier release left counts for nothing.
    let own = format!("{}\n{}\n", images[0], images[0]);
    let earlier = own.replace(env!("CARGO_PKG_VERSION"), "0.0.1");
    for (written, deployed) in [(own, images[0]), (earlier, "by its tag")] {
        fs::write(&list, written).unwrap();
        run("release", &["--build-only"]);
        let told = succeed(&mut Command::new(&program));
        assert_eq!(told.lines().next(), Some(deployed));
    }
}

#[test]
fn a_release_of_the_same_program_is_the_same_to_the_byte() {
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
fn a_release_without_a_bill_of_materials_is_asked_for() {
    let folder = Folder::new("release-bill");
    let output = release(&folder, &["--no-build"]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("--no-sbom"), "{error}");
    assert!(!folder.join("dist/SHA256SUMS").exists(), "{error}");
}

#[test]
fn an_archive_holds_what_krew_can_unpack_and_what_it_has_to() {
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
            // Krew: "unable to handle file type" for anything but these.
            assert!(line.starts_with('-') || line.starts_with('d'), "{line}");
            let name = line.split_whitespace().last().unwrap();
            assert!(names.insert(name), "twice: {name}");
            let executable = line.starts_with("-rwxr-xr-x");
            assert_eq!(executable, name.starts_with("kubectl"), "{line}");
        }
        for name in present
            .iter()
            .chain(&["LICENSE", "man/man1/kubectl-svc-reach.1"])
            // Errors of the program name them.
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

#[test]
fn an_image_is_called_by_the_digest_that_a_registry_will_give_it() {
    let folder = Folder::new("image");
    let script = packaging("oci-image");
    let mut digests = BTreeSet::new();
    for name in ["example/probe:1", "registry.example/mirror/probe:1"] {
        let archive = folder.join("image.tar");
        let said = succeed(Command::new(&script).args([
            stand_in(&folder).to_str().unwrap(),
            name,
            archive.to_str().unwrap(),
        ]));
        let digest = said.split_whitespace().last().unwrap().to_owned();
        let unpacked = |path: &str| {
            succeed(Command::new("tar").arg("xOf").arg(&archive).arg(path)).into_bytes()
        };
        let index: Value = serde_json::from_slice(&unpacked("index.json")).unwrap();
        assert_eq!(index["manifests"][0]["digest"], digest.as_str());
        // A registry calls a manifest by the hash of its bytes.
        let hash = digest.strip_prefix("sha256:").unwrap();
        let manifest = folder.join("manifest.json");
        fs::write(&manifest, unpacked(&format!("blobs/sha256/{hash}"))).unwrap();
        assert_eq!(sha256(&manifest), hash);
        digests.insert(digest);
    }
    assert_eq!(digests.len(), 1, "a mirror's has the same: {digests:?}");
}

const PLATFORMS: [&str; 5] = [
    "linux-amd64",
    "linux-arm64",
    "darwin-amd64",
    "darwin-arm64",
    "windows-amd64",
];

/// Krew's manifest of the archives in a folder.
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

/// What krew demands (`internal/index/validation/validate.go`, which the index runs strictly: a field that it does not
/// know fails), and what its guides ask for.
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
    // The guide asks for neither commands nor options in a description.
    for usage in ["kubectl svc-reach", " --", "Usage"] {
        assert!(!text("description").contains(usage), "{usage}");
    }
    for need in ["manifests/rbac-namespaced.yaml", "hostNetwork"] {
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
        assert!(selected.insert((os, arch)), "two for {os}/{arch}");
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
fn krew_takes_the_manifest_of_whatever_platforms_there_are() {
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
    // A manifest of nothing is none.
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
fn what_krew_installs_runs_by_kubectl() {
    let folder = Folder::new("install");
    let archive = pack(&folder, &plugin(), "linux-amd64");
    let manifest = manifest(&folder.join("archives"));
    let entry = &manifest["spec"]["platforms"][0];
    assert_eq!(entry["sha256"], sha256(&archive));
    // As krew does: the archive into its store, and one link in its bin folder, with underscores for hyphens.
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
    // As the caveats say.
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
        "show\tOne edition, as the table that the document has\n:4\n"
    );
}
