//! The manifests of this repository that the demo applies: the definitions, `deploy/base/rbac.yaml` and `deploy/samples`.

use std::fs;

use e2e::paths;
use serde_json::Value;

/// The resources of the demo by their `kubectl` names; each is a sample.
pub const FULL: &str = "adventureworks";
pub const NEXT: &str = "adventureworks-calculate";
pub const BLOCKED: &str = "sales";
pub const FAILING: &str = "inventory";
pub const DELETED: &str = "forecast";
pub const REPLICAS: &str = "msync/adventureworks";
pub const SEMANTIC: &str = "sales-orders";
pub const SEMANTIC_REPLICAS: &str = "msync/sales-orders";
/// The sample with the sync that follows the first refresh.
pub const REPLICAS_FILE: &str = "deploy/samples/replicas.yaml";
/// The sample with a Power BI semantic model and its replicas.
pub const SEMANTIC_FILE: &str = "deploy/samples/power-bi-by-name.yaml";

/// Reads all documents of a file, relative to the repository's root.
pub fn read(file: &str) -> Vec<Value> {
    let text = fs::read_to_string(paths::workspace().join(file)).unwrap_or_else(|error| panic!("failed to read {file}: {error}"));
    // Empty documents are omitted.
    serde_saphyr::from_multiple(&text).unwrap_or_else(|error| panic!("failed to read {file}: {error}"))
}

/// Reads a sample that is one document.
pub fn sample(name: &str) -> Value {
    let file = format!("deploy/samples/{name}.yaml");
    let mut documents = read(&file);
    documents.pop().filter(|_| documents.is_empty()).unwrap_or_else(|| panic!("{file} is not one document"))
}

/// Text at a path such as `/metadata/name`.
pub fn text<'a>(document: &'a Value, path: &str) -> &'a str {
    document.pointer(path).and_then(Value::as_str).unwrap_or_default()
}
