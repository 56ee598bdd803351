//! The structure of a manifest by its JSON schema: unknown fields, types, bounds.

use jsonschema::error::ValidationErrorKind as Fault;
use jsonschema::{ValidationError, Validator};
use serde_json::Value;

use super::finding::{Finding, join};
use super::schema::{fields, node, whole};

/// How similar a name must be to be suggested, from 0 to 1, as in clap.
const SIMILAR: f64 = 0.7;

/// Removes the nulls of known fields and writes whole numbers without a fraction, as the API server does before it validates.
pub(super) fn normalize(manifest: &mut Value, schema: &Value) {
    match manifest {
        Value::Object(object) => {
            let known = fields(schema);
            object.retain(|name, value| !(value.is_null() && known.is_some_and(|known| known.contains_key(name))));
            for (name, value) in object {
                if let Some(field) = known.and_then(|known| known.get(name)) {
                    normalize(value, field);
                }
            }
        }
        Value::Array(items) => {
            for item in items {
                normalize(item, schema.get("items").unwrap_or(&Value::Null));
            }
        }
        Value::Number(_) if schema.get("type").is_some_and(|kind| kind == "integer") => {
            if let Some(whole) = whole(manifest) {
                *manifest = whole;
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The faults of a manifest.
pub(super) fn structure(validator: &Validator, schema: &Value, manifest: &Value) -> Vec<Finding> {
    validator.iter_errors(manifest).flat_map(|error| findings(schema, &error)).collect()
}

fn findings(schema: &Value, error: &ValidationError<'_>) -> Vec<Finding> {
    let path = dotted(error.instance_path().as_str());
    // The API server drops the status of a new resource, but not before it looks for unknown fields.
    let in_status = path == "status" || path.starts_with("status.");
    let one = |message: String| vec![Finding::new(path.clone(), message)];
    match error.kind() {
        Fault::AdditionalProperties { unexpected } => {
            unexpected.iter().map(|name| Finding::new(join(&path, name), unknown(schema, &path, name))).collect()
        }
        _ if in_status => Vec::new(),
        Fault::Required { property } => vec![Finding::new(join(&path, property.as_str().unwrap_or_default()), "must be set")],
        Fault::AnyOf { .. } => one("must have a name or a generateName".to_owned()),
        Fault::Type { .. } => one(wrong_type(schema, &path, error.instance())),
        Fault::Enum { options } => one(not_listed(options, error.instance())),
        Fault::Constant { expected_value } => one(format!("must be {}", plain(expected_value))),
        Fault::Minimum { limit } => one(format!("must be at least {limit}")),
        Fault::Maximum { limit } => one(format!("must be at most {limit}")),
        Fault::MinLength { limit } => one(format!("must have at least {limit} characters, or be omitted")),
        Fault::MaxLength { limit } => one(format!("must have at most {limit} characters")),
        Fault::MaxItems { limit } => one(format!("must have at most {limit} items")),
        Fault::PropertyNames { .. } => {
            one("must have keys of letters, digits, '-', '_' and '.', with an optional domain and a slash".to_owned())
        }
        Fault::Pattern { pattern } => one(match path.as_str() {
            "metadata.name" | "metadata.namespace" => {
                "must have lower-case letters, digits and '-', with a letter or digit at both ends".to_owned()
            }
            _ => format!("must match {pattern}"),
        }),
        _ => one(error.to_string()),
    }
}

/// A JSON pointer as the API server writes the path of a field.
fn dotted(pointer: &str) -> String {
    pointer.split('/').skip(1).fold(String::new(), |path, part| {
        let part = part.replace("~1", "/").replace("~0", "~");
        let is_index = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if is_index { format!("{path}[{part}]") } else { join(&path, &part) }
    })
}

fn wrong_type(schema: &Value, path: &str, found: &Value) -> String {
    let wanted = node(schema, path).and_then(|field| field.get("type")).and_then(Value::as_str).unwrap_or("string");
    let name = |kind: &str| match kind {
        "integer" => "a whole number",
        "number" => "a number",
        "boolean" => "true or false",
        "array" => "a list",
        "object" => "an object",
        _ => "text",
    };
    let actual = match found {
        Value::Null => "empty",
        Value::Bool(_) => name("boolean"),
        Value::Number(_) => name("number"),
        Value::String(_) => name("string"),
        Value::Array(_) => name("array"),
        Value::Object(_) => name("object"),
    };
    let remedy = if wanted == "string" && !(found.is_array() || found.is_object()) { ": quote it" } else { "" };
    format!("must be {}, not {actual}{remedy}", name(wanted))
}

fn not_listed(options: &Value, found: &Value) -> String {
    let options: Vec<&str> = options.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let hint = found.as_str().and_then(|found| closest(found, options.iter().copied()));
    let hint = hint.map(|name| format!("; did you mean {name}?")).unwrap_or_default();
    format!("must be one of {}{hint}", options.join(", "))
}

/// What an unknown field may have been meant as: a field of this name elsewhere in the spec, or a similar one beside it.
fn unknown(schema: &Value, path: &str, name: &str) -> String {
    let elsewhere = node(schema, "spec").and_then(|spec| place_of(spec, "spec", name));
    let beside =
        || node(schema, path).and_then(fields).and_then(|known| closest(name, known.keys().map(String::as_str)).map(str::to_owned));
    let hint = elsewhere.filter(|_| !path.starts_with("status")).or_else(beside);
    hint.map_or_else(|| "unknown field".to_owned(), |hint| format!("unknown field; did you mean {hint}?"))
}

/// The path of the first field with this name below an object.
fn place_of(schema: &Value, path: &str, name: &str) -> Option<String> {
    let known = fields(schema)?;
    if known.contains_key(name) {
        return Some(join(path, name));
    }
    known.iter().find_map(|(field, schema)| place_of(schema, &join(path, field), name))
}

/// The most similar name, without regard to case, if one is similar.
pub(super) fn closest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let lower = name.to_lowercase();
    let rated = known.map(|known| (strsim::jaro(&lower, &known.to_lowercase()), known));
    rated.filter(|(rate, _)| *rate > SIMILAR).max_by(|(left, _), (right, _)| left.total_cmp(right)).map(|(_, known)| known)
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
