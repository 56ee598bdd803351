//! The scenarios: the user's requests, and the final state that must result despite any fault.

use futures::future::LocalBoxFuture;
use serde_json::{Value, json};
use tabular_operator::api::{CANCEL_REQUESTED_AT, RUN_REQUESTED_AT, RunState};

use crate::fixture::{Service, Stage};

/// The resource of the scenarios.
pub const ORDERS: &str = "orders";
const REPLICAS: &str = "modelsync/replicas";
/// The resource of the second tenant.
pub const OTHERS: &str = "others";
/// Longer than any scenario: such an operation only ends when it is cancelled.
const FOREVER: u64 = 3_600_000;

/// The tenants of a scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tenants {
    /// One tenant.
    One,
    /// Two tenants on one model, each with its own identity.
    Two,
}

/// A scenario on one service.
#[derive(Clone, Copy)]
pub struct Scenario {
    /// Its part of a cell's name.
    pub name: &'static str,
    /// The location of the model.
    pub service: Service,
    /// The tenants.
    pub tenants: Tenants,
    /// Settings of the model.
    pub settings: fn() -> Value,
    /// The events, up to the end.
    pub play: for<'a> fn(&'a Stage) -> LocalBoxFuture<'a, Outcome>,
}

/// The expected final state, besides the general invariants.
pub struct Outcome {
    /// The results of the operator's refreshes at the service, in the order of their submission.
    pub refreshes: &'static [&'static str],
    /// The results of its syncs.
    pub syncs: &'static [&'static str],
    /// The result of the latest run of each resource; `None` if the resource is deleted.
    pub ends: Vec<(&'static str, Option<RunState>)>,
}

/// All of them.
pub fn all() -> Vec<Scenario> {
    use Service::{Analysis, PowerBi, PowerBiNamed};
    let usual: fn() -> Value = || json!({});
    let endless: fn() -> Value = || json!({"durationMillis": FOREVER});
    let first_endless: fn() -> Value = || json!({"outcomes": [{"status": "succeeded", "durationMillis": FOREVER}]});
    let first_fails: fn() -> Value = || json!({"outcomes": ["failed"]});
    let lasting: fn() -> Value = || json!({"durationMillis": 3_000});
    let of = |name, service, settings, play| Scenario { name, service, tenants: Tenants::One, settings, play };
    let two = |name, service, play| Scenario { name, service, tenants: Tenants::Two, settings: usual, play };
    vec![
        of("plain-aas", Analysis, usual, |stage| Box::pin(plain(stage))),
        of("plain-pbi", PowerBi, usual, |stage| Box::pin(plain(stage))),
        of("named-pbi", PowerBiNamed, usual, |stage| Box::pin(plain(stage))),
        of("wait-aas", Analysis, usual, |stage| Box::pin(wait(stage))),
        of("wait-pbi", PowerBi, usual, |stage| Box::pin(wait(stage))),
        of("deadline-aas", Analysis, endless, |stage| Box::pin(deadline(stage))),
        of("deadline-pbi", PowerBi, endless, |stage| Box::pin(deadline(stage))),
        of("replace-aas", Analysis, first_endless, |stage| Box::pin(replace(stage))),
        of("replace-pbi", PowerBi, first_endless, |stage| Box::pin(replace(stage))),
        of("cancel-aas", Analysis, endless, |stage| Box::pin(cancel(stage))),
        of("cancel-pbi", PowerBi, endless, |stage| Box::pin(cancel(stage))),
        of("retry-aas", Analysis, first_fails, |stage| Box::pin(retry(stage))),
        of("retry-pbi", PowerBi, first_fails, |stage| Box::pin(retry(stage))),
        of("sync-aas", Analysis, usual, |stage| Box::pin(sync(stage))),
        of("sync-pbi", PowerBi, usual, |stage| Box::pin(sync(stage))),
        of("follow-aas", Analysis, usual, |stage| Box::pin(follow(stage))),
        of("follow-pbi", PowerBi, usual, |stage| Box::pin(follow(stage))),
        of("deletion-aas", Analysis, endless, |stage| Box::pin(deletion(stage))),
        of("deletion-pbi", PowerBi, endless, |stage| Box::pin(deletion(stage))),
        of("restart-aas", Analysis, lasting, |stage| Box::pin(restart(stage))),
        of("restart-pbi", PowerBi, lasting, |stage| Box::pin(restart(stage))),
        two("tenants-aas", Analysis, |stage| Box::pin(two_tenants(stage))),
        two("tenants-pbi", PowerBi, |stage| Box::pin(two_tenants(stage))),
    ]
}

fn refreshed(refreshes: &'static [&'static str], end: Option<RunState>) -> Outcome {
    Outcome { refreshes, syncs: &[], ends: vec![(ORDERS, end)] }
}

/// A refresh.
async fn plain(stage: &Stage) -> Outcome {
    stage.apply(ORDERS, &json!({})).await;
    stage.world.until_run(ORDERS, 1, RunState::Succeeded).await;
    refreshed(&["succeeded"], Some(RunState::Succeeded))
}

/// Another client's refresh runs first. It is of another type, so that it is not a candidate for the operator's submission.
async fn wait(stage: &Stage) -> Outcome {
    let theirs = stage.world.azure.start_refresh(&stage.model, json!({"type": "calculate", "durationMillis": FOREVER})).await;
    stage.apply(ORDERS, &json!({})).await;
    stage.world.until_run(ORDERS, 1, RunState::Waiting).await;
    stage.world.azure.end(&theirs, "succeeded").await;
    stage.world.until_run(ORDERS, 1, RunState::Succeeded).await;
    refreshed(&["succeeded"], Some(RunState::Succeeded))
}

/// The operation exceeds its deadline.
async fn deadline(stage: &Stage) -> Outcome {
    stage.apply(ORDERS, &json!({"activeDeadlineSeconds": 1})).await;
    stage.world.until_run(ORDERS, 1, RunState::TimedOut).await;
    refreshed(&["cancelled"], Some(RunState::TimedOut))
}

/// A new trigger replaces the run.
async fn replace(stage: &Stage) -> Outcome {
    stage.apply(ORDERS, &json!({"concurrencyPolicy": "Replace"})).await;
    stage.world.until_run(ORDERS, 1, RunState::Running).await;
    stage.world.annotate(ORDERS, RUN_REQUESTED_AT, Some("now")).await;
    stage.world.until_run(ORDERS, 2, RunState::Succeeded).await;
    refreshed(&["cancelled", "succeeded"], Some(RunState::Succeeded))
}

/// A user cancels the run, and the resource stays.
async fn cancel(stage: &Stage) -> Outcome {
    stage.apply(ORDERS, &json!({"backoffLimit": 1})).await;
    stage.world.until_run(ORDERS, 1, RunState::Running).await;
    stage.world.annotate(ORDERS, CANCEL_REQUESTED_AT, Some("now")).await;
    stage.world.until_run(ORDERS, 1, RunState::Cancelled).await;
    refreshed(&["cancelled"], Some(RunState::Cancelled))
}

/// The first attempt fails, and one retry is allowed.
async fn retry(stage: &Stage) -> Outcome {
    stage.apply(ORDERS, &json!({"backoffLimit": 1})).await;
    stage.world.until_run(ORDERS, 1, RunState::Succeeded).await;
    refreshed(&["failed", "succeeded"], Some(RunState::Succeeded))
}

/// A sync after another client's refresh: without a refresh, Power BI has nothing to sync.
async fn sync(stage: &Stage) -> Outcome {
    let theirs = stage.world.azure.start_refresh(&stage.model, json!({"durationMillis": FOREVER})).await;
    stage.world.azure.end(&theirs, "succeeded").await;
    stage.apply(REPLICAS, &json!({})).await;
    stage.world.until_run(REPLICAS, 1, RunState::Succeeded).await;
    Outcome { refreshes: &[], syncs: &["completed"], ends: vec![(REPLICAS, Some(RunState::Succeeded))] }
}

/// A sync after a refresh.
async fn follow(stage: &Stage) -> Outcome {
    let following = json!({"model": null, "credentials": null, "trigger": {"afterRefresh": {"name": ORDERS}}});
    stage.world.apply(REPLICAS, &following).await;
    stage.apply(ORDERS, &json!({})).await;
    stage.world.until_run(ORDERS, 1, RunState::Succeeded).await;
    stage.world.until_run(REPLICAS, 1, RunState::Succeeded).await;
    let ends = vec![(ORDERS, Some(RunState::Succeeded)), (REPLICAS, Some(RunState::Succeeded))];
    Outcome { refreshes: &["succeeded"], syncs: &["completed"], ends }
}

/// The resource is deleted during the run.
async fn deletion(stage: &Stage) -> Outcome {
    stage.apply(ORDERS, &json!({})).await;
    stage.world.until_run(ORDERS, 1, RunState::Running).await;
    stage.world.delete(ORDERS).await;
    stage.world.until_gone(ORDERS).await;
    refreshed(&["cancelled"], None)
}

/// The operator is replaced during the run, as by an upgrade.
async fn restart(stage: &Stage) -> Outcome {
    stage.apply(ORDERS, &json!({})).await;
    stage.world.until_run(ORDERS, 1, RunState::Running).await;
    {
        let mut operator = stage.operator.lock().await;
        operator.terminate().await;
        operator.restart();
    }
    stage.world.until_run(ORDERS, 1, RunState::Succeeded).await;
    refreshed(&["succeeded"], Some(RunState::Succeeded))
}

/// Two tenants refresh one model. Despite any fault of the first one's resource or Secret, the second one's refresh completes meanwhile.
async fn two_tenants(stage: &Stage) -> Outcome {
    let theirs = stage.second_tenant().await;
    stage.apply(ORDERS, &json!({})).await;
    stage.apply(OTHERS, &theirs).await;
    stage.world.until_run(OTHERS, 1, RunState::Succeeded).await;
    stage.withdraw_lasting().await;
    stage.world.until_run(ORDERS, 1, RunState::Succeeded).await;
    Outcome { refreshes: &["succeeded"], syncs: &[], ends: vec![(ORDERS, Some(RunState::Succeeded)), (OTHERS, Some(RunState::Succeeded))] }
}
