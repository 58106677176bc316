//! Images of the plugin and of the probe.

use crate::{container, documents, manifest, with_web};
use svc_reach_common::names;

#[test]
fn manifests_use_the_images_of_this_version() {
    let helm = documents(&manifest("helm/values.yaml")).remove(0);
    let mut found = vec![
        (helm["svcReach"]["image"].clone(), names::PLUGIN_IMAGE),
        (helm["svcReach"]["probeImage"].clone(), names::IMAGE),
    ];
    let workflow = documents(&manifest("github-actions.yaml")).remove(0);
    found.push((
        workflow["jobs"]["svc-reach"]["env"]["SVC_REACH_IMAGE"].clone(),
        names::IMAGE,
    ));
    for name in ["job.yaml", "cronjob.yaml", "argo-cd.yaml", "tekton.yaml"] {
        let object = documents(&manifest(name)).remove(0);
        let container = container(&object);
        found.push((container["image"].clone(), names::PLUGIN_IMAGE));
        assert_eq!(container["env"][0]["name"], "SVC_REACH_IMAGE", "{name}");
        found.push((container["env"][0]["value"].clone(), names::IMAGE));
    }
    for (image, expected) in found {
        assert_eq!(image, expected);
    }
}

/// If the digest exists, that image runs. If not, the report says that the image could not be pulled.
#[test]
#[ignore = "needs the test cluster: tests/run brings it up"]
fn the_probe_image_can_be_pinned_by_digest() {
    let (kubectl, namespace) = with_web("Cluster");
    // The web server of these tests uses the same image, and its status contains the digest.
    let pod = kubectl.object(&namespace.args(&["get", "pod", "web-0"]));
    let status = &pod["status"]["containerStatuses"][0];
    let (_, digest) = status["imageID"].as_str().unwrap().split_once('@').unwrap();
    let ask = |digest: &str| {
        let image = format!("{}@{digest}", names::IMAGE);
        let words = [
            "svc-reach",
            "web",
            "--only",
            "pod-other,cluster-ip",
            "--image",
            &image,
        ];
        kubectl.run(&namespace.args(&words))
    };
    let output = ask(digest);
    assert_eq!(output.code, Some(0), "{output}");
    let output = ask(&format!("sha256:{}", "0".repeat(64)));
    assert_eq!(output.code, Some(3), "{output}");
    assert!(output.stdout.contains("ImagePull"), "{output}");
}
