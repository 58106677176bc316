//! Reads the fields of an object, with errors that name the object.

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use std::{collections::BTreeMap, fmt::Display, net::IpAddr, num::NonZeroU16, str::FromStr};

/// An object that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    /// It is of another kind.
    #[error("expected {expected}, found {found}")]
    Kind {
        /// The expected kind.
        expected: &'static str,
        /// `apiVersion` and `kind` of the object.
        found: String,
    },
    /// It does not have the structure of its kind.
    #[error("read {object}")]
    Shape {
        /// Kind, namespace and name of the object.
        object: String,
        /// What is wrong.
        #[source]
        source: serde_json::Error,
    },
    /// A field has an invalid value.
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

/// The fields of `metadata` that are used here.
#[derive(Debug, Deserialize)]
pub(super) struct Metadata {
    pub(super) name: String,
    pub(super) namespace: Option<String>,
    pub(super) labels: Option<BTreeMap<String, String>>,
    pub(super) annotations: Option<BTreeMap<String, String>>,
    #[serde(rename = "creationTimestamp")]
    pub(super) created: Option<String>,
}

/// An entry of a list of addresses.
#[derive(Debug, Deserialize)]
pub(super) struct Ip {
    ip: Option<String>,
}

/// Kind, namespace and name of an object, for errors.
#[derive(Debug)]
pub(super) struct Named(String);

impl Named {
    pub(super) fn of(kind: &str, object: &Value) -> Self {
        let text = |pointer| object.pointer(pointer).and_then(Value::as_str);
        let name = text("/metadata/name").unwrap_or("(without a name)");
        Self(match text("/metadata/namespace") {
            Some(namespace) => format!("{kind} {namespace}/{name}"),
            None => format!("{kind} {name}"),
        })
    }

    /// Reads the object. Its kind must be the expected one, or absent, as in items of a typed list.
    pub(super) fn read<T: DeserializeOwned>(
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

    pub(super) fn wrong(
        &self,
        field: &'static str,
        value: impl Display,
        detail: impl Display,
    ) -> ObjectError {
        ObjectError::Field {
            object: self.0.clone(),
            field,
            value: value.to_string(),
            detail: detail.to_string(),
        }
    }

    pub(super) fn parse<T: FromStr<Err: Display>>(
        &self,
        field: &'static str,
        text: &str,
    ) -> Result<T, ObjectError> {
        text.parse().map_err(|error| self.wrong(field, text, error))
    }

    /// Like [`Self::parse`], but an absent or empty text gives the type's default.
    pub(super) fn parse_or_default<T: FromStr<Err: Display> + Default>(
        &self,
        field: &'static str,
        text: Option<&str>,
    ) -> Result<T, ObjectError> {
        filled(text).map_or_else(|| Ok(T::default()), |text| self.parse(field, text))
    }

    pub(super) fn addresses<'a>(
        &self,
        field: &'static str,
        texts: impl IntoIterator<Item = &'a str>,
    ) -> Result<Vec<IpAddr>, ObjectError> {
        texts
            .into_iter()
            .map(|text| self.parse(field, text))
            .collect()
    }

    /// Reads a list of addresses, such as `podIPs`. Before there were two families, there was one address, such as `podIP`.
    pub(super) fn ips(
        &self,
        field: &'static str,
        several: Option<Vec<Ip>>,
        one: Option<String>,
    ) -> Result<Vec<IpAddr>, ObjectError> {
        let texts: Vec<String> = match several {
            Some(several) if !several.is_empty() => several
                .into_iter()
                .filter_map(|address| filled_string(address.ip))
                .collect(),
            Some(_) | None => filled_string(one).into_iter().collect(),
        };
        self.addresses(field, texts.iter().map(String::as_str))
    }

    /// Reads a required port.
    pub(super) fn port(&self, field: &'static str, number: i64) -> Result<NonZeroU16, ObjectError> {
        u16::try_from(number)
            .ok()
            .and_then(NonZeroU16::new)
            .ok_or_else(|| self.wrong(field, number, "not a port number"))
    }

    /// Reads an optional port. The API's Go types write zero if there is none.
    pub(super) fn optional_port(
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

/// The text, unless it is empty. The API's Go types write an empty text if there is none.
pub(super) fn filled(text: Option<&str>) -> Option<&str> {
    text.filter(|text| !text.is_empty())
}

/// Like [`filled`], for owned text.
pub(super) fn filled_string(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}
