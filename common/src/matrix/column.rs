//! A column of the documents' tables.

use crate::{UnknownWord, network_model::NetworkModel, proxy_mode::ProxyMode};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::{borrow::Cow, fmt, str::FromStr};

/// Network model and proxy mode, written `tunnel/ipvs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Column {
    /// How pods are connected.
    pub network_model: NetworkModel,
    /// What forwards Service traffic.
    pub proxy_mode: ProxyMode,
}

/// A text that is not a column.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoColumn {
    /// It has no slash.
    #[error(
        "unknown column {0:?}, expected a network model and a proxy mode such as \"vpc/iptables\""
    )]
    Shape(String),
    /// One of its halves is unknown.
    #[error(transparent)]
    Word(#[from] UnknownWord),
}

impl Column {
    /// Every possible column.
    pub fn all() -> impl Iterator<Item = Self> {
        NetworkModel::ALL.iter().flat_map(|&network_model| {
            ProxyMode::ALL.iter().map(move |&proxy_mode| Self {
                network_model,
                proxy_mode,
            })
        })
    }
}

impl fmt::Display for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}/{}", self.network_model, self.proxy_mode))
    }
}

impl FromStr for Column {
    type Err = NoColumn;

    fn from_str(given: &str) -> Result<Self, NoColumn> {
        let (network_model, proxy_mode) = given
            .split_once('/')
            .ok_or_else(|| NoColumn::Shape(given.to_owned()))?;
        Ok(Self {
            network_model: network_model.parse()?,
            proxy_mode: proxy_mode.parse()?,
        })
    }
}

impl Serialize for Column {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Column {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <Cow<'de, str>>::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::Column;

    #[test]
    fn columns_round_trip() {
        for column in Column::all() {
            assert_eq!(column.to_string().parse(), Ok(column));
            let json = serde_json::to_string(&column).unwrap();
            assert_eq!(serde_json::from_str::<Column>(&json).unwrap(), column);
        }
    }

    #[test]
    fn rejects_other_text() {
        for (given, part) in [
            ("vpc", "such as"),
            ("vpc/nginx", "unknown proxy mode"),
            ("overlay/ipvs", "unknown network model"),
        ] {
            let error = given.parse::<Column>().unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
