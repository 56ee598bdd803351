//! The coverage: which responses the machine received at which stage, in all worlds of this process.

use std::sync::atomic::{AtomicBool, Ordering};

use tabular_operator::engine::reconcile::{DriverResponse, ReadPurpose, Reconciliation, Rejection, Stage};

use super::World;
use super::object::Object;

/// The names of the responses to a request.
const READ: [&str; 3] = ["a version", "gone", "unavailable"];
const WRITE: [&str; 7] = ["written", "conflict", "not found", "not leader", "permanent", "temporary", "unconfirmed"];

/// Each stage, with the responses that are possible there.
const PAIRS: [(&str, &[&str]); 21] = [
    ("initial", &["start"]),
    ("reading: reread", &READ),
    ("reading: record", &READ),
    ("reading: defer record", &READ),
    ("reading: stale", &READ),
    ("reading: rejected", &READ),
    ("reading: removal", &READ),
    ("reading the namespace", &["namespace"]),
    ("observing", &["observed"]),
    ("preparing", &["prepared", "not prepared", "timed out"]),
    ("reserving", &["free", "claimed"]),
    ("writing", &WRITE),
    ("publishing", &["published"]),
    ("checking", &["observed"]),
    ("changing", &WRITE),
    ("removing", &["removed", "conflict", "not found", "not leader", "permanent", "temporary", "unconfirmed"]),
    ("reporting", &["published"]),
    ("acquiring", &["turn"]),
    ("calling", &["called", "timed out"]),
    ("running a check", &["check completed"]),
    ("abandoned", &["abandoned"]),
];

/// The pairs that this world cannot show, with the reason. Unit tests of the machine cover them.
const IMPOSSIBLE: [(&str, &str); 6] = [
    ("reading: reread: gone", "the watch shows immediately that a resource was deleted"),
    ("reading: defer record: gone", "as above"),
    ("reserving: claimed", "no other resource acts between a decision and the reservation"),
    ("reading: stale: a version", "as above"),
    ("reading: stale: gone", "as above"),
    ("reading: stale: unavailable", "as above"),
];

const MAX_RESPONSES: usize = 8;
static COVERED: [AtomicBool; PAIRS.len() * MAX_RESPONSES] = [const { AtomicBool::new(false) }; PAIRS.len() * MAX_RESPONSES];

fn cover(stage: &str, response: &str) {
    let at = PAIRS.iter().position(|(name, _)| *name == stage);
    let of = at.and_then(|at| Some(at * MAX_RESPONSES + PAIRS[at].1.iter().position(|name| *name == response)?));
    if let Some(covered) = of.map(|of| &COVERED[of])
        && !covered.load(Ordering::Relaxed)
    {
        covered.store(true, Ordering::Relaxed);
    }
}

/// The number of pairs, and the names of those that were not covered.
#[must_use]
pub fn missing() -> (usize, Vec<String>) {
    let all = PAIRS.iter().enumerate().flat_map(|(at, (stage, responses))| {
        responses.iter().enumerate().map(move |(of, response)| (at * MAX_RESPONSES + of, format!("{stage}: {response}")))
    });
    let all: Vec<_> = all.filter(|(_, pair)| !IMPOSSIBLE.iter().any(|(impossible, _)| impossible == pair)).collect();
    let missing = all.iter().filter(|(at, _)| !COVERED[*at].load(Ordering::Relaxed)).map(|(_, pair)| pair.clone());
    (all.len(), missing.collect())
}

impl World {
    /// Records that the machine is about to receive a response.
    pub(super) fn cover_response(machine: &Reconciliation<Object>, response: &DriverResponse<Object>) {
        cover(stage(machine), name(response));
    }

    /// Records that a reconciliation is abandoned.
    pub(super) fn cover_abandonment() {
        cover("abandoned", "abandoned");
    }
}

fn stage(machine: &Reconciliation<Object>) -> &'static str {
    match machine.state().stage {
        Stage::Initial => "initial",
        Stage::Reading(ReadPurpose::Reread) => "reading: reread",
        Stage::Reading(ReadPurpose::Record(_)) => "reading: record",
        Stage::Reading(ReadPurpose::DeferRecord) => "reading: defer record",
        Stage::Reading(ReadPurpose::Stale) => "reading: stale",
        Stage::Reading(ReadPurpose::Rejected { .. }) => "reading: rejected",
        Stage::Reading(ReadPurpose::Removal { .. }) => "reading: removal",
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
        Stage::RunningCheck(_) => "running a check",
        Stage::Ended => "ended",
    }
}

fn name(response: &DriverResponse<Object>) -> &'static str {
    match response {
        DriverResponse::Start(_) => "start",
        DriverResponse::Observed(_) => "observed",
        DriverResponse::Read(Ok(Some(_))) => "a version",
        DriverResponse::Read(Ok(None)) => "gone",
        DriverResponse::Read(Err(_)) => "unavailable",
        DriverResponse::Namespace { .. } => "namespace",
        DriverResponse::Prepared => "prepared",
        DriverResponse::NotPrepared(_) => "not prepared",
        DriverResponse::TimedOut => "timed out",
        DriverResponse::Reserved { claimed: false } => "free",
        DriverResponse::Reserved { claimed: true } => "claimed",
        DriverResponse::Written(_) => "written",
        DriverResponse::Removed => "removed",
        DriverResponse::Rejected(Rejection::Conflict) => "conflict",
        DriverResponse::Rejected(Rejection::NotFound) => "not found",
        DriverResponse::Rejected(Rejection::NotLeader) => "not leader",
        DriverResponse::Rejected(Rejection::Permanent) => "permanent",
        DriverResponse::Rejected(Rejection::Temporary) => "temporary",
        DriverResponse::Unconfirmed { .. } => "unconfirmed",
        DriverResponse::Turn(_) => "turn",
        DriverResponse::Published => "published",
        DriverResponse::Called(_) => "called",
        DriverResponse::CheckCompleted(_) => "check completed",
    }
}

#[cfg(test)]
mod tests {
    use super::{IMPOSSIBLE, PAIRS};

    #[test]
    fn impossible_pairs_exist() {
        let pairs: Vec<String> =
            PAIRS.iter().flat_map(|(stage, responses)| responses.iter().map(move |response| format!("{stage}: {response}"))).collect();
        for (pair, _) in IMPOSSIBLE {
            assert!(pairs.iter().any(|it| it == pair), "{pair}");
        }
    }
}
