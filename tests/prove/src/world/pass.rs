//! One pass over a resource, step by step, as `engine::reconcile` makes it: decide, write, one effect, and again.

use std::sync::Arc;
use std::time::Duration;

use tabular_operator::api::{Reason, RunState, Status};
use tabular_operator::engine::{Cure, Effect, Fault, Followed, Scratch, Seen, Situation, Step, Surroundings, decide};
use tabular_operator::operation::{Submission, Trouble, TroubleKind};

use super::action::is_call;
use super::calls::named_by;
use super::cluster::Object;
use super::play::index_of;
use super::{Broken, How, Second, Task, World};
use crate::laws;
use crate::scenario::Ail;

/// The most decisions that one pass makes.
const DECISIONS: u8 = 12;

/// How many passes fail before a resource counts as one that cannot proceed, as `engine::reconcile` has it.
const STUCK: u8 = 3;

/// How a pass came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// There is nothing more to do before so many seconds have passed; `None` is before somebody acts.
    Done(Option<Second>),
    /// The view was stale.
    Stale,
    /// The API server gave no answer.
    Failed,
    /// Let go.
    Released,
}

impl World {
    pub(super) fn decides(&mut self, operator: usize, resource: usize, view: Object, seen: Seen, rounds: u8) -> Result<(), Broken> {
        if rounds >= DECISIONS {
            self.ends(operator, resource, &view, Ended::Done(Some(1)));
            return Ok(());
        }
        let accepted = matches!(&seen, Seen::Submission(Submission::Accepted { .. })).then(|| seen.clone());
        let step = self.decide(operator, resource, &view, seen);
        laws::decision(self, operator, resource, &view, &step)?;
        let task = Task::Decided { view, step: Arc::new(step), accepted, rounds: rounds + 1 };
        self.operators[operator].minds[resource].task = task;
        Ok(())
    }

    /// Asks the real decision.
    pub(crate) fn decide(&self, operator: usize, resource: usize, view: &Object, seen: Seen) -> Step {
        let followed = view.edition.manifest.follows().map(|name| self.followed(name));
        let leaving = self.operators[operator].heard;
        let adopt_taken = self.adopt_taken(operator, resource, view);
        let surrounded = (followed.is_some() || leaving.is_some() || adopt_taken).then(|| {
            let around = Surroundings { followed: followed.flatten(), leaving, adopt_taken, ..Surroundings::default() };
            self.resources[resource].desired(view, around)
        });
        decide(&Situation {
            desired: surrounded.as_ref().unwrap_or(&view.edition.desired),
            recorded: &view.status,
            scratch: &self.operators[operator].minds[resource].scratch,
            seen,
            now: self.wall(operator),
            settings: &self.settings(),
        })
    }

    /// Whether another resource has the operation that a person names for this one, or is about to adopt it, as `controller::claims` has it.
    fn adopt_taken(&self, operator: usize, resource: usize, view: &Object) -> bool {
        named_for(view).is_some_and(|named| self.has_other(operator, resource, named))
    }

    /// Whether another resource has this operation, or is about to adopt it because a person names it.
    fn has_other(&self, operator: usize, resource: usize, id: &str) -> bool {
        let mut others = self.resources.iter().enumerate().filter(|(index, other)| *index != resource && !other.gone);
        let named = self.named_for_others(operator, resource).any(|named| named == id);
        named || others.any(|(_, other)| laws::has(&other.now().status, id))
    }

    /// The operations that other resources are about to adopt because a person names them.
    pub(super) fn named_for_others(&self, operator: usize, resource: usize) -> impl Iterator<Item = &str> {
        let others = self.resources.iter().enumerate().filter(move |(index, other)| *index != resource && !other.gone);
        let minds = &self.operators[operator].minds;
        others.filter_map(|(index, _)| match &minds[index].task {
            Task::Idle => None,
            Task::Learnt { view, .. } | Task::Decided { view, .. } | Task::Acting { view, .. } => named_for(view),
        })
    }

    /// The refresh of this name, as a follower sees it.
    fn followed(&self, name: &str) -> Option<Followed> {
        let index: usize = name.strip_prefix("resource-")?.parse().ok()?;
        self.resources.get(index)?.followed()
    }

    pub(super) fn go(&mut self, operator: usize, resource: usize, how: How) -> Result<(), Broken> {
        let task = std::mem::replace(&mut self.operators[operator].minds[resource].task, Task::Idle);
        match task {
            Task::Decided { view, step, accepted, rounds } => self.record(operator, resource, (view, step, accepted, rounds), how),
            Task::Acting { view, step, rounds } => self.act(operator, resource, (view, step, rounds), how),
            Task::Idle | Task::Learnt { .. } => Ok(()),
        }
    }

    /// Writes what was decided, where it says something new.
    fn record(
        &mut self,
        operator: usize,
        resource: usize,
        (mut view, step, accepted, rounds): (Object, Arc<Step>, Option<Seen>, u8),
        how: How,
    ) -> Result<(), Broken> {
        if how == How::Unprepared {
            self.left.unprepared -= 1;
            let message = "Secret aas-sp is not in this namespace".to_owned();
            let seen = Seen::Fault(Fault { reason: Reason::SecretNotFound, message, cure: Cure::Cluster });
            self.operators[operator].minds[resource].task = Task::Learnt { view, seen, rounds };
            return Ok(());
        }
        // Since the list was read, the operation may have become another resource's.
        if accepted.is_none() && adopted(&view, &step).is_some_and(|id| self.has_other(operator, resource, id)) {
            self.ends(operator, resource, &view, Ended::Stale);
            return Ok(());
        }
        let ail = self.ail_of(resource);
        if let Some(seen) = ail.filter(|_| is_call(&step.effect)).and_then(hindrance) {
            self.operators[operator].minds[resource].task = Task::Learnt { view, seen, rounds };
            return Ok(());
        }
        let writes =
            step.recorded != *view.status || matches!(step.effect, Effect::AddFinalizer | Effect::RemoveAnnotation(_) | Effect::Release);
        if ail == Some(Ail::Writes) && writes && self.leads(operator) && self.is_current(resource, &view) {
            let mind = &mut self.operators[operator].minds[resource];
            mind.accepted = accepted.or_else(|| mind.accepted.take());
            self.fails(operator, resource, &view, step.effect == Effect::Submit);
            return Ok(());
        }
        if step.recorded != *view.status {
            let refused = !self.leads(operator) || !self.is_current(resource, &view);
            let heard = how == How::Well;
            self.left.calls -= u8::from(!heard);
            if !refused && how != How::LostBefore {
                laws::write(self, operator, resource, &step, accepted.as_ref())?;
                for (of, number) in laws::answered(self, resource, &step) {
                    let answered = &mut self.resource(of).answered;
                    *answered = number.max(*answered);
                }
                if let Some(question) = laws::decided(self, resource, &step) {
                    self.resource(resource).decided.push(question);
                }
                let before = self.resources[resource].now().status.run.as_ref().map_or(0, |run| run.number);
                if let Some(run) = step.recorded.run.as_ref().filter(|run| run.number > before) {
                    self.resource(resource).begun.push(run.trigger.clone());
                }
                if step.effect == Effect::Submit {
                    let desired = &self.resources[resource].now().edition.desired;
                    let asked = (desired.work.digest.clone(), desired.token.clone());
                    self.resource(resource).asked = Some(asked);
                }
                self.resource(resource).write_status(step.recorded.clone());
                if self.scenario.ail == Some(Ail::Writes) {
                    let mind = &mut self.operators[operator].minds[resource];
                    (mind.accepted, mind.failures) = (None, 0);
                }
                self.tell_followers(resource);
            }
            if refused || !heard {
                let latest = self.resources[resource].now().clone();
                match accepted {
                    // The service has the operation: its id is written until it is written.
                    Some(seen) if self.leads(operator) && !self.resources[resource].gone => {
                        self.operators[operator].minds[resource].task = Task::Learnt { view: latest, seen, rounds: 0 };
                    }
                    Some(_) => self.ends(operator, resource, &latest, Ended::Stale),
                    None => self.ends(operator, resource, &view, if refused { Ended::Stale } else { Ended::Failed }),
                }
                return Ok(());
            }
            view = self.resources[resource].now().clone();
        }
        self.operators[operator].minds[resource].scratch = step.scratch.clone();
        match &step.effect {
            Effect::Nothing => {
                let pause = step.look_again.map(whole);
                self.ends(operator, resource, &view, Ended::Done(pause));
                Ok(())
            }
            Effect::TakeTurn => {
                let turn = self.take_turn(operator, resource, &view, index_of(&step.model));
                self.decides(operator, resource, view, Seen::Turn(turn), rounds)
            }
            Effect::AddFinalizer
            | Effect::RemoveAnnotation(_)
            | Effect::Release
            | Effect::Submit
            | Effect::Resolve
            | Effect::Look(_)
            | Effect::List(..)
            | Effect::FindModel
            | Effect::Cancel(_) => {
                self.operators[operator].minds[resource].task = Task::Acting { view, step, rounds };
                Ok(())
            }
        }
    }

    /// Performs an effect.
    fn act(&mut self, operator: usize, resource: usize, (view, step, rounds): (Object, Arc<Step>, u8), how: How) -> Result<(), Broken> {
        match how {
            How::Well => {}
            How::Shown(_) => self.left.guises -= 1,
            _ if step.effect == Effect::Submit => self.left.posts -= 1,
            _ => self.left.calls -= 1,
        }
        if is_call(&step.effect) {
            let seen = self.call(operator, resource, (&view, &step), how)?;
            self.operators[operator].minds[resource].task = Task::Learnt { view, seen, rounds };
            return Ok(());
        }
        self.write_metadata(operator, resource, (view, step, rounds), how)
    }

    /// The finalizer or the annotation, under the version that was decided on.
    fn write_metadata(
        &mut self,
        operator: usize,
        resource: usize,
        (view, step, rounds): (Object, Arc<Step>, u8),
        how: How,
    ) -> Result<(), Broken> {
        let it = &self.resources[resource];
        if it.gone || it.now().version != view.version {
            self.ends(operator, resource, &view, Ended::Stale);
            return Ok(());
        }
        if how == How::LostBefore {
            self.ends(operator, resource, &view, Ended::Failed);
            return Ok(());
        }
        if self.scenario.ail == Some(Ail::Writes) {
            self.operators[operator].minds[resource].failures = 0;
        }
        let seen = match step.effect {
            Effect::Release => {
                laws::release(self, operator, resource, (&view, &step))?;
                self.operators[operator].departed.extend(named_by(&view));
                let said = step.notices.iter().any(|notice| notice.reason == Reason::Released);
                self.resource(resource).said |= said;
                self.resource(resource).finalize(false);
                let ended = if how == How::Well { Ended::Released } else { Ended::Failed };
                self.ends(operator, resource, &view, ended);
                return Ok(());
            }
            Effect::RemoveAnnotation(annotation) => {
                self.resource(resource).bare(annotation);
                Seen::Nothing
            }
            _ => {
                self.resource(resource).finalize(true);
                Seen::Nothing
            }
        };
        let view = self.resources[resource].now().clone();
        if how == How::Well {
            self.operators[operator].minds[resource].task = Task::Learnt { view, seen, rounds };
        } else {
            self.ends(operator, resource, &view, Ended::Failed);
        }
        Ok(())
    }

    /// A pass is over whose write failed, like those before and after it. `intent` is whether it was that of an intent.
    fn fails(&mut self, operator: usize, resource: usize, view: &Object, intent: bool) {
        let now = self.now;
        let mind = &mut self.operators[operator].minds[resource];
        let stuck = mind.failures >= STUCK;
        mind.task = Task::Idle;
        mind.due = Some(now + [1, 2, 4, 30][usize::from(mind.failures.min(STUCK))]);
        mind.failures = (mind.failures + 1).min(STUCK);
        self.leave_turn(operator, resource, view, (stuck, intent));
    }

    /// A pass is over.
    fn ends(&mut self, operator: usize, resource: usize, view: &Object, ended: Ended) {
        let now = self.now;
        let mind = &mut self.operators[operator].minds[resource];
        mind.task = Task::Idle;
        mind.known = view.version.max(mind.known);
        match ended {
            Ended::Done(pause) => mind.due = pause.map(|pause| now + pause),
            // A fresh look follows at once, and after a failed call soon.
            Ended::Stale => mind.dirty = true,
            Ended::Failed => mind.due = Some(now + 1),
            Ended::Released => mind.scratch = Scratch::default(),
        }
        if self.resources.len() > 1 {
            self.update_turn(operator, resource, view, ended);
        }
    }
}

/// The operation that a step begins to follow.
fn adopted<'a>(view: &Object, step: &'a Step) -> Option<&'a str> {
    let of = |status: &'a Status| status.run.as_ref().and_then(|run| run.operation_id.as_deref());
    let before = view.status.run.as_ref().and_then(|run| run.operation_id.as_deref());
    of(&step.recorded).filter(|id| before != Some(*id))
}

/// What an ail brings in the place of a call.
fn hindrance(ail: Ail) -> Option<Seen> {
    let trouble = |kind| Trouble { kind, message: format!("{kind:?}"), retry_after: None, activity_id: None };
    match ail {
        Ail::Throttled => Some(Seen::Trouble(trouble(TroubleKind::Throttled))),
        Ail::Refused => Some(Seen::Trouble(trouble(TroubleKind::CredentialsRefused))),
        Ail::SecretGone => {
            let message = "Secret aas-sp is not in this namespace".to_owned();
            Some(Seen::Fault(Fault { reason: Reason::SecretNotFound, message, cure: Cure::Cluster }))
        }
        Ail::Writes => None,
    }
}

/// The operation that a person names for a resource whose submission is unresolved.
fn named_for(view: &Object) -> Option<&str> {
    let run = view.status.run.as_ref().filter(|run| run.state == RunState::Submitting);
    run.and(view.edition.desired.requests.adopt.as_deref())
}

/// Whole seconds, rounded up.
fn whole(pause: Duration) -> Second {
    // From nanoseconds: a pause of less than a millisecond is a pause.
    Second::try_from(pause.as_nanos().div_ceil(1_000_000_000)).unwrap_or(Second::MAX)
}
