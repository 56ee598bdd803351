//! The texts about requests.

use screen::text_of;
use serde_json::{Value, json};

use super::*;
use crate::facts::{CancelRequest, Request, RequestOutcome, RunRequest};
use crate::fixture::{condition, object, refresh, run, view};
use crate::objects::Object;
use crate::output::View;
use tabular_operator::api::Kind;

fn orders(spec: Value, status: Value) -> Object {
    refresh("orders", "Orders", spec, status)
}

fn request() -> Request {
    Request::Run(RunRequest::new("v".to_owned(), orders(json!({}), json!({}))))
}

/// The first line about a request for a run, by the state of its resource.
fn line(spec: Value, status: Value) -> String {
    let mut request = request();
    let mut current = orders(spec, status);
    kube::Resource::meta_mut(&mut current.resource).annotations =
        Some([(tabular_operator::api::RUN_REQUESTED_AT.to_owned(), "v".to_owned())].into());
    let outcome = request.observe(Some(&current));
    requested(&request, &outcome, Some(&current), &view(None)).trim_start_matches("requested a run of orders: ").to_owned()
}

fn own(fields: Value) -> Value {
    let mut run = run("Orders", fields);
    run["trigger"] = json!({"type": "Request", "value": "v"});
    run
}

#[test]
fn first_line_shows_what_run_waits_for() {
    let queued = json!({"type": "Request", "value": "v"});
    let stalled = |reason: &str| json!([condition("Stalled", "True", reason, "no"), condition("Ready", "False", reason, "no")]);
    let rows = [
        (json!({}), json!({}), "not handled yet"),
        (
            json!({}),
            json!({"run": own(json!({"number": 88, "state": "Waiting", "reason": "WaitingForTurn", "waitingFor": "adventureworks"}))}),
            "run 88, queued behind adventureworks on the model",
        ),
        (json!({}), json!({"run": own(json!({"number": 88, "state": "Submitting"}))}), "run 88, Submitting"),
        (json!({}), json!({"run": run("Orders", json!({"state": "Running"})), "queued": queued}), "queued behind run 41 (Running)"),
        (json!({}), json!({"run": run("Orders", json!({"state": "Running"}))}), "not handled yet; run 41 is in progress (Running)"),
        (json!({}), json!({"run": run("Orders", json!({"state": "Waiting", "waitingFor": "a\u{1b}b"}))}), "joins run 41, waiting for a b"),
        (json!({"suspend": true}), json!({"queued": queued}), "starts after `kubectl tabular resume orders -n bi`"),
        (json!({}), json!({"queued": queued, "conditions": stalled("SecretNotFound")}), "cannot start: SecretNotFound: no"),
        (json!({}), json!({"conditions": stalled("InvalidSpec")}), "cannot start: InvalidSpec: no"),
        (json!({}), json!({"queued": queued}), "about to start"),
    ];
    for (spec, status, expected) in rows {
        assert_eq!(line(spec, status), expected);
    }
}

/// The last line about a request for a run.
fn last(mut request: Request, run: &Value, several: bool) -> String {
    let object = orders(json!({}), json!({"run": run, "lastHandledRequest": "v"}));
    let RequestOutcome::Ended(end) = request.observe(Some(&object)) else { panic!("the run has not ended") };
    text_of(&ended(&request, &end, several.then_some("orders")))
}

#[test]
fn last_line_shows_result_of_run() {
    let times =
        json!({"requestedTime": "2026-11-29T21:00:00Z", "startedTime": "2026-11-29T21:03:00Z", "endedTime": "2026-11-29T21:07:02Z"});
    let with = |fields: Value| {
        let mut run = own(fields);
        run.as_object_mut().unwrap().extend(times.as_object().unwrap().clone());
        run
    };
    let warning = json!({"type": "Warning", "message": "slow"});
    let succeeded = with(json!({"number": 88, "state": "Succeeded", "messages": [warning, warning]}));
    assert_eq!(last(request(), &succeeded, false), "✓ run 88 succeeded after 4m02s (waited 3m00s), with 2 warnings");
    let failed = with(json!({"number": 88, "state": "Failed", "reason": "RefreshFailed", "message": "Login failed"}));
    assert_eq!(last(request(), &failed, true), "✗ orders: run 88 failed after 4m02s (waited 3m00s): RefreshFailed: Login failed");
    let cancelled = own(json!({"number": 88, "state": "Cancelled", "reason": "CancelledOnRequest", "message": "nothing was submitted"}));
    assert_eq!(last(request(), &cancelled, false), "✗ run 88 was cancelled: CancelledOnRequest: nothing was submitted");
    let cancel = || {
        Request::Cancel(
            CancelRequest::new("c".to_owned(), orders(json!({}), json!({"run": with(json!({"number": 88, "state": "Running"}))}))).unwrap(),
        )
    };
    assert_eq!(last(cancel(), &cancelled, false), "✓ run 88 was cancelled");
    assert_eq!(last(cancel(), &succeeded, false), "✓ run 88 succeeded after 4m02s (waited 3m00s) before it was cancelled, with 2 warnings");
    let continuing = continues(&request(), &RequestOutcome::InProgress(88), &view(None));
    assert_eq!(continuing, "run 88 of orders continues: to cancel it, run `kubectl tabular cancel orders -n bi`");
    let of_context = View { flags: " --context test".to_owned(), ..view(None) };
    let continuing = continues(&request(), &RequestOutcome::InProgress(88), &of_context);
    assert!(continuing.ends_with("run `kubectl tabular cancel orders -n bi --context test`"), "{continuing}");
}

#[test]
fn refusals_name_the_remedy() {
    let running = json!({"run": run("Orders", json!({"state": "Running"}))});
    let suspended = orders(json!({"suspend": true}), running.clone());
    assert_eq!(
        cannot_run(&suspended, &view(None)).as_deref(),
        Some("orders is suspended, so no run was requested: first run `kubectl tabular resume orders -n bi`")
    );
    assert_eq!(cannot_run(&orders(json!({}), json!({})), &view(None)), None);
    assert_eq!(cannot_cancel(&suspended), None);
    let idle = orders(json!({}), json!({"run": run("Orders", json!({"state": "Failed"}))}));
    assert_eq!(cannot_cancel(&idle).as_deref(), Some("no run of orders is running or waiting, so nothing was cancelled"));
    let sync = |state: &str| object(Kind::ModelSync, "orders", json!({}), json!({"run": run("Orders", json!({"state": state}))}));
    assert_eq!(cannot_cancel(&sync("Running")).as_deref(), Some("run 41 of msync/orders is running, and a sync cannot be cancelled"));
    assert_eq!(cannot_cancel(&sync("Waiting")), None);
    let queued = orders(json!({}), json!({"run": run("Orders", json!({"state": "Running"})), "queued": {"type": "Change", "value": "v2"}}));
    assert_eq!(
        follow_up(&queued, &view(None)).as_deref(),
        Some(
            "warning: a queued trigger (by a change, v2) starts a run of orders after the cancellation: to prevent that, first run `kubectl tabular suspend orders -n bi`"
        )
    );
    let accepted = |value: &str| orders(json!({}), json!({"queued": {"type": "Request", "value": value}}));
    let time = "2026-11-29T21:00:00.000000001Z";
    assert_eq!(suspension(&accepted(time), &view(None)), "resumed orders; a run starts on request, 22:00");
    assert_eq!(suspension(&accepted(&format!("{time} late file")), &view(None)), "resumed orders; a run starts on request: late file");
    assert_eq!(suspension(&suspended, &view(None)), "suspended orders; run 41 continues");
    assert_eq!(suspension(&idle, &view(None)), "resumed orders");
}

#[test]
fn unhandled_request_is_explained() {
    let explained = |status: Value| unhandled(&request(), &orders(json!({}), status), &view(None));
    assert!(explained(json!({})).starts_with("the request for a run of orders is not handled: no operator seems to serve namespace bi; "));
    assert_eq!(
        explained(json!({"run": run("Orders", json!({"state": "Waiting", "reason": "WaitingForTurn", "waitingFor": "a"}))})),
        "the run of orders has not started: joins run 41, queued behind a on the model"
    );
}
