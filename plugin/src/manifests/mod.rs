//! Manifests as text: reading, checking and writing them, without a cluster. Pure.

mod checker;
mod finding;
mod only_operator;
mod reader;
mod schema;
mod structure;
mod subject;
mod template;

pub use checker::Checker;
pub use finding::Finding;
pub use reader::{Document, SyntaxError, read};
pub use schema::{definition, json_schema};
pub use subject::{Subject, subject};
pub use template::{Access, Identity, OperatorAccount, Template, write};

#[cfg(test)]
mod tests;
