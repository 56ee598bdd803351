//! Changes and requests of a user that the operator has not observed.

use jiff::Timestamp;
use kube::Resource as _;
use serde_json::Value;
use tabular_operator::api::{
    ADOPT, CANCEL_REQUESTED_AT, CHECK_REQUESTED_AT, ConditionType, RELEASE, RESUBMIT, RUN_REQUESTED_AT, RunState, value_digest,
};

use super::reason;
use crate::objects::Object;

/// A change that the operator has not observed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unobserved {
    /// What changed, such as `the requested run`.
    pub what: String,
    /// For how many seconds; `None` if the API server does not show when it changed.
    pub seconds: Option<i64>,
}

/// The changes that the operator has not observed, the oldest first.
#[must_use]
pub fn unobserved(object: &Object, now: Timestamp) -> Vec<Unobserved> {
    if object.resource.is_released() {
        // The operator no longer writes its status.
        return Vec::new();
    }
    let (status, meta) = (object.status(), object.resource.meta());
    let value = |name: &str| meta.annotations.as_ref().and_then(|annotations| annotations.get(name)).filter(|value| !value.is_empty());
    let is_handled = |value: &String, last: Option<&String>| last.is_some_and(|last| last == value || *last == value_digest(value));
    let mut found = Vec::new();
    if !status.is_observed() {
        found.push(("the resource".to_owned(), object.created()));
    } else if let Some(generation) = meta.generation.filter(|generation| *generation > status.observed_generation) {
        found.push((format!("the change to generation {generation}"), changed(object, "", &["f:spec"])));
    }
    let annotations = [
        (RUN_REQUESTED_AT, "the requested run", status.last_handled_request.as_ref()),
        (CANCEL_REQUESTED_AT, "the requested cancellation", status.last_handled_cancel_request.as_ref()),
        (CHECK_REQUESTED_AT, "the requested check", status.check.as_ref().map(|check| &check.request)),
        (ADOPT, "the annotation adopt", None),
        (RESUBMIT, "the annotation resubmit", None),
        (RELEASE, "the annotation release", None),
    ];
    for (annotation, what, last) in annotations {
        if is_prompt(object, annotation) && value(annotation).is_some_and(|value| !is_handled(value, last)) {
            found.push((what.to_owned(), changed(object, "", &["f:metadata", "f:annotations", &format!("f:{annotation}")])));
        }
    }
    let seconds = |time: Timestamp| now.duration_since(time).as_secs().max(0);
    let mut found: Vec<Unobserved> = found.into_iter().map(|(what, time)| Unobserved { what, seconds: time.map(seconds) }).collect();
    found.sort_by_key(|change| std::cmp::Reverse(change.seconds));
    found
}

/// Whether the operator handles an annotation as soon as it observes it. It handles some of them later: a request joins the run that waits,
/// or is queued, and a decision on a submission waits until it is needed.
fn is_prompt(object: &Object, annotation: &str) -> bool {
    if object.is_deleting() || annotation == RELEASE {
        return object.is_deleting() && annotation == RELEASE;
    }
    let run = object.run();
    match annotation {
        RUN_REQUESTED_AT => {
            // The end of a run that failed blocks no further run.
            let is_blocked = object.is(ConditionType::Stalled) && run.is_none_or(|run| run.reason != reason(object));
            let is_queued = object.status().queued.is_some() || object.is_suspended() || is_blocked;
            !is_queued && run.is_none_or(|run| run.state.ended())
        }
        CHECK_REQUESTED_AT | ADOPT | RESUBMIT => run.is_none_or(|run| run.state != RunState::Submitting),
        _ => true,
    }
}

/// When a client last changed a field by this subresource, by the managers of the fields.
pub(super) fn changed(object: &Object, subresource: &str, path: &[&str]) -> Option<Timestamp> {
    let managers = object.resource.meta().managed_fields.as_deref().unwrap_or_default();
    let owns = |fields: &Value| path.iter().try_fold(fields, |fields, part| fields.get(part)).is_some();
    let times = managers.iter().filter_map(|entry| {
        let is_same = entry.subresource.as_deref().unwrap_or_default() == subresource;
        let fields = entry.fields_v1.as_ref().filter(|fields| is_same && owns(&fields.0));
        fields.and(entry.time.as_ref()).map(|time| time.0)
    });
    times.max()
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tabular_operator::api::Kind;

    use super::*;
    use crate::fixture::{at, condition, object_with, run};

    fn of(metadata: &Value, status: &Value) -> Vec<(String, Option<i64>)> {
        let mut whole = json!({
            "name": "sales", "namespace": "bi", "generation": 4, "creationTimestamp": "2026-11-29T21:00:00Z",
            "managedFields": [
                {"manager": "kubectl", "time": "2026-11-29T21:05:00Z", "fieldsV1": {"f:spec": {}}},
                {"manager": "other", "time": "2026-11-29T21:06:00Z", "fieldsV1": {
                    "f:metadata": {"f:annotations": {"f:tabular-operator.dev/run-requested-at": {}}}, "f:spec": {"f:suspend": {}},
                }},
                {"manager": "operator", "subresource": "status", "time": "2026-11-29T21:09:00Z", "fieldsV1": {"f:spec": {}}},
            ],
        });
        whole.as_object_mut().unwrap().extend(metadata.as_object().unwrap().clone());
        let object = object_with(Kind::ModelRefresh, &whole, &json!({"model": {}}), status);
        let found = unobserved(&object, at("2026-11-29T21:09:12Z"));
        found.into_iter().map(|change| (change.what, change.seconds)).collect()
    }

    #[test]
    fn unobserved_changes_have_an_age() {
        assert_eq!(of(&json!({}), &json!({"observedGeneration": 4})), []);
        assert_eq!(of(&json!({}), &Value::Null), [("the resource".to_owned(), Some(552))]);
        assert_eq!(of(&json!({}), &json!({"observedGeneration": 3})), [("the change to generation 4".to_owned(), Some(192))]);
        let requested = json!({"annotations": {RUN_REQUESTED_AT: "now", CANCEL_REQUESTED_AT: "x".repeat(400), ADOPT: "1344a272"}});
        let expected = [("the requested run", Some(192)), ("the requested cancellation", None), ("the annotation adopt", None)];
        let expected: Vec<_> = expected.into_iter().map(|(what, seconds)| (what.to_owned(), seconds)).collect();
        assert_eq!(of(&requested, &json!({"observedGeneration": 4})), expected);
        let handled = json!({
            "observedGeneration": 4, "lastHandledRequest": "now", "lastHandledCancelRequest": value_digest(&"x".repeat(400)),
        });
        assert_eq!(of(&requested, &handled), [("the annotation adopt".to_owned(), None)]);
    }

    #[test]
    fn request_that_waits_for_its_run_is_observed() {
        let requested = json!({"annotations": {RUN_REQUESTED_AT: "now", ADOPT: "1344a272"}});
        let what = |status: Value| of(&requested, &status).into_iter().map(|(what, _)| what).collect::<Vec<_>>();
        let status = |state: &str| json!({"observedGeneration": 4, "run": run("M", json!({"state": state, "reason": "r"}))});
        let (request, adopt) = ("the requested run".to_owned(), "the annotation adopt".to_owned());
        assert_eq!(what(status("Waiting")), std::slice::from_ref(&adopt), "the request joins the run");
        assert_eq!(what(status("Submitting")), Vec::<String>::new(), "the decision may be needed later");
        assert_eq!(what(status("Running")), std::slice::from_ref(&adopt), "the request is queued");
        assert_eq!(what(status("Succeeded")), [request.clone(), adopt.clone()]);
        let stalled = |reason: &str| {
            let mut failed = status("Failed");
            let conditions = ["Stalled", "Ready"].map(|kind| condition(kind, if kind == "Ready" { "False" } else { "True" }, reason, "m"));
            failed["conditions"] = json!(conditions);
            failed
        };
        assert_eq!(what(stalled("r")), [request, adopt.clone()], "the end of the run blocks nothing");
        assert_eq!(what(stalled("SecretNotFound")), std::slice::from_ref(&adopt), "the request is queued");
        let mut queued = status("Succeeded");
        queued["queued"] = json!({"type": "Request", "value": "now"});
        assert_eq!(what(queued), [adopt]);
    }

    #[test]
    fn deletion_leaves_only_what_still_has_an_effect() {
        let metadata = json!({
            "deletionTimestamp": "2026-11-29T21:08:00Z", "finalizers": ["tabular-operator.dev/operation"],
            "annotations": {RUN_REQUESTED_AT: "now", RELEASE: "true"},
        });
        assert_eq!(of(&metadata, &json!({"observedGeneration": 4})), [("the annotation release".to_owned(), None)]);
        let released = json!({"deletionTimestamp": "2026-11-29T21:08:00Z", "finalizers": ["other.example/x"]});
        assert_eq!(of(&released, &json!({"observedGeneration": 3})), [], "the deletion changed the generation");
    }
}
