//! The JSON schemas of the kinds, for editors and for `validate`: the definitions in the cluster, but an unknown field is an error.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::{Map, Value, json};
use tabular_operator::api::{Kind, crds};

/// The version of JSON Schema.
const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";
/// The API version of the kinds.
pub(super) const API_VERSION: &str = "tabular-operator.dev/v1alpha1";
/// The names of resources, as the API server checks them.
const NAME: &str = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";
/// The names of namespaces.
const NAMESPACE: &str = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$";
/// The values of labels.
const LABEL: &str = "^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$";
/// The keys of labels and annotations: a name, with a domain in front of it or without.
const KEY: &str = "^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$";

/// The schema of a kind in its definition, with its defaults and rules.
///
/// # Errors
/// If this program has no definition of the kind, which would be a bug.
pub fn definition(kind: Kind) -> Result<Value, String> {
    let definitions = crds().map_err(|error| error.to_string())?;
    let found = definitions.into_iter().find(|definition| definition.spec.names.kind == kind.as_str());
    let version = found.and_then(|definition| definition.spec.versions.into_iter().next());
    let schema = version.and_then(|version| version.schema).and_then(|schema| schema.open_api_v3_schema);
    let schema = schema.ok_or_else(|| format!("no definition of {}", kind.as_str()))?;
    serde_json::to_value(schema).map_err(|error| error.to_string())
}

/// The JSON schema of a kind.
///
/// # Errors
/// If this program has no definition of the kind, which would be a bug.
pub fn json_schema(kind: Kind) -> Result<Value, String> {
    let mut schema = definition(kind)?;
    make_strict(&mut schema);
    let description = schema["properties"]["spec"]["description"].clone();
    let mut properties = json!({
        "apiVersion": {"description": "The version of the API.", "const": API_VERSION},
        "kind": {"description": "The kind.", "const": kind.as_str()},
        "metadata": metadata()?,
    });
    for part in ["spec", "status"] {
        properties[part] = schema["properties"][part].take();
    }
    Ok(json!({
        "$schema": DIALECT,
        "title": kind.as_str(),
        "description": description,
        "type": "object",
        "required": ["apiVersion", "kind", "metadata", "spec"],
        "properties": properties,
        "additionalProperties": false,
    }))
}

/// The metadata that Kubernetes defines, with the first sentence of each description.
fn metadata() -> Result<Value, String> {
    let mut settings = schemars::generate::SchemaSettings::draft2020_12();
    settings.inline_subschemas = true;
    let mut schema =
        serde_json::to_value(settings.into_generator().into_root_schema_for::<ObjectMeta>()).map_err(|error| error.to_string())?;
    for extra in ["$schema", "title"] {
        schema.as_object_mut().map(|fields| fields.remove(extra));
    }
    make_strict(&mut schema);
    shorten(&mut schema);
    let keys = json!({"pattern": KEY});
    let extend = |field: &mut Value, more: Value| {
        if let (Value::Object(field), Value::Object(more)) = (field, more) {
            field.extend(more);
        }
    };
    let properties = &mut schema["properties"];
    extend(&mut properties["name"], json!({"pattern": NAME, "minLength": 1, "maxLength": 253}));
    extend(&mut properties["namespace"], json!({"pattern": NAMESPACE, "maxLength": 63}));
    extend(&mut properties["annotations"], json!({"propertyNames": keys}));
    let values = json!({"type": "string", "pattern": LABEL, "maxLength": 63});
    extend(&mut properties["labels"], json!({"propertyNames": keys, "additionalProperties": values}));
    extend(&mut schema, json!({"anyOf": [{"required": ["name"]}, {"required": ["generateName"]}]}));
    Ok(schema)
}

/// Forbids unknown fields, and removes what only Kubernetes defines.
fn make_strict(schema: &mut Value) {
    let Value::Object(fields) = schema else { return };
    fields.retain(|key, _| !key.starts_with("x-kubernetes-"));
    for bound in ["minimum", "maximum"] {
        if let Some(whole) = fields.get(bound).and_then(whole) {
            fields.insert(bound.to_owned(), whole);
        }
    }
    for child in ["items", "additionalProperties"] {
        fields.get_mut(child).map(make_strict);
    }
    if let Some(Value::Object(properties)) = fields.get_mut("properties") {
        properties.values_mut().for_each(make_strict);
        fields.entry("additionalProperties").or_insert(Value::Bool(false));
    }
}

/// A whole number without a decimal point.
#[expect(clippy::cast_possible_truncation, reason = "the fraction is zero, and the bound far below the limit")]
pub(super) fn whole(number: &Value) -> Option<Value> {
    const LIMIT: f64 = 9e15;
    let float = number.as_f64().filter(|float| number.is_f64() && float.fract() == 0.0 && float.abs() < LIMIT)?;
    Some(Value::from(float as i64))
}

fn shorten(schema: &mut Value) {
    let Value::Object(fields) = schema else { return };
    if let Some(Value::String(description)) = fields.get_mut("description") {
        let end = description.find(". ").map_or(description.len(), |end| end + 1);
        description.truncate(description.find('\n').unwrap_or(end).min(end));
    }
    fields.values_mut().for_each(shorten);
}

/// The schema of the field with this path, such as `spec.refresh.objects[2].table`.
pub(super) fn node<'a>(schema: &'a Value, path: &str) -> Option<&'a Value> {
    path.split(['.', '['])
        .filter(|part| !part.is_empty())
        .try_fold(schema, |schema, part| if part.ends_with(']') { schema.get("items") } else { schema.get("properties")?.get(part) })
}

/// The fields of the schema of an object.
pub(super) fn fields(schema: &Value) -> Option<&Map<String, Value>> {
    schema.get("properties")?.as_object()
}
