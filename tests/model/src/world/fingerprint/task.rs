//! A reconciliation in progress, and what is kept in memory between two.

use std::mem::discriminant;

use tabular_operator::engine::reconcile::{AcceptedSubmission, Call, NextEffect, RefusedMetadata, Response, Transient};
use tabular_operator::operation::Submission;

use super::Fingerprint;
use crate::world::{Pending, Second, Task, index_of, second};

impl Fingerprint<'_> {
    pub(super) fn task(&mut self, resource: usize, task: &Task) {
        let state = task.machine.state();
        self.put(discriminant(state.stage));
        self.put((state.decisions, state.failed_records.min(4), state.intent_unanswered, state.released));
        self.view(resource, state.view);
        if let Some(decision) = task.decision() {
            match &decision.effect {
                NextEffect::Call(Call::List(kind, since)) => self.put((kind, self.since(*since))),
                other => self.put(other),
            }
            let deadline = decision.deadline.map(|deadline| self.since(deadline));
            self.put((decision.events.len(), index_of(&decision.model), deadline, decision.metadata_refused));
        }
        match &task.pending {
            Pending::Request(request) => self.put(discriminant(request)),
            Pending::Response(response) => {
                self.put(discriminant(response));
                match response {
                    Response::Called(observation) | Response::NotPrepared(observation) => self.observation(observation),
                    Response::Written(view) | Response::Read(Ok(Some(view))) => self.view(resource, view),
                    Response::Rejected(rejection) => self.put(rejection),
                    Response::Read(found) => self.put(found.is_ok()),
                    Response::Namespace { terminating } => self.put(terminating),
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

    pub(super) fn transient(&mut self, transient: &Transient, clock: Second) {
        // The number of conflicts in a row changes delays by less than a second.
        let Transient { memory, reread, accepted, metadata_refused, namespace_terminating, failures, unwritten, conflicts: _ } = transient;
        self.memory(memory, clock);
        self.put((reread, namespace_terminating, (*failures).min(8), unwritten));
        if let Some(AcceptedSubmission { run, attempt, submission, failed_writes }) = accepted {
            self.put((run, attempt, (*failed_writes).min(4)));
            if let Submission::Accepted { id, .. } = submission {
                self.put(id);
            }
        }
        if let Some(RefusedMetadata { times, at }) = metadata_refused {
            self.put(((*times).min(8), (self.world.now + clock - second(*at)).min(61)));
        }
    }
}
