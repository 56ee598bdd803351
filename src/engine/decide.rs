//! The decision itself, from top to bottom.

use std::sync::Arc;
use std::time::Duration;

use super::conditions::Standing;
use super::pass::Pass;
use super::{
    Effect, Seen, Situation, Step, cancellation, decisions, deletion, followed, following, pace, restoration, scheduled, submission,
    triggers, waiting,
};
use crate::api::{DeletionPolicy, Run, RunState};
use crate::operation::{OperationKind, Submission};

/// Decides what to record and what to do next.
///
/// The caller writes [`Step::recorded`] with the resource version of the status that it gave, before it performs
/// [`Step::effect`]; if that write is refused, the view was stale and the whole step is void. What the effect brought
/// goes into the next decision as [`Situation::seen`].
///
/// 1. A resource that is being deleted starts nothing more, and keeps its finalizer until nothing of it runs.
/// 2. A run under way is followed by what its own record says, whatever the spec says meanwhile.
/// 3. Only where no run is under way is a trigger looked at, and not by an operator that is about to be uninstalled.
#[must_use]
pub fn decide(situation: &Situation<'_>) -> Step {
    let mut step = decisions::wake(situation, choose(situation));
    let under_way = step.recorded.run.as_ref().filter(|run| restoration::may_run(run));
    // Most passes change nothing of the run: they share it.
    let same = |run: &Run| situation.scratch.under_way.as_ref().filter(|known| ***known == *run).cloned();
    step.scratch.under_way = under_way.map(|run| same(run).unwrap_or_else(|| Arc::new(run.clone())));
    step
}

fn choose(situation: &Situation<'_>) -> Step {
    let mut pass = Pass::new(situation);
    let is_ours = !pass.deleting() || situation.desired.finalizer;
    let accepted = matches!(situation.seen, Seen::Submission(Submission::Accepted { .. }));
    let restored = is_ours && (restoration::put_back(&mut pass) || !accepted && restoration::restore(&mut pass));
    if accepted {
        restoration::heed_acceptance(&mut pass);
    } else if restored {
        return pass.stop(Effect::Nothing, Some(Duration::ZERO));
    }
    if pass.deleting() {
        return deletion::decide(pass);
    }
    if situation.seen == Seen::Nothing
        && !pass.leaves_metadata()
        && let Some(annotation) = decisions::leftover(&mut pass)
    {
        return pass.keep(Effect::RemoveAnnotation(annotation), None);
    }
    scheduled::look(&mut pass);
    let under_way = pass.record.run.as_ref().is_some_and(|run| !run.state.ended());
    // What was taken off before an uninstall is put on again by whoever submits.
    let may_go = situation.desired.policy.deletion == DeletionPolicy::Orphan
        || situation.recorded.run.as_ref().is_some_and(|run| run.state == RunState::Waiting);
    let needless = situation.desired.leaving.is_some() && may_go;
    if under_way && !situation.desired.finalizer && situation.seen == Seen::Nothing && !needless && !pass.leaves_metadata() {
        // Somebody has replaced the object whole, and the finalizer with it.
        return pass.keep(Effect::AddFinalizer, None);
    }
    let reported = followed::look(&mut pass);
    if under_way && reported {
        let step = following::keep_record(pass);
        return scheduled::wake(situation.desired, situation.now, step);
    }
    if under_way && cancellation::is_asked(&pass) {
        return scheduled::wake(situation.desired, situation.now, cancellation::heed(pass));
    }
    let step = match pass.record.run.as_ref().map(|run| run.state) {
        // Whoever comes next begins it.
        None | Some(RunState::Succeeded | RunState::Failed | RunState::TimedOut | RunState::Cancelled | RunState::Newer(_))
            if situation.desired.leaving.is_some() =>
        {
            return pass.leave();
        }
        None | Some(RunState::Succeeded | RunState::Failed | RunState::TimedOut | RunState::Cancelled | RunState::Newer(_)) => {
            idle(pass, reported)
        }
        Some(RunState::Waiting) => waiting::decide(pass),
        Some(RunState::Submitting) => submission::decide(pass),
        Some(RunState::Running) => following::running(pass),
        Some(RunState::Cancelling) => following::cancelling(pass),
    };
    let step = following::wake(situation.desired, situation.now, step);
    scheduled::wake(situation.desired, situation.now, step)
}

/// No run is under way: is one due?
fn idle(mut pass: Pass<'_>, reported: bool) -> Step {
    let desired = pass.desired;
    // A line for each, since all are said.
    let said = followed::say_missed(&mut pass) || reported;
    let said = scheduled::skip_late(&mut pass) || said;
    let said = triggers::withdraw(&mut pass) || said;
    let said = cancellation::too_late(&mut pass) || said;
    let due = triggers::next(desired, &pass.record, pass.now);
    let standing = Standing::hindering(desired, due.as_ref());
    if due.is_none() && !matches!(standing, Some(Standing::Stalled { .. })) {
        triggers::settle(desired, &mut pass.record);
    }
    if let Some(standing) = standing {
        // What waits for anything but a change of the spec is accepted.
        if !matches!(standing, Standing::Stalled { for_good: true, .. }) {
            triggers::accept(desired, &mut pass.record, pass.now);
        }
        let again = standing.passes_by_itself().then(|| pace::cluster(pass.hindered_for()));
        pass.stand(standing);
        return pass.stop(Effect::Nothing, again);
    }
    let Some(trigger) = due else {
        return pass.stop(Effect::Nothing, None);
    };
    if said {
        // It is on record before anything else goes on, so that it is said once.
        pass.stand(Standing::next(desired, &pass.record, &trigger));
        return pass.stop(Effect::Nothing, Some(Duration::ZERO));
    }
    match pass.situation.seen {
        Seen::Nothing | Seen::Resolved(_) | Seen::Turn(_) | Seen::Trouble(_) | Seen::Fault(_) => {}
        // What this run asked before anything of it was recorded.
        Seen::Listing { kind: OperationKind::Refresh, .. } if !pass.kind().offers().refused_during_refresh => {}
        // The answer to a question of a run that is over: it says nothing about the next.
        Seen::Submission(_) | Seen::Look(_) | Seen::Listing { .. } | Seen::Cancellation(_) | Seen::Presence(_) => {
            return pass.keep(Effect::Nothing, Some(Duration::ZERO));
        }
    }
    waiting::begin(&mut pass, trigger);
    waiting::decide(pass)
}
