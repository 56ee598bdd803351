//! The working copy of one decision, which the rules change, and how it becomes a decision.

use std::time::Duration;

use jiff::Timestamp;

use super::conditions::{self, ConditionOverride};
use super::details_url::details_url;
use super::next::Next;
use super::{Decision, DecisionInput, DecisionMemory, DesiredState, Effect, Event, text, timing};
use crate::api::{ConditionType, Model, Reason, Run, RunState, Status};
use crate::operation::{OperationId, OperationKind, OperationRef};

/// Maximum number of operation ids that are kept, so that none of them is mistaken for a new operation.
const MAX_REMEMBERED_OPERATIONS: usize = 12;

/// The working copy of one decision.
pub(super) struct Draft<'a> {
    pub(super) input: &'a DecisionInput<'a>,
    pub(super) desired: &'a DesiredState,
    pub(super) now: Timestamp,
    pub(super) status: Status,
    pub(super) memory: DecisionMemory,
    condition_override: Option<ConditionOverride>,
    events: Vec<Event>,
}

impl<'a> Draft<'a> {
    pub(super) fn new(input: &'a DecisionInput<'a>) -> Self {
        Self {
            input,
            desired: input.desired,
            now: input.now,
            status: input.status.clone(),
            memory: input.memory.clone(),
            condition_override: None,
            events: Vec::new(),
        }
    }

    /// Overrides the state of the run in the conditions.
    pub(super) fn override_conditions(&mut self, condition_override: ConditionOverride) {
        self.condition_override = Some(condition_override);
    }

    /// Adds an event that does not follow from the record.
    pub(super) fn emit(&mut self, reason: Reason, message: impl AsRef<str>) {
        self.events.push(Event { reason, message: text::bounded(message.as_ref(), text::SENTENCE) });
    }

    /// Keeps the record of the run; only acknowledges a new generation. The result is not worth a write.
    ///
    /// Without an effect no further decision follows immediately, so an edit of the spec during a run is acknowledged here. Not if no
    /// run is in progress: an ended run with a new generation would appear to be a run of that generation.
    pub(super) fn unchanged(self, effect: Effect, requeue_after: Option<Duration>) -> Decision {
        let mut recorded = self.input.status.clone();
        let in_progress = recorded.run.as_ref().is_some_and(|run| !run.state.ended());
        if effect == Effect::None && in_progress {
            recorded.observed_generation = self.desired.generation;
            recorded.history.truncate(self.desired.policy.history_limit);
            for condition in &mut recorded.conditions {
                condition.observed_generation = self.desired.generation;
            }
            if self.is_deleting() {
                // The messages name the deletion.
                conditions::derive(&mut recorded, None, self.desired, self.input.settings.reference_grace, self.now);
            }
        }
        let model = self.model();
        // What is neither recorded nor done is reported by the next decision.
        let events = if matches!(effect, Effect::RemoveFinalizer | Effect::RemoveAnnotation(_)) { self.events } else { Vec::new() };
        Decision { status: recorded, memory: self.memory, effect, model, events, requeue_after }
    }

    /// The model of the effect: that of the run in progress, even if the run is not recorded yet.
    fn model(&self) -> Model {
        let run = self.status.run.as_ref().filter(|run| !run.state.ended());
        run.map_or(&self.desired.operation.model, |run| &run.model).clone()
    }

    /// Ends the decision for a resource that the operator must not write. What is not recorded is not reported either.
    pub(super) fn without_write(self) -> Decision {
        let (recorded, model) = (self.input.status.clone(), self.model());
        Decision { status: recorded, memory: self.memory, effect: Effect::None, model, events: Vec::new(), requeue_after: None }
    }

    /// Ends the decision and records the working copy.
    pub(super) fn commit(mut self, effect: Effect, requeue_after: Option<Duration>) -> Decision {
        self.status.observed_generation = self.desired.generation;
        self.status.history.truncate(self.desired.policy.history_limit);
        let model = self.model();
        let run = self.status.run.as_ref().filter(|run| !run.state.ended());
        let shown = run.map_or_else(|| self.desired.operation.model.display(), display);
        self.status.model = Some(text::bounded(&shown, text::NAME)).filter(|shown| !shown.is_empty());
        let (kind, portal) = (self.kind(), self.input.settings.power_bi_portal.as_deref());
        let recorded = self.input.status.run.as_ref();
        // A run that has ended stays as it was recorded, also by an earlier version.
        let is_open = |run: &&mut Run| recorded.is_none_or(|recorded| recorded.number != run.number || !recorded.state.ended());
        if let Some(run) = self.status.run.as_mut().filter(is_open) {
            run.details_url = details_url(run, kind, portal);
        }
        if self.input.status.observed_generation != self.desired.generation {
            // A reference of the new generation may arrive with the same commit.
            self.status.missing_since_time = None;
        }
        let grace = self.input.settings.reference_grace;
        let stalls_in = conditions::derive(&mut self.status, self.condition_override.as_ref(), self.desired, grace, self.now);
        let requeue_after = stalls_in.map(|delay| timing::at_latest(requeue_after, delay)).or(requeue_after);
        self.emit_transition();
        Decision { status: self.status, memory: self.memory, effect, model, events: self.events, requeue_after }
    }

    /// For how long a user has had to act. A missing reference that may still arrive does not count yet.
    pub(super) fn blocked_for(&self) -> Duration {
        let recorded = self.input.status;
        let waits = |reason: &str| Reason::parse(reason).is_some_and(conditions::is_stalled);
        let stalled = recorded.conditions.iter().find(|condition| condition.r#type == ConditionType::Stalled && waits(&condition.reason));
        stalled.map_or(Duration::ZERO, |condition| timing::elapsed(condition.last_transition_time.timestamp(), self.now))
    }

    /// Records the working copy. The next poll comes after `delay`, and not before.
    pub(super) fn record_and_delay(&mut self, delay: Duration) -> Next {
        self.delay_poll(delay);
        Next::record(Effect::None, Some(delay))
    }

    /// Keeps the record unchanged. The next poll comes after `delay`, and not before.
    pub(super) fn keep_and_delay(&mut self, delay: Duration) -> Next {
        self.delay_poll(delay);
        Next::unchanged(Effect::None, Some(delay))
    }

    /// Delays the next poll by `delay`.
    pub(super) fn delay_poll(&mut self, delay: Duration) {
        self.memory.poll_delayed_at = Some(self.now);
        self.memory.poll_not_before = self.now.checked_add(delay).ok();
    }

    /// How long until the next poll is due; `None` if it is due now.
    pub(super) fn poll_due_in(&self) -> Option<Duration> {
        // After an edit of the spec the operator polls immediately.
        if self.input.status.observed_generation != self.desired.generation {
            return None;
        }
        // The clock was set back, so the remembered times are meaningless.
        if self.memory.poll_delayed_at.is_some_and(|at| self.now < at) {
            return None;
        }
        self.memory.poll_not_before.map(|next| timing::remaining(next, self.now)).filter(|delay| !delay.is_zero())
    }

    /// The seed that makes delays differ from resource to resource.
    pub(super) fn seed(&self) -> (&'a str, Timestamp) {
        (&self.desired.uid, self.now)
    }

    /// The kind of operation that a run of the resource submits.
    pub(super) fn kind(&self) -> OperationKind {
        self.desired.operation.request.kind()
    }

    /// The handle of the run's operation, with its newest `Location`.
    pub(super) fn operation_ref(&self, id: OperationId) -> OperationRef {
        let recorded = || self.status.run.as_ref().and_then(|run| run.location.clone());
        OperationRef { id, location: self.memory.location.clone().or_else(recorded) }
    }

    /// When the intent of the run was recorded.
    pub(super) fn intent(&self) -> Timestamp {
        self.status.run.as_ref().map_or(self.now, |run| run.submitted_time.unwrap_or(run.requested_time).timestamp())
    }

    /// How long until a cancellation may be sent again, because the last one seems to be lost; zero if none was sent yet.
    pub(super) fn cancel_due_in(&self) -> Duration {
        let resend = timing::cancel_resend(self.memory.cancels);
        // If the clock was set back, the time of the last one is meaningless.
        let sent = self.memory.cancelled_at.filter(|at| *at <= self.now);
        sent.map_or(Duration::ZERO, |at| resend.saturating_sub(timing::elapsed(at, self.now)))
    }

    /// Whether no cancellation was sent yet, or the last one is so long ago that it seems to be lost.
    pub(super) fn cancel_is_due(&self) -> bool {
        self.cancel_due_in().is_zero()
    }

    /// Counts a cancellation that is sent.
    pub(super) fn count_cancel(&mut self) {
        self.memory.cancels = self.memory.cancels.saturating_add(1).min(timing::MOST_CANCELS);
    }

    /// Whether the resource is being deleted.
    pub(super) fn is_deleting(&self) -> bool {
        self.desired.deletion.is_some()
    }

    /// Adds one event for each transition: a change of the summary's reason, of the run or of its attempt.
    fn emit_transition(&mut self) {
        let summary = |status: &Status| {
            let ready = status.conditions.iter().find(|condition| condition.r#type == ConditionType::Ready)?;
            let run = status.run.as_ref().map(|run| (run.number, run.attempt));
            Some((ready.reason.clone(), run, ready.message.clone()))
        };
        let before = summary(self.input.status);
        let Some((reason, run, message)) = summary(&self.status) else {
            return;
        };
        if before.as_ref().is_some_and(|(old, old_run, _)| *old == reason && *old_run == run) {
            return;
        }
        let Some(reason) = Reason::parse(&reason) else {
            return;
        };
        // Each retry records an intent first. If it is refused for the same reason, there is no transition to report.
        let tried = before.is_some_and(|(old, old_run, _)| old == Reason::Submitting.as_str() && old_run == run);
        let again = tried && self.memory.last_event_reason == Some(reason);
        let has_event = reason.has_event_on_transition();
        if has_event {
            self.memory.last_event_reason = Some(reason);
        }
        if has_event && !again {
            self.events.push(Event { reason, message });
        }
    }
}

impl Run {
    /// Sets the state of the run, with its reason and message.
    pub(super) fn set_state(&mut self, state: RunState, reason: Reason, message: impl AsRef<str>) {
        self.state = state;
        reason.as_str().clone_into(&mut self.reason);
        self.message = text::bounded(message.as_ref(), text::SENTENCE);
    }

    /// The reason, if this version knows it.
    pub(super) fn reason(&self) -> Option<Reason> {
        Reason::parse(&self.reason)
    }

    /// Whether an operation of the run may be running at the service, or may start.
    pub(super) fn may_run(&self) -> bool {
        matches!(self.state, RunState::Submitting | RunState::Running | RunState::Cancelling)
    }

    /// Whether a user decides about its submission.
    pub(super) fn awaits_decision(&self) -> bool {
        self.reason == Reason::SubmissionUnknown.as_str()
    }

    /// Whether an operation belongs to an earlier run or attempt of this resource.
    pub(super) fn has_previous(&self, id: &OperationId) -> bool {
        self.previous_operation_ids.iter().any(|earlier| id.eq_ignoring_case(earlier))
    }

    /// Whether a user ruled out that an operation belongs to this resource.
    pub(super) fn excludes(&self, id: &OperationId) -> bool {
        self.excluded_operation_ids.iter().any(|other| id.eq_ignoring_case(other))
    }

    /// The operations that the run knows, with its own as the last one.
    pub(super) fn into_operations(self) -> Vec<String> {
        let mut ids = self.previous_operation_ids;
        remember(&mut ids, self.operation_id);
        ids
    }

    /// The id of the operation, if there is one.
    pub(super) fn operation(&self) -> Option<OperationId> {
        self.operation_id.as_deref().and_then(OperationId::parse)
    }
}

/// Adds ids that are not in the list yet, and drops the oldest if there are too many.
pub(super) fn remember(ids: &mut Vec<String>, more: impl IntoIterator<Item = String>) {
    for id in more {
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    let surplus = ids.len().saturating_sub(MAX_REMEMBERED_OPERATIONS);
    ids.drain(..surplus);
}

/// The model of a run as users know it: by its names if it was resolved by them.
fn display(run: &Run) -> String {
    run.resolved_from.as_ref().map_or_else(|| run.model.display(), |names| format!("{}/{}", names.workspace, names.dataset))
}
