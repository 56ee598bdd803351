//! What starts a run. A trigger is due until it is handled, and it is handled by the very write that records the intent.

use jiff::Timestamp;

use super::{Desired, followed, scheduled};
use crate::api::{Status, Trigger, TriggerType};

/// The trigger that is due, if any. Several at once are one run: the most deliberate one gives it its name.
#[must_use]
pub(super) fn due(desired: &Desired, recorded: &Status, now: Timestamp) -> Option<Trigger> {
    // A resource has one of the two at most.
    let by_itself = || followed::due(desired, recorded).or_else(|| scheduled::due(desired, recorded, now));
    let unseen = recorded.last_handled_work.is_none();
    let requested = desired.requests.run.as_ref().filter(|value| Some(*value) != recorded.last_handled_request.as_ref());
    if let Some(value) = requested {
        return Some(Trigger { r#type: TriggerType::Request, value: value.clone() });
    }
    // On a new resource nothing has changed yet: whether it runs is `onChange`'s to say, token or not.
    if unseen && desired.runs_on_change {
        let value = desired.token.clone().unwrap_or_default();
        return Some(Trigger { r#type: TriggerType::Creation, value });
    }
    if unseen {
        return by_itself();
    }
    // A token that was taken away starts nothing; `settle` forgets it, so that it counts when it comes back.
    let token = desired.token.as_ref().filter(|token| Some(*token) != recorded.last_handled_token.as_ref());
    if let Some(token) = token {
        return Some(Trigger { r#type: TriggerType::Change, value: token.clone() });
    }
    let changed = recorded.last_handled_work.as_ref() != Some(&desired.work.digest) && !desired.work.model.is_empty();
    if changed && desired.runs_on_change {
        return Some(Trigger { r#type: TriggerType::Change, value: String::new() });
    }
    by_itself()
}

/// Records that a run begins for a trigger.
///
/// Each run that is followed has one of its own, and so has the clock, so they count as handled with the first record of that. What is asked for by the
/// spec or an annotation joins a run until that is submitted, and is settled then.
pub(super) fn take(desired: &Desired, record: &mut Status, trigger: &Trigger) {
    match trigger.r#type {
        TriggerType::AfterRefresh => followed::advance(desired, record),
        TriggerType::Schedule => scheduled::advance(desired, record, trigger),
        TriggerType::Creation | TriggerType::Change | TriggerType::Request => {}
    }
    record.queued = None;
}

/// Records that nothing begins for a trigger that is due, though something could have.
pub(super) fn drop(desired: &Desired, record: &mut Status, trigger: &Trigger) {
    take(desired, record, trigger);
    match trigger.r#type {
        TriggerType::AfterRefresh | TriggerType::Schedule => {}
        TriggerType::Creation | TriggerType::Change | TriggerType::Request => settle(desired, record),
    }
}

/// Records that everything that spec and annotations ask for now has been handled: by a run that begins, or because it starts
/// nothing. Runs of a followed refresh are handled one by one ([`take`]).
pub(super) fn settle(desired: &Desired, record: &mut Status) {
    if !desired.work.model.is_empty() {
        record.last_handled_work = Some(desired.work.digest.clone());
    }
    record.last_handled_token.clone_from(&desired.token);
    // The value stays when the annotation goes: a drift correction that puts it back must start nothing.
    if let Some(value) = &desired.requests.run {
        record.last_handled_request = Some(value.clone());
    }
    record.queued = None;
}
