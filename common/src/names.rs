//! Names that more than one program relies on. A change here is a change of the interface.

/// Label: the run that made an object. Its value is unique to one run.
pub const LABEL_RUN: &str = "svc-reach/run";

/// Label: what an object is to us. Its only value is [`ROLE_PROBE`]; `cleanup` goes by it.
pub const LABEL_ROLE: &str = "svc-reach/role";

/// Value of [`LABEL_ROLE`] on probe Jobs and their pods.
pub const ROLE_PROBE: &str = "probe";

/// Label: names a probe among those of its run; the position that it stands at, where it has one only.
pub const LABEL_PROBE: &str = "svc-reach/probe";

/// Annotation: namespace and name of the Services that are asked about, for whoever finds the object.
pub const ANNOTATION_SERVICE: &str = "svc-reach/service";

/// Name of the probe's container.
pub const CONTAINER: &str = "probe";

/// Environment variable of `svc-reach-probe serve`: name of the pod, by the downward API.
pub const ENV_POD_NAME: &str = "POD_NAME";

/// Environment variable of `svc-reach-probe serve`: name of the node, by the downward API.
pub const ENV_NODE_NAME: &str = "NODE_NAME";

/// Response header of `svc-reach-probe serve`: the pod that answered.
pub const HEADER_POD: &str = "svc-reach-pod";

/// Response header of `svc-reach-probe serve`: the node of the pod that answered.
pub const HEADER_NODE: &str = "svc-reach-node";

/// Response header of `svc-reach-probe serve`: the client's address as the server saw it, without a port.
pub const HEADER_CLIENT: &str = "svc-reach-client";

/// Image of the probe, where the user does not name another. A release is compiled with `SVC_REACH_PROBE_IMAGE`, which names
/// the image that was made for it by its digest (`packaging/images`); a tag can be given to another image later.
pub const IMAGE: &str = match option_env!("SVC_REACH_PROBE_IMAGE") {
    Some(image) => image,
    None => concat!("svc-reach/probe:", env!("CARGO_PKG_VERSION")),
};

/// Image of the plugin, for Jobs in a cluster (`manifests/job.yaml`).
pub const PLUGIN_IMAGE: &str = concat!("svc-reach/plugin:", env!("CARGO_PKG_VERSION"));

/// Every image that a closed network has to mirror.
pub const IMAGES: &[&str] = &[IMAGE, PLUGIN_IMAGE];
