//! Which responses the machine received at which stage, in all worlds of this process: what the model check has seen of it.

use std::sync::atomic::{AtomicBool, Ordering};

use tabular_operator::engine::reconcile::{Purpose, Reconciliation, Rejection, Response, Stage};

use super::World;
use super::cluster::Object;

/// The responses to a request, by their names.
const READ: [&str; 3] = ["a version", "gone", "unavailable"];
const WRITE: [&str; 7] = ["written", "conflict", "not found", "not leader", "denied", "refused", "unanswered"];

/// Each stage with the responses that it may receive.
const PAIRS: [(&str, &[&str]); 20] = [
    ("initial", &["start"]),
    ("reading: reread", &READ),
    ("reading: record", &READ),
    ("reading: give up", &READ),
    ("reading: stale", &READ),
    ("reading: rejected", &READ),
    ("reading: removal", &READ),
    ("reading the namespace", &["namespace"]),
    ("observing", &["observed"]),
    ("preparing", &["prepared", "not prepared", "timed out"]),
    ("reserving", &["free", "taken"]),
    ("writing", &WRITE),
    ("publishing", &["published"]),
    ("checking", &["observed"]),
    ("changing", &WRITE),
    ("removing", &["removed", "conflict", "not found", "not leader", "denied", "refused", "unanswered"]),
    ("reporting", &["published"]),
    ("acquiring", &["turn"]),
    ("calling", &["called", "timed out"]),
    ("abandoned", &["abandoned"]),
];

/// Pairs that no world here can show, and why not. Unit tests of the machine show them.
const IMPOSSIBLE: [(&str, &str); 6] = [
    ("reading: reread: gone", "the watch shows at once that a resource is gone"),
    ("reading: give up: gone", "as above"),
    ("reserving: taken", "no other resource acts between a decision and the reservation"),
    ("reading: stale: a version", "as above"),
    ("reading: stale: gone", "as above"),
    ("reading: stale: unavailable", "as above"),
];

const MOST: usize = 8;
static COVERED: [AtomicBool; PAIRS.len() * MOST] = [const { AtomicBool::new(false) }; PAIRS.len() * MOST];

fn cover(stage: &str, response: &str) {
    let at = PAIRS.iter().position(|(name, _)| *name == stage);
    let of = at.and_then(|at| Some(at * MOST + PAIRS[at].1.iter().position(|name| *name == response)?));
    if let Some(covered) = of.map(|of| &COVERED[of])
        && !covered.load(Ordering::Relaxed)
    {
        covered.store(true, Ordering::Relaxed);
    }
}

/// How many pairs there are, and the names of those that were not covered though they can be.
#[must_use]
pub fn missing() -> (usize, Vec<String>) {
    let all = PAIRS.iter().enumerate().flat_map(|(at, (stage, responses))| {
        responses.iter().enumerate().map(move |(of, response)| (at * MOST + of, format!("{stage}: {response}")))
    });
    let all: Vec<_> = all.filter(|(_, pair)| !IMPOSSIBLE.iter().any(|(impossible, _)| impossible == pair)).collect();
    let missing = all.iter().filter(|(at, _)| !COVERED[*at].load(Ordering::Relaxed)).map(|(_, pair)| pair.clone());
    (all.len(), missing.collect())
}

impl World {
    /// Notes that the machine is about to receive a response.
    pub(super) fn covers(machine: &Reconciliation<Object>, response: &Response<Object>) {
        cover(stage(machine), name(response));
    }

    /// Notes that a reconciliation is abandoned.
    pub(super) fn covers_abandonment() {
        cover("abandoned", "abandoned");
    }
}

fn stage(machine: &Reconciliation<Object>) -> &'static str {
    match machine.state().stage {
        Stage::Initial => "initial",
        Stage::Reading(Purpose::Reread) => "reading: reread",
        Stage::Reading(Purpose::Record(_)) => "reading: record",
        Stage::Reading(Purpose::GiveUp) => "reading: give up",
        Stage::Reading(Purpose::Stale) => "reading: stale",
        Stage::Reading(Purpose::Rejected { .. }) => "reading: rejected",
        Stage::Reading(Purpose::Removal { .. }) => "reading: removal",
        Stage::ReadingNamespace => "reading the namespace",
        Stage::Observing(_) => "observing",
        Stage::Preparing(_) => "preparing",
        Stage::Reserving(_) => "reserving",
        Stage::Writing(_) => "writing",
        Stage::Publishing(_) => "publishing",
        Stage::Checking(_) => "checking",
        Stage::Changing(_) => "changing",
        Stage::Removing => "removing",
        Stage::Reporting => "reporting",
        Stage::Acquiring => "acquiring",
        Stage::Calling(_) => "calling",
        Stage::Ended => "ended",
    }
}

fn name(response: &Response<Object>) -> &'static str {
    match response {
        Response::Start(_) => "start",
        Response::Observed(_) => "observed",
        Response::Read(Ok(Some(_))) => "a version",
        Response::Read(Ok(None)) => "gone",
        Response::Read(Err(_)) => "unavailable",
        Response::Namespace { .. } => "namespace",
        Response::Prepared => "prepared",
        Response::NotPrepared(_) => "not prepared",
        Response::TimedOut => "timed out",
        Response::Reserved { claimed: false } => "free",
        Response::Reserved { claimed: true } => "taken",
        Response::Written(_) => "written",
        Response::Removed => "removed",
        Response::Rejected(Rejection::Conflict) => "conflict",
        Response::Rejected(Rejection::NotFound) => "not found",
        Response::Rejected(Rejection::NotLeader) => "not leader",
        Response::Rejected(Rejection::Denied) => "denied",
        Response::Rejected(Rejection::Refused) => "refused",
        Response::Unanswered { .. } => "unanswered",
        Response::Turn(_) => "turn",
        Response::Published => "published",
        Response::Called(_) => "called",
    }
}
