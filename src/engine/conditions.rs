//! Conditions, derived from the record by the rules of kstatus. `Ready` is a summary: derived, never set directly.

use std::time::Duration;

use jiff::Timestamp;

use super::{Blocker, DesiredState, Remedy, UpstreamRef, text, timing};
use crate::api::{
    self, ConcurrencyPolicy, Condition, ConditionStatus, ConditionType, EventPolicy, Reason, Run, RunState, Status, Time, Trigger,
    TriggerType,
};

/// What the conditions show where this differs from the state of the run.
#[derive(Clone, Debug)]
pub(super) enum ConditionOverride {
    /// No trigger is due and no run has started. The message names what the resource waits for.
    Idle(String),
    /// A run is due, but the resource is suspended.
    Suspended(String),
    /// A run is about to start.
    Starting(String),
    /// A declared change waits for the end of a run (`concurrencyPolicy: Forbid`). The success of that run is not a success of the change.
    NotRun(String),
    /// No run can start until a user acts. `permanent`: only a change of the spec helps. `due`: a run would start otherwise.
    Stalled { reason: Reason, message: String, permanent: bool, due: bool },
    /// The upstream refresh is unavailable. Other triggers are not blocked, so the outcome of the latest run stays visible.
    UpstreamUnavailable { reason: Reason, message: String },
}

impl ConditionOverride {
    /// What blocks the next run while no run is in progress. A fault in the spec counts even if no run is due, and so does a missing
    /// upstream refresh, because then no run will ever be due.
    #[must_use]
    pub(super) fn blocking(desired: &DesiredState, due: Option<&Trigger>) -> Option<Self> {
        let shown = |blocker: &&Blocker| {
            blocker.remedy == Remedy::SpecChange || due.is_some() || matches!(desired.upstream, UpstreamRef::Unavailable(_, _))
        };
        if let Some(blocker) = desired.blocker.as_ref().filter(shown) {
            let permanent = blocker.remedy == Remedy::SpecChange;
            return Some(Self::Stalled { reason: blocker.reason, message: blocker.message.clone(), permanent, due: due.is_some() });
        }
        if let Some(due) = due {
            let message = || format!("suspended: a run ({}) starts when spec.suspend is set to false", due.r#type);
            return desired.policy.suspend.then(|| Self::Suspended(message()));
        }
        match &desired.upstream {
            UpstreamRef::Unavailable(_, Some(blocker)) => {
                Some(Self::UpstreamUnavailable { reason: blocker.reason, message: blocker.message.clone() })
            }
            UpstreamRef::Unavailable(_, None) | UpstreamRef::None | UpstreamRef::Found(_) => None,
        }
    }

    /// A declared change has not run.
    #[must_use]
    pub(super) fn not_run(record: &Status, change: &Trigger) -> Self {
        let number = record.run.as_ref().map_or(0, |run| run.number);
        let what = if change.value.is_empty() { "the change of the spec".to_owned() } else { format!("trigger.token {}", change.value) };
        Self::NotRun(format!("{what} has not run: it runs after run {number} ends (concurrencyPolicy: Forbid)"))
    }

    /// Another run starts now.
    #[must_use]
    pub(super) fn starting(desired: &DesiredState, record: &Status, due: &Trigger) -> Self {
        let declared = matches!(due.r#type, TriggerType::Creation | TriggerType::Change);
        if declared && desired.policy.concurrency == ConcurrencyPolicy::Forbid {
            return Self::not_run(record, due);
        }
        let number = record.run.as_ref().map_or(0, |run| run.number);
        Self::Starting(format!("run {} ({}) follows run {number}", number.saturating_add(1), due.r#type))
    }

    /// Whether the operator checks again without a change of the resource.
    #[must_use]
    pub(super) fn is_rechecked(&self) -> bool {
        match self {
            Self::Stalled { permanent, .. } => !permanent,
            Self::UpstreamUnavailable { .. } => true,
            Self::Idle(_) | Self::Suspended(_) | Self::Starting(_) | Self::NotRun(_) => false,
        }
    }
}

/// Whether a run in progress continues only after a user acts.
#[must_use]
pub(super) fn is_stalled(reason: Reason) -> bool {
    match reason.event_policy() {
        EventPolicy::Stalled | EventPolicy::Awaited => true,
        EventPolicy::None
        | EventPolicy::Explicit
        | EventPolicy::ExplicitWarning
        | EventPolicy::OnTransition
        | EventPolicy::WarningOnTransition => false,
    }
}

/// Whether the missing object may be part of the same commit and so be created shortly after.
#[must_use]
fn may_still_be_created(reason: &str) -> bool {
    Reason::parse(reason).is_some_and(|reason| reason.event_policy() == EventPolicy::Awaited)
}

/// The facts that the conditions show.
struct Summary<'a> {
    reconciling: bool,
    stalled: bool,
    ready: ConditionStatus,
    /// `None` if no run has started.
    run_conditions: Option<RunConditions<'a>>,
    reason: &'a str,
    message: &'a str,
}

/// What `Succeeded` and `Finished` show of a run: a short fact. The message of `Ready` has the remedy.
struct RunConditions<'a> {
    succeeded: ConditionStatus,
    finished: bool,
    /// The reason of the run, even if something other than the run keeps the resource from being ready.
    reason: &'a str,
    message: String,
}

impl<'a> RunConditions<'a> {
    fn of(run: &'a Run) -> Self {
        let number = run.number;
        let (succeeded, finished, message) = match run.state {
            RunState::Waiting | RunState::Submitting | RunState::Running | RunState::Cancelling => {
                (ConditionStatus::Unknown, false, format!("run {number} has not ended"))
            }
            RunState::Succeeded => (ConditionStatus::True, true, format!("run {number} succeeded")),
            RunState::Failed => (ConditionStatus::False, true, format!("run {number} failed")),
            RunState::TimedOut => (ConditionStatus::False, true, format!("run {number} timed out")),
            RunState::Cancelled => (ConditionStatus::False, true, format!("run {number} was cancelled")),
            RunState::Unrecognized(state) => (ConditionStatus::False, true, format!("run {number} has ended ({state})")),
        };
        Self { succeeded, finished, reason: &run.reason, message }
    }

    /// The outcome of the run after this one.
    fn pending(run: Option<&Run>, reason: &'a str) -> Self {
        let number = run.map_or(0, |run| run.number).saturating_add(1);
        Self { succeeded: ConditionStatus::Unknown, finished: false, reason, message: format!("run {number} has not started") }
    }

    /// The outcome if no run can start until the spec changes.
    fn blocked_by_spec(reason: &'a str) -> Self {
        Self { succeeded: ConditionStatus::False, finished: true, reason, message: "no run can start with this spec".to_owned() }
    }
}

/// Derives the conditions of `record`, keeping the time of those whose status did not change.
///
/// A missing reference is Reconciling for `grace`, counted from `missing_since_time`. That time is in the status so that a restart does not
/// start the count again; it is set here, and cleared once nothing is missing. Returns how long until such a resource is Stalled.
pub(super) fn derive(
    record: &mut Status,
    condition_override: Option<&ConditionOverride>,
    desired: &DesiredState,
    grace: Duration,
    now: Timestamp,
) -> Option<Duration> {
    let idle = ConditionOverride::Idle(idle_message(record));
    let mut summary = match (condition_override, &record.run) {
        // A run that needs an action comes first. A waiting run is for the change itself.
        (Some(ConditionOverride::NotRun(_)), Some(run)) if run.state == RunState::Waiting || of_run(run).stalled && !run.state.ended() => {
            of_run(run)
        }
        (Some(condition_override), run) => of_override(condition_override, run.as_ref()),
        (None, Some(run)) => of_run(run),
        (None, None) => of_override(&idle, None),
    };
    let shown = may_still_be_created(summary.reason);
    // The upstream refresh stays missing during a run that another trigger started.
    let missing =
        shown || matches!(&desired.upstream, UpstreamRef::Unavailable(_, Some(blocker)) if may_still_be_created(blocker.reason.as_str()));
    // If the clock was set back, the count starts again.
    let since = record.missing_since_time.filter(|since| since.timestamp() <= now).unwrap_or_else(|| Time::from(now));
    let stalls_in = Some(grace.saturating_sub(timing::elapsed(since.timestamp(), now))).filter(|left| shown && !left.is_zero());
    if stalls_in.is_some() {
        (summary.reconciling, summary.stalled) = (true, false);
    }
    let blocked = record.run.as_ref().filter(|run| desired.deletion.is_some() && !run.state.ended());
    let message = blocked.map_or_else(|| text::bounded(summary.message, text::SENTENCE), |run| blocked_deletion(desired, run));
    record.conditions = to_conditions(&summary, &message, &record.conditions, desired.generation, now);
    record.missing_since_time = missing.then_some(since);
    stalls_in
}

/// What a deletion waits for, and the command that ends the wait.
fn blocked_deletion(desired: &DesiredState, run: &Run) -> String {
    let what = match (&run.operation_id, run.state) {
        (_, RunState::Submitting) | (None, _) => "it is known whether the submission started an operation".to_owned(),
        (Some(id), _) => format!("operation {id} has ended"),
    };
    let command = format!("kubectl annotate {} {}=true", desired.kubectl_arguments, api::RELEASE);
    let why = text::bounded(&run.message, MAX_CAUSE_BYTES);
    text::bounded(
        &format!("the deletion waits until {what} ({why}): to release the resource now and leave the operation running, run `{command}`"),
        text::SENTENCE,
    )
}

/// Maximum length of the cause in the message of a blocked deletion, in bytes, so that the command after it is complete.
const MAX_CAUSE_BYTES: usize = 360;

/// Maximum number of conditions of unrecognized types that are kept.
const MAX_UNRECOGNIZED: usize = 8;

/// The conditions that show a summary; `before` are those in the status.
fn to_conditions(summary: &Summary<'_>, message: &str, before: &[Condition], generation: i64, now: Timestamp) -> Vec<Condition> {
    let status_of = |holds: bool| {
        if holds { ConditionStatus::True } else { ConditionStatus::False }
    };
    let mut wanted = Vec::with_capacity(4);
    if summary.reconciling {
        wanted.push((ConditionType::Reconciling, ConditionStatus::True, summary.reason, message));
    }
    if summary.stalled {
        wanted.push((ConditionType::Stalled, ConditionStatus::True, summary.reason, message));
    }
    wanted.push((ConditionType::Ready, summary.ready, summary.reason, message));
    if let Some(RunConditions { succeeded, finished, reason, message }) = &summary.run_conditions {
        wanted.push((ConditionType::Succeeded, *succeeded, reason, message.as_str()));
        wanted.push((ConditionType::Finished, status_of(*finished), reason, message.as_str()));
    }
    let since = |kind, status| {
        let before = before.iter().find(|condition| condition.r#type == kind && condition.status == status);
        before.map_or_else(|| Time::from(now), |condition| condition.last_transition_time)
    };
    let condition = |(kind, status, reason, message): (ConditionType, ConditionStatus, &str, &str)| Condition {
        r#type: kind,
        status,
        observed_generation: generation,
        last_transition_time: since(kind, status),
        reason: reason.to_owned(),
        message: message.to_owned(),
    };
    // Conditions of a newer version stay, within a bound.
    let others =
        before.iter().filter(|before| matches!(before.r#type, ConditionType::Unrecognized(_)) && before.message.len() <= text::SENTENCE);
    // Fresh does not depend on the summary: [`super::freshness`] updates it after the decision.
    let fresh = before.iter().filter(|before| before.r#type == ConditionType::Fresh).take(1);
    let fresh = fresh.map(|before| Condition { observed_generation: generation, ..before.clone() });
    wanted.into_iter().map(condition).chain(others.take(MAX_UNRECOGNIZED).cloned()).chain(fresh).collect()
}

/// What will start the first run.
fn idle_message(record: &Status) -> String {
    match (&record.last_upstream_run, record.next_schedule_time) {
        (Some(upstream), _) => format!("waiting for the next successful run of ModelRefresh {}", upstream.name),
        (None, Some(time)) => format!("waiting for its schedule, next at {time}"),
        (None, None) => "waiting for a trigger".to_owned(),
    }
}

fn of_override<'a>(condition_override: &'a ConditionOverride, run: Option<&'a Run>) -> Summary<'a> {
    match condition_override {
        ConditionOverride::Idle(message) => Summary {
            reconciling: false,
            stalled: false,
            ready: ConditionStatus::True,
            run_conditions: None,
            reason: Reason::Idle.as_str(),
            message,
        },
        ConditionOverride::Suspended(message) => Summary {
            reconciling: false,
            stalled: false,
            ready: ConditionStatus::False,
            run_conditions: run.map(|run| RunConditions::pending(Some(run), Reason::Suspended.as_str())),
            reason: Reason::Suspended.as_str(),
            message,
        },
        ConditionOverride::Starting(message) => Summary {
            reconciling: true,
            stalled: false,
            ready: ConditionStatus::Unknown,
            run_conditions: Some(RunConditions::pending(run, Reason::Submitting.as_str())),
            reason: Reason::Submitting.as_str(),
            message,
        },
        ConditionOverride::NotRun(message) => Summary {
            reconciling: true,
            stalled: false,
            ready: ConditionStatus::False,
            run_conditions: Some(RunConditions::pending(run, Reason::ChangeNotRun.as_str())),
            reason: Reason::ChangeNotRun.as_str(),
            message,
        },
        ConditionOverride::UpstreamUnavailable { reason, message } => Summary {
            reconciling: false,
            stalled: true,
            ready: ConditionStatus::False,
            run_conditions: run.map(RunConditions::of),
            reason: reason.as_str(),
            message,
        },
        ConditionOverride::Stalled { reason, message, permanent, due } => Summary {
            reconciling: false,
            stalled: true,
            ready: ConditionStatus::False,
            run_conditions: Some(match run {
                _ if *permanent => RunConditions::blocked_by_spec(reason.as_str()),
                // If no run is due, the outcome of the latest run stays.
                Some(run) if !due => RunConditions::of(run),
                Some(_) | None => RunConditions::pending(run, reason.as_str()),
            }),
            reason: reason.as_str(),
            message,
        },
    }
}

fn of_run(run: &Run) -> Summary<'_> {
    let stalled = Reason::parse(&run.reason).is_some_and(is_stalled);
    let (stalled, ready) = match run.state {
        RunState::Waiting if run.reason == Reason::Suspended.as_str() => (false, ConditionStatus::False),
        RunState::Waiting | RunState::Submitting | RunState::Running | RunState::Cancelling if stalled => (true, ConditionStatus::False),
        RunState::Waiting | RunState::Submitting | RunState::Running | RunState::Cancelling => (false, ConditionStatus::Unknown),
        RunState::Succeeded => (false, ConditionStatus::True),
        RunState::Failed | RunState::TimedOut | RunState::Cancelled | RunState::Unrecognized(_) => (true, ConditionStatus::False),
    };
    Summary {
        reconciling: ready == ConditionStatus::Unknown,
        stalled,
        ready,
        run_conditions: Some(RunConditions::of(run)),
        reason: &run.reason,
        message: &run.message,
    }
}
