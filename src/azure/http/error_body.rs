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

use names::{CALL_SPECIFIC, CODES, ERRORS, SEVERITIES, TEXTS, TIMES, is_known, normalized};

use super::{text, timestamp};
use crate::operation::ServiceMessage;

/// Maximum number of sentences of one error, and of errors of one text that a call shows.
const MAX_PARTS: usize = 16;

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
    is_call_specific: bool,
}

impl Part {
    fn display_text(&self) -> Cow<'_, str> {
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
                error.severity =
                    SEVERITIES.iter().find_map(|name| scalar(first_named(fields, name)?)).filter(|word| is_word(word)).cloned();
                error.add_object(fields, "", false);
            }
            _ => error.add(node, "", false),
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
        text::sanitize(self.code.as_deref().unwrap_or_default(), 128)
    }

    /// The activity id, if the error contains it.
    pub(in crate::azure) fn activity_id(&self) -> Option<String> {
        self.activity_id.clone()
    }

    /// The error of a call in one line, without parts that are specific to the call, so that a retry reports the same.
    pub(in crate::azure) fn call_message(&self, limit: usize) -> String {
        let own = self.parts().iter().filter(|part| !part.is_call_specific).map(|part| text::sanitize(&part.display_text(), limit));
        let also = self.also.iter().take(MAX_PARTS).map(|error| match (error.code(), error.call_message(limit)) {
            (code, sentences) if code.is_empty() || sentences.is_empty() => code + &sentences,
            (code, sentences) => format!("{code}: {sentences}"),
        });
        text::truncate(&joined(own.chain(also)), limit)
    }

    /// The error of an operation, with its ids, which a support case needs.
    pub(in crate::azure) fn service_message(&self, default_severity: &str) -> Option<ServiceMessage> {
        let sentences = joined(self.parts().iter().map(|part| part.display_text().into_owned()));
        let code = self.code.as_deref().map(|code| text::truncate(code, 64));
        // An error without a sentence is shown by its code.
        let text = if sentences.is_empty() { code.clone()? } else { text::truncate(&sentences, 1024) };
        let severity = self.severity.as_deref().map_or_else(|| default_severity.to_owned(), |word| text::truncate(word, 64));
        Some(ServiceMessage { severity, code, text, times: 1 })
    }

    fn parts(&self) -> &[Part] {
        if self.parts.is_empty() { &self.rest } else { &self.parts }
    }

    fn push(parts: &mut Vec<Part>, label: &str, text: &str) {
        let known = parts.iter().any(|part| part.text == text && (label.is_empty() || part.label == label));
        if known || text.is_empty() || parts.len() >= MAX_PARTS {
            return;
        }
        let is_call_specific =
            is_call_specific(label) || uuid::Uuid::try_parse(text).is_ok() || (text.len() > 10 && timestamp::parse(text).is_some());
        parts.push(Part { label: label.to_owned(), text: text.to_owned(), is_call_specific });
    }

    fn add_part(&mut self, label: &str, text: &str) {
        if label.is_empty() && self.code.as_deref() == Some(text) {
            return;
        }
        Self::push(&mut self.parts, label, text);
    }

    /// Adds the sentences of a value. A code inside `details` describes a detail, not the error.
    fn add(&mut self, node: &Node, label: &str, detail: bool) {
        match node {
            Node::Null | Node::Number(_) => {}
            Node::Text(text) => self.add_part(label, text),
            Node::List(items) => items.iter().for_each(|item| self.add(item, label, detail)),
            Node::Object(fields) => self.add_object(fields, label, detail),
            Node::Lines(lines) => {
                for line in lines {
                    match line {
                        Node::Object(fields) if self.code.is_none() && self.parts.is_empty() => self.add_object(fields, label, detail),
                        Node::Object(_) => self.also.push(Self::of(line)),
                        _ => self.add(line, label, detail),
                    }
                }
            }
            Node::Embedded { before, error, after } => self.add_embedded(before, &Self::of(error), after, label),
        }
    }

    /// Adds a sentence around an error.
    fn add_embedded(&mut self, before: &str, error: &Self, after: &str, label: &str) {
        let code = if self.code.is_none() { None } else { error.code.as_ref() };
        let sentences = error.parts().iter().map(|part| part.display_text().into_owned());
        let inner = joined(code.filter(|code| self.code.as_ref() != Some(*code)).cloned().into_iter().chain(sentences));
        self.code = self.code.take().or_else(|| error.code.clone());
        self.activity_id = self.activity_id.take().or_else(|| error.activity_id.clone());
        let words: Vec<&str> = [before, inner.as_str(), after].into_iter().filter(|words| !words.is_empty()).collect();
        self.add_part(label, &words.join(" "));
    }

    fn add_object<'n>(&mut self, fields: &'n [(String, Node)], outer: &'n str, detail: bool) {
        let sentence = TEXTS.iter().any(|name| first_named(fields, name).is_some());
        // `{"error": "invalid_request", "error_description": "…"}`
        let error_code = || first_named(fields, "error").and_then(scalar).filter(|word| sentence && is_code(word));
        let code = CODES.iter().find_map(|name| scalar(first_named(fields, name)?)).or_else(error_code);
        let own = code.filter(|code| detail || self.code.as_ref().is_some_and(|known| known != *code));
        if own.is_none() && self.code.is_none() {
            self.code = code.cloned();
        }
        let (label, first) = (own.map_or(outer, |code| label_of(code)), self.parts.len());
        for (_, node) in TEXTS.iter().flat_map(|name| fields_named(fields, name)) {
            match node {
                Node::Number(number) => self.add_part(label, number),
                _ => self.add(node, label, detail),
            }
        }
        for (name, node) in ERRORS.iter().flat_map(|name| fields_named(fields, name)) {
            match (normalized(name).as_str(), node) {
                ("error", Node::Text(word)) if Some(word) == code => {}
                // The problems of each field of a request.
                ("errors", Node::Object(fields)) if !node.is_error() => fields.iter().for_each(|(name, node)| self.add(node, name, true)),
                ("detail" | "details" | "moredetails" | "messages" | "errors", _) => self.add(node, label, true),
                _ => self.add(node, label, detail),
            }
        }
        for (name, node) in fields.iter().filter(|(name, _)| !is_known(&normalized(name))) {
            match node {
                Node::Null | Node::Number(_) => {}
                Node::Text(text) => self.add_unknown(name, text),
                Node::List(items) => items.iter().for_each(|item| match item {
                    Node::Text(text) => self.add_unknown(name, text),
                    _ => self.add(item, "", true),
                }),
                Node::Object(_) | Node::Lines(_) | Node::Embedded { .. } => self.add(node, "", detail),
            }
        }
        if label.eq_ignore_ascii_case("rootactivityid") {
            let id = self.parts.iter().find(|part| part.label == label).and_then(|part| text::call_id(&part.text));
            self.activity_id = self.activity_id.take().or(id);
        }
        // The code of a nested error without a sentence.
        let own = own.filter(|_| !label.is_empty() && !self.parts.iter().any(|part| part.label == label || part.text == label));
        if let Some(text) = own.filter(|_| self.parts.len() < MAX_PARTS) {
            self.parts.insert(first, Part { label: String::new(), text: text.clone(), is_call_specific: false });
        }
    }

    fn add_unknown(&mut self, name: &str, text: &str) {
        if normalized(name) == "rootactivityid" {
            self.activity_id = self.activity_id.take().or_else(|| text::call_id(text));
        }
        Self::push(&mut self.rest, name, text);
    }
}

fn fields_named<'n>(fields: &'n [(String, Node)], name: &str) -> impl Iterator<Item = &'n (String, Node)> {
    fields.iter().filter(move |(field, node)| *node != Node::Null && normalized(field) == name)
}

fn first_named<'n>(fields: &'n [(String, Node)], name: &str) -> Option<&'n Node> {
    fields_named(fields, name).next().map(|(_, node)| node)
}

fn scalar(node: &Node) -> Option<&String> {
    match node {
        Node::Text(word) | Node::Number(word) => Some(word),
        Node::Null | Node::List(_) | Node::Object(_) | Node::Lines(_) | Node::Embedded { .. } => None,
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

fn is_call_specific(label: &str) -> bool {
    let name = normalized(label);
    TIMES.contains(&name.as_str()) || CALL_SPECIFIC.iter().any(|end| name.ends_with(end))
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
