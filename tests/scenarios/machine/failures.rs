//! The responses to a rejected write, and to one of which it is unknown whether it was performed: a row for each kind and each failure.

use std::time::Duration;

use serde_json::json;

use super::flow::running;
use super::world::{Revision, UID, World, at, key, refresh, request_names};
use tabular_operator::api::{CANCEL_REQUESTED_AT, FINALIZER, RUN_REQUESTED_AT, RunState};
use tabular_operator::engine::QueueState;
use tabular_operator::engine::reconcile::{DriverRequest, DriverResponse, Finish, QueueUpdate, ReadFailed, Rejection};
use tabular_operator::operation::Phase;

/// A kind of write, as [`super::world::name`] names it, and a world in which it is next.
const WRITES: [(&str, Begin); 5] =
    [("intent", fresh), ("status", ended), ("finalizer", bare), ("annotation", annotated), ("removal", deleted)];

type Begin = fn() -> World;

fn fresh() -> World {
    World::new(refresh(|_| {}))
}

/// Its operation has ended.
fn ended() -> World {
    let mut world = running();
    (world.now, world.phase) = (at(120), Phase::Succeeded);
    world
}

fn bare() -> World {
    World::new(refresh(|object| object["metadata"]["finalizers"] = json!(["acme.io/hold"])))
}

fn annotated() -> World {
    World::new(refresh(|object| object["metadata"]["annotations"] = json!({(RUN_REQUESTED_AT): ""})))
}

fn deleted() -> World {
    World::new(refresh(|object| object["metadata"]["deletionTimestamp"] = json!("2026-01-01T12:00:30Z")))
}

fn is_write(request: &DriverRequest<Revision>, kind: &str) -> bool {
    match request {
        DriverRequest::WriteStatus { intent, .. } => kind == if *intent { "intent" } else { "status" },
        DriverRequest::AddFinalizer => kind == "finalizer",
        DriverRequest::RemoveAnnotation(_) => kind == "annotation",
        DriverRequest::RemoveFinalizer { .. } => kind == "removal",
        _ => false,
    }
}

/// The update of the queue, as one word.
fn turn(queue: &QueueUpdate) -> &'static str {
    match queue {
        QueueUpdate::Set { state: QueueState::Holding, .. } => "holds",
        QueueUpdate::Set { state: QueueState::Waiting(_), .. } => "waits",
        QueueUpdate::Set { state: QueueState::None, .. } => "free",
        QueueUpdate::Remove => "leave",
        QueueUpdate::Keep => "keep",
    }
}

/// The response to a failed write, and the state of the API server.
#[derive(Clone, Copy, Debug)]
enum Failure {
    /// A conflict, and the resource has changed.
    Changed,
    /// A conflict, and it has not.
    Unchanged,
    /// Not found, and the resource is gone.
    Gone,
    /// As if the resource were gone, which exists.
    DeniedAsGone,
    NotLeader,
    Permanent,
    Temporary,
    Unconfirmed,
    /// Unconfirmed, and the response shows that only a change of the cluster helps.
    NoEffect,
}

fn fail(world: &mut World, failure: Failure) -> DriverResponse<Revision> {
    match failure {
        Failure::Changed => {
            world.edit(|_| {});
            DriverResponse::Rejected(Rejection::Conflict)
        }
        Failure::Unchanged => DriverResponse::Rejected(Rejection::Conflict),
        Failure::Gone => {
            world.server = None;
            DriverResponse::Rejected(Rejection::NotFound)
        }
        Failure::DeniedAsGone => DriverResponse::Rejected(Rejection::NotFound),
        Failure::NotLeader => DriverResponse::Rejected(Rejection::NotLeader),
        Failure::Permanent => DriverResponse::Rejected(Rejection::Permanent),
        Failure::Temporary => DriverResponse::Rejected(Rejection::Temporary),
        Failure::Unconfirmed => DriverResponse::Unconfirmed { denied: false },
        Failure::NoEffect => DriverResponse::Unconfirmed { denied: true },
    }
}

/// What comes after the first write of a kind, where every one of that kind fails.
fn after(kind: &str, world: fn() -> World, failure: Failure) -> (Vec<String>, Finish, &'static str, bool) {
    let mut world = world();
    let (of, mut began) = (if kind == "record" { "status" } else { kind }, None);
    let outcome = world.reconcile_with(|world, request| {
        is_write(request, of).then(|| {
            let _ = began.get_or_insert(request_names(world).len() - 1);
            fail(world, failure)
        })
    });
    assert!(world.turn_is_backed(), "{kind}, {failure:?}");
    let requests = request_names(&world)[began.unwrap()..].iter().map(|name| (*name).to_owned()).collect();
    let finish = if let Finish::Settled { .. } = outcome.finish { Finish::Settled { requeue: None } } else { outcome.finish };
    (requests, finish, turn(&outcome.queue), outcome.in_memory.reread)
}

#[test]
fn each_write_that_fails_ends_as_the_table_says() {
    use Failure::{Changed, DeniedAsGone, Gone, NoEffect, NotLeader, Permanent, Temporary, Unchanged, Unconfirmed};
    let read = |kind: &str| vec![kind.to_owned(), "read".to_owned()];
    for (kind, world) in WRITES {
        let only = || vec![kind.to_owned()];
        // The record of the operation holds a turn, and nothing of a run that is about to start.
        let (conflict, failed) = if kind == "status" { ("holds", "holds") } else { ("free", "leave") };
        let removal = kind == "removal";
        let unconfirmed = if removal { read(kind) } else { only() };
        let settled = Finish::Settled { requeue: None };
        let (denied, denied_end, denied_queue) = match kind {
            // An annotation that requests nothing delays no run.
            "annotation" => (["annotation", "intent", "submit", "status"].map(str::to_owned).to_vec(), settled, "holds"),
            _ => (only(), Finish::Failed, failed),
        };
        let unanswered = if kind == "annotation" { denied.clone() } else { unconfirmed };
        for (failure, requests, finish, queue, reread) in [
            (Changed, read(kind), Finish::Conflict, conflict, false),
            (Unchanged, read(kind), Finish::Failed, failed, false),
            (Gone, read(kind), if removal { Finish::FinalizerRemoved } else { Finish::Gone }, "leave", false),
            (DeniedAsGone, read(kind), Finish::Failed, failed, false),
            (NotLeader, only(), Finish::Conflict, conflict, false),
            (Permanent, denied.clone(), denied_end, denied_queue, false),
            (Temporary, denied.clone(), denied_end, denied_queue, false),
            (Unconfirmed, unanswered.clone(), denied_end, if kind == "intent" { "keep" } else { denied_queue }, kind == "intent"),
            (NoEffect, unanswered, denied_end, if kind == "intent" { "keep" } else { denied_queue }, kind == "intent"),
        ] {
            assert_eq!(after(kind, world, failure), (requests, finish, queue, reread), "{kind}, {failure:?}");
        }
    }
}

/// Its run waits by its record, and may start now.
pub(super) fn waiting() -> World {
    let mut world = fresh();
    let model = world.view().0.spec.model.key();
    let _ = world.queue.acquire(&model, "u-2", &key(), at(0).into());
    let _ = world.reconcile();
    assert_eq!(world.run().state, RunState::Waiting);
    let _ = world.queue.remove("u-2");
    world.now = at(90);
    world
}

#[test]
fn waiting_run_whose_intent_fails_leaves_the_queue() {
    let requests = |requests: &[&str]| requests.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    for failure in [Failure::Permanent, Failure::Temporary] {
        assert_eq!(after("intent", waiting, failure), (requests(&["intent"]), Finish::Failed, "leave", false));
    }
    assert_eq!(after("intent", waiting, Failure::Changed), (requests(&["intent", "read"]), Finish::Conflict, "waits", false));
    assert_eq!(after("intent", waiting, Failure::Unconfirmed), (requests(&["intent"]), Finish::Failed, "keep", true));
}

#[test]
fn id_of_an_accepted_operation_is_written_again_three_times() {
    use Failure::{Changed, Gone, NoEffect, NotLeader, Permanent, Temporary, Unchanged, Unconfirmed};
    let tries = |reads: &[&str]| {
        let mut requests = vec!["status"];
        for read in reads {
            requests.extend([*read, "status"]);
        }
        requests.into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let quick = ["read after 20 ms", "read after 40 ms", "read after 80 ms"];
    let and_read = |mut requests: Vec<String>| {
        requests.push("read".to_owned());
        requests
    };
    for failure in [Permanent, Temporary, Unconfirmed, NoEffect] {
        assert_eq!(after("record", fresh, failure), (tries(&quick), Finish::Failed, "holds", false), "{failure:?}");
    }
    for failure in [Changed, Unchanged] {
        assert_eq!(after("record", fresh, failure), (and_read(tries(&quick)), Finish::Failed, "holds", false), "{failure:?}");
    }
    let gone = vec!["status".to_owned(), quick[0].to_owned()];
    assert_eq!(after("record", fresh, Gone), (gone, Finish::Gone, "leave", false));
    assert_eq!(after("record", fresh, NotLeader), (tries(&[]), Finish::Conflict, "holds", false));
}

#[test]
fn id_that_stays_unrecorded_is_tried_once_per_reconciliation() {
    let mut world = fresh();
    let fails = |_: &mut World, request: &DriverRequest<Revision>| {
        is_write(request, "status").then_some(DriverResponse::Unconfirmed { denied: false })
    };
    let _ = world.reconcile_with(fails);
    for failures in 2..6 {
        let outcome = world.reconcile_with(fails);
        assert_eq!((request_names(&world), outcome.finish), (vec!["status"], Finish::Failed));
        assert_eq!(outcome.in_memory.failures, failures);
        assert!(outcome.in_memory.after_failure() <= Duration::from_secs(5));
    }
    // After three failures in a row it blocks no other.
    assert!(world.queue.holds(UID), "until its submission can no longer arrive");
    world.now = at(120);
    let _ = world.reconcile_with(fails);
    assert!(!world.queue.holds(UID));
    let _ = world.reconcile();
    assert_eq!(request_names(&world)[0], "status", "without a list");
    assert_eq!((world.run().state, world.run().operation_id.as_deref()), (RunState::Running, Some("op-1")));
    assert!(world.in_memory.accepted.is_none());
}

#[test]
fn denied_write_of_an_id_is_repeated_ever_more_slowly() {
    use Failure::{Changed, DeniedAsGone, NoEffect, Permanent, Temporary, Unchanged, Unconfirmed};
    let temporary: [u128; 9] = [500, 1_000, 2_000, 4_000, 5_000, 5_000, 5_000, 5_000, 5_000];
    // Only a change of the cluster ends it.
    let denied: [u128; 9] = [500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000];
    for (failures, expected) in
        [(&[Temporary, Unconfirmed, Changed][..], temporary), (&[Permanent, NoEffect, Unchanged, DeniedAsGone][..], denied)]
    {
        for failure in failures {
            let mut world = fresh();
            let delays = expected.map(|_| {
                let outcome = world.reconcile_with(|world, request| is_write(request, "status").then(|| fail(world, *failure)));
                outcome.requeue().unwrap().as_millis()
            });
            assert_eq!(delays, expected, "{failure:?}");
            assert!(world.in_memory.accepted.is_some());
        }
    }
}

#[test]
fn accepted_operation_is_recorded_only_for_its_own_intent() {
    for (field, other) in [("number", 2), ("attempt", 2)] {
        let mut world = fresh();
        let outcome =
            world.reconcile_with(|_, request| is_write(request, "status").then_some(DriverResponse::Unconfirmed { denied: false }));
        assert!(outcome.in_memory.accepted.is_some());
        world.edit(|object| object["status"]["run"][field] = json!(other));
        let _ = world.reconcile();
        assert_eq!(world.run().operation_id, None, "{field}: {:?}", world.requests);
    }
}

#[test]
fn reconciliation_after_unconfirmed_intent_starts_with_a_read() {
    for landed in [false, true] {
        let mut world = fresh();
        let outcome = world.reconcile_with(|world, request| {
            is_write(request, "intent").then(|| {
                if landed {
                    let _ = world.perform(request);
                }
                DriverResponse::Unconfirmed { denied: false }
            })
        });
        assert_eq!((turn(&outcome.queue), world.queue.holds(UID)), ("keep", true));
        // Nothing can be read.
        let unread = |_: &mut World, request: &DriverRequest<Revision>| {
            matches!(request, DriverRequest::Read { .. }).then_some(DriverResponse::Read(Err(ReadFailed)))
        };
        let outcome = world.reconcile_with(unread);
        assert_eq!((outcome.finish, turn(&outcome.queue), outcome.in_memory.reread), (Finish::Failed, "keep", true));
        let outcome = world.reconcile();
        assert_eq!(world.requests[0], "read");
        assert!(!outcome.in_memory.reread);
        if landed {
            assert_eq!(turn(&outcome.queue), "holds");
            assert!(!request_names(&world).contains(&"submit"), "who has recorded it does not know: {:?}", world.requests);
        } else {
            assert_eq!((outcome.finish, turn(&outcome.queue)), (Finish::Settled { requeue: Some(Duration::from_secs(1)) }, "leave"));
        }
    }
}

#[test]
fn turn_is_not_kept_for_ever_while_nothing_can_be_read() {
    let mut world = fresh();
    let _ = world.reconcile_with(|_, request| is_write(request, "intent").then_some(DriverResponse::Unconfirmed { denied: false }));
    let unread = |_: &mut World, request: &DriverRequest<Revision>| {
        matches!(request, DriverRequest::Read { .. }).then_some(DriverResponse::Read(Err(ReadFailed)))
    };
    let turns: Vec<&str> = (0..4).map(|_| turn(&world.reconcile_with(unread).queue)).collect();
    assert_eq!(turns, ["keep", "keep", "leave", "leave"]);
}

#[test]
fn refused_metadata_does_not_delay_the_record_of_a_run() {
    let mut world = ended();
    world.edit(|object| object["metadata"]["annotations"] = json!({(RUN_REQUESTED_AT): ""}));
    let outcome =
        world.reconcile_with(|_, request| is_write(request, "annotation").then_some(DriverResponse::Rejected(Rejection::Permanent)));
    assert_eq!(request_names(&world), ["annotation", "poll", "status"], "{:?}", world.requests);
    assert_eq!((world.run().state, outcome.finish), (RunState::Succeeded, Finish::Settled { requeue: Some(Duration::from_millis(500)) }));
    assert!(outcome.in_memory.metadata_refused.is_some());
    // Once it is removed, the refusal is over.
    world.now = at(240);
    let outcome = world.reconcile();
    assert_eq!((request_names(&world)[0], outcome.in_memory.metadata_refused), ("annotation", None));
}

#[test]
fn removal_without_an_answer_is_read() {
    for (performed, finish) in [(true, Finish::FinalizerRemoved), (false, Finish::Failed)] {
        for keeps in [true, false] {
            let mut world = deleted();
            let outcome = world.reconcile_with(|world, request| {
                is_write(request, "removal").then(|| {
                    match (performed, keeps) {
                        (true, true) => world.edit(|object| object["metadata"]["finalizers"] = json!(["acme.io/hold"])),
                        (true, false) => world.server = None,
                        (false, _) => {}
                    }
                    DriverResponse::Unconfirmed { denied: false }
                })
            });
            assert_eq!((request_names(&world), outcome.finish), (vec!["removal", "read"], finish));
        }
    }
    let mut world = deleted();
    world.edit(|object| object["metadata"]["finalizers"] = json!(["acme.io/hold", FINALIZER]));
    let outcome = world.reconcile_with(|_, request| is_write(request, "removal").then_some(DriverResponse::Unconfirmed { denied: true }));
    assert_eq!((outcome.finish, outcome.in_memory.metadata_refused.map(|refused| refused.times)), (Finish::Failed, Some(1)));
}

/// The service is called in between, and responds. Such a reconciliation writes nothing, and shows nothing about the writes.
#[test]
fn turn_is_not_kept_for_ever_while_the_end_is_unwritten() {
    for (write, deleted) in [("removal", true), ("status", false)] {
        for failure in [
            DriverResponse::Rejected(Rejection::Permanent),
            DriverResponse::Rejected(Rejection::Temporary),
            DriverResponse::Unconfirmed { denied: false },
        ] {
            let mut world = running();
            world.edit(|object| {
                object["metadata"]["annotations"] = json!({(CANCEL_REQUESTED_AT): "1"});
                object["metadata"]["deletionTimestamp"] = if deleted { json!("2026-01-01T12:01:30Z") } else { json!(null) };
            });
            let _ = world.reconcile();
            world.now = at(120);
            let _ = world.reconcile();
            assert_eq!(world.run().state, RunState::Cancelling);
            world.phase = Phase::Cancelled;
            let (mut turns, mut settled) = (Vec::new(), 0);
            for minutes in 3..15 {
                world.now = at(60 * minutes);
                let outcome = world.reconcile_with(|_, request| is_write(request, write).then(|| failure.clone()));
                turns.push(turn(&outcome.queue));
                settled += i32::from(outcome.finish != Finish::Failed);
                world.phase = if outcome.finish == Finish::Failed { Phase::InProgress } else { Phase::Cancelled };
            }
            assert!(settled > 2, "{write}, {failure:?}: {settled}");
            assert!(turns[0] == "holds" && !turns[8..].contains(&"holds"), "{write}, {failure:?}: {turns:?}");
        }
    }
}

#[test]
fn delays_grow_with_failures_and_end_with_a_success() {
    let mut world = bare();
    let delays = |world: &mut World, failure: Failure| -> Vec<u128> {
        let delay = |world: &mut World| {
            let outcome = world.reconcile_with(|world, request| is_write(request, "finalizer").then(|| fail(world, failure)));
            match outcome.finish {
                Finish::Conflict | Finish::Failed => outcome.requeue().unwrap(),
                finish => panic!("{finish:?}"),
            }
        };
        (0..10).map(|_| delay(world).as_millis()).collect()
    };
    assert_eq!(delays(&mut world, Failure::Temporary), [500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000, 60_000]);
    assert_eq!(delays(&mut world, Failure::Changed), [20, 40, 80, 160, 320, 640, 1_280, 2_000, 2_000, 2_000]);
    let outcome = world.reconcile();
    assert_eq!((outcome.in_memory.failures, outcome.in_memory.conflicts), (0, 0));
}
