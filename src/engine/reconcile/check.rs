//! A check, which a user requests with an annotation: when it is due, and the record of its result.
//!
//! It is due when the decision has nothing to do and nothing to record. So it delays no work of a run, and the write of its result changes
//! nothing else.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::super::{CheckReport, CheckRequest, DesiredState, EffectResult, check, text, timing};
use super::pending_decision::NextEffect;
use super::{DriverRequest, Finish, PendingDecision, Reconciliation, View};
use crate::api::{Check, RunState, Status};

/// The delay after a decision that records something else. It limits the writes if a webhook reverts each of them.
const SETTLE_DELAY: Duration = Duration::from_secs(1);

impl<V: View> Reconciliation<V> {
    /// Adds a requested check to a decision that has no effect, or the record of its result.
    pub(super) fn plan_check(&self, desired: &DesiredState, now: Timestamp, decision: &mut PendingDecision) {
        let status = self.view.status();
        let recorded = status.check.as_ref().map(|check| &check.request);
        let is_answered = |value: &str| {
            recorded.into_iter().chain(&self.in_memory.dropped_check).any(|answered| text::is_recorded(value, Some(answered)))
        };
        let unrecorded = self.in_memory.check.as_ref().filter(|check| !is_answered(&check.request));
        let requested = desired.requests.check.as_deref().filter(|value| !is_answered(value));
        if decision.effect != NextEffect::Settle || unrecorded.is_none() && requested.is_none() {
            return;
        }
        let next_status = decision.status.as_deref().unwrap_or(status);
        if !may_check(desired, next_status) || decision.requeue == Some(Duration::ZERO) {
            return;
        }
        if decision.status.is_some() {
            decision.requeue = Some(timing::at_latest(decision.requeue, SETTLE_DELAY));
            return;
        }
        if let Some(check) = unrecorded {
            record(status, Check::clone(check), decision);
            if requested.is_some_and(|value| value != check.request) {
                decision.requeue = Some(timing::at_latest(decision.requeue, timing::CHECK_INTERVAL));
            }
            return;
        }
        let Some(value) = requested else { return };
        let next = status.check.as_ref().and_then(|check| timing::timestamp_after(check.time, timing::CHECK_INTERVAL));
        if let Some(wait) = next.and_then(|next| timing::time_until(next, now)) {
            decision.requeue = Some(timing::at_latest(decision.requeue, wait));
            return;
        }
        let kind = desired.operation.request.kind();
        let request = CheckRequest { value: value.to_owned(), model: desired.operation.model.clone(), kind, started: now };
        match check::fault(desired) {
            Some(blocker) => record(status, request.blocked(blocker), decision),
            None => decision.effect = NextEffect::Check(Box::new(request)),
        }
    }

    /// Keeps the result of a check until it is recorded.
    pub(super) fn check_completed(&mut self, decision: &PendingDecision, report: &CheckReport) -> DriverRequest<V> {
        let NextEffect::Check(request) = &decision.effect else { return self.end(Finish::Failed) };
        self.in_memory.check = Some(Arc::new(request.completed(report, timing::check_timeout(&self.settings))));
        self.observe(EffectResult::None)
    }

    /// Drops the result of a check that the status shows. A result that was written and is not in the status is dropped too: the resource
    /// definition lacks the field, so a further write would not change that.
    pub(super) fn forget_recorded_check(&mut self, decision: &PendingDecision) {
        let written = decision.status.as_ref().and_then(|status| status.check.as_ref());
        let shown = self.view.status().check.as_ref();
        if let Some(check) = written.filter(|_| shown.is_none()) {
            self.in_memory.dropped_check = Some(check.request.clone());
        }
        let is_over = |check: &Check| [shown, written].iter().flatten().any(|known| known.request == check.request);
        self.in_memory.check.take_if(|check| is_over(check));
    }
}

fn record(status: &Status, check: Check, decision: &mut PendingDecision) {
    decision.status = Some(Arc::new(Status { check: Some(check), ..status.clone() }));
}

/// Whether the operator checks a resource with this status: not before its first record, not while its submission may be on its way, and
/// not at its end. A submission that a user decides about is no longer on its way.
fn may_check(desired: &DesiredState, status: &Status) -> bool {
    let submits = status.run.as_ref().is_some_and(|run| run.state == RunState::Submitting && !run.awaits_decision());
    status.is_observed() && !submits && desired.deletion.is_none() && desired.drain.is_none()
}
