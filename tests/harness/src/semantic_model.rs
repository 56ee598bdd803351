//! Semantic models of Power BI at the local Azure, for one test each.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::read::merged;
use crate::{Model, World};

/// A semantic model of a test's own, and what a manifest's spec has to say to mean it: by ids, and by names.
pub async fn semantic_model(world: &World, settings: &Value) -> (Model, Value, Value) {
    let (group, dataset) = (Uuid::new_v4().to_string(), Uuid::new_v4().to_string());
    let model = Model::power_bi(&group, &dataset);
    // A workspace for each: two of one test must not have one name.
    let names = json!({"workspace": format!("Sales of {} {}", world.namespace, &group[..8]), "dataset": "Orders"});
    let usual = merged(&json!({"notStartedMillis": 100, "durationMillis": 900}), &names);
    world.azure.put(&model, merged(&usual, settings)).await;
    let spec = |named: Value| json!({"model": {"analysisServices": null, "powerBI": named}});
    (model, spec(json!({"groupId": group, "datasetId": dataset})), spec(names))
}
