//! Carrying out a decision: it is confirmed, recorded on the version that was shown, and followed until the operator has handled it.

use std::time::Duration;

use kube::Resource as _;
use tokio::time::{Instant, sleep, sleep_until};

use super::decision::ConfirmArgs;
use crate::connect::Connection;
use crate::exit::Exit;
use crate::facts::decision::{Decision, DecisionOutcome, decision_outcome, is_recorded, is_unsettled};
use crate::failure::{Cause, Failure};
use crate::objects::Object;
use crate::patch::{Patched, annotation};
use crate::prompt;
use crate::screens;
use crate::session::Session;
use crate::target::Target;
use crate::watch::{Change, Watch};

/// How long the command waits for the operator.
const LIMIT: Duration = Duration::from_secs(30);
/// How often it reads the events after the operator ignored a decision. The operator writes them in the background.
const EVENT_ATTEMPTS: usize = 10;
const EVENT_INTERVAL: Duration = Duration::from_millis(200);

/// Nothing was changed, and why.
pub(super) fn no_change(sentence: impl Into<String>) -> Failure {
    Failure::with_exit(Exit::NoChange, sentence)
}

/// The user decided nothing.
pub(super) fn declined(object: &Object) -> Failure {
    no_change(format!("nothing was changed on {}", object.name()))
}

/// Shows what will happen, and asks whether to continue unless `--yes` is set.
pub(super) fn confirmed(session: &mut Session, object: &Object, decision: &Decision, args: ConfirmArgs) -> Result<bool, Failure> {
    session.note(&screens::consequence(object, decision, &session.view()));
    if args.yes {
        return Ok(true);
    }
    Ok(prompt::ask("Continue? [y/N]", "add --yes", prompt::yes_or_no)?.unwrap_or(false))
}

/// A decision that was carried out.
pub(super) struct Decided {
    /// What became of it.
    pub outcome: DecisionOutcome,
    pub exit: Exit,
    /// The value of the annotation.
    pub value: String,
    /// What became of it, in one sentence.
    pub sentence: String,
}

/// Records a decision on the version of the resource that was shown, and returns what the operator did.
pub(super) async fn carry_out(
    connection: &Connection,
    target: &Target,
    object: &Object,
    decision: &Decision,
    session: &mut Session,
) -> Result<Decided, Failure> {
    let check = screens::command("why", object, &session.view());
    let recorded = record(connection, target, object, decision, &check).await?;
    let current = match &recorded {
        Some(patched) => handled(connection, target, (object, patched), decision, session).await,
        None => None,
    };
    let outcome = decision_outcome(decision, object, current.as_ref());
    let sentence = screens::decision_outcome(&target.to_string(), decision, &outcome, current.as_ref(), &session.view());
    let exit = match &outcome {
        DecisionOutcome::Applied => Exit::Success,
        DecisionOutcome::Deleted if *decision == Decision::Release => Exit::Success,
        DecisionOutcome::Deleted => Exit::Failure,
        DecisionOutcome::Ended(_) | DecisionOutcome::Ignored => Exit::Negative,
        DecisionOutcome::Pending => Exit::Timeout,
    };
    let value = decision.value().to_owned();
    // The end of a run has its own reason.
    if exit == Exit::Success || outcome.end().is_some() {
        return Ok(Decided { outcome, exit, value, sentence });
    }
    let why = match &current {
        Some(current) if outcome == DecisionOutcome::Ignored => ignored(connection, current, decision).await,
        Some(_) | None => None,
    };
    let sentence = format!("{sentence}: {}", why.unwrap_or_else(|| format!("check with `{check}`")));
    Ok(Decided { outcome, exit, value, sentence })
}

/// Records a decision on the version of the resource that was shown, and returns a version that shows it; `None` if the resource no longer
/// exists. `check` is a command for the user.
async fn record(
    connection: &Connection,
    target: &Target,
    object: &Object,
    decision: &Decision,
    check: &str,
) -> Result<Option<Object>, Failure> {
    let version = object.resource.meta().resource_version.as_deref();
    let patch = annotation(decision.annotation(), decision.value());
    let patched = connection.patch(target, patch, version).await.map_err(|failure| match failure.cause {
        Cause::Conflict => no_change(format!("{target} changed meanwhile, so nothing was written: check again with `{check}`")),
        Cause::Unauthorized | Cause::Forbidden | Cause::NotFound | Cause::NotInstalled | Cause::Unanswered | Cause::Other => failure,
    })?;
    match patched {
        Patched::Answered(patched) => Ok(Some(patched)),
        Patched::Unanswered { read: Ok(read), .. } if is_recorded(decision, object, &read) => Ok(Some(read)),
        Patched::Unanswered { read: Err(failure), .. } if failure.cause == Cause::NotFound => Ok(None),
        Patched::Unanswered { lost, .. } => {
            Err(Failure::new(format!("{lost}; it is unknown whether the decision was recorded: check with `{check}`")))
        }
    }
}

/// Waits until the operator has handled a decision, and returns the resource if it still exists. `versions` are those before and after the
/// decision was recorded.
async fn handled(
    connection: &Connection,
    target: &Target,
    versions: (&Object, &Object),
    decision: &Decision,
    session: &mut Session,
) -> Option<Object> {
    let (before, patched) = versions;
    let (key, deadline) = (patched.key(), Instant::now() + LIMIT);
    let mut watch = Watch::of_one(connection, target, patched.clone());
    let is_open = |current: Option<&Object>| {
        let is_pending = decision_outcome(decision, before, current) == DecisionOutcome::Pending;
        is_pending || current.is_some_and(|current| is_unsettled(decision, current))
    };
    while is_open(watch.get(&key)) {
        tokio::select! {
            change = watch.next() => match change {
                Change::Lost(failure) => session.note_lost(&failure),
                Change::Undecodable(undecodable) => session.note(&undecodable.warning()),
                Change::Objects | Change::Restored | Change::Refused(_) => {}
            },
            // Without the permission to watch, the last version is read once.
            () = sleep_until(deadline) => return match connection.get(target).await {
                Ok(object) => Some(object),
                Err(failure) if failure.cause == Cause::NotFound => None,
                Err(_) => watch.get(&key).cloned(),
            },
        }
    }
    watch.get(&key).cloned()
}

/// Why the operator ignored a decision, by its event.
async fn ignored(connection: &Connection, object: &Object, decision: &Decision) -> Option<String> {
    for _ in 0..EVENT_ATTEMPTS {
        let events = connection.events(object).await.ok()?;
        let event = events.into_iter().find(|event| event.reason == "DecisionIgnored" && event.note.contains(decision.annotation()));
        if let Some(event) = event {
            return Some(crate::output::shown(&event.note));
        }
        sleep(EVENT_INTERVAL).await;
    }
    None
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use tabular_operator::api::{Kind, RESUBMIT};

    use super::*;
    use crate::fixture::{connection, denial, item, list, lost, refresh, run};
    use crate::session::OutputArgs;

    fn orders(fields: Value) -> Object {
        refresh("orders", "Orders", json!({}), json!({"run": run("Orders", fields)}))
    }

    fn target() -> Target {
        Target { kind: Kind::ModelRefresh, name: "orders".to_owned() }
    }

    /// What is known of a decision whose response was lost, by how the resource is read after that.
    async fn recovered(decision: &Decision, read: (u16, Value)) -> Result<Option<Object>, Failure> {
        let connection = connection(move |path| if path.contains("fieldManager=") { lost() } else { read.clone() });
        let held = orders(json!({"state": "Submitting", "reason": "SubmissionUnknown"}));
        record(&connection, &target(), &held, decision, "kubectl tabular why orders -n bi").await
    }

    #[tokio::test(start_paused = true)]
    async fn decision_with_a_lost_response_is_found_or_unknown() {
        let held = orders(json!({"state": "Submitting", "reason": "SubmissionUnknown"}));
        let again = orders(json!({"state": "Waiting", "reason": "Retrying", "resubmissions": 1}));
        let resubmit = Decision::resubmit(held.run().unwrap());
        assert!(recovered(&resubmit, (200, item(&again))).await.unwrap().is_some());
        let details = json!({"name": "orders", "kind": "modelrefreshes"});
        let gone = json!({"kind": "Status", "status": "Failure", "code": 404, "reason": "NotFound", "details": details});
        assert!(recovered(&Decision::Release, (404, gone)).await.unwrap().is_none());
        for read in [(200, item(&held)), lost(), denial("get", "modelrefreshes")] {
            let unknown = recovered(&resubmit, read).await.unwrap_err();
            let sentence = "it is unknown whether the decision was recorded: check with `kubectl tabular why orders -n bi`";
            assert!(unknown.exit == Exit::Failure && unknown.sentence.ends_with(sentence), "{unknown}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn run_that_is_cancelled_instead_has_exit_code_3() {
        let held = orders(json!({"state": "Submitting", "reason": "SubmissionUnknown", "cancelCause": "Request"}));
        let resubmit = Decision::resubmit(held.run().unwrap());
        let mut recorded = held.clone();
        recorded.resource.meta_mut().annotations = Some([(RESUBMIT.to_owned(), resubmit.value().to_owned())].into());
        let fields = json!({"state": "Cancelled", "reason": "CancelledOnRequest", "message": "nothing was submitted", "resubmissions": 1});
        let cancelled = orders(fields);
        let connection = connection(move |path| {
            let is_patch = path.contains("fieldManager=");
            (200, if is_patch { item(&recorded) } else { list(&[&cancelled]) })
        });
        let mut session = Session::new(OutputArgs::default());
        let decided = carry_out(&connection, &target(), &held, &resubmit, &mut session).await.unwrap();
        assert_eq!((decided.outcome.as_str(), decided.exit), ("Ended", Exit::Negative));
        let ended = "run 41 of orders was cancelled and is not submitted again: CancelledOnRequest: nothing was submitted";
        assert_eq!(decided.sentence, ended);
    }
}
