//! The decisions of a user on a submission whose outcome is unknown, and on a deletion that does not end.

use kube::Resource as _;
use tabular_operator::api::{ADOPT, Candidate, RELEASE, RESUBMIT, Reason, Run, RunState};
use tabular_operator::engine::resubmit_value;
use tabular_operator::operation::OperationId;

use super::request_outcome::outcome_of_run;
use super::{RequestOutcome, RunEnd, reason, state};
use crate::objects::Object;

/// A decision, as an annotation records it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The run tracks this operation.
    Adopt(OperationId),
    /// The submission started nothing, so the run is submitted again. The value names the run and the attempt.
    Resubmit(String),
    /// The resource is deleted, and its operation may continue.
    Release,
}

impl Decision {
    /// The decision to submit a run again.
    #[must_use]
    pub fn resubmit(run: &Run) -> Self {
        Self::Resubmit(resubmit_value(run))
    }

    /// The annotation that records it.
    #[must_use]
    pub fn annotation(&self) -> &'static str {
        match self {
            Self::Adopt(_) => ADOPT,
            Self::Resubmit(_) => RESUBMIT,
            Self::Release => RELEASE,
        }
    }

    /// The value of the annotation.
    #[must_use]
    pub fn value(&self) -> &str {
        match self {
            Self::Adopt(id) => id.as_str(),
            Self::Resubmit(value) => value,
            Self::Release => "true",
        }
    }
}

/// The run with an unresolved submission.
///
/// # Errors
/// Why there is no decision to make.
pub fn unresolved(object: &Object) -> Result<&Run, String> {
    let name = object.name();
    let is_held = |run: &&Run| run.state == RunState::Submitting && run.reason == Reason::SubmissionUnknown.as_str();
    let run = object.run().filter(is_held).ok_or_else(|| {
        let (state, reason) = (state(object), reason(object));
        let reason = if reason.is_empty() || reason == state { String::new() } else { format!(" ({reason})") };
        format!("no submission of {name} needs a decision: its state is {state}{reason}")
    })?;
    match [ADOPT, RESUBMIT].into_iter().find(|annotation| annotated(object, annotation)) {
        Some(annotation) => Err(format!("{name} already has the annotation {annotation}, which the operator has not handled yet")),
        None => Ok(run),
    }
}

/// The candidate with an id, as the user or the service writes it.
///
/// # Errors
/// Why the operation cannot be adopted.
pub fn candidate(run: &Run, id: &str) -> Result<OperationId, String> {
    let listed = run.candidates.iter().find(|candidate| candidate.operation_id.trim().eq_ignore_ascii_case(id.trim()));
    listed.and_then(operation).ok_or_else(|| format!("{id:?} is not one of the candidates, so it cannot be adopted"))
}

/// The operation of a candidate; `None` if the operator would refuse its id.
#[must_use]
pub fn operation(candidate: &Candidate) -> Option<OperationId> {
    OperationId::parse(&candidate.operation_id)
}

/// Why a resource cannot be released; `None` if it can.
#[must_use]
pub fn cannot_release(object: &Object) -> Option<String> {
    let name = object.name();
    if !object.is_deleting() {
        return Some(format!("{name} is not being deleted, so it cannot be released: delete it first"));
    }
    if object.resource.is_released() {
        let others = object.resource.meta().finalizers.iter().flatten().map(|finalizer| crate::output::shown(finalizer));
        let others = others.collect::<Vec<_>>().join(", ");
        return Some(format!("the operator has already released {name}: its deletion waits for the finalizers of others: {others}"));
    }
    let requested = object.resource.meta().annotations.as_ref().and_then(|annotations| annotations.get(RELEASE));
    (requested.is_some_and(|value| value == "true"))
        .then(|| format!("{name} already has the annotation {RELEASE}, which the operator has not handled yet"))
}

/// What became of a decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DecisionOutcome {
    /// The operator has not handled it.
    Pending,
    /// The operator acted on it. A run that will be submitted again may wait first.
    Applied,
    /// The run ended and is not submitted again, because its cancellation was requested, or its wait took too long.
    Ended(Box<RunEnd>),
    /// The operator removed it without an effect, and an event states why.
    Ignored,
    /// The resource no longer exists, or another one has its name.
    Deleted,
}

impl DecisionOutcome {
    /// The name in reports.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Applied => "Applied",
            Self::Ended(_) => "Ended",
            Self::Ignored => "Ignored",
            Self::Deleted => "Deleted",
        }
    }

    /// How the run ended, if it is not submitted again.
    #[must_use]
    pub fn end(&self) -> Option<&RunEnd> {
        match self {
            Self::Ended(end) => Some(end),
            Self::Pending | Self::Applied | Self::Ignored | Self::Deleted => None,
        }
    }
}

/// What became of a decision on `before`, by the current version of the resource.
#[must_use]
pub fn decision_outcome(decision: &Decision, before: &Object, current: Option<&Object>) -> DecisionOutcome {
    let Some(current) = current.filter(|current| current.resource.meta().uid == before.resource.meta().uid) else {
        return DecisionOutcome::Deleted;
    };
    match decision {
        Decision::Release if current.resource.is_released() => DecisionOutcome::Applied,
        Decision::Release => DecisionOutcome::Pending,
        Decision::Adopt(_) | Decision::Resubmit(_) if annotated(current, decision.annotation()) => DecisionOutcome::Pending,
        Decision::Adopt(_) | Decision::Resubmit(_) if is_held(before, current) => DecisionOutcome::Ignored,
        Decision::Adopt(_) => DecisionOutcome::Applied,
        Decision::Resubmit(_) => end_without_operation(before, current).map_or(DecisionOutcome::Applied, DecisionOutcome::Ended),
    }
}

/// Whether a version of the resource shows that a decision on `before` was recorded: by its annotation, or by its effect, because the
/// operator removes the annotation of a decision that it has handled.
#[must_use]
pub fn is_recorded(decision: &Decision, before: &Object, read: &Object) -> bool {
    let has_annotation = read.annotation(decision.annotation()) == Some(decision.value());
    before.uid() == read.uid() && (has_annotation || has_effect(decision, before, read))
}

/// Whether the operator has acted on a decision, or on another one with the same effect.
fn has_effect(decision: &Decision, before: &Object, read: &Object) -> bool {
    let runs = before.run().zip(read.run());
    let runs = runs.filter(|(earlier, run)| (run.number, run.attempt) == (earlier.number, earlier.attempt));
    match decision {
        Decision::Adopt(id) => runs.and_then(|(_, run)| run.operation_id.as_deref()).is_some_and(|own| id.eq_ignoring_case(own)),
        Decision::Resubmit(_) => runs.is_some_and(|(earlier, run)| run.resubmissions > earlier.resubmissions),
        Decision::Release => read.resource.is_released(),
    }
}

/// Whether the operator has accepted the decision to submit a run again, and has not decided yet what the run waits for.
#[must_use]
pub fn is_unsettled(decision: &Decision, current: &Object) -> bool {
    let waits = |run: &Run| run.state == RunState::Waiting && run.reason == Reason::Retrying.as_str();
    matches!(decision, Decision::Resubmit(_)) && current.run().is_some_and(waits)
}

/// Whether the submission that the decision is about still needs one.
fn is_held(before: &Object, current: &Object) -> bool {
    unresolved(current).is_ok_and(|run| Some(resubmit_value(run)) == submission_of(before))
}

/// How the run ended that the decision is about, if the submission after the decision started no operation.
fn end_without_operation(before: &Object, current: &Object) -> Option<Box<RunEnd>> {
    let RequestOutcome::Ended(end) = outcome_of_run(current, before.run()?.number) else { return None };
    let is_before_submission =
        [Reason::CancelledOnRequest, Reason::WaitDeadlineExceeded].iter().any(|reason| end.reason == reason.as_str());
    // The end of an operation has a duration.
    (is_before_submission && end.duration.is_none()).then_some(end)
}

/// The submission that the decision is about.
fn submission_of(object: &Object) -> Option<String> {
    object.run().map(resubmit_value)
}

fn annotated(object: &Object, annotation: &str) -> bool {
    object.resource.meta().annotations.as_ref().is_some_and(|annotations| annotations.contains_key(annotation))
}

#[cfg(test)]
mod tests {
    use kube::ResourceExt as _;
    use serde_json::{Value, json};

    use super::*;
    use crate::fixture::{ended, refresh, run};

    const ID: &str = "1344A272-7893-4afa-a4b3-3fb87222fdac";

    fn held(fields: &Value) -> Object {
        let mut whole = json!({
            "state": "Submitting", "reason": "SubmissionUnknown",
            "candidates": [{"operationId": ID, "status": "inProgress"}, {"operationId": "a/../b", "status": "completed"}],
        });
        whole.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        refresh("orders", "Orders", json!({}), json!({"run": run("Orders", whole)}))
    }

    fn with(mut object: Object, annotation: &str) -> Object {
        object.resource.annotations_mut().insert(annotation.to_owned(), "true".to_owned());
        object
    }

    fn deleting(mut object: Object, finalizers: &[&str]) -> Object {
        object.resource.meta_mut().deletion_timestamp = object.resource.meta().creation_timestamp.clone();
        object.resource.meta_mut().finalizers = Some(finalizers.iter().map(|name| (*name).to_owned()).collect());
        object
    }

    #[test]
    fn decision_needs_unresolved_submission() {
        assert!(unresolved(&held(&json!({}))).is_ok());
        let sentence = |object: &Object| unresolved(object).unwrap_err();
        assert_eq!(
            sentence(&held(&json!({"state": "Running", "reason": "Running"}))),
            "no submission of orders needs a decision: its state is Running"
        );
        assert!(sentence(&held(&json!({"reason": "ResolvingSubmission"}))).ends_with("its state is Submitting"));
        assert!(sentence(&with(held(&json!({})), ADOPT)).contains("already has the annotation tabular-operator.dev/adopt"));
        assert!(sentence(&refresh("new", "New", json!({}), json!({}))).contains("no submission of new"));
    }

    #[test]
    fn only_candidates_can_be_adopted() {
        let object = held(&json!({}));
        let run = object.run().unwrap();
        assert_eq!(candidate(run, &ID.to_lowercase()).unwrap().as_str(), ID, "as the service writes it");
        for id in ["", "1344A272", "0e0e0e0e-7893-4afa-a4b3-3fb87222fdac", "a/../b"] {
            assert!(candidate(run, id).unwrap_err().contains("is not one of the candidates"), "{id}");
        }
    }

    #[test]
    fn release_needs_deletion_that_the_operator_holds() {
        let object = || held(&json!({}));
        assert!(cannot_release(&object()).unwrap().contains("is not being deleted"));
        assert!(cannot_release(&deleting(object(), &["other.example/x"])).unwrap().ends_with("of others: other.example/x"));
        let stuck = || deleting(object(), &["tabular-operator.dev/operation"]);
        assert_eq!(cannot_release(&stuck()), None);
        assert!(cannot_release(&with(stuck(), RELEASE)).unwrap().contains("already has the annotation"));
    }

    #[test]
    fn effect_is_known_when_the_operator_removed_the_annotation() {
        let before = held(&json!({}));
        let adopt = Decision::Adopt(OperationId::parse(ID).unwrap());
        let resubmit = Decision::resubmit(before.run().unwrap());
        assert_eq!((resubmit.annotation(), resubmit.value()), (RESUBMIT, "run-41-attempt-1"));
        let running = held(&json!({"state": "Running", "reason": "Running"}));
        let again = held(&json!({"resubmissions": 1}));
        let rows = vec![
            (&adopt, Some(with(before.clone(), ADOPT)), DecisionOutcome::Pending),
            (&adopt, Some(with(running.clone(), ADOPT)), DecisionOutcome::Pending),
            (&adopt, Some(running), DecisionOutcome::Applied),
            (&adopt, Some(before.clone()), DecisionOutcome::Ignored),
            (&resubmit, Some(before.clone()), DecisionOutcome::Ignored),
            (&resubmit, Some(again), DecisionOutcome::Applied),
            (&adopt, None, DecisionOutcome::Deleted),
            (&Decision::Release, Some(deleting(before.clone(), &["tabular-operator.dev/operation"])), DecisionOutcome::Pending),
            (&Decision::Release, Some(deleting(before.clone(), &["other.example/x"])), DecisionOutcome::Applied),
        ];
        for (decision, current, expected) in rows {
            assert_eq!(decision_outcome(decision, &before, current.as_ref()), expected, "{decision:?} {current:?}");
        }
        let mut other = before.clone();
        other.resource.meta_mut().uid = Some("other".to_owned());
        assert_eq!(decision_outcome(&adopt, &before, Some(&other)), DecisionOutcome::Deleted);
    }

    #[test]
    fn decision_is_found_by_its_annotation_or_its_effect() {
        let before = held(&json!({}));
        let adopt = Decision::Adopt(OperationId::parse(ID).unwrap());
        let resubmit = Decision::resubmit(before.run().unwrap());
        let annotated = |decision: &Decision| {
            let mut object = before.clone();
            object.resource.annotations_mut().insert(decision.annotation().to_owned(), decision.value().to_owned());
            object
        };
        for decision in [&adopt, &resubmit, &Decision::Release] {
            assert!(is_recorded(decision, &before, &annotated(decision)), "{decision:?}");
            assert!(!is_recorded(decision, &before, &before), "{decision:?}");
        }
        let tracked = |id: &str| held(&json!({"state": "Running", "reason": "Running", "operationId": id}));
        let again = held(&json!({"state": "Cancelled", "reason": "CancelledOnRequest", "resubmissions": 1}));
        let released = deleting(before.clone(), &["other.example/x"]);
        let rows = vec![
            (&adopt, tracked(&ID.to_lowercase()), true),
            (&adopt, tracked("9b1e04aa-7893-4afa-a4b3-3fb87222fdac"), false),
            (&adopt, again.clone(), false),
            (&resubmit, again, true),
            (&resubmit, tracked(ID), false),
            (&Decision::Release, released, true),
            // The decision of another user on another submission.
            (&adopt, with(before.clone(), ADOPT), false),
            (&resubmit, held(&json!({"attempt": 2, "resubmissions": 1})), false),
        ];
        for (decision, read, expected) in rows {
            assert_eq!(is_recorded(decision, &before, &read), expected, "{decision:?} {read:?}");
        }
        let mut other = annotated(&adopt);
        other.resource.meta_mut().uid = Some("other".to_owned());
        assert!(!is_recorded(&adopt, &before, &other));
    }

    #[test]
    fn run_that_ended_is_not_submitted_again() {
        let before = held(&json!({"cancelCause": "Request"}));
        let resubmit = Decision::resubmit(before.run().unwrap());
        let end = |current: &Object| {
            let outcome = decision_outcome(&resubmit, &before, Some(current));
            assert!(outcome == DecisionOutcome::Applied || outcome.as_str() == "Ended", "{outcome:?}");
            outcome.end().map(|end| (end.number, end.state))
        };
        let (cancelled, time) = (Some((41, RunState::Cancelled)), "2026-11-29T21:05:00Z");
        let state = |state: &str, reason: &str| json!({"state": state, "reason": reason, "resubmissions": 1, "endedTime": time});
        assert_eq!(end(&held(&state("Cancelled", "CancelledOnRequest"))), cancelled);
        assert_eq!(end(&held(&state("TimedOut", "WaitDeadlineExceeded"))), Some((41, RunState::TimedOut)));
        let mut failed = state("Failed", "RefreshFailed");
        failed["startedTime"] = time.into();
        assert_eq!(end(&held(&failed)), None, "it was submitted again");
        assert_eq!(end(&held(&state("Succeeded", "Succeeded"))), None, "it was submitted again");
        // A queued trigger has started the next run.
        let after = |duration: Value| {
            let mut entry = ended(41, time, "Cancelled", 0, "");
            entry["reason"] = "CancelledOnRequest".into();
            entry["durationSeconds"] = duration;
            refresh(
                "orders",
                "Orders",
                json!({}),
                json!({"run": run("Orders", json!({"number": 42, "state": "Running"})), "history": [entry]}),
            )
        };
        assert_eq!((end(&after(Value::Null)), end(&after(json!(60)))), (cancelled, None));
    }

    #[test]
    fn accepted_resubmission_settles_when_its_wait_has_a_reason() {
        let resubmit = Decision::resubmit(held(&json!({})).run().unwrap());
        let unsettled = |state: &str, reason: &str| is_unsettled(&resubmit, &held(&json!({"state": state, "reason": reason})));
        assert!(unsettled("Waiting", "Retrying"));
        assert!(!unsettled("Waiting", "Suspended") && !unsettled("Waiting", "WaitingForTurn") && !unsettled("Submitting", "Submitting"));
        let adopt = Decision::Adopt(OperationId::parse(ID).unwrap());
        assert!(!is_unsettled(&adopt, &held(&json!({"state": "Waiting", "reason": "Retrying"}))));
    }
}
