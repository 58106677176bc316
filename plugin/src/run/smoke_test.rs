//! `--config`: the smoke test of a whole application, from a file.

use crate::config::UsageError;
use crate::{
    config::{
        CellWord, Check, Choice, FailOn, ProtocolChoice, RequestPath, RunSettings, ServiceName,
        ServiceSelection,
    },
    error::Error,
};
use serde::Deserialize;
use serde_path_to_error::{Deserializer, Track};
use serde_saphyr::{Spanned, with_deserializer_from_str};
use std::{fs, num::NonZeroU16, path::Path};
use svc_reach_common::{
    report::API_VERSION,
    terms::{GivenTerms, NotRequired, Required},
    verdict::Reachability,
    words,
};

words! {
    /// `kind` of the file.
    enum Kind("kind") {
        SmokeTest = "SmokeTest",
    }
}

/// The file. Keys of a Service override the keys for all Services, which override the command line.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SmokeTestFile {
    api_version: Spanned<String>,
    #[serde(rename = "kind")]
    _kind: Kind,
    /// Namespace of Services that have no namespace of their own.
    namespace: Option<String>,
    #[serde(default)]
    expect: Expect,
    #[serde(default)]
    request: RequestKeys,
    services: Vec<ListedService>,
}

/// One of the Services.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ListedService {
    /// In the syntax of the command line.
    name: Spanned<String>,
    namespace: Option<String>,
    #[serde(default)]
    expect: Expect,
    #[serde(default)]
    request: RequestKeys,
}

/// What must hold for a Service.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Expect {
    fail_on: Option<Vec<FailOn>>,
    reachable: Option<Vec<RequiredCell>>,
    unreachable: Option<Vec<RequiredCell>>,
}

/// What to request from a Service, and how.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RequestKeys {
    only: Option<Vec<CellWord>>,
    skip: Option<Vec<CellWord>>,
    #[serde(alias = "probe")]
    protocol: Option<ProtocolChoice>,
    path: Option<RequestPath>,
    host: Option<String>,
    udp_payload: Option<String>,
    attempts: Option<NonZeroU16>,
}

/// A position and a kind of target.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "String")]
struct RequiredCell(Required);

impl TryFrom<String> for RequiredCell {
    type Error = NotRequired;

    fn try_from(text: String) -> Result<Self, NotRequired> {
        Required::parse(&text, Reachability::Reachable).map(Self)
    }
}

/// What is wrong with a file.
#[derive(Debug, thiserror::Error)]
enum SmokeTestError {
    /// Invalid syntax, or an invalid key or value.
    #[error("{}: {message}", place(*line, key))]
    Format {
        line: u64,
        key: String,
        message: String,
    },
    #[error("line {line}, apiVersion: {found:?}, expected {API_VERSION:?}")]
    ApiVersion { line: u64, found: String },
    #[error("line {line}, services[{index}].name")]
    Name {
        line: u64,
        index: usize,
        source: UsageError,
    },
    #[error("line {line}, services[{index}].name: {name} is listed twice")]
    Twice {
        line: u64,
        index: usize,
        name: String,
    },
    #[error(
        "line {line}, services[{index}].expect: {} cannot be both reachable and unreachable",
        place.place()
    )]
    Contradiction {
        line: u64,
        index: usize,
        place: Required,
    },
    #[error("services: must not be empty")]
    Empty,
}

fn place(line: u64, key: &str) -> String {
    if key == "." {
        format!("line {line}")
    } else {
        format!("line {line}, {key}")
    }
}

/// Reads a smoke test file. `namespace` is the value of `--namespace`.
///
/// # Errors
///
/// If the file cannot be read or used. The message names the line and the key.
pub fn read(
    file: &Path,
    settings: RunSettings,
    namespace: Option<&str>,
) -> Result<RunSettings, Error> {
    let unusable = |source: Box<dyn std::error::Error + Send + Sync>| Error::File {
        file: file.display().to_string(),
        source,
    };
    let text = fs::read_to_string(file).map_err(|error| unusable(error.into()))?;
    of(&text, settings, namespace).map_err(|error| unusable(error.into()))
}

fn of(
    text: &str,
    settings: RunSettings,
    namespace: Option<&str>,
) -> Result<RunSettings, SmokeTestError> {
    let mut key = String::new();
    let file: SmokeTestFile = with_deserializer_from_str(text, |deserializer| {
        let mut track = Track::new();
        SmokeTestFile::deserialize(Deserializer::new(deserializer, &mut track))
            .inspect_err(|_| key = track.path().to_string())
    })
    .map_err(|error| SmokeTestError::Format {
        line: error.location().map_or(0, |location| location.line()),
        message: message(&error),
        key,
    })?;
    if file.api_version.value != API_VERSION {
        return Err(SmokeTestError::ApiVersion {
            line: file.api_version.referenced.line(),
            found: file.api_version.value,
        });
    }
    let all = file.request.over(&file.expect.over(&settings.check));
    let mut names = Vec::new();
    let mut own = Vec::new();
    for (index, service) in file.services.iter().enumerate() {
        let line = service.name.referenced.line();
        let name = service
            .named(file.namespace.as_deref(), namespace)
            .map_err(|source| SmokeTestError::Name {
                line,
                index,
                source,
            })?;
        if names.contains(&name) {
            return Err(SmokeTestError::Twice {
                line,
                index,
                name: service.name.value.clone(),
            });
        }
        let check = service.request.over(&service.expect.over(&all));
        if let Some(place) = check.terms.contradiction() {
            return Err(SmokeTestError::Contradiction { line, index, place });
        }
        own.push((name.clone(), check));
        names.push(name);
    }
    if names.is_empty() {
        return Err(SmokeTestError::Empty);
    }
    Ok(RunSettings {
        selection: ServiceSelection::Named(names),
        list: true,
        own,
        ..settings
    })
}

/// The first line of the parser's message, without the position: [`place`] adds it in our own form.
fn message(error: &serde_saphyr::Error) -> String {
    let text = error.without_snippet().to_string();
    let text = text.lines().next().unwrap_or_default();
    let place = text.rfind(" at line ").or_else(|| text.rfind(", line "));
    text[..place.unwrap_or(text.len())].to_owned()
}

impl ListedService {
    /// The name with its namespace, from the name itself, the Service's key or the file.
    fn named(&self, file: Option<&str>, flag: Option<&str>) -> Result<ServiceName, UsageError> {
        let own = self.namespace.as_deref();
        let given = ServiceName::parse(&self.name.value, own)?;
        let namespace = given.namespace.as_deref().or(own).or(file);
        let Some(namespace) = namespace else {
            return Ok(given);
        };
        ServiceName::parse(&format!("{}.{namespace}", given.name), flag)
    }
}

impl Expect {
    fn over(&self, check: &Check) -> Check {
        let required = |places: &Option<Vec<RequiredCell>>, value| {
            let places = places.as_ref()?.iter();
            Some(places.map(|place| Required { value, ..place.0 }).collect())
        };
        let failures = |words: &Vec<FailOn>| words.iter().map(|word| word.0).collect();
        let given = GivenTerms {
            fail_on: self.fail_on.as_ref().map(failures),
            reachable: required(&self.reachable, Reachability::Reachable),
            unreachable: required(&self.unreachable, Reachability::Unreachable),
        };
        Check {
            terms: given.over(&check.terms),
            ..check.clone()
        }
    }
}

impl RequestKeys {
    fn over(&self, check: &Check) -> Check {
        let mut check = check.clone();
        let words = |own: &Option<Vec<CellWord>>| own.as_ref().map(|w| w.iter().copied().collect());
        if let Some(only) = words(&self.only) {
            check.choice = Choice {
                only,
                ..check.choice
            };
        }
        if let Some(skip) = words(&self.skip) {
            check.choice = Choice {
                skip,
                ..check.choice
            };
        }
        let request = &mut check.request;
        if let Some(protocol) = self.protocol {
            request.protocol = protocol;
        }
        if let Some(path) = &self.path {
            request.path.clone_from(&path.0);
        }
        if let Some(text) = &self.udp_payload {
            request.udp_payload.clone_from(text);
        }
        request.host = self.host.clone().or(request.host.take());
        request.attempts = self.attempts.or(request.attempts);
        check
    }
}

#[cfg(test)]
mod tests {
    use super::of;
    use crate::{
        cli::Cli,
        cli::action::{Action, Config},
        config::{RunSettings, ServiceSelection},
        error::chain,
    };
    use clap::Parser;
    use svc_reach_common::{position::Position, target::TargetKind, terms::Failure};

    fn run() -> RunSettings {
        let args = ["kubectl-svc_reach", "--config", "f", "--path", "/flag"];
        let config = Config::new(Cli::try_parse_from(args).unwrap()).unwrap();
        let Action::Run(run) = config.action else {
            panic!("another command")
        };
        *run
    }

    fn read(text: &str, namespace: Option<&str>) -> Result<RunSettings, String> {
        let text = format!("apiVersion: svc-reach/v1\nkind: SmokeTest\n{text}");
        of(&text, run(), namespace).map_err(|error| chain(&error))
    }

    #[test]
    fn service_keys_override_file_keys_and_flags() {
        let run = read(
            "
namespace: shop
expect:
  failOn: [worse]
  reachable: [pod-other:cluster-ip]
request:
  skip: [external]
  attempts: 2
services:
- name: web
  expect:
    reachable: [external:load-balancer]
    unreachable: [external:node-port]
  request:
    path: /healthz
    skip: []
- name: svc/dns.kube-system
",
            None,
        )
        .unwrap();
        let ServiceSelection::Named(names) = &run.selection else {
            panic!("{run:?}")
        };
        let names: Vec<_> = names
            .iter()
            .map(|n| (n.name.as_str(), n.namespace.as_deref()))
            .collect();
        assert_eq!(names, [("web", Some("shop")), ("dns", Some("kube-system"))]);
        assert!(run.list);
        let required = |index: usize| -> Vec<String> {
            run.own[index]
                .1
                .terms
                .required
                .iter()
                .map(ToString::to_string)
                .collect()
        };
        assert_eq!(
            required(0),
            [
                "--require-reachable external:load-balancer",
                "--require-unreachable external:node-port"
            ]
        );
        assert_eq!(required(1), ["--require-reachable pod-other:cluster-ip"]);
        assert_eq!(run.own[1].1.terms.fail_on, [Failure::Worse]);
        assert!(run.own[0].1.choice.position(Position::External));
        assert!(!run.own[1].1.choice.position(Position::External));
        assert!(run.own[1].1.choice.target(TargetKind::ClusterIp));
        let paths = [0, 1].map(|index| run.own[index].1.request.path.as_str());
        assert_eq!(paths, ["/healthz", "/flag"]);
        assert_eq!(run.own[0].1.request.attempts.unwrap().get(), 2);
    }

    #[test]
    fn errors_name_line_and_key() {
        for (text, says) in [
            (
                "services:\n- name: web\n  expekt: {}",
                "line 5, services[0].expekt: unknown field",
            ),
            (
                "services:\n- name: web\n  expect:\n    reachable: [pod:cluster-ip]",
                "line 6, services[0].expect.reachable[0]: unknown position \"pod\"",
            ),
            (
                "request:\n  only: [pod-other, web]\nservices: []",
                "line 4, request.only[1]: \"web\" is neither a position",
            ),
            (
                "request: {path: healthz}\nservices: []",
                "line 3, request.path: path \"healthz\" must begin with /",
            ),
            (
                "request: {attempts: 0}\nservices: []",
                "line 3, request.attempts: ",
            ),
            (
                "expect: {failOn: [not-observed]}\nservices: []",
                "line 3, expect.failOn[0]: ",
            ),
            ("services: web", "line 3, services: "),
            ("services: []", "services: must not be empty"),
            (
                "services:\n- name: Web",
                "line 4, services[0].name: SERVICE \"Web\": not a valid",
            ),
            (
                "services:\n- name: a\n- name: a",
                "line 5, services[1].name: a is listed twice",
            ),
            (
                "services:\n- name: a.b\n  namespace: c",
                "line 4, services[0].name: SERVICE \"a.b\": its namespace differs",
            ),
            (
                "services:\n- name: a\n  expect: {reachable: [external:dns], unreachable: [external:dns]}",
                "line 4, services[0].expect: external:dns cannot be both",
            ),
            ("services:\n- name: [", "line "),
        ] {
            let error = read(text, None).unwrap_err();
            assert!(error.starts_with(says), "{text}\n{error}");
            assert!(!error.contains('\n'), "{error}");
        }
        let other = of("apiVersion: v1\nkind: SmokeTest\nservices: []", run(), None).unwrap_err();
        assert!(
            other
                .to_string()
                .starts_with("line 1, apiVersion: \"v1\", expected"),
            "{other}"
        );
        let other = of("apiVersion: v1\nkind: Test\nservices: []", run(), None).unwrap_err();
        assert!(
            other.to_string().starts_with("line 2, kind: unknown kind"),
            "{other}"
        );
    }

    #[test]
    fn the_namespace_flag_must_match_the_file() {
        let error = read("services:\n- name: a.b", Some("c")).unwrap_err();
        assert!(
            error.contains("its namespace differs from --namespace"),
            "{error}"
        );
        assert!(read("services:\n- name: a", Some("c")).is_ok());
    }
}
