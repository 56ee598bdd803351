//! Inputs from public bug reports, served verbatim: lists here, other reports of a service in `reported`.

mod reported;

use std::panic::AssertUnwindSafe;

use e2e::world::{merged, run, run_state};
use e2e::{AnyObject, Model, Operator, TestSetup, World, eventually, semantic_model};
use futures::FutureExt as _;
use futures::future::join_all;
use serde_json::{Value, json};
use tabular_operator::api::{ADOPT, RESUBMIT, RunState};

/// The id of an operation that the operator did not start. Each case has its own: a resource does not adopt an operation that another
/// resource has claimed.
fn theirs() -> String {
    uuid::Uuid::new_v4().to_string()
}

/// A world whose operator waits for a lost submission for three seconds.
async fn quick(name: &str) -> (World, Operator) {
    let arguments = ["--call-timeout=2s", "--listing-lag=1s"].map(ToOwned::to_owned).to_vec();
    World::running(name, TestSetup { arguments, ..TestSetup::default() }).await
}

/// Runs the cases concurrently, all of them to their end.
fn each<F: Future<Output = ()>>(cases: impl IntoIterator<Item = F>) -> impl Future<Output = ()> {
    let all = join_all(cases.into_iter().map(|case| AssertUnwindSafe(case).catch_unwind()));
    async {
        let failed = all.await.into_iter().filter(Result::is_err).count();
        assert_eq!(failed, 0, "cases failed: see above");
    }
}

/// The response to a POST is lost: the submission arrives, or it does not.
fn lost(arrives: bool) -> Value {
    json!([{if arrives { "dropAfter" } else { "dropBefore" }: {"alone": true}}])
}

/// The response of Power BI to a POST while a refresh runs.
fn busy() -> Value {
    let message = "Invalid dataset refresh request. Another refresh request is already executing";
    json!({"times": 0, "action": {"status": {"code": 400, "body": {"error": {"code": "InvalidRequest", "message": message}}}}})
}

/// Whether the run has one of these reasons.
fn has_reason(object: &AnyObject, reasons: &[&str]) -> bool {
    object.status.as_ref().and_then(|status| status.run.as_ref()).is_some_and(|run| reasons.contains(&run.reason.as_str()))
}

/// The message of the run in each version of the resource.
fn messages(world: &World, name: &str) -> Vec<String> {
    let message = |version: &std::sync::Arc<e2e::Version>| Some(version.decode().ok()?.status?.run?.message);
    world.recorder.of(name).iter().filter_map(message).collect()
}

/// Whether the run waits for a user decision about its operation.
fn asks(object: &AnyObject) -> bool {
    has_reason(object, &["SubmissionUnknown"])
}

/// The way in which a run finds its operation.
enum Found {
    /// The operation is certain.
    Alone,
    /// A user decision may be required.
    OrAsked,
}

/// Checks that the run succeeds with the operator's only operation, after this many POSTs, and never polls another one.
async fn assert_one_of_ours(world: &World, model: &Model, name: &str, (posts, found): (u64, Found)) {
    let ended = |object: &AnyObject| run_state(object).is_some_and(RunState::ended);
    let seen = world.until(name, "an end or a request for a user decision", |object| ended(object) || asks(object)).await;
    if asks(&seen) {
        assert!(matches!(found, Found::OrAsked), "{name}: {}", run(&seen).message);
        let ours = world.azure.refreshes(model).await;
        let (annotation, value) = ours.first().map_or((RESUBMIT, "run-1-attempt-1"), |ours| (ADOPT, ours.operation_id.as_str()));
        world.annotate(name, annotation, Some(value)).await;
    }
    let done = world.until(name, "an end", ended).await;
    let ours: Vec<String> = world.azure.refreshes(model).await.into_iter().map(|operation| operation.operation_id).collect();
    for version in world.recorder.of(name) {
        let Some(run) = version.decode().unwrap().status.and_then(|status| status.run) else { continue };
        let follows = run.operation_id.as_ref().is_none_or(|id| ours.contains(id));
        assert!(follows, "{name} polls an operation that it did not start: {run:#?}");
    }
    assert_eq!((ours.len(), world.azure.count_of(model, "POST", "refreshes").await), (1, posts), "{name}");
    assert_eq!(run_state(&done), Some(RunState::Succeeded), "{name}: {:#?}", run(&done));
}

// ---- unknown values are not evidence ----

#[tokio::test]
async fn row_without_client_is_not_adopted_for_lost_post() {
    let (world, _operator) = quick("unknown-type").await;
    let world = &world;
    each(["WebModeling", "DirectLakeFraming", "SomethingNew"].map(async |by| {
        let id = theirs();
        let row = json!({"requestId": id, "refreshType": by, "startTime": "{post+1s}", "endTime": "{post+2s}", "status": "Completed"});
        let (model, spec, _) = semantic_model(world, &json!({"rows": ["{own}", row], "details": {id: {"status": 404}}})).await;
        world.azure.respond(&model, "POST", "refreshes", lost(false)).await;
        let name = by.to_lowercase();
        world.apply(&name, &spec).await;
        assert_one_of_ours(world, &model, &name, (2, Found::OrAsked)).await;
    }))
    .await;
    world.assert_kstatus();
}

#[tokio::test]
async fn row_without_client_is_not_second_candidate() {
    let (world, _operator) = quick("next-to-ours").await;
    let id = theirs();
    let times = json!({"startTime": "{post+1s}", "endTime": "{post+2s}"});
    let row = merged(&times, &json!({"requestId": id, "refreshType": "WebModeling", "status": "Completed"}));
    let (model, spec, _) = semantic_model(&world, &json!({"rows": [row, "{own}"], "details": {id: {"status": 404}}})).await;
    world.azure.respond(&model, "POST", "refreshes", lost(true)).await;
    world.apply("orders", &spec).await;
    assert_one_of_ours(&world, &model, "orders", (1, Found::Alone)).await;
}

#[tokio::test]
async fn own_refresh_listed_as_framing_is_not_repeated() {
    let (world, _operator) = quick("own-framing").await;
    let (model, spec, _) = semantic_model(&world, &json!({"powerBI": {"enhancedType": "DirectLakeFraming"}})).await;
    world.azure.respond(&model, "POST", "refreshes", lost(true)).await;
    world.apply("orders", &spec).await;
    assert_one_of_ours(&world, &model, "orders", (1, Found::OrAsked)).await;
    world.assert_kstatus();
}

#[tokio::test]
async fn replace_cancels_only_enhanced_refreshes() {
    let (world, _operator) = quick("replace-enhanced").await;
    let world = &world;
    each(["WebModeling", "DirectLakeFraming", "SomethingNew"].map(async |by| {
        let row = json!({"requestId": theirs(), "refreshType": by, "startTime": "{now-10s}", "status": "Unknown"});
        let (model, spec, _) = semantic_model(world, &json!({"rows": [row, "{own}"]})).await;
        let refused = world.azure.fault_at(&model, "POST", "refreshes", busy()).await;
        let name = by.to_lowercase();
        world.apply(&name, &merged(&spec, &json!({"conflictPolicy": "Replace"}))).await;
        world.until(&name, "ModelBusy", |object| has_reason(object, &["ModelBusy"])).await;
        // The list names the conflicting refresh; a DELETE would precede the next list request.
        let lists = world.azure.count_of(&model, "GET", "refreshes").await;
        eventually("further lists", async || (world.azure.count_of(&model, "GET", "refreshes").await > lists + 2).then_some(())).await;
        world.azure.patch(&model, json!({"rows": null})).await;
        refused.remove().await;
        world.until_state(&name, RunState::Succeeded).await;
        assert_eq!(world.azure.count_of(&model, "DELETE", "refresh").await, 0, "{by}");
    }))
    .await;
}

// ---- age limits what can still be running ----

#[tokio::test]
async fn stale_row_does_not_block_sync() {
    let (world, _operator) = quick("stale-row").await;
    let row = json!({"requestId": theirs(), "refreshType": "Scheduled", "startTime": "{now-5d}", "status": "Unknown"});
    let (model, spec, _) = semantic_model(&world, &json!({"rows": ["{own}", row]})).await;
    world.apply("modelsync/orders", &spec).await;
    world.until_state("modelsync/orders", RunState::Succeeded).await;
    assert_eq!(world.azure.syncs(&model).await.len(), 1);
    world.assert_kstatus();
}

#[tokio::test]
async fn row_outdated_by_later_success_does_not_block_sync() {
    let (world, _operator) = quick("outdated-row").await;
    let times = json!({"startTime": "{now-2h}", "endTime": "{now-1h}"});
    let later = merged(&times, &json!({"requestId": theirs(), "refreshType": "ViaApi", "status": "Completed"}));
    let row = json!({"requestId": theirs(), "refreshType": "Scheduled", "startTime": "{now-3h}", "status": "Unknown"});
    let (model, spec, _) = semantic_model(&world, &json!({"rows": ["{own}", later, row]})).await;
    world.apply("modelsync/orders", &spec).await;
    world.until_state("modelsync/orders", RunState::Succeeded).await;
    assert_eq!(world.azure.syncs(&model).await.len(), 1);
}

#[tokio::test]
async fn stale_row_of_analysis_services_does_not_block_sync() {
    let row = json!({"refreshId": theirs(), "startTime": "{now-60d}", "status": "inProgress"});
    let (world, _operator) = World::running("stale-row-aas", TestSetup::with_model(json!({"rows": ["{own}", row]}))).await;
    world.apply("modelsync/orders", &json!({})).await;
    world.until_state("modelsync/orders", RunState::Succeeded).await;
    assert_eq!(world.syncs().await.len(), 1);
}

#[tokio::test]
async fn stale_row_does_not_turn_refusal_into_busy() {
    let (world, _operator) = quick("stale-refusal").await;
    let row = json!({"requestId": theirs(), "refreshType": "Scheduled", "startTime": "{now-5d}", "status": "Unknown"});
    let (model, spec, _) = semantic_model(&world, &json!({"rows": ["{own}", row]})).await;
    let refusal = json!({"error": {"code": "InvalidRequest", "message": "Die Anforderung ist unzulässig."}});
    world.azure.fault_at(&model, "POST", "refreshes", json!({"times": 0, "action": {"status": {"code": 400, "body": refusal}}})).await;
    world.apply("orders", &merged(&spec, &json!({"waitDeadlineSeconds": 12}))).await;
    world.until("orders", "an end", |object| run_state(object).is_some_and(RunState::ended)).await;
    let shown = messages(&world, "orders");
    assert!(shown.iter().any(|message| message.contains("Die Anforderung ist unzulässig")), "{shown:#?}");
    let busy = world.recorder.of("orders").iter().any(|version| has_reason(&version.decode().unwrap(), &["ModelBusy"]));
    assert!(!busy, "{shown:#?}");
}

// ---- a row of another client is not a candidate ----

/// A refresh that a user started in the portal. It has no id.
fn nameless(start: &str) -> Value {
    json!({"refreshType": "OnDemand", "startTime": start, "status": "Unknown"})
}

#[tokio::test]
async fn sync_waits_for_refresh_without_id() {
    let (world, _operator) = quick("nameless").await;
    let (model, spec, _) = semantic_model(&world, &json!({"rows": [nameless("{now-10s}"), "{own}"]})).await;
    world.apply("modelsync/orders", &spec).await;
    let waits = world.until("modelsync/orders", "a wait", |object| has_reason(object, &["ModelBusy", "Retrying"])).await;
    assert_eq!(run(&waits).reason, "ModelBusy", "{}", run(&waits).message);
    world.azure.patch(&model, json!({"rows": null})).await;
    world.until_state("modelsync/orders", RunState::Succeeded).await;
    let shown = messages(&world, "modelsync/orders");
    assert!(!shown.iter().any(|message| message.contains("too long")), "{shown:#?}");
}

#[tokio::test]
async fn refresh_without_id_is_awaited_after_lost_post() {
    let (world, _operator) = quick("nameless-lost").await;
    let (model, spec, _) = semantic_model(&world, &json!({"rows": [nameless("{post+500ms}"), "{own}"]})).await;
    world.azure.respond(&model, "POST", "refreshes", lost(false)).await;
    world.apply("orders", &spec).await;
    let waits = world.until("orders", "a wait", |object| has_reason(object, &["ModelBusy", "SubmissionUnknown"])).await;
    assert_eq!(run(&waits).reason, "ModelBusy", "{}", run(&waits).message);
    world.azure.patch(&model, json!({"rows": null})).await;
    assert_one_of_ours(&world, &model, "orders", (2, Found::Alone)).await;
}

// ---- if the details of a row are refused, the row counts as listed ----

#[tokio::test]
async fn refused_details_of_other_row_do_not_hide_own_refresh() {
    let (world, _operator) = quick("refused-details").await;
    let world = &world;
    each([400, 403, 404, 410, 500, 503].map(async |code| {
        let id = theirs();
        let row = json!({"requestId": id, "refreshType": "ViaEnhancedApi", "startTime": "{now-1h}", "status": "Unknown"});
        let refusal = json!({"status": code, "body": {"error": {"code": "DetailsNotAvailable", "message": "Not for this refresh."}}});
        let (model, spec, _) = semantic_model(world, &json!({"rows": ["{own}", row], "details": {id: refusal}})).await;
        world.azure.respond(&model, "POST", "refreshes", lost(true)).await;
        let name = format!("code-{code}");
        world.apply(&name, &spec).await;
        assert_one_of_ours(world, &model, &name, (1, Found::Alone)).await;
    }))
    .await;
}

#[tokio::test]
async fn refused_details_of_own_refresh_do_not_hide_its_end() {
    let (world, _operator) = quick("own-details").await;
    let world = &world;
    each([400, 403, 500].map(async |code| {
        let refusal = json!({"status": code, "body": {"error": {"code": "DetailsNotAvailable", "message": "Not for this refresh."}}});
        let (model, spec, _) = semantic_model(world, &json!({"details": {"*": refusal}})).await;
        let name = format!("own-{code}");
        world.apply(&name, &spec).await;
        assert_one_of_ours(world, &model, &name, (1, Found::Alone)).await;
    }))
    .await;
}

// ---- an unreadable row is at most a possible candidate ----

#[tokio::test]
async fn unreadable_row_does_not_hide_rest_of_list() {
    let (world, _operator) = quick("unreadable").await;
    let world = &world;
    let long = "x".repeat(300_000);
    each([json!(null), json!(17), json!({"requestId": theirs(), "serviceExceptionJson": long})].map(async |row| {
        let (model, spec, _) = semantic_model(world, &json!({"rows": [row, "{own}"]})).await;
        world.azure.respond(&model, "POST", "refreshes", lost(true)).await;
        let name = format!("row-{}", row.to_string().len());
        world.apply(&name, &spec).await;
        assert_one_of_ours(world, &model, &name, (1, Found::OrAsked)).await;
    }))
    .await;
}

#[tokio::test]
async fn placeholder_start_time_does_not_exclude_own_refresh() {
    let (world, _operator) = quick("placeholder").await;
    let world = &world;
    each(["1970-01-01T00:00:00Z", "1900-01-01T00:00:00", "2026-01-01"].map(async |start| {
        let shown = json!({"startTime": start});
        let (model, spec, _) = semantic_model(world, &json!({"rowPatch": shown, "detailPatch": shown})).await;
        world.azure.respond(&model, "POST", "refreshes", lost(true)).await;
        let name = format!("start-{}", start.len());
        world.apply(&name, &spec).await;
        assert_one_of_ours(world, &model, &name, (1, Found::OrAsked)).await;
    }))
    .await;
}

// ---- names are compared as the services do ----

#[tokio::test]
async fn table_names_are_compared_like_the_service() {
    let (world, _operator) = quick("names").await;
    let world = &world;
    // The requested name, the name in the details, and whether the service considers the two equal.
    let cases = [
        ("ascii", "Sales", "SALES", true),
        ("trailing-blank", "Dummy Sales ", "Dummy Sales ", true),
        ("leading-blank", " Dummy Sales", " Dummy Sales", true),
        ("blank-dropped", "Dummy Sales ", "Dummy Sales", false),
        ("case", "Umsätze", "UMSÄTZE", true),
        ("sharp-s", "Straße", "STRASSE", false),
        ("decomposed", "Caf\u{e9}", "Cafe\u{301}", false),
    ];
    each(cases.map(async |(name, asked, shown, one_name)| {
        let objects = json!([{"table": shown, "partition": shown, "status": "Completed"}]);
        let settings = json!({"tables": [{"name": asked}], "detailPatch": {"objects": objects}});
        let (model, spec, _) = semantic_model(world, &settings).await;
        world.azure.respond(&model, "POST", "refreshes", lost(true)).await;
        world.apply(name, &merged(&spec, &json!({"refresh": {"objects": [{"table": asked}]}}))).await;
        assert_one_of_ours(world, &model, name, (1, if one_name { Found::Alone } else { Found::OrAsked })).await;
    }))
    .await;
}

// ---- the measured clock skew decides which operations started earlier ----

#[tokio::test]
async fn refresh_started_before_intent_is_not_adopted() {
    let id = theirs();
    let started = json!({"startTime": "{post-4s}", "status": "inProgress"});
    let row = merged(&started, &json!({"refreshId": id}));
    let details = merged(&started, &json!({"type": "full", "currentRefreshType": "full", "objects": []}));
    let settings = json!({"rows": ["{own}", row], "details": {id: {"body": details}}});
    let arguments = ["--call-timeout=2s", "--listing-lag=1s"].map(ToOwned::to_owned).to_vec();
    let (world, _operator) = World::running("skew", TestSetup { model: Some(settings), arguments, ..TestSetup::default() }).await;
    world.azure.respond(&world.model(), "POST", "refreshes", lost(false)).await;
    world.apply("orders", &json!({})).await;
    let decided = |object: &AnyObject| has_reason(object, &["ModelBusy", "SubmissionUnknown", "Running"]);
    let seen = world.until("orders", "a decision", decided).await;
    assert_eq!(run(&seen).reason, "ModelBusy", "{:#?}", run(&seen));
    world.azure.patch(&world.model(), json!({"rows": null, "details": null})).await;
    assert_one_of_ours(&world, &world.model(), "orders", (2, Found::Alone)).await;
    world.assert_kstatus();
}

#[tokio::test]
async fn scale_out_status_without_start_repeats_no_sync() {
    let (world, _operator) = quick("scale-out-start").await;
    let (model, spec, _) = semantic_model(&world, &json!({})).await;
    let versions = json!({"commitVersion": 9, "targetSyncVersion": 9, "minActiveReadVersion": 8});
    let body = merged(&versions, &json!({"scaleOutStatus": "Enabled", "syncStartTime": "0001-01-01T00:00:00"}));
    let behind = json!({"times": 0, "action": {"status": {"code": 200, "body": body}}});
    world.azure.fault_at(&model, "GET", "queryScaleOut/syncStatus", behind).await;
    world.azure.respond(&model, "POST", "queryScaleOut/sync", lost(true)).await;
    world.apply("modelsync/orders", &spec).await;
    world.until_reason("modelsync/orders", "Stalled", "SubmissionUnknown").await;
    assert_eq!(world.azure.syncs(&model).await.len(), 1);
    world.assert_kstatus();
}
