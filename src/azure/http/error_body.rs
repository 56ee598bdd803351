//! The parser of errors in all formats and locations: in the body or a header of a response, in `serviceExceptionJson`, in the messages of
//! a refresh, and in the details of a sync.
//!
//! Documented or observed: `{code, message, details}`; the same under `error`, as a text that is JSON, or inside a sentence; `{errorCode,
//! errorDescription}`; `error["pbi.error"].details[].detail.value`; `{Message}`; a list of errors; a bare code; plain text. [`node`] parses
//! the JSON. This file finds the code and the sentences in it, independent of the case of names. Texts are truncated after that, so a long
//! text loses its end but not its meaning.

mod names;
mod node;

use std::borrow::Cow;

pub(in crate::azure) use node::{Each, Node};

use names::{CODES, ERRORS, OF_A_CALL, SEVERITIES, TEXTS, TIMES, is_known, plain};

use super::{text, timestamp};
use crate::operation::ServiceMessage;

/// Maximum number of sentences of one error, and of errors of one text that a call shows.
const MOST_PARTS: usize = 16;

/// A parsed error.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::azure) struct ErrorBody {
    code: Option<String>,
    severity: Option<String>,
    parts: Vec<Part>,
    /// Texts under undocumented names, used if there are no others.
    rest: Vec<Part>,
    /// The id for a support case.
    activity_id: Option<String>,
    /// Further errors of the same text, each from its own line.
    also: Vec<ErrorBody>,
}

/// One sentence.
#[derive(Clone, Debug, PartialEq)]
struct Part {
    /// The code or name of the sentence; empty if it has none.
    label: String,
    text: String,
    /// Whether it is an id or a time of one call, which the next retry does not repeat.
    of_call: bool,
}

impl Part {
    fn shown(&self) -> Cow<'_, str> {
        if self.label.is_empty() { Cow::Borrowed(&self.text) } else { Cow::Owned(format!("{}: {}", self.label, self.text)) }
    }
}

impl ErrorBody {
    /// Parses the error in a text: JSON, lines with codes, a bare code or a sentence.
    pub(in crate::azure) fn of_text(text: &str) -> Self {
        Self::of(&Node::of_text(text))
    }

    /// Parses the error in a value. A list counts as one error.
    pub(in crate::azure) fn of(node: &Node) -> Self {
        let mut error = Self::default();
        match node {
            Node::Text(word) if is_code(word) => error.code = Some(word.clone()),
            Node::Object(fields) => {
                error.severity = SEVERITIES.iter().find_map(|name| word(find(fields, name)?)).filter(|word| is_word(word)).cloned();
                error.object(fields, "", false);
            }
            _ => error.take(node, "", false),
        }
        error
    }

    /// Parses all errors in a value: each item of a list, and each of several lines, is a separate error.
    pub(in crate::azure) fn all(node: &Node) -> Vec<Self> {
        let mut found: Vec<Self> = match node {
            Node::List(items) => items.iter().flat_map(Self::all).collect(),
            _ => vec![Self::of(node)],
        };
        let also: Vec<Self> = found.iter_mut().flat_map(|error| std::mem::take(&mut error.also)).collect();
        found.extend(also);
        found
    }

    /// The code, sanitized.
    pub(in crate::azure) fn code(&self) -> String {
        text::tidy(self.code.as_deref().unwrap_or_default(), 128)
    }

    /// The activity id, if the error contains it.
    pub(in crate::azure) fn activity_id(&self) -> Option<String> {
        self.activity_id.clone()
    }

    /// The error of a call in one line, without parts that are specific to the call, so that a retry reports the same.
    pub(in crate::azure) fn for_a_call(&self, limit: usize) -> String {
        let own = self.parts().iter().filter(|part| !part.of_call).map(|part| text::tidy(&part.shown(), limit));
        let also = self.also.iter().take(MOST_PARTS).map(|error| match (error.code(), error.for_a_call(limit)) {
            (code, said) if code.is_empty() || said.is_empty() => code + &said,
            (code, said) => format!("{code}: {said}"),
        });
        text::cut(&joined(own.chain(also)), limit)
    }

    /// The error of an operation, with its ids, which a support case needs.
    pub(in crate::azure) fn message(&self, default_severity: &str) -> Option<ServiceMessage> {
        let said = joined(self.parts().iter().map(|part| part.shown().into_owned()));
        let code = self.code.as_deref().map(|code| text::cut(code, 64));
        // An error without a sentence is shown by its code.
        let text = if said.is_empty() { code.clone()? } else { text::cut(&said, 1024) };
        let severity = self.severity.as_deref().map_or_else(|| default_severity.to_owned(), |word| text::cut(word, 64));
        Some(ServiceMessage { severity, code, text, times: 1 })
    }

    fn parts(&self) -> &[Part] {
        if self.parts.is_empty() { &self.rest } else { &self.parts }
    }

    fn push(parts: &mut Vec<Part>, label: &str, text: &str) {
        let known = parts.iter().any(|part| part.text == text && (label.is_empty() || part.label == label));
        if known || text.is_empty() || parts.len() >= MOST_PARTS {
            return;
        }
        let of_call = is_of_a_call(label) || uuid::Uuid::try_parse(text).is_ok() || (text.len() > 10 && timestamp::moment(text).is_some());
        parts.push(Part { label: label.to_owned(), text: text.to_owned(), of_call });
    }

    fn part(&mut self, label: &str, text: &str) {
        if label.is_empty() && self.code.as_deref() == Some(text) {
            return;
        }
        Self::push(&mut self.parts, label, text);
    }

    /// Adds the sentences of a value. A code inside `details` describes a detail, not the error.
    fn take(&mut self, node: &Node, label: &str, detail: bool) {
        match node {
            Node::Nothing | Node::Number(_) => {}
            Node::Text(text) => self.part(label, text),
            Node::List(items) => items.iter().for_each(|item| self.take(item, label, detail)),
            Node::Object(fields) => self.object(fields, label, detail),
            Node::Lines(lines) => {
                for line in lines {
                    match line {
                        Node::Object(fields) if self.code.is_none() && self.parts.is_empty() => self.object(fields, label, detail),
                        Node::Object(_) => self.also.push(Self::of(line)),
                        _ => self.take(line, label, detail),
                    }
                }
            }
            Node::Inside { before, error, after } => self.inside(before, &Self::of(error), after, label),
        }
    }

    /// Adds a sentence around an error.
    fn inside(&mut self, before: &str, error: &Self, after: &str, label: &str) {
        let code = if self.code.is_none() { None } else { error.code.as_ref() };
        let sentences = error.parts().iter().map(|part| part.shown().into_owned());
        let inner = joined(code.filter(|code| self.code.as_ref() != Some(*code)).cloned().into_iter().chain(sentences));
        self.code = self.code.take().or_else(|| error.code.clone());
        self.activity_id = self.activity_id.take().or_else(|| error.activity_id.clone());
        let words: Vec<&str> = [before, inner.as_str(), after].into_iter().filter(|words| !words.is_empty()).collect();
        self.part(label, &words.join(" "));
    }

    fn object<'n>(&mut self, fields: &'n [(String, Node)], outer: &'n str, detail: bool) {
        let sentence = TEXTS.iter().any(|name| find(fields, name).is_some());
        // `{"error": "invalid_request", "error_description": "…"}`
        let error_code = || find(fields, "error").and_then(word).filter(|word| sentence && is_code(word));
        let code = CODES.iter().find_map(|name| word(find(fields, name)?)).or_else(error_code);
        let own = code.filter(|code| detail || self.code.as_ref().is_some_and(|known| known != *code));
        if own.is_none() && self.code.is_none() {
            self.code = code.cloned();
        }
        let (label, first) = (own.map_or(outer, |code| label_of(code)), self.parts.len());
        for (_, node) in TEXTS.iter().flat_map(|name| every(fields, name)) {
            match node {
                Node::Number(number) => self.part(label, number),
                _ => self.take(node, label, detail),
            }
        }
        for (name, node) in ERRORS.iter().flat_map(|name| every(fields, name)) {
            match (plain(name).as_str(), node) {
                ("error", Node::Text(word)) if Some(word) == code => {}
                // The problems of each field of a request.
                ("errors", Node::Object(fields)) if !node.is_error() => fields.iter().for_each(|(name, node)| self.take(node, name, true)),
                ("detail" | "details" | "moredetails" | "messages" | "errors", _) => self.take(node, label, true),
                _ => self.take(node, label, detail),
            }
        }
        for (name, node) in fields.iter().filter(|(name, _)| !is_known(&plain(name))) {
            match node {
                Node::Nothing | Node::Number(_) => {}
                Node::Text(text) => self.unknown(name, text),
                Node::List(items) => items.iter().for_each(|item| match item {
                    Node::Text(text) => self.unknown(name, text),
                    _ => self.take(item, "", true),
                }),
                Node::Object(_) | Node::Lines(_) | Node::Inside { .. } => self.take(node, "", detail),
            }
        }
        if label.eq_ignore_ascii_case("rootactivityid") {
            let id = self.parts.iter().find(|part| part.label == label).and_then(|part| text::id(&part.text));
            self.activity_id = self.activity_id.take().or(id);
        }
        // The code of a nested error without a sentence.
        let own = own.filter(|_| !label.is_empty() && !self.parts.iter().any(|part| part.label == label || part.text == label));
        if let Some(text) = own.filter(|_| self.parts.len() < MOST_PARTS) {
            self.parts.insert(first, Part { label: String::new(), text: text.clone(), of_call: false });
        }
    }

    fn unknown(&mut self, name: &str, text: &str) {
        if plain(name) == "rootactivityid" {
            self.activity_id = self.activity_id.take().or_else(|| text::id(text));
        }
        Self::push(&mut self.rest, name, text);
    }
}

fn every<'n>(fields: &'n [(String, Node)], name: &str) -> impl Iterator<Item = &'n (String, Node)> {
    fields.iter().filter(move |(field, node)| *node != Node::Nothing && plain(field) == name)
}

fn find<'n>(fields: &'n [(String, Node)], name: &str) -> Option<&'n Node> {
    every(fields, name).next().map(|(_, node)| node)
}

fn word(node: &Node) -> Option<&String> {
    match node {
        Node::Text(word) | Node::Number(word) => Some(word),
        Node::Nothing | Node::List(_) | Node::Object(_) | Node::Lines(_) | Node::Inside { .. } => None,
    }
}

fn is_word(text: &str) -> bool {
    text.chars().all(char::is_alphabetic)
}

/// Whether a text is a code, not a sentence: `ModelRefreshFailed_CredentialsNotSpecified`, `0xC11C0020`.
fn is_code(text: &str) -> bool {
    let safe = text.len() <= 128 && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'));
    let humps = || text.as_bytes().windows(2).any(|two| matches!(two, [a, b] if a.is_ascii_lowercase() && b.is_ascii_uppercase()));
    safe && (text.contains('_')
        || text.starts_with("0x")
        || text.parse::<i64>().is_ok_and(|number| number.unsigned_abs() > 9_999)
        || humps())
}

/// The label of the sentence of a detail: its code, unless the code only announces a sentence (seen in Power BI).
fn label_of(code: &str) -> &str {
    let name = code.strip_prefix("DM_ErrorDetailNameCode_").unwrap_or(code);
    if matches!(name, "UnderlyingErrorMessage" | "Message" | "ErrorMessage") || name.ends_with("_Details_Label") { "" } else { name }
}

fn is_of_a_call(label: &str) -> bool {
    let name = plain(label);
    TIMES.contains(&name.as_str()) || OF_A_CALL.iter().any(|end| name.ends_with(end))
}

/// Joins sentences into one line.
fn joined(sentences: impl Iterator<Item = String>) -> String {
    sentences
        .filter(|sentence| !sentence.is_empty())
        .reduce(|line, next| {
            let colon = if line.ends_with(['.', ':', ';', '!', '?', '…']) { " " } else { ": " };
            format!("{line}{colon}{next}")
        })
        .unwrap_or_default()
}

#[cfg(test)]
mod tests;
