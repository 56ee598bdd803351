//! The same for Power BI: for states with another cause than in Analysis Services, the tools see the same history.

use e2e::world::{LASTING_MILLIS, merged};
use e2e::{World, semantic_model};
use futures::join;
use serde_json::{Value, json};
use tabular_operator::api::{CANCEL_REQUESTED_AT, RunState};

use crate::history::Histories;
use crate::states::{DONE, FAILED, IN_PROGRESS, follow, quick};

/// Creates a semantic model for a resource. Also returns the parts of a spec that refer to it by ids and by names.
async fn model(world: &World, settings: Value) -> (e2e::Model, Value, Value) {
    semantic_model(world, &merged(&json!({"notStartedMillis": 0, "durationMillis": 500}), &settings)).await
}

#[tokio::test]
async fn states_of_semantic_model_refreshes() {
    let (world, _operator) = quick("states-pbi").await;
    let world = &world;
    let ends = async |name: &str, settings, spec, state| {
        let (_, by_ids, _) = model(world, settings).await;
        world.apply(name, &merged(&by_ids, &spec)).await;
        world.until_state(name, state).await;
    };
    let named = async {
        let (_, _, by_names) = model(world, json!({})).await;
        world.apply("named", &merged(&by_names, &json!({"model": {"powerBI": {"dataset": "Nowhere"}}}))).await;
        world.until_reason("named", "Stalled", "ModelNotResolved").await;
        world.apply("named", &by_names).await;
        world.until_state("named", RunState::Succeeded).await;
    };
    let busy = async {
        let (model, by_ids, _) = model(world, json!({})).await;
        world.azure.start_refresh(&model, json!({"durationMillis": LASTING_MILLIS})).await;
        world.apply("busy", &by_ids).await;
        world.until_reason("busy", "Reconciling", "ModelBusy").await;
        world.azure.end_running(&model).await;
        world.until_state("busy", RunState::Succeeded).await;
    };
    let cancelled = async {
        let (_, by_ids, _) = model(world, json!({"durationMillis": 600_000, "cancelMillis": 300})).await;
        world.apply("cancelled", &by_ids).await;
        world.until_state("cancelled", RunState::Running).await;
        world.annotate("cancelled", CANCEL_REQUESTED_AT, Some("now")).await;
        world.until_state("cancelled", RunState::Cancelled).await;
    };
    join!(
        ends("plain", json!({}), json!({}), RunState::Succeeded),
        ends("failing", json!({"outcome": "failed"}), json!({}), RunState::Failed),
        ends("retrying", json!({"outcomes": ["failed"]}), json!({"backoffLimit": 1}), RunState::Succeeded),
        ends("overdue", json!({"durationMillis": 600_000}), json!({"activeDeadlineSeconds": 1}), RunState::TimedOut),
        named,
        busy,
        cancelled,
    );
    let histories = Histories::of(world).await;
    for name in ["plain", "retrying", "busy"] {
        histories.assert(name, &[IN_PROGRESS, DONE]);
    }
    for name in ["failing", "overdue", "cancelled"] {
        histories.assert(name, &[IN_PROGRESS, FAILED]);
    }
    // An unknown name stalls it, like a missing Secret, until the spec is corrected.
    histories.assert("named", &[IN_PROGRESS, FAILED, IN_PROGRESS, DONE]);
}

#[tokio::test]
async fn states_of_semantic_model_syncs() {
    let (world, _operator) = quick("states-pbi-sync").await;
    let world = &world;
    let dependent = async {
        let (_, by_ids, _) = model(world, json!({})).await;
        follow(world, &by_ids).await;
    };
    let off = async {
        let (_, by_ids, _) = model(world, json!({"scaleOut": {"status": "ReadOnlyReplicasDisabled"}})).await;
        world.apply("modelsync/off", &by_ids).await;
        world.until_reason("modelsync/off", "Stalled", "ScaleOutDisabled").await;
    };
    // A waiting sync can be cancelled, with the same assessments as any cancelled run.
    let cancelled = async {
        let (model, by_ids, _) = model(world, json!({})).await;
        world.azure.start_refresh(&model, json!({"durationMillis": 600_000})).await;
        world.apply("modelsync/cancelled", &by_ids).await;
        world.until_reason("modelsync/cancelled", "Reconciling", "ModelBusy").await;
        world.annotate("modelsync/cancelled", CANCEL_REQUESTED_AT, Some("now")).await;
        world.until_state("modelsync/cancelled", RunState::Cancelled).await;
    };
    join!(dependent, off, cancelled);
    let histories = Histories::of(world).await;
    histories.assert("modelsync/dependent", &[IN_PROGRESS, DONE, IN_PROGRESS, DONE]);
    for name in ["modelsync/off", "modelsync/cancelled"] {
        histories.assert(name, &[IN_PROGRESS, FAILED]);
    }
}
