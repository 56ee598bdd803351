//! A reconciliation in progress, and what is kept in memory between two.

use std::mem::discriminant;

use tabular_operator::engine::reconcile::{AcceptedSubmission, Call, NextEffect, RefusedMetadata, Response, Transient};
use tabular_operator::operation::Submission;

use super::Fingerprint;
use crate::world::{Pending, Seconds, Task, index_of, seconds_of};

impl Fingerprint<'_> {
    pub(super) fn task(&mut self, resource: usize, task: &Task) {
        let state = task.machine.state();
        self.write(discriminant(state.stage));
        self.write((state.decisions, state.failed_records.min(4), state.intent_unanswered, state.released));
        self.view(resource, state.view);
        if let Some(decision) = task.decision() {
            match &decision.effect {
                NextEffect::Call(Call::List(kind, since)) => self.write((kind, self.since(*since))),
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
                    Response::Called(observation) | Response::NotPrepared(observation) => self.observation(observation),
                    Response::Written(view) | Response::Read(Ok(Some(view))) => self.view(resource, view),
                    Response::Rejected(rejection) => self.write(rejection),
                    Response::Read(found) => self.write(found.is_ok()),
                    Response::Namespace { terminating } => self.write(terminating),
                    Response::Start(_)
                    | Response::Observed(_)
                    | Response::Prepared
                    | Response::TimedOut
                    | Response::Reserved { .. }
                    | Response::Removed
                    | Response::Unanswered { .. }
                    | Response::Turn(_)
                    | Response::Published => {}
                }
            }
        }
    }

    pub(super) fn transient(&mut self, transient: &Transient, clock: Seconds) {
        // The number of conflicts in a row changes delays by less than a second.
        let Transient { memory, reread, accepted, metadata_refused, namespace_terminating, failures, unwritten, conflicts: _ } = transient;
        self.memory(memory, clock);
        self.write((reread, namespace_terminating, (*failures).min(8), unwritten));
        if let Some(AcceptedSubmission { run, attempt, submission, failed_writes }) = accepted {
            self.write((run, attempt, (*failed_writes).min(4)));
            if let Submission::Accepted { id, .. } = submission {
                self.write(id);
            }
        }
        if let Some(RefusedMetadata { times, at }) = metadata_refused {
            self.write(((*times).min(8), (self.world.now + clock - seconds_of(*at)).min(61)));
        }
    }
}
