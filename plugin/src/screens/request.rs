//! Requests: what a command refuses, what has become of a request, and how its run ended.

use screen::{Line, Style};
use tabular_operator::api::{ConditionType, Kind, Reason, Run, RunState};

use super::cells;
use super::lines::change_text;
use crate::facts::{Request, RequestOutcome, RunEnd, reason, state_name};
use crate::objects::Object;
use crate::output::{View, duration, shown};

/// A command line for a resource: `kubectl tabular resume orders -n bi`.
#[must_use]
pub fn command(verb: &str, object: &Object, view: &View) -> String {
    view.command(&format!("kubectl tabular {verb} {} -n {}", object.name(), object.namespace()))
}

/// Why no run is requested; `None` if one can be.
#[must_use]
pub fn cannot_run(object: &Object, view: &View) -> Option<String> {
    let name = object.name();
    if object.is_deleting() {
        return Some(format!("{name} is being deleted, so no run was requested"));
    }
    let resume = || command("resume", object, view);
    object.is_suspended().then(|| format!("{name} is suspended, so no run was requested: first run `{}`", resume()))
}

/// Why no run is cancelled; `None` if one can be.
#[must_use]
pub fn cannot_cancel(object: &Object) -> Option<String> {
    let name = object.name();
    if object.is_deleting() {
        return Some(format!("{name} is being deleted, so nothing was cancelled: spec.deletionPolicy determines what its run does"));
    }
    let Some(run) = object.run().filter(|run| !run.state.ended()) else {
        let queued = if object.status().queued.is_some() { "; a queued trigger is not a run" } else { "" };
        return Some(format!("no run of {name} is running or waiting, so nothing was cancelled{queued}"));
    };
    let is_started_sync = object.resource.kind() == Kind::ModelSync && run.state == RunState::Running;
    is_started_sync.then(|| format!("run {} of {name} is running, and a sync cannot be cancelled", run.number))
}

/// What starts a run after the cancellation; `None` if nothing does.
#[must_use]
pub fn follow_up(object: &Object, view: &View) -> Option<String> {
    let queued = object.status().queued.as_ref()?;
    let (name, by) = (object.name(), cells::trigger(queued, view));
    Some(format!(
        "warning: a queued trigger ({by}) starts a run of {name} after the cancellation: to prevent that, first run `{}`",
        command("suspend", object, view)
    ))
}

/// What a resource does after `suspend` or `resume`: `suspended orders; run 41 continues`.
#[must_use]
pub fn suspension(object: &Object, view: &View) -> String {
    let name = object.name();
    let run = object.run().filter(|run| !run.state.ended());
    match (object.is_suspended(), run) {
        (true, Some(run)) if run.state == RunState::Waiting => format!("suspended {name}; run {} waits until it is resumed", run.number),
        (true, Some(run)) => format!("suspended {name}; run {} continues", run.number),
        (true, None) => format!("suspended {name}"),
        (false, Some(run)) => format!("resumed {name}; run {} is in progress", run.number),
        (false, None) => {
            let queued = object.status().queued.as_ref().map(|queued| format!("; a run starts {}", cells::trigger(queued, view)));
            format!("resumed {name}{}", queued.unwrap_or_default())
        }
    }
}

/// The first line about a request: `requested a run of orders: run 88, queued behind adventureworks on the model`.
#[must_use]
pub fn requested(request: &Request, outcome: &RequestOutcome, object: Option<&Object>, view: &View) -> String {
    let name = request.before().name();
    let shared = if request.is_superseded() { ", which also serves a later request" } else { "" };
    match request {
        Request::Run(_) => format!("requested a run of {name}: {}{shared}", outcome_text(request, outcome, object, view)),
        Request::Cancel(cancel) => {
            format!("requested the cancellation of run {} of {name}: {}", cancel.run(), outcome_text(request, outcome, object, view))
        }
    }
}

/// What has become of a request, without the time. An equal text is no change.
#[must_use]
pub fn progress(request: &Request, outcome: &RequestOutcome, object: Option<&Object>, view: &View) -> String {
    match (outcome, object) {
        (RequestOutcome::InProgress(_), Some(object)) => change_text(object),
        _ => outcome_text(request, outcome, object, view),
    }
}

fn outcome_text(request: &Request, outcome: &RequestOutcome, object: Option<&Object>, view: &View) -> String {
    let before = object.unwrap_or_else(|| request.before());
    match (outcome, request) {
        (RequestOutcome::Pending | RequestOutcome::Accepted, Request::Run(_)) => {
            pending(before, *outcome == RequestOutcome::Accepted, view)
        }
        (RequestOutcome::Pending | RequestOutcome::Accepted, Request::Cancel(_)) => "not handled yet".to_owned(),
        (RequestOutcome::InProgress(number), Request::Run(_)) => {
            format!("run {number}, {}", object.and_then(Object::run).map_or_else(String::new, at))
        }
        (RequestOutcome::InProgress(_), Request::Cancel(_)) => change_text(before),
        (RequestOutcome::Ended(end), _) => run_result(request, end),
        (RequestOutcome::NotInHistory(number), _) => format!("run {number} has ended, and its result is no longer in the history"),
        (RequestOutcome::Dropped(number), _) => format!("dropped because of run {number}: spec.concurrencyPolicy is Forbid"),
        (RequestOutcome::NotCancellable(number), _) => format!("run {number} continues: its operation cannot be cancelled"),
        (RequestOutcome::Removed, _) => "not handled: the annotation was removed before the operator read it".to_owned(),
        (RequestOutcome::Deleted, _) => match request.run() {
            Some(number) => format!("the resource was deleted during run {number}"),
            None => "the resource was deleted, so no run starts".to_owned(),
        },
    }
}

/// What a request waits for that has no run yet.
fn pending(object: &Object, is_accepted: bool, view: &View) -> String {
    match object.run().filter(|run| !run.state.ended()) {
        Some(run) if run.state == RunState::Waiting => format!("joins run {}, {}", run.number, at(run)),
        Some(run) if is_accepted => format!("queued behind run {} ({})", run.number, change_text(object)),
        Some(run) => format!("not handled yet; run {} is in progress ({})", run.number, change_text(object)),
        None if object.is_suspended() => format!("starts after `{}`", command("resume", object, view)),
        None if is_blocked(object) => {
            let message = object.condition(ConditionType::Ready).map(|ready| shown(&ready.message)).unwrap_or_default();
            format!("cannot start: {}: {message}", reason(object))
        }
        None if is_accepted => "about to start".to_owned(),
        None => "not handled yet".to_owned(),
    }
}

/// Whether no run can start until a user acts. The operator accepts no request while the spec is invalid.
fn is_blocked(object: &Object) -> bool {
    object.is(ConditionType::Stalled) && object.run().is_none_or(|run| run.reason != reason(object))
}

/// What a run is at: `queued behind adventureworks on the model`, `Running`.
fn at(run: &Run) -> String {
    let waiting_for = run.waiting_for.as_deref().map(shown);
    match (run.state, waiting_for) {
        (RunState::Waiting, Some(ahead)) if run.reason == Reason::WaitingForTurn.as_str() => format!("queued behind {ahead} on the model"),
        (RunState::Waiting, Some(what)) => format!("waiting for {what}"),
        (RunState::Waiting, None) => format!("waiting: {} {}", shown(&run.reason), shown(&run.message)),
        (state, _) => shown(&state_name(state)),
    }
}

/// Why a request is not handled although some time has passed.
#[must_use]
pub fn unhandled(request: &Request, object: &Object, view: &View) -> String {
    let name = object.name();
    let joins = object.run().is_some_and(|run| matches!(run.state, RunState::Waiting | RunState::Submitting));
    let what = match request {
        Request::Run(_) if joins || is_blocked(object) => {
            return format!("the run of {name} has not started: {}", pending(object, false, view));
        }
        Request::Run(_) => "a run",
        Request::Cancel(_) => "a cancellation",
    };
    let pods = view.command("kubectl get pods -A -l app.kubernetes.io/name=tabular-operator");
    let namespace = object.namespace();
    format!("the request for {what} of {name} is not handled: no operator seems to serve namespace {namespace}; ask for `{pods}`")
}

/// How the run ended: `✓ run 88 succeeded after 4m02s (waited 3m), with 2 warnings`. `name` if there are several.
#[must_use]
pub fn ended(request: &Request, end: &RunEnd, name: Option<&str>) -> Line {
    let is_good = end.state == RunState::Succeeded || matches!(request, Request::Cancel(_)) && end.state == RunState::Cancelled;
    let (style, sign) = if is_good { (Style::Green, "✓ ") } else { (Style::Red, "✗ ") };
    let name = name.map(|name| format!("{name}: ")).unwrap_or_default();
    let shared = if request.is_superseded() { "; it also served a later request" } else { "" };
    vec![(style, sign.to_owned()), (Style::Plain, format!("{name}{}{shared}", run_result(request, end)))]
}

fn run_result(request: &Request, end: &RunEnd) -> String {
    let took = end.duration.map(|seconds| format!(" after {}", duration(seconds))).unwrap_or_default();
    let waited = end.waited.filter(|seconds| *seconds >= 1).map(|seconds| format!(" (waited {})", duration(seconds))).unwrap_or_default();
    let verb = verb(end.state);
    let early = match request {
        Request::Cancel(_) if end.state != RunState::Cancelled => " before it was cancelled",
        Request::Cancel(_) | Request::Run(_) => "",
    };
    let detail = match end.state {
        RunState::Succeeded if !end.warnings.is_empty() => format!(", with {}", end.warnings),
        RunState::Succeeded => String::new(),
        RunState::Cancelled if matches!(request, Request::Cancel(_)) => String::new(),
        _ => format!(": {}: {}", shown(&end.reason), shown(&end.message)),
    };
    format!("run {} {verb}{took}{waited}{early}{detail}", end.number)
}

/// How a run ended, as the verb of a sentence.
pub(super) fn verb(state: RunState) -> String {
    match state {
        RunState::Succeeded => "succeeded".to_owned(),
        RunState::Failed => "failed".to_owned(),
        RunState::TimedOut => "timed out".to_owned(),
        RunState::Cancelled => "was cancelled".to_owned(),
        state => format!("ended as {}", shown(&state_name(state))),
    }
}

/// What continues after Ctrl-C or `--timeout`, and how to stop it.
#[must_use]
pub fn continues(request: &Request, outcome: &RequestOutcome, view: &View) -> String {
    let before = request.before();
    let name = before.name();
    match (request, outcome) {
        (Request::Cancel(cancel), _) => format!("the cancellation of run {} of {name} continues", cancel.run()),
        (Request::Run(_), RequestOutcome::InProgress(number)) => {
            format!("run {number} of {name} continues: to cancel it, run `{}`", command("cancel", before, view))
        }
        (Request::Run(_), _) => {
            format!(
                "the request for a run of {name} remains: when the run has started, cancel it with `{}`",
                command("cancel", before, view)
            )
        }
    }
}
