//! The schemas for kubeconform: those of the real API server, including definitions of other projects.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use e2e::{TestEnvironment, eventually};
use kube::Client;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::scratch;

/// The location pattern of the schemas for kubeconform.
pub async fn location() -> String {
    static MADE: OnceCell<PathBuf> = OnceCell::const_new();
    let directory = MADE.get_or_init(|| async { make(&TestEnvironment::get().client().await).await }).await;
    format!("{}/{{{{.Group}}}}_{{{{.ResourceAPIVersion}}}}_{{{{.ResourceKind}}}}.json", directory.display())
}

/// Installs definitions of other projects, and writes the schema of every kind that the API server publishes.
async fn make(client: &Client) -> PathBuf {
    let kinds = install_others().await;
    let directory = scratch("schemas");
    // The API server publishes a new definition shortly after it serves it.
    eventually("the schemas of all definitions", async || {
        let made = write_all(client, &directory).await;
        kinds.iter().all(|kind| made.contains(kind)).then_some(())
    })
    .await;
    directory
}

/// The kinds, in lower case.
async fn install_others() -> Vec<String> {
    let directory = e2e::tools::directory().join("crds");
    let control_plane = &TestEnvironment::get().control_plane;
    control_plane.kubectl(&["apply", "--server-side", "-f", directory.to_str().unwrap()]).await;
    let mut kinds = vec!["modelrefresh".to_owned(), "modelsync".to_owned()];
    for entry in fs::read_dir(directory).unwrap() {
        let definition = &crate::objects(&fs::read_to_string(entry.unwrap().path()).unwrap())[0];
        kinds.push(definition["spec"]["names"]["kind"].as_str().unwrap().to_lowercase());
    }
    kinds
}

/// Writes a file for each kind, and returns the kinds in lower case.
async fn write_all(client: &Client, directory: &Path) -> BTreeSet<String> {
    let index = get(client, "/openapi/v3").await;
    let groups: Vec<&String> = index["paths"].as_object().unwrap().keys().filter(|path| path.starts_with("api")).collect();
    let mut kinds = BTreeSet::new();
    for group in groups {
        let document = get(client, &format!("/openapi/v3/{group}")).await;
        let mut schemas = document["components"]["schemas"].clone();
        let own: Vec<(String, Value)> = schemas
            .as_object()
            .into_iter()
            .flatten()
            .filter_map(|(name, schema)| match schema["x-kubernetes-group-version-kind"].as_array()?.as_slice() {
                // A schema of several groups (DeleteOptions) is not an object.
                [kind] => Some((name.clone(), kind.clone())),
                _ => None,
            })
            .collect();
        close(&mut schemas);
        for (name, kind) in own {
            let word = |name: &str| kind[name].as_str().unwrap_or_default();
            // For kubeconform the group of `v1` is `v1`.
            let group = if word("group").is_empty() { word("version") } else { word("group") };
            let file = format!("{group}_{}_{}.json", word("version"), word("kind").to_lowercase());
            let schema = json!({"$ref": format!("#/components/schemas/{name}"), "components": {"schemas": schemas}});
            fs::write(directory.join(file), schema.to_string()).unwrap();
            kinds.insert(word("kind").to_lowercase());
        }
    }
    kinds
}

/// Refuses unknown fields, as the API server does in strict mode.
fn close(schema: &mut Value) {
    if let Some(map) = schema.as_object_mut() {
        let open = map.contains_key("additionalProperties") || map.get("x-kubernetes-preserve-unknown-fields") == Some(&json!(true));
        if map.get("properties").is_some_and(Value::is_object) && map.get("type") == Some(&json!("object")) && !open {
            map.insert("additionalProperties".to_owned(), json!(false));
        }
        map.values_mut().for_each(close);
    } else if let Some(items) = schema.as_array_mut() {
        items.iter_mut().for_each(close);
    }
}

async fn get(client: &Client, path: &str) -> Value {
    let request = hyper::Request::get(path).body(Vec::new()).unwrap();
    client.request(request).await.unwrap_or_else(|error| panic!("failed to get {path}: {error}"))
}
