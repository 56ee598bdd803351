//! Semantic models of Power BI in the local Azure, one per test.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::read::merged;
use crate::{Model, World};

/// Creates a semantic model for a test. Also returns the parts of a spec that refer to it by ids and by names.
pub async fn semantic_model(world: &World, settings: &Value) -> (Model, Value, Value) {
    let (group, dataset) = (Uuid::new_v4().to_string(), Uuid::new_v4().to_string());
    let model = Model::power_bi(&group, &dataset);
    // Each has its own workspace: two workspaces of a test must not have the same name.
    let names = json!({"workspace": format!("Sales of {} {}", world.namespace, &group[..8]), "dataset": "Orders"});
    let usual = merged(&json!({"notStartedMillis": 100, "durationMillis": 900}), &names);
    world.azure.put(&model, merged(&usual, settings)).await;
    let spec = |named: Value| json!({"model": {"analysisServices": null, "powerBI": named}});
    (model, spec(json!({"groupId": group, "datasetId": dataset})), spec(names))
}
