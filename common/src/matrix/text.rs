//! Reads text of a matrix file, which is printed as it is.

use crate::hidden::hidden;
use serde::{Deserialize, Deserializer, de};

/// Reads text, and rejects control characters and invisible characters.
pub fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.chars().any(hidden) {
        return Err(de::Error::custom(format!(
            "{text:?} contains a control character or an invisible character"
        )));
    }
    Ok(text)
}

/// Like [`text`], for optional text.
pub fn optional_text<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<String>, D::Error> {
    #[derive(Deserialize)]
    struct Text(#[serde(deserialize_with = "text")] String);

    Ok(Option::<Text>::deserialize(deserializer)?.map(|text| text.0))
}
