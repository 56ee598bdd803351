//! Which worlds are equivalent: a 64-bit hash of all that distinguishes a world.
//!
//! It excludes what no decision, invariant or later state depends on: wording, progress, displayed times. Times are relative to now, so the
//! same state an hour later is equivalent. A time that is so long ago that all rules treat it alike counts as exactly that long ago.
//! Resources that differ only in their names may be swapped.
//!
//! Of two equivalent states the first one is explored. They may differ by a second in the jitter of a delay, which depends on the time.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::mem::discriminant;

use jiff::Timestamp;
use tabular_operator::api::{Check, ConditionType, Reason, Run, RunState, Status, Time, UpstreamRun};
use tabular_operator::engine::{DecisionMemory, EffectResult, ResolvedModel};
use tabular_operator::operation::{Operation, PollResult, SubmitResult};

use super::appearance::START_SHIFT;
use super::apply::index_of;
use super::object::Object;
use super::{Appearance, Existence, Leadership, Op, Operator, Owner, Seconds, World, seconds_of};

/// How far an unreported clock may differ, plus the duration of a submission. What started longer ago is older than any later intent.
const UNKNOWN_CLOCK_AGE: Seconds = 420;
/// How long resolved names are used, as in `engine::rules::model_names`.
const MAX_RESOLUTION_AGE: Seconds = 301;
/// The distance between a start and an intent from which on no rule distinguishes it.
const MAX_INTENT_DISTANCE: Seconds = 360 + START_SHIFT;

/// The time from which on the age of a check does not matter: the interval of checks, and a second for its rounding.
const MAX_CHECK_AGE: Seconds = 12;

/// The age from which on a later success of the upstream refresh is recorded after a cursor's time.
const MAX_CURSOR_AGE: Seconds = 1;

/// A time further ahead counts as this far: a resource with a schedule is reconciled every hour.
const FAR_AHEAD: Seconds = 3_660;

mod task;

/// A world under one order of its resources.
struct Fingerprint<'a> {
    world: &'a World,
    /// The resources in this order.
    order: &'a [usize],
    long_ago: Seconds,
    hasher: DefaultHasher,
}

impl World {
    /// The hash of this world. `bounds` includes the remaining budget.
    #[must_use]
    pub fn fingerprint(&self, bounds: bool) -> u64 {
        let orders = if self.scenario.symmetric { orders(self.resources.len()) } else { vec![(0..self.resources.len()).collect()] };
        orders.iter().map(|order| Fingerprint::of(self, order, bounds)).min().unwrap_or_default()
    }
}

/// All orders of `count` things.
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

/// The longest time that a rule distinguishes, in seconds, besides the deadlines of a spec: how long a submission may stay invisible, and a
/// little more.
fn long_ago(world: &World) -> Seconds {
    let scenario = &world.scenario;
    let not_yet_listed = scenario.visibility_timeout().max(scenario.call_timeout + scenario.lag + 1);
    let steps = scenario.clock_steps.iter().map(|by| by.abs()).max().unwrap_or(0);
    let shift = if scenario.other_requests.iter().any(|(_, appearance)| *appearance == Appearance::LateStart) { START_SHIFT } else { 0 };
    let observation = not_yet_listed + steps + shift + 20;
    if scenario.reports_time { observation } else { observation.max(UNKNOWN_CLOCK_AGE) }
}

impl<'a> Fingerprint<'a> {
    fn of(world: &'a World, order: &'a [usize], bounds: bool) -> u64 {
        let deadlines = world.resources.iter().flat_map(|resource| {
            let policy = &resource.now().revision.desired.policy;
            [policy.wait_deadline.as_secs(), policy.active_deadline.as_secs(), policy.stale_after.map_or(0, |age| age.as_secs())]
        });
        // A deadline of a day does not pass in these worlds.
        let deadline = deadlines.filter(|seconds| *seconds < 86_400).max().unwrap_or(0).cast_signed();
        let mut fingerprint = Self { world, order, long_ago: long_ago(world).max(deadline + 60), hasher: DefaultHasher::new() };
        if bounds {
            world.budget.hash(&mut fingerprint.hasher);
        }
        fingerprint.write((world.service.named_model, world.uninstall));
        fingerprint.write((world.impaired, world.service.visibility));
        for resource in order {
            fingerprint.resource(*resource);
        }
        for op in &world.service.ops {
            fingerprint.op(op);
        }
        for submission in &world.service.pending_submissions {
            (submission.model, fingerprint.owner(submission.owner), &submission.request, submission.by - world.now)
                .hash(&mut fingerprint.hasher);
        }
        for write in &world.late {
            fingerprint.write((write.operator, fingerprint.position(write.resource)));
            fingerprint.status(&write.status);
        }
        for operator in &world.operators {
            fingerprint.operator(operator);
        }
        if world.operators.len() > 1 {
            (world.lease.holder, fingerprint.age(world.lease.renewed).min(super::LEASE_DURATION)).hash(&mut fingerprint.hasher);
        }
        fingerprint.hasher.finish()
    }

    fn write(&mut self, value: impl Hash) {
        value.hash(&mut self.hasher);
    }

    /// How long ago a time is, at most `long_ago`.
    fn age(&self, time: Seconds) -> Seconds {
        (self.world.now - time).min(self.long_ago)
    }

    fn since(&self, time: Timestamp) -> Seconds {
        self.age(seconds_of(time))
    }

    fn time(&self, time: Option<Time>) -> Option<Seconds> {
        time.map(|time| self.since(time.timestamp()))
    }

    /// How far ahead a scheduled time is, limited to [`FAR_AHEAD`] in both directions: one run makes up for all times that have passed.
    fn until(&self, time: Option<Time>) -> Option<Seconds> {
        time.map(|time| (seconds_of(time.timestamp()) - self.world.now).clamp(-FAR_AHEAD, FAR_AHEAD))
    }

    fn position(&self, resource: usize) -> Option<usize> {
        self.order.iter().position(|of| *of == resource)
    }

    fn owner(&self, owner: Owner) -> (Option<usize>, i32, i32) {
        match owner {
            Owner::Run { resource, number, attempt } => (self.position(resource), number, attempt),
            Owner::OtherClient => (None, 0, 0),
        }
    }

    fn resource(&mut self, index: usize) {
        let resource = &self.world.resources[index];
        let deleted = resource.deleted.map(|at| self.age(at).min(121));
        self.write((resource.is_deleted, resource.exempt_up_to, resource.reported, deleted));
        self.write((resource.left_running, resource.listed_version.map(|version| resource.now().version - version)));
        self.write((&resource.applied_resubmits, &resource.submitted_work, resource.is_edited(&resource.now().status)));
        for trigger in &resource.started_triggers {
            self.write((trigger.r#type, &trigger.value));
        }
        if !resource.is_deleted {
            self.object(resource.now());
            if self.world.budget.stale > 0 {
                for age in 1..resource.versions.len() {
                    self.object(resource.aged(age));
                }
            }
        }
    }

    fn object(&mut self, object: &Object) {
        self.write((object.revision.fingerprint, object.revision.desired.generation == object.status.observed_generation));
        self.status(&object.status);
        let desired = &object.revision.desired;
        if let Some(stale_after) = desired.policy.stale_after {
            let data = object.status.last_successful_time.map_or(desired.created, Time::timestamp);
            let mut fresh = object.status.conditions.iter().filter(|condition| condition.r#type == ConditionType::Fresh);
            let stale = data.checked_add(stale_after).unwrap_or(Timestamp::MAX);
            self.write((self.since(data), fresh.any(|condition| condition.last_transition_time.timestamp() >= stale)));
        }
    }

    fn status(&mut self, status: &Status) {
        self.write((&status.last_handled_request, &status.last_handled_token, &status.last_handled_digest));
        self.cursor(status.last_upstream_run.as_ref());
        self.write(&status.last_handled_cancel_request);
        self.check(status.check.as_ref());
        if let Some(queued) = &status.queued {
            let time = queued.value.parse().ok().map(|time| self.since(time));
            self.write((queued.r#type, time, Some(&queued.value).filter(|_| time.is_none())));
        }
        self.write(status.observed_generation < 0);
        if let Some(written) = &status.last_handled_schedule {
            self.write((written, self.until(status.next_schedule_time), self.time(status.last_schedule_time)));
        }
        // How long a reference has been missing counts only until it is Stalled.
        self.write(self.time(status.missing_since_time).map(|age| age.min(super::GRACE)));
        for entry in &status.history {
            self.write((entry.number, entry.state, &entry.operation_id));
        }
        for condition in &status.conditions {
            self.write((condition.r#type, condition.status, &condition.reason));
        }
        if let Some(run) = &status.run {
            self.run(run);
        }
    }

    /// The times of a cursor are only compared with those of later successes: it has counted the others.
    fn cursor(&mut self, cursor: Option<&UpstreamRun>) {
        self.write(cursor.map(|cursor| (&cursor.name, &cursor.uid, cursor.number, cursor.successful_runs, cursor.queued)));
        let times = cursor.map(|cursor| [cursor.recorded_time, cursor.counts_since_time]);
        self.write(times.map(|times| times.map(|time| self.time(time).map(|age| age.min(MAX_CURSOR_AGE)))));
    }

    /// The wording of a check does not count, and its time only until another one may start.
    fn check(&mut self, check: Option<&Check>) {
        self.write(check.map(|check| (&check.request, check.result, self.since(check.time.timestamp()).min(MAX_CHECK_AGE))));
    }

    fn run(&mut self, run: &Run) {
        self.write((run.number, run.attempt, run.resubmissions, run.state, &run.reason, &run.operation_id, &run.previous_operation_ids));
        self.write(&run.excluded_operation_ids);
        self.write((run.cancel_cause, run.waiting_for.is_some(), &run.request_digest, index_of(&run.model), run.resolved_from.is_some()));
        let waiting = run.state == RunState::Waiting;
        // For this state the decision also reads the message.
        self.write(Some(&run.message).filter(|_| waiting && run.reason == Reason::Submitting.as_str()));
        self.write(run.recorded_time.is_some());
        let submitted = self.time(run.submitted_time).filter(|_| !run.state.ended());
        let (since, next) = (self.time(run.waiting_since_time), self.time(run.next_attempt_time));
        let requested = Some(self.since(run.requested_time.timestamp())).filter(|_| waiting && self.world.resources.len() > 1);
        self.write((submitted, since, next, requested));
        for candidate in &run.candidates {
            self.write(&candidate.operation_id);
        }
        // An operation is compared with the intent however long ago it was.
        if let Some(intent) = run.submitted_time.filter(|_| run.state == RunState::Submitting) {
            let intent = seconds_of(intent.timestamp());
            for op in &self.world.service.ops {
                (op.started_at - intent).clamp(-MAX_INTENT_DISTANCE, MAX_INTENT_DISTANCE).hash(&mut self.hasher);
            }
            let states = self.world.operators.iter().flat_map(|operator| self.order.iter().map(|resource| &operator.states[*resource]));
            for state in states {
                let listed_at =
                    state.in_memory().memory.listed_at.map(|at| (seconds_of(at) - intent).clamp(-MAX_INTENT_DISTANCE, MAX_INTENT_DISTANCE));
                (listed_at, state.in_memory().memory.own_intent == run.submitted_time).hash(&mut self.hasher);
            }
        }
    }

    fn op(&mut self, op: &Op) {
        let owner = self.owner(op.owner);
        let (started_at, ended) = (self.age(op.started_at), op.ended.map(|(_, phase)| phase));
        self.write((op.model, owner, &op.request, started_at, op.visible, ended));
        self.write((op.cancelling, op.lost, op.appearance));
    }

    fn operator(&mut self, operator: &Operator) {
        let leadership = match operator.leadership {
            Leadership::NoElection => (0, 0),
            Leadership::Leader { until } => (1, (until - self.world.now).max(0)),
            Leadership::Standby => (2, 0),
        };
        self.write((operator.up, operator.clock, leadership, operator.observed_drain));
        for resource in self.order {
            let state = &operator.states[*resource];
            self.write(state.existence);
            if state.existence == Existence::Forgotten {
                continue;
            }
            let due = state.due.map(|due| (due - self.world.now).max(0));
            self.write((state.dirty, if state.dirty { None } else { due }));
            self.in_memory(state.in_memory(), operator.clock);
            if self.world.budget.stale > 0 {
                let versions = &self.world.resources[*resource].versions;
                self.write(versions.iter().filter(|object| object.version >= state.known).count());
            }
            if let Some(tracked) = &state.tracked {
                self.view(*resource, tracked);
            }
            if self.world.resources.len() > 1 {
                if let Some((model, since)) = operator.queue_position(*resource) {
                    self.write((model, self.time(since)));
                }
                let kind = self.world.kind_of(*resource);
                let ids = self.world.service.ops.iter().map(|op| &op.id);
                let model = self.world.resources[*resource].now().revision.desired.operation.model.key();
                let operator = self.world.operators.iter().position(|it| std::ptr::eq(it, operator)).unwrap_or_default();
                self.write(self.world.claimed_by_others((operator, *resource), (kind, &model), ids));
            }
            self.write(state.task.is_some());
            if let Some(task) = &state.task {
                self.task(*resource, task);
            }
        }
    }

    /// An up-to-date view is the resource itself. The view of a deleted resource has a status that is kept in memory.
    fn view(&mut self, resource: usize, view: &Object) {
        let now = self.world.resources[resource].now();
        let differs = now.version > view.version || self.world.resources[resource].is_deleted;
        self.write(differs);
        if differs {
            self.object(view);
        }
    }

    /// The remembered times are by the operator's own clock, which is `clock` seconds ahead.
    fn memory(&mut self, memory: &DecisionMemory, clock: Seconds) {
        let wall = self.world.now + clock;
        let since = |time: Timestamp| (wall - seconds_of(time)).min(self.long_ago);
        let DecisionMemory {
            poll_not_before,
            poll_delayed_at,
            consecutive_errors,
            refusals,
            cancelled_at,
            cancels,
            cancel_refusals,
            cancel_accepted,
            last_event_reason: _,
            progress_written_at: _,
            tables: _,
            contradictions,
            listed_at,
            not_yet_listed,
            location,
            resolved,
            poll_before_cancel,
            rejected_adopt,
            model_missing_since,
            run_in_progress,
            // It counts only while a submission is unresolved, with the times of its intent.
            own_intent: _,
            // It only saves computations.
            equivalents: _,
        } = memory;
        // A delay of less than a second has not passed at its start.
        let next = poll_not_before.map(|next| (seconds_of(next) + Seconds::from(next.subsec_nanosecond() > 0) - wall).max(0));
        let delayed = poll_delayed_at.map(|at| since(at).min(0));
        let cancelled = cancelled_at.map(|at| since(at).min(961));
        let listed_at = listed_at.map(since);
        self.write(model_missing_since.map(since));
        self.write((not_yet_listed, location, poll_before_cancel, cancel_accepted, rejected_adopt));
        self.write(run_in_progress.as_ref().map(|run| (run.number, run.attempt, &run.operation_id)));
        if let Some(ResolvedModel { names: _, ids, at }) = resolved {
            self.write((&ids.dataset_id, (wall - seconds_of(*at)).min(MAX_RESOLUTION_AGE)));
        }
        self.write((
            listed_at,
            next,
            delayed,
            (*consecutive_errors).min(7),
            (*refusals).min(9),
            cancelled,
            (*cancel_refusals).min(5),
            cancels,
            contradictions,
        ));
    }

    fn effect_result(&mut self, effect_result: &EffectResult) {
        self.write(discriminant(effect_result));
        match effect_result {
            EffectResult::Polled(PollResult::Found { operation, .. }) => self.operation(operation),
            EffectResult::Polled(PollResult::NotFound) => self.write(1),
            EffectResult::Polled(PollResult::Failed(error)) => self.write(error),
            EffectResult::Listed { kind, result, claimed } => {
                self.write((kind, claimed));
                if let Ok(listing) = result {
                    self.write((listing.truncated, listing.may_hide_running, listing.clock_skew));
                    self.write(listing.unnamed.map(|unnamed| unnamed.start.map(|start| self.since(start))));
                    listing.operations.iter().for_each(|operation| self.operation(operation));
                }
            }
            EffectResult::Submitted(SubmitResult::Accepted { id, .. }) => self.write((0, id)),
            EffectResult::Submitted(other) => self.write((1, discriminant(other))),
            EffectResult::None
            | EffectResult::ModelResolved(_)
            | EffectResult::ModelChecked(_)
            | EffectResult::Turn(_)
            | EffectResult::CancelRequested(_)
            | EffectResult::CallFailed(_)
            | EffectResult::Blocked(_) => self.write(effect_result),
        }
    }

    fn operation(&mut self, operation: &Operation) {
        self.write((&operation.id, operation.phase, operation.start.map(|start| self.since(start)), operation.end.is_some()));
        self.write((&operation.refresh_type, operation.origin, operation.incomplete));
        operation.objects.iter().for_each(|object| object.name.hash(&mut self.hasher));
    }
}
