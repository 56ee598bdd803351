//! Why a resource is in its state, and what to do about it.

use jiff::Timestamp;
use kube::Resource as _;
use tabular_operator::api::advice::{Advice, NO_FURTHER_RUN, Section, advice, anchor};
use tabular_operator::api::{ConditionType, EventPolicy, Reason, RunState};

use super::commands::{OperatorNames, filled};
use super::unobserved::changed;
use super::{Freshness, ResourceStatus, Unobserved, elapsed, freshness, reason, resource_status, unobserved};
use crate::evidence::{Evidence, Liveness, ResourceEvent};
use crate::objects::Object;
use crate::output::shown;

/// How long a change may stay unobserved, in seconds: several times longer than a change of the leader takes.
const UNOBSERVED_LIMIT: i64 = 120;
/// The remedy if the operator does not run, or does not observe a resource.
const CHECK_OPERATOR: &str = "Check the operator.";
/// The commands of that remedy.
const OPERATOR_COMMANDS: &[&str] =
    &["kubectl get pods --namespace {operator-namespace}", "kubectl logs deployment/{operator} --namespace {operator-namespace}"];
/// The page with the remedies by reason.
const PAGE: &str = "https://github.com/tabular-operator/tabular-operator/blob/main/docs/operations/troubleshooting.md";

/// Whether a user needs to act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing proceeds until a user acts.
    NeedsAction,
    /// Something is missing that may appear shortly. If it does not, a user must act.
    MayNeedAction,
    /// Nothing is in progress, and the data is too old.
    Stale,
    /// No user needs to act: the operator continues automatically, or with the next trigger.
    Proceeds,
    /// Nothing is wrong.
    Fine,
}

impl Verdict {
    /// The name in reports.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NeedsAction => "NeedsAction",
            Self::MayNeedAction => "MayNeedAction",
            Self::Stale => "Stale",
            Self::Proceeds => "Proceeds",
            Self::Fine => "Fine",
        }
    }
}

/// For how long, or how long ago, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// A state that lasts.
    For(i64),
    /// An end.
    Ago(i64),
}

/// What is known of the cause.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Subject {
    /// A reason of this version.
    Known(Reason),
    /// A reason of a newer version.
    Newer(String),
    /// The operator has not observed the resource, or a change of it.
    Unobserved(Unobserved),
}

/// Why a resource is in its state, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnosis {
    /// Whether a user needs to act.
    pub verdict: Verdict,
    /// The reason that the diagnosis is about; empty if the operator has not observed the resource, or a change of it.
    pub reason: String,
    /// Whether this version knows the reason.
    pub is_known: bool,
    /// Since when; `None` if that is not known.
    pub since: Option<Since>,
    /// The cause, in one sentence.
    pub cause: String,
    /// The remedy and the details: further sentences, or none.
    pub remedy: String,
    /// Commands that show more or fix it. They may end with a comment.
    pub commands: Vec<String>,
    /// What happens next; empty if that is not known.
    pub next: String,
    /// The page of the documentation that has more.
    pub page: String,
    /// The changes that the operator has not observed.
    pub unobserved: Vec<Unobserved>,
    /// The reason of the latest event that no condition shows, and what it means.
    pub event: Option<(Reason, String)>,
}

/// Diagnoses a resource. Commands have the names of the operator.
#[must_use]
pub fn diagnosis(object: &Object, evidence: &Evidence, operator: OperatorNames<'_>, now: Timestamp) -> Diagnosis {
    let unobserved = unobserved(object, now);
    let subject = subject(object, evidence, &unobserved, now);
    let liveness = evidence.operator.liveness(now);
    // A released Lease is not enough: it is released during each upgrade.
    let needs_operator = matches!(liveness, Liveness::Silent(_, _)) && waits_for_operator(object, &unobserved, now);
    let commands = |commands: &[&'static str]| filled(object, commands, operator);
    let event = evidence.events.as_deref().and_then(explicit_event).filter(|event| subject != Subject::Known(*event));
    let base = Diagnosis {
        verdict: if needs_operator { Verdict::NeedsAction } else { verdict(object, &subject) },
        reason: reason(object),
        is_known: true,
        since: since(object, &subject, now),
        cause: String::new(),
        remedy: String::new(),
        commands: Vec::new(),
        next: String::new(),
        page: PAGE.to_owned(),
        unobserved,
        event: event.map(|event| (event, prose(event.explanation()))),
    };
    let mut found = match subject {
        Subject::Known(reason) => {
            let advice = advice(reason);
            let remedy = prose(advice.remedy);
            Diagnosis {
                reason: reason.as_str().to_owned(),
                cause: prose(advice.cause),
                commands: if is_history(&advice) { Vec::new() } else { commands(advice.commands) },
                // Some remedies state it already.
                next: Some(next(object, reason, &advice)).filter(|next| !remedy.contains(next.as_str())).unwrap_or_default(),
                remedy,
                page: format!("{PAGE}#{}", anchor(reason)),
                ..base
            }
        }
        Subject::Newer(reason) => Diagnosis {
            is_known: false,
            cause: format!("This plugin is older than the operator, and does not know the reason {reason}."),
            remedy: "Install the plugin of the operator's version.".to_owned(),
            commands: commands(&["kubectl describe {kind} {name} --namespace {namespace}"]),
            reason,
            ..base
        },
        Subject::Unobserved(change) => Diagnosis {
            reason: String::new(),
            cause: format!(
                "The operator has not observed {}: it is not running, does not watch this namespace, or cannot write the status.",
                change.what
            ),
            remedy: CHECK_OPERATOR.to_owned(),
            commands: commands(OPERATOR_COMMANDS),
            next: "The operator handles the change when it observes it.".to_owned(),
            ..base
        },
    };
    if needs_operator && found.remedy != CHECK_OPERATOR {
        let remedy = format!("{CHECK_OPERATOR} {}", found.remedy);
        remedy.trim_end().clone_into(&mut found.remedy);
        found.commands.splice(0..0, commands(OPERATOR_COMMANDS));
    }
    if matches!(liveness, Liveness::Silent(_, _) | Liveness::Released) {
        "Nothing proceeds until an operator runs.".clone_into(&mut found.next);
    }
    if let Some(of_event) = event.map(advice).filter(|advice| !is_history(advice)) {
        let more: Vec<String> = commands(of_event.commands).into_iter().filter(|command| !found.commands.contains(command)).collect();
        found.commands.extend(more);
    }
    found
}

/// Whether the only commands of an advice show the events of the resource, which the evidence has.
fn is_history(advice: &Advice) -> bool {
    matches!(advice.section, Section::Fine | Section::Released) && advice.commands == advice.section.commands()
}

/// The reason of the latest event that no condition shows.
fn explicit_event(events: &[ResourceEvent]) -> Option<Reason> {
    events.iter().filter_map(|event| Reason::parse(&event.reason)).find(|reason| match reason.event_policy() {
        EventPolicy::Explicit | EventPolicy::ExplicitWarning => *reason != Reason::Stale,
        EventPolicy::None | EventPolicy::OnTransition | EventPolicy::WarningOnTransition | EventPolicy::Stalled | EventPolicy::Awaited => {
            false
        }
    })
}

fn subject(object: &Object, evidence: &Evidence, unobserved: &[Unobserved], now: Timestamp) -> Subject {
    if let Some(reason) = evidence.events.as_deref().and_then(|events| unwritable(object, events)) {
        return Subject::Known(reason);
    }
    let reason = reason(object);
    let oldest = unobserved.first();
    if let Some(change) = oldest.filter(|change| reason.is_empty() || change.seconds.is_some_and(|seconds| seconds >= UNOBSERVED_LIMIT)) {
        return Subject::Unobserved(change.clone());
    }
    let Some(known) = Reason::parse(&reason) else { return Subject::Newer(reason) };
    let is_stale = freshness(object, now).is_some_and(Freshness::is_stale);
    match resource_status(object) {
        ResourceStatus::Suspended | ResourceStatus::Succeeded | ResourceStatus::Idle if is_stale => Subject::Known(Reason::Stale),
        // The end of the latest run does not matter.
        ResourceStatus::Suspended => Subject::Known(Reason::Suspended),
        ResourceStatus::NeedsAction
        | ResourceStatus::Running
        | ResourceStatus::Waiting
        | ResourceStatus::Succeeded
        | ResourceStatus::Idle => Subject::Known(known),
    }
}

/// The reason of the latest event, if it states that the operator cannot write the status or read the resource: the conditions are then
/// out of date.
fn unwritable(object: &Object, events: &[ResourceEvent]) -> Option<Reason> {
    let newest = events.first()?;
    let reason = Reason::parse(&newest.reason).filter(|reason| matches!(reason, Reason::WriteRefused | Reason::Undecodable))?;
    let status = object.status();
    let conditions = status.conditions.iter().map(|condition| condition.last_transition_time);
    let run = status.run.as_ref().and_then(|run| run.recorded_time.or(run.submitted_time));
    let times = conditions.chain(run).map(tabular_operator::api::Time::timestamp);
    // A write of the progress, for example, changes none of these times.
    let written = times.chain(changed(object, "status", &["f:status"])).max();
    // A status of an earlier generation does not show that the operator can decode this one.
    let is_observed = object.resource.meta().generation.is_none_or(|generation| generation <= status.observed_generation);
    // The times of writes have whole seconds, and those of events microseconds. A write in the same second as the event may precede the
    // refused one, or follow it at once without what was refused, such as the finalizer. So only one in a later second resolves the event.
    let is_resolved = written.is_some_and(|written| written > newest.time) && (reason == Reason::WriteRefused || is_observed);
    (!is_resolved).then_some(reason)
}

/// Whether something waits for the operator: a deletion, a change, a run or a due trigger.
fn waits_for_operator(object: &Object, unobserved: &[Unobserved], now: Timestamp) -> bool {
    let status = object.status();
    let waits = match resource_status(object) {
        ResourceStatus::NeedsAction | ResourceStatus::Running | ResourceStatus::Waiting => true,
        ResourceStatus::Suspended => false,
        ResourceStatus::Succeeded | ResourceStatus::Idle => {
            status.queued.is_some() || status.next_schedule_time.is_some_and(|time| time.timestamp() <= now)
        }
    };
    !object.resource.is_released() && (object.is_deleting() || !unobserved.is_empty() || waits)
}

fn verdict(object: &Object, subject: &Subject) -> Verdict {
    let known = match subject {
        _ if resource_status(object) == ResourceStatus::NeedsAction => return Verdict::NeedsAction,
        Subject::Unobserved(change) if change.seconds.is_some_and(|seconds| seconds >= UNOBSERVED_LIMIT) => return Verdict::NeedsAction,
        Subject::Unobserved(_) | Subject::Newer(_) => return Verdict::Proceeds,
        Subject::Known(reason) => *reason,
    };
    if matches!(known, Reason::WriteRefused | Reason::Undecodable) {
        Verdict::NeedsAction
    } else if known == Reason::Stale {
        Verdict::Stale
    } else if known.event_policy() == EventPolicy::Awaited {
        Verdict::MayNeedAction
    } else if known == Reason::Suspended && object.is(ConditionType::Stalled) {
        // Something is to be corrected before the next run, but none starts.
        Verdict::Proceeds
    } else if advice(known).section == Section::Fine {
        Verdict::Fine
    } else {
        Verdict::Proceeds
    }
}

fn since(object: &Object, subject: &Subject, now: Timestamp) -> Option<Since> {
    let seconds = |time: tabular_operator::api::Time| now.duration_since(time.timestamp()).as_secs().max(0);
    let known = match subject {
        Subject::Unobserved(change) => return change.seconds.map(Since::For),
        Subject::Known(Reason::Stale) => return freshness(object, now).map(|freshness| Since::For(freshness.overdue.max(0))),
        // The conditions are those of the latest run, and nothing records when it was suspended.
        Subject::Known(Reason::Suspended) if reason(object) != Reason::Suspended.as_str() => return None,
        Subject::Known(reason) => Some(*reason),
        Subject::Newer(_) => None,
    };
    let (status, run) = (object.status(), object.run());
    let transition = |kind| object.condition(kind).map(|condition| Since::For(seconds(condition.last_transition_time)));
    let is_of_run = run.is_some_and(|run| known.is_some_and(|reason| run.reason == reason.as_str()));
    let ended = run.filter(|run| run.state.ended() && is_of_run).and_then(|run| run.ended_time.or(run.recorded_time));
    let missing = status.missing_since_time.filter(|_| known.is_some_and(|reason| reason.event_policy() == EventPolicy::Awaited));
    let waits = run.is_some_and(|run| run.state == RunState::Waiting);
    ended
        .map(|time| Since::Ago(seconds(time)))
        .or_else(|| missing.map(|time| Since::For(seconds(time))))
        .or_else(|| transition(ConditionType::Stalled))
        .or_else(|| elapsed(object, now).filter(|_| !waits || is_of_run).map(Since::For))
        .or_else(|| transition(ConditionType::Ready))
}

/// What happens next.
fn next(object: &Object, reason: Reason, advice: &Advice) -> String {
    let ended = object.run().is_some_and(|run| run.state.ended() && run.reason == reason.as_str());
    prose(if object.is_suspended() && resource_status(object) != ResourceStatus::Running {
        self::advice(Reason::Suspended).next
    } else if ended && advice.section == Section::Failed {
        // No further attempt is left.
        NO_FURTHER_RUN
    } else {
        advice.next
    })
}

/// A text of the documentation, without its marks for code.
fn prose(text: &str) -> String {
    shown(&text.replace('`', ""))
}
