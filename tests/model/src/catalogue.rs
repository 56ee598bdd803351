//! The scenarios by name: what the promise is proven for, and what it is shown not to cover.

use tabular_operator::api::{ConcurrencyPolicy, ConflictPolicy, DeletionPolicy, ModelRefreshSpec, ModelSyncSpec, RunState};
use tabular_operator::engine::reconcile::Rejection;
use tabular_operator::operation::{Phase, ServiceErrorKind};

use crate::laws;
use crate::scenario::{Ail, Careless, Left, Scenario, by_names, of_one_table, spec, sync, times};
use crate::world::cluster::Spec;
use crate::world::{Guise, How, Sight, Wish, Work};

/// How much is explored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// What every test run can afford: minutes.
    Share,
    /// What one waits for.
    Full,
}

fn with(edit: impl FnOnce(&mut ModelRefreshSpec)) -> Vec<Spec> {
    let mut spec = spec(0);
    edit(&mut spec);
    vec![Spec::Refresh(spec)]
}

/// A refresh that cancels another client's.
fn replacing() -> ModelRefreshSpec {
    ModelRefreshSpec { conflict_policy: ConflictPolicy::Replace, ..spec(0) }
}

/// What other clients start beside ours, and what the service shows of it. Each is another than ours, by what it does or by who
/// started it; but what tells it may not be shown.
pub(crate) const OTHERS: [(Work, Guise); 20] = [
    (Work::Same, Guise::UnknownOrigin),
    (Work::Same, Guise::External),
    (Work::Same, Guise::ExternalWithoutId),
    (Work::OtherType, Guise::Plain),
    (Work::OtherType, Guise::UnknownOrigin),
    (Work::OtherType, Guise::WithoutId),
    (Work::OtherType, Guise::WithoutType),
    (Work::OtherType, Guise::UndocumentedType),
    (Work::OtherType, Guise::WithoutStart),
    (Work::OtherType, Guise::WithoutEnd),
    (Work::OtherType, Guise::LateStart),
    (Work::OtherType, Guise::EarlyStart),
    (Work::OtherType, Guise::Unread),
    (Work::OtherBlanks, Guise::Plain),
    (Work::OtherBlanks, Guise::OtherCase),
    (Work::OtherBlanks, Guise::WithoutObjects),
    (Work::OtherEncoding, Guise::Plain),
    (Work::OtherEncoding, Guise::OtherBlanks),
    (Work::MoreObjects, Guise::Plain),
    (Work::MoreObjects, Guise::WithoutObjects),
];

/// What the service may show of our own operation: never an origin that it does not have, nor an earlier start.
pub(crate) const OURS: [Guise; 12] = [
    Guise::UnknownOrigin,
    Guise::WithoutId,
    Guise::WithoutType,
    Guise::UndocumentedType,
    Guise::WithoutObjects,
    Guise::WithoutStart,
    Guise::LateStart,
    Guise::WithoutEnd,
    Guise::Unread,
    Guise::OtherCase,
    Guise::OtherBlanks,
    Guise::OtherEncoding,
];

/// How many states of a scenario are looked into, at most, where more of everything may go wrong.
const FULL_BOUND: usize = 1_500_000;

/// The scenarios in which every law holds. Those of a test run come to their end; with more of everything that goes wrong not all of
/// them do, and each is bounded.
#[must_use]
pub fn scenarios(size: Size) -> Vec<Scenario> {
    let (more, bound) = match size {
        Size::Share => (0, None),
        Size::Full => (1, Some(FULL_BOUND)),
    };
    let bounded = |scenario| Scenario { bound, ..scenario };
    in_which_every_law_holds(more).into_iter().map(bounded).collect()
}

/// Two resources on one model, of which the first ails; the second cancels what it takes for another client's.
fn tenants(ail: Ail, more: u8, (name, about): (&'static str, &'static str)) -> Scenario {
    Scenario {
        specs: vec![Spec::Refresh(spec(0)), Spec::Refresh(replacing())],
        left: Left { posts: 1 + more, ails: 1, crashes: more, calls: more, ..Left::default() },
        posts: if more > 0 { vec![How::LostBefore, How::LostAfter, How::Late] } else { vec![How::LostBefore, How::LostAfter] },
        ail: Some(ail),
        ..Scenario::calm(name, about)
    }
}

fn in_which_every_law_holds(more: u8) -> Vec<Scenario> {
    let busy =
        [How::LostBefore, How::LostAfter, How::Late, How::Refused(ServiceErrorKind::Throttled), How::Refused(ServiceErrorKind::Rejected)];
    vec![
        Scenario {
            left: Left { posts: 2, crashes: 1, calls: more, stale: more, delays: more, ..Left::default() },
            posts: busy.to_vec(),
            lag: 30,
            ..Scenario::calm("lost-answers", "submissions are lost, late or refused, and shown late; the operator is killed once")
        },
        Scenario {
            left: Left { posts: 1, calls: 1, stale: 1, crashes: 1 + more, delays: more, unprepared: more, ..Left::default() },
            ..Scenario::calm(
                "crashes",
                "the operator is killed twice, its views are stale, its writes are lost before or after they are done",
            )
        },
        Scenario {
            left: Left { posts: 1, crashes: 1, wishes: 1 + more, calls: more, stale: more, ..Left::default() },
            wishes: vec![Wish::Token, Wish::Work, Wish::Request, Wish::Suspend, Wish::Delete],
            lag: 30,
            ..Scenario::calm("people", "people change, trigger, suspend and delete the resource at any moment")
        },
        Scenario {
            left: Left { posts: 1, crashes: 1, wishes: 1 + more, vanishes: 1, calls: more, stale: more, ..Left::default() },
            wishes: vec![Wish::Delete, Wish::Release, Wish::Deletion(DeletionPolicy::Orphan)],
            lag: 30,
            ..Scenario::calm(
                "deletion",
                "the resource is deleted, released or orphaned at any moment, and the service may lose the operation",
            )
        },
        Scenario {
            left: Left { posts: 1, unprepared: 1 + more, crashes: 1, wishes: 1, calls: more, delays: more, ..Left::default() },
            namespace_ends: true,
            ..Scenario::calm("namespace", "the whole namespace is deleted, and the Secret with it")
        },
        Scenario {
            left: Left { posts: 1, strangers: 1 + more, crashes: 1, delays: more, calls: more, ..Left::default() },
            lag: 30,
            ..Scenario::calm("others-wait", "another client refreshes the model too; we wait")
        },
        Scenario {
            specs: with(|spec| spec.conflict_policy = ConflictPolicy::Fail),
            left: Left { posts: 1, strangers: 1, crashes: 1, wishes: more, calls: more, delays: more, ..Left::default() },
            wishes: vec![Wish::Token, Wish::Conflict(ConflictPolicy::Wait)],
            lag: 30,
            ..Scenario::calm("others-fail", "another client refreshes the model too; we fail")
        },
        Scenario {
            specs: with(|spec| spec.conflict_policy = ConflictPolicy::Replace),
            left: Left { posts: 1, strangers: 1 + more, crashes: 1, calls: more, wishes: more, ..Left::default() },
            wishes: vec![Wish::Delete, Wish::Conflict(ConflictPolicy::Wait)],
            lag: 30,
            ..Scenario::calm("others-replace", "another client refreshes the model too; we cancel its operation, and never our own for it")
        },
        Scenario {
            specs: with(|spec| spec.backoff_limit = 1),
            left: Left { posts: 1, failures: 2, crashes: 1, calls: more, stale: more, ..Left::default() },
            ends: vec![Phase::Failed, Phase::TimedOut, Phase::Cancelled],
            wishes: vec![Wish::Token, Wish::Delete],
            lag: 30,
            ..Scenario::calm("attempts", "operations fail, and the run has a second attempt")
        },
        Scenario {
            specs: with(|spec| spec.concurrency_policy = ConcurrencyPolicy::Replace),
            left: Left { posts: 1, crashes: 1, wishes: 2, calls: more, stale: more, ..Left::default() },
            wishes: vec![Wish::Token, Wish::Concurrency(ConcurrencyPolicy::Forbid), Wish::Delete],
            ..Scenario::calm("replacement", "a new trigger replaces the run, or is dropped")
        },
        Scenario {
            specs: with(|spec| spec.concurrency_policy = ConcurrencyPolicy::Replace),
            left: Left { wishes: 2 + more, crashes: more, calls: more, ..Left::default() },
            wishes: vec![Wish::Work, Wish::Request, Wish::Manifest],
            ..Scenario::calm("taken-back", "people patch back and forth, and replace the manifest, under Replace")
        },
        Scenario {
            left: Left { wishes: 2 + more, crashes: more, calls: more, ..Left::default() },
            wishes: vec![Wish::Work, Wish::Request, Wish::Manifest, Wish::Suspend],
            ..Scenario::calm("queued", "people patch back and forth, replace the manifest and suspend, while a run is queued")
        },
        Scenario {
            specs: with(|spec| spec.concurrency_policy = ConcurrencyPolicy::Forbid),
            left: Left { wishes: 2 + more, failures: 1, crashes: more, calls: more, ..Left::default() },
            wishes: vec![Wish::Token, Wish::Work, Wish::Request],
            ..Scenario::calm("forbidden", "people change the spec and ask for runs under Forbid")
        },
        Scenario {
            left: Left { posts: 1, wishes: 2, failures: more, crashes: more, ..Left::default() },
            posts: vec![How::LostAfter],
            wishes: vec![Wish::State(RunState::Succeeded), Wish::State(RunState::Waiting), Wish::Delete],
            ..Scenario::calm("edited", "somebody edits the state of the run in the status")
        },
        Scenario {
            specs: with(|spec| spec.backoff_limit = 1),
            left: Left { posts: 1, failures: 1, crashes: more, wishes: 2, calls: more, stale: more, vanishes: more, ..Left::default() },
            wishes: vec![Wish::Cancel, Wish::Token],
            lag: 30,
            ..Scenario::calm("cancellation", "a person cancels what is under way, waits or is in doubt, and what has just ended")
        },
        Scenario {
            specs: with(|spec| (spec.active_deadline_seconds, spec.wait_deadline_seconds) = (60, 60)),
            left: Left { posts: 1, crashes: 1, strangers: 1, delays: more, vanishes: more, ..Left::default() },
            lag: 30,
            ..Scenario::calm("deadlines", "both deadlines are met, while answers are lost")
        },
        Scenario {
            operators: 2,
            left: Left { posts: 1, delays: 1 + more, calls: more, ..Left::default() },
            lag: 30,
            ..Scenario::calm("two-operators", "the leader is frozen past its Lease, with a submission on its way, and another takes over")
        },
        Scenario {
            operators: 2,
            left: Left { posts: 1, delays: 1 + more, ..Left::default() },
            careless: Careless { lease: true, ..Careless::default() },
            lag: 30,
            ..Scenario::calm("two-leaders", "two operators lead at once: the fence and the deadline of a submission are enough")
        },
        Scenario {
            left: Left { posts: 1, strangers: 1, wishes: 1 + more, ..Left::default() },
            posts: vec![How::LostAfter, How::Late],
            wishes: vec![Wish::Adopt(0), Wish::Adopt(1), Wish::Resubmit, Wish::Work, Wish::Delete],
            lag: 30,
            ..Scenario::calm("words", "a person says what became of a submission, rightly or wrongly, early or late")
        },
        Scenario {
            left: Left { posts: 2 + more, wishes: 2, crashes: more, calls: more, ..Left::default() },
            posts: vec![How::LostBefore, How::LostAfter],
            wishes: vec![Wish::Resubmit, Wish::Leftover, Wish::Token],
            rows: Some(0),
            ..Scenario::calm("decisions", "no list shows anything, so a person decides each time; some decisions are left over")
        },
        Scenario {
            specs: vec![Spec::Refresh(spec(0)), Spec::Refresh(spec(0))],
            symmetric: true,
            left: Left { posts: 1, wishes: 2, ..Left::default() },
            posts: vec![How::LostAfter],
            wishes: vec![Wish::Adopt(0)],
            rows: Some(0),
            ..Scenario::calm("same-decision", "people name the same operation for two resources")
        },
        Scenario {
            specs: vec![Spec::Refresh(spec(0)), Spec::Refresh(spec(0))],
            symmetric: true,
            left: Left { posts: 1, wishes: 1, crashes: more, ..Left::default() },
            wishes: vec![Wish::Token, Wish::Delete],
            orphans: more > 0,
            ..Scenario::calm("two-resources", "two resources ask for the same on the same model")
        },
        Scenario {
            specs: vec![Spec::Refresh(replacing()), Spec::Refresh(replacing())],
            symmetric: true,
            left: Left { posts: 1, wishes: 2, calls: more, ..Left::default() },
            posts: vec![How::LostBefore, How::LostAfter],
            wishes: vec![Wish::Deletion(DeletionPolicy::Orphan), Wish::Release, Wish::Delete],
            ..Scenario::calm("let-go", "an operation is let go; another resource replaces it, and follows it never")
        },
        Scenario {
            specs: vec![Spec::Sync(sync(0, None)), Spec::Sync(sync(0, None))],
            symmetric: true,
            left: Left { posts: 1, wishes: 1, calls: more, stale: more, ..Left::default() },
            wishes: vec![Wish::Delete],
            lag: 30,
            ..Scenario::calm("let-go-sync", "a sync is let go, and another resource never follows it")
        },
        Scenario {
            specs: vec![Spec::Sync(ModelSyncSpec { backoff_limit: 1, active_deadline_seconds: 60, ..sync(0, None) })],
            left: Left { posts: 1, failures: 1, crashes: 1, wishes: 1, calls: more, delays: more, ..Left::default() },
            wishes: if more > 0 {
                vec![Wish::Token, Wish::Suspend, Wish::Cancel, Wish::Delete]
            } else {
                vec![Wish::Token, Wish::Cancel, Wish::Delete]
            },
            lag: 30,
            ..Scenario::calm("sync", "a sync, which nobody can cancel, fails, is triggered again, and is deleted")
        },
        tenants(
            Ail::Throttled,
            more,
            ("tenant-throttled", "the identity of one of two resources is throttled; the other one replaces others' work"),
        ),
        tenants(Ail::Refused, more, ("tenant-refused", "the identity of one of two resources is refused")),
        Scenario {
            specs: vec![Spec::Refresh(spec(0)), Spec::Refresh(spec(0))],
            left: Left { posts: 2, ails: 1, wishes: more, ..Left::default() },
            posts: vec![How::LostAfter],
            wishes: vec![Wish::Adopt(0), Wish::Adopt(1)],
            poll: 30,
            tells_time: false,
            ..tenants(
                Ail::Refused,
                more,
                ("tenant-in-doubt", "the submissions of two resources are lost, and an operation may be of either by its times"),
            )
        },
        tenants(Ail::SecretGone, more, ("tenant-secret", "the Secret of one of two resources is deleted")),
        tenants(Ail::Writes, more, ("tenant-unwritten", "every write of one of two resources fails")),
        tenants(Ail::WritesDenied, more, ("denied-write", "every write of one of two resources is denied")),
        tenants(Ail::WritesRefused, more, ("refused-write", "every write of one of two resources is refused")),
        Scenario {
            specs: vec![Spec::Refresh(spec(0)), Spec::Refresh(spec(0))],
            symmetric: true,
            left: Left { posts: 1, abandons: 1, calls: more, ..Left::default() },
            posts: vec![How::LostAfter],
            ..Scenario::calm("abandoned", "a reconciliation is abandoned at any point: its timeout passes, or it panics")
        },
        Scenario {
            left: Left { calls: 3, wishes: 1, crashes: more, ..Left::default() },
            wishes: vec![Wish::Delete],
            rejections: vec![Rejection::Conflict, Rejection::NotFound, Rejection::Denied, Rejection::Refused],
            ..Scenario::calm("rejected-writes", "writes are rejected in every way, or lost, while the resource runs and is deleted")
        },
        Scenario {
            left: Left { calls: 5, posts: more, ..Left::default() },
            rejections: vec![Rejection::Conflict],
            ..Scenario::calm("unrecorded", "the id of an accepted operation cannot be recorded for a while")
        },
        Scenario {
            left: Left { wishes: 1, calls: 1, posts: more, ..Left::default() },
            namespace_ends: true,
            ..Scenario::calm("slow-namespace", "the namespace is deleted while calls to the service hang")
        },
        Scenario {
            operators: 2,
            left: Left { wishes: 1, delays: 1, posts: more, ..Left::default() },
            wishes: vec![Wish::Delete],
            ..Scenario::calm("two-releases", "the resource is deleted while the leader is frozen past its Lease")
        },
        Scenario {
            left: Left { posts: 1, calls: 1, crashes: 1, abandons: more, stale: more, ..Left::default() },
            late_writes: true,
            lag: 30,
            ..Scenario::calm("late-write", "the response to a write of the status is lost, and it is performed later")
        },
        Scenario {
            left: Left { posts: 1, wishes: 2, calls: more, failures: more, ..Left::default() },
            wishes: vec![Wish::Unfinalize, Wish::Delete],
            lag: 30,
            ..Scenario::calm("detached", "somebody removes the finalizer by force and deletes the resource; its operation is followed")
        },
        Scenario {
            left: Left { posts: 1, sights: 2, crashes: more, wishes: 1, ..Left::default() },
            posts: vec![How::LostBefore, How::LostAfter],
            sights: vec![Sight::All, Sight::Deleted, Sight::Hidden],
            wishes: if more > 0 { vec![Wish::Token, Wish::Delete] } else { vec![Wish::Delete] },
            ..Scenario::calm("models-go", "the model is deleted and published anew, or is hidden from the identity")
        },
        Scenario {
            specs: vec![Spec::Refresh(spec(0)), Spec::Sync(sync(0, Some("resource-0")))],
            left: Left { posts: 1, crashes: 1, wishes: more, ..Left::default() },
            wishes: vec![Wish::Token],
            ..Scenario::calm("follower", "a sync follows a refresh")
        },
        Scenario {
            left: Left { posts: 1, leaves: 1, wishes: 1 + more, crashes: more, calls: more, ..Left::default() },
            wishes: vec![Wish::Delete, Wish::Deletion(DeletionPolicy::Orphan), Wish::Token],
            lag: 30,
            ..Scenario::calm("uninstall", "the operator is uninstalled, or nearly, and installed again")
        },
        Scenario {
            specs: vec![Spec::Sync(sync(0, None))],
            left: Left { posts: 1, leaves: 1, wishes: 1, crashes: more, calls: more, ..Left::default() },
            wishes: vec![Wish::Delete, Wish::Token],
            lag: 30,
            ..Scenario::calm("uninstall-sync", "the operator is uninstalled while a sync runs, which nobody can cancel")
        },
        Scenario {
            left: Left { posts: 1, crashes: more, strangers: 2, delays: more, ..Left::default() },
            rows: Some(1),
            lag: 30,
            ..Scenario::calm("short-list", "a listing has only the newest row, and another client refreshes the model too")
        },
        Scenario {
            specs: vec![Spec::Refresh(ModelRefreshSpec { conflict_policy: ConflictPolicy::Replace, ..of_one_table(0) })],
            left: Left { posts: 1, strangers: 1, crashes: more, delays: more, ..Left::default() },
            others: OTHERS.to_vec(),
            lag: 30,
            ..Scenario::calm("their-rows", "the row of another client's refresh lacks what tells it from ours, or has it wrong")
        },
        Scenario {
            specs: vec![Spec::Refresh(of_one_table(0))],
            left: Left { posts: 1, guises: 1 + more, crashes: 1, strangers: 1, ..Left::default() },
            others: vec![(Work::Same, Guise::UnknownOrigin), (Work::OtherType, Guise::WithoutType), (Work::OtherBlanks, Guise::Plain)],
            guises: OURS.to_vec(),
            lag: 30,
            ..Scenario::calm("our-rows", "the row of our own refresh lacks fields for a while, or has its names otherwise")
        },
        Scenario {
            specs: with(|spec| spec.trigger = Some(times("1,3 12 1 1 *"))),
            left: Left { posts: 1, crashes: more, wishes: more, delays: 1, ..Left::default() },
            posts: vec![How::LostBefore, How::LostAfter],
            wishes: vec![Wish::Suspend, Wish::Token, Wish::Delete],
            sleeps: vec![200],
            poll: 20,
            ..Scenario::calm("schedule", "runs are due by the clock, while answers are lost and the operator is late")
        },
        Scenario {
            specs: vec![Spec::Refresh(by_names())],
            left: Left { posts: 1, crashes: 1, wishes: 1 + more, calls: more, ..Left::default() },
            wishes: vec![Wish::Token, Wish::Delete],
            renames: true,
            lag: 30,
            ..Scenario::calm("names", "the model is given by names, which come to stand for another one")
        },
        Scenario {
            left: Left { posts: 1 + more, crashes: 1, jumps: 1, delays: more, ..Left::default() },
            jumps: vec![-1, 20],
            lag: 10,
            ..Scenario::calm("clock-steps", "the operator's wall clock steps as far as it may")
        },
        Scenario {
            left: Left { posts: 1 + more, crashes: more, strangers: 1, delays: more, ..Left::default() },
            service_ahead: 240,
            tells_time: false,
            lag: 30,
            ..Scenario::calm("untold-clock", "the service's clock is four minutes ahead, and it does not say so")
        },
        Scenario {
            left: Left { posts: 1 + more, crashes: 1, strangers: 1, delays: more, ..Left::default() },
            service_ahead: -240,
            lag: 30,
            ..Scenario::calm("told-clock", "the service's clock is four minutes behind, and it says so")
        },
    ]
}

/// What the promise does not cover, or what it rests on: here a law is broken, and it is known which.
#[must_use]
pub fn gaps() -> Vec<(Scenario, &'static str)> {
    vec![
        (
            Scenario {
                left: Left { posts: 1, stale: 1, crashes: 1, calls: 1, ..Left::default() },
                careless: Careless { version: true, ..Careless::default() },
                ..Scenario::calm("careless-version", "status is written whatever the version is")
            },
            laws::ONCE,
        ),
        (
            Scenario {
                operators: 2,
                left: Left { posts: 1, delays: 2, ..Left::default() },
                careless: Careless { lease: true, deadline: true, ..Careless::default() },
                ..Scenario::calm("careless-leader", "a Lease is believed for ever, and a submission sent however late")
            },
            laws::INTENT,
        ),
        (
            Scenario {
                careless: Careless { unwritten: true, ..Careless::default() },
                ..Scenario::calm("careless-write", "the intent of a submission counts as written, and is not")
            },
            laws::INTENT,
        ),
        (
            Scenario {
                left: Left { leaves: 1, ..Left::default() },
                careless: Careless { drain: true, ..Careless::default() },
                ..Scenario::calm("careless-drain", "an operator submits although it has heard of an uninstall")
            },
            laws::UNINSTALL,
        ),
        (
            Scenario {
                careless: Careless { claims: true, ..Careless::default() },
                ..tenants(Ail::Refused, 0, ("careless-claims", "no operation counts as another resource's"))
            },
            laws::STRANGERS,
        ),
        (
            Scenario {
                left: Left { posts: 1, strangers: 1, ..Left::default() },
                rows: Some(1),
                careless: Careless { truncation: true, ..Careless::default() },
                ..Scenario::calm("careless-list", "a list that is cut short counts as whole")
            },
            laws::ONCE,
        ),
        (
            Scenario {
                left: Left { leaves: 1, ..Left::default() },
                careless: Careless { deaf: true, ..Careless::default() },
                ..Scenario::calm("careless-uninstall", "an uninstall does not wait until the operator has heard of it")
            },
            laws::UNINSTALL,
        ),
        (
            Scenario {
                left: Left { posts: 1, delays: 1, ..Left::default() },
                lag: 120,
                ..Scenario::calm("long-lag", "the service shows operations later than it is believed to")
            },
            laws::TRUTH,
        ),
        (
            Scenario {
                left: Left { posts: 1, jumps: 1, ..Left::default() },
                jumps: vec![60],
                lag: 30,
                ..Scenario::calm("clock-forward", "the operator's wall clock jumps ahead by more than the listing lag")
            },
            laws::TRUTH,
        ),
        (
            Scenario {
                left: Left { posts: 1, jumps: 1, ..Left::default() },
                jumps: vec![-2],
                lag: 30,
                ..Scenario::calm("clock-back", "the operator's wall clock is set back by more than a second")
            },
            laws::ONCE,
        ),
        (
            Scenario {
                left: Left { posts: 1, strangers: 1, ..Left::default() },
                posts: vec![How::Late],
                others: vec![(Work::Same, Guise::Plain)],
                lag: 30,
                ..Scenario::calm("twin", "another client begins exactly the same refresh within the same seconds")
            },
            laws::TRUTH,
        ),
        (
            Scenario {
                specs: vec![Spec::Refresh(spec(0)), Spec::Refresh(spec(0))],
                symmetric: true,
                left: Left { posts: 1, crashes: 2, wishes: 1, ..Left::default() },
                wishes: vec![Wish::Delete],
                ..Scenario::calm(
                    "orphan",
                    "a resource is deleted, the operator started anew, and another asks for the same in the same second",
                )
            },
            laws::TRUTH,
        ),
        (
            Scenario {
                left: Left { wishes: 2, crashes: 1, ..Left::default() },
                wishes: vec![Wish::Unfinalize, Wish::Delete],
                ..Scenario::calm("unfinalized", "somebody takes off the finalizer by force, and the operator is killed")
            },
            laws::RELEASE,
        ),
    ]
}
