//! No run is in progress: whether one is due, and what blocks it.

use std::time::Duration;

use super::{cancel_request, restoration, schedule, triggers, upstream};
use crate::api::{Reason, Run, RunState, Time, Trigger};
use crate::engine::conditions::Standing;
use crate::engine::draft::Pass;
use crate::engine::next::Next;
use crate::engine::{Effect, Scratch, Seen, timing};
use crate::operation::OperationKind;

/// Decides whether a run is due while none is in progress.
pub(in crate::engine) fn decide(pass: &mut Pass<'_>, reported: bool) -> Next {
    let desired = pass.desired;
    // On separate lines, so that each is evaluated and reports its events.
    let said = upstream::say_missed(pass) || reported;
    let said = schedule::skip_late(pass) || said;
    let said = triggers::withdraw(pass) || said;
    let said = cancel_request::too_late(pass) || said;
    let due = triggers::next(desired, &pass.record, pass.now);
    let standing = Standing::hindering(desired, due.as_ref());
    if due.is_none() && !matches!(standing, Some(Standing::Stalled { .. })) {
        triggers::settle(desired, &mut pass.record);
    }
    if let Some(standing) = standing {
        // A trigger that is blocked by anything other than the spec is accepted.
        if !matches!(standing, Standing::Stalled { for_good: true, .. }) {
            triggers::accept(desired, &mut pass.record, pass.now);
        }
        let again = standing.passes_by_itself().then(|| timing::cluster(pass.hindered_for()));
        pass.stand(standing);
        return Next::record(Effect::Nothing, again);
    }
    let Some(trigger) = due else {
        return Next::record(Effect::Nothing, None);
    };
    if said {
        // Recorded before anything else, so that it is reported once.
        pass.stand(Standing::next(desired, &pass.record, &trigger));
        return Next::record(Effect::Nothing, Some(Duration::ZERO));
    }
    match pass.situation.seen {
        Seen::Nothing | Seen::Resolved(_) | Seen::Turn(_) | Seen::Trouble(_) | Seen::Fault(_) => {}
        // The list that this run requested before its first record.
        Seen::Listing { kind: OperationKind::Refresh, .. } if !pass.kind().offers().refused_during_refresh => {}
        // A response to a request of the previous run. It does not apply to the next one.
        Seen::Submission(_) | Seen::Look(_) | Seen::Listing { .. } | Seen::Cancellation(_) | Seen::Presence(_) => {
            return Next::keep(Effect::Nothing, Some(Duration::ZERO));
        }
    }
    begin(pass, trigger);
    Next::Wait
}

/// Starts a run in the working copy. It is written when it must wait, or with its intent.
fn begin(pass: &mut Pass<'_>, trigger: Trigger) {
    let number = restoration::latest(&pass.record).saturating_add(1);
    let before = pass.record.run.take();
    let ruled_out_operation_ids = before.as_ref().map(|run| run.ruled_out_operation_ids.clone()).unwrap_or_default();
    let earlier_operation_ids = before.map(Run::into_operations).unwrap_or_default();
    triggers::take(pass.desired, &mut pass.record, &trigger);
    let mut run = Run {
        number,
        trigger,
        attempt: 1,
        resubmissions: 0,
        state: RunState::Waiting,
        model: pass.desired.work.model.clone(),
        looked_up: None,
        work: pass.desired.work.digest.clone(),
        operation_id: None,
        location: None,
        service_state: None,
        earlier_operation_ids,
        ruled_out_operation_ids,
        requested_time: Time::from(pass.now),
        waiting_since_time: None,
        next_attempt_time: None,
        submitted_time: None,
        started_time: None,
        ended_time: None,
        recorded_time: None,
        duration: None,
        cancel_cause: None,
        waiting_for: None,
        progress: None,
        failed_objects: Vec::new(),
        messages: Vec::new(),
        candidates: Vec::new(),
        activity_id: None,
        reason: String::new(),
        message: String::new(),
    };
    run.tell(RunState::Waiting, Reason::Submitting, "about to be submitted");
    pass.record.run = Some(run);
    // The resolved ids for this run are not recorded yet, so they are kept.
    pass.scratch = Scratch { resolved: pass.scratch.resolved.take(), ..Scratch::default() };
}
