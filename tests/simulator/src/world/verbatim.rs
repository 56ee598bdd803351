//! Verbatim content of a test: rows, details and bodies with placeholders for times, and edits of the service's own content. Pure: the
//! time is a parameter.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::timestamp::TimestampStyle;

/// The row that stands for the rows of the model's own operations.
const OWN: &str = "{own}";

/// JSON of any shape. Its strings may contain placeholders:
///
/// - `{now}`, `{now-4s}`, `{now+90ms}`: the time at which it was set, or a time before or after it in `ms`, `s`, `m`, `h` or `d`;
/// - `{post-4s}`: the same relative to the first POST for the model since then;
/// - `{2026-07-30T12:00:00Z}`: that time, in the model's format and by its clock;
/// - `{.name}`: in an edit, the previous value of the field `name`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Value", into = "Value")]
pub struct Template(Value);

/// An invalid placeholder.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{{{0}}}' is not a time: write {{now}}, {{now-4s}} or {{post+90ms}}, with ms, s, m, h or d")]
pub struct InvalidTimePlaceholder(String);

/// A response in place of the service's details of an operation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Scripted {
    /// The status. Default 200.
    #[serde(default = "ok")]
    pub status: u16,
    /// The body: a string unchanged, any other value as JSON. Default none.
    #[serde(default)]
    pub body: Option<Template>,
    /// Headers, in place of the service's own.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
}

fn ok() -> u16 {
    200
}

/// The default rows of a list.
#[must_use]
pub fn own_rows() -> Vec<Template> {
    vec![Template(OWN.into())]
}

/// The timestamp format of a model.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// The first POST, if received.
    pub post: Option<Timestamp>,
    /// The format.
    pub style: TimestampStyle,
    /// How far the clock is ahead.
    pub skew: SignedDuration,
}

impl Clock {
    /// The clock, with `now` as the first POST unless one was received.
    #[must_use]
    pub fn posted_by(mut self, now: Timestamp) -> Self {
        self.post.get_or_insert(now);
        self
    }

    fn written(&self, time: Timestamp) -> String {
        self.style.format(time.saturating_add(self.skew).unwrap_or(time))
    }
}

enum Placeholder<'a> {
    Now(SignedDuration),
    Post(SignedDuration),
    At(Timestamp),
    Field(&'a str),
}

impl<'a> Placeholder<'a> {
    fn read(inner: &'a str) -> Result<Option<Self>, InvalidTimePlaceholder> {
        for (name, placeholder) in [("now", Self::Now as fn(_) -> _), ("post", Self::Post)] {
            match inner.strip_prefix(name) {
                Some("") => return Ok(Some(placeholder(SignedDuration::ZERO))),
                Some(rest) if rest.starts_with(['+', '-']) => {
                    return offset(rest).map(|offset| Some(placeholder(offset))).ok_or_else(|| InvalidTimePlaceholder(inner.to_owned()));
                }
                Some(_) | None => {}
            }
        }
        let field = inner.strip_prefix('.').map(Self::Field);
        Ok(field.or_else(|| inner.parse().ok().map(Self::At)))
    }
}

/// `-4s`, `+90ms`, `-5d`.
fn offset(text: &str) -> Option<SignedDuration> {
    let (sign, text) = text.split_at_checked(1)?;
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let unit: i64 = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    let millis = number.parse::<i64>().ok()?.checked_mul(unit)?;
    Some(SignedDuration::from_millis(if sign == "-" { -millis } else { millis }))
}

/// `text` with each placeholder replaced by the result of `write`, which receives the placeholder and its text.
fn replaced(text: &str, write: &mut impl FnMut(Placeholder<'_>, &str) -> Option<String>) -> Option<String> {
    let mut whole = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find('{') {
        whole.push_str(&rest[..start]);
        rest = &rest[start + 1..];
        let read = |(inner, after)| Placeholder::read(inner).ok().flatten().map(|placeholder| (placeholder, inner, after));
        if let Some((placeholder, inner, after)) = rest.split_once('}').and_then(read) {
            whole.push_str(&write(placeholder, inner)?);
            rest = after;
        } else {
            whole.push('{');
        }
    }
    whole.push_str(rest);
    Some(whole)
}

/// `value` with every string in it mapped. None if one mapping returns none.
fn map_texts(value: &Value, map: &mut impl FnMut(&str) -> Option<Value>) -> Option<Value> {
    Some(match value {
        Value::String(text) => map(text)?,
        Value::Array(items) => Value::Array(items.iter().map(|item| map_texts(item, map)).collect::<Option<_>>()?),
        Value::Object(fields) => {
            let field = |(name, value): (&String, &Value)| Some((name.clone(), map_texts(value, map)?));
            Value::Object(fields.iter().map(field).collect::<Option<_>>()?)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    })
}

impl TryFrom<Value> for Template {
    type Error = InvalidTimePlaceholder;

    fn try_from(value: Value) -> Result<Self, InvalidTimePlaceholder> {
        let mut wrong = None;
        map_texts(&value, &mut |text| {
            for from in text.split('{').skip(1) {
                let inner = from.split_once('}').map_or(from, |(inner, _)| inner);
                wrong = wrong.take().or_else(|| Placeholder::read(inner).err());
            }
            Some(Value::Null)
        });
        wrong.map_or(Ok(Self(value)), Err)
    }
}

impl From<Template> for Value {
    fn from(template: Template) -> Self {
        template.0
    }
}

impl Template {
    /// Replaces `now` in it by this time, so that it is fixed.
    pub fn pin(&mut self, now: Timestamp) {
        let mut write = |placeholder: Placeholder<'_>, inner: &str| {
            Some(match placeholder {
                Placeholder::Now(offset) => format!("{{{}}}", now.saturating_add(offset).unwrap_or(now)),
                Placeholder::Post(_) | Placeholder::At(_) | Placeholder::Field(_) => format!("{{{inner}}}"),
            })
        };
        let pinned = map_texts(&self.0, &mut |text| replaced(text, &mut write).map(Value::String));
        self.0 = pinned.unwrap_or_default();
    }

    /// Fills in its times by `clock`. None if one of them is not known yet.
    #[must_use]
    pub fn filled(&self, clock: &Clock) -> Option<Value> {
        self.filled_from(&Map::new(), clock)
    }

    /// Fills in its times and fields of `own`. A string that consists of one placeholder becomes the field's value, of any type.
    fn filled_from(&self, own: &Map<String, Value>, clock: &Clock) -> Option<Value> {
        let mut write = |placeholder: Placeholder<'_>, inner: &str| {
            let at = |time: Timestamp, offset| clock.written(time.saturating_add(offset).unwrap_or(time));
            Some(match placeholder {
                Placeholder::Post(offset) => at(clock.post?, offset),
                Placeholder::At(time) => clock.written(time),
                Placeholder::Field(name) => own.get(name).map_or_else(|| format!("{{{inner}}}"), text),
                // `now` is replaced when the value is set.
                Placeholder::Now(_) => format!("{{{inner}}}"),
            })
        };
        map_texts(&self.0, &mut |text| {
            let name = text.strip_prefix("{.").and_then(|text| text.strip_suffix('}'));
            match name.and_then(|name| own.get(name)) {
                Some(value) => Some(value.clone()),
                None => replaced(text, &mut write).map(Value::String),
            }
        })
    }

    /// `own` as JSON, with this value applied as a merge patch (RFC 7396): `null` removes a field.
    #[must_use]
    pub fn applied_to(&self, own: &impl Serialize, clock: &Clock) -> String {
        // Serializing our own types cannot fail; an empty text would be noticed immediately.
        if self.0.is_null() {
            return serde_json::to_string(own).unwrap_or_default();
        }
        let mut value = serde_json::to_value(own).unwrap_or_default();
        let fields = value.as_object().cloned().unwrap_or_default();
        if let Some(patch) = self.filled_from(&fields, clock) {
            merge(&mut value, patch);
        }
        value.to_string()
    }
}

/// A string unchanged, any other value as JSON.
#[must_use]
pub fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned)
}

fn merge(target: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    if let Some(fields) = target.as_object_mut() {
        for (name, value) in patch {
            if value.is_null() {
                fields.remove(&name);
            } else {
                merge(fields.entry(name).or_insert(Value::Null), value);
            }
        }
    }
}

/// The rows of a list, in order, each as the text to send. Rows whose time is not known yet are omitted.
#[must_use]
pub fn rows(templates: &[Template], own: Vec<String>, clock: &Clock) -> Vec<String> {
    let mut own = Some(own);
    let mut rows = Vec::new();
    for template in templates {
        if template.0 == OWN {
            rows.extend(own.take().unwrap_or_default());
        } else {
            rows.extend(template.filled(clock).as_ref().map(text));
        }
    }
    rows
}

#[cfg(test)]
#[path = "verbatim_tests.rs"]
mod tests;
