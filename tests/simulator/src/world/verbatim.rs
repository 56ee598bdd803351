//! What a test serves verbatim: rows, details and bodies with placeholders for times, and edits of what the service shows.
//! Pure: the time is passed in.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::timestamp::TimestampStyle;

/// The row that stands for the rows of the model's own operations.
const OWN: &str = "{own}";

/// JSON of any shape. Its texts may contain placeholders:
///
/// - `{now}`, `{now-4s}`, `{now+90ms}`: the time at which it was set, and before or after it in `ms`, `s`, `m`, `h` or `d`;
/// - `{post-4s}`: the same for the first POST for the model since then;
/// - `{2026-07-30T12:00:00Z}`: that time, in the style of the model and by its clock;
/// - `{.name}`: in an edit, the field `name` as it was before.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Value", into = "Value")]
pub struct Template(Value);

/// A placeholder that cannot be read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{{{0}}}' is no time: write {{now}}, {{now-4s}} or {{post+90ms}}, with ms, s, m, h or d")]
pub struct NoTime(String);

/// A response in place of the service's details of an operation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Scripted {
    /// The status. Default 200.
    #[serde(default = "ok")]
    pub status: u16,
    /// The body: a text as it is, anything else as JSON. Default none.
    #[serde(default)]
    pub body: Option<Template>,
    /// Headers, in place of the service's own.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
}

fn ok() -> u16 {
    200
}

/// The rows that a list has by default.
#[must_use]
pub fn own_rows() -> Vec<Template> {
    vec![Template(OWN.into())]
}

/// How a model writes the time.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// The first POST, if one has come.
    pub post: Option<Timestamp>,
    /// The style.
    pub style: TimestampStyle,
    /// How far the clock is ahead.
    pub skew: SignedDuration,
}

impl Clock {
    /// The clock, where the first POST counts as coming at `now` unless it has come.
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
    fn read(inner: &'a str) -> Result<Option<Self>, NoTime> {
        for (word, moment) in [("now", Self::Now as fn(_) -> _), ("post", Self::Post)] {
            match inner.strip_prefix(word) {
                Some("") => return Ok(Some(moment(SignedDuration::ZERO))),
                Some(rest) if rest.starts_with(['+', '-']) => {
                    return offset(rest).map(|offset| Some(moment(offset))).ok_or_else(|| NoTime(inner.to_owned()));
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

/// `text` with its placeholders replaced by what `write` makes of each, and of how it is written.
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

/// `value` with every text in it replaced. None where one cannot be.
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
    type Error = NoTime;

    fn try_from(value: Value) -> Result<Self, NoTime> {
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
    /// Replaces `now` in it by this time, so that it does not move.
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

    /// With its times by `clock`. None where one of them is not known yet.
    #[must_use]
    pub fn filled(&self, clock: &Clock) -> Option<Value> {
        self.filled_from(&Map::new(), clock)
    }

    /// With its times, and with fields of `own`: a text that is no more than the name of one becomes its value, whatever that is.
    fn filled_from(&self, own: &Map<String, Value>, clock: &Clock) -> Option<Value> {
        let mut write = |placeholder: Placeholder<'_>, inner: &str| {
            let at = |time: Timestamp, offset| clock.written(time.saturating_add(offset).unwrap_or(time));
            Some(match placeholder {
                Placeholder::Post(offset) => at(clock.post?, offset),
                Placeholder::At(time) => clock.written(time),
                Placeholder::Field(name) => own.get(name).map_or_else(|| format!("{{{inner}}}"), text),
                // It is pinned when it is set.
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

    /// `own` as JSON, with this laid over it as a merge patch (RFC 7396): `null` removes a field.
    #[must_use]
    pub fn laid_over(&self, own: &impl Serialize, clock: &Clock) -> String {
        // Our own types always serialise; an empty text would show at once if one did not.
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

/// A text as it is, anything else as JSON.
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

/// The rows of a list, in their order, each as the text that it is sent as. A row whose time is not known yet is not among them.
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
