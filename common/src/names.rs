//! Names that more than one program relies on. A change here changes the interface.

/// Label that says which run created an object. Its value is unique to one run.
pub const LABEL_RUN: &str = "svc-reach/run";

/// Label that marks our objects. Its only value is [`ROLE_PROBE`], and `cleanup` selects objects by it.
pub const LABEL_ROLE: &str = "svc-reach/role";

/// Value of [`LABEL_ROLE`] on probe Jobs and their pods.
pub const ROLE_PROBE: &str = "probe";

/// Label that names a probe within its run. If the probe has only one position, this is the position's name.
pub const LABEL_PROBE: &str = "svc-reach/probe";

/// Annotation with the namespaces and names of the checked Services, for a person who finds the object.
pub const ANNOTATION_SERVICE: &str = "svc-reach/service";

/// Name of the probe pod's container.
pub const CONTAINER: &str = "probe";

/// Environment variable of `svc-reach-probe serve`: name of the pod, set with the downward API.
pub const ENV_POD_NAME: &str = "POD_NAME";

/// Environment variable of `svc-reach-probe serve`: name of the node, set with the downward API.
pub const ENV_NODE_NAME: &str = "NODE_NAME";

/// Response header of `svc-reach-probe serve`: the pod that answered.
pub const HEADER_POD: &str = "svc-reach-pod";

/// Response header of `svc-reach-probe serve`: the node of the pod that answered.
pub const HEADER_NODE: &str = "svc-reach-node";

/// Response header of `svc-reach-probe serve`: the client's address as the server saw it, without a port.
pub const HEADER_CLIENT: &str = "svc-reach-client";

/// Image of the probe, unless the user names another. A release is compiled with `SVC_REACH_PROBE_IMAGE`, which names
/// the release's image by its digest (`packaging/images`), since a tag can be moved to another image later.
pub const IMAGE: &str = match option_env!("SVC_REACH_PROBE_IMAGE") {
    Some(image) => image,
    None => concat!("svc-reach/probe:", env!("CARGO_PKG_VERSION")),
};

/// Image of the plugin, for Jobs in a cluster (`manifests/job.yaml`).
pub const PLUGIN_IMAGE: &str = concat!("svc-reach/plugin:", env!("CARGO_PKG_VERSION"));

/// Every image that has to be mirrored into a network without internet access.
pub const IMAGES: &[&str] = &[IMAGE, PLUGIN_IMAGE];
