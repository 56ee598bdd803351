//! Bounds: the status stays small, whatever the service responds and users write.

use proptest::prelude::*;

use model::script::{World, polled, secs};
use tabular_operator::api::{Check, CheckResult, CheckStep, CheckStepName, ConcurrencyPolicy, RUN_REQUESTED_AT, Reason, RunState, Status};
use tabular_operator::engine::{Blocker, DecisionMemory, Remedy};
use tabular_operator::operation::{ObjectName, ObjectProgress, Operation, OperationId, Origin, Phase, ServiceMessage};

fn size(world: &World) -> usize {
    // As the API server writes it, which escapes more than it must.
    let text = serde_json::to_string(world.status()).unwrap();
    text.chars().map(|c| if "<>&\u{2028}\u{2029}".contains(c) { 6 } else { c.len_utf8() }).sum()
}

#[test]
fn status_of_many_partitions_and_runs_stays_small() {
    let mut world = World::new(|spec| spec.history_limit = 20);
    (world.service.all_objects, world.service.length) = (10_000, secs(5));
    for run in 0..25 {
        world.annotate(RUN_REQUESTED_AT, Some(&run.to_string())).run_for(secs(30));
    }
    assert_eq!((world.status().history.len(), world.run().previous_operation_ids.len()), (20, 12));
    let progress = world.run().progress.as_ref().unwrap();
    assert_eq!((progress.summary.as_str(), progress.tables.len(), progress.table_count), ("10000/10000", 20, 1_000));
    assert!(size(&world) < 20 * 1024, "{}", size(&world));
}

#[test]
fn history_limit_applies_immediately() {
    let mut world = World::new(|_| {});
    world.service.length = secs(5);
    for run in 0..4 {
        world.annotate(RUN_REQUESTED_AT, Some(&run.to_string())).run_for(secs(30));
    }
    world.edit(|spec| spec.history_limit = 2).run_for(secs(10));
    assert_eq!(world.status().history.iter().map(|entry| entry.number).collect::<Vec<_>>(), [4, 3]);
    world.edit(|spec| spec.history_limit = 0).run_for(secs(10));
    assert!(world.status().history.is_empty() && world.run().number == 4);
}

#[test]
fn huge_fault_message_is_truncated() {
    let mut world = World::new(|_| {});
    world.spec_blocker = Some(Blocker { reason: Reason::InvalidSpec, message: "\"<\u{1f980}".repeat(100_000), remedy: Remedy::SpecChange });
    world.run_for(secs(10));
    assert!(world.holds(tabular_operator::api::ConditionType::Stalled) && size(&world) < 8 * 1024);
    assert_eq!((world.due(), world.service.submits), (None, 0));
}

/// The longest `detailsUrl`, which an operation in Analysis Services has not: a host, three GUIDs and the path.
const DETAILS_URL: usize = 253 + 3 * 36 + 64;

/// The largest result of a check.
fn largest_check() -> Check {
    let step = |name| CheckStep { name, result: CheckResult::Failed, reason: "x".repeat(64), message: "\"".repeat(256) };
    let time = tabular_operator::api::Time::from(jiff::Timestamp::UNIX_EPOCH);
    Check { request: "\"".repeat(128), time, result: CheckResult::Failed, steps: CheckStepName::ALL.map(step).into() }
}

/// Text at its most expensive.
fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![Just("\""), Just("\\"), Just("<"), Just("\u{2028}"), Just("\n"), Just("\u{1f980}"), Just("a")];
    (piece, 0..3_000_usize).prop_map(|(piece, count)| piece.repeat(count))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_status_never_passes_64_kib(texts in proptest::collection::vec(text(), 1..6), tables in 1..40_usize) {
        let mut world = World::new(|spec| {
            (spec.history_limit, spec.concurrency_policy, spec.stale_after_seconds) = (20, ConcurrencyPolicy::Queue, Some(60));
        });
        world.run_for(secs(1)).edit_status(|status| status.check = Some(largest_check()));
        let pick = |n: usize| texts[n % texts.len()].clone();
        for run in 0..22_usize {
            let worst = if run % 2 == 0 { "\"".repeat(256) } else { format!("{}{run}", "<".repeat(250)) };
            world.edit(|spec| spec.trigger.get_or_insert_default().token = Some(format!("{worst}{run}")));
            world.annotate(RUN_REQUESTED_AT, Some(&format!("{run}{}", pick(run)))).run_for(secs(5));
            let name = |n: usize| ObjectName { table: format!("{}{}", n % tables, pick(n)), partition: Some(pick(n + 1)) };
            let object = |n| ObjectProgress { name: name(n), phase: Phase::Failed, service_status: pick(n) };
            let message = |n| ServiceMessage { severity: pick(n), code: Some(pick(n)), text: pick(n), times: u32::MAX };
            let operation = Operation {
                id: OperationId::parse(&"x".repeat(128)).unwrap(),
                phase: Phase::Failed,
                service_status: pick(0),
                start: None,
                end: None,
                refresh_type: None,
                commit_mode: None,
                objects: (0..60).map(object).collect(),
                messages: (0..50).map(message).collect(),
                activity_id: Some(pick(1)),
                failure: None,
                origin: Origin::Client,
                incomplete: false,
            };
            if world.run().state == RunState::Running {
                let mut recorded = world.status().clone();
                recorded.run.as_mut().unwrap().operation_id = Some("x".repeat(128));
                let decision = world.decide(&recorded, &DecisionMemory::default(), polled(operation));
                prop_assert!(decision.status.run.as_ref().unwrap().state.ended());
                world.edit_status(|status| *status = decision.status);
                world.service.ops.last_mut().unwrap().end = world.now();
            }
            prop_assert!(size(&world) + DETAILS_URL <= 64 * 1024, "{} bytes", size(&world));
        }
    }
}

#[test]
fn empty_status_is_read_as_unobserved() {
    assert_eq!(serde_json::from_str::<Status>("{}").unwrap(), Status::default());
    assert_eq!(Status::default().observed_generation, -1);
    let mut world = World::new(|_| {});
    world.run_for(secs(300));
    let text = serde_json::to_string(world.status()).unwrap();
    assert!(!text.contains("null"), "{text}");
}
