//! Proxies between the plugin and the API server.

use crate::{
    ended, explain, in_folder,
    listener::Listener,
    test_cluster::{Real, against, let_in, with},
};
use serde_json::json;
use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};
use svc_reach_tests::folder::Folder;

/// Name and value of an environment variable.
type Variable<'a> = (&'a str, &'a str);

type Words<'a> = &'a [&'a str];

/// A proxy that connects every client to the same server, and records the targets that clients ask for.
struct Proxy {
    port: u16,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    /// `greet` reads the requested target and accepts the request. It fails if the client hangs up: the plugin opens
    /// several connections, and ends when one of them has the answer.
    fn new(to: String, greet: fn(&mut TcpStream) -> io::Result<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let heard = Arc::clone(&asked);
        thread::spawn(move || {
            for mut client in listener.incoming().flatten() {
                let Ok(target) = greet(&mut client) else {
                    continue;
                };
                heard.lock().unwrap().push(target);
                let server = TcpStream::connect(&to).unwrap();
                for (mut from, mut to) in [
                    (client.try_clone().unwrap(), server.try_clone().unwrap()),
                    (server, client),
                ] {
                    thread::spawn(move || {
                        let _ = io::copy(&mut from, &mut to);
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

/// HTTP CONNECT (RFC 9110, 9.3.6).
fn connect(client: &mut TcpStream) -> io::Result<String> {
    let mut lines = BufReader::new(client.try_clone()?).lines();
    let request = lines
        .next()
        .unwrap_or_else(|| Err(io::ErrorKind::UnexpectedEof.into()))?;
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
    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
    let target = request.strip_prefix("CONNECT ").unwrap_or(&request);
    let target = target.split(' ').next().unwrap_or_default();
    Ok(format!("{target}{credentials}"))
}

/// SOCKS 5 (RFC 1928), without authentication.
fn socks(client: &mut TcpStream) -> io::Result<String> {
    let mut bytes = [0; 2];
    client.read_exact(&mut bytes)?;
    client.read_exact(&mut vec![0; usize::from(bytes[1])])?;
    client.write_all(&[5, 0])?;
    let mut head = [0; 4];
    client.read_exact(&mut head)?;
    let host = if head[3] == 3 {
        let mut length = [0];
        client.read_exact(&mut length)?;
        let mut name = vec![0; usize::from(length[0])];
        client.read_exact(&mut name)?;
        String::from_utf8(name).unwrap()
    } else {
        let mut ip = [0; 4];
        client.read_exact(&mut ip)?;
        std::net::Ipv4Addr::from(ip).to_string()
    };
    client.read_exact(&mut bytes)?;
    client.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0])?;
    Ok(format!("{host}:{}", u16::from_be_bytes(bytes)))
}

#[test]
fn the_same_proxy_is_used_as_by_kubectl() {
    let folder = Folder::new("proxies");
    let api = Listener::new();
    let to = format!("127.0.0.1:{}", api.port);
    let (http, socks) = (Proxy::new(to.clone(), connect), Proxy::new(to, socks));
    let http_url = format!("http://127.0.0.1:{}", http.port);
    let bare = format!("127.0.0.1:{}", http.port);
    let with_password = format!("http://jane:secret@127.0.0.1:{}", http.port);
    let socks_url = format!("socks5://127.0.0.1:{}", socks.port);
    let absent = "http://127.0.0.1:1";
    // This host does not exist, so only a proxy can reach it.
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
        // The proxy of the kubeconfig's cluster overrides the environment.
        (
            Some(&http_url),
            &[("HTTP_PROXY", absent), ("NO_PROXY", "*")],
            &[there],
            none,
        ),
        // NO_PROXY is compared with the server's name, not with the proxy's.
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
        // A failed request may have been retried.
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
    // A proxy of the environment is never used for this machine.
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
