//! The progress of an operation: the order of its tables, their times, and what is worth a write.

use model::script::{World, operation, polled, secs};
use tabular_operator::api::{Reason, RunState};
use tabular_operator::engine::{DecisionMemory, EffectResult};
use tabular_operator::operation::{ObjectName, ObjectProgress, Operation, Phase};

fn running() -> World {
    let mut world = World::new(|_| {});
    world.service.length = secs(1_000);
    world.run_for(secs(10)).is(RunState::Running, Reason::Running);
    world
}

/// A poll that shows the running operation with objects of these tables.
fn shown(objects: &[(&str, Phase)]) -> EffectResult {
    let object = |(table, phase): &(&str, Phase)| {
        let name = ObjectName { table: (*table).to_owned(), partition: None };
        ObjectProgress { name, phase: *phase, service_status: String::new() }
    };
    polled(Operation { objects: objects.iter().map(object).collect(), ..operation("op-0", Phase::InProgress) })
}

#[test]
fn tables_are_listed_by_need_with_their_times() {
    let world = running();
    let seen = shown(&[
        ("a done", Phase::Succeeded),
        ("b waiting", Phase::NotStarted),
        ("c running", Phase::InProgress),
        ("d failed", Phase::Succeeded),
        ("d failed", Phase::Failed),
    ]);
    let progress = world.decide(world.status(), &DecisionMemory::default(), seen).status.run.unwrap().progress.unwrap();
    let times = progress.tables.iter().map(|it| (it.name.as_str(), it.started_time.is_some(), it.ended_time.is_some()));
    let expected = [("d failed", true, true), ("c running", true, false), ("b waiting", false, false), ("a done", true, true)];
    assert_eq!(times.collect::<Vec<_>>(), expected);
}

#[test]
fn objects_that_failed_are_listed() {
    let world = running();
    let seen = shown(&[("a", Phase::Succeeded), ("b", Phase::Failed), ("c", Phase::InProgress), ("d", Phase::Cancelled)]);
    let failed = world.decide(world.status(), &DecisionMemory::default(), seen).status.run.unwrap().failed_objects;
    assert_eq!(failed.iter().map(|object| object.table.as_str()).collect::<Vec<_>>(), ["b", "d"]);
}

#[test]
fn new_times_of_tables_are_not_worth_a_write() {
    let mut world = running();
    let seen = shown(&[("a", Phase::InProgress), ("b", Phase::NotStarted)]);
    let first = world.decide(world.status(), &DecisionMemory::default(), seen);
    for (phase, is_written) in [(Phase::InProgress, false), (Phase::Succeeded, true)] {
        world.advance(secs(20));
        let second = world.decide(&first.status, &first.memory, shown(&[("a", Phase::InProgress), ("b", phase)]));
        assert_eq!(second.status != first.status, is_written, "{phase:?}");
    }
}

#[test]
fn first_activity_id_of_an_operation_is_kept() {
    let world = running();
    let mut status = world.status().clone();
    for (id, expected) in [(None, None), (Some("first"), Some("first")), (Some("another"), Some("first")), (None, Some("first"))] {
        let seen = Operation { activity_id: id.map(str::to_owned), ..operation("op-0", Phase::InProgress) };
        status = world.decide(&status, &DecisionMemory::default(), polled(seen)).status;
        assert_eq!(status.run.as_ref().unwrap().activity_id.as_deref(), expected);
    }
}
