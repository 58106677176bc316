//! Credentials of users: tokens, passwords, credential plugins and impersonation.

use crate::{
    V1, ended, explain, in_folder,
    listener::{Listener, unasked},
    test_cluster::{Real, against, decoded, let_in, with},
};
use serde_json::{Value, json};
use std::{
    fs,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use svc_reach_tests::{folder::Folder, namespace::Namespace, wait::until};

/// Name and values of a header.
type Header<'a> = (&'a str, &'a [&'a str]);

/// An OIDC ID token that expires in this many seconds.
fn id_token(seconds: i64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let exp = i64::try_from(now.as_secs()).unwrap() + seconds;
    let claims = format!("{{\"exp\":{exp}}}");
    format!("e30.{}.c2ln", base64(claims.as_bytes()))
}

/// Encodes as base64url without padding, as in JSON web tokens.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let all = chunk
            .iter()
            .chain([&0, &0])
            .take(3)
            .fold(0, |all, byte| all << 8 | usize::from(*byte));
        for index in 0..=chunk.len() {
            text.push(char::from(LETTERS[all >> (18 - 6 * index) & 63]));
        }
    }
    text
}

/// A credential plugin. It returns the token in $TOKEN, and fails unless the request has the API version in its first
/// argument.
const PLUGIN: &str = r#"version=$(printf %s "$KUBERNETES_EXEC_INFO" | sed 's/.*"apiVersion":"\([^"]*\)".*/\1/')
[ "$version" = "$1" ] || { echo "asked as $version" >&2; exit 3; }
echo "{\"kind\": \"ExecCredential\", \"apiVersion\": \"$version\", \"status\": {\"token\": \"$TOKEN\"}}""#;

const V1BETA1: &str = "client.authentication.k8s.io/v1beta1";

#[test]
fn credentials_are_sent_as_kubectl_sends_them() {
    let folder = Folder::new("credentials");
    let api = Listener::new();
    folder.program("bin/login", PLUGIN);
    folder.file("token", "from-file\n");
    let exec = |version: &str, mode: &str| {
        json!({"exec": {"apiVersion": version, "command": "./bin/login", "args": [version],
            "env": [{"name": "TOKEN", "value": "by-plugin"}], "interactiveMode": mode}})
    };
    let id_token = id_token(3600);
    let by_oidc = format!("Bearer {id_token}");
    let rows: [(Value, &[&str], &[Header<'_>]); 14] = [
        (
            json!({"token": "inline"}),
            &[],
            &[("authorization", &["Bearer inline"])],
        ),
        (
            json!({"tokenFile": "token"}),
            &[],
            &[("authorization", &["Bearer from-file"])],
        ),
        (
            json!({"username": "jane", "password": "secret"}),
            &[],
            &[("authorization", &["Basic amFuZTpzZWNyZXQ="])],
        ),
        (
            exec(V1, "Never"),
            &[],
            &[("authorization", &["Bearer by-plugin"])],
        ),
        (
            exec(V1, "IfAvailable"),
            &[],
            &[("authorization", &["Bearer by-plugin"])],
        ),
        (
            exec(V1BETA1, "Never"),
            &[],
            &[("authorization", &["Bearer by-plugin"])],
        ),
        (
            json!({"auth-provider": {"name": "oidc", "config": {"id-token": id_token,
                "idp-issuer-url": "https://issuer.invalid", "client-id": "id"}}}),
            &[],
            &[("authorization", &[&by_oidc])],
        ),
        // Flags override the kubeconfig.
        (
            exec(V1, "Never"),
            &["--token", "typed"],
            &[("authorization", &["Bearer typed"])],
        ),
        (
            json!({"token": "inline"}),
            &["--username", "jane", "--password", "secret"],
            &[("authorization", &["Basic amFuZTpzZWNyZXQ="])],
        ),
        (
            json!({"as": "jane", "as-uid": "7", "as-groups": ["dev", "ops"],
                "as-user-extra": {"reason": ["test"]}}),
            &[],
            &[
                ("impersonate-user", &["jane"]),
                ("impersonate-uid", &["7"]),
                ("impersonate-group", &["dev", "ops"]),
                ("impersonate-extra-reason", &["test"]),
            ],
        ),
        (
            json!({}),
            &[
                "--as",
                "jane",
                "--as-uid",
                "7",
                "--as-group",
                "dev",
                "--as-group",
                "ops",
            ],
            &[
                ("impersonate-user", &["jane"]),
                ("impersonate-uid", &["7"]),
                ("impersonate-group", &["dev", "ops"]),
            ],
        ),
        (
            json!({"as": "jane"}),
            &["--as", "joe", "--as-group", "dev"],
            &[
                ("impersonate-user", &["joe"]),
                ("impersonate-group", &["dev"]),
            ],
        ),
        (
            json!({"as": "jane"}),
            &["--as-group=dev", "--disable-compression", "-v=0"],
            &[
                ("impersonate-user", &["jane"]),
                ("impersonate-group", &["dev"]),
            ],
        ),
        (
            json!({}),
            &[],
            &[("host", &[&format!("127.0.0.1:{}", api.port)])],
        ),
    ];
    for (user, args, expected) in rows {
        let config = in_folder(&folder, &api.cluster(), &user);
        let output = explain(&[("KUBECONFIG", config.to_str().unwrap())], args);
        let headers = api
            .headers()
            .unwrap_or_else(|| unasked(&user, args, &output));
        for (name, values) in expected {
            assert_eq!(
                headers.get(*name).map(Vec::as_slice),
                Some(values.iter().map(ToString::to_string).collect::<Vec<_>>()).as_deref(),
                "{name} by {user} {args:?}"
            );
        }
        // No other credentials are sent.
        let ours: Vec<&str> = expected.iter().map(|(name, _)| *name).collect();
        for name in headers.keys() {
            let theirs = name == "authorization" || name.starts_with("impersonate-");
            assert!(
                !theirs || ours.contains(&name.as_str()),
                "{name} by {user} {args:?}"
            );
        }
        assert_eq!(
            ended(&output).0,
            4,
            "{user}: the fake API server answers 404"
        );
    }
}

#[test]
fn an_error_says_why_credentials_are_missing() {
    let folder = Folder::new("no-credentials");
    let api = Listener::new();
    folder.program(
        "refuse",
        "echo 'your session has ended: log in again' >&2; exit 7",
    );
    folder.program("babble", "echo hello");
    folder.program("nothing", "echo '{\"kind\": \"ExecCredential\", \"apiVersion\": \"client.authentication.k8s.io/v1\"}'");
    let exec = |command: &str, mode: &str| {
        json!({"exec": {"apiVersion": V1, "command": command, "interactiveMode": mode,
            "installHint": "install it with care"}})
    };
    let oidc = |config: Value| json!({"auth-provider": {"name": "oidc", "config": config}});
    let rows: [(Value, &[&str], i32, &[&str]); 12] = [
        (
            exec("./refuse", "Never"),
            &[],
            2,
            &[
                "refuse",
                "exit status: 7",
                "your session has ended: log in again",
            ],
        ),
        // In this mode the credential plugin may ask the user, so its standard error is not captured.
        (
            exec("./refuse", "IfAvailable"),
            &[],
            2,
            &[
                "refuse",
                "exit status: 7",
                "your session has ended: log in again",
            ],
        ),
        (
            exec("./babble", "Never"),
            &[],
            2,
            &["babble", "printed no credentials"],
        ),
        (
            exec("./nothing", "Never"),
            &[],
            2,
            &["nothing", "printed no credentials"],
        ),
        (
            exec("svc-reach-is-not-installed", "Never"),
            &[],
            2,
            &[
                "\"svc-reach-is-not-installed\" did not start",
                "install it with care",
                "No such file",
            ],
        ),
        (exec("./refuse", "Always"), &[], 2, &["needs a terminal"]),
        (
            json!({"tokenFile": "absent"}),
            &[],
            2,
            &["token file", "absent", "No such file"],
        ),
        (
            oidc(json!({"id-token": id_token(-60)})),
            &[],
            4,
            &["ID token expired", "missing field"],
        ),
        (oidc(json!({})), &[], 2, &["id-token"]),
        (
            json!({"auth-provider": {"name": "azure"}}),
            &[],
            2,
            &["kubelogin"],
        ),
        (
            json!({"as-groups": ["dev"]}),
            &[],
            2,
            &["no user to impersonate"],
        ),
        (
            json!({}),
            &["--user", "joe"],
            2,
            &["user \"joe\" does not exist in the kubeconfig"],
        ),
    ];
    for (user, args, code, says) in rows {
        let config = in_folder(&folder, &api.cluster(), &user);
        let output = explain(&[("KUBECONFIG", config.to_str().unwrap())], args);
        let (ended, error) = ended(&output);
        assert_eq!(ended, code, "{user}: {error}");
        for part in says {
            assert!(error.contains(part), "{user}: {part:?} in {error}");
        }
        assert!(
            !error.contains("Output {"),
            "{user}: the error must not contain Debug output: {error}"
        );
        assert!(
            api.headers().is_none(),
            "{user}: without credentials nothing is sent"
        );
    }
}

#[test]
#[ignore = "needs a cluster: tests/run brings one up"]
fn a_real_api_server_identifies_the_user() {
    let folder = Folder::new("who");
    let Real {
        kubectl,
        cluster,
        user,
    } = &Real::new();
    let namespace = Namespace::new(kubectl, &json!({}));
    namespace.kubectl(&["create", "serviceaccount", "reader"]);
    kubectl.apply(&json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/service-account-token",
        "metadata": {"name": "reader", "namespace": namespace.name,
            "annotations": {"kubernetes.io/service-account.name": "reader"}},
    }));
    let token = until("a token", Duration::from_secs(90), || {
        let secret = kubectl.object(&namespace.args(&["get", "secret", "reader"]));
        secret["data"]["token"]
            .as_str()
            .map(|_| secret["data"]["token"].clone())
            .ok_or_else(|| secret.to_string())
    });
    let token = fs::read_to_string(decoded(&folder, "token", &token)).unwrap();
    let name = format!("system:serviceaccount:{}:reader", namespace.name);
    folder.program("login", &format!("echo '{{\"kind\": \"ExecCredential\", \"apiVersion\": \"{V1}\", \"status\": {{\"token\": \"{token}\"}}}}'"));
    let exec =
        json!({"exec": {"apiVersion": V1, "command": "./login", "interactiveMode": "Never"}});
    let rows: [(Value, &[&str], &str); 6] = [
        (json!({"token": token}), &[], &name),
        (json!({"tokenFile": "token"}), &[], &name),
        (exec, &[], &name),
        (json!({}), &["--token", &token], &name),
        (with(user, &json!({"as": "jane"})), &[], "jane"),
        (user.clone(), &["--as", "joe", "--as-group", "dev"], "joe"),
    ];
    for (user, args, who) in rows {
        let (code, error) = against(&folder, cluster, &user, &[], args);
        let says = format!("User \"{who}\" cannot");
        assert!(code == 4 && error.contains(&says), "{says} in {error}");
    }
    let_in(
        &folder,
        cluster,
        &with(
            user,
            &json!({"as": "jane", "as-groups": ["system:masters"]}),
        ),
        &[],
        &[],
    );
    // The server does not know these tokens. It answers 401, and the error says so.
    let oidc = json!({"auth-provider": {"name": "oidc", "config": {"id-token": id_token(3600)}}});
    for user in [oidc, json!({"token": "nonsense"})] {
        let (code, error) = against(&folder, cluster, &user, &[], &[]);
        assert!(code == 4 && error.contains("401"), "{user}: {error}");
    }
}
