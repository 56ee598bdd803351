//! Checks on request: when they run, which step reports a failure, and that nothing else changes.

use std::time::Duration;

use model::script::{Ended, SubmitOutcome, World, failed, missing, named, secs, service_error};
use tabular_operator::api::{CHECK_REQUESTED_AT, CheckResult, CheckStepName, Model, RUN_REQUESTED_AT, Reason, RunState, Status, Time};
use tabular_operator::engine::{Blocker, CheckFailure, CheckReport, DrainMode, Remedy};
use tabular_operator::operation::{ModelCheck, ModelIds, Phase, ServiceErrorKind};

const HOUR: u64 = 3_600;

/// A world whose operations take a minute.
fn world() -> World {
    let mut world = World::new(|_| {});
    world.service.length = secs(60);
    world
}

fn request(world: &mut World, value: &str) {
    world.annotate(CHECK_REQUESTED_AT, Some(value));
}

/// The request of the recorded check, and its result.
fn answer(world: &World) -> Option<(&str, CheckResult)> {
    world.status().check.as_ref().map(|check| (check.request.as_str(), check.result))
}

/// The step that failed, with its reason and its message.
fn failure(world: &World) -> (CheckStepName, &str, &str) {
    let check = world.status().check.as_ref().expect("a check");
    let mut failed = check.steps.iter().filter(|step| step.result == CheckResult::Failed);
    let step = failed.next().expect("a failed step");
    assert_eq!((check.result, failed.next()), (CheckResult::Failed, None));
    (step.name, &step.reason, &step.message)
}

/// The requests in the order in which their results were written.
fn answers(world: &World) -> Vec<String> {
    let mut all: Vec<_> = world.statuses.iter().filter_map(|status| Some(status.check.as_ref()?.request.clone())).collect();
    all.dedup();
    all
}

/// A check that found all of this.
fn complete() -> CheckReport {
    CheckReport {
        identity: Some("Secret aas-sp".to_owned()),
        model: ModelCheck {
            host: "api.powerbi.com".to_owned(),
            token_lifetime: Some(secs(3_590)),
            response_time: Some(Duration::from_millis(84)),
            ids: None,
            listed: true,
        },
        failure: None,
    }
}

/// A check whose time ended after so many steps: the credentials and the token.
fn late(reached: usize) -> CheckReport {
    let report = refused(ServiceErrorKind::Unreachable);
    let token_lifetime = report.model.token_lifetime.filter(|_| reached > 1);
    CheckReport { identity: report.identity.filter(|_| reached > 0), model: ModelCheck { token_lifetime, ..report.model }, failure: None }
}

/// A check that ended after the token.
fn refused(kind: ServiceErrorKind) -> CheckReport {
    let complete = complete();
    let model = ModelCheck { response_time: None, listed: false, ..complete.model };
    CheckReport { model, failure: Some(CheckFailure::CallFailed(service_error(kind))), ..complete }
}

type Arrange = fn(&mut World);

#[test]
fn check_is_one_write_in_every_state() {
    let states: [(&str, Arrange, u64); 7] = [
        (
            "suspended before its first run",
            |world| {
                world.edit(|spec| spec.suspend = true);
            },
            30,
        ),
        ("running", |world| world.service.length = secs(4 * HOUR), 300),
        ("succeeded", |_| {}, 300),
        ("failed", |world| world.service.outcomes.push_back(Phase::Failed), 300),
        ("behind another resource", |world| world.ahead = Some("bi/other".to_owned()), 60),
        ("without its Secret", |world| world.preparation_failure = Some(model::script::blocked(Reason::SecretNotFound).unwrap()), 60),
        ("throttled", |world| world.preparation_failure = failed(ServiceErrorKind::Throttled), 60),
    ];
    for (name, arrange, seconds) in states {
        let mut world = world();
        arrange(&mut world);
        world.run_for(secs(seconds));
        let (before, events, writes) = (world.status().clone(), world.events.len(), world.writes);
        let calls = (world.service.submits, world.service.cancels.len());
        request(&mut world, "a");
        world.reconcile_once(None);
        assert_eq!((answer(&world), world.checks), (Some(("a", CheckResult::Passed)), 1), "{name}");
        assert_eq!((world.writes, world.events.len()), (writes + 1, events), "{name}");
        assert_eq!(Status { check: None, ..world.status().clone() }, before, "{name}");
        assert_eq!((world.service.submits, world.service.cancels.len()), calls, "{name}");
        world.run_for(secs(60));
        assert_eq!((world.checks, answers(&world)), (1, vec!["a".to_owned()]), "{name}");
    }
}

#[test]
fn check_waits_while_a_submission_is_unresolved() {
    let mut world = world();
    world.service.submit_outcomes.push_back(SubmitOutcome::LostBefore);
    world.run_for(secs(20)).is(RunState::Submitting, Reason::ResolvingSubmission);
    request(&mut world, "a");
    world.run_for(secs(60)).is(RunState::Submitting, Reason::ResolvingSubmission);
    assert_eq!((answer(&world), world.checks), (None, 0));
    world.run_until(RunState::Running).run_for(secs(5));
    assert_eq!((answer(&world), world.checks), (Some(("a", CheckResult::Passed)), 1));
}

#[test]
fn running_operation_is_polled_as_without_checks() {
    let polls = |checks: bool| {
        let mut world = world();
        world.service.length = secs(600);
        world.run_until(RunState::Running);
        for second in 0..300 {
            if checks {
                request(&mut world, &second.to_string());
            }
            world.run_for(secs(1));
        }
        (world.service.polls, world.checks, world.run_for(secs(600)).run().state)
    };
    let ((polls, checks, state), (plain, none, plain_state)) = (polls(true), polls(false));
    assert_eq!((state, plain_state, none), (RunState::Succeeded, RunState::Succeeded, 0));
    assert!(polls.abs_diff(plain) <= 2, "{polls} polls with checks, {plain} without");
    // One for each 11 seconds: the recorded time has whole seconds.
    assert!((25..=30).contains(&checks), "{checks} checks");
}

#[test]
fn second_request_is_answered_after_ten_seconds() {
    let mut world = world();
    world.run_for(secs(300));
    request(&mut world, "a");
    world.run_for(secs(2));
    let first = world.status().check.as_ref().unwrap().time;
    request(&mut world, "b");
    world.run_for(secs(3));
    assert_eq!(answer(&world), Some(("a", CheckResult::Passed)));
    // Only the latest request counts.
    request(&mut world, "c");
    world.run_for(secs(30));
    let second = world.status().check.as_ref().unwrap().time;
    assert!((10..=12).contains(&second.seconds_since(first)), "{first} {second}");
    assert_eq!((answers(&world), world.checks, world.due()), (vec!["a".to_owned(), "c".to_owned()], 2, None));
    // A restarted operator keeps the interval, because the status has the time.
    request(&mut world, "d");
    world.restart().run_for(secs(30));
    assert_eq!((answer(&world), world.checks), (Some(("d", CheckResult::Passed)), 3));
}

#[test]
fn answered_or_removed_value_requests_nothing() {
    let mut world = world();
    world.run_for(secs(300));
    request(&mut world, "a");
    world.run_for(secs(60));
    let writes = world.writes;
    world.annotate(CHECK_REQUESTED_AT, None).run_for(secs(60));
    request(&mut world, "a");
    world.restart().run_for(secs(HOUR));
    assert_eq!((world.checks, world.writes), (1, writes));
}

#[test]
fn long_value_is_recorded_as_digest() {
    let mut world = world();
    request(&mut world, &"x".repeat(100_000));
    world.run_for(secs(300));
    let request = &world.status().check.as_ref().unwrap().request;
    assert!(request.len() <= 256 && world.checks == 1, "{request}");
}

#[test]
fn crash_at_any_step_records_one_result() {
    for step in 0..40 {
        let mut world = world();
        world.service.length = secs(30);
        request(&mut world, "a");
        world.crash_in = Some(step);
        world.run_for(secs(300)).is(RunState::Succeeded, Reason::Succeeded);
        world.crash_in = None;
        assert_eq!((answer(&world), answers(&world)), (Some(("a", CheckResult::Passed)), vec!["a".to_owned()]), "step {step}");
        assert_eq!((world.service.submits, world.run().number), (1, 1), "step {step}");
        assert!(world.checks <= 2, "step {step}: {} checks", world.checks);
    }
}

#[test]
fn write_conflict_records_the_same_result_later() {
    let mut world = world();
    world.run_for(secs(300));
    request(&mut world, "a");
    world.edit_metadata(|metadata| drop(metadata.labels.get_or_insert_default().insert("tier".to_owned(), "gold".to_owned())));
    let writes = world.writes;
    // The view shows the request, but not the label.
    assert_eq!((world.reconcile_once(Some(1)), answer(&world), world.checks), (Ended::Stale, None, 1));
    world.check_report = Some(refused(ServiceErrorKind::AccessDenied));
    world.run_for(secs(60));
    assert_eq!((answer(&world), world.checks, world.writes), (Some(("a", CheckResult::Passed)), 1, writes + 1));
}

#[test]
fn run_during_a_check_is_not_delayed_by_its_result() {
    let mut world = world();
    world.run_for(secs(300));
    request(&mut world, "a");
    world.annotate(RUN_REQUESTED_AT, Some("r"));
    world.run_for(secs(5)).is(RunState::Running, Reason::Running);
    assert_eq!((world.run().number, answer(&world)), (2, Some(("a", CheckResult::Passed))));
}

#[test]
fn each_failure_is_reported_at_its_step() {
    let secret = CheckReport { failure: Some(CheckFailure::Blocked(missing(Reason::SecretNotFound))), ..CheckReport::default() };
    let unread = CheckReport { failure: refused(ServiceErrorKind::Unreachable).failure, ..CheckReport::default() };
    let token = |kind| {
        let refused = refused(kind);
        CheckReport { model: ModelCheck { token_lifetime: None, ..refused.model }, ..refused }
    };
    let rows = [
        (secret, CheckStepName::Credentials, "SecretNotFound"),
        (unread, CheckStepName::Credentials, "NoResponse"),
        (token(ServiceErrorKind::CredentialsRefused), CheckStepName::Token, "CredentialsRefused"),
        (token(ServiceErrorKind::AssertionRefused), CheckStepName::Token, "ServiceAccountForbidden"),
        (token(ServiceErrorKind::Throttled), CheckStepName::Token, "Retrying"),
        (refused(ServiceErrorKind::Unreachable), CheckStepName::Host, "NoResponse"),
        (refused(ServiceErrorKind::InvalidResponse), CheckStepName::Host, "Retrying"),
        (refused(ServiceErrorKind::ServerError), CheckStepName::Host, "Retrying"),
        (refused(ServiceErrorKind::Throttled), CheckStepName::Host, "Retrying"),
        (refused(ServiceErrorKind::CapacityExceeded), CheckStepName::Host, "CapacityExceeded"),
        (refused(ServiceErrorKind::Paused), CheckStepName::Host, "ServerPaused"),
        (refused(ServiceErrorKind::NotFound), CheckStepName::Model, "ModelNotFound"),
        (refused(ServiceErrorKind::OwnerNotFound), CheckStepName::Model, "OwnerNotFound"),
        (refused(ServiceErrorKind::QuotaExceeded), CheckStepName::Model, "QuotaExceeded"),
        (refused(ServiceErrorKind::ScaleOutDisabled), CheckStepName::Model, "ScaleOutDisabled"),
        (refused(ServiceErrorKind::AccessDenied), CheckStepName::Access, "AccessDenied"),
        (refused(ServiceErrorKind::CredentialsRefused), CheckStepName::Access, "CredentialsRefused"),
        (refused(ServiceErrorKind::Rejected), CheckStepName::Access, "Retrying"),
        (late(0), CheckStepName::Credentials, "NoResponse"),
        (late(1), CheckStepName::Token, "NoResponse"),
        (late(2), CheckStepName::Host, "NoResponse"),
    ];
    let mut world = world();
    world.run_for(secs(300));
    for (number, (report, step, reason)) in rows.into_iter().enumerate() {
        world.check_report = Some(report.clone());
        request(&mut world, &number.to_string());
        world.run_for(secs(15));
        let (failed_at, why, message) = failure(&world);
        assert_eq!((failed_at, why), (step, reason), "{report:?}: {message}");
        assert!(!message.is_empty(), "{report:?}");
        let steps = &world.status().check.as_ref().unwrap().steps;
        let after = steps.iter().filter(|it| it.name > step).all(|it| it.result == CheckResult::Skipped && it.message.is_empty());
        let before = steps.iter().filter(|it| it.name < step && it.name != CheckStepName::Model).all(|it| it.result == CheckResult::Passed);
        assert!(before && after && steps.iter().map(|it| it.name).eq(CheckStepName::ALL), "{steps:?}");
        // A failed check is no fault of the resource.
        world.is(RunState::Succeeded, Reason::Succeeded);
    }
    assert_eq!(world.service.submits, 1);
}

#[test]
fn timeout_of_a_check_names_what_did_not_respond() {
    // A shorter timeout of calls is that of a check, too.
    let rows =
        [(0, 30, "the Kubernetes API within 10s"), (1, 30, "a token within 10s"), (2, 4, "no response from api.powerbi.com within 4s")];
    for (reached, call_timeout, text) in rows {
        let mut world = world();
        world.settings().call_timeout = secs(call_timeout);
        world.check_report = Some(late(reached));
        request(&mut world, "a");
        world.run_for(secs(60));
        let (_, _, message) = failure(&world);
        assert!(message.contains(text) && message.contains(": check "), "{message}");
    }
}

#[test]
fn fault_of_the_spec_is_reported_without_a_request() {
    let of_spec = |reason| Blocker { remedy: Remedy::SpecChange, ..missing(reason) };
    let rows = [
        (of_spec(Reason::InvalidSpec), CheckStepName::Spec),
        (missing(Reason::UpstreamCycle), CheckStepName::Spec),
        (of_spec(Reason::IdentityNotAllowed), CheckStepName::Credentials),
        (of_spec(Reason::ServerNotInCloud), CheckStepName::Host),
    ];
    for (blocker, step) in rows {
        let mut world = world();
        world.spec_blocker = Some(blocker.clone());
        request(&mut world, "a");
        world.run_for(secs(60));
        assert_eq!((failure(&world), world.checks), ((step, blocker.reason.as_str(), blocker.message.as_str()), 0));
        let skipped = world.status().check.as_ref().unwrap().steps.iter().filter(|it| it.result == CheckResult::Skipped).count();
        assert_eq!(skipped, if step == CheckStepName::Spec { 5 } else { 4 }, "{step}");
    }
    // A missing upstream stalls a resource with its own model too.
    let mut world = World::sync(|_| {}).dependent();
    world.spec_blocker = Some(missing(Reason::UpstreamNotFound));
    request(&mut world, "a");
    world.run_for(secs(60));
    assert_eq!((failure(&world).0, world.checks), (CheckStepName::Spec, 0));
}

#[test]
fn messages_of_a_passed_check_state_what_was_found() {
    let shown = |mut world: World, report: CheckReport| {
        world.check_report = Some(report);
        world.edit(|spec| spec.suspend = true);
        request(&mut world, "a");
        world.run_for(secs(10));
        let check = world.status().check.clone().unwrap();
        assert_eq!(check.time, Time::from(world.now() - secs(9)));
        check.steps.into_iter().map(|step| step.message).collect::<Vec<_>>()
    };
    let common = ["accepted", "Secret aas-sp", "valid for 59m", "api.powerbi.com responded in 84 ms"];
    let on_server = shown(World::new(|_| {}), complete());
    assert_eq!(on_server[..4], common);
    assert_eq!(on_server[4], "myserver/Sales");
    assert!(on_server[5].contains("administrator of the server"), "{on_server:?}");
    let ids = ModelIds { group_id: "f089354e".to_owned(), dataset_id: "cfafbeb1".to_owned() };
    let mut by_names = complete();
    by_names.model.ids = Some(ids);
    let by_names = shown(World::new(|spec| spec.model = named("Sales")), by_names);
    assert_eq!(by_names[4], "Sales/Orders is f089354e/cfafbeb1");
    assert!(by_names[5].contains("a refresh also needs write permission"), "{by_names:?}");
    let sync = shown(World::sync(|spec| spec.model = Model::by_ids("f089354e".to_owned(), "cfafbeb1".to_owned())), complete());
    assert!(sync[5].contains("a sync also needs write permission"), "{sync:?}");
}

#[test]
fn name_without_a_model_is_not_resolved() {
    for (ids, step, reason) in [
        (None, CheckStepName::Model, "ModelNotResolved"),
        (Some(ModelIds { group_id: "f089354e".to_owned(), dataset_id: "cfafbeb1".to_owned() }), CheckStepName::Model, "ModelNotFound"),
    ] {
        let mut world = World::new(|spec| (spec.model, spec.suspend) = (named("Sales"), true));
        let report = refused(ServiceErrorKind::NotFound);
        world.check_report = Some(CheckReport { model: ModelCheck { ids, ..report.model }, ..report });
        request(&mut world, "a");
        world.run_for(secs(10));
        let (failed_at, why, _) = failure(&world);
        assert_eq!((failed_at, why), (step, reason));
    }
}

#[test]
fn huge_message_is_truncated() {
    let mut world = world();
    let blocker = Blocker { message: "\"<\u{1f980}\n".repeat(10_000), ..missing(Reason::SecretInvalid) };
    world.check_report = Some(CheckReport { failure: Some(CheckFailure::Blocked(blocker)), ..CheckReport::default() });
    request(&mut world, "a");
    world.run_for(secs(60));
    let (_, _, message) = failure(&world);
    assert!(message.len() <= 512 && message.ends_with('…') && !message.contains('\n'), "{message}");
}

#[test]
fn drain_and_deletion_answer_nothing() {
    let mut world = world();
    world.run_for(secs(300));
    world.drain = Some(DrainMode::Wait);
    request(&mut world, "a");
    world.run_for(secs(60));
    assert_eq!((answer(&world), world.checks), (None, 0));
    world.drain = None;
    world.changed().run_for(secs(5));
    assert_eq!(answer(&world), Some(("a", CheckResult::Passed)));
    (world.service.length, world.service.cancels_after) = (secs(HOUR), Some(secs(60)));
    world.annotate(RUN_REQUESTED_AT, Some("r")).run_until(RunState::Running);
    world.delete();
    request(&mut world, "b");
    world.run_for(secs(300));
    assert!(world.gone() && world.checks == 1);
}

#[test]
fn clock_that_is_set_back_delays_a_check_by_a_minute_at_most() {
    let mut world = world();
    world.run_for(secs(300));
    request(&mut world, "a");
    world.run_for(secs(5)).step_clock(-1_800);
    request(&mut world, "b");
    world.run_for(secs(60));
    assert_eq!(answer(&world), Some(("b", CheckResult::Passed)));
}
