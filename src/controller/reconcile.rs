//! One pass over one resource: read, decide, record, one effect, and what it brought goes into the next decision.
//!
//! A thin loop around [`decide`]; it decides nothing itself. Nothing here is retried: a pass that cannot go on ends, and the
//! next one begins with a fresh look.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kube::{Resource as _, ResourceExt};

use super::agenda::Action;
use super::call::CallError;
use super::context::Context;
use super::denials;
use super::effects;
use super::namespaces;
use super::records::Records;
use super::surroundings::{self, Around};
use super::tally;
use super::watched::Watched;
use crate::api::{ModelResource, Reason, ResourceKey, Run, RunState, Status, Time};
use crate::engine::{
    Desired, Effect, Notice, Seen, Situation, Step, Surroundings, TurnUse, decide, patience, turn_use, turn_use_unrecorded,
};
use crate::operation::{Submission, Trouble, TroubleKind};
use crate::telemetry::labels::{Write, WriteResult};
use crate::telemetry::traces::Subject;

/// The most decisions that one pass makes; a longer story goes on in the next pass.
const DECISIONS: usize = 12;

/// How often a pass tries to record the id of an accepted operation, and the pause before the second try; each further one doubles it.
const QUICK_RECORDS: u32 = 3;
const FIRST_RECORD_PAUSE: Duration = Duration::from_millis(20);

/// How long a resource whose intent was not recorded leaves its turn to others.
const AFTER_REREAD: Duration = Duration::from_secs(1);

/// How many passes in a row fail before the resource counts as one that cannot proceed, and holds up nobody.
const STUCK: u32 = 3;

/// Why a pass could not go on.
#[derive(Debug, thiserror::Error)]
pub(super) enum PassError {
    /// The view was stale, or somebody else wrote meanwhile. Ordinary: the next pass looks afresh.
    #[error("the resource has changed since it was read")]
    Stale,
    /// A write was refused as if the view were stale. Only a fresh look tells whether it is.
    #[error("{1}")]
    Conflict(Write, #[source] CallError),
    /// The Kubernetes API gave no answer.
    #[error(transparent)]
    Call(#[from] CallError),
}

/// Brings one resource as far as it can be brought now: `object`, which `cached` holds.
pub(super) async fn pass(ctx: &Context, cached: &Arc<Watched>, object: Arc<ModelResource>) -> Result<Action, PassError> {
    let name = object.key();
    let uid = object.uid().unwrap_or_default();
    let reread = ctx.memory.must_reread(&uid);
    ctx.meet(&name, &uid);
    let object = ctx.memory.newest(&object);
    ctx.follow(&name, object.follows());
    let mut story = Story {
        ctx,
        records: Records::new(&ctx.client, &ctx.places, name.kind, &name.namespace),
        object,
        uid,
        name,
        namespace_ending: false,
        let_go: false,
        intent_unanswered: reread,
        end: End::Abandoned,
    };
    let mut outcome = if story.intent_unanswered { story.reread().await } else { story.tell().await };
    if !story.let_go {
        ctx.orphans.note(&story.object, cached);
    }
    if let Err(stale @ (PassError::Stale | PassError::Conflict(..))) = outcome {
        outcome = story.look_afresh(stale).await;
    }
    if story.end != End::Left && !matches!(outcome, Err(PassError::Call(_))) {
        story.end = End::OnRecord;
    }
    outcome
}

/// How a pass ended, for the queue of its model.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// The record says what the resource means to the queue.
    OnRecord,
    /// It has left the queue already: it is no longer this operator's, or it leaves its turn to others.
    Left,
    /// It failed, panicked, took too long or was dropped: whatever it had in memory alone is void.
    Abandoned,
}

/// One pass under way.
struct Story<'a> {
    ctx: &'a Context,
    records: Records,
    object: Arc<ModelResource>,
    uid: String,
    name: ResourceKey,
    namespace_ending: bool,
    /// Nothing of it is to be seen to any more, should it be gone: its finalizer goes, or has gone without an answer.
    let_go: bool,
    /// An intent was written, and the API server has not said whether the write was done.
    intent_unanswered: bool,
    end: End,
}

impl Drop for Story<'_> {
    fn drop(&mut self) {
        self.return_turn();
    }
}

impl Story<'_> {
    async fn tell(&mut self) -> Result<Action, PassError> {
        self.namespace_ending = self.is_namespace_ending().await;
        // The service accepted a submission whose id is not on record yet.
        let mut seen = self.ctx.memory.accepted(&self.uid, self.object.status()).map_or(Seen::Nothing, Seen::Submission);
        let (mut decisions, mut refused_writes) = (0, 0);
        while decisions < DECISIONS {
            decisions += 1;
            let accepted = match &seen {
                Seen::Submission(accepted @ Submission::Accepted { .. }) => Some(accepted.clone()),
                _ => None,
            };
            if let Some(accepted) = &accepted {
                self.ctx.memory.keep_accepted(&self.uid, self.object.status(), accepted);
            }
            let Around { fault, followed, credentials } = surroundings::around(self.ctx, &self.name, &self.object);
            let leaving = self.ctx.lease.leaving();
            let (namespace_ending, adopt_taken) = (self.namespace_ending, self.ctx.adopt_taken(&self.object));
            let metadata_refused = self.ctx.memory.metadata_waits(&self.uid).is_some();
            let surroundings = Surroundings { fault, namespace_ending, followed, leaving, adopt_taken, metadata_refused };
            let desired = Desired::of(&self.object, surroundings);
            let step = self.decide(&desired, seen);
            let prepare = effects::prepare(self.ctx, &self.object, credentials, &step.model, &step.effect);
            let prepared = patiently(&desired, self.within(&step, Box::pin(prepare))).await;
            let prepared = match prepared.unwrap_or_else(|| Err(Box::new(out_of_patience()))) {
                Ok(prepared) => prepared,
                // Nothing of this step happens; the decision is made again, knowing why.
                Err(hindrance) => {
                    seen = *hindrance;
                    continue;
                }
            };
            // Since the list was read, the operation may have become another resource's.
            if accepted.is_none() && self.adopted(&step).is_some_and(|(run, id)| self.ctx.is_taken(&self.object, run, id)) {
                return Err(PassError::Stale);
            }
            if let Err(error) = self.record(&step).await {
                let Some(accepted) = accepted else { return Err(error) };
                // The service has the operation, so its id is written until it is written. After a few tries the next pass goes on.
                refused_writes += 1;
                if refused_writes > QUICK_RECORDS {
                    return Err(error);
                }
                self.read_after(refused_writes, &error).await?;
                (seen, decisions) = (Seen::Submission(accepted), 0);
                continue;
            }
            if accepted.is_some() {
                self.ctx.memory.recorded(&self.uid);
            }
            self.ctx.memory.keep_scratch(&self.uid, step.scratch.clone());
            if !matches!(step.effect, Effect::RemoveAnnotation(_)) {
                self.publish(&step.notices);
            }
            seen = match (&step.effect, prepared) {
                (Effect::Nothing, _) => {
                    let next = step.look_again.into_iter().chain(self.ctx.memory.metadata_waits(&self.uid)).min();
                    return Ok(next.map_or_else(Action::await_change, Action::requeue));
                }
                (Effect::AddFinalizer, _) => {
                    self.must_lead()?;
                    self.metadata_written(self.records.add_finalizer(&self.object).await, desired.metadata_refused)?;
                    Seen::Nothing
                }
                (Effect::TakeTurn, _) => {
                    let since = self.object.status().and_then(waiting_since).unwrap_or_else(|| Timestamp::now().into());
                    Seen::Turn(self.ctx.queue.lock().acquire(&step.model.key(), &self.uid, &self.name, since))
                }
                (Effect::RemoveAnnotation(annotation), _) => {
                    self.must_lead()?;
                    if self.metadata_written(self.records.drop_annotation(&self.object, annotation).await, desired.metadata_refused)? {
                        self.publish(&step.notices);
                    }
                    Seen::Nothing
                }
                (Effect::Release, _) => {
                    self.must_lead()?;
                    // Before the write: the watch may show that the resource is gone sooner than the answer does.
                    self.let_go = true;
                    self.ctx.orphans.let_go(&self.uid);
                    self.ctx.index.departs(&self.object);
                    let write = self.records.drop_finalizer(&self.object).await;
                    self.written(Write::Finalizer, write)?;
                    self.report_release(&step);
                    self.ctx.forget(&self.name);
                    self.end = End::Left;
                    return Ok(Action::await_change());
                }
                (
                    effect
                    @ (Effect::Submit | Effect::Resolve | Effect::Look(_) | Effect::List(..) | Effect::FindModel | Effect::Cancel(_)),
                    Some(prepared),
                ) => {
                    let call = self.within(&step, Box::pin(effects::call(self.ctx, &self.object, &desired, effect, prepared)));
                    patiently(&desired, call).await.unwrap_or_else(out_of_patience)
                }
                (Effect::Submit | Effect::Resolve | Effect::Look(_) | Effect::List(..) | Effect::FindModel | Effect::Cancel(_), None) => {
                    Seen::Nothing
                }
            };
        }
        Ok(Action::requeue(Duration::from_millis(200)))
    }

    fn decide(&self, desired: &Desired, seen: Seen) -> Step {
        let blank = Status::default();
        let scratch = self.ctx.memory.scratch(&self.uid);
        decide(&Situation {
            desired,
            recorded: self.object.status().unwrap_or(&blank),
            scratch: &scratch,
            seen,
            now: Timestamp::now(),
            settings: &self.ctx.settings,
        })
    }

    /// The operation that a step begins to follow, with its run.
    fn adopted<'a>(&self, step: &'a Step) -> Option<(&'a Run, &'a str)> {
        let of = |status: &'a Status| status.run.as_ref().and_then(|run| Some((run, run.operation_id.as_deref()?)));
        let before = self.object.status().and_then(|status| status.run.as_ref()).and_then(|run| run.operation_id.as_deref());
        of(&step.recorded).filter(|(_, id)| before != Some(*id))
    }

    /// Writes the record where it says something new, under the resource version that it was decided on.
    async fn record(&mut self, step: &Step) -> Result<(), PassError> {
        if self.object.status() == Some(&step.recorded) || (self.object.status().is_none() && step.recorded == Status::default()) {
            return Ok(());
        }
        self.must_lead()?;
        let before = self.object.status().and_then(|status| status.run.clone());
        let is_intent = step.effect == Effect::Submit;
        self.intent_unanswered |= is_intent;
        let write = self.records.write_status(&self.object, &step.recorded).await;
        if is_intent && write.as_ref().err().is_none_or(CallError::is_refusal) {
            self.intent_unanswered = false;
        }
        self.object = self.written(Write::Status, write)?;
        if let Some(run) = &step.recorded.run {
            self.report(before.as_ref(), run);
        }
        Ok(())
    }

    /// Whoever has lost the lease writes nothing: another operator may have seen more.
    fn must_lead(&self) -> Result<(), PassError> {
        if self.ctx.lease.holds() { Ok(()) } else { Err(PassError::Stale) }
    }

    /// Takes over what a write left, or ends the pass where the write was refused.
    fn written<T: Kept>(&self, what: Write, outcome: Result<T, CallError>) -> Result<T, PassError> {
        let outcome = match outcome {
            Err(error) if error.is_conflict() || error.is_not_found() => return Err(PassError::Conflict(what, error)),
            other => other,
        };
        let result = match &outcome {
            Ok(_) => WriteResult::Success,
            Err(error) if error.denial().is_some() => WriteResult::Refused,
            Err(_) => WriteResult::Error,
        };
        self.ctx.metrics.wrote(what, result);
        match outcome {
            Ok(written) => {
                written.keep(self.ctx);
                Ok(written)
            }
            Err(error) if error.denial().is_some() => Err(self.denied(what, error)),
            // A write without an answer may have been done: only a fresh look tells.
            Err(error) => Err(PassError::Call(error)),
        }
    }

    /// Takes over what a write of the metadata left, and says whether it was done. Where the API server refuses it, the next decision is made
    /// without it, unless this one was.
    fn metadata_written(&mut self, outcome: Result<Arc<ModelResource>, CallError>, again: bool) -> Result<bool, PassError> {
        match self.written(Write::Finalizer, outcome) {
            Ok(object) => {
                self.object = object;
                self.ctx.memory.metadata_written(&self.uid);
                Ok(true)
            }
            Err(PassError::Call(error)) if error.denial().is_some() && !again => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Takes what the cluster says now for the next pass: a stale view is never a place to stop.
    async fn look_afresh(&mut self, stale: PassError) -> Result<Action, PassError> {
        let found = self.records.read(&self.name.name).await?.filter(|object| object.uid().as_deref() == Some(&self.uid));
        let Some(object) = found else {
            // Gone, or another of the same name, which has a pass of its own.
            self.ctx.forget(&self.name);
            self.end = End::Left;
            return Ok(Action::await_change());
        };
        let is_newer = object.meta().resource_version != self.object.meta().resource_version;
        self.ctx.keep_latest(&object);
        self.object = object;
        self.intent_unanswered = false;
        match stale {
            // A webhook may deny a write with the status of a conflict, and a definition without the status subresource answers 404.
            PassError::Conflict(what, error) if !is_newer => {
                self.ctx.metrics.wrote(what, WriteResult::Refused);
                Err(self.denied(what, error))
            }
            PassError::Conflict(what, _) => {
                self.ctx.metrics.wrote(what, WriteResult::Conflict);
                Err(PassError::Stale)
            }
            PassError::Stale | PassError::Call(_) => Err(stale),
        }
    }

    /// Reports a write that the API server refuses for what it is.
    fn denied(&self, what: Write, error: CallError) -> PassError {
        denials::report(self.ctx, &self.object, what, error.said().unwrap_or_default());
        if what == Write::Finalizer {
            self.ctx.memory.metadata_refused(&self.uid);
        }
        PassError::Call(error)
    }

    /// After a failed write of an operation's id: a pause, and what the cluster says now.
    async fn read_after(&mut self, refused_writes: u32, error: &PassError) -> Result<(), PassError> {
        tracing::warn!(kind = self.name.kind.as_str(), namespace = self.name.namespace, name = self.name.name, uid = self.uid, %error, "failed to record the id of an operation; retrying");
        if let PassError::Conflict(what, _) = error {
            self.ctx.metrics.wrote(*what, WriteResult::Conflict);
        }
        tokio::time::sleep(FIRST_RECORD_PAUSE * 2_u32.pow(refused_writes - 1)).await;
        match self.records.read(&self.name.name).await? {
            Some(object) if object.uid().as_deref() == Some(&self.uid) => {
                self.object = object;
                Ok(())
            }
            Some(_) | None => Err(PassError::Stale),
        }
    }

    /// The pass before wrote an intent, and does not know whether it was recorded. Only the API server can tell, so this pass reads the
    /// resource. Without an intent on record another resource may have the turn first: this one asks again in the next pass.
    async fn reread(&mut self) -> Result<Action, PassError> {
        match self.records.read(&self.name.name).await? {
            Some(object) if object.uid().as_deref() == Some(&self.uid) => {
                self.ctx.keep_latest(&object);
                self.object = object;
                self.intent_unanswered = false;
                self.ctx.memory.reread_done(&self.uid);
                if self.turn_on_record() == TurnUse::Holds {
                    return self.tell().await;
                }
                self.ctx.wake(self.ctx.queue.lock().remove(&self.uid));
                self.end = End::Left;
                Ok(Action::requeue(AFTER_REREAD))
            }
            Some(_) | None => Err(PassError::Stale),
        }
    }

    /// Sets what the resource means to the queue of its model, and wakes whoever is next.
    ///
    /// A turn that is granted exists in memory alone until the intent is on record. A pass that ends without it returns the turn,
    /// whatever ended the pass; so a resource that cannot record anything holds up no other.
    fn return_turn(&self) {
        if self.end == End::Left {
            return;
        }
        let stuck = self.end == End::Abandoned && self.ctx.memory.failures(&self.uid) >= STUCK;
        if self.intent_unanswered {
            self.ctx.memory.reread(&self.uid);
            // Of an intent that was not heard of nothing was sent.
            if stuck {
                self.ctx.wake(self.ctx.queue.lock().remove(&self.uid));
            }
            return;
        }
        let status = self.object.status();
        let turn = match status {
            Some(status) if stuck && !self.object.is_released() => turn_use_unrecorded(status, Timestamp::now(), &self.ctx.settings),
            Some(_) | None => self.turn_on_record(),
        };
        if self.end == End::Abandoned && turn != TurnUse::Holds {
            // Not back to waiting: at its head it would still hold up all others. It joins again with its next request.
            self.ctx.wake(self.ctx.queue.lock().remove(&self.uid));
            return;
        }
        // Without a run it is in no model's queue.
        let model = status.and_then(|status| status.run.as_ref()).map(|run| run.model.key()).unwrap_or_default();
        self.ctx.wake(self.ctx.queue.lock().set(&model, &self.uid, &self.name, turn));
    }

    /// What the record means to the queue of its model now.
    fn turn_on_record(&self) -> TurnUse {
        let status = self.object.status().filter(|_| !self.object.is_released());
        status.map_or(TurnUse::Free, |status| turn_use(status, Timestamp::now(), &self.ctx.settings))
    }

    fn publish(&self, notices: &[Notice]) {
        for notice in notices {
            self.ctx.events.publish(self.name.kind, self.object.meta(), notice);
            if self.namespace_ending && notice.reason == Reason::Released {
                self.ctx.events.publish_of_namespace(&self.name, notice);
            }
            tally::told(&self.ctx.metrics, notice);
        }
    }

    /// Has the calls of a step counted to the run that they are for: the one under way, or the one that is to begin.
    async fn within<F: Future>(&self, step: &Step, work: F) -> F::Output {
        let subject = || {
            let run = step.recorded.run.as_ref();
            match run.filter(|run| !run.state.ended()) {
                Some(run) => self.subject(run),
                None => Subject { run: run.map_or(0, |run| run.number).saturating_add(1), ..self.nothing_yet() },
            }
        };
        self.ctx.traces.within(subject, work).await
    }

    /// A run of this resource, as traces name it.
    fn subject(&self, run: &Run) -> Subject {
        Subject { run: run.number, operation: run.operation_id.clone(), activity: run.activity_id.clone(), ..self.nothing_yet() }
    }

    fn nothing_yet(&self) -> Subject {
        let ResourceKey { kind, namespace, name } = self.name.clone();
        Subject { kind, namespace, name, uid: self.uid.clone(), run: 0, operation: None, activity: None }
    }

    /// A run that ends with its resource has no record of its end.
    fn report_release(&self, step: &Step) {
        let Some(run) = self.object.status().and_then(|status| status.run.as_ref()).filter(|run| !run.state.ended()) else { return };
        let subject = self.subject(run);
        let trace = self.ctx.traces.trace_of(&subject);
        let reason = tally::released(&self.ctx.metrics, self.name.kind, run, &step.notices, trace);
        let message = step.notices.last().map_or("its resource is deleted", |notice| &notice.message);
        self.log(run, "Gone", reason.as_str(), message);
        self.ctx.traces.ended(&subject, run, reason.as_str(), message);
    }

    /// One log line for each transition.
    fn report(&self, before: Option<&Run>, run: &Run) {
        let subject = self.subject(run);
        tally::recorded(&self.ctx.metrics, self.name.kind, before, run, self.ctx.traces.trace_of(&subject));
        self.ctx.traces.recorded(&subject, before, run);
        let what = |run: &Run| (run.number, run.attempt, run.state);
        if before.is_some_and(|before| what(before) == what(run) && before.reason == run.reason) {
            return;
        }
        self.log(run, &format!("{:?}", run.state), &run.reason, &run.message);
    }

    fn log(&self, run: &Run, state: &str, reason: &str, message: &str) {
        tracing::info!(
            kind = self.name.kind.as_str(),
            namespace = self.name.namespace,
            name = self.name.name,
            uid = self.uid,
            run = run.number,
            attempt = run.attempt,
            state,
            reason,
            operation = run.operation_id,
            activity = run.activity_id,
            "{message}"
        );
    }

    /// Whether the namespace is going; asked only of a resource that is, while it still has a run under way.
    async fn is_namespace_ending(&self) -> bool {
        let running = self.object.status().and_then(|status| status.run.as_ref()).is_some_and(|run| !run.state.ended());
        if self.object.meta().deletion_timestamp.is_none() || self.object.is_released() || !running {
            return false;
        }
        namespaces::is_ending(self.ctx, &self.name.namespace, &self.uid).await
    }
}

/// Waits for an answer; no longer than an ending namespace waits for the resource, where it is in one. `None` is no answer by then.
async fn patiently<F: Future>(desired: &Desired, answer: F) -> Option<F::Output> {
    match patience(desired, Timestamp::now()) {
        None => Some(answer.await),
        Some(patience) => tokio::time::timeout(patience, answer).await.ok(),
    }
}

fn out_of_patience() -> Seen {
    let message = "no answer came before the namespace had waited for as long as it may".to_owned();
    Seen::Trouble(Trouble { kind: TroubleKind::Unreachable, message, retry_after: None, activity_id: None })
}

/// Since when a recorded run waits for its turn.
fn waiting_since(status: &Status) -> Option<Time> {
    status.run.as_ref().filter(|run| run.state == RunState::Waiting).map(|run| run.requested_time)
}

#[cfg(test)]
mod tests;

/// What a write leaves to be remembered.
trait Kept {
    fn keep(&self, ctx: &Context);
}

impl Kept for Arc<ModelResource> {
    fn keep(&self, ctx: &Context) {
        ctx.keep_latest(self);
    }
}

impl Kept for () {
    fn keep(&self, _: &Context) {}
}
