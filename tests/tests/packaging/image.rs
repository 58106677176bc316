//! Images, made without a container engine.

use crate::{packaging, sha256, stand_in, succeed};
use serde_json::Value;
use std::{collections::BTreeSet, fs, process::Command};
use svc_reach_tests::folder::Folder;

#[test]
fn an_image_has_the_digest_that_a_registry_computes() {
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
        // A registry's digest of a manifest is the hash of its bytes.
        let hash = digest.strip_prefix("sha256:").unwrap();
        let manifest = folder.join("manifest.json");
        fs::write(&manifest, unpacked(&format!("blobs/sha256/{hash}"))).unwrap();
        assert_eq!(sha256(&manifest), hash);
        digests.insert(digest);
    }
    assert_eq!(
        digests.len(),
        1,
        "the digest must not depend on the image name: {digests:?}"
    );
}
