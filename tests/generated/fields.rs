//! The reference of fields, from the definitions.

use std::fmt::Write as _;

use serde_json::Value;
use tabular_operator::api::crds;

use crate::{cell, page, settle};

#[test]
fn fields() {
    let about = "Every field of every kind, from the definitions. `kubectl explain mref.spec` shows the same, level by level. \
        The API server rejects a manifest that violates a rule.";
    let mut text = page("Fields", about);
    for definition in crds().unwrap() {
        let value = serde_json::to_value(&definition).unwrap();
        let names = &value["spec"]["names"];
        let short: Vec<&str> = names["shortNames"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
        let version = &value["spec"]["versions"][0];
        write!(
            text,
            "\n## {}\n\n`{}/{}`, short `{}`. {}\n",
            names["kind"].as_str().unwrap(),
            value["spec"]["group"].as_str().unwrap(),
            version["name"].as_str().unwrap(),
            short.join("`, `"),
            about_of(&version["schema"]["openAPIV3Schema"]),
        )
        .unwrap();
        for part in ["spec", "status"] {
            let schema = &version["schema"]["openAPIV3Schema"]["properties"][part];
            write!(text, "\n### {part}\n\n| Field | Type | Meaning |\n|---|---|---|\n").unwrap();
            rows(&mut text, "", schema);
            let mut rules = Vec::new();
            collect_rules(part, schema, &mut rules);
            if !rules.is_empty() {
                text.push_str("\nRules:\n\n");
                for (place, message) in rules {
                    writeln!(text, "- `{place}`: {}", cell(&message)).unwrap();
                }
            }
        }
    }
    settle("docs/reference/fields.md", &text);
}

fn about_of(schema: &Value) -> String {
    cell(schema["description"].as_str().unwrap_or_default())
}

fn rows(text: &mut String, prefix: &str, schema: &Value) {
    let Some(properties) = schema["properties"].as_object() else { return };
    let required: Vec<&str> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    for (name, field) in properties {
        let items = &field["items"];
        let (path, inner) = if items.is_object() { (format!("{prefix}{name}[]"), items) } else { (format!("{prefix}{name}"), field) };
        let mut kind = inner["format"].as_str().or(inner["type"].as_str()).unwrap_or("object").to_owned();
        if items.is_object() {
            kind = format!("list of {kind}");
        }
        if required.contains(&name.as_str()) {
            kind.push_str(", required");
        }
        let mut meaning = about_of(field);
        let allowed: Vec<String> =
            inner["enum"].as_array().into_iter().flatten().filter_map(Value::as_str).map(|word| format!("`{word}`")).collect();
        if !allowed.is_empty() {
            write!(meaning, " One of {}.", allowed.join(", ")).unwrap();
        }
        writeln!(text, "| `{path}` | {kind} | {} |", meaning.trim()).unwrap();
        rows(text, &format!("{path}."), inner);
    }
}

fn collect_rules(place: &str, schema: &Value, rules: &mut Vec<(String, String)>) {
    for rule in schema["x-kubernetes-validations"].as_array().into_iter().flatten() {
        rules.push((place.to_owned(), rule["message"].as_str().unwrap_or_default().to_owned()));
    }
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        collect_rules(&format!("{place}.{name}"), field, rules);
        collect_rules(&format!("{place}.{name}[]"), &field["items"], rules);
    }
}
