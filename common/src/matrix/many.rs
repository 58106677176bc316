//! One word or a list of words.

use serde::{
    Deserialize, Deserializer,
    de::{self, IntoDeserializer, SeqAccess, Visitor, value::SeqAccessDeserializer},
};
use std::{fmt, marker::PhantomData};

/// One word or a list of words. If it is empty, the document does not distinguish the values of the axis.
pub struct Many<T>(pub Vec<T>);

impl<T> Default for Many<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Copy> Many<T> {
    /// The values to combine. It is a single `None` if the document does not distinguish them.
    pub fn walk(&self) -> Vec<Option<T>> {
        if self.0.is_empty() {
            vec![None]
        } else {
            self.0.iter().copied().map(Some).collect()
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Many<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OneOrMore(PhantomData))
    }
}

struct OneOrMore<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for OneOrMore<T> {
    type Value = Many<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a word or a list of words")
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Many<T>, E> {
        T::deserialize(value.into_deserializer()).map(|one| Many(vec![one]))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Many<T>, E> {
        T::deserialize(value.into_deserializer()).map(|one| Many(vec![one]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Many<T>, A::Error> {
        let words = Vec::deserialize(SeqAccessDeserializer::new(seq))?;
        if words.is_empty() {
            return Err(de::Error::invalid_length(0, &self));
        }
        Ok(Many(words))
    }
}
