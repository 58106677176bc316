//! Which files and which context are used.

use crate::{
    ended, explain, kubeconfig,
    listener::{Listener, unasked},
};
use serde_json::{Value, json};
use svc_reach_tests::folder::Folder;

#[test]
fn several_kubeconfig_files_are_merged() {
    let folder = Folder::new("several");
    let api = Listener::new();
    let contexts = folder.file(
        "a/contexts",
        &json!({"contexts": [
            {"name": "one", "context": {"cluster": "c", "user": "one", "namespace": "shop"}},
            {"name": "two", "context": {"cluster": "c", "user": "two", "namespace": ""}},
        ], "current-context": "one"})
        .to_string(),
    );
    let users = folder.file(
        "b/users",
        &json!({
            "users": [
                {"name": "one", "user": {"tokenFile": "secret/token"}},
                {"name": "two", "user": {"token": "of-two"}},
            ],
            "clusters": [{"name": "c", "cluster": api.cluster()}],
            // Ignored, because an earlier file sets one.
            "current-context": "two",
        })
        .to_string(),
    );
    folder.file("b/secret/token", "of-one");
    // `kubectl config unset` and editors may leave this.
    let unset = folder.file("c/unset", &json!({"current-context": ""}).to_string());
    let absent = folder.path().join("absent");
    let all = format!(
        "{}::{}:{}:{}",
        unset.display(),
        contexts.display(),
        absent.display(),
        users.display()
    );
    for (args, token, namespace) in [
        (&[][..], "Bearer of-one", "shop"),
        (&["--context", "", "-n", ""], "Bearer of-one", "shop"),
        (&["--context", "two"], "Bearer of-two", "default"),
        (&["--user", "two"], "Bearer of-two", "shop"),
    ] {
        let output = explain(&[("KUBECONFIG", &all)], args);
        let headers = api
            .headers()
            .unwrap_or_else(|| unasked(&Value::Null, args, &output));
        assert_eq!(headers["authorization"], [token], "{args:?}");
        let (_, error) = ended(&output);
        assert!(
            error.contains(&format!("Service {namespace}/web")),
            "{args:?}: {error}"
        );
    }
    // Without KUBECONFIG, the file in HOME is used.
    folder.file(
        ".kube/config",
        &kubeconfig(&api.cluster(), &json!({"token": "of-home"})).to_string(),
    );
    explain(
        &[
            ("HOME", folder.path().to_str().unwrap()),
            ("KUBECONFIG", ""),
        ],
        &[],
    );
    assert_eq!(api.headers().unwrap()["authorization"], ["Bearer of-home"]);
    // Errors, in this order: no file of KUBECONFIG exists, the file of --kubeconfig does not exist, a file is broken,
    // no context is selected.
    let broken = folder.file("broken", "clusters: {");
    let no_context = folder.file("no-context", "{}");
    let absent = absent.to_str().unwrap();
    for (env, args, says) in [
        (absent, &[][..], "no kubeconfig found (looked for"),
        (
            contexts.to_str().unwrap(),
            &["--kubeconfig", absent],
            absent,
        ),
        (broken.to_str().unwrap(), &[], "parse kubeconfig"),
        (no_context.to_str().unwrap(), &[], "has no current-context"),
    ] {
        let (code, error) = ended(&explain(&[("KUBECONFIG", env)], args));
        assert_eq!(code, 2, "{error}");
        assert!(error.contains(says), "{says:?} in {error}");
    }
    // Without a kubeconfig, flags are enough to reach a server.
    let server = format!("127.0.0.1:{}", api.port);
    explain(
        &[("HOME", "/nonexistent")],
        &["-s", &server, "--token", "typed"],
    );
    assert_eq!(api.headers().unwrap()["authorization"], ["Bearer typed"]);
}
