//! A reconciliation in progress, and what is kept in memory between two.

use std::mem::discriminant;

use tabular_operator::engine::reconcile::{AcceptedSubmission, DriverResponse, InMemoryState, NextEffect, PlannedCall, Repeated};
use tabular_operator::operation::SubmitResult;

use super::{Fingerprint, MAX_CHECK_AGE};
use crate::world::{Pending, Seconds, Task, index_of, seconds_of};

impl Fingerprint<'_> {
    pub(super) fn task(&mut self, resource: usize, task: &Task) {
        let state = task.machine.state();
        self.write(discriminant(state.stage));
        self.write((state.decisions, state.failed_records.min(4), state.intent_unconfirmed, state.removal_sent));
        self.view(resource, state.view);
        if let Some(decision) = task.decision() {
            match &decision.effect {
                NextEffect::Call(PlannedCall::List(kind, since)) => self.write((kind, self.since(*since))),
                NextEffect::Check(request) => self.write((&request.value, self.since(request.started).min(MAX_CHECK_AGE))),
                other => self.write(other),
            }
            let deadline = decision.deadline.map(|deadline| self.since(deadline));
            self.write((decision.events.len(), index_of(&decision.model), deadline, decision.metadata_refused));
        }
        match &task.pending {
            Pending::Request(request) => self.write(discriminant(request)),
            Pending::Response(response) => {
                self.write(discriminant(response));
                match response {
                    DriverResponse::Called(effect_result) | DriverResponse::NotPrepared(effect_result) => self.effect_result(effect_result),
                    DriverResponse::Written(view) | DriverResponse::Read(Ok(Some(view))) => self.view(resource, view),
                    DriverResponse::Rejected(rejection) => self.write(rejection),
                    DriverResponse::Read(found) => self.write(found.is_ok()),
                    DriverResponse::CheckCompleted(report) => self.write(report),
                    DriverResponse::Namespace { terminating } => self.write(terminating),
                    DriverResponse::Start(_)
                    | DriverResponse::Observed(_)
                    | DriverResponse::Prepared
                    | DriverResponse::TimedOut
                    | DriverResponse::Reserved { .. }
                    | DriverResponse::Removed
                    | DriverResponse::Unconfirmed { .. }
                    | DriverResponse::Turn(_)
                    | DriverResponse::Published => {}
                }
            }
        }
    }

    pub(super) fn in_memory(&mut self, in_memory: &InMemoryState, clock: Seconds) {
        // The number of conflicts in a row changes delays by less than a second.
        let InMemoryState {
            memory,
            reread,
            accepted,
            check,
            dropped_check,
            dropped_cancel_request,
            metadata_refused,
            removal_events,
            annotation_removed,
            namespace_terminating,
            failures,
            consecutive_failed_writes,
            conflicts: _,
        } = in_memory;
        self.memory(memory, clock);
        self.check(check.as_deref());
        self.write((
            removal_events,
            dropped_check,
            dropped_cancel_request,
            reread,
            namespace_terminating,
            (*failures).min(8),
            consecutive_failed_writes,
        ));
        if let Some(AcceptedSubmission { run, attempt, submission, failed_writes, denied }) = accepted {
            self.write((run, attempt, (*failed_writes).min(4), denied));
            if let SubmitResult::Accepted { id, .. } = submission {
                self.write(id);
            }
        }
        if let Some(Repeated { times, at }) = metadata_refused {
            self.write(((*times).min(8), (self.world.now + clock - seconds_of(*at)).min(61)));
        }
        if let Some(Repeated { times, at }) = annotation_removed {
            self.write(((*times).min(12), (self.world.now + clock - seconds_of(*at)).min(129)));
        }
    }
}
