//! Objects of the Kubernetes API, as JSON, turned into [`facts`](crate::facts).
//!
//! The same conversion serves live objects and dumps. Unknown fields are ignored; a missing field gets the value that
//! the API server would have given it; a field of a wrong shape is an error that names the object and the field.
//!
//! Field names and defaults are those of `k8s.io/api` `core/v1`, `discovery/v1` and `discovery/v1beta1`, and of
//! `pkg/apis/{core,discovery}/*/defaults.go` in kubernetes/kubernetes.

mod endpoints;
mod node;
mod service;

pub use endpoints::ServiceEndpoints;

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use std::{collections::BTreeMap, fmt::Display, net::IpAddr, num::NonZeroU16, str::FromStr};

/// An object that is not what it says it is.
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    /// It is of another kind.
    #[error("expected {expected}, found {found}")]
    Kind {
        /// Kind that was asked for.
        expected: &'static str,
        /// `apiVersion` and `kind` of the object.
        found: String,
    },
    /// It does not have the shape of its kind.
    #[error("read {object}")]
    Shape {
        /// Kind, namespace and name of the object.
        object: String,
        /// What is wrong.
        #[source]
        source: serde_json::Error,
    },
    /// A field has a value that it cannot have.
    #[error("read {object}: {field} cannot be {value:?} ({detail})")]
    Field {
        /// Kind, namespace and name of the object.
        object: String,
        /// Path of the field.
        field: &'static str,
        /// Its value.
        value: String,
        /// What is wrong with it.
        detail: String,
    },
}

/// `metadata`, as far as anything here needs it.
#[derive(Debug, Deserialize)]
struct Metadata {
    name: String,
    namespace: Option<String>,
    labels: Option<BTreeMap<String, String>>,
    annotations: Option<BTreeMap<String, String>>,
    #[serde(rename = "creationTimestamp")]
    created: Option<String>,
}

/// Kind, namespace and name of an object, for errors.
#[derive(Debug)]
struct Named(String);

impl Named {
    fn of(kind: &str, object: &Value) -> Self {
        let text = |pointer| object.pointer(pointer).and_then(Value::as_str);
        let name = text("/metadata/name").unwrap_or("(without a name)");
        Self(match text("/metadata/namespace") {
            Some(namespace) => format!("{kind} {namespace}/{name}"),
            None => format!("{kind} {name}"),
        })
    }

    /// Reads the object's shape, once its kind is the one expected (or is not told, as in items of a typed list).
    fn read<T: DeserializeOwned>(
        &self,
        expected: &'static str,
        object: &Value,
    ) -> Result<T, ObjectError> {
        let kind = object.get("kind").and_then(Value::as_str);
        if kind.is_some_and(|kind| kind != expected) {
            let version = object.get("apiVersion").and_then(Value::as_str);
            return Err(ObjectError::Kind {
                expected,
                found: format!(
                    "{} {}",
                    version.unwrap_or_default(),
                    kind.unwrap_or_default()
                ),
            });
        }
        T::deserialize(object).map_err(|source| ObjectError::Shape {
            object: self.0.clone(),
            source,
        })
    }

    fn wrong(&self, field: &'static str, value: impl Display, detail: impl Display) -> ObjectError {
        ObjectError::Field {
            object: self.0.clone(),
            field,
            value: value.to_string(),
            detail: detail.to_string(),
        }
    }

    fn parse<T: FromStr<Err: Display>>(
        &self,
        field: &'static str,
        text: &str,
    ) -> Result<T, ObjectError> {
        text.parse().map_err(|error| self.wrong(field, text, error))
    }

    /// An absent or empty text is the type's default.
    fn parse_or_default<T: FromStr<Err: Display> + Default>(
        &self,
        field: &'static str,
        text: Option<&str>,
    ) -> Result<T, ObjectError> {
        filled(text).map_or_else(|| Ok(T::default()), |text| self.parse(field, text))
    }

    fn addresses<'a>(
        &self,
        field: &'static str,
        texts: impl IntoIterator<Item = &'a str>,
    ) -> Result<Vec<IpAddr>, ObjectError> {
        texts
            .into_iter()
            .map(|text| self.parse(field, text))
            .collect()
    }

    /// A port that must be there.
    fn port(&self, field: &'static str, number: i64) -> Result<NonZeroU16, ObjectError> {
        u16::try_from(number)
            .ok()
            .and_then(NonZeroU16::new)
            .ok_or_else(|| self.wrong(field, number, "not a port number"))
    }

    /// A port that may be absent; the API's types write zero for that.
    fn optional_port(
        &self,
        field: &'static str,
        number: Option<i64>,
    ) -> Result<Option<NonZeroU16>, ObjectError> {
        number
            .filter(|&number| number != 0)
            .map(|number| self.port(field, number))
            .transpose()
    }
}

/// The API's types write an empty text where there is none.
fn filled(text: Option<&str>) -> Option<&str> {
    text.filter(|text| !text.is_empty())
}

/// As [`filled`], owned.
fn filled_string(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}
