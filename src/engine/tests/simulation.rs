//! Random histories: lost responses, crashes, stale views, edits, other clients. The invariants hold, and without further faults every run
//! ends.

use std::time::Duration;

use jiff::SignedDuration;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::service::{CallFate, Owner, SubmitFate, service_error, unreachable};
use super::world::{World, model, secs};
use crate::api::{
    ADOPT, AfterRefresh, CANCEL_REQUESTED_AT, ConcurrencyPolicy, ConflictPolicy, DeletionPolicy, HistoryEntry, Model, ModelRefresh,
    PowerBiModel, RELEASE, RESUBMIT, RUN_REQUESTED_AT, Reason, RefreshType, Run, RunState, Status, Time, Trigger, TriggerType,
};
use crate::engine::{Blocker, Observation, Remedy, Upstream, resubmit_value};
use crate::operation::{FailureCause, ModelIds, ModelLookup, OperationKind, Phase, ServiceErrorKind};

pub(super) fn named(workspace: &str) -> Model {
    let (workspace, dataset) = (Some(workspace.to_owned()), Some("Orders".to_owned()));
    Model { analysis_services: None, power_bi: Some(PowerBiModel { group_id: None, dataset_id: None, workspace, dataset }) }
}

fn leader(name: &str, uid: &str) -> ModelRefresh {
    let spec = serde_json::from_value(serde_json::json!({"model": model("Led")})).unwrap();
    let mut leader = ModelRefresh::new(name, spec);
    leader.metadata.uid = Some(uid.to_owned());
    leader.status = Some(Status::default());
    leader
}

impl World {
    /// A dependent of the refresh `staging`, which exists and has not run.
    pub(super) fn follower(mut self) -> Self {
        self.edit(|spec| spec.trigger.get_or_insert_default().after_refresh = Some(AfterRefresh { name: "staging".to_owned() }));
        self.leader = Some(leader("staging", "led-1"));
        self.service.length = secs(20);
        self
    }

    /// A run of the upstream refresh ends; `kept` of its ended runs stay in its history.
    pub(super) fn leader_ends(&mut self, state: RunState, kept: usize) {
        let now = Time::from(self.now);
        let Some(leader) = self.leader.as_mut() else { return };
        let status = leader.status.as_mut().unwrap();
        let number = status.run.as_ref().map_or(1, |run| run.number + 1);
        let trigger = Trigger { r#type: TriggerType::Request, value: String::new() };
        status.successful_runs += i64::from(state == RunState::Succeeded);
        let run = serde_json::json!({"number": number, "trigger": trigger, "attempt": 1, "state": state, "model": leader.spec.model, "requestDigest": "w",
            "requestedTime": now, "recordedTime": now});
        status.run = Some(serde_json::from_value::<Run>(run).unwrap());
        let entry = serde_json::json!({"number": number, "trigger": trigger, "attempts": 1, "state": state, "recordedTime": now});
        status.history.insert(0, serde_json::from_value::<HistoryEntry>(entry).unwrap());
        status.history.truncate(kept);
        self.dirty = true;
    }

    /// The runs that the upstream started, oldest first.
    pub(super) fn followings(&self) -> Vec<String> {
        let mut seen: Vec<(i32, String)> = Vec::new();
        for run in self.statuses.iter().filter_map(|status| status.run.as_ref()) {
            if run.trigger.r#type == TriggerType::AfterRefresh && seen.iter().all(|(number, _)| *number != run.number) {
                seen.push((run.number, run.trigger.value.clone()));
            }
        }
        seen.into_iter().map(|(_, value)| value).collect()
    }
}

#[derive(Clone, Debug)]
enum Act {
    Wait(u64),
    Sleep(u64),
    Crash(usize, u64),
    Stale(usize),
    Post(SubmitFate),
    CallFate(CallFate),
    Outcome(Phase),
    Length(u64),
    Lag(u64),
    OtherClient(u64),
    OtherClientsEnd,
    Vanish,
    ChangeRefreshType(bool),
    Token(u8),
    Suspend(bool),
    Concurrency(ConcurrencyPolicy),
    Conflict(ConflictPolicy),
    Deletion(DeletionPolicy),
    Request(u8),
    Cancel(u8),
    Adopt(Option<u8>),
    Resubmit(Option<&'static str>),
    Block(Option<Observation>),
    SpecFault(bool),
    ClockSkew(bool),
    Delete,
    LeaderEnds(bool),
    LeaderGone(bool),
    Refused(FailureCause),
    Names(u8),
}

fn blocker() -> Blocker {
    Blocker { reason: Reason::SecretNotFound, message: "Secret aas-sp is not there".to_owned(), remedy: Remedy::ClusterChange }
}

fn act() -> impl Strategy<Value = Act> {
    let kinds = prop_oneof![
        Just(ServiceErrorKind::Throttled),
        Just(ServiceErrorKind::Unreachable),
        Just(ServiceErrorKind::AccessDenied),
        Just(ServiceErrorKind::Paused),
        Just(ServiceErrorKind::QuotaExceeded),
        Just(ServiceErrorKind::Rejected),
    ];
    let fate = prop_oneof![
        3 => Just(SubmitFate::LostBefore),
        3 => Just(SubmitFate::LostAfter),
        3 => (1..29_u64).prop_map(|pause| SubmitFate::Late(secs(pause))),
        1 => Just(SubmitFate::Answered),
        2 => kinds.clone().prop_map(|kind| SubmitFate::Refused(service_error(kind))),
    ];
    let ask = prop_oneof![
        2 => Just(CallFate::Answered),
        1 => Just(CallFate::LostAfter),
        2 => Just(CallFate::Failed(unreachable())),
        1 => kinds.prop_map(|kind| CallFate::Failed(service_error(kind)))
    ];
    let concurrency = prop_oneof![Just(ConcurrencyPolicy::Queue), Just(ConcurrencyPolicy::Replace), Just(ConcurrencyPolicy::Forbid)];
    let conflict = prop_oneof![Just(ConflictPolicy::Wait), Just(ConflictPolicy::Fail), Just(ConflictPolicy::Replace)];
    let failure = prop_oneof![Just(FailureCause::Evicted), Just(FailureCause::TotalTimeLimit), Just(FailureCause::NodeMoved)];
    let preparation_failure = prop_oneof![
        Just(None),
        Just(Some(Observation::Blocked(blocker()))),
        Just(Some(Observation::CallFailed(service_error(ServiceErrorKind::CredentialsRefused))))
    ];
    prop_oneof![
        10 => (1..40_u64).prop_map(Act::Wait),
        3 => (40..400_u64).prop_map(Act::Wait),
        1 => (1..2_000_u64).prop_map(Act::Sleep),
        8 => ((0..14_usize), (1..10_u64)).prop_map(|(steps, time)| Act::Crash(steps, time)),
        4 => (1..6_usize).prop_map(Act::Stale),
        6 => fate.prop_map(Act::Post),
        4 => ask.prop_map(Act::CallFate),
        2 => prop_oneof![Just(Phase::Failed), Just(Phase::TimedOut), Just(Phase::Cancelled), Just(Phase::Succeeded)].prop_map(Act::Outcome),
        2 => (0..200_u64).prop_map(Act::Length),
        2 => (0..119_u64).prop_map(Act::Lag),
        2 => (1..100_u64).prop_map(Act::OtherClient),
        1 => Just(Act::OtherClientsEnd),
        1 => Just(Act::Vanish),
        2 => any::<bool>().prop_map(Act::ChangeRefreshType),
        2 => (0..3_u8).prop_map(Act::Token),
        2 => any::<bool>().prop_map(Act::Suspend),
        1 => concurrency.prop_map(Act::Concurrency),
        1 => conflict.prop_map(Act::Conflict),
        1 => prop_oneof![Just(DeletionPolicy::Cancel), Just(DeletionPolicy::Orphan)].prop_map(Act::Deletion),
        2 => (0..3_u8).prop_map(Act::Request),
        3 => (0..3_u8).prop_map(Act::Cancel),
        1 => proptest::option::of(0..6_u8).prop_map(Act::Adopt),
        1 => prop_oneof![Just(None), Just(Some("true")), Just(Some("run-1-attempt-1"))].prop_map(Act::Resubmit),
        2 => preparation_failure.prop_map(Act::Block),
        1 => any::<bool>().prop_map(Act::SpecFault),
        2 => any::<bool>().prop_map(Act::ClockSkew),
        1 => Just(Act::Delete),
        4 => any::<bool>().prop_map(Act::LeaderEnds),
        1 => any::<bool>().prop_map(Act::LeaderGone),
        1 => failure.prop_map(Act::Refused),
        1 => (0..3_u8).prop_map(Act::Names),
    ]
}

fn play(world: &mut World, act: Act) {
    match act {
        Act::Wait(time) => drop(world.run_for(secs(time))),
        Act::Sleep(time) => drop(world.advance(secs(time)).restart().run_for(secs(1))),
        Act::Crash(steps, time) => {
            world.crash_in = Some(steps);
            world.run_for(secs(time));
        }
        Act::Stale(versions) => drop(world.reconcile_once(Some(versions))),
        Act::Post(fate) => world.service.submit_fates.push_back(fate),
        Act::CallFate(ask) => world.service.call_fates.push_back(ask),
        Act::Outcome(phase) => world.service.outcomes.push_back(phase),
        Act::Length(time) => world.service.length = secs(time),
        Act::Lag(time) => world.service.lag = secs(time),
        Act::OtherClient(time) => {
            let now = world.now;
            if !world.service.ops.iter().any(|op| op.live(now) && op.kind == OperationKind::Refresh) {
                world.service.start_other_refresh(time, "calculate");
            }
        }
        Act::OtherClientsEnd => {
            let now = world.now;
            world.service.ops.iter_mut().filter(|op| op.owner == Owner::OtherClient).for_each(|op| op.end = op.end.min(now));
        }
        Act::Vanish => {
            if let Some(op) = world.service.ops.last_mut() {
                op.vanished = true;
            }
        }
        Act::ChangeRefreshType(full) => {
            let kind = if full { RefreshType::Full } else { RefreshType::DataOnly };
            world.edit(|spec| spec.refresh.as_mut().unwrap().r#type = kind);
        }
        Act::Token(token) => drop(world.edit(|spec| spec.trigger.get_or_insert_default().token = Some(format!("v{token}")))),
        Act::Suspend(suspend) => drop(world.edit(|spec| spec.suspend = suspend)),
        Act::Concurrency(policy) => drop(world.edit(|spec| spec.concurrency_policy = policy)),
        Act::Conflict(policy) => drop(world.edit(|spec| spec.conflict_policy = policy)),
        Act::Deletion(policy) => drop(world.edit(|spec| spec.deletion_policy = policy)),
        Act::Request(value) => drop(world.annotate(RUN_REQUESTED_AT, Some(&value.to_string()))),
        Act::Cancel(value) => drop(world.annotate(CANCEL_REQUESTED_AT, Some(&value.to_string()))),
        Act::Adopt(Some(op)) => {
            world.user_decided = true;
            world.annotate(ADOPT, Some(&format!("op-{op}")));
        }
        Act::Adopt(None) => drop(world.annotate(ADOPT, None)),
        Act::Resubmit(value) => {
            let asked = world.status().run.as_ref().map_or_else(|| "run-1-attempt-1".to_owned(), resubmit_value);
            world.annotate(RESUBMIT, Some(value.unwrap_or(&asked)));
        }
        Act::Block(preparation_failure) => {
            world.preparation_failure = preparation_failure;
            world.dirty = true;
        }
        Act::SpecFault(faulty) => {
            world.spec_blocker = faulty.then(|| Blocker { remedy: Remedy::SpecChange, reason: Reason::InvalidSpec, ..blocker() });
            // A fault in a spec changes only with the spec.
            world.edit(|spec| spec.history_limit = (spec.history_limit + 1) % 5);
        }
        Act::ClockSkew(ahead) => {
            world.ahead = ahead.then(|| "another".to_owned());
            world.dirty = true;
        }
        Act::Delete => drop(world.delete()),
        Act::LeaderEnds(well) if world.spec_blocker.is_none() => {
            // Not in the second in which the dependent was created: that would be before it.
            if world.statuses.is_empty() {
                world.advance(secs(1));
            }
            world.leader_ends(if well { RunState::Succeeded } else { RunState::Failed }, 60);
        }
        Act::LeaderGone(gone) if world.leader.is_some() => {
            let message = "the ModelRefresh staging is not there".to_owned();
            world.spec_blocker = gone.then_some(Blocker { reason: Reason::UpstreamNotFound, message, remedy: Remedy::ClusterChange });
            world.dirty = true;
        }
        Act::LeaderEnds(_) | Act::LeaderGone(_) => {}
        Act::Refused(failure) => {
            world.service.outcomes.push_back(Phase::Failed);
            world.service.failures.push_back(failure);
        }
        Act::Names(group) => world.resolution = found(group),
    }
}

fn found(group: u8) -> ModelLookup {
    match group {
        0 => ModelLookup::Ambiguous("no workspace is named Sales".to_owned()),
        1 => ModelLookup::Failed(unreachable()),
        other => ModelLookup::Found(ModelIds { group_id: format!("group-{other}"), dataset_id: "orders".to_owned() }),
    }
}

/// No more faults, and a user answers each question.
fn calm(world: &mut World) {
    world.crash_in = None;
    (world.preparation_failure, world.spec_blocker, world.ahead) = (None, None, None);
    world.resolution = found(9);
    world.service.submit_fates.clear();
    world.service.call_fates.clear();
    world.edit(|spec| (spec.suspend, spec.history_limit) = (false, 7));
    world.dirty = true;
    for _ in 0..4 {
        world.run_for(Duration::from_hours(12));
        let held = !world.gone && world.status().run.as_ref().is_some_and(|run| run.reason == Reason::SubmissionUnknown.as_str());
        if held {
            let deleting = world.object.metadata.deletion_timestamp.is_some();
            world.annotate(ADOPT, None);
            if deleting {
                world.annotate(RELEASE, Some("true"))
            } else {
                world.resubmit()
            };
        }
    }
}

/// The same few histories in each test run, or as many random ones as `PROPTEST_CASES` requests.
fn config() -> ProptestConfig {
    let requested = std::env::var("PROPTEST_CASES").ok().and_then(|count| count.parse().ok());
    let rng_seed = if requested.is_some() { RngSeed::Random } else { RngSeed::Fixed(1) };
    ProptestConfig {
        cases: requested.unwrap_or(400),
        rng_seed,
        max_shrink_iters: 4_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn invariants_hold_and_every_run_ends(
        acts in vec(act(), 1..60),
        skew in -300..=300_i64,
        reports_time in any::<bool>(),
        backoff in 0..3_i32,
        deadlines in (prop_oneof![Just(60), Just(86_400)], prop_oneof![Just(60), Just(86_400)]),
        (sync, follows, by_names, takes_model) in any::<(bool, bool, bool, bool)>(),
    ) {
        let mut world = World::new(|spec| {
            spec.backoff_limit = backoff;
            (spec.active_deadline_seconds, spec.wait_deadline_seconds) = deadlines;
            if by_names {
                spec.model = named("Sales");
            }
        });
        if sync {
            world.kind = OperationKind::Sync;
        }
        if follows {
            world = world.follower();
            world.takes_model = takes_model;
        }
        (world.service.skew, world.service.reports_time) = (SignedDuration::from_secs(skew), reports_time);
        for act in acts {
            play(&mut world, act);
        }
        calm(&mut world);
        let ended = world.gone || world.status().run.as_ref().map_or(follows, |run| run.state.ended());
        prop_assert!(ended, "no end: {:#?}", world.status());
        prop_assert!(world.gone || world.object.metadata.deletion_timestamp.is_none(), "the deletion does not complete");
        let (writes, submits) = (world.writes, world.service.submits);
        world.restart().run_for(Duration::from_hours(24));
        world.restart().run_for(Duration::from_hours(24));
        prop_assert_eq!((world.writes, world.service.submits), (writes, submits), "something is written after the end");
        if let Some(leader) = world.leader.as_ref().filter(|_| !world.gone) {
            let successes = Upstream::of(leader).successes;
            let wanted: Vec<String> = successes.iter().map(|success| format!("staging run {}", success.number)).collect();
            let dropped = world.event_count(Reason::TriggerDropped) + world.event_count(Reason::UpstreamRunsMissed);
            let whole = |upstream: String| upstream.trim_end_matches(" (no longer followed)").to_owned();
            let upstream: Vec<String> = world.followings().into_iter().map(whole).collect();
            prop_assert!(dropped > 0 || upstream == wanted, "followed {upstream:?} of {wanted:?}");
            prop_assert!(wanted.iter().filter(|success| upstream.contains(success)).eq(&upstream), "not once and in order: {upstream:?}");
        }
    }
}

#[test]
fn cursor_moves_after_the_result_that_postponed_it() {
    let mut world = World::new(|spec| {
        spec.backoff_limit = 0;
        (spec.active_deadline_seconds, spec.wait_deadline_seconds) = (60, 60);
        spec.model = named("Sales");
    });
    world = world.follower();
    let blocker = [Act::SpecFault(true), Act::Cancel(0), Act::Wait(1)];
    for act in [Act::Request(0), Act::LeaderEnds(true), Act::Wait(1)].into_iter().chain(blocker) {
        play(&mut world, act);
    }
    for act in [Act::LeaderGone(true), Act::Wait(1)] {
        play(&mut world, act);
    }
    calm(&mut world);
}
