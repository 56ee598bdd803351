//! One pass over one resource: read, decide, record, one effect, and what it brought goes into the next decision.
//!
//! A thin loop around [`decide`]; it decides nothing itself. Nothing here is retried: a pass that cannot go on ends, and the
//! next one begins with a fresh look.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Namespace;
use kube::runtime::controller::Action;
use kube::{Api, Resource as _, ResourceExt};

use super::Name;
use super::call::CallError;
use super::context::Context;
use super::effects::{self, Unprepared};
use super::records::Records;
use super::resource::Resource;
use super::surroundings::{self, Around};
use super::tally;
use super::watched::Watched;
use crate::api::{self, Run, RunState, Status};
use crate::engine::{Desired, Effect, Notice, Seen, Situation, Step, Surroundings, TurnUse, decide, turn_use};
use crate::operation::Submission;
use crate::telemetry::labels::{Write, WriteResult};
use crate::telemetry::traces::Subject;

/// The most decisions that one pass makes; a longer story goes on in the next pass.
const DECISIONS: usize = 12;

/// Why a pass could not go on.
#[derive(Debug, thiserror::Error)]
pub(super) enum PassError {
    /// The view was stale, or somebody else wrote meanwhile. Ordinary: the next pass looks afresh.
    #[error("the resource has changed since it was read")]
    Stale,
    /// The Kubernetes API gave no answer.
    #[error(transparent)]
    Call(#[from] CallError),
}

/// Brings one resource as far as it can be brought now: `object`, which `cached` holds.
pub(super) async fn pass(ctx: &Context, cached: &Arc<Watched>, object: Arc<Resource>) -> Result<Action, PassError> {
    let name = object.name();
    let uid = object.uid().unwrap_or_default();
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
        released: false,
    };
    let outcome = story.tell().await;
    if !story.let_go {
        ctx.orphans.note(&story.object, cached);
    }
    story.leave_or_keep_turn(outcome.is_err());
    if let Err(PassError::Stale) = &outcome {
        story.look_afresh().await?;
    }
    outcome
}

/// One pass under way.
struct Story<'a> {
    ctx: &'a Context,
    records: Records,
    object: Arc<Resource>,
    uid: String,
    name: Name,
    namespace_ending: bool,
    /// Nothing of it is to be seen to any more, should it be gone: its finalizer goes, or has gone without an answer.
    let_go: bool,
    /// Its finalizer is gone: it is no longer this operator's.
    released: bool,
}

impl Story<'_> {
    async fn tell(&mut self) -> Result<Action, PassError> {
        self.namespace_ending = self.is_namespace_ending().await;
        let mut seen = Seen::Nothing;
        let mut decisions = 0;
        while decisions < DECISIONS {
            decisions += 1;
            let accepted = matches!(&seen, Seen::Submission(Submission::Accepted { .. })).then(|| seen.clone());
            let Around { fault, followed, credentials } = surroundings::around(self.ctx, &self.name, &self.object);
            let leaving = self.ctx.lease.leaving();
            let desired = self.object.desired(Surroundings { fault, namespace_ending: self.namespace_ending, followed, leaving });
            let step = self.decide(&desired, seen);
            let prepare = effects::prepare(self.ctx, &self.object, credentials, &step.model, &step.effect);
            let prepared = match self.within(&step, Box::pin(prepare)).await {
                Ok(prepared) => prepared,
                // Nothing of this step happens; the decision is made again, knowing why.
                Err(Unprepared::Seen(hindrance)) => {
                    seen = *hindrance;
                    continue;
                }
                Err(Unprepared::Call(error)) => return Err(error.into()),
            };
            if let Err(error) = self.record(&step).await {
                let Some(accepted) = accepted else { return Err(error) };
                // The service has the operation: its id is written until it is written, whoever else writes meanwhile.
                self.wait_for_view(&error).await?;
                (seen, decisions) = (accepted, 0);
                continue;
            }
            self.ctx.memory.keep_scratch(&self.uid, step.scratch.clone());
            self.publish(&step.notices);
            seen = match (&step.effect, prepared) {
                (Effect::Nothing, _) => return Ok(step.look_again.map_or_else(Action::await_change, Action::requeue)),
                (Effect::AddFinalizer, _) => {
                    self.object = self.written(Write::Finalizer, self.records.add_finalizer(&self.object).await)?;
                    Seen::Nothing
                }
                (Effect::TakeTurn, _) => {
                    let since = self.object.status().and_then(waiting_since).unwrap_or_else(|| Timestamp::now().into());
                    Seen::Turn(self.ctx.queue.take(&step.model.key(), &self.uid, &self.name, since))
                }
                (Effect::TakeResubmit, _) => {
                    let write = self.records.drop_annotation(&self.object, api::RESUBMIT).await;
                    self.object = self.written(Write::Finalizer, write)?;
                    Seen::ResubmitTaken
                }
                (Effect::Release, _) => {
                    // Before the write: the watch may show that the resource is gone sooner than the answer does.
                    self.let_go = true;
                    self.ctx.orphans.let_go(&self.uid);
                    self.ctx.index.departs(&self.object);
                    let write = self.records.drop_finalizer(&self.object).await;
                    self.written(Write::Finalizer, write)?;
                    self.report_release(&step);
                    self.ctx.forget(&self.name);
                    self.released = true;
                    return Ok(Action::await_change());
                }
                (effect @ (Effect::Submit | Effect::Resolve | Effect::Look(_) | Effect::List(..) | Effect::Cancel(_)), Some(prepared)) => {
                    self.within(&step, Box::pin(effects::call(self.ctx, &self.object, &desired, effect, prepared))).await
                }
                (Effect::Submit | Effect::Resolve | Effect::Look(_) | Effect::List(..) | Effect::Cancel(_), None) => Seen::Nothing,
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

    /// Writes the record where it says something new, under the resource version that it was decided on.
    async fn record(&mut self, step: &Step) -> Result<(), PassError> {
        if self.object.status() == Some(&step.recorded) || (self.object.status().is_none() && step.recorded == Status::default()) {
            return Ok(());
        }
        if !self.ctx.lease.holds() {
            return Err(PassError::Stale);
        }
        let before = self.object.status().and_then(|status| status.run.clone());
        let write = self.records.write_status(&self.object, &step.recorded).await;
        self.object = self.written(Write::Status, write)?;
        if let Some(run) = &step.recorded.run {
            self.report(before.as_ref(), run);
        }
        Ok(())
    }

    /// Takes over what a write left, or ends the pass where the write was refused.
    fn written<T: Kept>(&self, what: Write, outcome: Result<T, CallError>) -> Result<T, PassError> {
        let result = match &outcome {
            Ok(_) => WriteResult::Success,
            Err(error) if error.is_conflict() || error.is_not_found() => WriteResult::Conflict,
            Err(_) => WriteResult::Error,
        };
        self.ctx.metrics.wrote(what, result);
        match outcome {
            Ok(written) => {
                written.keep(self.ctx);
                Ok(written)
            }
            Err(error) if error.is_conflict() || error.is_not_found() => Err(PassError::Stale),
            // A write without an answer may have been done: only a fresh look tells.
            Err(error) => Err(PassError::Call(error)),
        }
    }

    /// Takes what the cluster says now for the next pass: a stale view is never a place to stop.
    async fn look_afresh(&self) -> Result<(), PassError> {
        match self.records.read(&self.name.name).await? {
            Some(object) if object.uid().as_deref() == Some(&self.uid) => self.ctx.keep_latest(&object),
            // Gone, or another of the same name, which has a pass of its own.
            Some(_) | None => self.ctx.forget(&self.name),
        }
        Ok(())
    }

    /// Takes what the cluster says now, as soon as it says anything.
    async fn wait_for_view(&mut self, error: &PassError) -> Result<(), PassError> {
        tracing::warn!(kind = self.name.kind.as_str(), namespace = self.name.namespace, name = self.name.name, uid = self.uid, %error, "failed to record an operation's id; trying again");
        let mut pause = Duration::from_millis(20);
        while self.ctx.lease.holds() {
            match self.records.read(&self.name.name).await {
                Ok(Some(object)) if object.uid().as_deref() == Some(&self.uid) => {
                    self.object = object;
                    return Ok(());
                }
                Ok(_) => break,
                Err(error) => tracing::debug!(%error, "failed to read a resource past the cache"),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(2));
        }
        Err(PassError::Stale)
    }

    /// Tells the queue what the record means now, and wakes whoever is next.
    fn leave_or_keep_turn(&self, failed: bool) {
        let status = self.object.status();
        let turn = status.map_or(TurnUse::Free, turn_use);
        // A write without an answer may have recorded an intent, and a view that was refused may be an old one: until a fresh look
        // the queue stays as it is.
        if failed && self.object.meta().deletion_timestamp.is_none() {
            return;
        }
        if self.released {
            return;
        }
        // Without a run it is in no model's queue.
        let model = status.and_then(|status| status.run.as_ref()).map(|run| run.model.key()).unwrap_or_default();
        self.ctx.wake(self.ctx.queue.update(&model, &self.uid, &self.name, turn));
    }

    fn publish(&self, notices: &[Notice]) {
        for notice in notices {
            self.ctx.events.publish(self.name.kind, self.object.meta(), notice);
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
        let Name { kind, namespace, name } = self.name.clone();
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
        if self.object.meta().deletion_timestamp.is_none() || !running {
            return false;
        }
        let namespaces: Api<Namespace> = Api::all(self.ctx.client.clone());
        match self.records.call(namespaces.get(&self.name.namespace)).await {
            Ok(namespace) => namespace.metadata.deletion_timestamp.is_some(),
            Err(error) => {
                tracing::debug!(%error, namespace = self.name.namespace, "failed to ask whether the namespace is being deleted");
                false
            }
        }
    }
}

/// Since when a recorded run waits for its turn.
fn waiting_since(status: &Status) -> Option<api::Time> {
    status.run.as_ref().filter(|run| run.state == RunState::Waiting).map(|run| run.requested_time)
}

/// What a write leaves to be remembered.
trait Kept {
    fn keep(&self, ctx: &Context);
}

impl Kept for Arc<Resource> {
    fn keep(&self, ctx: &Context) {
        ctx.keep_latest(self);
    }
}

impl Kept for () {
    fn keep(&self, _: &Context) {}
}
