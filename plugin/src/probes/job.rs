//! The Job that runs a probe in one pod on its node. Pure.
//!
//! It is a Job and not a bare pod, so that the cluster removes a probe that the plugin cannot: `activeDeadlineSeconds`
//! ends it, and `ttlSecondsAfterFinished` deletes it (on by default from Kubernetes 1.21,
//! kubernetes/kubernetes v1.21.1 `pkg/features/kube_features.go`).

use crate::{
    config::{ProbeSettings, Toleration},
    plan::{assignment::ProbePlan, requests},
};
use k8s_openapi::{
    api::{
        batch::v1::{Job, JobSpec},
        core::v1::{
            Affinity, Capabilities, Container, LocalObjectReference, NodeAffinity, NodeSelector,
            NodeSelectorRequirement, NodeSelectorTerm, Pod, PodSecurityContext, PodSpec,
            PodTemplateSpec, ResourceRequirements, SeccompProfile, SecurityContext,
            Toleration as PodToleration,
        },
    },
    apimachinery::pkg::{api::resource::Quantity, apis::meta::v1::ObjectMeta},
};
use std::collections::BTreeMap;
use svc_reach_common::{facts::VIRTUAL_NODES, names, position::Network, wire::plan::Plan};

/// Seconds after its end until the cluster deletes a probe that we did not. Long enough to read its log.
pub const TTL_SECONDS: i32 = 60;

/// Seconds that a probe's deadline allows beyond the time for its start and its plan.
const DEADLINE_MARGIN_SECONDS: u64 = 30;

/// Seconds that a probe gets to end when it is deleted. It has nothing to clean up.
const GRACE_SECONDS: i64 = 1;

/// User and group of the probe: `nonroot` in the usual minimal images, and unused on nodes.
const USER: i64 = 65532;

/// Most bytes of the plan in one argument. Linux allows 128 KiB (`MAX_ARG_STRLEN`, linux
/// `include/uapi/linux/binfmts.h`).
const ARGUMENT_BYTES: usize = 96 * 1024;

/// Most Services that a probe's annotation names. An object can have 256 KiB of annotations.
const SERVICES_NAMED: usize = 100;

/// What a probe is made from.
#[derive(Debug, Clone, Copy)]
pub struct JobSettings<'a> {
    /// Identifies the run.
    pub run_id: &'a str,
    /// Namespace of the probe.
    pub namespace: &'a str,
    /// What it does.
    pub probe: &'a ProbePlan,
    /// The user's settings.
    pub settings: &'a ProbeSettings,
}

/// Name of a probe's Job.
pub fn name(run_id: &str, probe: &str) -> String {
    format!("svc-reach-{run_id}-{probe}")
}

/// The command that removes what one run created, or what all runs did. `flags`: the flags that select the same
/// cluster.
pub fn cleanup_command(namespace: &str, run_id: Option<&str>, flags: &str) -> String {
    let run = run_id
        .map(|run| format!(" --run {run}"))
        .unwrap_or_default();
    format!("kubectl svc-reach cleanup -n {namespace}{run}{flags}")
}

/// The Job.
pub fn job(spec: JobSettings<'_>) -> Job {
    let labels = labels(spec.run_id, &spec.probe.name);
    let deadline = deadline_seconds(spec);
    Job {
        metadata: ObjectMeta {
            name: Some(name(spec.run_id, &spec.probe.name)),
            namespace: Some(spec.namespace.to_owned()),
            labels: Some(labels),
            annotations: Some(BTreeMap::from([(
                names::ANNOTATION_SERVICE.to_owned(),
                services(spec),
            )])),
            ..ObjectMeta::default()
        },
        spec: Some(JobSpec {
            active_deadline_seconds: Some(deadline),
            backoff_limit: Some(0),
            completions: Some(1),
            parallelism: Some(1),
            ttl_seconds_after_finished: Some(TTL_SECONDS),
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta {
                    labels: Some(pod_labels(spec.run_id, &spec.probe.name, spec.settings)),
                    annotations: Some(annotations(spec)),
                    ..ObjectMeta::default()
                }),
                spec: Some(pod_spec(spec, deadline)),
            },
            ..JobSpec::default()
        }),
        status: None,
    }
}

/// The pod that the Job will create, for a dry run.
pub fn pod(job: &Job) -> Pod {
    let template = job
        .spec
        .as_ref()
        .map(|spec| spec.template.clone())
        .unwrap_or_default();
    Pod {
        metadata: ObjectMeta {
            name: job.metadata.name.clone(),
            namespace: job.metadata.namespace.clone(),
            ..template.metadata.unwrap_or_default()
        },
        spec: template.spec,
        status: None,
    }
}

/// Only our own labels, all with our own prefix, so that only our own selectors match.
fn labels(run_id: &str, probe: &str) -> BTreeMap<String, String> {
    BTreeMap::from([
        (names::LABEL_RUN.to_owned(), run_id.to_owned()),
        (names::LABEL_ROLE.to_owned(), names::ROLE_PROBE.to_owned()),
        (names::LABEL_PROBE.to_owned(), probe.to_owned()),
    ])
}

/// Labels of a probe's pod: our own, those that keep meshes out, and those that the user gives it.
pub fn pod_labels(run_id: &str, probe: &str, settings: &ProbeSettings) -> BTreeMap<String, String> {
    mesh_labels()
        .chain(settings.labels.clone())
        .chain(labels(run_id, probe))
        .collect()
}

/// Labels that keep meshes out of the probe: for Istio from 1.10 (istio.io, "Installing the Sidecar", controlling the
/// injection policy) and Kuma (kuma.io, "Kubernetes annotations and labels", `kuma.io/sidecar-injection`). Istio's
/// ambient mode injects nothing but needs its own label (istio.io, "Add workloads to the mesh"): its ztunnel accepts
/// every connection in the pod's own network namespace before it makes one itself, so a bare TCP probe would reach
/// anything.
fn mesh_labels() -> impl Iterator<Item = (String, String)> {
    [
        ("sidecar.istio.io/inject", "false"),
        ("istio.io/dataplane-mode", "none"),
        ("kuma.io/sidecar-injection", "disabled"),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
}

/// Annotations that keep meshes out of the probe: for Istio before 1.10, Linkerd (linkerd.io, "Automatic Proxy
/// Injection"), Consul (developer.hashicorp.com, "Annotations and labels", `connect-inject`) and Open Service Mesh.
fn annotations(spec: JobSettings<'_>) -> BTreeMap<String, String> {
    let services = services(spec);
    [
        (names::ANNOTATION_SERVICE, services.as_str()),
        ("sidecar.istio.io/inject", "false"),
        ("linkerd.io/inject", "disabled"),
        ("consul.hashicorp.com/connect-inject", "false"),
        ("openservicemesh.io/sidecar-injection", "disabled"),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .collect()
}

/// The Services that the probe checks, for people who find the object. A long list is cut.
fn services(spec: JobSettings<'_>) -> String {
    let services = &spec.probe.services;
    let mut text = services[..services.len().min(SERVICES_NAMED)].join(",");
    if services.len() > SERVICES_NAMED {
        text.push_str(&format!(" and {} more", services.len() - SERVICES_NAMED));
    }
    text
}

fn deadline_seconds(spec: JobSettings<'_>) -> i64 {
    let work = spec.settings.start_timeout + requests::duration(&spec.probe.plan);
    i64::try_from(work.as_secs() + DEADLINE_MARGIN_SECONDS).unwrap_or(i64::MAX)
}

fn pod_spec(spec: JobSettings<'_>, deadline: i64) -> PodSpec {
    let settings = spec.settings;
    let host = match spec.probe.network {
        Network::Host => Some(true),
        Network::Pod | Network::External => None,
    };
    PodSpec {
        active_deadline_seconds: Some(deadline),
        affinity: Some(on_node(&spec.probe.node, settings)),
        automount_service_account_token: Some(false),
        containers: vec![container(spec)],
        // With this policy, names of Services also resolve on the host network.
        dns_policy: Some(
            if host.is_some() {
                "ClusterFirstWithHostNet"
            } else {
                "ClusterFirst"
            }
            .to_owned(),
        ),
        enable_service_links: Some(false),
        host_network: host,
        image_pull_secrets: (!settings.pull_secrets.is_empty()).then(|| {
            settings
                .pull_secrets
                .iter()
                .map(|name| LocalObjectReference { name: name.clone() })
                .collect()
        }),
        priority_class_name: settings.priority_class.clone(),
        restart_policy: Some("Never".to_owned()),
        security_context: Some(PodSecurityContext {
            run_as_non_root: Some(true),
            run_as_user: Some(USER),
            run_as_group: Some(USER),
            seccomp_profile: Some(SeccompProfile {
                type_: "RuntimeDefault".to_owned(),
                localhost_profile: None,
            }),
            ..PodSecurityContext::default()
        }),
        termination_grace_period_seconds: Some(GRACE_SECONDS),
        tolerations: Some(tolerations(&settings.tolerations)),
        ..PodSpec::default()
    }
}

fn container(spec: JobSettings<'_>) -> Container {
    let amounts = |pairs: [(&str, &str); 2]| {
        Some(
            pairs
                .map(|(key, value)| (key.to_owned(), Quantity(value.to_owned())))
                .into_iter()
                .collect(),
        )
    };
    Container {
        name: names::CONTAINER.to_owned(),
        image: Some(spec.settings.image.clone()),
        image_pull_policy: spec.settings.pull_policy.map(|policy| policy.to_string()),
        args: Some(
            std::iter::once("run".to_owned())
                .chain(plan_arguments(&spec.probe.plan))
                .collect(),
        ),
        resources: Some(ResourceRequirements {
            requests: amounts([("cpu", "10m"), ("memory", "16Mi")]),
            limits: amounts([("cpu", "500m"), ("memory", "64Mi")]),
            ..ResourceRequirements::default()
        }),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            capabilities: Some(Capabilities {
                add: None,
                drop: Some(vec!["ALL".to_owned()]),
            }),
            read_only_root_filesystem: Some(true),
            run_as_non_root: Some(true),
            ..SecurityContext::default()
        }),
        // The agent's last lines are in the pod's status, even if its log cannot be read.
        termination_message_policy: Some("FallbackToLogsOnError".to_owned()),
        ..Container::default()
    }
}

/// The plan as arguments. The kubelet expands `$(NAME)` in arguments, and a plan contains text from users, so `$` is
/// written as a JSON escape (RFC 8259, section 7).
fn plan_arguments(plan: &Plan) -> Vec<String> {
    let json = serde_json::to_string(plan)
        .unwrap_or_default()
        .replace('$', "\\u0024");
    let mut arguments = Vec::new();
    let mut rest = json.as_str();
    while !rest.is_empty() {
        let (head, tail) = rest.split_at(rest.floor_char_boundary(ARGUMENT_BYTES));
        arguments.push(head.to_owned());
        rest = tail;
    }
    arguments
}

/// The Job of a scout: it runs on a node that is none of these, and that can take a probe.
pub fn scout(spec: JobSettings<'_>, known: &[&str]) -> Job {
    let mut job = job(spec);
    let pod = job.spec.as_mut().and_then(|job| job.template.spec.as_mut());
    if let Some(pod) = pod {
        pod.affinity = Some(on_another_node(known, spec.settings));
    }
    job
}

/// Affinity is used and not `nodeName`, so that the scheduler still checks resources, ports and taints. The labels of a
/// node may be unknown, so the scheduler checks them, too.
fn on_node(name: &str, settings: &ProbeSettings) -> Affinity {
    let fields = vec![requirement("metadata.name", "In", &[name])];
    affinity(fields, wished_labels(settings))
}

fn on_another_node(known: &[&str], settings: &ProbeSettings) -> Affinity {
    // A requirement on a field takes one value (kubernetes/kubernetes v1.37.2 `pkg/apis/core/validation/validation.go`
    // `ValidateNodeFieldSelectorRequirement`).
    let fields = known
        .iter()
        .map(|name| requirement("metadata.name", "NotIn", &[*name]))
        .collect();
    let architectures: Vec<&str> = settings.architectures.iter().map(String::as_str).collect();
    let mut labels = wished_labels(settings);
    labels.extend([
        requirement("kubernetes.io/os", "In", &["linux"]),
        requirement("kubernetes.io/arch", "In", &architectures),
    ]);
    labels.extend(VIRTUAL_NODES.map(|(label, value)| requirement(label, "NotIn", &[value])));
    affinity(fields, labels)
}

fn wished_labels(settings: &ProbeSettings) -> Vec<NodeSelectorRequirement> {
    let wished = settings.node_selector.iter();
    wished
        .map(|(key, value)| requirement(key, "In", &[value]))
        .collect()
}

fn requirement(key: &str, operator: &str, values: &[&str]) -> NodeSelectorRequirement {
    NodeSelectorRequirement {
        key: key.to_owned(),
        operator: operator.to_owned(),
        values: Some(values.iter().map(|value| (*value).to_owned()).collect()),
    }
}

fn affinity(
    fields: Vec<NodeSelectorRequirement>,
    labels: Vec<NodeSelectorRequirement>,
) -> Affinity {
    Affinity {
        node_affinity: Some(NodeAffinity {
            required_during_scheduling_ignored_during_execution: Some(NodeSelector {
                node_selector_terms: vec![NodeSelectorTerm {
                    match_fields: (!fields.is_empty()).then_some(fields),
                    match_expressions: (!labels.is_empty()).then_some(labels),
                }],
            }),
            preferred_during_scheduling_ignored_during_execution: None,
        }),
        ..Affinity::default()
    }
}

fn tolerations(wished: &[Toleration]) -> Vec<PodToleration> {
    if wished.is_empty() {
        return vec![PodToleration {
            operator: Some("Exists".to_owned()),
            ..PodToleration::default()
        }];
    }
    wished
        .iter()
        .map(|toleration| PodToleration {
            key: Some(toleration.key.clone()),
            operator: Some(
                if toleration.value.is_some() {
                    "Equal"
                } else {
                    "Exists"
                }
                .to_owned(),
            ),
            value: toleration.value.clone(),
            effect: toleration.effect.clone(),
            ..PodToleration::default()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{JobSettings, job, plan_arguments, pod, scout};
    use crate::{
        config::{ProbeSettings, PullPolicy, Toleration},
        testing::{facts, plan_of, probe_plan, probe_settings},
    };
    use serde_json::{Value, json};
    use std::collections::BTreeMap;
    use svc_reach_common::{
        position::Position,
        wire::plan::{Plan, Request, RequestKind, Tls},
    };

    fn manifest(position: Position, settings: &ProbeSettings) -> Value {
        let probe = probe_plan(position);
        let spec = JobSettings {
            run_id: "r1",
            namespace: "web",
            probe: &probe,
            settings,
        };
        serde_json::to_value(job(spec)).unwrap()
    }

    #[test]
    fn the_job_of_a_probe_on_the_pod_network() {
        let mut job = manifest(Position::PodOther, &probe_settings());
        let args = job
            .pointer_mut("/spec/template/spec/containers/0/args")
            .map(Value::take)
            .unwrap();
        assert_eq!(args[0], "run");
        let labels = json!({"svc-reach/run": "r1", "svc-reach/role": "probe", "svc-reach/probe": "pod-other"});
        let mut pod_labels = labels.clone();
        pod_labels["sidecar.istio.io/inject"] = "false".into();
        pod_labels["istio.io/dataplane-mode"] = "none".into();
        pod_labels["kuma.io/sidecar-injection"] = "disabled".into();
        assert_eq!(
            job,
            json!({
                "apiVersion": "batch/v1",
                "kind": "Job",
                "metadata": {
                    "name": "svc-reach-r1-pod-other",
                    "namespace": "web",
                    "labels": labels,
                    "annotations": {"svc-reach/service": "web/nginx"},
                },
                "spec": {
                    "activeDeadlineSeconds": 90,
                    "backoffLimit": 0,
                    "completions": 1,
                    "parallelism": 1,
                    "ttlSecondsAfterFinished": 60,
                    "template": {
                        "metadata": {
                            "labels": pod_labels,
                            "annotations": {
                                "svc-reach/service": "web/nginx",
                                "sidecar.istio.io/inject": "false",
                                "linkerd.io/inject": "disabled",
                                "consul.hashicorp.com/connect-inject": "false",
                                "openservicemesh.io/sidecar-injection": "disabled",
                            },
                        },
                        "spec": {
                            "activeDeadlineSeconds": 90,
                            "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
                                "nodeSelectorTerms": [{"matchFields": [
                                    {"key": "metadata.name", "operator": "In", "values": ["n1"]}
                                ]}]
                            }}},
                            "automountServiceAccountToken": false,
                            "containers": [{
                                "name": "probe",
                                "image": "svc-reach/probe:test",
                                "args": null,
                                "resources": {
                                    "requests": {"cpu": "10m", "memory": "16Mi"},
                                    "limits": {"cpu": "500m", "memory": "64Mi"},
                                },
                                "securityContext": {
                                    "allowPrivilegeEscalation": false,
                                    "capabilities": {"drop": ["ALL"]},
                                    "readOnlyRootFilesystem": true,
                                    "runAsNonRoot": true,
                                },
                                "terminationMessagePolicy": "FallbackToLogsOnError",
                            }],
                            "dnsPolicy": "ClusterFirst",
                            "enableServiceLinks": false,
                            "restartPolicy": "Never",
                            "securityContext": {
                                "runAsGroup": 65532,
                                "runAsNonRoot": true,
                                "runAsUser": 65532,
                                "seccompProfile": {"type": "RuntimeDefault"},
                            },
                            "terminationGracePeriodSeconds": 1,
                            "tolerations": [{"operator": "Exists"}],
                        },
                    },
                },
            })
        );
    }

    #[test]
    fn a_scout_runs_on_a_node_that_is_not_known() {
        let settings = ProbeSettings {
            node_selector: BTreeMap::from([("pool".into(), "web".into())]),
            ..probe_settings()
        };
        let spec = JobSettings {
            run_id: "r1",
            namespace: "web",
            probe: &probe_plan(Position::PodOther),
            settings: &settings,
        };
        let job = serde_json::to_value(scout(spec, &["n1", "n2"])).unwrap();
        let terms = job.pointer("/spec/template/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms");
        let field = |name| json!({"key": "metadata.name", "operator": "NotIn", "values": [name]});
        assert_eq!(
            terms.unwrap(),
            &json!([{
                "matchFields": [field("n1"), field("n2")],
                "matchExpressions": [
                    {"key": "pool", "operator": "In", "values": ["web"]},
                    {"key": "kubernetes.io/os", "operator": "In", "values": ["linux"]},
                    {"key": "kubernetes.io/arch", "operator": "In", "values": ["amd64"]},
                    {"key": "type", "operator": "NotIn", "values": ["virtual-kubelet"]},
                    {"key": "eks.amazonaws.com/compute-type", "operator": "NotIn", "values": ["fargate"]},
                ],
            }])
        );
    }

    #[test]
    fn host_network_changes_only_two_fields() {
        let mut host =
            manifest(Position::NodeOther, &probe_settings())["spec"]["template"]["spec"].take();
        let mut pod =
            manifest(Position::PodOther, &probe_settings())["spec"]["template"]["spec"].take();
        assert_eq!(host["hostNetwork"].take(), json!(true));
        assert_eq!(host["dnsPolicy"].take(), json!("ClusterFirstWithHostNet"));
        pod["dnsPolicy"].take();
        pod["hostNetwork"].take();
        for spec in [&mut host, &mut pod] {
            spec["containers"][0]["args"].take();
        }
        assert_eq!(host, pod);
    }

    #[test]
    fn user_settings_are_in_the_job() {
        let settings = ProbeSettings {
            image: "mirror/probe:2".into(),
            pull_policy: Some(PullPolicy::Never),
            pull_secrets: vec!["one".into(), "two".into()],
            priority_class: Some("high".into()),
            labels: BTreeMap::from([("app".into(), "front".into())]),
            tolerations: vec![Toleration {
                key: "gpu".into(),
                value: Some("yes".into()),
                effect: None,
            }],
            ..probe_settings()
        };
        let mut template = manifest(Position::PodSame, &settings)["spec"]["template"].take();
        let labels = &template["metadata"]["labels"];
        assert_eq!(
            (&labels["app"], &labels["svc-reach/role"]),
            (&json!("front"), &json!("probe"))
        );
        let spec = template["spec"].take();
        assert_eq!(spec["containers"][0]["image"], "mirror/probe:2");
        assert_eq!(spec["containers"][0]["imagePullPolicy"], "Never");
        assert_eq!(
            spec["imagePullSecrets"],
            json!([{"name": "one"}, {"name": "two"}])
        );
        assert_eq!(spec["priorityClassName"], "high");
        assert_eq!(
            spec["tolerations"],
            json!([{"key": "gpu", "operator": "Equal", "value": "yes"}])
        );
    }

    #[test]
    fn the_dry_run_pod_matches_the_job() {
        let settings = probe_settings();
        let job = job(JobSettings {
            run_id: "r1",
            namespace: "web",
            probe: &probe_plan(Position::PodSame),
            settings: &settings,
        });
        let pod = pod(&job);
        let template = job.spec.unwrap().template;
        assert_eq!(pod.spec, template.spec);
        assert_eq!(pod.metadata.labels, template.metadata.unwrap().labels);
        assert_eq!(pod.metadata.namespace.as_deref(), Some("web"));
    }

    #[test]
    fn a_plan_reads_back_from_its_arguments() {
        let mut plan = plan_of(&facts(), Position::PodSame, &[]);
        plan.targets = (0..3000)
            .map(|id| {
                Request::new(
                    id,
                    "10.0.0.1".into(),
                    crate::testing::port(80),
                    RequestKind::Http {
                        path: "/$(HOME)/€".into(),
                        host: None,
                        tls: Tls::Off,
                    },
                )
            })
            .collect();
        let arguments = plan_arguments(&plan);
        assert!(arguments.len() > 1, "a plan of this size is cut");
        for argument in &arguments {
            assert!(
                argument.len() < 128 * 1024,
                "Linux takes an argument of {} bytes",
                argument.len()
            );
            assert!(
                !argument.contains('$'),
                "nothing is left for the kubelet to expand"
            );
        }
        assert_eq!(
            serde_json::from_str::<Plan>(&arguments.concat()).unwrap(),
            plan
        );
    }
}
