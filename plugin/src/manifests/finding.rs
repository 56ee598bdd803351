//! A fault of a manifest.

use std::fmt;

use super::schema::node;
use crate::output::shown;

/// A fault of a manifest, and the field that has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The path of the field, such as `spec.trigger.schedule`; empty for the whole manifest.
    pub field: String,
    /// What is wrong, and the remedy.
    pub message: String,
}

impl Finding {
    /// A fault of a field.
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into() }
    }

    /// A fault with a message of the definitions. Such a message often starts with the field, complete or relative to `field`.
    pub(super) fn of_message(schema: &serde_json::Value, field: &str, message: &str) -> Self {
        let field = field.trim_start_matches('.');
        let Some((head, rest)) = message.split_once(": ") else { return Self::new(field, message) };
        let last = field.rsplit('.').next().unwrap_or_default();
        if head == field || head == last {
            return Self::new(field, rest);
        }
        let relative = join(field, head);
        let found = [head, &relative].into_iter().find(|path| !path.contains(' ') && node(schema, path).is_some());
        found.map_or_else(|| Self::new(field, message), |path| Self::new(path, rest))
    }
}

/// In one plain line, because a manifest can contain any text.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let separator = if self.field.is_empty() { "" } else { ": " };
        f.write_str(&shown(&format!("{}{separator}{}", self.field, self.message)))
    }
}

/// The path of a field below another.
pub(super) fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}
