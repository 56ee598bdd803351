//! A model that is given by names: resolved before a run's turn, and equal to the same model by ids.

use model::script::{SubmitOutcome, World, blocked, model, named, secs, service_error};
use tabular_operator::api::{ConditionType, Model, RUN_REQUESTED_AT, Reason, RunState};
use tabular_operator::engine::{DecisionMemory, Effect, EffectResult, Turn};
use tabular_operator::operation::{ModelIds, ModelLookup, Phase, ServiceErrorKind};

fn ids(group: &str) -> ModelLookup {
    ModelLookup::Found(ModelIds { group_id: group.to_owned(), dataset_id: "CFAFBEB1".to_owned() })
}

fn world() -> World {
    let mut world = World::new(|spec| spec.model = named("Sales"));
    world.resolution = ids("F089354E");
    world
}

#[test]
fn ids_are_recorded_with_the_intent() {
    let mut world = world();
    world.service.length = secs(5);
    world.run_for(secs(60)).is(RunState::Succeeded, Reason::Succeeded);
    assert_eq!((world.writes, world.service.submits, world.resolves), (4, 1, 1));
    let by_ids = Model::by_ids("F089354E".to_owned(), "cfafbeb1".to_owned());
    assert_eq!(world.run().model.key(), by_ids.key(), "named by ids or by names, it is one model to the queue");
    assert_eq!(world.run().model.names(), None);
    assert_eq!(world.status().model.as_deref(), Some("Sales/Orders"), "people know it by its names");
    let intent = world.statuses.iter().find(|status| status.run.as_ref().is_some_and(|run| run.state == RunState::Submitting)).unwrap();
    assert_eq!(intent.run.as_ref().unwrap().model, world.run().model);
}

#[test]
fn crash_at_any_step_with_names_leaves_one_operation() {
    super::submissions::crashes_leave_one_operation(world);
}

#[test]
fn each_run_resolves_names_and_keeps_the_ids() {
    let mut world = world();
    world.service.outcomes.push_back(Phase::Failed);
    world.edit(|spec| spec.backoff_limit = 1).run_for(secs(20));
    let first = world.run().model.clone();
    world.resolution = ids("another");
    world.run_for(secs(600)).is(RunState::Succeeded, Reason::Succeeded);
    assert_eq!((world.run().attempt, &world.run().model, world.resolves), (2, &first, 1), "the second attempt too");
    world.annotate(RUN_REQUESTED_AT, Some("a")).run_for(secs(600)).is(RunState::Succeeded, Reason::Succeeded);
    assert_eq!((world.run().number, world.resolves), (2, 2));
    assert!(world.run().model.key().contains("another"), "{}", world.run().model.key());
}

#[test]
fn lost_response_is_searched_on_the_submitted_model() {
    let mut world = world();
    world.service.submit_outcomes.push_back(SubmitOutcome::LostBefore);
    world.run_for(secs(5)).is(RunState::Submitting, Reason::ResolvingSubmission);
    let sent_to = world.run().model.clone();
    world.resolution = ids("another");
    world.restart().run_for(secs(120)).is(RunState::Submitting, Reason::ResolvingSubmission);
    assert_eq!((&world.run().model, world.resolves), (&sent_to, 1));
    world.run_for(secs(600)).is(RunState::Succeeded, Reason::Succeeded);
    assert_eq!((&world.run().model, world.service.submits), (&sent_to, 2));
}

#[test]
fn lost_submission_follows_a_spec_with_new_names() {
    let by_ids = || Model::by_ids("f089354e".to_owned(), "cfafbeb1".to_owned());
    for first in [by_ids(), named("Sales")] {
        for mut world in [World::new(|spec| spec.model = first.clone()), World::sync(|spec| spec.model = first.clone())] {
            world.resolution = ids("F089354E");
            world.service.submit_outcomes.push_back(SubmitOutcome::LostBefore);
            world.run_for(secs(60)).is(RunState::Submitting, Reason::ResolvingSubmission);
            world.resolution = ids("another");
            world.edit(|spec| spec.model = named("Finance")).run_for(secs(60)).is(RunState::Submitting, Reason::ResolvingSubmission);
            assert_eq!(world.run().model, by_ids(), "the list of the first model decides");
            world.run_for(secs(600)).is(RunState::Succeeded, Reason::Succeeded);
            let submissions = (world.service.submits, world.service.ops.len(), world.run().number);
            assert_eq!((submissions, world.event_count(Reason::Resubmitted)), ((2, 1, 1), 1));
            assert!(world.run().model.key().contains("another"), "{}", world.run().model.key());
            assert!(world.service.lists < 80, "{} lists", world.service.lists);
        }
    }
}

#[test]
fn waiting_run_follows_a_moved_name() {
    let mut world = world();
    world.ahead = Some("bi/other".to_owned());
    world.run_for(secs(3_600)).is(RunState::Waiting, Reason::WaitingForTurn);
    assert!((10..=13).contains(&world.resolves), "{} look-ups in an hour", world.resolves);
    let writes = world.writes;
    world.resolution = ids("another");
    world.run_for(secs(600));
    assert!(world.run().model.key().contains("another") && world.writes == writes + 1, "{} writes", world.writes - writes);
    world.ahead = None;
    world.restart().run_for(secs(600)).is(RunState::Succeeded, Reason::Succeeded);
}

#[test]
fn unmatched_names_stall_and_are_resolved_every_minute() {
    let mut world = world();
    world.resolution = ModelLookup::Ambiguous("two workspaces are named Sales: give groupId and datasetId".to_owned());
    world.run_for(secs(600)).is(RunState::Waiting, Reason::ModelNotResolved);
    assert!(world.holds(ConditionType::Stalled) && world.run().message.contains("two workspaces"), "{}", world.run().message);
    assert!((9..=12).contains(&world.resolves), "{} look-ups in ten minutes", world.resolves);
    assert_eq!((world.writes, world.queue_state()), (2, tabular_operator::engine::QueueState::None), "why, and the finalizer");
    world.resolution = ids("found");
    world.run_for(secs(200)).is(RunState::Succeeded, Reason::Succeeded);
    assert_eq!((world.run().number, world.service.submits), (1, 1));
}

#[test]
fn failed_name_resolution_is_retried() {
    let mut world = world();
    world.resolution = ModelLookup::Failed(service_error(ServiceErrorKind::AccessDenied));
    world.run_for(secs(20)).is(RunState::Waiting, Reason::AccessDenied);
    world.resolution = ModelLookup::Failed(service_error(ServiceErrorKind::Unreachable));
    world.run_for(secs(20)).is(RunState::Waiting, Reason::Retrying);
    world.preparation_failure = blocked(Reason::SecretNotFound);
    world.run_for(secs(120)).is(RunState::Waiting, Reason::SecretNotFound);
    (world.preparation_failure, world.resolution) = (None, ids("found"));
    world.run_for(secs(200)).is(RunState::Succeeded, Reason::Succeeded);
}

#[test]
fn edited_model_counts_before_the_submission() {
    for other in [named("Finance"), model("Other")] {
        let mut world = world();
        world.ahead = Some("bi/other".to_owned());
        world.run_for(secs(20));
        world.ahead = None;
        world.resolution = ids("finance");
        world.edit(|spec| spec.model = other.clone()).run_for(secs(300)).is(RunState::Succeeded, Reason::Succeeded);
        let wanted = if other.names().is_some() { "powerbi://finance/cfafbeb1".to_owned() } else { other.key() };
        assert_eq!((world.run().number, world.run().model.key()), (1, wanted));
    }
}

#[test]
fn sync_resolves_names() {
    let mut world = World::sync(|spec| spec.model = named("Sales"));
    world.resolution = ids("found");
    world.run_for(secs(300)).is(RunState::Succeeded, Reason::Succeeded);
    assert_eq!((world.resolves, world.service.submits), (1, 1));
}

#[test]
fn corrected_names_are_never_reported_as_wrong() {
    for names in [named("Marketing"), Model::by_ids("f089354e".to_owned(), "cfafbeb1".to_owned())] {
        let mut world = World::new(|spec| spec.model = named("Sales"));
        world.run_for(secs(20)).is(RunState::Waiting, Reason::ModelNotResolved);
        let before = world.statuses.len();
        world.resolution = ids("F089354E");
        world.edit(|spec| spec.model = names).run_for(secs(600)).is(RunState::Succeeded, Reason::Succeeded);
        let stalled =
            |status: &tabular_operator::api::Status| status.conditions.iter().any(|condition| condition.r#type == ConditionType::Stalled);
        assert!(!world.statuses[before..].iter().any(stalled), "{:#?}", &world.statuses[before..]);
    }
}

#[test]
fn turn_without_resolved_ids_submits_nothing() {
    let mut world = world();
    world.resolution = ModelLookup::Failed(service_error(ServiceErrorKind::Unreachable));
    world.run_for(secs(20)).is(RunState::Waiting, Reason::Retrying);
    let decision = world.decide(world.status(), &DecisionMemory::default(), EffectResult::Turn(Turn::Granted));
    assert_eq!((decision.effect, decision.requeue_after), (Effect::None, Some(secs(0))));
}
