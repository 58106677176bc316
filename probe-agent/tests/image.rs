//! Builds the probe's image without a container engine.

mod servers;

use std::{path::Path, process::Command};

/// Maximum size of the image: 2 MiB.
const BOUND: u64 = 2 * 1024 * 1024;

#[test]
#[ignore = "needs the released probe: tests/run builds it"]
fn image_is_small_and_reproducible() {
    let folder = std::env::temp_dir().join(format!("svc-reach-image-{}", std::process::id()));
    let make = |name: &str| {
        let archive = folder.join(name);
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/oci-image");
        let output = Command::new(script)
            .arg(servers::probe())
            .arg("svc-reach/probe:test")
            .arg(&archive)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        std::fs::read(archive).unwrap()
    };
    let (one, other) = (make("one.tar"), make("other.tar"));
    std::fs::remove_dir_all(&folder).unwrap();
    assert_eq!(one, other, "the same binary gives the same archive");
    // Nearly all of the archive is the layer, which is already compressed.
    assert!(
        u64::try_from(one.len()).unwrap() <= BOUND,
        "{} bytes",
        one.len()
    );
    let text = String::from_utf8_lossy(&one);
    for needed in [
        "\"User\":\"65532:65532\"",
        "\"Entrypoint\":[\"/svc-reach-probe\"]",
        "svc-reach/probe:test",
    ] {
        assert!(text.contains(needed), "{needed}");
    }
}
