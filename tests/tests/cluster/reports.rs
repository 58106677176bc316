//! Reports in files, and what `judge` says about them.

use crate::{from_inside, with};
use serde_json::json;
use svc_reach_common::{
    observation::ObservedValue::{NotObserved, Unreachable},
    report::Report,
    verdict::Verdict,
};
use svc_reach_tests::{folder::Folder, junit};

#[test]
#[ignore = "needs a cluster and PyPI's JUnit parser: tests/run brings one up and fetches the other"]
fn one_run_can_write_several_output_files() {
    // The ports and the policy cause every kind of result: a disputed node port on a node without a backend, a port
    // that nothing listens on, and an unanswered datagram.
    let ports = json!([
        {"name": "http", "port": 80, "targetPort": 8080},
        {"name": "closed", "port": 81, "targetPort": 1},
        {"name": "dns", "port": 53, "targetPort": 5353, "protocol": "UDP"},
    ]);
    let spec = json!({"type": "NodePort", "externalTrafficPolicy": "Local", "ports": ports});
    let (kubectl, namespace) = with(&spec, 1);
    let folder = Folder::new("files");
    let (xml, tap) = (
        folder.path().join("report.xml"),
        folder.path().join("report.tap"),
    );
    let (to_junit, to_tap) = (
        format!("junit={}", xml.display()),
        format!("tap={}", tap.display()),
    );
    let cce = ["--matrix", "huawei-cce", "--column", "vpc/iptables"];
    let more = ["--udp-payload", "", "-o", &to_junit, "-o", &to_tap];
    let run = from_inside(&kubectl, &namespace, &[&cce[..], &more].concat());
    let cells = &run.report.cells;
    let tap = std::fs::read_to_string(tap).unwrap();
    assert!(
        tap.starts_with(&format!("TAP version 14\n1..{}\n", cells.len())),
        "{tap}"
    );

    let junit = junit::read(&xml);
    assert_eq!((junit.cases, junit.tests), (cells.len(), cells.len()));
    for (ending, stated, verdicts, says) in [
        (
            "Failure",
            junit.failures,
            &[Verdict::Worse, Verdict::Better, Verdict::Unstable][..],
            "refused",
        ),
        (
            "Error",
            junit.errors,
            &[Verdict::NotObserved],
            "--udp-payload",
        ),
        (
            "Skipped",
            junit.skipped,
            &[Verdict::Disputed, Verdict::Undocumented],
            "disputed",
        ),
    ] {
        let results = junit.results.iter();
        let texts: Vec<&str> = results
            .filter(|(one, _)| one == ending)
            .map(|(_, text)| text.as_str())
            .collect();
        let seen = cells.iter().filter(|cell| verdicts.contains(&cell.verdict));
        let seen = seen.count();
        assert_eq!((texts.len(), stated), (seen, seen), "{ending}: {junit:?}");
        assert!(
            texts.iter().any(|text| text.contains(says)),
            "{ending} with {says:?}: {texts:?}"
        );
    }
}

/// Judging a saved report by another matrix gives the same verdicts as a run with that matrix. A saved report can also
/// be compared with a later one.
#[test]
#[ignore = "needs a cluster: tests/run brings one up"]
fn a_saved_report_is_judged_again_and_compared() {
    let (kubectl, namespace) = with(
        &json!({"type": "NodePort", "externalTrafficPolicy": "Local"}),
        1,
    );
    let run = from_inside(&kubectl, &namespace, &[]);
    run.expect_exit(0);
    let folder = Folder::new("judge");
    let file = |name: &str| {
        let path = folder.join(format!("{name}.json"));
        path.to_str().unwrap().to_owned()
    };
    let (old, new) = (file("old"), file("new"));
    std::fs::write(&old, &run.output.stdout).unwrap();
    let cce = [
        "--matrix",
        "huawei-cce@2024-01-en",
        "--strict",
        "--column",
        "vpc/iptables",
    ];
    let judge = |more: &[&str]| {
        let args: Vec<&str> = ["svc-reach", "judge", &old]
            .iter()
            .chain(more)
            .copied()
            .collect();
        kubectl.run(&args)
    };
    let output = judge(&[&["-o", "json"], &cce[..]].concat());
    assert_eq!(output.code, Some(1), "{output}");
    let again: Report = serde_json::from_str(&output.stdout).unwrap();
    let rerun = from_inside(&kubectl, &namespace, &cce);
    let verdicts = |report: &Report| -> Vec<_> {
        let cells = report.cells.iter();
        cells
            .map(|cell| (cell.position, cell.verdict, cell.expected.clone()))
            .collect()
    };
    assert_eq!(verdicts(&again), verdicts(&rerun.report));
    assert_eq!(again.matrix, rerun.report.matrix);
    assert_eq!(again.environment.column.as_deref(), Some("vpc/iptables"));

    let mut later = run.report.clone();
    let compare = |later: &Report| {
        std::fs::write(&new, serde_json::to_string(later).unwrap()).unwrap();
        judge(&[&new])
    };
    let same = compare(&later);
    assert_eq!(same.code, Some(0), "{same}");
    assert!(same.stdout.contains("nothing changed"), "{same}");
    later.cells[0].observed.value = NotObserved;
    let unseen = compare(&later);
    assert_eq!(unseen.code, Some(3), "{unseen}");
    later.cells[0].observed.value = Unreachable;
    later.cells[0].observed.reason = "timed out\u{1b}[31m".to_owned();
    let worse = compare(&later);
    assert_eq!(worse.code, Some(1), "{worse}");
    assert!(
        worse
            .stdout
            .contains("now unreachable (timed out\\u{1b}[31m)"),
        "{worse}"
    );
}
