//! Lenient parsing of JSON responses: a field with a wrong type counts as absent, and every size is bounded.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, de};

use super::text::{redact_tokens, truncate};

/// Maximum length of any text, before it is truncated for its purpose.
const MAX_LENGTH: usize = 8192;

/// A text, or a number or boolean as text. Any other value is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::azure) struct Text(pub(in crate::azure) Option<String>);

impl Text {
    /// The text, unless it is empty, with at most `limit` characters. If a service repeats our token, it is redacted.
    pub(in crate::azure) fn at_most(self, limit: usize) -> Option<String> {
        self.0.map(|text| truncate(&redact_tokens(text.trim()), limit)).filter(|text| !text.is_empty())
    }
}

impl Text {
    /// A name, unchanged: whitespace is part of it. A token is redacted, and an empty text is `None`.
    pub(in crate::azure) fn name(self, limit: usize) -> Option<String> {
        self.0.map(|text| truncate(&redact_tokens(&text), limit)).filter(|text| !text.is_empty())
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextVisitor)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Text, E> {
        Ok(Text(Some(truncate(value, MAX_LENGTH))))
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Text, E> {
        Ok(Text(Some(value.to_string())))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Text, E> {
        Ok(Text(Some(value.to_string())))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Text, E> {
        Ok(Text(Some(value.to_string())))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Text, E> {
        Ok(Text(Some(value.to_string())))
    }

    fn visit_unit<E: de::Error>(self) -> Result<Text, E> {
        Ok(Text(None))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Text, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Text(None))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Text, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Text(None))
    }
}

/// A JSON object whose fields are parsed one by one, with their names in lower case.
pub(in crate::azure) trait Fields: Default {
    /// The expected content, for the error about any other value.
    const EXPECTED: &'static str;

    /// Consumes the value of a field. Every value must be consumed, with [`IgnoredAny`] if it is not needed.
    fn field<'de, A: MapAccess<'de>>(&mut self, name: &str, value: &mut A) -> Result<(), A::Error>;

    /// Whether a list of these accepts items that are not objects, and treats them as empty objects. It must be
    /// false if a missing item would be evidence.
    const MIXED: bool = false;
}

/// Parses a JSON object with [`Fields`].
pub(in crate::azure) struct Object<T>(pub(in crate::azure) T);

impl<'de, T: Fields> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor(PhantomData)).map(Object)
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Fields> Visitor<'de> for ObjectVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::EXPECTED)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<T, A::Error> {
        let mut object = T::default();
        while let Some(Text(name)) = map.next_key()? {
            object.field(&name.unwrap_or_default().to_ascii_lowercase(), &mut map)?;
        }
        Ok(object)
    }
}

/// An object. Any other value is `None`.
pub(in crate::azure) struct Item<T>(pub(in crate::azure) Option<T>);

impl<'de, T: Fields> Deserialize<'de> for Item<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut items = deserializer.deserialize_any(List { limit: 1, keep: Some, of: PhantomData::<(T, T)> })?;
        Ok(Self(items.pop()))
    }
}

/// Parses a list of objects, and keeps at most `limit` results of `keep`. A single object counts as a list of one. Any other value counts
/// as an empty list.
pub(in crate::azure) struct List<T, U, F: FnMut(T) -> Option<U>> {
    pub(in crate::azure) limit: usize,
    pub(in crate::azure) keep: F,
    pub(in crate::azure) of: PhantomData<(T, U)>,
}

impl<'de, T: Fields, U, F: FnMut(T) -> Option<U>> DeserializeSeed<'de> for List<T, U, F> {
    type Value = Vec<U>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Vec<U>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, T: Fields, U, F: FnMut(T) -> Option<U>> Visitor<'de> for List<T, U, F> {
    type Value = Vec<U>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<Vec<U>, A::Error> {
        let mut kept = Vec::new();
        while kept.len() < self.limit {
            let next = if T::MIXED {
                seq.next_element::<Item<T>>()?.map(|Item(item)| item.unwrap_or_default())
            } else {
                seq.next_element::<Object<T>>()?.map(|Object(item)| item)
            };
            let Some(item) = next else {
                return Ok(kept);
            };
            kept.extend((self.keep)(item));
        }
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(kept)
    }

    fn visit_map<A: MapAccess<'de>>(mut self, map: A) -> Result<Vec<U>, A::Error> {
        let item = ObjectVisitor(PhantomData).visit_map(map)?;
        Ok((self.keep)(item).into_iter().collect())
    }

    fn visit_unit<E: de::Error>(self) -> Result<Vec<U>, E> {
        Ok(Vec::new())
    }

    fn visit_str<E: de::Error>(self, _: &str) -> Result<Vec<U>, E> {
        Ok(Vec::new())
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<Vec<U>, E> {
        Ok(Vec::new())
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<Vec<U>, E> {
        Ok(Vec::new())
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<Vec<U>, E> {
        Ok(Vec::new())
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<Vec<U>, E> {
        Ok(Vec::new())
    }
}
