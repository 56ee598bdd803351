//! The facts that identify the operation of an unanswered submission, and those that are not enough.

use jiff::SignedDuration;

use model::script::{SubmitOutcome, World, operation, secs};
use tabular_operator::api::{Reason, RefreshObject, RunState, Status};
use tabular_operator::engine::{ClaimedOperations, EffectResult};
use tabular_operator::operation::{ClockSkew, Listing, ObjectName, ObjectProgress, Operation, OperationKind, Origin, Phase};

fn object(table: &str) -> RefreshObject {
    RefreshObject { table: table.to_owned(), partition: None }
}

/// A run for this table, whose POST never arrived or whose response was lost.
fn lost(outcome: SubmitOutcome, requested: &str) -> World {
    let mut world = World::new(|spec| spec.refresh.as_mut().unwrap().objects = vec![object(requested)]);
    world.service.submit_outcomes.push_back(outcome);
    world.service.length = secs(20);
    world.reconcile_once(None);
    world.changed();
    world
}

#[test]
fn unknown_origin_is_never_adopted() {
    for length in [3, 4_000] {
        let mut world = World::new(|_| {});
        world.service.submit_outcomes.push_back(SubmitOutcome::LostBefore);
        world.run_for(secs(2));
        world.start_other_refresh(length, "full");
        world.service.ops[0].origin = Origin::Unknown;
        world.run_for(secs(600)).is(RunState::Submitting, Reason::SubmissionUnknown);
        assert_eq!((world.service.submits, world.run().candidates.len()), (1, 1));
        world.resubmit().run_for(secs(5_000)).is(RunState::Succeeded, Reason::Succeeded);
        assert_eq!((world.service.submits > 1, world.run().operation_id.as_deref()), (true, Some("op-1")));
    }
}

#[test]
fn unknown_origin_that_contradicts_the_request_is_not_ours() {
    let mut world = World::new(|_| {});
    world.service.submit_outcomes.push_back(SubmitOutcome::LostBefore);
    world.run_for(secs(2));
    world.start_other_refresh(3, "calculate");
    world.service.ops[0].origin = Origin::Unknown;
    world.run_for(secs(600)).is(RunState::Succeeded, Reason::Succeeded);
    assert_eq!((world.service.submits, world.run().operation_id.as_deref()), (2, Some("op-1")));
}

/// The decision of a run on a list.
fn listed(world: &World, listing: Listing) -> Status {
    listed_with_skew(world, SignedDuration::ZERO, listing)
}

/// The decision of a run on a list of a service whose clock is so far ahead.
fn listed_with_skew(world: &World, skew: SignedDuration, listing: Listing) -> Status {
    let result = Ok(Listing { clock_skew: Some(ClockSkew { min: skew, max: skew }), ..listing });
    let effect_result = EffectResult::Listed { kind: OperationKind::Refresh, result, claimed: ClaimedOperations::default() };
    world.decide_at(world.now() + secs(1), effect_result).status
}

/// An operation that started with the submission and shows the requested table.
fn candidate(world: &World) -> Operation {
    let name = ObjectName { table: "Orders".to_owned(), partition: None };
    let objects = vec![ObjectProgress { name, phase: Phase::Succeeded, service_status: "Completed".to_owned() }];
    let (start, refresh_type) = (Some(world.now() + secs(1)), Some("full".to_owned()));
    Operation { start, refresh_type, objects, ..operation("op-7", Phase::Succeeded) }
}

#[test]
fn operation_with_another_commit_mode_is_not_ours() {
    let world = lost(SubmitOutcome::LostBefore, "Orders");
    for (commit_mode, is_ours) in [(None, true), (Some("transactional"), true), (Some("novel"), true), (Some("partialbatch"), false)] {
        let shown = Operation { commit_mode: commit_mode.map(str::to_owned), ..candidate(&world) };
        let status = listed(&world, Listing { operations: vec![shown], ..Listing::default() });
        assert_eq!(status.run.unwrap().operation_id.is_some(), is_ours, "{commit_mode:?}");
    }
}

#[test]
fn fractions_of_a_second_decide_whether_a_start_can_match() {
    let world = lost(SubmitOutcome::LostBefore, "Orders");
    let intent = world.run().submitted_time.unwrap().timestamp();
    // In milliseconds. A whole second may be almost a second later than it shows.
    for (skew, after_intent, is_ours) in
        [(0, -500, false), (0, 500, true), (500, 0, true), (500, 499, false), (500, 500, true), (0, 32_000, true), (0, 33_000, false)]
    {
        let start = Some(intent + SignedDuration::from_millis(after_intent));
        let operations = vec![Operation { start, ..candidate(&world) }];
        let status = listed_with_skew(&world, SignedDuration::from_millis(skew), Listing { operations, ..Listing::default() });
        assert_eq!(status.run.unwrap().operation_id.is_some(), is_ours, "{after_intent} ms after the intent, {skew} ms ahead");
    }
}

#[test]
fn unknown_rows_without_id_matter_only_without_a_candidate() {
    let world = lost(SubmitOutcome::LostBefore, "Orders");
    let listing = |operations| Listing { operations, has_unknown_rows: true, ..Listing::default() };
    assert!(listed(&world, listing(vec![candidate(&world)])).run.unwrap().operation_id.is_some());
    let mut world = World::new(|_| {});
    world.service.submit_outcomes.push_back(SubmitOutcome::LostBefore);
    world.service.has_unknown_rows = true;
    world.run_for(secs(600)).is(RunState::Submitting, Reason::SubmissionUnknown);
    assert_eq!(world.service.submits, 1);
}

#[test]
fn external_operation_is_absent() {
    let mut world = World::new(|_| {});
    world.service.submit_outcomes.push_back(SubmitOutcome::LostBefore);
    world.run_for(secs(2));
    world.start_other_refresh(3, "full");
    world.service.ops[0].origin = Origin::External;
    world.run_for(secs(600)).is(RunState::Succeeded, Reason::Succeeded);
    assert_eq!((world.service.submits, world.run().operation_id.as_deref()), (2, Some("op-1")));
}

#[test]
fn unknown_origin_beside_client_origin_is_not_a_candidate() {
    let mut world = World::new(|_| {});
    world.service.submit_outcomes.push_back(SubmitOutcome::LostAfter);
    (world.service.length, world.service.lag) = (secs(3), secs(60));
    world.run_for(secs(10));
    world.start_other_refresh(3, "full");
    world.service.ops[1].origin = Origin::Unknown;
    world.service.ops[1].visible = world.now();
    world.run_for(secs(600)).is(RunState::Succeeded, Reason::Succeeded);
    assert_eq!((world.service.submits, world.run().operation_id.as_deref()), (1, Some("op-0")));
}

#[test]
fn undecided_submission_shows_unknown_origin_candidates() {
    let mut world = World::new(|_| {});
    world.service.submit_outcomes.push_back(SubmitOutcome::LostAfter);
    (world.service.length, world.service.lag) = (secs(3), secs(60));
    world.run_for(secs(10));
    world.start_other_refresh(3, "full");
    (world.service.ops[0].origin, world.service.ops[1].refresh_type) = (Origin::Unknown, None);
    world.service.ops[1].visible = world.now();
    world.run_for(secs(600)).is(RunState::Submitting, Reason::SubmissionUnknown);
    assert_eq!((world.service.submits, world.run().candidates.len()), (1, 2));
}

#[test]
fn operation_just_before_the_intent_is_not_adopted() {
    for (before, skew, length) in [(4, 0, 400), (2, 0, 400), (2, 0, 1), (4, -250, 400), (4, 250, 400)] {
        let mut world = World::new(|_| {});
        world.service.skew = SignedDuration::from_secs(skew);
        world.start_other_refresh(length, "full");
        world.service.ops[0].start = world.now() - secs(before);
        world.service.submit_outcomes.push_back(SubmitOutcome::LostBefore);
        world.run_for(secs(900)).is(RunState::Succeeded, Reason::Succeeded);
        assert_eq!(world.run().operation_id.as_deref(), Some("op-1"), "{before} s before, {skew} s");
    }
}

#[test]
fn clocks_of_two_machines_may_differ_by_five_seconds() {
    for (before, requested) in [(4, true), (7, false)] {
        let mut world = World::new(|_| {});
        world.start_other_refresh(1, "full");
        world.service.ops[0].start = world.now() - secs(before);
        world.service.submit_outcomes.push_back(SubmitOutcome::LostBefore);
        world.reconcile_once(None);
        world.restart();
        let (state, reason) =
            if requested { (RunState::Submitting, Reason::SubmissionUnknown) } else { (RunState::Succeeded, Reason::Succeeded) };
        world.run_for(secs(900)).is(state, reason);
        assert_ne!(world.run().operation_id.as_deref(), Some("op-0"), "{before} s before");
    }
}

#[test]
fn operation_after_the_call_timeout_needs_a_user_decision() {
    let mut world = World::new(|_| {});
    world.service.submit_outcomes.push_back(SubmitOutcome::LostBefore);
    world.run_for(secs(60));
    world.start_other_refresh(20, "full");
    world.run_for(secs(600)).is(RunState::Submitting, Reason::SubmissionUnknown);
    assert!(world.run().message.contains("later than a submission"), "{}", world.run().message);
    assert_eq!(world.service.submits, 1);
}

#[test]
fn names_equal_to_the_service_are_adopted() {
    for (requested, shown) in [("Dummy Sales ", "Dummy Sales "), ("umsätze", "UMSÄTZE"), ("Straße", "STRASSE")] {
        let mut world = lost(SubmitOutcome::LostAfter, requested);
        world.service.ops[0].objects = vec![ObjectName { table: shown.to_owned(), partition: None }];
        world.run_for(secs(600)).is(RunState::Succeeded, Reason::Succeeded);
        assert_eq!((world.service.submits, world.run().operation_id.as_deref()), (1, Some("op-0")), "{requested}");
    }
}

#[test]
fn names_differing_in_spaces_or_encoding_need_a_user_decision() {
    for (requested, shown) in [
        ("Dummy Sales ", "Dummy Sales"),
        ("Ums\u{e4}tze", "Umsa\u{308}tze"),
        ("Sales", "Sales\u{a0}"),
        ("K\u{f6}ln", "K\u{fffd}ln"),
        ("Sales", "[redacted]"),
    ] {
        let mut world = lost(SubmitOutcome::LostAfter, requested);
        world.service.ops[0].objects = vec![ObjectName { table: shown.to_owned(), partition: None }];
        world.run_for(secs(600)).is(RunState::Submitting, Reason::SubmissionUnknown);
        assert!(world.run().message.contains("differ in spaces"), "{}", world.run().message);
        assert_eq!(world.service.submits, 1, "{requested}");
    }
}

#[test]
fn objects_that_are_not_shown_prove_nothing() {
    let mut world = lost(SubmitOutcome::LostAfter, "Orders");
    world.service.ops[0].objects.clear();
    world.run_for(secs(600)).is(RunState::Submitting, Reason::SubmissionUnknown);
    assert!(world.run().message.contains("tables and partitions"), "{}", world.run().message);
    assert_eq!(world.service.submits, 1);
}

#[test]
fn partition_that_is_not_shown_proves_nothing() {
    let of = |partition: Option<&str>| ObjectName { table: "Orders".to_owned(), partition: partition.map(str::to_owned) };
    for shown in [vec![of(Some("2025"))], vec![of(None)], vec![of(Some("2025")), of(None)]] {
        let requested = [of(Some("2025")), of(Some("2026"))].map(|name| RefreshObject { table: name.table, partition: name.partition });
        let mut world = World::new(|spec| spec.refresh.as_mut().unwrap().objects = requested.to_vec());
        world.service.submit_outcomes.push_back(SubmitOutcome::LostBefore);
        world.run_for(secs(1));
        world.start_other_refresh(3, "full");
        world.service.ops[0].objects = shown;
        world.run_for(secs(600)).is(RunState::Submitting, Reason::SubmissionUnknown);
        assert_eq!((world.service.submits, world.run().candidates.len()), (1, 1));
    }
}

#[test]
fn partly_read_details_prove_nothing() {
    let mut world = lost(SubmitOutcome::LostAfter, "Orders");
    world.service.ops[0].incomplete = true;
    world.run_for(secs(600)).is(RunState::Submitting, Reason::SubmissionUnknown);
    assert!(world.run().message.contains("cannot be read completely"), "{}", world.run().message);
}

#[test]
fn operation_without_objects_or_end_is_not_awaited_forever() {
    let mut world = lost(SubmitOutcome::LostAfter, "Orders");
    world.service.ops[0].objects.clear();
    world.service.ops[0].end = world.now() + secs(1_000_000);
    world.run_for(secs(86_000)).is(RunState::Submitting, Reason::ResolvingSubmission);
    world.run_for(secs(1_000)).is(RunState::Submitting, Reason::SubmissionUnknown);
    assert_eq!((world.service.submits, world.run().candidates.len()), (1, 1));
}

#[test]
fn unread_details_are_read_again_before_a_user_decision() {
    let mut world = lost(SubmitOutcome::LostAfter, "Orders");
    let objects = std::mem::take(&mut world.service.ops[0].objects);
    let refresh_type = world.service.ops[0].refresh_type.take();
    world.service.ops[0].incomplete = true;
    world.run_for(secs(250)).is(RunState::Submitting, Reason::ResolvingSubmission);
    (world.service.ops[0].objects, world.service.ops[0].refresh_type, world.service.ops[0].incomplete) = (objects, refresh_type, false);
    world.run_for(secs(60)).is(RunState::Succeeded, Reason::Succeeded);
    assert_eq!((world.service.submits, world.run().operation_id.as_deref()), (1, Some("op-0")));

    let mut world = lost(SubmitOutcome::LostAfter, "Orders");
    (world.service.ops[0].refresh_type, world.service.ops[0].incomplete) = (None, true);
    world.run_for(secs(400)).is(RunState::Submitting, Reason::SubmissionUnknown);
}
