//! What becomes of requests, over the versions of a resource that the operator writes.

use kube::Resource as _;
use serde_json::{Value, json};
use tabular_operator::api::{CANCEL_REQUESTED_AT, RUN_REQUESTED_AT};

use super::*;
use crate::exit::Exit;
use crate::fixture::{ended, refresh, run};
use crate::objects::Object;

/// A version of the resource with its annotation.
fn version(annotation: Option<(&str, &str)>, spec: Value, status: Value) -> Object {
    let mut object = refresh("orders", "Orders", spec, status);
    object.resource.meta_mut().annotations = annotation.map(|(name, value)| [(name.to_owned(), value.to_owned())].into());
    object
}

/// A version with a request for a run.
fn with(value: &str, status: Value) -> Object {
    version(Some((RUN_REQUESTED_AT, value)), json!({}), status)
}

fn forbidding(value: &str, status: Value) -> Object {
    version(Some((RUN_REQUESTED_AT, value)), json!({"concurrencyPolicy": "Forbid"}), status)
}

fn scheduled(number: i32, state: &str) -> Value {
    run("Orders", json!({"number": number, "state": state, "submittedTime": "2026-11-29T21:00:03Z"}))
}

fn on_request(number: i32, state: &str, value: &str) -> Value {
    run("Orders", json!({"number": number, "state": state, "trigger": {"type": "Request", "value": value}}))
}

fn queued(value: &str) -> Value {
    json!({"type": "Request", "value": value})
}

fn entry(number: i32, value: &str, attempts: i32) -> Value {
    let mut entry = ended(number, "2026-11-29T21:05:00Z", "Succeeded", 60, "");
    (entry["trigger"], entry["attempts"]) = (json!({"type": "Request", "value": value}), attempts.into());
    entry
}

/// What becomes of the request `v` over these versions, after the one that it created.
#[track_caller]
fn follow(before: Object, versions: &[(Object, &str)]) -> RunRequest {
    let mut request = RunRequest::new("v".to_owned(), before);
    for (at, (object, expected)) in versions.iter().enumerate() {
        assert_eq!(brief(&request.observe(Some(object))), *expected, "version {at}");
    }
    request
}

fn brief(outcome: &RequestOutcome) -> String {
    match outcome {
        RequestOutcome::Ended(end) => format!("{:?} {}", end.state, end.number),
        RequestOutcome::InProgress(number)
        | RequestOutcome::NotInHistory(number)
        | RequestOutcome::Dropped(number)
        | RequestOutcome::NotCancellable(number) => {
            format!("{} {number}", outcome.as_str())
        }
        RequestOutcome::Pending | RequestOutcome::Accepted | RequestOutcome::Removed | RequestOutcome::Deleted => {
            outcome.as_str().to_owned()
        }
    }
}

#[test]
fn request_for_idle_resource_starts_its_own_run() {
    let idle = json!({"run": scheduled(1, "Succeeded"), "lastHandledRequest": "u"});
    let versions = [
        (with("v", idle.clone()), "Pending"),
        (with("v", json!({"run": on_request(2, "Waiting", "v"), "lastHandledRequest": "v"})), "InProgress 2"),
        (with("v", json!({"run": on_request(2, "Running", "v"), "lastHandledRequest": "v"})), "InProgress 2"),
        (with("v", json!({"run": on_request(2, "Failed", "v"), "lastHandledRequest": "v"})), "Failed 2"),
    ];
    let request = follow(with("v", idle), &versions);
    assert_eq!((request.run(), request.is_superseded()), (Some(2), false));
    let new = with("v", json!({}));
    follow(new, &[(with("v", json!({"run": on_request(1, "Running", "v"), "lastHandledRequest": "v"})), "InProgress 1")]);
}

#[test]
fn request_during_run_is_queued_behind_it() {
    let versions = [
        (with("v", json!({"run": scheduled(1, "Running"), "queued": queued("v")})), "Accepted"),
        (with("v", json!({"run": scheduled(1, "Succeeded"), "queued": queued("v")})), "Accepted"),
        // The annotation is no longer needed.
        (version(None, json!({}), json!({"run": scheduled(1, "Succeeded"), "queued": queued("v")})), "Accepted"),
        (with("v", json!({"run": on_request(2, "Running", "v"), "lastHandledRequest": "v"})), "InProgress 2"),
        (with("v", json!({"run": scheduled(3, "Running"), "history": [entry(2, "v", 1)], "lastHandledRequest": "v"})), "Succeeded 2"),
    ];
    follow(with("v", json!({"run": scheduled(1, "Running")})), &versions);
}

#[test]
fn request_joins_run_until_its_submission() {
    let waiting = with("v", json!({"run": scheduled(1, "Waiting")}));
    let submitted = with("v", json!({"run": scheduled(1, "Submitting"), "lastHandledRequest": "v"}));
    follow(waiting.clone(), &[(waiting.clone(), "Pending"), (submitted, "InProgress 1")]);
    // The versions in between were missed.
    let later = with("v", json!({"run": scheduled(2, "Running"), "history": [entry(1, "other", 1)], "lastHandledRequest": "v"}));
    follow(waiting, &[(later, "Succeeded 1")]);
}

#[test]
fn request_joins_later_attempt_of_run() {
    let second = |state: &str| {
        let mut run = scheduled(1, state);
        (run["attempt"], run["submittedTime"]) = (2.into(), "2026-11-29T21:02:00Z".into());
        json!({"run": run, "lastHandledRequest": "v"})
    };
    let before = json!({"run": scheduled(1, "Running")});
    follow(with("v", before.clone()), &[(with("v", second("Running")), "InProgress 1")]);
    let backing_off = json!({"run": scheduled(1, "Waiting")});
    let versions = [(forbidding("v", backing_off), "Pending"), (forbidding("v", second("Submitting")), "InProgress 1")];
    follow(forbidding("v", before.clone()), &versions);
    // If a version was missed, the request may have been dropped during the earlier attempt.
    follow(forbidding("v", before.clone()), &[(forbidding("v", second("Submitting")), "Dropped 1")]);
    let missed = json!({"run": scheduled(2, "Running"), "history": [entry(1, "other", 2)], "lastHandledRequest": "v"});
    follow(with("v", before), &[(with("v", missed), "Succeeded 1")]);
}

#[test]
fn forbid_drops_request_during_run() {
    let before = json!({"run": scheduled(1, "Running")});
    let dropped = json!({"run": scheduled(1, "Running"), "lastHandledRequest": "v"});
    follow(forbidding("v", before.clone()), &[(forbidding("v", before.clone()), "Pending"), (forbidding("v", dropped), "Dropped 1")]);
    // The run ended before the operator read the request.
    let own = json!({"run": on_request(2, "Running", "v"), "lastHandledRequest": "v"});
    follow(forbidding("v", before.clone()), &[(forbidding("v", own), "InProgress 2")]);
    // The versions in between were missed.
    let missed = json!({"run": scheduled(2, "Running"), "history": [entry(1, "other", 1)], "lastHandledRequest": "v"});
    follow(forbidding("v", before), &[(forbidding("v", missed), "Dropped 1")]);
}

#[test]
fn superseded_request_shares_run_of_later_one() {
    let idle = json!({"run": scheduled(1, "Succeeded")});
    let shared = json!({"run": on_request(2, "Running", "w"), "lastHandledRequest": "w"});
    let request = follow(with("v", idle.clone()), &[(with("w", idle.clone()), "Pending"), (with("w", shared), "InProgress 2")]);
    assert!(request.is_superseded());
    // During a run, and of three requests.
    let versions = [
        (with("w", json!({"run": scheduled(1, "Running"), "queued": queued("w")})), "Accepted"),
        (with("x", json!({"run": scheduled(1, "Running"), "queued": queued("x")})), "Accepted"),
        (with("x", json!({"run": on_request(2, "Running", "x"), "lastHandledRequest": "x"})), "InProgress 2"),
    ];
    follow(with("v", json!({"run": scheduled(1, "Running")})), &versions);
    // The first run after the request serves it, also if only a later one is visible in full.
    let missed = json!({"run": on_request(3, "Running", "x"), "history": [entry(2, "w", 1)], "lastHandledRequest": "x"});
    follow(with("v", idle), &[(with("x", missed), "Succeeded 2")]);
    // Nothing was dropped: the operator had not read the request before the later one.
    let before = json!({"run": scheduled(1, "Running")});
    let after = json!({"run": on_request(2, "Running", "w"), "history": [entry(1, "other", 1)], "lastHandledRequest": "w"});
    follow(forbidding("v", before.clone()), &[(forbidding("w", before), "Pending"), (forbidding("w", after), "InProgress 2")]);
}

#[test]
fn annotation_removed_before_operator_read_it_is_withdrawn() {
    let idle = json!({"run": scheduled(1, "Succeeded"), "lastHandledRequest": "u"});
    for value in [None, Some((RUN_REQUESTED_AT, "u")), Some((RUN_REQUESTED_AT, ""))] {
        follow(with("v", idle.clone()), &[(version(value, json!({}), idle.clone()), "Removed")]);
    }
}

#[test]
fn deletion_ends_request() {
    let before = with("v", json!({"run": scheduled(1, "Running")}));
    let running = with("v", json!({"run": on_request(2, "Running", "v"), "lastHandledRequest": "v"}));
    let deleting = |object: &Object| {
        let mut object = object.clone();
        object.resource.meta_mut().deletion_timestamp = object.resource.meta().creation_timestamp.clone();
        object
    };
    let mut other = running.clone();
    other.resource.meta_mut().uid = Some("another".to_owned());
    follow(before.clone(), &[(deleting(&before), "Deleted")]);
    let mut request = follow(before, &[(deleting(&running), "InProgress 2"), (other, "Deleted")]);
    assert_eq!(request.observe(None), RequestOutcome::Deleted);
}

#[test]
fn ended_run_without_history_is_forgotten() {
    let versions = [
        (with("v", json!({"run": on_request(2, "Running", "v"), "lastHandledRequest": "v"})), "InProgress 2"),
        (with("v", json!({"run": scheduled(3, "Running"), "lastHandledRequest": "v"})), "NotInHistory 2"),
    ];
    follow(with("v", json!({"run": scheduled(1, "Succeeded")})), &versions);
}

#[test]
fn older_versions_and_older_operators_are_tolerated() {
    let (before, old) = (with("v", json!({})), version(None, json!({}), json!({})));
    follow(at("10", &before), &[(at("9", &old), "Pending"), (at("11", &old), "Removed")]);
    // Without lastHandledRequest and queued.
    let running = with("v", json!({"run": scheduled(1, "Running")}));
    follow(running.clone(), &[(running, "Pending"), (with("v", json!({"run": on_request(2, "Running", "v")})), "InProgress 2")]);
}

/// A version of the resource.
fn at(version: &str, object: &Object) -> Object {
    let mut object = object.clone();
    object.resource.meta_mut().resource_version = Some(version.to_owned());
    object
}

#[test]
fn request_after_lost_response_is_recovered_if_versions_show_it() {
    let recovered = |found: &Object, read: &Object| RunRequest::recovered("v".to_owned(), found.clone(), read.clone()).is_some();
    let (idle, waiting) = (json!({"run": scheduled(1, "Succeeded")}), json!({"run": run("Orders", json!({"state": "Waiting"}))}));
    assert!(recovered(&with("u", idle.clone()), &with("v", idle.clone())));
    assert!(!recovered(&with("u", idle.clone()), &with("u", idle.clone())), "it did not arrive yet");
    let own = with("v", json!({"run": on_request(2, "Running", "v"), "lastHandledRequest": "v"}));
    assert!(recovered(&with("u", idle.clone()), &own));
    let other = with("v", json!({"run": scheduled(2, "Running"), "lastHandledRequest": "v"}));
    assert!(!recovered(&with("u", idle), &other), "joined or dropped");
    let submitted = with("v", json!({"run": run("Orders", json!({"state": "Running"})), "lastHandledRequest": "v"}));
    assert!(!recovered(&with("u", waiting), &submitted), "joined or dropped");
    // The first version that is observed may be the one from before the request.
    let (found, read) = (at("10", &with("u", json!({"run": scheduled(1, "Succeeded")}))), at("12", &own));
    let mut request = RunRequest::recovered("v".to_owned(), found.clone(), read.clone()).unwrap();
    assert_eq!([&found, &read].map(|object| brief(&request.observe(Some(object)))), ["Pending", "InProgress 2"]);
}

fn cancelling(value: Option<&str>, status: Value) -> Object {
    version(value.map(|value| (CANCEL_REQUESTED_AT, value)), json!({}), status)
}

#[test]
fn cancellation_is_followed_to_end_of_its_run() {
    let before = cancelling(Some("c"), json!({"run": scheduled(4, "Running")}));
    let request = CancelRequest::new("c".to_owned(), before.clone()).unwrap();
    let state = |state: &str, cause: Option<&str>, handled: Option<&str>| {
        let mut run = scheduled(4, state);
        if let Some(cause) = cause {
            run["cancelCause"] = cause.into();
        }
        cancelling(Some("c"), json!({"run": run, "lastHandledCancelRequest": handled}))
    };
    let rows = vec![
        (state("Running", None, None), "Pending"),
        (state("Cancelling", Some("Request"), Some("c")), "InProgress 4"),
        (state("Submitting", Some("Request"), Some("c")), "InProgress 4"),
        (state("Cancelling", Some("Replacement"), None), "InProgress 4"),
        (state("Running", None, Some("c")), "NotCancellable 4"),
        (state("Cancelled", Some("Request"), Some("c")), "Cancelled 4"),
        (state("Succeeded", None, None), "Succeeded 4"),
        // Another user's request cancels the same run.
        (cancelling(Some("d"), json!({"run": scheduled(4, "Running")})), "Pending"),
        (cancelling(None, json!({"run": scheduled(4, "Running")})), "Removed"),
        (cancelling(Some("c"), json!({"run": scheduled(5, "Running"), "history": [entry(4, "r", 1)]})), "Succeeded 4"),
        (cancelling(Some("c"), json!({"run": scheduled(5, "Running")})), "NotInHistory 4"),
    ];
    for (object, expected) in rows {
        assert_eq!(brief(&request.observe(Some(&object))), expected);
    }
    assert_eq!(request.observe(None), RequestOutcome::Deleted);
    let over = cancelling(Some("c"), json!({"run": scheduled(4, "Succeeded")}));
    assert!(CancelRequest::new("c".to_owned(), over.clone()).is_none());
    assert!(CancelRequest::recovered("c".to_owned(), before.clone(), before.clone()).is_some());
    assert!(CancelRequest::recovered("c".to_owned(), before.clone(), over).is_none(), "it did not arrive before the end");
    let next = cancelling(Some("c"), json!({"run": scheduled(5, "Cancelled"), "lastHandledCancelRequest": "c"}));
    assert!(CancelRequest::recovered("c".to_owned(), before, next).is_none(), "it may be about either run");
    let found = at("10", &cancelling(None, json!({"run": scheduled(4, "Running")})));
    let read = at("12", &state("Cancelling", Some("Request"), Some("c")));
    let request = CancelRequest::recovered("c".to_owned(), found.clone(), read.clone()).unwrap();
    assert_eq!([&found, &read].map(|object| brief(&request.observe(Some(object)))), ["Pending", "InProgress 4"]);
}

#[test]
fn exit_codes_follow_from_fate() {
    let mut runs = Request::Run(RunRequest::new("v".to_owned(), with("v", json!({}))));
    let cancel = CancelRequest::new("c".to_owned(), cancelling(Some("c"), json!({"run": scheduled(1, "Running")}))).unwrap();
    let mut end = |state: &str| {
        let mut run = on_request(1, state, "v");
        run["endedTime"] = "2026-11-29T21:05:00Z".into();
        runs.observe(Some(&with("v", json!({"run": run, "lastHandledRequest": "v"}))))
    };
    let outcomes = [
        (RequestOutcome::Pending, None, None, None),
        (RequestOutcome::Accepted, None, Some(Exit::Success), None),
        (RequestOutcome::InProgress(1), None, Some(Exit::Success), None),
        (end("Succeeded"), Some(Exit::Success), Some(Exit::Success), Some(Exit::Success)),
        (end("Failed"), Some(Exit::Negative), Some(Exit::Success), Some(Exit::Negative)),
        (end("TimedOut"), Some(Exit::Negative), Some(Exit::Success), Some(Exit::Negative)),
        (end("Cancelled"), Some(Exit::Negative), Some(Exit::Success), Some(Exit::Success)),
        (end("Exploded"), Some(Exit::Negative), Some(Exit::Success), Some(Exit::Negative)),
        (RequestOutcome::NotInHistory(1), Some(Exit::Failure), Some(Exit::Success), Some(Exit::Failure)),
        (RequestOutcome::Dropped(1), Some(Exit::NoChange), Some(Exit::NoChange), Some(Exit::NoChange)),
        (RequestOutcome::NotCancellable(1), Some(Exit::NoChange), Some(Exit::NoChange), Some(Exit::NoChange)),
        (RequestOutcome::Removed, Some(Exit::NoChange), Some(Exit::NoChange), Some(Exit::NoChange)),
        (RequestOutcome::Deleted, Some(Exit::Failure), Some(Exit::Failure), Some(Exit::Failure)),
    ];
    let cancel = Request::Cancel(cancel);
    for (outcome, waiting, at_once, cancelling) in outcomes {
        let exits = (runs.exit(&outcome, true), runs.exit(&outcome, false), cancel.exit(&outcome, true));
        assert_eq!(exits, (waiting, at_once, cancelling), "{outcome:?}");
    }
}
