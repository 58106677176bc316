//! Settings of the probe pods.

use super::duration::duration;
use super::error::UsageError;
use clap::{Args, builder::Resettable};
use std::{collections::BTreeMap, time::Duration};
use svc_reach_common::{names, words};

/// Flags for the probe pods.
#[derive(Debug, Args)]
#[command(next_help_heading = "Probes")]
pub struct ProbeArgs {
    /// Image of the probe
    ///
    /// The environment variable SVC_REACH_IMAGE sets it, too.
    #[arg(long, value_name = "IMAGE", env = "SVC_REACH_IMAGE", default_value = svc_reach_common::names::IMAGE, help_heading = Resettable::Reset, hide_env = true)]
    pub image: String,
    /// Image pull policy of the probe: Always, IfNotPresent or Never
    #[arg(hide_short_help = true, long, value_name = "POLICY")]
    pub image_pull_policy: Option<String>,
    /// Secret for pulling the image (repeatable)
    #[arg(hide_short_help = true, long, value_name = "SECRET")]
    pub image_pull_secret: Vec<String>,
    /// Architectures that the image supports
    #[arg(
        hide_short_help = true,
        long,
        value_name = "ARCH",
        value_delimiter = ',',
        default_value = "amd64"
    )]
    pub arch: Vec<String>,
    /// Namespace for the probes
    ///
    /// Default: the namespace of the Services, or the current one if they have several.
    #[arg(hide_short_help = true, long, value_name = "NAMESPACE")]
    pub probe_namespace: Option<String>,
    /// Use only nodes with these labels, such as pool=web,zone=a
    #[arg(
        hide_short_help = true,
        long,
        value_name = "LABELS",
        value_delimiter = ','
    )]
    pub node_selector: Vec<String>,
    /// Label for the probe pods, as KEY=VALUE (repeatable)
    ///
    /// With the labels of real clients, NetworkPolicies admit the probes like those clients.
    #[arg(hide_short_help = true, long, value_name = "LABEL")]
    pub probe_label: Vec<String>,
    /// Taint to tolerate, as KEY[=VALUE][:EFFECT] (repeatable). Default: every taint
    #[arg(hide_short_help = true, long, value_name = "TAINT")]
    pub toleration: Vec<String>,
    /// PriorityClass of the probes
    #[arg(hide_short_help = true, long, value_name = "NAME")]
    pub priority_class: Option<String>,
    /// Fail before anything is created if the run needs more probe pods than this
    #[arg(hide_short_help = true, long, value_name = "N", default_value = "100")]
    pub max_probes: usize,
    /// How long a probe may take to start
    #[arg(
        hide_short_help = true,
        long,
        value_name = "DURATION",
        default_value = "60s"
    )]
    pub probe_timeout: String,
}

words! {
    /// `imagePullPolicy`.
    pub enum PullPolicy("image pull policy") {
        /// Pull for every pod.
        Always = "Always",
        /// Pull if the node does not have the image.
        IfNotPresent = "IfNotPresent",
        /// The node must have the image.
        Never = "Never",
    }
}

/// Settings of the probe pods.
#[derive(Debug, Clone)]
pub struct ProbeSettings {
    /// Image of the probe.
    pub image: String,
    /// `imagePullPolicy`; `None`: Kubernetes decides by the image's name.
    pub pull_policy: Option<PullPolicy>,
    /// Names of `imagePullSecrets`.
    pub pull_secrets: Vec<String>,
    /// Architectures that the image supports.
    pub architectures: Vec<String>,
    /// Namespace of the probes; `None`: see `RunSettings::probes_in`.
    pub namespace: Option<String>,
    /// Labels that a node must have.
    pub node_selector: BTreeMap<String, String>,
    /// Labels of the probe pods, in addition to our own.
    pub labels: BTreeMap<String, String>,
    /// Taints to tolerate; empty: every taint.
    pub tolerations: Vec<Toleration>,
    /// `priorityClassName`.
    pub priority_class: Option<String>,
    /// The largest number of probe pods in a run.
    pub most: usize,
    /// How long a probe may take to start.
    pub start_timeout: Duration,
}

/// A taint to tolerate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Toleration {
    /// Its key.
    pub key: String,
    /// Its value; `None`: any.
    pub value: Option<String>,
    /// Its effect; `None`: any.
    pub effect: Option<String>,
}

pub fn probe(args: ProbeArgs) -> Result<ProbeSettings, UsageError> {
    let start_timeout = duration("--probe-timeout", &args.probe_timeout)?;
    if start_timeout.is_zero() {
        return Err(UsageError::invalid(
            "--probe-timeout",
            &args.probe_timeout,
            "must be greater than zero",
        ));
    }
    Ok(ProbeSettings {
        image: args.image,
        pull_policy: args
            .image_pull_policy
            .map(|text| text.parse())
            .transpose()?,
        pull_secrets: args.image_pull_secret,
        architectures: args.arch,
        namespace: args.probe_namespace,
        node_selector: args
            .node_selector
            .iter()
            .map(|text| label("--node-selector", text))
            .collect::<Result<_, _>>()?,
        labels: args
            .probe_label
            .iter()
            .map(|text| probe_label(text))
            .collect::<Result<_, _>>()?,
        tolerations: args
            .toleration
            .iter()
            .map(|text| toleration(text))
            .collect::<Result<_, _>>()?,
        priority_class: args.priority_class,
        most: args.max_probes,
        start_timeout,
    })
}

fn label(flag: &'static str, text: &str) -> Result<(String, String), UsageError> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(UsageError::invalid(
            flag,
            text,
            "must have the form KEY=VALUE",
        )),
    }
}

/// A label for the probes. The plugin finds and removes the probes by its own labels, so those cannot be replaced.
fn probe_label(text: &str) -> Result<(String, String), UsageError> {
    const FLAG: &str = "--probe-label";
    let (key, value) = label(FLAG, text)?;
    if [names::LABEL_RUN, names::LABEL_ROLE, names::LABEL_PROBE].contains(&key.as_str()) {
        return Err(UsageError::invalid(
            FLAG,
            text,
            "the plugin sets this label itself",
        ));
    }
    Ok((key, value))
}

fn toleration(text: &str) -> Result<Toleration, UsageError> {
    let (taint, effect) = match text.rsplit_once(':') {
        Some((taint, effect)) => (taint, Some(effect)),
        None => (text, None),
    };
    let (key, value) = match taint.split_once('=') {
        Some((key, value)) => (key, Some(value)),
        None => (taint, None),
    };
    if key.is_empty() {
        return Err(UsageError::invalid(
            "--toleration",
            text,
            "the taint has no key",
        ));
    }
    if let Some(effect) = effect
        && !["NoSchedule", "PreferNoSchedule", "NoExecute"].contains(&effect)
    {
        return Err(UsageError::invalid(
            "--toleration",
            text,
            "the effect must be NoSchedule, PreferNoSchedule or NoExecute",
        ));
    }
    Ok(Toleration {
        key: key.to_owned(),
        value: value.map(str::to_owned),
        effect: effect.map(str::to_owned),
    })
}
