//! What `why` prints for each reason, as one file: a new reason, and each change of a text, shows in its difference.

use std::fmt::Write as _;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use kubectl_tabular::evidence::{Evidence, Operator, OperatorLease, ResourceEvent};
use kubectl_tabular::facts::{OperatorNames, Verdict, Visible, diagnosis};
use kubectl_tabular::objects::Object;
use kubectl_tabular::output::View;
use kubectl_tabular::screens;
use serde_json::{Value, json};
use tabular_operator::api::{Kind, Reason};

use crate::settle;

const NOW: &str = "2026-11-29T21:09:12Z";
/// When the state began.
const BEGAN: &str = "2026-11-29T20:59:12Z";
const MESSAGE: &str = "the message of the operator";
const ID: &str = "1344a272-7893-4afa-a4b3-3fb87222fdac";

/// How the operator reports a reason.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Situation {
    /// No run, with this status of Ready.
    NoRun(&'static str),
    /// A run in this state, which continues without a user.
    Proceeding(&'static str),
    /// A run in this state, which continues only after a user acts.
    Stalled(&'static str),
    /// An ended run. Each but `Succeeded` is Stalled.
    Ended(&'static str),
    /// Only an event, during a run.
    Event,
    /// The condition Fresh, which is False for `Stale`.
    Data,
}

fn situation(reason: Reason) -> Situation {
    match reason {
        Reason::Idle => Situation::NoRun("True"),
        Reason::Suspended => Situation::NoRun("False"),
        Reason::WaitingForTurn | Reason::ModelBusy | Reason::BackingOff | Reason::CapacityExceeded | Reason::Retrying => {
            Situation::Proceeding("Waiting")
        }
        Reason::Submitting | Reason::ResolvingSubmission => Situation::Proceeding("Submitting"),
        Reason::ChangeNotRun | Reason::Running => Situation::Proceeding("Running"),
        Reason::Cancelling => Situation::Proceeding("Cancelling"),
        Reason::SubmissionUnknown => Situation::Stalled("Submitting"),
        Reason::InvalidSpec
        | Reason::UpstreamNotFound
        | Reason::UpstreamUnreadable
        | Reason::UpstreamCycle
        | Reason::ServerNotInCloud
        | Reason::SecretNotFound
        | Reason::SecretInvalid
        | Reason::SecretForbidden
        | Reason::ServiceAccountNotFound
        | Reason::ServiceAccountInvalid
        | Reason::ServiceAccountForbidden
        | Reason::IdentityNotAllowed
        | Reason::OperatorIdentityInvalid
        | Reason::CredentialsRefused
        | Reason::AccessDenied
        | Reason::ModelNotFound
        | Reason::OwnerNotFound
        | Reason::ModelNotResolved
        | Reason::ServerPaused
        | Reason::ScaleOutDisabled
        | Reason::QuotaExceeded => Situation::Stalled("Waiting"),
        Reason::Succeeded => Situation::Ended("Succeeded"),
        Reason::RefreshFailed
        | Reason::SyncFailed
        | Reason::Evicted
        | Reason::NodeMoved
        | Reason::AttemptTimeLimit
        | Reason::TotalTimeLimit
        | Reason::CapacityPaused
        | Reason::RefreshDisabled
        | Reason::RequestDropped
        | Reason::WaitDeadlineExceeded
        | Reason::OperationLost
        | Reason::Conflict
        | Reason::RequestRejected
        | Reason::ContradictoryAnswer => Situation::Ended("Failed"),
        Reason::TimedOut | Reason::DeadlineExceeded => Situation::Ended("TimedOut"),
        Reason::Cancelled | Reason::Replaced | Reason::Uninstalled | Reason::CancelledOnRequest => Situation::Ended("Cancelled"),
        Reason::Fresh | Reason::Stale => Situation::Data,
        Reason::Released
        | Reason::Deleted
        | Reason::NotCancelled
        | Reason::Resubmitted
        | Reason::Adopted
        | Reason::DecisionIgnored
        | Reason::MissedSchedule
        | Reason::TriggerDropped
        | Reason::UpstreamRunsMissed
        | Reason::StatusRestored
        | Reason::ConflictReplaced
        | Reason::WriteRefused
        | Reason::Undecodable => Situation::Event,
    }
}

fn condition(kind: &str, status: &str, reason: &str) -> Value {
    json!({
        "type": kind, "status": status, "reason": reason, "message": MESSAGE, "observedGeneration": 1, "lastTransitionTime": BEGAN,
    })
}

fn run(state: &str, reason: &str) -> Value {
    let mut run = json!({
        "number": 41, "attempt": 1, "requestDigest": "d", "trigger": {"type": "Schedule", "value": BEGAN}, "model": {}, "state": state,
        "reason": reason, "message": MESSAGE, "requestedTime": BEGAN, "waitingSinceTime": BEGAN,
    });
    match state {
        "Waiting" if ["WaitingForTurn", "ModelBusy"].contains(&reason) => run["waitingFor"] = json!("refresh 13 of another client"),
        "Waiting" => {}
        "Submitting" => run["submittedTime"] = json!(BEGAN),
        "Running" | "Cancelling" => (run["startedTime"], run["operationId"]) = (json!(BEGAN), json!(ID)),
        _ => run["endedTime"] = json!(BEGAN),
    }
    run
}

/// A resource with this reason, as the operator reports it, and its event.
fn resource(reason: Reason) -> (Object, Evidence) {
    let (name, situation) = (reason.as_str(), situation(reason));
    let (spec, status, of_event) = match situation {
        Situation::NoRun(ready) => (json!({"suspend": ready == "False"}), json!({"conditions": [condition("Ready", ready, name)]}), BEGAN),
        Situation::Proceeding(state) => {
            let conditions = [condition("Reconciling", "True", name), condition("Ready", "Unknown", name)];
            (json!({}), json!({"run": run(state, name), "conditions": conditions}), BEGAN)
        }
        Situation::Ended("Succeeded") => {
            (json!({}), json!({"run": run("Succeeded", name), "conditions": [condition("Ready", "True", name)]}), BEGAN)
        }
        Situation::Stalled(state) | Situation::Ended(state) => {
            let conditions = [condition("Stalled", "True", name), condition("Ready", "False", name)];
            (json!({}), json!({"run": run(state, name), "conditions": conditions}), BEGAN)
        }
        Situation::Event => {
            let conditions = [condition("Reconciling", "True", "Running"), condition("Ready", "Unknown", "Running")];
            (json!({}), json!({"run": run("Running", "Running"), "conditions": conditions}), "2026-11-29T21:04:12Z")
        }
        Situation::Data => {
            let fresh = if reason == Reason::Fresh { "True" } else { "False" };
            let conditions = [condition("Ready", "True", "Succeeded"), condition("Fresh", fresh, name)];
            let status = json!({"run": run("Succeeded", "Succeeded"), "lastSuccessfulTime": BEGAN, "conditions": conditions});
            (json!({"staleAfterSeconds": if reason == Reason::Fresh { 3_600 } else { 300 }}), status, BEGAN)
        }
    };
    let note = if situation == Situation::Event { "the message of the event" } else { MESSAGE };
    let event = ResourceEvent {
        time: of_event.parse().unwrap(),
        is_warning: reason.warns() == Some(true),
        reason: name.to_owned(),
        note: note.to_owned(),
    };
    let lease = OperatorLease {
        holder: Some("tabular-operator-7c9f-x2x9p_0123456789abcdef".to_owned()),
        renewed: Some("2026-11-29T21:09:08Z".parse().unwrap()),
        duration: 15,
    };
    let events = reason.warns().map(|_| event).into_iter().collect();
    (object(reason, &spec, status), Evidence { events: Some(events), operator: Operator::Lease(lease) })
}

fn object(reason: Reason, spec: &Value, mut status: Value) -> Object {
    let account = json!({"workloadIdentity": {"serviceAccountName": "refresher"}});
    let secret = json!({"servicePrincipalRef": {"name": "aas-sp"}});
    let mut whole = json!({
        "model": {"analysisServices": {"server": "asazure://westus.asazure.windows.net/myserver", "database": "Forecast"}},
        "credentials": if reason.as_str().starts_with("ServiceAccount") { account } else { secret },
    });
    whole.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    status["observedGeneration"] = json!(1);
    let metadata = json!({"name": "forecast", "namespace": "bi", "generation": 1, "creationTimestamp": "2026-11-01T00:00:00Z"});
    let object = json!({"metadata": metadata, "spec": whole, "status": status});
    Object::parse(Kind::ModelRefresh, serde_json::from_value(object).unwrap()).unwrap()
}

fn view() -> View {
    let now: Timestamp = NOW.parse().unwrap();
    View { now, zone: TimeZone::get("Europe/Rome").unwrap(), utc: false, width: None, wide: false, flags: String::new() }
}

fn text(object: &Object, evidence: &Evidence) -> (Verdict, String) {
    let operator = OperatorNames { namespace: "tabular-system", name: "tabular-operator" };
    let found = diagnosis(object, evidence, operator, view().now);
    let visible = Visible { objects: std::slice::from_ref(object), is_complete: true };
    let lines = screens::why(object, &found, evidence, visible, &view());
    let lines: Vec<String> = lines.iter().map(screen::text_of).collect();
    (found.verdict, lines.join("\n"))
}

#[test]
fn why_explains_every_reason() {
    let mut all = "What `kubectl tabular why` prints for each reason. Generated by `make generate`.\n".to_owned();
    for reason in Reason::ALL {
        let (object, evidence) = resource(*reason);
        let (verdict, text) = text(&object, &evidence);
        let situation = situation(*reason);
        let needs_action = match situation {
            Situation::Stalled(_) => true,
            // What a user or a new trigger requested needs no correction.
            Situation::Ended(state) => state != "Succeeded" && !matches!(reason, Reason::Replaced | Reason::CancelledOnRequest),
            Situation::Event => matches!(reason, Reason::WriteRefused | Reason::Undecodable),
            Situation::NoRun(_) | Situation::Proceeding(_) | Situation::Data => false,
        };
        assert_eq!(verdict == Verdict::NeedsAction, needs_action, "{reason}: {text}");
        if situation != Situation::Data {
            assert!(text.contains(reason.as_str()), "{reason}: {text}");
        }
        assert!(text.contains("  Cause     ") && text.contains("  Next      "), "{reason}: {text}");
        assert!(!text.contains('`') && !text.contains("name}") && !text.contains("namespace}"), "unfilled, or Markdown: {text}");
        // Writing to a String cannot fail.
        let _ = write!(all, "\n# {reason}\n{text}\n");
    }
    settle("plugin/tests/why.txt", &all);
}
