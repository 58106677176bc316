//! Names of Services on the command line.

use super::error::UsageError;

/// Name of a Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceName {
    /// Its namespace; `None`: the current one.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
}

impl ServiceName {
    /// Whether this is the name of the given Service. `current` is the namespace of names that have none.
    pub fn means(&self, namespace: &str, name: &str, current: &str) -> bool {
        self.name == name && self.namespace.as_deref().unwrap_or(current) == namespace
    }

    /// Parses `NAME` or `NAME.NAMESPACE`, with or without the kind before it. Names of Services cannot contain a dot.
    /// `namespace` is the value of `--namespace`, which must not differ from the namespace in the name.
    pub fn parse(given: &str, namespace: Option<&str>) -> Result<Self, UsageError> {
        let Some((service, within)) = given.split_once('.') else {
            return Ok(Self {
                namespace: None,
                name: service_name(given)?,
            });
        };
        let invalid = |why| Err(UsageError::invalid("SERVICE", given, why));
        if !is_label(within) {
            return invalid("only a namespace can follow the dot: NAME.NAMESPACE");
        }
        if namespace.is_some_and(|other| other != within) {
            return invalid("its namespace differs from --namespace");
        }
        Ok(Self {
            namespace: Some(within.to_owned()),
            name: service_name(service)?,
        })
    }
}

/// The name in `nginx`, `svc/nginx`, `service/nginx` or `services/nginx`.
pub fn service_name(given: &str) -> Result<String, UsageError> {
    let invalid = |why| Err(UsageError::invalid("SERVICE", given, why));
    let name = match given.split_once('/') {
        None => given,
        Some(("svc" | "service" | "services", name)) => name,
        Some(_) => return invalid("only Services can be checked: svc/NAME or service/NAME"),
    };
    if is_label(name) {
        Ok(name.to_owned())
    } else {
        invalid("not a valid Service name")
    }
}

/// Whether a text is a DNS label (RFC 1123). The API requires this of the names of Services and namespaces.
pub fn is_label(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}
