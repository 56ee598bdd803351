//! The diagnoses as texts. `plugin/tests/why.txt` has one for each reason.

use kube::Resource as _;
use serde_json::{Value, json};
use tabular_operator::api::{FINALIZER, Kind};

use crate::evidence::{Evidence, Operator, OperatorLease, ResourceEvent};
use crate::facts::{OperatorNames, Verdict, Visible, diagnosis};
use crate::fixture::{NOW, at, condition, object_with, refresh, run, text, view};
use crate::objects::Object;

const OPERATOR: OperatorNames<'_> = OperatorNames { namespace: "tabular-system", name: "tabular-operator" };

fn lease(renewed: &str) -> Operator {
    let holder = Some("tabular-operator-7c9f_0123456789abcdef".to_owned());
    Operator::Lease(OperatorLease { holder, renewed: Some(at(renewed)), duration: 15 })
}

fn event(time: &str, is_warning: bool, reason: &str, note: &str) -> ResourceEvent {
    ResourceEvent { time: at(time), is_warning, reason: reason.to_owned(), note: note.to_owned() }
}

/// The sample in `docs/kubectl-tabular.md`.
pub(in crate::screens) fn sample() -> String {
    let events = vec![event("2026-11-29T21:04:00Z", true, "SecretNotFound", "Secret bi/aas-sp not found")];
    why(&forecast(), &Evidence { events: Some(events), operator: lease("2026-11-29T21:09:08Z") }).1
}

fn why(object: &Object, evidence: &Evidence) -> (Verdict, String) {
    let found = diagnosis(object, evidence, OPERATOR, at(NOW));
    let visible = Visible { objects: std::slice::from_ref(object), is_complete: true };
    (found.verdict, text(&super::why(object, &found, evidence, visible, &view(None))))
}

fn stalled(reason: &str, message: &str) -> Value {
    json!([condition("Stalled", "True", reason, message), condition("Ready", "False", reason, message)])
}

fn forecast() -> Object {
    let message = "Secret bi/aas-sp not found";
    let status = json!({
        "observedGeneration": 3, "run": run("Forecast", json!({"state": "Waiting", "reason": "SecretNotFound"})),
        "conditions": stalled("SecretNotFound", message), "missingSinceTime": "2026-11-29T18:59:12Z",
    });
    let metadata = json!({"name": "forecast", "namespace": "bi", "generation": 3, "creationTimestamp": "2026-11-01T00:00:00Z"});
    let spec = json!({"model": {}, "credentials": {"servicePrincipalRef": {"name": "aas-sp"}}});
    object_with(Kind::ModelRefresh, &metadata, &spec, &status)
}

#[test]
fn blocked_resource_has_cause_evidence_and_remedy() {
    let expected = "\
forecast is waiting and needs action: SecretNotFound for 2h10m.
  Cause     The Secret in servicePrincipalRef is not in this namespace, or has no keys yet.
  Message   Secret bi/aas-sp not found
  Evidence  22:04 Warning SecretNotFound (event)
            operator running: Lease renewed 4s ago by tabular-operator-7c9f · spec observed (generation 3)
  Fix       Create it.
            kubectl create secret generic aas-sp --namespace bi --from-literal=tenantId=TENANT_ID --from-literal=clientId=CLIENT_ID --from-file=clientSecret=FILE
  Next      The operator checks again within seconds at first, then every minute, and continues automatically. More: https://github.com/tabular-operator/tabular-operator/blob/main/docs/operations/troubleshooting.md#secretnotfound";
    assert_eq!(sample(), expected);
    assert_eq!(why(&forecast(), &Evidence::default()).0, Verdict::NeedsAction);
}

#[test]
fn narrow_terminal_wraps_text_but_no_command() {
    let (object, evidence) = (forecast(), Evidence::default());
    let found = diagnosis(&object, &evidence, OPERATOR, at(NOW));
    let shown = text(&super::why(&object, &found, &evidence, Visible { objects: &[], is_complete: true }, &view(Some(60))));
    // A link is not broken either.
    let (commands, prose): (Vec<&str>, Vec<&str>) = shown.lines().partition(|line| line.contains("kubectl ") || line.contains("docs/"));
    assert_eq!(commands.len(), 2, "{shown}");
    assert!(prose.iter().all(|line| screen::width_of(line) < 60), "{shown}");
    assert!(shown.contains("  Cause     The Secret in servicePrincipalRef is not in\n            this namespace, or"), "{shown}");
    assert!(shown.contains("events not\n            visible to you"), "{shown}");
}

#[test]
fn unobserved_resource_is_explained_by_the_operator() {
    let metadata = json!({"name": "new", "namespace": "bi", "generation": 1, "creationTimestamp": "2026-11-29T21:04:12Z"});
    let object = object_with(Kind::ModelSync, &metadata, &json!({"trigger": {"afterRefresh": {"name": "a"}}}), &Value::Null);
    let evidence = Evidence { events: Some(Vec::new()), operator: lease("2026-11-29T20:00:00Z") };
    let (verdict, shown) = why(&object, &evidence);
    let expected = "\
msync/new has not been observed by the operator for 5m00s and needs action.
  Cause     The operator has not observed the resource: it is not running, does not watch this namespace, or cannot write the status.
  Evidence  operator not running: Lease last renewed 1h9m ago by tabular-operator-7c9f · the resource not observed for 5m
  Fix       Check the operator.
            kubectl get pods --namespace tabular-system
            kubectl logs deployment/tabular-operator --namespace tabular-system
  Next      Nothing proceeds until an operator runs. Next run: after a. More: https://github.com/tabular-operator/tabular-operator/blob/main/docs/operations/troubleshooting.md";
    assert_eq!((verdict, shown.as_str()), (Verdict::NeedsAction, expected));
    // Just created: no action is needed yet if the operator runs.
    let evidence = Evidence { operator: lease("2026-11-29T21:09:08Z"), ..evidence };
    let metadata = json!({"name": "new", "namespace": "bi", "generation": 1, "creationTimestamp": "2026-11-29T21:09:10Z"});
    let object = object_with(Kind::ModelSync, &metadata, &json!({}), &Value::Null);
    assert_eq!(why(&object, &evidence).0, Verdict::Proceeds);
    let mut changed = forecast();
    changed.resource.meta_mut().generation = Some(4);
    let fields = json!([{"time": "2026-11-29T21:04:12Z", "fieldsV1": {"f:spec": {}}}]);
    changed.resource.meta_mut().managed_fields = serde_json::from_value(fields).unwrap();
    let (_, shown) = why(&changed, &evidence);
    assert!(shown.starts_with("forecast is waiting and needs action: the change to generation 4 not observed for 5m00s.\n"), "{shown}");
}

#[test]
fn silent_operator_needs_action_if_something_waits_for_it() {
    let silent = lease("2026-11-29T20:00:00Z");
    let released = Operator::Lease(OperatorLease { holder: None, renewed: None, duration: 15 });
    let of = |state: &str, next: &str, operator: &Operator| {
        let run = run("Orders", json!({"state": state, "reason": state, "endedTime": "2026-11-29T21:00:00Z"}));
        let status = json!({"run": run, "conditions": [condition("Ready", "True", state, "m")], "nextScheduleTime": next});
        why(&refresh("orders", "Orders", json!({}), status), &Evidence { events: None, operator: operator.clone() })
    };
    let (due, later) = ("2026-11-29T21:09:00Z", "2026-11-29T22:00:00Z");
    let (verdict, shown) = of("Running", later, &silent);
    assert_eq!(verdict, Verdict::NeedsAction);
    let commands = "\n            kubectl get pods --namespace tabular-system\n            kubectl logs deployment/tabular-operator";
    for part in ["orders is running and needs action: Running", "  Fix       Check the operator.", commands, "Nothing proceeds until"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert_eq!(of("Succeeded", due, &silent).0, Verdict::NeedsAction);
    assert_eq!(of("Succeeded", later, &silent).0, Verdict::Fine, "nothing waits for it");
    assert_eq!(of("Running", later, &released).0, Verdict::Fine, "an upgrade releases the Lease");
}

#[test]
fn reason_of_newer_version_is_shown_with_its_message() {
    let conditions = stalled("MoonIsFull", "the moon\u{1b}[2J is\u{202e} full");
    let (verdict, shown) = why(&refresh("orders", "Orders", json!({}), json!({"conditions": conditions})), &Evidence::default());
    assert_eq!(verdict, Verdict::NeedsAction);
    assert!(shown.starts_with("orders is waiting and needs action: MoonIsFull for 9m12s.\n"), "{shown}");
    for part in ["This plugin is older than the operator", "  Message   the moon [2J is full\n", "kubectl describe mref orders"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
}

#[test]
fn foreign_text_is_plain_and_no_part_of_a_command() {
    let hostile = "$(rm -rf ~)`id`; \u{1b}[2J\u{202e}{name}";
    let mut run = run("Orders", json!({"state": "Failed", "reason": "RefreshFailed", "endedTime": "2026-11-29T21:00:00Z"}));
    run["operationId"] = json!(hostile);
    run["candidates"] = json!([{"operationId": hostile, "status": hostile}]);
    run["failedObjects"] = json!([{"table": hostile, "status": hostile}]);
    run["messages"] = json!([{"type": hostile, "code": hostile, "message": hostile}]);
    let held = |reason: &str, state: &str| {
        let mut run = run.clone();
        (run["reason"], run["state"]) = (json!(reason), json!(state));
        refresh("orders", "Orders", json!({}), json!({"run": run, "model": hostile, "conditions": stalled(reason, hostile)}))
    };
    let evidence = Evidence { events: Some(vec![event(NOW, true, hostile, hostile)]), operator: Operator::Unknown };
    for object in [held("RefreshFailed", "Failed"), held("SubmissionUnknown", "Submitting"), held(hostile, "Waiting")] {
        let (_, shown) = why(&object, &evidence);
        assert!(shown.contains("$(rm") && !shown.contains(['\u{1b}', '\u{202e}']), "{shown}");
        let found = diagnosis(&object, &evidence, OPERATOR, at(NOW));
        assert!(!found.commands.is_empty() && found.commands.iter().all(|command| !command.contains(['$', ';', '`'])), "{found:?}");
    }
}

#[test]
fn missing_reference_may_still_appear() {
    let conditions =
        json!([condition("Reconciling", "True", "SecretNotFound", "m"), condition("Ready", "Unknown", "SecretNotFound", "m"),]);
    let run = run("Orders", json!({"state": "Waiting", "reason": "SecretNotFound"}));
    let object = refresh("orders", "Orders", json!({}), json!({"run": run, "conditions": conditions, "missingSinceTime": NOW}));
    let (verdict, shown) = why(&object, &Evidence::default());
    assert_eq!(verdict, Verdict::MayNeedAction);
    assert!(shown.contains("and needs action unless the missing object appears shortly: SecretNotFound for 0s."), "{shown}");
}

#[test]
fn refused_write_is_the_cause_until_a_later_write() {
    let status = |since: &str| {
        let mut ready = condition("Ready", "Unknown", "Running", "m");
        ready["lastTransitionTime"] = json!(since);
        json!({"run": run("Orders", json!({"state": "Running", "reason": "Running"})), "conditions": [ready]})
    };
    let events = [event("2026-11-29T21:05:00Z", true, "WriteRefused", "a webhook denied it"), event(NOW, false, "Running", "m")];
    let evidence = Evidence { events: Some(events[..1].to_vec()), operator: Operator::Unknown };
    let of = |since: &str, evidence: &Evidence| why(&refresh("orders", "Orders", json!({}), status(since)), evidence);
    let (verdict, shown) = of("2026-11-29T21:00:00Z", &evidence);
    assert_eq!(verdict, Verdict::NeedsAction);
    assert!(shown.contains("WriteRefused (event): a webhook denied it") && shown.contains("needs action: WriteRefused"), "{shown}");
    assert_eq!(of("2026-11-29T21:06:00Z", &evidence).0, Verdict::Fine);
}

#[test]
fn later_status_write_resolves_what_the_event_reports() {
    let of = |reason: &str, written: &str, generation: i64| {
        let metadata = json!({
            "name": "orders", "namespace": "bi", "generation": generation, "creationTimestamp": "2026-11-01T00:00:00Z",
            "managedFields": [{"subresource": "status", "time": written, "fieldsV1": {"f:status": {"f:run": {}}}}],
        });
        let run = run("Orders", json!({"state": "Running", "reason": "Running"}));
        let status = json!({"observedGeneration": 2, "run": run, "conditions": [condition("Ready", "Unknown", "Running", "m")]});
        let object = object_with(Kind::ModelRefresh, &metadata, &json!({"model": {}}), &status);
        let events = vec![event("2026-11-29T21:05:00.4Z", true, reason, "m")];
        why(&object, &Evidence { events: Some(events), operator: Operator::Unknown }).0
    };
    let (earlier, same_second, later) = ("2026-11-29T21:04:59Z", "2026-11-29T21:05:00Z", "2026-11-29T21:05:01Z");
    for reason in ["WriteRefused", "Undecodable"] {
        assert_eq!(of(reason, earlier, 2), Verdict::NeedsAction, "{reason}");
        assert_eq!(of(reason, same_second, 2), Verdict::NeedsAction, "{reason}: the write may precede the refused one");
        assert_eq!(of(reason, later, 2), Verdict::Fine, "{reason}");
    }
    assert_eq!(of("Undecodable", later, 3), Verdict::NeedsAction, "it may not decode this generation");
}

#[test]
fn failed_run_shows_what_the_service_reported() {
    let run = run(
        "Orders",
        json!({
            "state": "Failed", "reason": "RefreshFailed", "endedTime": "2026-11-29T04:07:10Z",
            "failedObjects": [{"table": "FactStock", "partition": "2026-11", "status": "failed"}],
            "messages": [{"type": "Error", "code": "0xC1", "message": "Login failed"}],
        }),
    );
    let status = json!({
        "run": run, "conditions": stalled("RefreshFailed", "operation 5 failed"), "nextScheduleTime": "2026-11-30T04:00:00Z",
    });
    let (verdict, shown) = why(&refresh("orders", "Orders", json!({}), status), &Evidence::default());
    assert_eq!(verdict, Verdict::NeedsAction);
    for part in [
        "orders failed and needs action: RefreshFailed 17h ago.\n",
        "  Service   Error 0xC1: Login failed\n            failed: FactStock/2026-11\n",
        "  Next      No run starts until the next trigger. Next run: 05:00 (in 6h). More: ",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
}

#[test]
fn blocked_deletion_has_the_command_that_releases() {
    let metadata = json!({
        "name": "orders", "namespace": "bi", "deletionTimestamp": "2026-11-29T21:04:12Z", "finalizers": [FINALIZER],
    });
    let run = run("Orders", json!({"state": "Cancelling", "reason": "Cancelling", "startedTime": "2026-11-29T21:00:00Z"}));
    let message = "the deletion waits until operation 7 has ended";
    let conditions = [condition("Reconciling", "True", "Cancelling", message), condition("Ready", "Unknown", "Cancelling", message)];
    let status = json!({"observedGeneration": 1, "run": run, "conditions": conditions});
    let (verdict, shown) = why(&object_with(Kind::ModelRefresh, &metadata, &json!({"model": {}}), &status), &Evidence::default());
    assert_eq!(verdict, Verdict::Fine);
    for part in [
        "orders is being deleted, and nothing is wrong: Cancelling for 9m12s.\n",
        "  Deletion  requested 5m ago; held by the finalizer tabular-operator.dev/operation\n",
        "kubectl tabular release orders --namespace bi    # delete it now, and leave its operation running\n",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
}

#[test]
fn suspended_resource_needs_action_only_for_a_submitted_run() {
    let of = |state: &str, reason: &str| {
        let status = json!({"run": run("Orders", json!({"state": state, "reason": reason})), "conditions": stalled(reason, "m")});
        why(&refresh("orders", "Orders", json!({"suspend": true}), status), &Evidence::default())
    };
    for (state, reason) in [("Failed", "RefreshFailed"), ("Waiting", "SecretNotFound")] {
        let (verdict, shown) = of(state, reason);
        assert_eq!(verdict, Verdict::Proceeds, "{shown}");
        assert!(shown.starts_with("orders is suspended, and needs no action: Suspended.\n"), "{shown}");
    }
    let (verdict, shown) = of("Submitting", "SubmissionUnknown");
    assert_eq!(verdict, Verdict::NeedsAction, "{shown}");
    assert!(shown.starts_with("orders is being submitted and needs action: SubmissionUnknown for 9m12s.\n"), "{shown}");
}

#[test]
fn stale_data_is_the_cause_only_if_nothing_runs() {
    let stale = |state: &str, extra: Value| {
        let mut run = run("Orders", json!({"state": state, "reason": state, "startedTime": "2026-11-29T21:00:00Z"}));
        if state == "Succeeded" {
            run["endedTime"] = json!("2026-11-29T19:00:00Z");
        }
        let mut spec = json!({"staleAfterSeconds": 3_600});
        spec.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        let status = json!({
            "run": run, "conditions": [condition("Ready", "True", state, "m")], "lastSuccessfulTime": "2026-11-29T19:00:00Z",
        });
        why(&refresh("orders", "Orders", spec, status), &Evidence::default())
    };
    let (verdict, shown) = stale("Succeeded", json!({}));
    assert_eq!(verdict, Verdict::Stale);
    assert!(shown.starts_with("orders succeeded, but its data is too old: Stale for 1h9m.\n"), "{shown}");
    assert!(shown.contains("kubectl tabular run orders --namespace bi    # run it again\n"), "{shown}");
    let (verdict, shown) = stale("Running", json!({}));
    assert_eq!(verdict, Verdict::Fine);
    assert!(shown.contains("  Data      2h9m old, target 1h: too old\n"), "{shown}");
    let (verdict, shown) = stale("Succeeded", json!({"suspend": true}));
    assert_eq!(verdict, Verdict::Stale);
    assert!(shown.starts_with("orders is suspended, but its data is too old") && shown.contains("until spec.suspend is false"), "{shown}");
}
