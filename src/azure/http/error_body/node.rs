//! JSON of any shape as a small tree. Each text is decoded before it is truncated, so that JSON inside a text of any length is parsed.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, de};

use super::names::{CODES, normalized};
use crate::azure::http::text;

/// Maximum length of a text in the tree, in characters.
const MAX_LENGTH: usize = 2048;
/// Maximum memory of one tree, in bytes.
const MAX_TREE_BYTES: usize = 512 * 1024;
/// The cost of an empty value.
const EMPTY_VALUE_BYTES: usize = 64;
/// Maximum nesting of values and encoded texts together.
const MAX_DEPTH: u8 = 32;
/// Maximum number of opening braces of a text that are tried as the start of an object.
const MAX_BRACES: usize = 4;

/// The tags that the engine of both services puts around personal data.
const TAGS: [&str; 6] = ["<oii>", "</oii>", "<pii>", "</pii>", "<ccon>", "</ccon>"];

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::azure) enum Node {
    /// `null`, a boolean, or a value that does not fit the budget.
    Null,
    /// A number, as text.
    Number(String),
    /// One line without tokens.
    Text(String),
    List(Vec<Node>),
    /// The fields in their order, with their original names.
    Object(Vec<(String, Node)>),
    /// A text whose lines have codes: the text before them, then `{code, message}` for each line.
    Lines(Vec<Node>),
    /// An error as JSON inside a text.
    Embedded {
        before: String,
        error: Box<Node>,
        after: String,
    },
}

impl Node {
    /// Whether an object is an error, by the names of its fields.
    pub(super) fn is_error(&self) -> bool {
        let named =
            |name: &str| CODES.contains(&name) || ["error", "pbierror", "odataerror", "message", "errordescription"].contains(&name);
        matches!(self, Self::Object(fields) if fields.iter().any(|(name, _)| named(&normalized(name))))
    }

    /// Parses a text: the JSON that it is or contains, or else its lines.
    pub(in crate::azure) fn of_text(text: &str) -> Self {
        Seed { budget: &Cell::new(MAX_TREE_BYTES), depth: 0 }.text(text)
    }

    /// Whether JSON in a text has more information than the text.
    fn has_structure(&self) -> bool {
        match self {
            Self::Null | Self::Number(_) => false,
            Self::Text(_) | Self::Object(_) | Self::Lines(_) | Self::Embedded { .. } => true,
            Self::List(items) => items.is_empty() || items.iter().any(Self::has_structure),
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Seed { budget: &Cell::new(MAX_TREE_BYTES), depth: 0 }.deserialize(deserializer)
    }
}

#[derive(Clone, Copy)]
struct Seed<'b> {
    budget: &'b Cell<usize>,
    depth: u8,
}

impl Seed<'_> {
    /// Takes this number of bytes from the budget; `false` if too few are left.
    fn spend(self, bytes: usize) -> bool {
        let left = self.budget.get().checked_sub(bytes + EMPTY_VALUE_BYTES);
        self.budget.set(left.unwrap_or_default());
        left.is_some()
    }

    fn inner(self) -> Option<Self> {
        (self.depth < MAX_DEPTH).then(|| Self { depth: self.depth + 1, ..self })
    }

    fn line(self, line: &str) -> Node {
        let plain = TAGS.iter().fold(line.to_owned(), |line, tag| if line.contains(tag) { line.replace(tag, "") } else { line });
        let line = text::one_line(&plain, MAX_LENGTH);
        if !line.is_empty() && self.spend(line.len()) { Node::Text(line) } else { Node::Null }
    }

    fn text(self, value: &str) -> Node {
        let value = value.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
        if value == "null" {
            return Node::Null;
        }
        let json = || self.json(value).filter(|node| value.starts_with('"') || node.has_structure());
        json().or_else(|| self.lines(value)).or_else(|| self.embedded(value)).unwrap_or_else(|| self.line(value))
    }

    /// Parses a text that is JSON.
    fn json(self, value: &str) -> Option<Node> {
        let inner = self.inner().filter(|_| value.starts_with(['{', '[', '"']))?;
        let read = |json: &str| {
            // Invalid JSON costs one scan, not one for each nested text.
            serde_json::from_str::<IgnoredAny>(json).ok()?;
            inner.deserialize(&mut serde_json::Deserializer::from_str(json)).ok()
        };
        // Half a surrogate pair makes JSON inside a text unreadable, too.
        let repaired = || String::from_utf8(text::repair_json(value.as_bytes().to_vec())).ok().and_then(|json| read(&json));
        read(value).or_else(|| if value.contains("\\u") { repaired() } else { None })
    }

    /// Parses a text with an error in each line, as in Power BI's `errorDescription`: `0xC11C0006: The current …`.
    fn lines(self, value: &str) -> Option<Node> {
        let inner = self.inner()?;
        let mut starts = Vec::new();
        let mut at = 0;
        for line in value.split_inclusive('\n') {
            if code(line).is_some() {
                starts.push(at);
            }
            at += line.len();
        }
        let head = value.get(..*starts.first()?)?;
        let mut nodes = vec![inner.text(head)];
        for (n, start) in starts.iter().enumerate() {
            let entry = value.get(*start..starts.get(n + 1).copied().unwrap_or(value.len()))?;
            let (code, message) = code(entry)?;
            if !self.spend(0) {
                break;
            }
            nodes.push(Node::Object(vec![("code".to_owned(), self.line(code)), ("message".to_owned(), inner.text(message))]));
        }
        Some(Node::Lines(nodes))
    }

    /// Parses a text that contains an error as JSON: `Data source error: {"error":{…}} Table: Sales.`
    fn embedded(self, value: &str) -> Option<Node> {
        let line = |part: &str| match self.line(part) {
            Node::Text(line) => line,
            _ => String::new(),
        };
        value.match_indices('{').take(MAX_BRACES).find_map(|(at, _)| {
            let (before, rest) = value.split_at_checked(at)?;
            let mut json = serde_json::Deserializer::from_str(rest).into_iter::<IgnoredAny>();
            json.next()?.ok()?;
            let (json, after) = rest.split_at_checked(json.byte_offset())?;
            let error = self.json(json).filter(Node::is_error)?;
            Some(Node::Embedded { before: line(before), error: Box::new(error), after: line(after) })
        })
    }
}

/// Splits a line into a code of eight hexadecimal digits with a colon, and its text.
fn code(line: &str) -> Option<(&str, &str)> {
    let (code, message) = line.split_once(':')?;
    let digits = code.trim().strip_prefix("0x").or_else(|| code.trim().strip_prefix("0X"))?;
    (digits.len() == 8 && digits.bytes().all(|digit| digit.is_ascii_hexdigit())).then_some((code, message))
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Node;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON")
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Node, E> {
        Ok(self.text(value))
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Node, E> {
        Ok(if self.spend(0) { Node::Number(value.to_string()) } else { Node::Null })
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Node, E> {
        Ok(if self.spend(0) { Node::Number(value.to_string()) } else { Node::Null })
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Node, E> {
        Ok(if self.spend(0) { Node::Number(text::truncate(&value.to_string(), 64)) } else { Node::Null })
    }

    fn visit_unit<E: de::Error>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Node, A::Error> {
        let mut items = Vec::new();
        if let Some(inner) = self.inner() {
            while self.spend(0)
                && let Some(item) = seq.next_element_seed(inner)?
            {
                items.push(item);
            }
        }
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Node::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut fields = Vec::new();
        if let Some(inner) = self.inner() {
            while self.spend(0)
                && let Some(name) = map.next_key_seed(Name)?
            {
                fields.push((name, map.next_value_seed(inner)?));
            }
        }
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Node::Object(fields))
    }
}

/// The name of a field, as one short line.
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Name {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<String, E> {
        Ok(text::one_line(name, 128))
    }
}

/// Parses a list of any length, one value at a time. A value that is not a list counts as a list of one.
pub(in crate::azure) struct Each<F>(pub(in crate::azure) F);

impl<'de, F: FnMut(Node)> DeserializeSeed<'de> for Each<F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, F: FnMut(Node)> Visitor<'de> for Each<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        while let Some(node) = seq.next_element()? {
            (self.0)(node);
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, map: A) -> Result<(), A::Error> {
        (self.0)(Seed { budget: &Cell::new(MAX_TREE_BYTES), depth: 0 }.visit_map(map)?);
        Ok(())
    }

    fn visit_str<E: de::Error>(mut self, value: &str) -> Result<(), E> {
        (self.0)(Node::of_text(value));
        Ok(())
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        Ok(())
    }
}
