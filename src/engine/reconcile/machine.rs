//! The state machine: it maps each response of the driver to the next request.

use std::sync::Arc;

use jiff::Timestamp;

use super::super::{EffectResult, Settings};
use super::stage::{MachineState, ReadPurpose, Stage};
use super::{DriverRequest, DriverResponse, Finish, InMemoryState, Outcome, RunRef, View};
use crate::api::Run;

/// One reconciliation of one resource.
///
/// The driver passes [`DriverResponse::Start`] to [`Self::handle`], performs the returned request, passes the response, and so on until
/// [`DriverRequest::Done`]. It may stop at any point: then [`Self::abandon`] returns the outcome.
#[derive(Clone, Debug)]
pub struct Reconciliation<V> {
    pub(super) view: V,
    pub(super) in_memory: InMemoryState,
    pub(super) settings: Arc<Settings>,
    /// Whether the resource no longer exists. Nothing can be written, and its status is kept in memory.
    pub(super) detached: bool,
    /// The time of the last response with a time; `None` before the first.
    pub(super) now: Option<Timestamp>,
    pub(super) decisions: u8,
    /// How often the id of the accepted operation could not be recorded.
    pub(super) failed_records: u32,
    /// Whether a write of an intent has no response from the API server yet.
    pub(super) intent_unconfirmed: bool,
    /// Whether the finalizer removal was sent; afterwards the resource may be gone.
    pub(super) removal_sent: bool,
    pub(super) stage: Stage,
}

impl<V: View> Reconciliation<V> {
    /// A reconciliation of a resource, as it was last observed.
    #[must_use]
    pub fn new(view: V, in_memory: InMemoryState, settings: Arc<Settings>) -> Self {
        Self {
            view,
            in_memory,
            settings,
            detached: false,
            now: None,
            decisions: 0,
            failed_records: 0,
            intent_unconfirmed: false,
            removal_sent: false,
            stage: Stage::Initial,
        }
    }

    /// A reconciliation of a resource that was deleted without its finalizer, as if the deletion waited for it.
    #[must_use]
    pub fn detached(view: V, in_memory: InMemoryState, settings: Arc<Settings>) -> Self {
        Self { detached: true, ..Self::new(view, in_memory, settings) }
    }

    /// The resource as it was last observed.
    pub fn view(&self) -> &V {
        &self.view
    }

    /// Whether the resource no longer exists.
    pub fn is_detached(&self) -> bool {
        self.detached
    }

    /// The current in-memory state of the resource.
    pub fn in_memory(&self) -> &InMemoryState {
        &self.in_memory
    }

    /// The run that a call is for: the one in progress, or the one that is about to start.
    #[must_use]
    pub fn run(&self) -> RunRef {
        let decided = match &self.stage {
            Stage::Preparing(decision) | Stage::Calling(decision) => decision.status.as_deref(),
            Stage::Initial
            | Stage::Reading(_)
            | Stage::ReadingNamespace
            | Stage::Observing(_)
            | Stage::Reserving(_)
            | Stage::Writing(_)
            | Stage::Publishing(_)
            | Stage::Checking(_)
            | Stage::Changing(_)
            | Stage::Removing
            | Stage::Reporting
            | Stage::Acquiring
            | Stage::RunningCheck(_)
            | Stage::Ended => None,
        };
        let run = decided.unwrap_or_else(|| self.view.status()).run.as_ref();
        match run.filter(|run| !run.state.ended()) {
            Some(Run { number, operation_id, activity_id, .. }) => {
                RunRef { number: *number, operation_id: operation_id.clone(), activity_id: activity_id.clone() }
            }
            None => RunRef { number: run.map_or(0, |run| run.number).saturating_add(1), operation_id: None, activity_id: None },
        }
    }

    #[doc(hidden)]
    pub fn state(&self) -> MachineState<'_, V> {
        let Self { stage, view, in_memory, decisions, failed_records, intent_unconfirmed, removal_sent, .. } = self;
        let (decisions, failed_records) = (*decisions, *failed_records);
        let (intent_unconfirmed, removal_sent) = (*intent_unconfirmed, *removal_sent);
        MachineState { stage, view, in_memory, decisions, failed_records, intent_unconfirmed, removal_sent }
    }

    /// Takes the response to the last request, and returns the next request. A response to another request ends the reconciliation as failed.
    pub fn handle(&mut self, response: DriverResponse<V>) -> DriverRequest<V> {
        match (std::mem::replace(&mut self.stage, Stage::Ended), response) {
            (Stage::Initial, DriverResponse::Start(now)) => self.start(now),
            (Stage::Reading(purpose), DriverResponse::Read(found)) => self.handle_read(purpose, found),
            (Stage::ReadingNamespace, DriverResponse::Namespace { terminating }) => {
                self.in_memory.namespace_terminating |= terminating;
                self.first_decision()
            }
            (Stage::Observing(effect_result), DriverResponse::Observed(observed)) => self.decide(*observed, *effect_result),
            (Stage::Preparing(decision), DriverResponse::Prepared) => self.prepared(decision),
            // The decision is discarded. The next one is made on what prevented it.
            (Stage::Preparing(_), DriverResponse::NotPrepared(effect_result)) => self.observe(*effect_result),
            (Stage::Preparing(_), DriverResponse::TimedOut) => self.timed_out_in_deletion(),
            (Stage::Reserving(decision), DriverResponse::Reserved { claimed: false }) => self.record(decision),
            (Stage::Reserving(_), DriverResponse::Reserved { claimed: true }) => self.read(ReadPurpose::Stale),
            (Stage::Writing(decision), DriverResponse::Written(view)) => self.written(decision, view),
            (Stage::Writing(decision), DriverResponse::Rejected(rejection)) => self.record_rejected(*decision, rejection),
            (Stage::Writing(decision), DriverResponse::Unconfirmed { denied }) => self.record_unconfirmed(*decision, denied),
            (Stage::Publishing(decision), DriverResponse::Published) => self.perform_effect(decision),
            (Stage::Checking(decision), DriverResponse::Observed(observed)) => self.check(decision, *observed),
            (Stage::Changing(decision), DriverResponse::Written(view)) => self.changed(*decision, view),
            (Stage::Changing(decision), DriverResponse::Rejected(rejection)) => self.change_rejected(&decision, rejection),
            (Stage::Changing(decision), DriverResponse::Unconfirmed { .. }) => self.change_failed(&decision),
            (Stage::Removing, DriverResponse::Removed) => self.end(Finish::FinalizerRemoved),
            (Stage::Removing, DriverResponse::Rejected(rejection)) => self.removal_rejected(rejection),
            (Stage::Removing, DriverResponse::Unconfirmed { denied }) => self.removal_unconfirmed(denied),
            (Stage::Reporting, DriverResponse::Published) => self.observe(EffectResult::None),
            (Stage::Acquiring, DriverResponse::Turn(turn)) => self.observe(EffectResult::Turn(turn)),
            (Stage::Calling(_), DriverResponse::Called(effect_result)) => self.called(*effect_result),
            (Stage::Calling(decision), DriverResponse::TimedOut) => self.call_timed_out(&decision),
            (Stage::RunningCheck(decision), DriverResponse::CheckCompleted(report)) => self.check_completed(&decision, &report),
            (_, _) => self.end(Finish::Failed),
        }
    }

    /// Ends the reconciliation when the driver stops here, at `now`: after a timeout, a panic, or when its future is dropped.
    /// `now` matters because a turn that the status justified at the last observation may no longer be justified.
    pub fn abandon(&mut self, now: Timestamp) -> Outcome<V> {
        self.stage = Stage::Ended;
        self.now = self.now.map(|_| now);
        self.outcome(Finish::Failed)
    }
}
