//! Reads YAML and JSON as kubectl does: several documents, YAML 1.1, and lists of resources.

use serde_json::Value;

/// A resource of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// The number of the YAML document, from 1.
    pub number: usize,
    /// The number of the item, from 1, if the document is a list of resources.
    pub item: Option<usize>,
    /// The content.
    pub manifest: Value,
}

/// Why the rest of a file cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntaxError {
    /// The number of the YAML document, from 1.
    pub number: usize,
    /// The fault, and its place.
    pub message: String,
}

/// The resources of a file, up to a syntax error. Empty documents count, but are left out.
#[must_use]
pub fn read(text: &str) -> (Vec<Document>, Option<SyntaxError>) {
    // As kubectl: `yes` is true, and `010` is 8.
    let options = serde_saphyr::options! { strict_booleans: false, legacy_octal_numbers: true, with_snippet: false };
    let mut documents = Vec::new();
    let mut input = text.as_bytes();
    for (index, document) in serde_saphyr::read_with_options::<_, Value>(&mut input, options).enumerate() {
        let number = index + 1;
        match document {
            Ok(Value::Null) => {}
            Ok(manifest) => documents.extend(items(number, manifest)),
            Err(error) => {
                let message = format!("invalid YAML: {}", error.to_string().lines().next().unwrap_or_default());
                return (documents, Some(SyntaxError { number, message }));
            }
        }
    }
    (documents, None)
}

/// A document, or the items of a list of resources.
fn items(number: usize, mut manifest: Value) -> Vec<Document> {
    let is_list = manifest.get("kind").and_then(Value::as_str).is_some_and(|kind| kind.ends_with("List"));
    match manifest.get_mut("items").map(Value::take) {
        Some(Value::Array(items)) if is_list => {
            items.into_iter().enumerate().map(|(index, manifest)| Document { number, item: Some(index + 1), manifest }).collect()
        }
        Some(items) => {
            manifest["items"] = items;
            vec![Document { number, item: None, manifest }]
        }
        None => vec![Document { number, item: None, manifest }],
    }
}
