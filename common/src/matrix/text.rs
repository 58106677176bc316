//! Text of a matrix file, which is printed as it is.

use serde::{Deserialize, Deserializer, de};

/// Text without anything that a terminal would take for a command.
pub fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.chars().any(char::is_control) {
        return Err(de::Error::custom(format!(
            "{text:?} holds a control character"
        )));
    }
    Ok(text)
}

/// As [`text`], where there need not be any.
pub fn optional_text<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<String>, D::Error> {
    #[derive(Deserialize)]
    struct Text(#[serde(deserialize_with = "text")] String);

    Ok(Option::<Text>::deserialize(deserializer)?.map(|text| text.0))
}
