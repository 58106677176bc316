//! Enums whose variants are words that users type and scripts read.

/// A text that is not one of the expected words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown {what} {given:?}, expected one of: {}", valid.join(", "))]
pub struct UnknownWord {
    /// What the word names, such as `position`.
    pub what: &'static str,
    /// The text that was given.
    pub given: String,
    /// All valid words.
    pub valid: Vec<&'static str>,
}

/// Declares an enum of unit variants, each with one text that `Display`, `FromStr` and serde use.
///
/// `ALL` comes from the same list as the variants, so it is always complete.
#[macro_export]
macro_rules! words {
    (
        $(#[$meta:meta])*
        $vis:vis enum $name:ident ($what:literal) {
            $($(#[$variant_meta:meta])* $variant:ident = $text:literal),+ $(,)?
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        $vis enum $name {
            $($(#[$variant_meta])* $variant),+
        }

        impl $name {
            /// Every word, in the order of their declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word as users type and scripts read it.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::UnknownWord;

            fn from_str(given: &str) -> Result<Self, Self::Err> {
                Self::ALL.iter().copied().find(|word| word.as_str() == given).ok_or_else(|| $crate::UnknownWord {
                    what: $what,
                    given: given.to_owned(),
                    valid: Self::ALL.iter().map(|word| word.as_str()).collect(),
                })
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

#[cfg(test)]
mod tests {
    words! {
        /// Two words.
        enum Sample("sample") {
            /// The first.
            One = "one",
            /// The second.
            TwoWords = "two-words",
        }
    }

    #[test]
    fn words_round_trip() {
        for &word in Sample::ALL {
            assert_eq!(word.as_str().parse(), Ok(word));
            let json = serde_json::to_string(&word).unwrap();
            assert_eq!(serde_json::from_str::<Sample>(&json).unwrap(), word);
        }
    }

    #[test]
    fn unknown_words_list_valid_words() {
        let error = "three".parse::<Sample>().unwrap_err();
        assert_eq!(
            error.to_string(),
            r#"unknown sample "three", expected one of: one, two-words"#
        );
    }
}
