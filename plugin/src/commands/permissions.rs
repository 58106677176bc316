//! `permissions`: the roles that a run needs, for `kubectl apply -f -`. They are those of the manifest in the release.

use crate::{config::UsageError, error::Error};
use clap::Args;
use std::{fmt, io::Write};

/// The roles, for the namespace `default` and a ServiceAccount.
const ROLES: &str = include_str!("../../../manifests/rbac-namespaced.yaml");

/// The namespace in [`ROLES`], which occurs only at the end of a line.
const NAMESPACE: &str = "default";

/// Whom the bindings in [`ROLES`] name.
const SUBJECT: &str = "\
- kind: ServiceAccount
  name: svc-reach
  namespace: default
";

/// Arguments of `permissions`.
#[derive(Debug, Args)]
pub struct PermissionsArgs {
    /// Who gets them: user:NAME, group:NAME or serviceaccount:NAMESPACE:NAME
    ///
    /// Default: a new ServiceAccount svc-reach in the namespace.
    #[arg(long = "for", value_name = "SUBJECT")]
    subject: Option<String>,
}

impl PermissionsArgs {
    /// Who gets the permissions; `None`: a new ServiceAccount.
    ///
    /// # Errors
    ///
    /// If the value of `--for` is invalid.
    pub fn subject(&self) -> Result<Option<Subject>, UsageError> {
        self.subject.as_deref().map(Subject::parse).transpose()
    }
}

/// Who gets the permissions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// A user, as the API server names it.
    User(String),
    /// A group of users.
    Group(String),
    /// A ServiceAccount that exists.
    ServiceAccount {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
}

impl Subject {
    fn parse(text: &str) -> Result<Self, UsageError> {
        let (kind, name) = text.split_once(':').unwrap_or_default();
        match (kind, name.split_once(':')) {
            ("user", _) if !name.is_empty() => Ok(Self::User(name.to_owned())),
            ("group", _) if !name.is_empty() => Ok(Self::Group(name.to_owned())),
            ("serviceaccount", Some((namespace, name)))
                if !namespace.is_empty() && !name.is_empty() =>
            {
                Ok(Self::ServiceAccount {
                    namespace: namespace.to_owned(),
                    name: name.to_owned(),
                })
            }
            _ => {
                let why = "must be user:NAME, group:NAME or serviceaccount:NAMESPACE:NAME";
                Err(UsageError::invalid("--for", text, why))
            }
        }
    }

    /// Its entry in a binding.
    fn entry(&self) -> String {
        match self {
            Self::User(name) => of_rbac("User", name),
            Self::Group(name) => of_rbac("Group", name),
            Self::ServiceAccount { namespace, name } => format!(
                "- kind: ServiceAccount\n  name: {}\n  namespace: {}\n",
                quoted(name),
                quoted(namespace)
            ),
        }
    }

    /// The name of its own binding. It may contain anything but a slash and a percent sign (kubernetes/kubernetes v1.37.2
    /// `staging/src/k8s.io/apimachinery/pkg/api/validation/path/name.go`).
    fn own(&self, binding: &str) -> String {
        format!("{binding}:{self}").replace(['/', '%'], "-")
    }
}

fn of_rbac(kind: &str, name: &str) -> String {
    let name = quoted(name);
    format!("- apiGroup: rbac.authorization.k8s.io\n  kind: {kind}\n  name: {name}\n")
}

/// A text in JSON is valid YAML, whatever is in it.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(name) => write!(f, "user:{name}"),
            Self::Group(name) => write!(f, "group:{name}"),
            Self::ServiceAccount { namespace, name } => {
                write!(f, "serviceaccount:{namespace}:{name}")
            }
        }
    }
}

/// Writes the roles of a run in a namespace, and bindings for the subject. Each subject has its own bindings, so that one
/// more does not replace another.
///
/// # Errors
///
/// If writing fails.
pub fn write(
    namespace: &str,
    subject: Option<&Subject>,
    writer: &mut impl Write,
) -> Result<(), Error> {
    writer
        .write_all(roles(namespace, subject).as_bytes())
        .map_err(Error::Write)
}

fn roles(namespace: &str, subject: Option<&Subject>) -> String {
    let mut text = format!(
        "# What kubectl svc-reach needs to check the Services of namespace {namespace}. Anyone who may create Jobs can run\n\
         # pods as any ServiceAccount of the namespace, so this role is as powerful as the most powerful one there.\n"
    );
    // The file begins with comments about the file.
    let (_, documents) = ROLES.split_at(ROLES.find("apiVersion").unwrap_or(0));
    for document in documents.split_inclusive("---\n") {
        if document.contains("kind: ServiceAccount\nmetadata:") && subject.is_some() {
            continue;
        }
        let bound = match subject {
            Some(subject) => document.replace(SUBJECT, &subject.entry()),
            None => document.to_owned(),
        };
        for line in bound.lines() {
            let name = line.strip_prefix("  name: ");
            text.push_str(&match (line.strip_suffix(NAMESPACE), name, subject) {
                (None, ..) => line.to_owned(),
                // Only bindings have the namespace in their names.
                (Some(_), Some(name), Some(subject)) => {
                    let name = name.trim_end_matches(NAMESPACE);
                    format!(
                        "  name: {}",
                        quoted(&subject.own(&format!("{name}{namespace}")))
                    )
                }
                (Some(start), ..) => format!("{start}{namespace}"),
            });
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{Subject, roles};
    use serde_json::{Value, json};

    fn objects(subject: Option<&str>) -> Vec<Value> {
        let subject = subject.map(|text| Subject::parse(text).unwrap());
        let text = roles("web", subject.as_ref());
        serde_saphyr::from_multiple(&text).unwrap()
    }

    #[test]
    fn the_roles_are_for_the_namespace_and_the_subject() {
        let rbac = "rbac.authorization.k8s.io";
        let account = |namespace: &str, name: &str| json!({"kind": "ServiceAccount", "name": name, "namespace": namespace});
        let rows = [
            (None, "", account("web", "svc-reach")),
            (
                Some("user:ann: \"x\"/%"),
                ":user:ann: \"x\"--",
                json!({"apiGroup": rbac, "kind": "User", "name": "ann: \"x\"/%"}),
            ),
            (
                Some("group:web-team"),
                ":group:web-team",
                json!({"apiGroup": rbac, "kind": "Group", "name": "web-team"}),
            ),
            (
                Some("serviceaccount:ci:runner"),
                ":serviceaccount:ci:runner",
                account("ci", "runner"),
            ),
        ];
        for (subject, suffix, entry) in rows {
            let objects = objects(subject);
            let bindings: Vec<&Value> = objects
                .iter()
                .filter(|object| object.get("roleRef").is_some())
                .collect();
            let names = ["svc-reach", "svc-reach-nodes", "svc-reach-evidence"];
            assert_eq!(bindings.len(), names.len());
            for (binding, name) in bindings.iter().zip(names) {
                assert_eq!(binding["metadata"]["name"], format!("{name}:web{suffix}"));
                assert_eq!(binding["subjects"], json!([entry]), "{subject:?}");
            }
            let namespaces = objects
                .iter()
                .filter_map(|it| it["metadata"]["namespace"].as_str());
            assert!(namespaces.clone().any(|it| it == "web"));
            assert!(
                namespaces
                    .clone()
                    .all(|it| ["web", "kube-system"].contains(&it))
            );
            let accounts = objects.iter().filter(|it| it["kind"] == "ServiceAccount");
            assert_eq!(accounts.count(), usize::from(subject.is_none()));
            assert_eq!(objects.len(), 6 + usize::from(subject.is_none()));
        }
    }

    #[test]
    fn an_invalid_subject_is_a_usage_error() {
        for text in [
            "",
            "ann",
            "user:",
            "robot:x",
            "serviceaccount:x",
            "serviceaccount::x",
            "serviceaccount:x:",
        ] {
            let error = Subject::parse(text).unwrap_err().to_string();
            assert!(error.starts_with("--for"), "{text:?}: {error}");
        }
    }
}
