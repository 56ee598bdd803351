//! Every state of a resource in real runs, evaluated by the tools one after the other.

use e2e::world::{LASTING_MILLIS, first_lasts, merged, status};
use e2e::{Operator, TestSetup, World, rbac};
use futures::join;
use serde_json::{Value, json};
use tabular_operator::api::{ADOPT, CANCEL_REQUESTED_AT, RUN_REQUESTED_AT, RunState};

use crate::history::Histories;

/// During a run, and before the operator's first observation.
pub const IN_PROGRESS: &str = "InProgress Progressing";
pub const DONE: &str = "Current Healthy";
pub const FAILED: &str = "Failed Degraded";

/// A world with short refreshes.
pub async fn quick(name: &str) -> (World, Operator) {
    let model = json!({"notStartedMillis": 0, "durationMillis": 300});
    World::running(name, TestSetup::with_model(model)).await
}

/// Applies a refresh with its own model.
async fn refresh(world: &World, name: &str, model: Value, spec: Value) {
    let of_model = world.put_database(name, &merged(&json!({"notStartedMillis": 0, "durationMillis": 500}), &model)).await;
    world.apply(name, &merged(&of_model, &spec)).await;
}

#[tokio::test]
async fn states_of_ended_runs() {
    let (world, _operator) = quick("states-ends").await;
    let world = &world;
    let until = async |name: &str, state| world.until_state(name, state).await;
    let ends = async |name: &str, model, spec, state| {
        refresh(world, name, model, spec).await;
        until(name, state).await;
    };
    let waits = async {
        refresh(world, "first", first_lasts(), json!({})).await;
        until("first", RunState::Running).await;
        world.apply("second", &json!({"model": {"analysisServices": {"database": "first"}}})).await;
        world.until_reason("second", "Reconciling", "WaitingForTurn").await;
        world.end_running_on("first").await;
        until("second", RunState::Succeeded).await;
    };
    let busy = async {
        let of_model = world.put_database("busy", &json!({"durationMillis": 300})).await;
        world.start_for_other_client(&json!({"database": "busy", "durationMillis": LASTING_MILLIS})).await;
        world.apply("busy", &of_model).await;
        world.until_reason("busy", "Reconciling", "ModelBusy").await;
        world.end_running_on("busy").await;
        until("busy", RunState::Succeeded).await;
    };
    let requested = async {
        refresh(world, "cancelled-on-request", json!({"durationMillis": 600_000, "cancelMillis": 500}), json!({})).await;
        until("cancelled-on-request", RunState::Running).await;
        world.annotate("cancelled-on-request", CANCEL_REQUESTED_AT, Some("now")).await;
        until("cancelled-on-request", RunState::Cancelled).await;
    };
    let deleted = async {
        refresh(world, "deleted", json!({"durationMillis": 600_000, "cancelMillis": 500}), json!({})).await;
        until("deleted", RunState::Running).await;
        world.delete("deleted").await;
        world.until_gone("deleted").await;
    };
    join!(
        ends("plain", json!({}), json!({}), RunState::Succeeded),
        ends("failing", json!({"outcome": "failed"}), json!({}), RunState::Failed),
        ends("retrying", json!({"outcomes": ["failed"]}), json!({"backoffLimit": 1}), RunState::Succeeded),
        ends("overdue", json!({"durationMillis": 600_000}), json!({"activeDeadlineSeconds": 1}), RunState::TimedOut),
        ends("cancelled", json!({"outcome": "cancelled"}), json!({}), RunState::Cancelled),
        waits,
        busy,
        requested,
        deleted,
    );
    let histories = Histories::of(world).await;
    for name in ["plain", "retrying", "first", "second", "busy"] {
        histories.assert(name, &[IN_PROGRESS, DONE]);
    }
    for name in ["failing", "overdue", "cancelled", "cancelled-on-request"] {
        histories.assert(name, &[IN_PROGRESS, FAILED]);
    }
    histories.assert("deleted", &[IN_PROGRESS, "Terminating Progressing"]);
    let states: Vec<String> = histories.run_states().into_iter().collect();
    assert_eq!(states, ["Cancelled", "Cancelling", "Failed", "Running", "Submitting", "Succeeded", "TimedOut", "Waiting"]);
}

#[tokio::test]
async fn states_of_consecutive_runs() {
    let (world, _operator) = quick("states-again").await;
    let world = &world;
    let tokens = async {
        refresh(world, "token", json!({"outcomes": ["succeeded", "failed"]}), json!({"trigger": {"token": "one"}})).await;
        world.until_run("token", 1, RunState::Succeeded).await;
        world.edit("token", &json!({"spec": {"trigger": {"token": "two"}}})).await;
        world.until_run("token", 2, RunState::Failed).await;
        world.edit("token", &json!({"spec": {"trigger": {"token": "three"}}})).await;
        world.until_run("token", 3, RunState::Succeeded).await;
    };
    let queued = async {
        refresh(world, "queued", first_lasts(), json!({})).await;
        world.until_run("queued", 1, RunState::Running).await;
        world.edit("queued", &json!({"spec": {"trigger": {"token": "two"}}})).await;
        world.until("queued", "a queued trigger", |object| status(object).queued.is_some()).await;
        world.end_running_on("queued").await;
        world.until_run("queued", 2, RunState::Succeeded).await;
    };
    let replaced = async {
        refresh(world, "replaced", first_lasts(), json!({"concurrencyPolicy": "Replace"})).await;
        world.until_run("replaced", 1, RunState::Running).await;
        world.edit("replaced", &json!({"spec": {"trigger": {"token": "two"}}})).await;
        world.until_run("replaced", 2, RunState::Succeeded).await;
    };
    let requested = async |name: &str, value: &str| {
        refresh(world, name, json!({}), json!({})).await;
        world.until_run(name, 1, RunState::Succeeded).await;
        world.annotate(name, RUN_REQUESTED_AT, Some(value)).await;
        world.until_run(name, 2, RunState::Succeeded).await;
    };
    // The status has the digest of a value with a line break.
    join!(tokens, queued, replaced, requested("requested", "again"), requested("line-break", "again\n"));
    let histories = Histories::of(world).await;
    histories.assert("token", &[IN_PROGRESS, DONE, IN_PROGRESS, FAILED, IN_PROGRESS, DONE]);
    // After the end of the first run, the second is still requested.
    histories.assert("queued", &[IN_PROGRESS, DONE]);
    histories.assert("replaced", &[IN_PROGRESS, DONE]);
    for name in ["requested", "line-break"] {
        histories.assert(name, &[IN_PROGRESS, DONE, "Current Progressing", IN_PROGRESS, DONE]);
    }
    assert_eq!(world.operations_on("token").await.len(), 3);
}

#[tokio::test]
async fn states_without_runs() {
    let (world, _operator) = quick("states-still").await;
    let world = &world;
    let idle = async {
        refresh(world, "idle", json!({}), json!({"trigger": {"onChange": false}})).await;
        world.until_reason("idle", "Ready", "Idle").await;
    };
    let scheduled = async {
        let trigger = json!({"onChange": false, "schedule": "0 4 1 1 *", "timeZone": "Europe/Zurich"});
        refresh(world, "scheduled", json!({}), json!({"trigger": trigger})).await;
        world
            .until("scheduled", "its next scheduled time", |object| {
                object.status.as_ref().is_some_and(|status| status.next_schedule_time.is_some())
            })
            .await;
    };
    let suspended = async {
        refresh(world, "suspended", json!({}), json!({"suspend": true})).await;
        world.until_reason("suspended", "Ready", "Suspended").await;
        world.edit("suspended", &json!({"spec": {"suspend": false}})).await;
        world.until_state("suspended", RunState::Succeeded).await;
    };
    let no_secret = async {
        refresh(world, "no-secret", json!({}), json!({"credentials": {"servicePrincipalRef": {"name": "later"}}})).await;
        world.until_reason("no-secret", "Stalled", "SecretNotFound").await;
        let keys = json!({"tenantId": e2e::world::TENANT, "clientId": world.client_id, "clientSecret": "right"});
        rbac::make(&world.secrets(), json!({"metadata": {"name": "later"}, "stringData": keys})).await;
        world.until_state("no-secret", RunState::Succeeded).await;
    };
    join!(idle, scheduled, suspended, no_secret);
    let histories = Histories::of(world).await;
    histories.assert("idle", &[IN_PROGRESS, DONE]);
    histories.assert("scheduled", &[IN_PROGRESS, DONE]);
    histories.assert("suspended", &[IN_PROGRESS, "InProgress Suspended", IN_PROGRESS, DONE]);
    histories.assert("no-secret", &[IN_PROGRESS, FAILED, IN_PROGRESS, DONE]);
}

#[tokio::test]
async fn objects_of_the_same_commit_never_fail_it() {
    let model = json!({"notStartedMillis": 0, "durationMillis": 300});
    let arguments = vec!["--reference-grace=60s".to_owned()];
    let (world, _operator) = World::running("states-later", TestSetup { model: Some(model), arguments, ..TestSetup::default() }).await;
    let world = &world;
    let secret = async {
        refresh(world, "secret", json!({}), json!({"credentials": {"servicePrincipalRef": {"name": "later"}}})).await;
        world.until_reason("secret", "Reconciling", "SecretNotFound").await;
        let keys = json!({"tenantId": e2e::world::TENANT, "clientId": world.client_id, "clientSecret": "right"});
        rbac::make(&world.secrets(), json!({"metadata": {"name": "later"}, "stringData": keys})).await;
        world.until_state("secret", RunState::Succeeded).await;
    };
    let followed = async {
        let after = json!({"model": null, "credentials": null, "trigger": {"afterRefresh": {"name": "later"}}});
        world.apply("modelsync/followed", &after).await;
        world.until_reason("modelsync/followed", "Reconciling", "UpstreamNotFound").await;
        refresh(world, "later", json!({}), json!({})).await;
        world.until_state("modelsync/followed", RunState::Succeeded).await;
    };
    join!(secret, followed);
    let histories = Histories::of(world).await;
    histories.assert("secret", &[IN_PROGRESS, DONE]);
    let results = histories.results("modelsync/followed");
    assert!(!results.contains(&FAILED.to_owned()), "{results:?}");
}

#[tokio::test]
async fn states_of_unresolved_submission() {
    let (world, _operator) = quick("states-doubt").await;
    // The operator cannot list the operations until both exist.
    let no_list = world.fault("GET", "refreshes", &json!({"times": 0, "action": {"status": {"code": 503}}})).await;
    let lost = world.fault("POST", "refreshes", &json!({"action": {"hang": {"after": true}}})).await;
    world.apply("orders", &json!({})).await;
    lost.has_hit(1).await;
    let ours = e2e::eventually("the end of the first", async || {
        world.operations().await.first().filter(|operation| operation.ended()).map(|operation| operation.operation_id.clone())
    })
    .await;
    world.start_for_other_client(&json!({"type": "full"})).await;
    no_list.remove().await;
    world.until_reason("orders", "Stalled", "SubmissionUnknown").await;
    world.annotate("orders", ADOPT, Some(&ours)).await;
    world.until_state("orders", RunState::Succeeded).await;
    let results = Histories::of(&world).await.results("orders");
    // The adopted operation has already ended: it may or may not be observed in progress.
    assert_eq!((results[..2].to_vec(), results.last().map(String::as_str)), (vec![IN_PROGRESS.to_owned(), FAILED.to_owned()], Some(DONE)));
    assert!(results[2..results.len() - 1].iter().all(|word| word == IN_PROGRESS), "{results:?}");
}

/// A sync follows a refresh, `of_model`, and completes after it.
pub async fn follow(world: &World, of_model: &Value) {
    world.apply("followed", &merged(of_model, &json!({"trigger": {"onChange": false}}))).await;
    world.until_reason("followed", "Ready", "Idle").await;
    let after = json!({"model": null, "credentials": null, "trigger": {"afterRefresh": {"name": "followed"}}});
    world.apply("modelsync/dependent", &after).await;
    world.until_reason("modelsync/dependent", "Ready", "Idle").await;
    world.annotate("followed", RUN_REQUESTED_AT, Some("now")).await;
    world.until_state("modelsync/dependent", RunState::Succeeded).await;
}

#[tokio::test]
async fn states_of_syncs() {
    let (world, _operator) = quick("states-syncs").await;
    let world = &world;
    let of = async |name: &str, sync: Value| world.put_database(name, &json!({"durationMillis": 300, "sync": sync})).await;
    let plain = async {
        world.apply("modelsync/plain", &of("plain", json!({})).await).await;
        world.until_state("modelsync/plain", RunState::Succeeded).await;
    };
    let failing = async {
        world.apply("modelsync/failing", &of("failing", json!({"outcome": "failed"})).await).await;
        world.until_state("modelsync/failing", RunState::Failed).await;
    };
    let dependent = async {
        follow(world, &of("followed", json!({})).await).await;
    };
    let invalid = async {
        let after = json!({"model": null, "credentials": null, "trigger": {"afterRefresh": {"name": "missing"}}});
        world.apply("modelsync/invalid", &after).await;
        world
            .until("modelsync/invalid", "a stall", |object| {
                e2e::world::condition(object, tabular_operator::api::ConditionType::Stalled).is_some()
            })
            .await;
    };
    join!(plain, failing, dependent, invalid);
    let histories = Histories::of(world).await;
    histories.assert("modelsync/plain", &[IN_PROGRESS, DONE]);
    histories.assert("modelsync/failing", &[IN_PROGRESS, FAILED]);
    histories.assert("modelsync/dependent", &[IN_PROGRESS, DONE, IN_PROGRESS, DONE]);
    histories.assert("modelsync/invalid", &[IN_PROGRESS, FAILED]);
}
