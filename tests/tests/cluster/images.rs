//! Probes without an image are not observed.

use crate::{IN_CLUSTER, from_inside, with};
use serde_json::json;

#[test]
#[ignore = "needs a cluster: tests/run brings one up"]
fn a_failed_image_pull_is_not_an_unreachable_service() {
    let (kubectl, namespace) = with(&json!({}), 1);
    let run = from_inside(
        &kubectl,
        &namespace,
        &["--image", "svc-reach/absent:1", "--probe-timeout", "120s"],
    );
    for position in IN_CLUSTER {
        run.expect_unobserved(position, "ImagePullBackOff");
    }
    run.expect_exit(3);
}

#[test]
#[ignore = "needs a cluster: tests/run brings one up"]
fn a_probe_that_never_starts_is_not_observed() {
    let (kubectl, namespace) = with(&json!({}), 1);
    // The image is on no node and must not be pulled. So the kubelet reports a permanent error.
    let more = [
        "--image",
        "svc-reach/absent:2",
        "--image-pull-policy",
        "Never",
        "--probe-timeout",
        "120s",
    ];
    let run = from_inside(&kubectl, &namespace, &more);
    for position in IN_CLUSTER {
        run.expect_unobserved(position, "ErrImageNeverPull");
    }
    run.expect_exit(3);
}
