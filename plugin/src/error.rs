//! Errors of a command. Each names what was attempted, and on which object.

mod permission;

pub use permission::Permission;

use crate::{cluster::CallError, config::UsageError};
use std::path::PathBuf;
use svc_reach_common::{exit::Exit, matrix::MatrixError, model::NotModelled, objects::ObjectError};

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The command line is invalid.
    #[error(transparent)]
    Usage(#[from] UsageError),
    /// The kubeconfig, or what it refers to, cannot be used.
    #[error("failed to use the kubeconfig{}", file.iter().map(|file| format!(" {}", file.display())).collect::<String>())]
    Kubeconfig {
        /// The value of `--kubeconfig`.
        file: Option<PathBuf>,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A matrix cannot be used.
    #[error(transparent)]
    Matrix(#[from] MatrixError),
    /// An input file cannot be used: a dump, a list of packets, a matrix, a saved report or a smoke test.
    #[error("failed to read {file}")]
    File {
        /// The file.
        file: String,
        /// What is wrong with it.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A dump cannot be read. The message names the file.
    #[error(transparent)]
    Dump(Box<dyn std::error::Error + Send + Sync>),
    /// `explain` has no answer.
    #[error(transparent)]
    Explain(#[from] ExplainError),
    /// The Service does not exist.
    #[error("failed to get Service {namespace}/{name}")]
    NoService {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
        /// The API server's error.
        source: CallError,
        /// A Service with a similar name.
        meant: Option<String>,
    },
    /// A call to the API server failed.
    #[error("failed to {attempted}")]
    Call {
        /// What was attempted on which object; reads after "failed to".
        attempted: String,
        /// Why it failed.
        source: CallError,
        /// The permission that the call needs.
        needs: Option<Permission>,
    },
    /// The API server returned an object that the plugin cannot read.
    #[error("failed to understand {object} from the API server")]
    Object {
        /// The object.
        object: String,
        /// What is wrong with it.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// `--wait` timed out.
    #[error("{service} still {state} after {} s", patience.as_secs())]
    NotServed {
        /// The Service.
        service: String,
        /// What is missing, as a predicate: "has no ready backend".
        state: &'static str,
        /// How long the plugin waited.
        patience: std::time::Duration,
    },
    /// The user lacks permissions that a run needs.
    #[error("missing permissions in namespace {namespace}: {}", list(missing))]
    NotAllowed {
        /// The namespace of the probes.
        namespace: String,
        /// The missing permissions.
        missing: Vec<Permission>,
    },
    /// The cluster refuses every probe pod.
    #[error("the cluster refuses probe pods in namespace {namespace}")]
    ProbesRefused {
        /// The namespace of the probes.
        namespace: String,
        /// Why.
        source: CallError,
    },
    /// The report could not be written to standard output.
    #[error("failed to write the report")]
    Write(#[source] std::io::Error),
    /// An output file cannot be opened. The plugin opens output files before it does anything else.
    #[error("failed to open {} for writing", file.display())]
    OutputFile {
        /// The file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A report could not be written to its file.
    #[error("failed to write the report to {}", file.display())]
    WriteFile {
        /// The file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Some probes could not be removed.
    #[error("failed to remove {}", objects.join(", "))]
    Leftovers {
        /// The objects.
        objects: Vec<String>,
        /// The command that will remove them.
        command: String,
    },
}

/// Why `explain` has no answer.
#[derive(Debug, thiserror::Error)]
pub enum ExplainError {
    /// The dump does not contain the Service.
    #[error("failed to find Service {namespace}/{name} in the dump{}", hint.as_deref().map(|hint| format!(" ({hint})")).unwrap_or_default())]
    NoService {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
        /// Another namespace that has a Service of this name, or why the Service could not be read.
        hint: Option<String>,
    },
    /// The model has no answer for a packet.
    #[error("failed to answer flow {id}")]
    Flow {
        /// Its ID, or its number in the list.
        id: String,
        /// Why.
        source: NotModelled,
    },
}

fn list(permissions: &[Permission]) -> String {
    permissions
        .iter()
        .map(Permission::to_string)
        .collect::<Vec<_>>()
        .join(", ")
}

impl Error {
    /// A call to the API server failed. `attempted` reads after "failed to"; `needs` is the permission that the call
    /// needs.
    pub fn call(attempted: impl Into<String>, needs: Permission) -> impl FnOnce(CallError) -> Self {
        let attempted = attempted.into();
        move |source| Self::Call {
            attempted,
            source,
            needs: Some(needs),
        }
    }

    /// The API server returned an object that the plugin cannot read.
    pub fn not_understood(object: impl Into<String>, source: ObjectError) -> Self {
        Self::Object {
            object: object.into(),
            source: Box::new(source),
        }
    }

    /// The exit status for this error.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Usage(_)
            | Self::Kubeconfig { .. }
            | Self::Matrix(_)
            | Self::File { .. }
            | Self::Dump(_)
            | Self::OutputFile { .. }
            | Self::Explain(_) => Exit::Usage,
            Self::Call { .. }
            | Self::NoService { .. }
            | Self::Object { .. }
            | Self::NotServed { .. }
            | Self::NotAllowed { .. }
            | Self::ProbesRefused { .. }
            | Self::Write(_)
            | Self::WriteFile { .. }
            | Self::Leftovers { .. } => Exit::Cluster,
        }
    }

    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Usage(_) => Some("see 'kubectl svc-reach --help'".to_owned()),
            Self::Kubeconfig { .. } => Some("check --kubeconfig, --context and KUBECONFIG; 'kubectl config view' shows what is in use (in a pod, the token of the ServiceAccount must be mounted)".to_owned()),
            Self::NoService { meant: Some(meant), namespace, .. } => {
                Some(format!("did you mean {meant}? It is a Service in namespace {namespace}"))
            }
            Self::NoService { meant: None, namespace, .. } => {
                Some(format!("list the Services with 'kubectl get services -n {namespace}', or choose another namespace with -n"))
            }
            Self::Call { source, needs: Some(permission), .. } if source.is_forbidden() => Some(format!(
                "the role of this user lacks: {permission}; 'kubectl svc-reach permissions' prints roles that grant all that is needed"
            )),
            Self::Call { source, .. } if source.is_unauthorized() => Some(
                "the API server does not accept this user's token or certificate; it may have expired (in a pod, it is the token of the ServiceAccount)".to_owned(),
            ),
            Self::Call { source: CallError::TimedOut(_) | CallError::Transport(_), .. } => {
                Some("check whether 'kubectl version' answers; --request-timeout sets the limit".to_owned())
            }
            Self::NotServed { .. } => {
                Some("'kubectl describe service' and 'kubectl get pods' show what is missing; --wait sets the limit".to_owned())
            }
            Self::NotAllowed { namespace, .. } => Some(format!(
                "an administrator can grant them: kubectl svc-reach permissions -n {namespace} --for user:NAME | kubectl apply -f -; or put the probes elsewhere with --probe-namespace"
            )),
            Self::ProbesRefused { .. } => Some(
                "put the probes elsewhere with --probe-namespace, or take the image from an allowed registry with --image".to_owned(),
            ),
            Self::Leftovers { command, .. } => Some(format!("remove them with: {command}")),
            Self::Call { .. }
            | Self::Object { .. }
            | Self::Matrix(_)
            | Self::File { .. }
            | Self::Dump(_)
            | Self::Explain(_)
            | Self::OutputFile { .. }
            | Self::Write(_)
            | Self::WriteFile { .. } => None,
        }
    }

    /// Whether the API server refused a call because of missing permissions.
    pub fn is_forbidden(&self) -> bool {
        matches!(self, Self::Call { source, .. } if source.is_forbidden())
    }

    /// Whether a retry may succeed, because the API server did not answer or was overloaded.
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Call { source, .. } if !source.is_refusal())
    }

    /// Whether the reader of standard output has closed it, as head does after its last line.
    pub fn is_of_a_reader_who_left(&self) -> bool {
        matches!(self, Self::Write(cause) if cause.kind() == std::io::ErrorKind::BrokenPipe)
    }

    /// The error and all its causes in one line.
    pub fn chain(&self) -> String {
        chain(self)
    }
}

/// An error and all its causes in one line. Skips a cause if the line contains its text already.
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.contains(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{Error, ExplainError, Permission};
    use crate::{
        cluster::{
            CallError,
            scripted::{Reply, Scripted},
        },
        config::{ServiceSelection, UsageError},
        survey,
    };
    use kube::core::Status;
    use std::{io, time::Duration};
    use svc_reach_common::exit::Exit;

    /// One error of each kind, with a typical cause.
    fn every_error() -> Vec<Error> {
        let refused = |code, reason: &str, message: &str| {
            CallError::Status(Status::failure(message, reason).with_code(code).boxed())
        };
        let forbidden = || refused(403, "Forbidden", "services is forbidden");
        let unavailable = || io::Error::other("no space left on device");
        let list = Permission::core("list", "services");
        vec![
            Error::Usage(UsageError::invalid(
                "--timeout",
                "0",
                "must be at least 1ms",
            )),
            Error::Usage(UsageError::Twice("web/nginx".into())),
            Error::Usage(UsageError::TooManyProbes {
                most: 100,
                needed: 120,
            }),
            Error::Kubeconfig {
                file: None,
                source: "the kubeconfig has no current-context; choose one with --context".into(),
            },
            Error::File {
                file: "dump.json".into(),
                source: "expected value at line 1 column 1".into(),
            },
            Error::Explain(ExplainError::NoService {
                namespace: "web".into(),
                name: "nginx".into(),
                hint: None,
            }),
            Error::NoService {
                namespace: "web".into(),
                name: "ngnix".into(),
                source: refused(404, "NotFound", "services \"ngnix\" not found"),
                meant: Some("nginx".into()),
            },
            Error::NoService {
                namespace: "web".into(),
                name: "nginx".into(),
                source: refused(404, "NotFound", "services \"nginx\" not found"),
                meant: None,
            },
            Error::call("list Services of namespace web", list)(forbidden()),
            Error::call("list Services of namespace web", list)(refused(
                401,
                "Unauthorized",
                "Unauthorized",
            )),
            Error::call("list Services of namespace web", list)(CallError::TimedOut(
                Duration::from_secs(30),
            )),
            Error::Object {
                object: "Service web/nginx".into(),
                source: "missing field `spec`".into(),
            },
            Error::NotServed {
                service: "web/nginx".into(),
                state: "has no ready backend",
                patience: Duration::from_secs(10),
            },
            Error::NotAllowed {
                namespace: "web".into(),
                missing: vec![
                    Permission::of("create", "batch", "jobs"),
                    Permission::core("get", "pods/log"),
                ],
            },
            Error::ProbesRefused {
                namespace: "web".into(),
                source: forbidden(),
            },
            Error::Write(unavailable()),
            Error::OutputFile {
                file: "report.xml".into(),
                source: unavailable(),
            },
            Error::WriteFile {
                file: "report.xml".into(),
                source: unavailable(),
            },
            Error::Leftovers {
                objects: vec!["job/svc-reach-r1-pod-same".into()],
                command: "kubectl svc-reach cleanup -n web --run r1".into(),
            },
        ]
    }

    #[test]
    fn every_error_names_its_object_and_the_next_step() {
        let text: Vec<String> = every_error()
            .iter()
            .map(|error| {
                let hint = error
                    .hint()
                    .map_or_else(String::new, |hint| format!("hint: {hint}\n"));
                format!(
                    "error: {}\n{hint}exit code {}\n",
                    error.chain(),
                    error.exit().code()
                )
            })
            .collect();
        expect_test::expect_file!["error/snapshot.txt"].assert_eq(&text.join("\n"));
    }

    #[tokio::test]
    async fn hints_differ_for_a_bad_token_and_a_missing_permission() {
        for (code, says) in [
            (401, "does not accept this user's token"),
            (403, "the role of this user lacks: list services"),
        ] {
            let cluster = Scripted::new(move |_, _| Reply::Failure(code));
            let all = ServiceSelection::Matching {
                selector: None,
                everywhere: false,
            };
            let error = survey::asked(&cluster, "web", &all).await.unwrap_err();
            let hint = error.hint().unwrap();
            assert!(hint.contains(says), "{code}: {hint}");
            assert_eq!(error.exit(), Exit::Cluster);
        }
    }
}
