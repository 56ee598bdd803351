//! No run is in progress: whether one is due, and what blocks it.

use std::time::Duration;

use super::{cancel_request, restoration, schedule, triggers, upstream};
use crate::api::{Reason, Run, RunState, Time, Trigger};
use crate::engine::conditions::ConditionOverride;
use crate::engine::draft::Draft;
use crate::engine::next::Next;
use crate::engine::{DecisionMemory, Effect, EffectResult, timing};
use crate::operation::OperationKind;

/// Decides whether a run is due while none is in progress.
pub(in crate::engine) fn decide(draft: &mut Draft<'_>, reported: bool) -> Next {
    let desired = draft.desired;
    // On separate lines, so that each is evaluated and reports its events.
    let reported = upstream::report_missed(draft) || reported;
    let reported = schedule::skip_late(draft) || reported;
    let reported = triggers::withdraw(draft) || reported;
    let reported = cancel_request::ignore_stale_request(draft) || reported;
    let due = triggers::next(desired, &draft.status, draft.now);
    let condition_override = ConditionOverride::blocking(desired, due.as_ref());
    if due.is_none() && !matches!(condition_override, Some(ConditionOverride::Stalled { .. })) {
        triggers::mark_handled(desired, &mut draft.status);
    }
    if let Some(condition_override) = condition_override {
        // A trigger that is blocked by anything other than the spec is accepted.
        if !matches!(condition_override, ConditionOverride::Stalled { permanent: true, .. }) {
            triggers::accept(desired, &mut draft.status, draft.now);
        }
        let again = condition_override.is_rechecked().then(|| timing::cluster_recheck(draft.blocked_for()));
        draft.override_conditions(condition_override);
        return Next::record(Effect::None, again);
    }
    let Some(trigger) = due else {
        return Next::record(Effect::None, None);
    };
    if reported {
        // Recorded before anything else, so that it is reported once.
        draft.override_conditions(ConditionOverride::starting(desired, &draft.status, &trigger));
        return Next::record(Effect::None, Some(Duration::ZERO));
    }
    match draft.input.effect_result {
        EffectResult::None
        | EffectResult::ModelResolved(_)
        | EffectResult::Turn(_)
        | EffectResult::CallFailed(_)
        | EffectResult::Blocked(_) => {}
        // The list that this run requested before its first record.
        EffectResult::Listed { kind: OperationKind::Refresh, .. } if !draft.kind().capabilities().refused_during_refresh => {}
        // A response to a request of the previous run. It does not apply to the next one.
        EffectResult::Submitted(_)
        | EffectResult::Polled(_)
        | EffectResult::Listed { .. }
        | EffectResult::CancelRequested(_)
        | EffectResult::ModelChecked(_) => {
            return Next::unchanged(Effect::None, Some(Duration::ZERO));
        }
    }
    start_run(draft, trigger);
    Next::ApplyWaitingRules
}

/// Starts a run in the working copy. It is written when it must wait, or with its intent.
fn start_run(draft: &mut Draft<'_>, trigger: Trigger) {
    let number = restoration::latest(&draft.status).saturating_add(1);
    let before = draft.status.run.take();
    let excluded_operation_ids = before.as_ref().map(|run| run.excluded_operation_ids.clone()).unwrap_or_default();
    let previous_operation_ids = before.map(Run::into_operations).unwrap_or_default();
    triggers::mark_started(draft.desired, &mut draft.status, &trigger);
    let mut run = Run {
        number,
        trigger,
        attempt: 1,
        resubmissions: 0,
        state: RunState::Waiting,
        model: draft.desired.operation.model.clone(),
        resolved_from: None,
        request_digest: draft.desired.operation.digest.clone(),
        operation_id: None,
        location: None,
        service_state: None,
        previous_operation_ids,
        excluded_operation_ids,
        requested_time: Time::from(draft.now),
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
        details_url: None,
        reason: String::new(),
        message: String::new(),
    };
    run.set_state(RunState::Waiting, Reason::Submitting, "about to be submitted");
    draft.status.run = Some(run);
    // The resolved ids for this run are not recorded yet, so they are kept.
    draft.memory = DecisionMemory { resolved: draft.memory.resolved.take(), ..DecisionMemory::default() };
}
