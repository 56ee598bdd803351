//! Tests of the gauges.

use super::*;
use serde_json::{Value, json};

fn resource(status: &Value) -> ModelResource {
    let object = json!({
        "apiVersion": "tabular-operator.dev/v1alpha1", "kind": "ModelRefresh", "metadata": {"name": "a", "namespace": "bi"},
        "spec": {"model": {"analysisServices": {"server": "asazure://w.asazure.windows.net/s", "database": "d"}}},
        "status": status,
    });
    serde_json::from_value(object).unwrap()
}

fn condition(kind: &str, status: &str, reason: &str, since: &str) -> Value {
    json!({"type": kind, "status": status, "reason": reason, "message": "", "observedGeneration": 1, "lastTransitionTime": since})
}

fn stalled(reason: &str, since: &str) -> [Value; 2] {
    [condition("Stalled", "True", reason, since), condition("Ready", "False", reason, since)]
}

fn entry(number: i32, state: &str, ended: &str) -> Value {
    json!({"number": number, "trigger": {"type": "Schedule"}, "attempts": 1, "state": state, "endedTime": ended})
}

fn run(state: &str, reason: &str) -> Value {
    json!({"number": 1, "trigger": {"type": "Creation"}, "attempt": 1, "state": state, "requestedTime": "2026-01-01T00:00:00Z",
        "model": {}, "requestDigest": "w", "reason": reason})
}

fn totals(statuses: &[Value]) -> Totals {
    let mut totals = Totals::default();
    for (n, status) in statuses.iter().enumerate() {
        totals.add(&n.to_string().into(), &ResourceSummary::of(Kind::ModelRefresh, Some(&resource(status))));
    }
    totals
}

/// The two gauges at noon.
fn seconds(statuses: &[Value]) -> (i64, i64) {
    totals(statuses).seconds("2026-11-22T12:00:00Z".parse().unwrap())
}

#[test]
fn consecutive_failures_count_from_the_first() {
    let history = [
        entry(5, "Cancelled", "2026-11-22T11:00:00Z"),
        entry(4, "Failed", "2026-11-22T10:00:00Z"),
        entry(3, "TimedOut", "2026-11-22T09:00:00Z"),
        entry(2, "Succeeded", "2026-11-22T08:00:00Z"),
        entry(1, "Failed", "2026-11-22T07:00:00Z"),
    ];
    assert_eq!(seconds(&[json!({"history": history})]).0, 3 * 3600);
    assert_eq!(seconds(&[json!({"history": history[3..]})]).0, 0);
}

#[test]
fn requested_cancellation_is_not_unsuccessful() {
    for (state, reason, unsuccessful, expected) in [
        ("Waiting", "SecretNotFound", 60, ResourceStatus::Stalled),
        ("Cancelled", "Cancelled", 60, ResourceStatus::Stalled),
        ("Cancelled", "CancelledOnRequest", 0, ResourceStatus::Cancelled),
    ] {
        let status = [json!({"run": run(state, reason), "conditions": stalled(reason, "2026-11-22T11:59:00Z")})];
        let counted = (seconds(&status).0, totals(&status).by_status);
        assert_eq!(counted, (unsuccessful, HashMap::from([(expected, 1)])), "{reason}");
    }
}

#[test]
fn schedule_without_a_run_is_overdue() {
    let ready = condition("Ready", "True", "Succeeded", "2026-11-22T11:00:00Z");
    let late = json!({"nextScheduleTime": "2026-11-22T11:50:00Z", "conditions": [ready]});
    assert_eq!(seconds(&[late]).1, 600);
    let suspended = condition("Ready", "False", "Suspended", "2026-11-22T11:00:00Z");
    let waits = json!({"nextScheduleTime": "2026-11-22T11:50:00Z", "conditions": [suspended]});
    let future = json!({"nextScheduleTime": "2026-11-22T13:00:00Z"});
    assert_eq!(seconds(&[waits.clone(), future.clone()]).1, 0);
    assert_eq!(totals(&[waits, future]).by_status, HashMap::from([(ResourceStatus::Suspended, 1), (ResourceStatus::Reconciling, 1)]));
}

#[test]
fn suspended_resource_needs_a_user_only_for_a_submitted_run() {
    let since = "2026-11-22T07:00:00Z";
    for (state, reason, active, needs_a_user) in [
        ("Failed", "RefreshFailed", None, false),
        ("Waiting", "SecretNotFound", Some(RunState::Waiting), false),
        ("Submitting", "SubmissionUnknown", Some(RunState::Submitting), true),
        ("Running", "CredentialsRefused", Some(RunState::Running), true),
    ] {
        let status = json!({"run": run(state, reason), "history": [entry(1, "Failed", since)], "nextScheduleTime": since,
            "conditions": stalled(reason, since)});
        let mut object = serde_json::to_value(resource(&status)).unwrap();
        object["spec"]["suspend"] = json!(true);
        let summary = ResourceSummary::of(Kind::ModelRefresh, Some(&serde_json::from_value(object).unwrap()));
        assert_eq!((summary.active, summary.due, summary.unresolved), (active, None, reason == "SubmissionUnknown"), "{state}");
        assert_eq!(summary.unsuccessful_since.is_some(), needs_a_user, "{state}");
        let expected = if needs_a_user { ResourceStatus::Stalled } else { ResourceStatus::Suspended };
        assert_eq!(summary.resource_status, expected, "{state}");
    }
}

fn replaced(number: i32) -> Value {
    let mut entry = entry(number, "Cancelled", "2026-11-22T11:00:00Z");
    entry["message"] = json!("operation o was cancelled: a new trigger replaced it");
    entry
}

/// A resource that is due each minute, with a spec and a history.
fn by_the_minute(spec: &Value, history: &[Value]) -> ModelResource {
    let mut object = serde_json::to_value(resource(&json!({"history": history}))).unwrap();
    let defaults = json!({"trigger": {"schedule": "* * * * *"}, "concurrencyPolicy": "Replace"});
    for (field, value) in defaults.as_object().unwrap().iter().chain(spec.as_object().unwrap()) {
        object["spec"][field] = value.clone();
    }
    serde_json::from_value(object).unwrap()
}

fn is_starving(spec: &Value, history: &[Value]) -> bool {
    ResourceSummary::of(Kind::ModelRefresh, Some(&by_the_minute(spec, history))).starved
}

#[test]
fn schedule_replacing_each_run_is_starved() {
    let all = [8, 7, 6, 5, 4, 3, 2, 1].map(replaced);
    assert!(is_starving(&json!({}), &all) && is_starving(&json!({}), &all[..3]));
    assert!(!is_starving(&json!({}), &all[..2]), "two may be chance");
    // A shorter history suffices, but a single run does not.
    assert!(is_starving(&json!({"historyLimit": 2}), &all[..2]));
    assert!(!is_starving(&json!({"historyLimit": 1}), &all[..1]) && !is_starving(&json!({"historyLimit": 0}), &[]));
    // The run in progress and earlier runs do not count.
    let succeeded = entry(4, "Succeeded", "2026-11-22T10:00:00Z");
    assert!(is_starving(&json!({}), &[&all[..3], std::slice::from_ref(&succeeded)].concat()));
    assert!(!is_starving(&json!({}), &[&[succeeded], &all[4..]].concat()));
}

#[test]
fn other_run_outcomes_do_not_count_as_starved() {
    let with = |field: &str, value: Value| {
        let mut odd = replaced(2);
        odd[field] = value;
        is_starving(&json!({}), &[replaced(3), odd, replaced(1)])
    };
    assert!(with("attempts", json!(2)));
    assert!(!with("message", json!("operation o was cancelled by the annotation cancel-requested-at")));
    assert!(!with("message", json!("operation o was cancelled at the service, not by this operator")));
    assert!(!with("state", json!("Failed")));
    assert!(!with("trigger", json!({"type": "Request", "value": "now"})));
}

#[test]
fn resource_without_replacing_schedule_is_not_starved() {
    let all = [3, 2, 1].map(replaced);
    assert!(is_starving(&json!({}), &all));
    for spec in [
        json!({"trigger": {"token": "a"}}),
        json!({"trigger": null}),
        json!({"suspend": true}),
        json!({"concurrencyPolicy": "Queue"}),
        json!({"concurrencyPolicy": "Forbid"}),
    ] {
        assert!(!is_starving(&spec, &all), "{spec}");
    }
    let mut resource = by_the_minute(&json!({}), &all);
    if let ModelResource::ModelRefresh(refresh) = &mut resource {
        refresh.metadata.deletion_timestamp = serde_json::from_value(json!("2026-11-22T11:30:00Z")).unwrap();
    }
    assert!(!ResourceSummary::of(Kind::ModelRefresh, Some(&resource)).starved, "a resource that is being deleted");
}

/// After any sequence of changes, the counts match the remaining resources.
#[test]
fn counts_follow_each_change() {
    let (metrics, uid): (_, Arc<str>) = (Metrics::new(), "u-1".into());
    let running = json!({"run": run("Submitting", "SubmissionUnknown")});
    let late = json!({"nextScheduleTime": "2026-11-22T11:50:00Z", "history": [entry(1, "Failed", "2026-11-22T07:00:00Z")]});
    let [running, late] = [running, late].map(|status| ResourceSummary::of(Kind::ModelRefresh, Some(&resource(&status))));
    let starved = ResourceSummary::of(Kind::ModelRefresh, Some(&by_the_minute(&json!({}), &[3, 2, 1].map(replaced))));
    let unreadable = ResourceSummary::of(Kind::ModelRefresh, None);
    let mut gauges = Gauges::default();
    let mut before = None;
    let text = |gauges: &Gauges| {
        gauges.publish("2026-11-22T12:00:00Z".parse().unwrap(), &metrics);
        metrics.encode().unwrap()
    };
    let assert_gauge =
        |text: &str, name: &str, value: i64| assert!(text.contains(&format!("tabular_operator_{name} {value}\n")), "{name}: {text}");
    for (after, totals) in [
        (Some(running), [1, 1, 0, 0, 0, 0]),
        (Some(late), [0, 0, 18_000, 600, 0, 0]),
        (Some(starved), [0, 0, 0, 0, 0, 1]),
        (Some(unreadable), [0, 0, 0, 0, 1, 0]),
        (None, [0; 6]),
    ] {
        gauges.replace(&uid, before.as_ref(), after.as_ref(), &metrics);
        before = after;
        let text = text(&gauges);
        assert_gauge(&text, r#"active_runs{kind="ModelRefresh",state="Submitting"}"#, totals[0]);
        assert_gauge(&text, r#"unresolved_submissions{kind="ModelRefresh"}"#, totals[1]);
        assert_gauge(&text, r#"oldest_unsuccessful_seconds{kind="ModelRefresh"}"#, totals[2]);
        assert_gauge(&text, r#"schedule_overdue_seconds{kind="ModelRefresh"}"#, totals[3]);
        assert_gauge(&text, r#"resources{kind="ModelRefresh",status="undecodable"}"#, totals[4]);
        assert_gauge(&text, r#"starved_schedules{kind="ModelRefresh"}"#, totals[5]);
    }
}
