//! `adopt`, `resubmit` and `release`: what is known, and what will happen.

use jiff::Timestamp;
use kube::Resource as _;
use tabular_operator::api::{CancelCause, ConditionType, Kind, Run, RunState};

use super::cells;
use super::request::{command, verb};
use crate::facts::decision::{Decision, DecisionOutcome, operation};
use crate::facts::{reason, state};
use crate::objects::Object;
use crate::output::{View, shown};

/// The candidates for a submission whose response was lost, one in each line, with their numbers.
#[must_use]
pub fn candidates(run: &Run, view: &View) -> Vec<String> {
    let at = run.submitted_time.map(|time| format!(" at {}", second(time.timestamp(), view))).unwrap_or_default();
    let which = match run.candidates.len() {
        0 => "The list of the service shows no operation that it may have started.",
        1 => "It may have started this operation:",
        _ => "Which of these operations did it start?",
    };
    let mut lines = vec![format!("The response to the submission{at} was lost. {which}")];
    let width = run.candidates.iter().map(|candidate| shown(&candidate.operation_id).len()).max().unwrap_or(0);
    lines.extend(run.candidates.iter().enumerate().map(|(index, candidate)| {
        let id = shown(&candidate.operation_id);
        let started = candidate.started_time.map_or_else(
            || "start unknown".to_owned(),
            |time| {
                let after = run.submitted_time.map(|submitted| format!(" ({:+}s)", time.seconds_since(submitted))).unwrap_or_default();
                format!("started {}{after}", second(time.timestamp(), view))
            },
        );
        let refused = if operation(candidate).is_some() { "" } else { "  (this id cannot be adopted)" };
        format!("  {}  {id:<width$}  {started}  {}{refused}", index + 1, shown(&candidate.status))
    }));
    lines
}

/// A time of day to the second.
fn second(time: Timestamp, view: &View) -> String {
    format!("{}{}", time.to_zoned(view.zone.clone()).strftime("%H:%M:%S"), if view.utc { "Z" } else { "" })
}

/// The question for a candidate: `Adopt 1 or 2, submit again (n), or quit (q)?`
#[must_use]
pub fn question(run: &Run, may_resubmit: bool) -> String {
    let numbers: Vec<String> = (1..=run.candidates.len()).map(|number| number.to_string()).collect();
    let numbers = match numbers.as_slice() {
        [first @ .., last] if !first.is_empty() => format!("{} or {last}", first.join(", ")),
        numbers => numbers.concat(),
    };
    format!("Adopt {numbers}, {}or quit (q)?", if may_resubmit { "submit again (n), " } else { "" })
}

/// The answer to the question for a candidate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// This decision.
    Decide(Decision),
    /// None.
    Quit,
}

/// Parses the answer to the question for a candidate; `None` if it is none.
#[must_use]
pub fn answer(run: &Run, may_resubmit: bool, text: &str) -> Option<Answer> {
    match text.to_ascii_lowercase().as_str() {
        "" | "q" | "quit" => Some(Answer::Quit),
        "n" if may_resubmit => Some(Answer::Decide(Decision::resubmit(run))),
        number => {
            let candidate = run.candidates.get(number.parse::<usize>().ok()?.checked_sub(1)?)?;
            Some(Answer::Decide(Decision::Adopt(operation(candidate)?)))
        }
    }
}

/// What will happen with a decision.
#[must_use]
pub fn consequence(object: &Object, decision: &Decision, view: &View) -> String {
    let name = object.name();
    match decision {
        Decision::Adopt(id) => format!("Run {} of {name} will track operation {id}, and submit nothing.", number(object)),
        Decision::Resubmit(value) if object.run().is_some_and(|run| run.cancel_cause == Some(CancelCause::Request)) => {
            format!("Run {} of {name} will end ({value}) and submit nothing, because its cancellation is requested.", number(object))
        }
        Decision::Resubmit(value) => {
            let none = object.run().is_none_or(|run| run.candidates.is_empty());
            let risk = if none { "it did start an operation" } else { "one of these operations is its own" };
            let after = if object.is_suspended() { format!(" after `{}`", command("resume", object, view)) } else { String::new() };
            format!("Run {} of {name} will be submitted again ({value}){after}. If {risk}, the model is refreshed twice.", number(object))
        }
        Decision::Release => {
            let since = object.resource.meta().deletion_timestamp.as_ref().map(|time| cells::ago(time.0, view));
            let continues = match object.run().filter(|run| !matches!(run.state, RunState::Waiting) && !run.state.ended()) {
                None => "No operation is running.".to_owned(),
                Some(run) => {
                    let operation = run.operation_id.as_deref().map_or_else(
                        || "An operation of its submission, if there is one,".to_owned(),
                        |id| format!("Operation {}", shown(id)),
                    );
                    format!("{operation} may continue at the service, and nothing watches it.")
                }
            };
            let kind = match object.resource.kind() {
                Kind::ModelRefresh => "ModelRefresh",
                Kind::ModelSync => "ModelSync",
            };
            let since = since.map(|since| format!(" (requested {since})")).unwrap_or_default();
            format!("{kind} {}/{name} will be deleted now{since}. {continues}", object.namespace())
        }
    }
}

fn number(object: &Object) -> i32 {
    object.run().map_or(0, |run| run.number)
}

/// What became of a decision, in one sentence.
#[must_use]
pub fn decision_outcome(name: &str, decision: &Decision, outcome: &DecisionOutcome, current: Option<&Object>, view: &View) -> String {
    let state = current.map(|object| {
        let (state, reason) = (state(object), reason(object));
        if reason.is_empty() || reason == state { state } else { format!("{state} ({reason})") }
    });
    let now = state.map(|state| format!(": it is {state}")).unwrap_or_default();
    match (outcome, decision) {
        (DecisionOutcome::Applied, Decision::Adopt(id)) => format!("{name} tracks operation {id}{now}"),
        (DecisionOutcome::Applied, Decision::Resubmit(_)) => resubmitted(name, current, &now, view),
        (DecisionOutcome::Applied, Decision::Release) => format!("released {name}, whose deletion waits for the finalizers of others"),
        (DecisionOutcome::Deleted, Decision::Release) => format!("released {name}, which is deleted"),
        (DecisionOutcome::Deleted, Decision::Adopt(_) | Decision::Resubmit(_)) => format!("{name} was deleted meanwhile"),
        (DecisionOutcome::Ended(end), _) => {
            let (verb, reason, message) = (verb(end.state), shown(&end.reason), shown(&end.message));
            format!("run {} of {name} {verb} and is not submitted again: {reason}: {message}", end.number)
        }
        (DecisionOutcome::Ignored, _) => format!("the operator did not accept the decision on {name}{now}"),
        (DecisionOutcome::Pending, _) => format!("the decision on {name} is recorded, but the operator has not handled it yet{now}"),
    }
}

/// What a run does after the decision to submit it again. `now` is the state of the resource, as the end of a sentence.
fn resubmitted(name: &str, current: Option<&Object>, now: &str, view: &View) -> String {
    let waiting = current.filter(|object| object.run().is_some_and(|run| run.state == RunState::Waiting));
    match waiting {
        Some(object) if object.is_suspended() && !object.is(ConditionType::Stalled) => {
            let (run, resume) = (number(object), command("resume", object, view));
            format!("run {run} of {name} waits because the resource is suspended: it will be submitted again after `{resume}`")
        }
        Some(_) => format!("{name} will be submitted again{now}"),
        None => format!("{name} is submitted again{now}"),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use kube::ResourceExt as _;
    use serde_json::{Value, json};
    use tabular_operator::operation::OperationId;

    use super::*;
    use crate::fixture::{condition, refresh, run, view};

    const FIRST: &str = "1344a272-7893-4afa-a4b3-3fb87222fdac";
    const SECOND: &str = "9b1e04aa-7893-4afa-a4b3-3fb87222fdac";

    fn held(candidates: &Value) -> Object {
        let run = run(
            "Orders",
            json!({
                "number": 4, "state": "Submitting", "reason": "SubmissionUnknown", "submittedTime": "2026-11-29T21:00:03Z",
                "candidates": candidates,
            }),
        );
        refresh("orders", "Orders", json!({}), json!({"run": run}))
    }

    fn two() -> Object {
        held(&json!([
            {"operationId": FIRST, "startedTime": "2026-11-29T21:00:04Z", "status": "inProgress"},
            {"operationId": SECOND, "startedTime": "2026-11-29T21:00:01Z", "status": "completed"},
        ]))
    }

    /// The sample in `docs/kubectl-tabular.md`.
    pub(in crate::screens) fn sample() -> String {
        let object = two();
        let run = object.run().unwrap();
        let adopt = Decision::Adopt(OperationId::parse(FIRST).unwrap());
        let running = json!({"run": self::run("Orders", json!({"state": "Running", "reason": "Running"}))});
        let after = refresh("orders", "Orders", json!({}), running);
        let asked = [candidates(run, &view(None)).join("\n"), format!("{} 1", question(run, true))];
        [asked.join("\n"), decision_outcome("orders", &adopt, &DecisionOutcome::Applied, Some(&after), &view(None))].join("\n")
    }

    #[test]
    fn candidates_have_start_and_state() {
        let mut object = two();
        assert_eq!(sample().lines().count(), 5);
        let hostile = "completed\u{1b}[2J";
        let mut status = object.status().clone();
        status.run.as_mut().unwrap().candidates[1].status = hostile.to_owned();
        object.resource = object.resource.with_status(&status);
        let run = object.run().unwrap();
        let expected = "\
The response to the submission at 22:00:03 was lost. Which of these operations did it start?
  1  1344a272-7893-4afa-a4b3-3fb87222fdac  started 22:00:04 (+1s)  inProgress
  2  9b1e04aa-7893-4afa-a4b3-3fb87222fdac  started 22:00:01 (-2s)  completed [2J";
        assert_eq!(candidates(run, &view(None)).join("\n"), expected);
        assert_eq!(question(run, true), "Adopt 1 or 2, submit again (n), or quit (q)?");
        let none = held(&json!([]));
        assert_eq!(candidates(none.run().unwrap(), &view(None)).len(), 1);
        let unknown = held(&json!([{"operationId": "a/b", "status": ""}]));
        let lines = candidates(unknown.run().unwrap(), &view(None));
        assert_eq!(lines[1], "  1  a/b  start unknown    (this id cannot be adopted)");
        assert_eq!(question(unknown.run().unwrap(), false), "Adopt 1, or quit (q)?");
    }

    #[test]
    fn answer_selects_a_candidate() {
        let object = two();
        let run = object.run().unwrap();
        let adopt = |id| Some(Answer::Decide(Decision::Adopt(OperationId::parse(id).unwrap())));
        assert_eq!((answer(run, true, "1"), answer(run, true, "2")), (adopt(FIRST), adopt(SECOND)));
        assert_eq!(answer(run, true, "N"), Some(Answer::Decide(Decision::Resubmit("run-4-attempt-1".to_owned()))));
        for text in ["", "q", "Quit"] {
            assert_eq!(answer(run, true, text), Some(Answer::Quit), "{text}");
        }
        for text in ["0", "3", "-1", "y", FIRST, "99999999999999999999"] {
            assert_eq!(answer(run, true, text), None, "{text}");
        }
        assert_eq!(answer(run, false, "n"), None, "a resource that is being deleted is not submitted again");
        let refused = held(&json!([{"operationId": "a/b", "status": ""}]));
        assert_eq!(answer(refused.run().unwrap(), true, "1"), None);
    }

    #[test]
    fn consequences_name_the_operation() {
        let mut object = two();
        let adopt = Decision::Adopt(OperationId::parse(FIRST).unwrap());
        assert_eq!(consequence(&object, &adopt, &view(None)), format!("Run 4 of orders will track operation {FIRST}, and submit nothing."));
        let again = consequence(&object, &Decision::resubmit(object.run().unwrap()), &view(None));
        assert!(again.contains("submitted again (run-4-attempt-1)") && again.contains("refreshed twice"), "{again}");
        let none = held(&json!([]));
        let again = consequence(&none, &Decision::resubmit(none.run().unwrap()), &view(None));
        assert!(again.ends_with("If it did start an operation, the model is refreshed twice."), "{again}");
        object.resource.meta_mut().deletion_timestamp = serde_json::from_value(json!("2026-11-29T21:04:12Z")).unwrap();
        let release = consequence(&object, &Decision::Release, &view(None));
        assert!(release.starts_with("ModelRefresh bi/orders will be deleted now (requested 5m ago). An operation of its"), "{release}");
        let running = json!({"run": run("Orders", json!({"state": "Running", "reason": "Running", "operationId": FIRST}))});
        let release = consequence(&refresh("orders", "Orders", json!({}), running), &Decision::Release, &view(None));
        assert!(release.ends_with(&format!("Operation {FIRST} may continue at the service, and nothing watches it.")), "{release}");
        let release = consequence(&refresh("orders", "Orders", json!({}), json!({})), &Decision::Release, &view(None));
        assert!(release.ends_with("No operation is running."), "{release}");
        assert_eq!(object.resource.name_any(), "orders");
    }

    #[test]
    fn outcome_is_one_sentence() {
        let running = json!({"run": run("Orders", json!({"state": "Running", "reason": "Running"}))});
        let object = refresh("orders", "Orders", json!({}), running);
        let adopt = Decision::Adopt(OperationId::parse(FIRST).unwrap());
        assert_eq!(
            decision_outcome("orders", &adopt, &DecisionOutcome::Applied, Some(&object), &view(None)),
            format!("orders tracks operation {FIRST}: it is Running")
        );
        let released = decision_outcome("orders", &Decision::Release, &DecisionOutcome::Deleted, None, &view(None));
        assert_eq!(released, "released orders, which is deleted");
    }

    #[test]
    fn resubmission_states_what_the_run_does() {
        let of = |spec: &Value, fields: &Value| {
            let conditions = json!([condition("Ready", "Unknown", fields["reason"].as_str().unwrap(), "m")]);
            refresh("orders", "Orders", spec.clone(), json!({"run": run("Orders", fields.clone()), "conditions": conditions}))
        };
        let suspended = json!({"suspend": true});
        let before = of(&suspended, &json!({"state": "Submitting", "reason": "SubmissionUnknown"}));
        let resubmit = Decision::resubmit(before.run().unwrap());
        let will = consequence(&before, &resubmit, &view(None));
        assert!(will.contains("submitted again (run-41-attempt-1) after `kubectl tabular resume orders -n bi`. If "), "{will}");
        let pending = of(&json!({}), &json!({"state": "Submitting", "reason": "SubmissionUnknown", "cancelCause": "Request"}));
        let will = consequence(&pending, &resubmit, &view(None));
        assert_eq!(will, "Run 41 of orders will end (run-41-attempt-1) and submit nothing, because its cancellation is requested.");

        let outcome = |current: &Object| {
            let outcome = crate::facts::decision::decision_outcome(&resubmit, &before, Some(current));
            decision_outcome("orders", &resubmit, &outcome, Some(current), &view(None))
        };
        let state = |state: &str, reason: &str, message: &str| json!({"state": state, "reason": reason, "message": message});
        let waits = "run 41 of orders waits because the resource is suspended: it will be submitted again after `kubectl tabular resume orders -n bi`";
        for reason in ["Retrying", "Suspended"] {
            assert_eq!(outcome(&of(&suspended, &state("Waiting", reason, "m"))), waits);
        }
        let behind = of(&json!({}), &state("Waiting", "WaitingForTurn", "m"));
        assert_eq!(outcome(&behind), "orders will be submitted again: it is Waiting (WaitingForTurn)");
        let submitting = of(&json!({}), &state("Submitting", "Submitting", "m"));
        assert_eq!(outcome(&submitting), "orders is submitted again: it is Submitting");
        let cancelled = of(&json!({}), &state("Cancelled", "CancelledOnRequest", "nothing was submitted"));
        let ended = "run 41 of orders was cancelled and is not submitted again: CancelledOnRequest: nothing was submitted";
        assert_eq!(outcome(&cancelled), ended);
    }
}
