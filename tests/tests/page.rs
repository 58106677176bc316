//! The HTML report in a real browser.

#![expect(clippy::unwrap_used, reason = "a helper that fails must fail its test")]

use serde_json::{Value, json};
use std::process::Command;
use svc_reach_tests::{
    chromium::{Look, looks},
    fixture::{deploy, nodes, service},
    folder::Folder,
    kubectl::{Kubectl, plugin_folder},
    namespace::Namespace,
    run::ask,
};

/// Window widths of a phone, a tablet and a desktop, in CSS pixels.
const WIDTHS: [u32; 3] = [360, 768, 1280];

/// The report of a real run, as JSON. The Service has policy Local, so some cells are unreachable.
fn report() -> Value {
    let kubectl = Kubectl::from_environment();
    let namespace = Namespace::new(&kubectl, &json!({}));
    let node = nodes(&kubectl)[0].clone();
    let spec = json!({"type": "NodePort", "externalTrafficPolicy": "Local"});
    deploy(&kubectl, &namespace, &[&node], &service(&spec));
    serde_json::to_value(ask(&kubectl, &namespace, &[]).report).unwrap()
}

/// Converts a saved report to HTML with `judge` and opens the page in the browser.
fn shown(folder: &Folder, report: &Value, dark: bool) -> Vec<Look> {
    let saved = folder.file("report.json", &report.to_string());
    let page = folder.path().join("report.html");
    let output = Command::new(plugin_folder().join("kubectl-svc_reach"))
        .arg("judge")
        .arg(&saved)
        .arg(format!("--output=html={}", page.display()))
        .output()
        .unwrap();
    assert!(page.exists(), "{}", String::from_utf8_lossy(&output.stderr));
    looks(&page, &WIDTHS, dark)
}

#[test]
#[ignore = "needs a cluster and Chromium: tests/run brings one up and installs the other"]
fn a_report_fits_any_screen_in_light_and_dark() {
    let report = report();
    let folder = Folder::new("page");
    let cells = report["cells"].as_array().unwrap().len();
    for dark in [false, true] {
        for look in shown(&folder, &report, dark) {
            let width = look.width;
            assert!(
                look.content <= width,
                "{width}: the content is {} wide",
                look.content
            );
            assert_eq!(look.cells, cells, "{width}");
            assert!(look.paths > 0, "{width}: no picture is visible");
            assert!(
                look.text.contains("is reachable from everywhere"),
                "{}",
                look.text
            );
            for part in [
                "Seen",
                "Expected",
                "Predicted",
                "Attempt",
                "answered HTTP 200",
            ] {
                assert!(
                    look.opened.contains(part),
                    "{width}: {part} in {}",
                    look.opened
                );
            }
            assert_eq!(
                look.active, 0,
                "{width}: the page must not run or fetch anything"
            );
            assert_eq!(look.odd_links, [""; 0]);
            let ground = if dark {
                "rgb(13, 17, 23)"
            } else {
                "rgb(255, 255, 255)"
            };
            assert_eq!(look.ground, ground, "{width}");
        }
    }
}

#[test]
#[ignore = "needs a cluster and Chromium: tests/run brings one up and installs the other"]
fn text_from_the_cluster_is_escaped() {
    let mut report = report();
    let hostile = "<img src=x onerror=\"top.document.title='hacked'\"><script>top.document.title='hacked'</script>";
    report["service"]["name"] = hostile.into();
    report["environment"]["provider"] = hostile.into();
    for cell in report["cells"].as_array_mut().unwrap() {
        cell["node"] = hostile.into();
        cell["observed"]["reason"] =
            format!("{hostile} javascript:alert(1) https://e.example/\" onclick=alert(1)").into();
        cell["target"]["address"] = "a-very-long-name".repeat(20).into();
    }
    let folder = Folder::new("hostile");
    let list =
        json!({"apiVersion": "svc-reach/v1", "kind": "ReportList", "items": [report, report]});
    for look in shown(&folder, &list, false) {
        let width = look.width;
        assert!(
            look.text.contains("<script>top.document.title"),
            "{}",
            look.text
        );
        assert_eq!(look.active, 0, "{width}");
        assert_eq!(look.odd_links, [""; 0]);
        assert_eq!(look.title, "Reachability of 2 Services");
        assert!(
            look.content <= width,
            "{width}: the content is {} wide",
            look.content
        );
    }
}
