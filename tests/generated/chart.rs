//! The generated parts of the chart: copies of the rules and dashboards, and its schema and README from the comments in
//! `values.yaml`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::{cell, settle};

const CHART: &str = "charts/tabular-operator";
/// The chart's copies of the definitions, which the test of `crds/` writes.
pub const DEFINITIONS: &str = "charts/tabular-operator/files/crds";

/// Reads a file by its path from the root.
pub fn read(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("failed to read {file}: {error}"))
}

/// The names of the files in a directory with this suffix.
pub fn files(directory: &str, end: &str) -> Vec<String> {
    let entries = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(directory)).into_iter().flatten();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.retain(|name| name.ends_with(end));
    names.sort();
    names
}

#[test]
fn chart_copies() {
    let (from, to) = ("deploy/grafana", format!("{CHART}/files/dashboards"));
    let dashboards = files(from, ".json");
    for name in &dashboards {
        settle(&format!("{to}/{name}"), &read(&format!("{from}/{name}")));
    }
    assert_eq!(files(&to, ".json"), dashboards, "remove files from {to} that are not in {from}");
    settle(&format!("{CHART}/files/rules.yaml"), &read("deploy/prometheus/rules.yaml"));
}

#[test]
fn chart_versions_match_operator() {
    let chart: Value = serde_saphyr::from_str(&read(&format!("{CHART}/Chart.yaml"))).unwrap();
    assert_eq!(chart["appVersion"], env!("CARGO_PKG_VERSION"));
    let base: Value = serde_saphyr::from_str(&read("deploy/base/kustomization.yaml")).unwrap();
    assert_eq!(base["images"][0]["newTag"], env!("CARGO_PKG_VERSION"));
}

/// The comment above a key.
#[derive(Default)]
struct About {
    text: String,
    /// The constraints in `@schema`.
    schema: Map<String, Value>,
}

/// The values and their comments, in the order of the file.
struct Values {
    defaults: Map<String, Value>,
    /// By path, such as `image.tag`.
    about: BTreeMap<String, About>,
    /// The paths, in the order of the file.
    order: Vec<String>,
    /// The headings, each with its top-level keys.
    sections: Vec<(String, Vec<String>)>,
}

impl Values {
    fn read() -> Self {
        let text = read(&format!("{CHART}/values.yaml"));
        let defaults = serde_saphyr::from_str(&text).expect("values.yaml is YAML");
        let mut values = Self { defaults, about: BTreeMap::new(), order: Vec::new(), sections: Vec::new() };
        let mut above = About::default();
        let mut path: Vec<&str> = Vec::new();
        for line in text.lines() {
            let inner = line.trim_start();
            if let Some(heading) = line.strip_prefix("## ") {
                values.sections.push((heading.to_owned(), Vec::new()));
            } else if let Some(schema) = inner.strip_prefix("# @schema ") {
                above.schema = serde_saphyr::from_str(schema).unwrap_or_else(|error| panic!("failed to read '{line}': {error}"));
            } else if let Some(sentence) = inner.strip_prefix("# ") {
                let blank = if above.text.is_empty() { "" } else { " " };
                above.text.push_str(blank);
                above.text.push_str(sentence);
            } else if let Some((key, _)) = inner.split_once(':').filter(|(key, _)| key.chars().all(char::is_alphanumeric)) {
                path.truncate((line.len() - inner.len()) / 2);
                if path.is_empty() {
                    values.sections.last_mut().expect("the first key has a heading").1.push(key.to_owned());
                }
                path.push(key);
                values.order.push(path.join("."));
                values.about.insert(path.join("."), std::mem::take(&mut above));
            } else {
                // An empty line, or a part of a default.
                above = About::default();
            }
        }
        values
    }

    /// Whether the keys inside a key are described, instead of the key as one value.
    fn is_group(&self, path: &str, default: &Value) -> bool {
        let map = default.as_object().is_some_and(|map| !map.is_empty());
        map && !self.about[path].schema.contains_key("additionalProperties")
    }

    fn schema_of(&self, path: &str, default: &Value) -> Value {
        let about = &self.about[path];
        if self.is_group(path, default) {
            return self.schema_of_group(path, default.as_object().unwrap());
        }
        assert!(!about.text.is_empty(), "values.yaml: {path} has no comment");
        let kind = match default {
            Value::Bool(_) => json!("boolean"),
            Value::Number(number) if number.is_f64() => json!("number"),
            Value::Number(_) => json!("integer"),
            Value::String(_) => json!("string"),
            Value::Array(_) => json!("array"),
            Value::Object(_) => json!("object"),
            Value::Null => Value::Null,
        };
        let needed = match kind.as_str() {
            Some("array") => "items",
            Some("object") => "additionalProperties",
            Some(_) => "",
            None => "type",
        };
        assert!(needed.is_empty() || about.schema.contains_key(needed), "values.yaml: the @schema of {path} needs '{needed}'");
        let mut schema = json!({"type": kind, "description": about.text, "default": default});
        schema.as_object_mut().unwrap().extend(about.schema.clone());
        schema
    }

    fn schema_of_group(&self, path: &str, group: &Map<String, Value>) -> Value {
        let inner = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        let properties: Map<String, Value> =
            group.iter().map(|(name, default)| (name.clone(), self.schema_of(&inner(name), default))).collect();
        json!({"type": "object", "additionalProperties": false, "properties": properties})
    }

    fn schema(&self) -> Value {
        let mut schema = self.schema_of_group("", &self.defaults);
        schema["$schema"] = json!("http://json-schema.org/draft-07/schema#");
        schema["title"] = json!("Values of tabular-operator");
        // A chart that depends on this one passes these values.
        schema["properties"]["global"] =
            json!({"type": "object", "description": "Values that a parent chart shares with its dependencies. Not used by this chart."});
        schema["properties"]["enabled"] =
            json!({"type": "boolean", "description": "Condition of the dependency in a parent chart. Not used by this chart."});
        schema
    }

    fn tables(&self) -> String {
        let mut text = String::new();
        for (heading, keys) in &self.sections {
            write!(text, "### {heading}\n\n| Value | Default | Meaning |\n|---|---|---|\n").unwrap();
            for key in keys {
                self.rows(&mut text, key, &self.defaults[key.as_str()]);
            }
            text.push('\n');
        }
        text.trim_end().to_owned()
    }

    fn rows(&self, text: &mut String, path: &str, default: &Value) {
        if self.is_group(path, default) {
            for inner in self.order.iter().filter(|inner| inner.rsplit_once('.').is_some_and(|(group, _)| group == path)) {
                self.rows(text, inner, &default[&inner[path.len() + 1..]]);
            }
            return;
        }
        let about = &self.about[path];
        let words = about.schema.get("enum").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
        let words: Vec<String> = words.filter(|word| !word.is_empty()).map(|word| format!("`{word}`")).collect();
        let allowed = if words.is_empty() { String::new() } else { format!(" One of {}.", words.join(", ")) };
        let default = serde_json::to_string(default).unwrap();
        writeln!(text, "| `{path}` | `{}` | {}{allowed} |", cell(&default), cell(&about.text)).unwrap();
    }
}

#[test]
fn chart_schema() {
    let schema = serde_json::to_string_pretty(&Values::read().schema()).unwrap();
    settle(&format!("{CHART}/values.schema.json"), &format!("{schema}\n"));
}

#[test]
fn chart_readme() {
    let template = read(&format!("{CHART}/README.template.md"));
    let (head, tail) = template.split_once("<!-- values -->").expect("README.template.md marks the position of the values");
    let note = "<!-- Generated from README.template.md and the comments of values.yaml by `make chart`; change it there. -->";
    settle(&format!("{CHART}/README.md"), &format!("{note}\n\n{head}{}{tail}", Values::read().tables()));
}
