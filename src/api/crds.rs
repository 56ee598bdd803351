//! The custom resource definitions.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;

use super::{ModelRefresh, ModelSync};

/// The custom resource definitions, as `tabular-operator crds` prints them and `crds/` contains them.
///
/// # Errors
/// If a definition cannot be parsed after the cleanup, which would be a bug in this program.
pub fn crds() -> Result<Vec<CustomResourceDefinition>, serde_json::Error> {
    [ModelRefresh::crd(), ModelSync::crd()].into_iter().map(simplified).collect()
}

/// Removes `nullable` from every field, and joins the lines of each paragraph of the descriptions.
///
/// An optional field is omitted, never null: `has()` in a rule treats a null as a set field. `kubectl explain` wraps lines itself, so line
/// breaks in the source have no meaning.
fn simplified(definition: CustomResourceDefinition) -> Result<CustomResourceDefinition, serde_json::Error> {
    fn simplify(value: &mut serde_json::Value) {
        match value {
            serde_json::Value::Object(fields) => {
                if fields.get("nullable").is_some_and(serde_json::Value::is_boolean) {
                    fields.remove("nullable");
                }
                if let Some(serde_json::Value::String(description)) = fields.get_mut("description") {
                    let paragraphs = description.split("\n\n").map(|paragraph| paragraph.split_whitespace().collect::<Vec<_>>().join(" "));
                    *description = paragraphs.collect::<Vec<_>>().join("\n\n");
                }
                fields.values_mut().for_each(simplify);
            }
            serde_json::Value::Array(items) => items.iter_mut().for_each(simplify),
            serde_json::Value::Null | serde_json::Value::Bool(_) | serde_json::Value::Number(_) | serde_json::Value::String(_) => {}
        }
    }
    let mut value = serde_json::to_value(definition)?;
    simplify(&mut value);
    serde_json::from_value(value)
}
