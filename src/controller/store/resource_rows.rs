//! What the metrics show of one resource, from its spec and status.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::api::estimate::Estimate;
use crate::api::{Kind, Model, ModelResource, Run, RunState, Status, Time};
use crate::engine::stale_time;
use crate::telemetry::labels::ResourceStatus;
use crate::telemetry::metrics::{FreshnessTarget, ResourceRow, shown_model};

/// The row of a resource; `None` is one that cannot be decoded.
pub(super) fn row(
    (kind, metadata): (Kind, &ObjectMeta),
    object: Option<&ModelResource>,
    resource_status: ResourceStatus,
    now: Timestamp,
) -> ResourceRow {
    let recorded = object.and_then(ModelResource::status).and_then(|status| status.model.clone());
    let model = recorded.or_else(|| object.and_then(ModelResource::model).map(Model::display));
    // The operator no longer owns the recorded run of a released resource.
    let owned = object.filter(|object| !object.is_released());
    let blank = Status::default();
    let status = owned.and_then(ModelResource::status).unwrap_or(&blank);
    ResourceRow {
        kind,
        namespace: metadata.namespace.as_deref().unwrap_or_default().into(),
        name: metadata.name.as_deref().unwrap_or_default().into(),
        model: shown_model(&model.unwrap_or_default()),
        status: resource_status,
        last_success: status.last_successful_time,
        last_duration: last_duration(status),
        next_schedule: status.next_schedule_time,
        target: owned.and_then(|object| target(object, metadata, status, now)),
        run_started: status.run.as_ref().and_then(run_started),
        usual_duration: usual_duration(status),
    }
}

/// The maximum age of the data of a refresh, by the rule of the condition Fresh.
fn target(object: &ModelResource, metadata: &ObjectMeta, status: &Status, now: Timestamp) -> Option<FreshnessTarget> {
    let ModelResource::ModelRefresh(refresh) = object else { return None };
    let stale_after = u32::try_from(refresh.spec.stale_after_seconds?).ok()?;
    let created = metadata.creation_timestamp.as_ref().map_or(Timestamp::UNIX_EPOCH, |time| time.0);
    let stale_time = stale_time(status, created, Duration::from_secs(stale_after.into()), now);
    Some(FreshnessTarget { stale_after: stale_after.into(), stale_time })
}

/// The duration of the latest successful run, in seconds. With `historyLimit: 0`, only that of the latest run is known.
fn last_duration(status: &Status) -> Option<i64> {
    let latest = status.run.as_ref().filter(|run| run.state == RunState::Succeeded);
    let latest = latest.and_then(|run| Some(run.ended_time?.seconds_since(run.started_time?).max(0)));
    let earlier = || status.history.iter().find(|entry| entry.state == RunState::Succeeded)?.duration_seconds;
    latest.or_else(earlier)
}

/// The start of the operation that is running.
fn run_started(run: &Run) -> Option<Time> {
    match run.state {
        RunState::Running | RunState::Cancelling => run.started_time.or(run.submitted_time),
        RunState::Waiting
        | RunState::Submitting
        | RunState::Succeeded
        | RunState::Failed
        | RunState::TimedOut
        | RunState::Cancelled
        | RunState::Unrecognized(_) => None,
    }
}

/// How long runs with the parameters of the latest one usually take, in seconds.
fn usual_duration(status: &Status) -> Option<i64> {
    let digest = status.run.as_ref().map(|run| run.request_digest.as_str()).or(status.last_handled_digest.as_deref());
    Estimate::of(status, digest.unwrap_or_default()).map(|estimate| estimate.usual())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::controller::fixture;
    use crate::controller::store::cached::CachedResource;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn time(text: &str) -> Time {
        Time::from(at(text))
    }

    fn resource(metadata: &Value, spec: &Value, status: &Value) -> ModelResource {
        let mut object = json!({
            "apiVersion": "tabular-operator.dev/v1alpha1", "kind": "ModelRefresh",
            "metadata": {"name": "a", "namespace": "bi", "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"model": {"analysisServices": {"server": "asazure://w.asazure.windows.net/s", "database": "d"}}},
            "status": status,
        });
        for (field, values) in [("metadata", metadata), ("spec", spec)] {
            object[field].as_object_mut().unwrap().extend(values.as_object().unwrap().clone());
        }
        serde_json::from_value(object).unwrap()
    }

    fn row_of(object: &ModelResource) -> ResourceRow {
        row((Kind::ModelRefresh, kube::Resource::meta(object)), Some(object), ResourceStatus::Ready, at("2026-01-01T12:00:00Z"))
    }

    fn entry(number: i32, state: &str, seconds: i64) -> Value {
        json!({"number": number, "trigger": {"type": "Schedule"}, "attempts": 1, "state": state, "durationSeconds": seconds})
    }

    fn run(state: &str, more: &Value) -> Value {
        let mut run = json!({
            "number": 5, "trigger": {"type": "Schedule"}, "attempt": 1, "state": state, "requestDigest": "d", "model": {},
            "requestedTime": "2026-01-01T00:00:00Z", "startedTime": "2026-01-01T11:00:00Z",
        });
        run.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        run
    }

    #[test]
    fn row_has_what_the_status_records() {
        let history = [entry(4, "Failed", 1), entry(3, "Succeeded", 90), entry(2, "Succeeded", 30), entry(1, "Succeeded", 60)];
        let status = json!({
            "model": "s/recorded", "lastSuccessfulTime": "2026-01-01T10:00:00Z", "nextScheduleTime": "2026-01-02T00:00:00Z",
            "history": history, "run": run("Running", &json!({})),
        });
        let row = row_of(&resource(&json!({}), &json!({"staleAfterSeconds": 3600}), &status));
        assert_eq!((&*row.namespace, &*row.name, &*row.model), ("bi", "a", "s/recorded"));
        assert_eq!((row.last_success, row.next_schedule), (Some(time("2026-01-01T10:00:00Z")), Some(time("2026-01-02T00:00:00Z"))));
        assert_eq!(row.target.map(|target| (target.stale_after, target.stale_time)), Some((3600, time("2026-01-01T11:00:00Z"))));
        assert_eq!((row.last_duration, row.usual_duration, row.run_started), (Some(90), Some(60), Some(time("2026-01-01T11:00:00Z"))));
    }

    #[test]
    fn row_of_a_new_resource_has_only_its_target() {
        let row = row_of(&resource(&json!({}), &json!({"staleAfterSeconds": 60}), &Value::Null));
        assert_eq!((&*row.model, row.last_success, row.last_duration), ("s/d", None, None));
        assert_eq!(row.target.map(|target| target.stale_time), Some(time("2026-01-01T00:01:00Z")), "from its creation");
    }

    #[test]
    fn run_that_is_not_running_has_no_start() {
        for (state, started) in [("Waiting", false), ("Submitting", false), ("Running", true), ("Cancelling", true), ("Failed", false)] {
            let row = row_of(&resource(&json!({}), &json!({}), &json!({"run": run(state, &json!({}))})));
            assert_eq!(row.run_started.is_some(), started, "{state}");
        }
        // The service has not reported the start.
        let submitted = json!({"startedTime": null, "submittedTime": "2026-01-01T11:30:00Z"});
        let row = row_of(&resource(&json!({}), &json!({}), &json!({"run": run("Running", &submitted)})));
        assert_eq!(row.run_started, Some(time("2026-01-01T11:30:00Z")));
    }

    #[test]
    fn latest_duration_is_known_without_a_history() {
        let ended = run("Succeeded", &json!({"endedTime": "2026-01-01T11:01:30Z"}));
        assert_eq!(row_of(&resource(&json!({}), &json!({}), &json!({"run": ended}))).last_duration, Some(90));
        let failed = run("Failed", &json!({"endedTime": "2026-01-01T11:01:30Z"}));
        let status = json!({"run": failed, "history": [entry(2, "Failed", 90), entry(1, "Succeeded", 7)]});
        assert_eq!(row_of(&resource(&json!({}), &json!({}), &status)).last_duration, Some(7));
    }

    #[test]
    fn released_resource_has_no_run_and_no_target() {
        let status = json!({"lastSuccessfulTime": "2026-01-01T10:00:00Z", "run": run("Running", &json!({}))});
        let deleted = json!({"deletionTimestamp": "2026-01-01T11:30:00Z", "finalizers": ["other.example/hold"]});
        let row = row_of(&resource(&deleted, &json!({"staleAfterSeconds": 60}), &status));
        assert_eq!((row.target, row.run_started, row.last_success, &*row.model), (None, None, None, "s/d"));
    }

    #[test]
    fn undecodable_resource_has_its_name() {
        let object = resource(&json!({}), &json!({}), &Value::Null);
        let row = row((Kind::ModelRefresh, kube::Resource::meta(&object)), None, ResourceStatus::Undecodable, at("2026-01-01T12:00:00Z"));
        assert_eq!((&*row.name, &*row.model, row.status), ("a", "", ResourceStatus::Undecodable));
    }

    #[tokio::test]
    async fn deleted_resource_has_no_row() {
        let ctx = fixture::context(2);
        let names = || {
            ctx.store.index.publish(Timestamp::now());
            let text = ctx.metrics.encode().unwrap();
            let of = |name: &str| {
                text.contains(&format!(r#"tabular_operator_resource_info{{kind="ModelRefresh",exported_namespace="bi",name="{name}","#))
            };
            [of("r-0"), of("r-1")]
        };
        assert_eq!(names(), [true, true]);
        let gone = fixture::running(0);
        ctx.store.on_deleted(&gone.key(), kube::Resource::meta(&gone));
        assert_eq!(names(), [false, true]);
        // The same name again, as another resource.
        let mut again = gone.clone();
        kube::Resource::meta_mut(&mut again).uid = Some("u-again".to_owned());
        ctx.store.observed(&fixture::all_refreshes(), &again.key(), &CachedResource::of(&again).unwrap());
        assert_eq!(names(), [true, true]);
    }
}
