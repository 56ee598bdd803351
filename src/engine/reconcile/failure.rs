//! Writes that are rejected or have no response, and reads bypassing the cache.

use std::time::Duration;

use super::super::{EffectResult, QueueState};
use super::in_memory_state::record_retry_delay;
use super::pending_decision::NextEffect;
use super::stage::ReadPurpose;
use super::{DriverRequest, Finish, PendingDecision, ReadFailed, Reconciliation, Rejection, Stage, View};
use crate::api::Run;
use crate::operation::SubmitResult;

/// How long a resource whose intent was not recorded waits before it requests its turn again.
const REREAD_DELAY: Duration = Duration::from_secs(1);

impl<V: View> Reconciliation<V> {
    /// Handles a rejected write of the status.
    pub(super) fn record_rejected(&mut self, decision: PendingDecision, rejection: Rejection) -> DriverRequest<V> {
        self.intent_unconfirmed &= !decision.is_intent();
        self.note_denial(rejection == Rejection::Permanent);
        match (rejection, decision.accepted) {
            // The process is about to exit, and the next leader resolves the submission from the record.
            (Rejection::NotLeader, _) => self.end(Finish::Conflict),
            (Rejection::Conflict | Rejection::NotFound, Some(accepted)) => self.record_again(accepted, true),
            (Rejection::Permanent | Rejection::Temporary, Some(accepted)) => self.record_again(accepted, false),
            (Rejection::Conflict | Rejection::NotFound, None) => self.read(ReadPurpose::Rejected { metadata: false }),
            (Rejection::Permanent | Rejection::Temporary, None) => self.end(Finish::Failed),
        }
    }

    /// Handles a write of the status without a response. If it records an intent, the turn is kept until a read shows the result.
    pub(super) fn record_unconfirmed(&mut self, decision: PendingDecision, denied: bool) -> DriverRequest<V> {
        self.note_denial(denied);
        match decision.accepted {
            Some(accepted) => self.record_again(accepted, false),
            None => self.end(Finish::Failed),
        }
    }

    /// Keeps whether the last write of the status was denied, while the id of an operation is not recorded.
    fn note_denial(&mut self, denied: bool) {
        if let Some(accepted) = &mut self.in_memory.accepted {
            accepted.denied = denied;
        }
    }

    /// Writes the id of an operation that the service has: a few times immediately, then once in each reconciliation, until it is recorded.
    fn record_again(&mut self, accepted: SubmitResult, stale: bool) -> DriverRequest<V> {
        self.failed_records = self.failed_records.saturating_add(1);
        if let Some(known) = &mut self.in_memory.accepted {
            known.failed_writes = self.failed_records;
        }
        match record_retry_delay(self.failed_records) {
            Some(delay) => self.read_after(delay, ReadPurpose::Record(accepted)),
            // A reconciliation never ends with a stale view.
            None if stale => self.read(ReadPurpose::DeferRecord),
            None => self.end(Finish::Failed),
        }
    }

    /// Handles a change of the finalizer or an annotation.
    pub(super) fn changed(&mut self, decision: PendingDecision, view: V) -> DriverRequest<V> {
        self.view = view;
        self.in_memory.metadata_refused = None;
        if matches!(decision.effect, NextEffect::RemoveAnnotation(_)) {
            self.in_memory.annotation_removed(self.now.unwrap_or_default());
            if !decision.events.is_empty() {
                self.stage = Stage::Reporting;
                return self.publish(decision.events);
            }
        }
        self.observe(EffectResult::None)
    }

    /// Handles a rejected change of the finalizer or an annotation.
    pub(super) fn change_rejected(&mut self, decision: &PendingDecision, rejection: Rejection) -> DriverRequest<V> {
        match rejection {
            Rejection::NotLeader => self.end(Finish::Conflict),
            Rejection::Conflict | Rejection::NotFound => self.read(ReadPurpose::Rejected { metadata: true }),
            Rejection::Permanent | Rejection::Temporary => self.change_failed(decision),
        }
    }

    /// Decides again without a change of the metadata, unless this decision already was. A run that is about to start requires the finalizer,
    /// and returns its turn at once if the API server does not respond.
    pub(super) fn change_failed(&mut self, decision: &PendingDecision) -> DriverRequest<V> {
        self.refuse_metadata();
        let is_start = decision.effect == NextEffect::AddFinalizer && !self.view.status().run.as_ref().is_some_and(Run::may_run);
        if decision.metadata_refused || is_start { self.end(Finish::Failed) } else { self.observe(EffectResult::None) }
    }

    pub(super) fn removal_rejected(&mut self, rejection: Rejection) -> DriverRequest<V> {
        match rejection {
            Rejection::NotLeader => {
                self.removal_sent = false;
                self.end(Finish::Conflict)
            }
            // Usually the resource is gone. But an admission webhook may deny a write with any status code.
            Rejection::NotFound | Rejection::Conflict => self.read(ReadPurpose::Removal { rejected: true, denied: false }),
            Rejection::Permanent => {
                self.refuse_metadata();
                self.end(Finish::Failed)
            }
            Rejection::Temporary => self.end(Finish::Failed),
        }
    }

    pub(super) fn removal_unconfirmed(&mut self, denied: bool) -> DriverRequest<V> {
        self.read(ReadPurpose::Removal { rejected: false, denied })
    }

    fn refuse_metadata(&mut self) {
        self.in_memory.refuse_metadata(self.now.unwrap_or_default());
    }

    /// Handles the result of a read bypassing the cache.
    pub(super) fn handle_read(&mut self, purpose: ReadPurpose, found: Result<Option<V>, ReadFailed>) -> DriverRequest<V> {
        let view = match found {
            Ok(Some(view)) => view,
            Ok(None) if matches!(purpose, ReadPurpose::Removal { .. }) => return self.end(Finish::FinalizerRemoved),
            Ok(None) => return self.end(Finish::Gone),
            Err(ReadFailed) => return self.end(Finish::Failed),
        };
        let is_newer = view.version() != self.view.version();
        self.view = view;
        match purpose {
            ReadPurpose::Reread => {
                (self.intent_unconfirmed, self.in_memory.reread) = (false, false);
                if self.recorded_queue_state() == QueueState::Holding { self.proceed() } else { self.release_turn(REREAD_DELAY) }
            }
            ReadPurpose::Record(accepted) => {
                self.decisions = 0;
                self.observe(EffectResult::Submitted(accepted))
            }
            ReadPurpose::Stale => self.end(Finish::Conflict),
            ReadPurpose::Removal { .. } if !self.view.has_finalizer() => self.end(Finish::FinalizerRemoved),
            ReadPurpose::Removal { rejected: false, denied } => {
                if denied {
                    self.refuse_metadata();
                }
                self.end(Finish::Failed)
            }
            ReadPurpose::Rejected { .. } | ReadPurpose::Removal { rejected: true, .. } if is_newer => self.end(Finish::Conflict),
            // A webhook may deny a write as a conflict, and a definition without the status subresource leads to 404.
            ReadPurpose::Rejected { metadata: false } | ReadPurpose::DeferRecord => {
                self.note_denial(!is_newer);
                self.end(Finish::Failed)
            }
            ReadPurpose::Rejected { metadata: true } | ReadPurpose::Removal { rejected: true, .. } => {
                self.refuse_metadata();
                self.end(Finish::Failed)
            }
        }
    }
}
