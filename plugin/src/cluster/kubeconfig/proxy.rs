//! The proxy between this machine and the API server.

use super::error::KubeconfigError;

use hyper_util::client::proxy::matcher::Matcher;

use std::net::IpAddr;

/// The proxy that the environment sets for a server, by the rules of Go's net/http: no proxy for this machine itself,
/// and none for what `NO_PROXY` names.
pub fn from_environment(server: &http::Uri) -> Option<String> {
    let first = |names: [&str; 2]| {
        let mut values = names
            .into_iter()
            .filter_map(|name| std::env::var(name).ok());
        values.find(|value| !value.is_empty())
    };
    let proxy = match server.scheme_str() {
        Some("https") => first(["HTTPS_PROXY", "https_proxy"])?,
        _ => first(["HTTP_PROXY", "http_proxy"])?,
    };
    let host = server.host()?.trim_matches(['[', ']']);
    if host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback()) {
        return None;
    }
    let matcher = Matcher::builder()
        .all(proxy.as_str())
        .no(first(["NO_PROXY", "no_proxy"]).unwrap_or_default())
        .build();
    matcher.intercept(server).map(|_| proxy)
}

pub fn proxy_url(url: String) -> Result<http::Uri, KubeconfigError> {
    let whole = if url.contains("://") {
        url.clone()
    } else {
        format!("http://{url}")
    };
    whole
        .parse()
        .map_err(|source| KubeconfigError::Proxy { url, source })
}
