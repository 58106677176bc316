//! Checks a pod against the Pod Security Standards, with the messages of Pod Security admission.
//!
//! Kubernetes has Pod Security admission only since 1.22. This module implements the checks that a probe's pod can
//! fail, with the messages of the real admission
//! (<https://kubernetes.io/docs/concepts/security/pod-security-standards/>;
//! <https://github.com/kubernetes/kubernetes/tree/v1.25.0/staging/src/k8s.io/pod-security-admission/policy>). It leaves
//! out AppArmor, SELinux, sysctls, proc mounts, Windows host processes, and all but the latest version of the
//! standards.

use k8s_openapi::api::core::v1::{Container, PodSecurityContext, PodSpec, Volume};

/// The Pod Security level that a namespace enforces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Prevents known privilege escalations.
    Baseline,
    /// Requires current hardening practice.
    Restricted,
}

impl Level {
    /// The level as the namespace's label spells it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Baseline => "baseline",
            Self::Restricted => "restricted",
        }
    }
}

/// Capabilities that a container may add at level `baseline`.
const BASELINE_CAPABILITIES: [&str; 13] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

/// Why the level refuses a pod. `None`: the pod is admitted.
pub fn refusal(level: Level, spec: &PodSpec) -> Option<String> {
    let mut violations = baseline(spec);
    match level {
        Level::Baseline => {}
        Level::Restricted => violations.extend(restricted(spec)),
    }
    (!violations.is_empty()).then(|| {
        format!(
            "violates PodSecurity \"{}:latest\": {}",
            level.word(),
            violations.join(", ")
        )
    })
}

fn baseline(spec: &PodSpec) -> Vec<String> {
    let mut violations = Vec::new();
    let shared = [
        ("hostNetwork", spec.host_network),
        ("hostPID", spec.host_pid),
        ("hostIPC", spec.host_ipc),
    ];
    let shared: Vec<String> = shared
        .iter()
        .filter(|(_, on)| *on == Some(true))
        .map(|(name, _)| format!("{name}=true"))
        .collect();
    if !shared.is_empty() {
        violations.push(format!("host namespaces ({})", shared.join(", ")));
    }
    violations.extend(of_containers(
        spec,
        "privileged",
        "must not set securityContext.privileged=true",
        |container| {
            container
                .security_context
                .as_ref()
                .and_then(|context| context.privileged)
                == Some(true)
        },
    ));
    let adds_much = |container: &Container| {
        added(container).any(|capability| !BASELINE_CAPABILITIES.contains(&capability))
    };
    violations.extend(of_containers(
        spec,
        "non-default capabilities",
        "must not include others than the default ones in securityContext.capabilities.add",
        adds_much,
    ));
    let paths: Vec<String> = volumes(spec)
        .filter(|volume| volume.host_path.is_some())
        .map(|volume| format!("\"{}\"", volume.name))
        .collect();
    if !paths.is_empty() {
        violations.push(format!(
            "hostPath volumes ({} {})",
            plural(&paths, "volume"),
            paths.join(", ")
        ));
    }
    // On the host network, the API server sets hostPort for every containerPort.
    violations.extend(of_containers(
        spec,
        "hostPort",
        "uses a hostPort",
        |container| {
            container
                .ports
                .iter()
                .flatten()
                .any(|port| port.host_port.is_some_and(|port| port != 0))
        },
    ));
    violations
}

fn restricted(spec: &PodSpec) -> Vec<String> {
    let pod = spec.security_context.as_ref();
    let mut violations = Vec::new();
    violations.extend(of_containers(
        spec,
        "allowPrivilegeEscalation != false",
        "must set securityContext.allowPrivilegeEscalation=false",
        |container| {
            container
                .security_context
                .as_ref()
                .and_then(|context| context.allow_privilege_escalation)
                != Some(false)
        },
    ));
    violations.extend(of_containers(
        spec,
        "unrestricted capabilities",
        "must set securityContext.capabilities.drop=[\"ALL\"]",
        |container| {
            !drops_all(container)
                || added(container).any(|capability| capability != "NET_BIND_SERVICE")
        },
    ));
    let mounts: Vec<String> = volumes(spec)
        .filter(|volume| !is_plain(volume))
        .map(|volume| format!("\"{}\"", volume.name))
        .collect();
    if !mounts.is_empty() {
        violations.push(format!(
            "restricted volume types ({} {})",
            plural(&mounts, "volume"),
            mounts.join(", ")
        ));
    }
    let pod_non_root = pod.and_then(|context| context.run_as_non_root);
    violations.extend(of_pod_or_containers(
        spec,
        "runAsNonRoot != true",
        "must set securityContext.runAsNonRoot=true",
        |container| {
            container
                .security_context
                .as_ref()
                .and_then(|context| context.run_as_non_root)
                .or(pod_non_root)
                != Some(true)
        },
    ));
    if pod.and_then(|context| context.run_as_user) == Some(0) {
        violations.push("runAsUser=0 (pod must not set runAsUser=0)".to_owned());
    }
    violations.extend(of_containers(
        spec,
        "runAsUser=0",
        "must not set runAsUser=0",
        |container| {
            container
                .security_context
                .as_ref()
                .and_then(|context| context.run_as_user)
                == Some(0)
        },
    ));
    let pod_profile = pod.and_then(profile);
    violations.extend(of_pod_or_containers(
        spec,
        "seccompProfile",
        "must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\"",
        |container| {
            let context = container.security_context.as_ref();
            let own = context
                .and_then(|context| context.seccomp_profile.as_ref())
                .map(|profile| profile.type_.as_str());
            !matches!(own.or(pod_profile), Some("RuntimeDefault" | "Localhost"))
        },
    ));
    violations
}

fn profile(context: &PodSecurityContext) -> Option<&str> {
    context
        .seccomp_profile
        .as_ref()
        .map(|profile| profile.type_.as_str())
}

fn volumes(spec: &PodSpec) -> impl Iterator<Item = &Volume> {
    spec.volumes.iter().flatten()
}

/// Whether level `restricted` allows this kind of volume.
fn is_plain(volume: &Volume) -> bool {
    volume.config_map.is_some()
        || volume.csi.is_some()
        || volume.downward_api.is_some()
        || volume.empty_dir.is_some()
        || volume.ephemeral.is_some()
        || volume.persistent_volume_claim.is_some()
        || volume.projected.is_some()
        || volume.secret.is_some()
}

fn added(container: &Container) -> impl Iterator<Item = &str> {
    let capabilities = container
        .security_context
        .as_ref()
        .and_then(|context| context.capabilities.as_ref());
    capabilities
        .and_then(|capabilities| capabilities.add.as_ref())
        .into_iter()
        .flatten()
        .map(String::as_str)
}

fn drops_all(container: &Container) -> bool {
    let capabilities = container
        .security_context
        .as_ref()
        .and_then(|context| context.capabilities.as_ref());
    capabilities
        .and_then(|capabilities| capabilities.drop.as_ref())
        .into_iter()
        .flatten()
        .any(|dropped| dropped == "ALL")
}

fn offenders(spec: &PodSpec, offends: impl Fn(&Container) -> bool) -> Vec<String> {
    let containers = spec
        .init_containers
        .iter()
        .flatten()
        .chain(&spec.containers);
    containers
        .filter(|container| offends(container))
        .map(|container| format!("\"{}\"", container.name))
        .collect()
}

fn plural(list: &[String], word: &str) -> String {
    if list.len() == 1 {
        word.to_owned()
    } else {
        format!("{word}s")
    }
}

fn of_containers(
    spec: &PodSpec,
    what: &str,
    rule: &str,
    offends: impl Fn(&Container) -> bool,
) -> Option<String> {
    let names = offenders(spec, offends);
    (!names.is_empty()).then(|| {
        format!(
            "{what} ({} {} {rule})",
            plural(&names, "container"),
            names.join(", ")
        )
    })
}

fn of_pod_or_containers(
    spec: &PodSpec,
    what: &str,
    rule: &str,
    offends: impl Fn(&Container) -> bool,
) -> Option<String> {
    let names = offenders(spec, offends);
    (!names.is_empty()).then(|| {
        format!(
            "{what} (pod or {} {} {rule})",
            plural(&names, "container"),
            names.join(", ")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn hardened() -> serde_json::Value {
        json!({
            "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{"name": "c", "securityContext": {
                "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}}],
        })
    }

    #[test]
    fn each_level_refuses_what_it_should() {
        let plain = json!({"containers": [{"name": "c"}]});
        let mut host = hardened();
        host["hostNetwork"] = json!(true);
        let mut port = hardened();
        port["containers"][0]["ports"] = json!([{"containerPort": 80, "hostPort": 80}]);
        let bare = "allowPrivilegeEscalation != false (container \"c\" must set securityContext.allowPrivilegeEscalation=false), \
            unrestricted capabilities (container \"c\" must set securityContext.capabilities.drop=[\"ALL\"]), \
            runAsNonRoot != true (pod or container \"c\" must set securityContext.runAsNonRoot=true), \
            seccompProfile (pod or container \"c\" must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\")";
        let rows = [
            ("plain pod, baseline", Level::Baseline, plain.clone(), None),
            (
                "plain pod, restricted",
                Level::Restricted,
                plain,
                Some(bare),
            ),
            (
                "hardened pod, restricted",
                Level::Restricted,
                hardened(),
                None,
            ),
            (
                "host network, baseline",
                Level::Baseline,
                host.clone(),
                Some("host namespaces (hostNetwork=true)"),
            ),
            (
                "host network, restricted",
                Level::Restricted,
                host,
                Some("host namespaces (hostNetwork=true)"),
            ),
            (
                "host port, baseline",
                Level::Baseline,
                port,
                Some("hostPort (container \"c\" uses a hostPort)"),
            ),
        ];
        for (row, level, spec, why) in rows {
            let spec: PodSpec = serde_json::from_value(spec).unwrap();
            let why =
                why.map(|why| format!("violates PodSecurity \"{}:latest\": {why}", level.word()));
            assert_eq!(refusal(level, &spec), why, "{row}");
        }
    }
}
