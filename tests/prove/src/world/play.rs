//! What an action does. The controller's part follows `controller::reconcile`, `controller::effects` and `controller::lease`.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tabular_operator::api::{self, Model, Reason, Run, RunState, Time};
use tabular_operator::controller::Name;
use tabular_operator::controller::queue::Queue;
use tabular_operator::engine::{Cure, Effect, Fault, Followed, Scratch, Seen, Situation, Step, Turn, TurnUse, decide, turn_use};
use tabular_operator::operation::{
    Cancellation, Look, OperationId, OperationKind, Phase, RefreshRequest, Request, Resolution, Submission, Trouble, TroubleKind,
};

use tabular_operator::telemetry::labels::Kind;

use super::cluster::Object;
use super::{Action, Broken, HOLD, How, Owner, Post, Second, Standing, Task, Wish, World, moment};
use crate::laws;

/// The most decisions that one pass makes.
const DECISIONS: u8 = 12;

/// How a pass came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    /// There is nothing more to do before so many seconds have passed; `None` is before somebody acts.
    Done(Option<Second>),
    /// The view was stale.
    Stale,
    /// The API server gave no answer.
    Failed,
    /// Let go.
    Released,
}

/// A trouble of this kind.
fn trouble(kind: TroubleKind) -> Trouble {
    Trouble { kind, message: format!("{kind:?}"), retry_after: None, activity_id: None }
}

/// The index of a model.
pub(super) fn index_of(model: &Model) -> u8 {
    let database = model.analysis_services.as_ref().map(|model| model.database.as_str());
    database.and_then(|name| name.strip_prefix("Model")?.parse().ok()).unwrap_or(0)
}

impl World {
    /// Lets something happen.
    ///
    /// # Errors
    /// The law that it breaks.
    pub fn play(&mut self, action: Action) -> Result<(), Broken> {
        match action {
            Action::Begin { operator, resource, age } => {
                self.left.stale -= u8::from(age > 0);
                let due = self.operators[operator].minds[resource].is_due(self.now);
                self.left.wakes -= u8::from(!due);
                let view = self.resources[resource].aged(age).clone();
                let mind = &mut self.operators[operator].minds[resource];
                // What is older than the newest is shown again by the watch as soon as it has caught up.
                (mind.dirty, mind.due) = (age > 0, None);
                self.decides(operator, resource, view, Seen::Nothing, 0)?;
            }
            Action::Decide { operator, resource } => {
                let task = std::mem::replace(&mut self.operators[operator].minds[resource].task, Task::Idle);
                if let Task::Learnt { view, seen, rounds } = task {
                    self.decides(operator, resource, view, seen, rounds)?;
                }
            }
            Action::Go { operator, resource, how } => self.go(operator, resource, how)?,
            Action::Crash { operator } => {
                self.left.crashes -= 1;
                self.operators[operator].restart(false);
            }
            Action::Exit { operator } => self.operators[operator].restart(true),
            Action::Start { operator } => {
                self.operators[operator].up = true;
                self.remember_turns(operator);
            }
            Action::Renew { operator, heard } => {
                self.lease.renewed = self.now;
                if heard {
                    self.operators[operator].standing = Standing::Leads { until: self.now + HOLD };
                } else {
                    self.left.calls -= 1;
                }
            }
            Action::Take { operator } => {
                self.lease = super::Lease { holder: operator, renewed: self.now };
                self.operators[operator].restart(true);
                self.operators[operator].standing = Standing::Leads { until: self.now + HOLD };
                self.remember_turns(operator);
            }
            Action::Wish { resource, wish } => {
                self.left.wishes -= 1;
                let now = self.now;
                self.resource(resource).grant(wish, now);
                self.touch(resource);
            }
            Action::EndNamespace => {
                self.left.wishes -= 1;
                let now = self.now;
                for resource in 0..self.resources.len() {
                    self.resource(resource).end_namespace(now);
                    self.touch(resource);
                }
            }
            Action::Tick => {
                let next = self.next_moment().unwrap_or(self.now);
                self.advance(next);
            }
            Action::Sleep { by } => {
                self.left.delays -= 1;
                self.advance(self.now + by);
            }
            Action::Jump { operator, by } => {
                self.left.jumps -= 1;
                self.operators[operator].clock += by;
            }
            Action::End { .. } | Action::Show { .. } | Action::Vanish { .. } | Action::Arrive { .. } | Action::Stranger { .. } => {
                self.serve(action);
            }
        }
        self.forget_the_gone();
        laws::always(self)
    }

    /// The watch shows that a resource is gone: nobody waits behind it any more.
    fn forget_the_gone(&mut self) {
        if self.resources.len() == 1 {
            return;
        }
        let count = self.resources.len();
        for (operator, resource) in (0..self.operators.len()).flat_map(|operator| (0..count).map(move |it| (operator, it))) {
            let (model, turn) = self.operators[operator].minds[resource].turn;
            if self.resources[resource].gone && turn != TurnUse::Free {
                let next = self.queue(operator).forget(&format!("uid-{resource}"));
                self.operators[operator].minds[resource].turn = (model, TurnUse::Free);
                self.wake(operator, &next);
            }
        }
    }

    /// The turn of these may have come.
    fn wake(&mut self, operator: usize, next: &[Name]) {
        for index in (0..self.resources.len()).filter(|index| next.contains(&name(*index))) {
            self.operators[operator].minds[index].dirty = true;
        }
    }

    /// What happens at the service.
    fn serve(&mut self, action: Action) {
        let now = self.now;
        match action {
            Action::End { op, phase } => {
                let by_itself = phase == Phase::Succeeded || (phase == Phase::Cancelled && self.service.ops[op].cancelling);
                self.left.failures -= u8::from(!by_itself);
                self.service.change(op, |op| op.ended = Some((now, phase)));
            }
            Action::Show { op } => self.service.change(op, |op| op.visible = true),
            Action::Vanish { op } => {
                self.left.vanishes -= 1;
                self.service.change(op, |op| op.vanished = true);
            }
            Action::Arrive { post } => {
                let Post { model, owner, request, .. } = self.service.posts.remove(post);
                // Busy, where another was first; nobody hears of it.
                let _ = self.service.take(model, owner, &request, now);
            }
            Action::Stranger { model, twin } => {
                self.left.strangers -= 1;
                let on_it = (0..self.resources.len()).find(|resource| self.model_of(*resource) == model);
                let ours = on_it.map(|resource| self.resources[resource].now().edition.desired.work.request.clone());
                let other = || RefreshRequest { refresh_type: Some("calculate".to_owned()), ..RefreshRequest::default() };
                let request = ours.filter(|_| twin).unwrap_or_else(|| Request::Refresh(other()));
                let _ = self.service.take(model, Owner::Stranger, &Arc::new(request), now);
            }
            _ => {}
        }
    }

    /// Lets time go by.
    pub(crate) fn advance(&mut self, to: Second) {
        self.now = to;
        self.service.pass_time(to);
    }

    /// The model that a resource's run is on, or is to be on.
    #[must_use]
    pub fn model_of(&self, resource: usize) -> u8 {
        model_of(self.resources[resource].now())
    }

    /// Somebody has changed a resource: every operator that watches sees it.
    pub(crate) fn touch(&mut self, resource: usize) {
        for operator in &mut self.operators {
            operator.minds[resource].dirty = true;
        }
    }

    /// A refresh has changed: those that follow it look again.
    fn tell_followers(&mut self, resource: usize) {
        let name = format!("resource-{resource}");
        let follows = |other: &&usize| self.resources[**other].now().edition.manifest.follows() == Some(name.as_str());
        let all: Vec<usize> = (0..self.resources.len()).collect();
        for other in all.iter().filter(follows).copied().collect::<Vec<_>>() {
            self.touch(other);
        }
    }

    /// The queue made anew from the records.
    fn remember_turns(&mut self, operator: usize) {
        for (index, resource) in self.resources.iter().enumerate().filter(|(_, resource)| !resource.gone) {
            let object = resource.now();
            self.operators[operator].minds[index].turn = (model_of(object), turn_use(&object.status));
        }
    }

    /// By the operator's wall clock.
    pub(crate) fn wall(&self, operator: usize) -> Timestamp {
        moment(self.now + self.operators[operator].clock)
    }

    /// Whether a write on this view is accepted.
    pub(super) fn is_current(&self, resource: usize, view: &Object) -> bool {
        let it = &self.resources[resource];
        !it.gone && (it.now().version == view.version || self.scenario.careless.version)
    }

    fn decides(&mut self, operator: usize, resource: usize, view: Object, seen: Seen, rounds: u8) -> Result<(), Broken> {
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
        let with_followed = followed.map(|followed| self.resources[resource].desired(view, followed));
        decide(&Situation {
            desired: with_followed.as_ref().unwrap_or(&view.edition.desired),
            recorded: &view.status,
            scratch: &self.operators[operator].minds[resource].scratch,
            seen,
            now: self.wall(operator),
            settings: &self.settings(),
        })
    }

    /// The refresh of this name, as a follower sees it.
    fn followed(&self, name: &str) -> Option<Followed> {
        let index: usize = name.strip_prefix("resource-")?.parse().ok()?;
        self.resources.get(index)?.followed()
    }

    fn go(&mut self, operator: usize, resource: usize, how: How) -> Result<(), Broken> {
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
        if step.recorded != *view.status {
            let refused = !self.leads(operator) || !self.is_current(resource, &view);
            let heard = how == How::Well;
            self.left.calls -= u8::from(!heard);
            if !refused && how != How::LostBefore {
                laws::write(self, operator, resource, &step, accepted.as_ref())?;
                if let Some(owner) = laws::misled(self, resource, &step) {
                    self.resource(resource).word = true;
                    if let Owner::Run { resource: of, .. } = owner {
                        self.resource(of).word = true;
                    }
                }
                self.resource(resource).write_status(step.recorded.clone());
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
            | Effect::TakeResubmit
            | Effect::Release
            | Effect::Submit
            | Effect::Resolve
            | Effect::Look(_)
            | Effect::List(..)
            | Effect::Cancel(_) => {
                self.operators[operator].minds[resource].task = Task::Acting { view, step, rounds };
                Ok(())
            }
        }
    }

    /// Performs an effect.
    fn act(&mut self, operator: usize, resource: usize, (view, step, rounds): (Object, Arc<Step>, u8), how: How) -> Result<(), Broken> {
        let model = index_of(&step.model);
        let is_post = matches!(step.effect, Effect::Submit);
        if how != How::Well {
            *(if is_post { &mut self.left.posts } else { &mut self.left.calls }) -= 1;
        }
        let seen = match &step.effect {
            Effect::AddFinalizer | Effect::TakeResubmit | Effect::Release => {
                return self.write_metadata(operator, resource, (view, step, rounds), how);
            }
            Effect::Submit => self.submit(operator, resource, (&view, model), how)?,
            Effect::Look(_) | Effect::List(..) | Effect::Resolve if how == How::LostBefore => match &step.effect {
                Effect::List(kind, _) => {
                    Seen::Listing { kind: *kind, result: Err(trouble(crate::scenario::TROUBLE)), taken: BTreeSet::new() }
                }
                _ => Seen::Look(Look::Trouble(trouble(crate::scenario::TROUBLE))),
            },
            Effect::Look(handle) => Seen::Look(self.look(&handle.id, kind_of(&view))),
            Effect::List(kind, since) => {
                let listing = self.service.list(model, *kind, *since, self.now, self.operators[operator].clock);
                Seen::Listing { kind: *kind, result: Ok(listing), taken: self.taken_by_others(resource, *kind, model) }
            }
            Effect::Cancel(id) => self.cancel(resource, &view, &step, id, how)?,
            Effect::Resolve => Seen::Resolved(Resolution::Unclear("there are only ids here".to_owned())),
            Effect::Nothing | Effect::TakeTurn => Seen::Nothing,
        };
        self.operators[operator].minds[resource].task = Task::Learnt { view, seen, rounds };
        Ok(())
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
        let seen = match step.effect {
            Effect::Release => {
                laws::release(self, resource, &view, &step)?;
                let said = step.notices.iter().any(|notice| notice.reason == Reason::Released);
                self.resource(resource).said |= said;
                self.resource(resource).finalize(false);
                let ended = if how == How::Well { Ended::Released } else { Ended::Failed };
                self.ends(operator, resource, &view, ended);
                return Ok(());
            }
            Effect::TakeResubmit => {
                let resource = self.resource(resource);
                resource.bare(api::RESUBMIT);
                resource.word = true;
                Seen::ResubmitTaken
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

    fn submit(&mut self, operator: usize, resource: usize, (view, model): (&Object, u8), how: How) -> Result<Seen, Broken> {
        let unanswered = || Seen::Submission(Submission::Unanswered { message: "no answer".to_owned() });
        if !self.leads(operator) {
            return Ok(unanswered());
        }
        let Some(run) = view.status.run.as_ref() else { return Ok(unanswered()) };
        let timeout = self.scenario.call_timeout;
        let intent = run.submitted_time.map_or(self.wall(operator), Time::timestamp);
        let spent = self.wall(operator).duration_since(intent).as_secs().max(0);
        let left = timeout + 1 - spent;
        if left * 4 < timeout && !self.scenario.careless.deadline {
            return Ok(Seen::Submission(Submission::Refused(trouble(TroubleKind::Unreachable))));
        }
        laws::submission(self, operator, resource, view)?;
        let owner = Owner::Run { resource, number: run.number, attempt: run.attempt };
        let request = Arc::new(view.edition.desired.work.request.clone());
        Ok(match how {
            How::Well | How::Unprepared => Seen::Submission(match self.service.take(model, owner, &request, self.now) {
                Some(id) => Submission::Accepted { id, location: None, activity_id: None, retry_after: None },
                None => Submission::Busy { message: "another refresh is running".to_owned() },
            }),
            How::LostBefore => unanswered(),
            How::LostAfter => {
                let _ = self.service.take(model, owner, &request, self.now);
                unanswered()
            }
            How::Late => {
                self.service.posts.push(Post { model, owner, request, by: self.now + left });
                unanswered()
            }
            How::Refused(kind) => Seen::Submission(Submission::Refused(trouble(kind))),
        })
    }

    fn look(&self, id: &OperationId, kind: OperationKind) -> Look {
        self.service.shown(id, kind).map_or(Look::Gone, |op| Look::Found {
            operation: Box::new(self.service.describe(&self.service.ops[op])),
            retry_after: None,
            location: None,
        })
    }

    fn cancel(&mut self, resource: usize, view: &Object, step: &Step, id: &OperationId, how: How) -> Result<Seen, Broken> {
        laws::cancellation(self, resource, view, step, id)?;
        let lost = || Cancellation::Trouble(trouble(crate::scenario::TROUBLE));
        let op = self.service.shown(id, OperationKind::Refresh).filter(|op| self.service.ops[*op].live());
        Ok(Seen::Cancellation(match (how, op) {
            (How::LostBefore, _) => lost(),
            (_, None) => Cancellation::NothingToCancel,
            (_, Some(op)) => {
                self.service.change(op, |op| op.cancelling = true);
                if how == How::Well { Cancellation::Accepted } else { lost() }
            }
        }))
    }

    /// The operations that other resources follow or have followed, as `controller::effects` gathers them.
    fn taken_by_others(&self, resource: usize, kind: OperationKind, model: u8) -> BTreeSet<String> {
        let mut taken = BTreeSet::new();
        for (_, other) in self.resources.iter().enumerate().filter(|(index, other)| *index != resource && !other.gone) {
            let object = other.now();
            let run = object.status.run.as_ref();
            let is_meant = |named: &Model| index_of(named) == model;
            let on_model = run.is_some_and(|run| is_meant(&run.model)) || object.edition.manifest.model().is_some_and(is_meant);
            if kind_of(object) != kind || (kind == OperationKind::Sync && !on_model) {
                continue;
            }
            taken.extend(object.status.history.iter().filter_map(|entry| entry.operation_id.clone()));
            taken.extend(run.iter().flat_map(|run| run.operation_id.iter().chain(&run.earlier_operation_ids)).cloned());
        }
        taken
    }

    /// The real queue, as this operator has it.
    fn queue(&self, operator: usize) -> Queue {
        let queue = Queue::default();
        for (index, mind) in self.operators[operator].minds.iter().enumerate() {
            let (model, turn) = mind.turn;
            let _ = queue.update(&format!("model {model}"), &format!("uid-{index}"), &name(index), turn);
        }
        queue
    }

    fn take_turn(&mut self, operator: usize, resource: usize, view: &Object, model: u8) -> Turn {
        if self.resources.len() == 1 {
            return Turn::Granted;
        }
        let waiting = view.status.run.as_ref().filter(|run| run.state == RunState::Waiting);
        let since = waiting.map_or_else(|| Time::from(self.wall(operator)), |run| run.requested_time);
        let turn = self.queue(operator).take(&format!("model {model}"), &format!("uid-{resource}"), &name(resource), since);
        let place = if turn == Turn::Granted { TurnUse::Holds } else { TurnUse::Waits(since) };
        self.operators[operator].minds[resource].turn = (model, place);
        turn
    }

    /// A pass is over.
    fn ends(&mut self, operator: usize, resource: usize, view: &Object, ended: Ended) {
        let now = self.now;
        let mind = &mut self.operators[operator].minds[resource];
        mind.task = Task::Idle;
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

    /// Tells the queue what the record means now, and wakes whoever is next.
    fn update_turn(&mut self, operator: usize, resource: usize, view: &Object, ended: Ended) {
        let turn = if ended == Ended::Released { TurnUse::Free } else { turn_use(&view.status) };
        let failed = matches!(ended, Ended::Stale | Ended::Failed);
        if failed && view.edition.desired.deletion.is_none() {
            return;
        }
        let queue = self.queue(operator);
        let model = model_of(view);
        let next = queue.update(&format!("model {model}"), &format!("uid-{resource}"), &name(resource), turn);
        self.operators[operator].minds[resource].turn = (model, turn);
        self.wake(operator, &next);
    }

    /// A person's wish that counts against nothing: what people do once everything is calm.
    pub(crate) fn grant(&mut self, resource: usize, wish: Wish) {
        let now = self.now;
        self.resource(resource).grant(wish, now);
        self.touch(resource);
    }
}

/// The model of the run that is under way, or else of the spec.
fn model_of(object: &Object) -> u8 {
    let under_way = |run: &&Run| !run.state.ended();
    index_of(object.status.run.as_ref().filter(under_way).map_or(&object.edition.desired.work.model, |run| &run.model))
}

fn kind_of(object: &Object) -> OperationKind {
    object.edition.desired.work.request.kind()
}

fn name(resource: usize) -> Name {
    Name { kind: Kind::ModelRefresh, namespace: "bi".to_owned(), name: format!("resource-{resource}") }
}

/// Whole seconds, rounded up.
fn whole(pause: Duration) -> Second {
    Second::try_from(pause.as_millis().div_ceil(1000)).unwrap_or(Second::MAX)
}
