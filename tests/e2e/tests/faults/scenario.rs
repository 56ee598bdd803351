//! The scenarios: the user's requests, and the final state that must result despite any fault.

use e2e::world::{LASTING_MILLIS, first_lasts};
use futures::future::LocalBoxFuture;
use serde_json::{Value, json};
use tabular_operator::api::{CANCEL_REQUESTED_AT, RUN_REQUESTED_AT, RunState};

use crate::fixture::{Fixture, Service};

/// The resource of the scenarios.
pub const ORDERS: &str = "orders";
const REPLICAS: &str = "modelsync/replicas";
/// The resource of the second tenant.
pub const OTHERS: &str = "others";

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
    /// Its part of a case's name.
    pub name: &'static str,
    /// The location of the model.
    pub service: Service,
    /// The tenants.
    pub tenants: Tenants,
    /// Settings of the model.
    pub settings: fn() -> Value,
    /// The events, up to the end.
    pub run: for<'a> fn(&'a Fixture) -> LocalBoxFuture<'a, Outcome>,
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
    let endless: fn() -> Value = || json!({"durationMillis": LASTING_MILLIS});
    let first_fails: fn() -> Value = || json!({"outcomes": ["failed"]});
    let of = |name, service, settings, run| Scenario { name, service, tenants: Tenants::One, settings, run };
    let two = |name, service, run| Scenario { name, service, tenants: Tenants::Two, settings: usual, run };
    vec![
        of("plain-aas", Analysis, usual, |fixture| Box::pin(plain(fixture))),
        of("plain-pbi", PowerBi, usual, |fixture| Box::pin(plain(fixture))),
        of("named-pbi", PowerBiNamed, usual, |fixture| Box::pin(plain(fixture))),
        of("wait-aas", Analysis, usual, |fixture| Box::pin(wait(fixture))),
        of("wait-pbi", PowerBi, usual, |fixture| Box::pin(wait(fixture))),
        of("deadline-aas", Analysis, endless, |fixture| Box::pin(deadline(fixture))),
        of("deadline-pbi", PowerBi, endless, |fixture| Box::pin(deadline(fixture))),
        of("replace-aas", Analysis, first_lasts, |fixture| Box::pin(replace(fixture))),
        of("replace-pbi", PowerBi, first_lasts, |fixture| Box::pin(replace(fixture))),
        of("cancel-aas", Analysis, endless, |fixture| Box::pin(cancel(fixture))),
        of("cancel-pbi", PowerBi, endless, |fixture| Box::pin(cancel(fixture))),
        of("retry-aas", Analysis, first_fails, |fixture| Box::pin(retry(fixture))),
        of("retry-pbi", PowerBi, first_fails, |fixture| Box::pin(retry(fixture))),
        of("sync-aas", Analysis, usual, |fixture| Box::pin(sync(fixture))),
        of("sync-pbi", PowerBi, usual, |fixture| Box::pin(sync(fixture))),
        of("dependent-aas", Analysis, usual, |fixture| Box::pin(dependent(fixture))),
        of("dependent-pbi", PowerBi, usual, |fixture| Box::pin(dependent(fixture))),
        of("deletion-aas", Analysis, endless, |fixture| Box::pin(deletion(fixture))),
        of("deletion-pbi", PowerBi, endless, |fixture| Box::pin(deletion(fixture))),
        of("restart-aas", Analysis, endless, |fixture| Box::pin(restart(fixture))),
        of("restart-pbi", PowerBi, endless, |fixture| Box::pin(restart(fixture))),
        two("tenants-aas", Analysis, |fixture| Box::pin(two_tenants(fixture))),
        two("tenants-pbi", PowerBi, |fixture| Box::pin(two_tenants(fixture))),
    ]
}

fn refreshed(refreshes: &'static [&'static str], end: Option<RunState>) -> Outcome {
    Outcome { refreshes, syncs: &[], ends: vec![(ORDERS, end)] }
}

/// A refresh.
async fn plain(fixture: &Fixture) -> Outcome {
    fixture.apply(ORDERS, &json!({})).await;
    fixture.world.until_run(ORDERS, 1, RunState::Succeeded).await;
    refreshed(&["succeeded"], Some(RunState::Succeeded))
}

/// Another client's refresh runs first. It is of another type, so that it is not a candidate for the operator's submission.
async fn wait(fixture: &Fixture) -> Outcome {
    let theirs = fixture.world.azure.start_refresh(&fixture.model, json!({"type": "calculate", "durationMillis": LASTING_MILLIS})).await;
    fixture.apply(ORDERS, &json!({})).await;
    fixture.world.until_run(ORDERS, 1, RunState::Waiting).await;
    fixture.world.azure.end(&theirs, "succeeded").await;
    fixture.world.until_run(ORDERS, 1, RunState::Succeeded).await;
    refreshed(&["succeeded"], Some(RunState::Succeeded))
}

/// The operation exceeds its deadline.
async fn deadline(fixture: &Fixture) -> Outcome {
    fixture.apply(ORDERS, &json!({"activeDeadlineSeconds": 1})).await;
    fixture.world.until_run(ORDERS, 1, RunState::TimedOut).await;
    refreshed(&["cancelled"], Some(RunState::TimedOut))
}

/// A new trigger replaces the run.
async fn replace(fixture: &Fixture) -> Outcome {
    fixture.apply(ORDERS, &json!({"concurrencyPolicy": "Replace"})).await;
    fixture.world.until_run(ORDERS, 1, RunState::Running).await;
    fixture.world.annotate(ORDERS, RUN_REQUESTED_AT, Some("now")).await;
    fixture.world.until_run(ORDERS, 2, RunState::Succeeded).await;
    refreshed(&["cancelled", "succeeded"], Some(RunState::Succeeded))
}

/// A user cancels the run, and the resource stays.
async fn cancel(fixture: &Fixture) -> Outcome {
    fixture.apply(ORDERS, &json!({"backoffLimit": 1})).await;
    fixture.world.until_run(ORDERS, 1, RunState::Running).await;
    fixture.world.annotate(ORDERS, CANCEL_REQUESTED_AT, Some("now")).await;
    fixture.world.until_run(ORDERS, 1, RunState::Cancelled).await;
    refreshed(&["cancelled"], Some(RunState::Cancelled))
}

/// The first attempt fails, and one retry is allowed.
async fn retry(fixture: &Fixture) -> Outcome {
    fixture.apply(ORDERS, &json!({"backoffLimit": 1})).await;
    fixture.world.until_run(ORDERS, 1, RunState::Succeeded).await;
    refreshed(&["failed", "succeeded"], Some(RunState::Succeeded))
}

/// A sync after another client's refresh: without a refresh, Power BI has nothing to sync.
async fn sync(fixture: &Fixture) -> Outcome {
    let theirs = fixture.world.azure.start_refresh(&fixture.model, json!({"durationMillis": LASTING_MILLIS})).await;
    fixture.world.azure.end(&theirs, "succeeded").await;
    fixture.apply(REPLICAS, &json!({})).await;
    fixture.world.until_run(REPLICAS, 1, RunState::Succeeded).await;
    Outcome { refreshes: &[], syncs: &["completed"], ends: vec![(REPLICAS, Some(RunState::Succeeded))] }
}

/// A sync after a refresh.
async fn dependent(fixture: &Fixture) -> Outcome {
    let dependent = json!({"model": null, "credentials": null, "trigger": {"afterRefresh": {"name": ORDERS}}});
    fixture.world.apply(REPLICAS, &dependent).await;
    fixture.apply(ORDERS, &json!({})).await;
    fixture.world.until_run(ORDERS, 1, RunState::Succeeded).await;
    fixture.world.until_run(REPLICAS, 1, RunState::Succeeded).await;
    let ends = vec![(ORDERS, Some(RunState::Succeeded)), (REPLICAS, Some(RunState::Succeeded))];
    Outcome { refreshes: &["succeeded"], syncs: &["completed"], ends }
}

/// The resource is deleted during the run.
async fn deletion(fixture: &Fixture) -> Outcome {
    fixture.apply(ORDERS, &json!({})).await;
    fixture.world.until_run(ORDERS, 1, RunState::Running).await;
    fixture.world.delete(ORDERS).await;
    fixture.world.until_gone(ORDERS).await;
    refreshed(&["cancelled"], None)
}

/// The operator is replaced during the run, as by an upgrade.
async fn restart(fixture: &Fixture) -> Outcome {
    fixture.apply(ORDERS, &json!({})).await;
    fixture.world.until_run(ORDERS, 1, RunState::Running).await;
    {
        let mut operator = fixture.operator.lock().await;
        operator.terminate().await;
        operator.restart();
    }
    fixture.world.azure.end_running(&fixture.model).await;
    fixture.world.until_run(ORDERS, 1, RunState::Succeeded).await;
    refreshed(&["succeeded"], Some(RunState::Succeeded))
}

/// Two tenants refresh one model. Despite any fault of the first one's resource or Secret, the second one's refresh completes meanwhile.
async fn two_tenants(fixture: &Fixture) -> Outcome {
    let theirs = fixture.second_tenant().await;
    fixture.apply(ORDERS, &json!({})).await;
    fixture.apply(OTHERS, &theirs).await;
    fixture.world.until_run(OTHERS, 1, RunState::Succeeded).await;
    fixture.withdraw_lasting().await;
    fixture.world.until_run(ORDERS, 1, RunState::Succeeded).await;
    Outcome { refreshes: &["succeeded"], syncs: &[], ends: vec![(ORDERS, Some(RunState::Succeeded)), (OTHERS, Some(RunState::Succeeded))] }
}
