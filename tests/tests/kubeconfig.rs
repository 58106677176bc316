//! Kubeconfigs and connection flags, as kubectl understands them: whatever reaches an API server with kubectl reaches it
//! with the plugin. What is sent is seen by an API server that only listens; that it is understood, by a real one.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use svc_reach_tests::{
    folder::Folder,
    kubectl::{self, Kubectl, plugin_folder},
    namespace::Namespace,
    process::send,
    wait::until,
};

/// Writes a kubeconfig of one context.
fn in_folder(folder: &Folder, cluster: &Value, user: &Value) -> PathBuf {
    folder.file("config", &kubeconfig(cluster, user).to_string())
}

fn kubeconfig(cluster: &Value, user: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "here",
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "u", "user": user}],
        "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
    })
}

/// `explain web`, which asks an API server and makes nothing, in an environment of these variables alone.
fn explain(env: &[(&str, &str)], args: &[&str]) -> Output {
    let plugin = plugin_folder().join("kubectl-svc_reach");
    assert!(
        plugin.exists(),
        "{} is not built: cargo build -p svc-reach",
        plugin.display()
    );
    Command::new(plugin)
        .args(["explain", "web"])
        .args(args)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .envs(env.iter().copied())
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// Exit code and standard error.
fn ended(output: &Output) -> (i32, String) {
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code().unwrap(), error)
}

/// A variable of the environment.
type Variable<'a> = (&'a str, &'a str);

/// Name and values of a header.
type Header<'a> = (&'a str, &'a [&'a str]);

type Words<'a> = &'a [&'a str];

type Headers = BTreeMap<String, Vec<String>>;

/// An API server that remembers the headers of what it was asked last, and has nothing.
struct Listener {
    port: u16,
    last: Arc<Mutex<Option<Headers>>>,
}

impl Listener {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let last: Arc<Mutex<Option<Headers>>> = Arc::default();
        let heard = Arc::clone(&last);
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let lines = BufReader::new(stream.try_clone().unwrap()).lines();
                let mut headers = Headers::new();
                for line in lines.skip(1).map_while(Result::ok) {
                    let Some((name, value)) = line.split_once(": ") else {
                        break;
                    };
                    let values = headers.entry(name.to_lowercase()).or_default();
                    values.push(value.to_owned());
                }
                *heard.lock().unwrap() = Some(headers);
                let body = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure",
                    "reason": "NotFound", "code": 404, "message": "only listening"})
                .to_string();
                let _ = write!(
                    stream,
                    "HTTP/1.1 404 Not Found\r\ncontent-type: application/json\r\n\
                     connection: close\r\ncontent-length: {}\r\n\r\n{body}",
                    body.len()
                );
            }
        });
        Self { port, last }
    }

    fn cluster(&self) -> Value {
        json!({"server": format!("http://127.0.0.1:{}", self.port)})
    }

    /// The headers of the last request, which are then forgotten.
    fn headers(&self) -> Option<Headers> {
        self.last.lock().unwrap().take()
    }
}

/// A token of OIDC that ends in so many seconds.
fn id_token(seconds: i64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let exp = i64::try_from(now.as_secs()).unwrap() + seconds;
    let claims = format!("{{\"exp\":{exp}}}");
    format!("e30.{}.c2ln", base64(claims.as_bytes()))
}

/// As JSON web tokens have it.
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

/// A credential plugin that gives the token in $TOKEN, in the version that it was asked in.
const PLUGIN: &str = r#"version=$(printf %s "$KUBERNETES_EXEC_INFO" | sed 's/.*"apiVersion":"\([^"]*\)".*/\1/')
[ "$version" = "$1" ] || { echo "asked as $version" >&2; exit 3; }
echo "{\"kind\": \"ExecCredential\", \"apiVersion\": \"$version\", \"status\": {\"token\": \"$TOKEN\"}}""#;

const V1: &str = "client.authentication.k8s.io/v1";
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
        // Flags come before whatever the kubeconfig has.
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
        // Nothing of anybody else's.
        let ours: Vec<&str> = expected.iter().map(|(name, _)| *name).collect();
        for name in headers.keys() {
            let theirs = name == "authorization" || name.starts_with("impersonate-");
            assert!(
                !theirs || ours.contains(&name.as_str()),
                "{name} by {user} {args:?}"
            );
        }
        assert_eq!(ended(&output).0, 4, "{user}: it listens only");
    }
}

#[expect(
    clippy::panic,
    reason = "a test whose request never came fails, and says so"
)]
fn unasked(user: &Value, args: &[&str], output: &Output) -> Headers {
    panic!("{user} {args:?}: never asked: {}", ended(output).1)
}

#[test]
fn credentials_that_cannot_be_had_are_said_with_whose_fault_it_is() {
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
        // Shared with the user, who may be asked something there.
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
            &["babble", "gave no credentials"],
        ),
        (
            exec("./nothing", "Never"),
            &[],
            2,
            &["nothing", "gave no credentials"],
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
            &["does not exist in the kubeconfig \"joe\""],
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
        assert!(!error.contains("Output {"), "{user}: for people: {error}");
        assert!(
            api.headers().is_none(),
            "{user}: nobody is asked without them"
        );
    }
}

/// A process that somebody else started, and that goes when the test does.
struct Stray(u32);

impl Drop for Stray {
    fn drop(&mut self) {
        send("KILL", self.0);
    }
}

#[test]
fn a_credential_plugin_that_hangs_does_not_keep_the_program_from_ending() {
    let folder = Folder::new("hanging-plugin");
    // Written under another name first, so that it is never seen half.
    folder.program(
        "hang",
        "echo $$ >pid.new && mv pid.new \"$1\" && exec sleep 600",
    );
    let pid_file = folder.path().join("pid");
    let user = json!({"exec": {"apiVersion": V1, "command": "./hang", "args": [pid_file],
        "interactiveMode": "Never"}});
    let config = in_folder(&folder, &json!({"server": "http://127.0.0.1:1"}), &user);
    for command in [&["web"][..], &["explain", "web"], &["cleanup"]] {
        let mut child = Command::new(plugin_folder().join("kubectl-svc_reach"))
            .args(command)
            .current_dir(folder.path())
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("KUBECONFIG", &config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let pid: String = until("the plugin hangs", Duration::from_secs(30), || {
            fs::read_to_string(&pid_file).map_err(|error| error.to_string())
        });
        let stray = Stray(pid.trim().parse().unwrap());
        send("TERM", child.id());
        let status = until("the program ended", Duration::from_secs(30), || {
            let ended = child.try_wait().unwrap();
            ended.ok_or_else(|| "it runs".to_owned())
        });
        assert_eq!(status.code(), Some(143), "{command:?}");
        drop(stray);
        fs::remove_file(&pid_file).unwrap();
    }
}

#[test]
fn several_files_are_one_kubeconfig() {
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
            // The first file that has one wins.
            "current-context": "two",
        })
        .to_string(),
    );
    folder.file("b/secret/token", "of-one");
    // As editors and `kubectl config unset` leave it.
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
    // Where HOME has the only one.
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
    // None of them is there; one is asked for outright; one is broken; no context is chosen.
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
        (no_context.to_str().unwrap(), &[], "--context names none"),
    ] {
        let (code, error) = ended(&explain(&[("KUBECONFIG", env)], args));
        assert_eq!(code, 2, "{error}");
        assert!(error.contains(says), "{says:?} in {error}");
    }
    // Without any, flags alone reach a server.
    let server = format!("127.0.0.1:{}", api.port);
    explain(
        &[("HOME", "/nonexistent")],
        &["-s", &server, "--token", "typed"],
    );
    assert_eq!(api.headers().unwrap()["authorization"], ["Bearer typed"]);
}

/// A proxy that takes whoever asks to one place, and remembers where they wanted to go.
struct Proxy {
    port: u16,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    /// `greet` reads where to go, and says that the way is free.
    fn new(to: String, greet: fn(&mut TcpStream) -> String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let heard = Arc::clone(&asked);
        thread::spawn(move || {
            for mut client in listener.incoming().flatten() {
                heard.lock().unwrap().push(greet(&mut client));
                let server = TcpStream::connect(&to).unwrap();
                for (mut from, mut to) in [
                    (client.try_clone().unwrap(), server.try_clone().unwrap()),
                    (server, client),
                ] {
                    thread::spawn(move || {
                        let _ = std::io::copy(&mut from, &mut to);
                        let _ = to.shutdown(std::net::Shutdown::Write);
                    });
                }
            }
        });
        Self { port, asked }
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

/// CONNECT (RFC 9110, 9.3.6).
fn connect(client: &mut TcpStream) -> String {
    let mut lines = BufReader::new(client.try_clone().unwrap()).lines();
    let request = lines.next().unwrap().unwrap();
    let mut credentials = String::new();
    for line in lines
        .map_while(Result::ok)
        .take_while(|line| !line.is_empty())
    {
        if let Some((name, value)) = line.split_once(": ")
            && name.eq_ignore_ascii_case("proxy-authorization")
        {
            credentials = format!(" as {value}");
        }
    }
    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
    let target = request.strip_prefix("CONNECT ").unwrap_or(&request);
    format!("{}{credentials}", target.split(' ').next().unwrap())
}

/// SOCKS 5 (RFC 1928), without authentication.
fn socks(client: &mut TcpStream) -> String {
    let mut bytes = [0; 2];
    client.read_exact(&mut bytes).unwrap();
    client
        .read_exact(&mut vec![0; usize::from(bytes[1])])
        .unwrap();
    client.write_all(&[5, 0]).unwrap();
    let mut head = [0; 4];
    client.read_exact(&mut head).unwrap();
    let host = if head[3] == 3 {
        let mut length = [0];
        client.read_exact(&mut length).unwrap();
        let mut name = vec![0; usize::from(length[0])];
        client.read_exact(&mut name).unwrap();
        String::from_utf8(name).unwrap()
    } else {
        let mut ip = [0; 4];
        client.read_exact(&mut ip).unwrap();
        std::net::Ipv4Addr::from(ip).to_string()
    };
    client.read_exact(&mut bytes).unwrap();
    client.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).unwrap();
    format!("{host}:{}", u16::from_be_bytes(bytes))
}

#[test]
fn proxies_are_taken_where_kubectl_takes_them() {
    let folder = Folder::new("proxies");
    let api = Listener::new();
    let to = format!("127.0.0.1:{}", api.port);
    let (http, socks) = (Proxy::new(to.clone(), connect), Proxy::new(to, socks));
    let http_url = format!("http://127.0.0.1:{}", http.port);
    let bare = format!("127.0.0.1:{}", http.port);
    let with_password = format!("http://jane:secret@127.0.0.1:{}", http.port);
    let socks_url = format!("socks5://127.0.0.1:{}", socks.port);
    let absent = "http://127.0.0.1:1";
    // No such host anywhere: only a proxy gets there.
    let server = "http://cluster.invalid:8080";
    let there = "cluster.invalid:8080";
    let as_jane = "cluster.invalid:8080 as Basic amFuZTpzZWNyZXQ=";
    let none: &[&str] = &[];
    let rows: [(Option<&str>, &[Variable<'_>], Words<'_>, Words<'_>); 11] = [
        (Some(&http_url), &[], &[there], none),
        (Some(&with_password), &[], &[as_jane], none),
        (Some(&socks_url), &[], none, &[there]),
        (None, &[("HTTP_PROXY", &http_url)], &[there], none),
        (None, &[("http_proxy", &bare)], &[there], none),
        (None, &[("HTTP_PROXY", &socks_url)], none, &[there]),
        // That of the cluster comes first, whatever the environment says.
        (
            Some(&http_url),
            &[("HTTP_PROXY", absent), ("NO_PROXY", "*")],
            &[there],
            none,
        ),
        // By the name of the server, not by the proxy's.
        (
            None,
            &[
                ("HTTP_PROXY", &http_url),
                ("NO_PROXY", "127.0.0.1,localhost"),
            ],
            &[there],
            none,
        ),
        (
            None,
            &[
                ("HTTP_PROXY", &http_url),
                ("NO_PROXY", "example.org,.invalid"),
            ],
            none,
            none,
        ),
        (
            None,
            &[("HTTP_PROXY", &http_url), ("no_proxy", "cluster.invalid")],
            none,
            none,
        ),
        (None, &[("HTTPS_PROXY", &http_url)], none, none),
    ];
    for (proxy, env, by_http, by_socks) in rows {
        let mut cluster = json!({"server": server});
        if let Some(url) = proxy {
            cluster["proxy-url"] = url.into();
        }
        let config = in_folder(&folder, &cluster, &json!({}));
        let env: Vec<_> = [("KUBECONFIG", config.to_str().unwrap())]
            .into_iter()
            .chain(env.iter().copied())
            .collect();
        let output = explain(&env, &[]);
        let (_, error) = ended(&output);
        // A request that failed may have been tried again.
        let (mut asked, mut asked_socks) = (http.asked(), socks.asked());
        asked.dedup();
        asked_socks.dedup();
        assert_eq!(asked, by_http, "{cluster} {env:?}: {error}");
        assert_eq!(asked_socks, by_socks, "{cluster} {env:?}: {error}");
        let reached = !by_http.is_empty() || !by_socks.is_empty();
        assert_eq!(
            api.headers().is_some(),
            reached,
            "{cluster} {env:?}: {error}"
        );
    }
    // The way to this machine is never by a proxy of the environment.
    let config = in_folder(&folder, &api.cluster(), &json!({}));
    let config = config.to_str().unwrap();
    explain(&[("KUBECONFIG", config), ("HTTP_PROXY", &http_url)], &[]);
    assert_eq!(http.asked(), [""; 0]);
    assert!(api.headers().is_some());
    for (url, says) in [
        ("ftp://127.0.0.1:1", "ftp://127.0.0.1:1"),
        ("http://[", "is not a URL"),
    ] {
        let config = in_folder(
            &folder,
            &json!({"server": server, "proxy-url": url}),
            &json!({}),
        );
        let (code, error) = ended(&explain(&[("KUBECONFIG", config.to_str().unwrap())], &[]));
        assert_eq!(code, 2, "{error}");
        assert!(error.contains(says), "{says:?} in {error}");
    }
}

#[test]
fn how_much_is_logged_is_said_as_kubectl_has_it() {
    let folder = Folder::new("logs");
    let api = Listener::new();
    let config = in_folder(&folder, &api.cluster(), &json!({"token": "very-secret"}));
    let config = config.to_str().unwrap();
    for (args, env, requests, everything) in [
        (&[][..], "", false, false),
        (&["-v=0"], "", false, false),
        (&["-v"], "", true, false),
        (&["-v=6"], "", true, false),
        (&["--v=6"], "", true, false),
        (&["-vv"], "", true, true),
        (&["-v=9"], "", true, true),
        (&[], "kubectl_svc_reach=debug", true, false),
    ] {
        let output = explain(&[("KUBECONFIG", config), ("RUST_LOG", env)], args);
        let (_, error) = ended(&output);
        assert_eq!(
            error.contains("GET /api/v1/"),
            requests,
            "{args:?} {env}: {error}"
        );
        assert_eq!(
            error.contains("TRACE"),
            everything,
            "{args:?} {env}: {error}"
        );
        assert!(!error.contains("very-secret"), "{args:?}: {error}");
        assert!(output.stdout.is_empty(), "logs are for standard error");
    }
    let (code, error) = ended(&explain(&[("KUBECONFIG", config)], &["-v=loud"]));
    assert_eq!(code, 2, "{error}");
}

/// The cluster that the tests run on, from this machine, in pieces.
struct Real {
    kubectl: Kubectl,
    cluster: Value,
    user: Value,
}

impl Real {
    fn new() -> Self {
        let kubectl = Kubectl::from_environment();
        // On this machine itself, whose way to the test cluster is another than the client's.
        let output = Command::new(kubectl::program())
            .args([
                "config",
                "view",
                "--raw",
                "--flatten",
                "--minify",
                "-o",
                "json",
            ])
            .output()
            .unwrap();
        let config: Value = serde_json::from_slice(&output.stdout).unwrap();
        Self {
            kubectl,
            cluster: config["clusters"][0]["cluster"].clone(),
            user: config["users"][0]["user"].clone(),
        }
    }

    /// Host and port of the API server.
    fn address(&self) -> String {
        let server = self.cluster["server"].as_str().unwrap();
        server
            .strip_prefix("https://")
            .unwrap()
            .trim_end_matches('/')
            .to_owned()
    }

    fn host(&self) -> String {
        let address = self.address();
        address
            .rsplit_once(':')
            .map_or(address.clone(), |(host, _)| host.to_owned())
    }
}

fn decoded(folder: &Folder, name: &str, data: &Value) -> PathBuf {
    let encoded = folder.file(&format!("{name}.b64"), data.as_str().unwrap());
    let output = Command::new("base64")
        .arg("-d")
        .arg(encoded)
        .output()
        .unwrap();
    assert!(output.status.success());
    folder.file(name, std::str::from_utf8(&output.stdout).unwrap())
}

/// That the Service is not there: whoever says so let us in.
fn let_in(folder: &Folder, cluster: &Value, user: &Value, env: &[(&str, &str)], args: &[&str]) {
    let (code, error) = against(folder, cluster, user, env, args);
    assert!(
        code == 4 && error.contains("services \"web\" not found"),
        "{cluster} {user} {env:?} {args:?}: {error}"
    );
}

/// Exit code and standard error of a look for a Service that is not there.
fn against(
    folder: &Folder,
    cluster: &Value,
    user: &Value,
    env: &[(&str, &str)],
    args: &[&str],
) -> (i32, String) {
    let config = in_folder(folder, cluster, user);
    let env: Vec<_> = [("KUBECONFIG", config.to_str().unwrap())]
        .into_iter()
        .chain(env.iter().copied())
        .collect();
    ended(&explain(&env, args))
}

fn with(base: &Value, more: &Value) -> Value {
    let mut object = base.clone();
    for (key, value) in more.as_object().unwrap() {
        object[key] = value.clone();
    }
    object
}

#[test]
#[ignore = "needs a cluster: tests/run brings one up"]
fn a_real_api_server_is_reached_by_certificates_in_every_form() {
    let folder = Folder::new("certificates");
    let Real { cluster, user, .. } = &Real::new();
    let ca = decoded(
        &folder,
        "pki/ca.crt",
        &cluster["certificate-authority-data"],
    );
    let cert = decoded(&folder, "pki/admin.crt", &user["client-certificate-data"]);
    let key = decoded(&folder, "pki/admin.key", &user["client-key-data"]);
    let [ca, cert, key] = [&ca, &cert, &key].map(|path| path.to_str().unwrap());
    let server = json!({"server": cluster["server"]});
    let by_path = with(&server, &json!({"certificate-authority": "pki/ca.crt"}));
    let files = json!({"client-certificate": "pki/admin.crt", "client-key": "pki/admin.key"});
    let_in(&folder, cluster, user, &[], &[]);
    let_in(&folder, &by_path, &files, &[], &[]);
    let typed: &[&str] = &[
        "--certificate-authority",
        ca,
        "--client-certificate",
        cert,
        "--client-key",
        key,
    ];
    let_in(&folder, &server, &json!({}), &[], typed);
    // By flags alone.
    let alone = [&["-s", cluster["server"].as_str().unwrap()], typed].concat();
    let (code, error) = ended(&explain(&[("HOME", "/nonexistent")], &alone));
    assert!(code == 4 && error.contains("not found"), "{error}");
    // Whom to trust is not taken lightly.
    let (code, error) = against(&folder, &server, user, &[], &[]);
    assert!(code == 4 && error.contains("certificate"), "{error}");
    let_in(
        &folder,
        &with(&server, &json!({"insecure-skip-tls-verify": true})),
        user,
        &[],
        &[],
    );
    let_in(&folder, cluster, user, &[], &["--insecure-skip-tls-verify"]);
    let named = with(
        cluster,
        &json!({"tls-server-name": "kubernetes.default.svc"}),
    );
    let_in(&folder, &named, user, &[], &[]);
    let_in(
        &folder,
        cluster,
        user,
        &[],
        &["--tls-server-name", "kubernetes"],
    );
    let wrong = with(cluster, &json!({"tls-server-name": "kubernetes.invalid"}));
    let (code, error) = against(&folder, &wrong, user, &[], &[]);
    assert!(code == 4 && error.contains("kubernetes.invalid"), "{error}");
    for (cluster, user) in [
        (
            with(&server, &json!({"certificate-authority": "pki/absent"})),
            user,
        ),
        (
            cluster.clone(),
            &json!({"client-certificate": "pki/admin.crt", "client-key": "pki/absent"}),
        ),
    ] {
        let (code, error) = against(&folder, &cluster, user, &[], &[]);
        assert!(code == 2 && error.contains("pki/absent"), "{error}");
    }
    // A plugin can give certificates, too.
    let credential = json!({"kind": "ExecCredential", "apiVersion": V1, "status": {
        "clientCertificateData": fs::read_to_string(cert).unwrap(),
        "clientKeyData": fs::read_to_string(key).unwrap(),
    }});
    folder.file("credential", &credential.to_string());
    folder.program("login", "exec cat \"${0%/*}/credential\"");
    let exec =
        json!({"exec": {"apiVersion": V1, "command": "./login", "interactiveMode": "Never"}});
    let_in(&folder, cluster, &exec, &[], &[]);
}

#[test]
#[ignore = "needs a cluster: tests/run brings one up"]
fn a_real_api_server_knows_who_asks() {
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
    // Nobody it knows: that it answers so shows that the token was sent, and it is said.
    let oidc = json!({"auth-provider": {"name": "oidc", "config": {"id-token": id_token(3600)}}});
    for user in [oidc, json!({"token": "nonsense"})] {
        let (code, error) = against(&folder, cluster, &user, &[], &[]);
        assert!(code == 4 && error.contains("401"), "{user}: {error}");
    }
}

#[test]
#[ignore = "needs a cluster: tests/run brings one up"]
fn a_real_api_server_is_reached_through_proxies() {
    let folder = Folder::new("tunnels");
    let real = Real::new();
    let (cluster, user) = (&real.cluster, &real.user);
    let (http, socks) = (
        Proxy::new(real.address(), connect),
        Proxy::new(real.address(), socks),
    );
    let elsewhere = with(
        cluster,
        &json!({"server": "https://cluster.invalid:6443", "tls-server-name": real.host()}),
    );
    let http_url = format!("http://127.0.0.1:{}", http.port);
    let socks_url = format!("socks5://127.0.0.1:{}", socks.port);
    for (proxy, url) in [(&http, &http_url), (&socks, &socks_url)] {
        let through = with(&elsewhere, &json!({"proxy-url": url}));
        let_in(&folder, &through, user, &[], &[]);
        assert!(
            proxy.asked().contains(&"cluster.invalid:6443".to_owned()),
            "{url}"
        );
        let_in(&folder, &elsewhere, user, &[("HTTPS_PROXY", url)], &[]);
        assert!(
            proxy.asked().contains(&"cluster.invalid:6443".to_owned()),
            "{url}"
        );
    }
    let (code, error) = against(
        &folder,
        &elsewhere,
        user,
        &[("HTTPS_PROXY", &http_url), ("NO_PROXY", "cluster.invalid")],
        &[],
    );
    assert_eq!(code, 4, "{error}");
    assert_eq!(http.asked(), [""; 0], "{error}");
}

#[test]
#[ignore = "needs a cluster: tests/run brings one up"]
fn every_connection_flag_of_kubectl_is_taken() {
    // What kubectl has that is about no connection, and what there is nothing to do for here.
    const ELSE: [&str; 20] = [
        "add-dir-header",
        "alsologtostderr",
        "cache-dir",
        "log-backtrace-at",
        "log-dir",
        "log-file",
        "log-file-max-size",
        "log-flush-frequency",
        "logtostderr",
        "match-server-version",
        "one-output",
        "profile",
        "profile-output",
        "skip-headers",
        "skip-log-headers",
        "stderrthreshold",
        "vmodule",
        "warnings-as-errors",
        "kuberc",
        "help",
    ];
    let plugin = plugin_folder().join("kubectl-svc_reach");
    let mut programs = vec![Path::new(&kubectl::program()).to_owned()];
    programs.extend(std::env::var_os("SVC_REACH_NEW_KUBECTL").map(PathBuf::from));
    for program in programs {
        let output = Command::new(&program).arg("options").output().unwrap();
        let options = String::from_utf8(output.stdout).unwrap();
        let flags: Vec<&str> = options
            .lines()
            .filter_map(|line| line.split_once("--")?.1.split('=').next())
            .filter(|flag| flag.chars().all(|c| c.is_ascii_lowercase() || c == '-'))
            .collect();
        assert!(flags.len() > 15, "{}: {options}", program.display());
        for flag in flags.into_iter().filter(|flag| !ELSE.contains(flag)) {
            // Every flag of ours is said to be wrong, or to lack its value; one that is not ours, to be unknown.
            let output = Command::new(&plugin)
                .args(["version", &format!("--{flag}=6")])
                .env_clear()
                .output()
                .unwrap();
            let (_, error) = ended(&output);
            assert!(!error.contains("unexpected argument"), "--{flag}: {error}");
        }
    }
}
