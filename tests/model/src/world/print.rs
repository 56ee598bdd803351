//! Which worlds are one and the same: what tells a world from another, as a number of 64 bits.
//!
//! Left out is what no decision, no law and no later moment depends on: wording, progress, times of display. Moments count from
//! now, so that the same situation an hour later is the same; what is so long ago that every rule treats it alike counts as that
//! long ago. Resources that differ in nothing but their names may change places.
//!
//! Of two moments that count as one the first that is met is looked into. They may differ in the jitter of a pause after troubles,
//! which depends on the moment itself, by a second.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::mem::discriminant;

use jiff::Timestamp;
use tabular_operator::api::{Reason, Run, RunState, Status, Time};
use tabular_operator::engine::{DecisionMemory, Observation, ResolvedModel};
use tabular_operator::operation::{Operation, PollResult, Submission};

use super::cluster::Object;
use super::play::index_of;
use super::service::SHIFT;
use super::{Gone, Guise, Op, Operator, Owner, Second, Standing, World, second};

/// How far a clock that the service does not tell may be off, with what a submission takes: what began longer ago than that is
/// older than any intent to come.
const UNTOLD: Second = 420;
/// How long what names stand for is believed, as `engine::rules::model_names` has it.
const BELIEVED: Second = 301;
/// How far an operation's beginning may lie from an intent until no rule cares how far.
const APART: Second = 360 + SHIFT;

/// The longest time ahead that is told from a longer one: a schedule is looked at every hour.
const FAR_AHEAD: Second = 3_660;

mod task;

/// A world under one order of its resources.
struct Print<'a> {
    world: &'a World,
    /// The resources in the order in which they count.
    order: &'a [usize],
    long_ago: Second,
    hasher: DefaultHasher,
}

impl World {
    /// What tells this world from another; `bounds` is whether what may still go wrong is part of it.
    #[must_use]
    pub fn print(&self, bounds: bool) -> u64 {
        let orders = if self.scenario.symmetric { orders(self.resources.len()) } else { vec![(0..self.resources.len()).collect()] };
        orders.iter().map(|order| Print::of(self, order, bounds)).min().unwrap_or_default()
    }
}

/// Every order of so many things.
fn orders(count: usize) -> Vec<Vec<usize>> {
    let mut all = vec![Vec::new()];
    for next in 0..count {
        all = all
            .iter()
            .flat_map(|order: &Vec<usize>| {
                (0..=next).map(|at| {
                    let mut longer = order.clone();
                    longer.insert(at, next);
                    longer
                })
            })
            .collect();
    }
    all
}

/// The longest time that a rule tells from a longer one, in seconds, beside the deadlines of a spec: how long a submission may stay
/// unseen, and a little more.
fn long_ago(world: &World) -> Second {
    let scenario = &world.scenario;
    let not_yet_listed = scenario.certain_after().max(scenario.call_timeout + scenario.lag + 1);
    let steps = scenario.jumps.iter().map(|by| by.abs()).max().unwrap_or(0);
    let shift = if scenario.others.iter().any(|(_, guise)| *guise == Guise::LateStart) { SHIFT } else { 0 };
    let seen = not_yet_listed + steps + shift + 20;
    if scenario.tells_time { seen } else { seen.max(UNTOLD) }
}

impl<'a> Print<'a> {
    fn of(world: &'a World, order: &'a [usize], bounds: bool) -> u64 {
        let deadlines = world.resources.iter().flat_map(|resource| {
            let policy = &resource.now().edition.desired.policy;
            [policy.wait_deadline.as_secs(), policy.active_deadline.as_secs()]
        });
        // A deadline of a day is not met in these worlds, so it is not waited for either.
        let deadline = deadlines.filter(|seconds| *seconds < 86_400).max().unwrap_or(0).cast_signed();
        let mut print = Self { world, order, long_ago: long_ago(world).max(deadline + 60), hasher: DefaultHasher::new() };
        if bounds {
            world.left.hash(&mut print.hasher);
        }
        print.put((world.service.named, world.uninstall));
        print.put((world.ailing, world.service.sight));
        for resource in order {
            print.resource(*resource);
        }
        for op in &world.service.ops {
            print.op(op);
        }
        for post in &world.service.posts {
            (post.model, print.owner(post.owner), &post.request, post.by - world.now).hash(&mut print.hasher);
        }
        for write in &world.late {
            print.put((write.operator, print.place(write.resource)));
            print.status(&write.status);
        }
        for operator in &world.operators {
            print.operator(operator);
        }
        if world.operators.len() > 1 {
            (world.lease.holder, print.age(world.lease.renewed).min(super::LEASE)).hash(&mut print.hasher);
        }
        print.hasher.finish()
    }

    fn put(&mut self, value: impl Hash) {
        value.hash(&mut self.hasher);
    }

    /// How long ago a moment is; one that is long ago is as good as another.
    fn age(&self, moment: Second) -> Second {
        (self.world.now - moment).min(self.long_ago)
    }

    fn since(&self, moment: Timestamp) -> Second {
        self.age(second(moment))
    }

    fn time(&self, time: Option<Time>) -> Option<Second> {
        time.map(|time| self.since(time.timestamp()))
    }

    /// How far ahead a time of a schedule is; one that is further than the longest sleep is as good as another, and so is one of
    /// the times that have long come, all of which one run makes up for.
    fn until(&self, time: Option<Time>) -> Option<Second> {
        time.map(|time| (second(time.timestamp()) - self.world.now).clamp(-FAR_AHEAD, FAR_AHEAD))
    }

    fn place(&self, resource: usize) -> Option<usize> {
        self.order.iter().position(|of| *of == resource)
    }

    fn owner(&self, owner: Owner) -> (Option<usize>, i32, i32) {
        match owner {
            Owner::Run { resource, number, attempt } => (self.place(resource), number, attempt),
            Owner::Stranger => (None, 0, 0),
        }
    }

    fn resource(&mut self, index: usize) {
        let resource = &self.world.resources[index];
        let deleted = resource.deleted.map(|at| self.age(at).min(121));
        self.put((resource.gone, resource.answered, resource.said, deleted));
        self.put((resource.goes_on, resource.listed.map(|version| resource.now().version - version)));
        self.put((&resource.decided, &resource.asked, resource.is_edited(&resource.now().status)));
        for trigger in &resource.begun {
            self.put((trigger.r#type, &trigger.value));
        }
        if !resource.gone {
            self.object(resource.now());
            if self.world.left.stale > 0 {
                for age in 1..resource.versions.len() {
                    self.object(resource.aged(age));
                }
            }
        }
    }

    fn object(&mut self, object: &Object) {
        self.put((object.edition.print, object.edition.desired.generation == object.status.observed_generation));
        self.status(&object.status);
    }

    fn status(&mut self, status: &Status) {
        self.put((&status.last_handled_request, &status.last_handled_token, &status.last_handled_digest, &status.last_upstream_run));
        self.put(&status.last_handled_cancel_request);
        if let Some(queued) = &status.queued {
            let time = queued.value.parse().ok().map(|time| self.since(time));
            self.put((queued.r#type, time, Some(&queued.value).filter(|_| time.is_none())));
        }
        self.put(status.observed_generation < 0);
        if let Some(written) = &status.last_handled_schedule {
            self.put((written, self.until(status.next_schedule_time), self.time(status.last_schedule_time)));
        }
        // How long something has been missing counts until that is Stalled.
        self.put(self.time(status.missing_since_time).map(|age| age.min(super::GRACE)));
        for entry in &status.history {
            self.put((entry.number, entry.state, &entry.operation_id));
        }
        for condition in &status.conditions {
            self.put((condition.r#type, condition.status, &condition.reason));
        }
        if let Some(run) = &status.run {
            self.run(run);
        }
    }

    fn run(&mut self, run: &Run) {
        self.put((run.number, run.attempt, run.resubmissions, run.state, &run.reason, &run.operation_id, &run.previous_operation_ids));
        self.put(&run.excluded_operation_ids);
        self.put((run.cancel_cause, run.waiting_for.is_some(), &run.request_digest, index_of(&run.model), run.resolved_from.is_some()));
        let waiting = run.state == RunState::Waiting;
        // There the decision looks at the message, too.
        self.put(Some(&run.message).filter(|_| waiting && run.reason == Reason::Submitting.as_str()));
        self.put(run.recorded_time.is_some());
        let submitted = self.time(run.submitted_time).filter(|_| !run.state.ended());
        let (since, next) = (self.time(run.waiting_since_time), self.time(run.next_attempt_time));
        let asked = Some(self.since(run.requested_time.timestamp())).filter(|_| waiting && self.world.resources.len() > 1);
        self.put((submitted, since, next, asked));
        for candidate in &run.candidates {
            self.put(&candidate.operation_id);
        }
        // However long ago, an operation is held against the intent.
        if let Some(intent) = run.submitted_time.filter(|_| run.state == RunState::Submitting) {
            let intent = second(intent.timestamp());
            for op in &self.world.service.ops {
                (op.began - intent).clamp(-APART, APART).hash(&mut self.hasher);
            }
            let minds = self.world.operators.iter().flat_map(|operator| self.order.iter().map(|resource| &operator.minds[*resource]));
            for mind in minds {
                let listed = mind.transient().memory.listed_at.map(|at| (second(at) - intent).clamp(-APART, APART));
                (listed, mind.transient().memory.own_intent == run.submitted_time).hash(&mut self.hasher);
            }
        }
    }

    fn op(&mut self, op: &Op) {
        let owner = self.owner(op.owner);
        let (began, ended) = (self.age(op.began), op.ended.map(|(_, phase)| phase));
        self.put((op.model, owner, &op.request, began, op.visible, ended));
        self.put((op.cancelling, op.vanished, op.guise));
    }

    fn operator(&mut self, operator: &Operator) {
        let standing = match operator.standing {
            Standing::Alone => (0, 0),
            Standing::Leads { until } => (1, (until - self.world.now).max(0)),
            Standing::StandsBy => (2, 0),
        };
        self.put((operator.up, operator.clock, standing, operator.heard));
        for resource in self.order {
            let mind = &operator.minds[*resource];
            self.put(mind.gone);
            if mind.gone == Gone::Forgotten {
                continue;
            }
            let due = mind.due.map(|due| (due - self.world.now).max(0));
            self.put((mind.dirty, if mind.dirty { None } else { due }));
            self.transient(mind.transient(), operator.clock);
            if self.world.left.stale > 0 {
                let versions = &self.world.resources[*resource].versions;
                self.put(versions.iter().filter(|object| object.version >= mind.known).count());
            }
            if let Some(tracked) = &mind.tracked {
                self.view(*resource, tracked);
            }
            if self.world.resources.len() > 1 {
                if let Some((model, since)) = operator.place(*resource) {
                    self.put((model, self.time(since)));
                }
                let kind = self.world.kind_of(*resource);
                let ids = self.world.service.ops.iter().map(|op| &op.id);
                let model = self.world.resources[*resource].now().edition.desired.work.model.key();
                let operator = self.world.operators.iter().position(|it| std::ptr::eq(it, operator)).unwrap_or_default();
                self.put(self.world.taken((operator, *resource), (kind, &model), ids));
            }
            self.put(mind.task.is_some());
            if let Some(task) = &mind.task {
                self.task(*resource, task);
            }
        }
    }

    /// A view that is up to date is the resource itself. That of a resource that is gone has a status that is kept in memory.
    fn view(&mut self, resource: usize, view: &Object) {
        let now = self.world.resources[resource].now();
        let differs = now.version > view.version || self.world.resources[resource].gone;
        self.put(differs);
        if differs {
            self.object(view);
        }
    }

    /// What is remembered is compared with the operator's own clock, which is ahead by so much.
    fn memory(&mut self, memory: &DecisionMemory, clock: Second) {
        let wall = self.world.now + clock;
        let since = |moment: Timestamp| (wall - second(moment)).min(self.long_ago);
        let DecisionMemory {
            poll_not_before,
            poll_delayed_at,
            consecutive_errors,
            refusals,
            cancelled_at,
            cancel_refusals,
            last_event_reason: _,
            progress_written_at: _,
            contradictions,
            listed_at,
            not_yet_listed,
            location,
            resolved,
            poll_before_cancel,
            model_missing_since,
            run_in_progress,
            // It counts while a submission is unresolved: with the times of its intent.
            own_intent: _,
        } = memory;
        // A pause of a part of a second is not over at its beginning.
        let next = poll_not_before.map(|next| (second(next) + Second::from(next.subsec_nanosecond() > 0) - wall).max(0));
        let paused = poll_delayed_at.map(|at| since(at).min(0));
        let cancelled = cancelled_at.map(|at| since(at).min(31));
        let listed = listed_at.map(since);
        self.put(model_missing_since.map(since));
        self.put((not_yet_listed, location, poll_before_cancel));
        self.put(run_in_progress.as_ref().map(|run| (run.number, run.attempt, &run.operation_id)));
        if let Some(ResolvedModel { names: _, ids, at }) = resolved {
            self.put((&ids.dataset_id, (wall - second(*at)).min(BELIEVED)));
        }
        self.put((
            listed,
            next,
            paused,
            (*consecutive_errors).min(7),
            (*refusals).min(9),
            cancelled,
            (*cancel_refusals).min(5),
            contradictions,
        ));
    }

    fn seen(&mut self, seen: &Observation) {
        self.put(discriminant(seen));
        match seen {
            Observation::Polled(PollResult::Found { operation, .. }) => self.operation(operation),
            Observation::Polled(PollResult::NotFound) => self.put(1),
            Observation::Polled(PollResult::Failed(error)) => self.put(error),
            Observation::Listed { kind, result, claimed: taken } => {
                self.put((kind, taken));
                if let Ok(listing) = result {
                    self.put((listing.truncated, listing.may_hide_running, listing.clock_skew));
                    self.put(listing.unnamed.map(|unnamed| unnamed.start.map(|start| self.since(start))));
                    listing.operations.iter().for_each(|operation| self.operation(operation));
                }
            }
            Observation::Submission(Submission::Accepted { id, .. }) => self.put((0, id)),
            Observation::Submission(other) => self.put((1, discriminant(other))),
            Observation::None
            | Observation::ModelResolved(_)
            | Observation::ModelChecked(_)
            | Observation::Turn(_)
            | Observation::CancelRequested(_)
            | Observation::CallFailed(_)
            | Observation::Blocked(_) => self.put(seen),
        }
    }

    fn operation(&mut self, operation: &Operation) {
        self.put((&operation.id, operation.phase, operation.start.map(|start| self.since(start)), operation.end.is_some()));
        self.put((&operation.refresh_type, operation.origin, operation.incomplete));
        operation.objects.iter().for_each(|object| object.name.hash(&mut self.hasher));
    }
}
