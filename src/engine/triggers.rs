//! What starts a run. A trigger is due until it is handled, and it is handled by the very write that records the intent.

use super::Desired;
use crate::api::{Status, Trigger, TriggerType};

/// The trigger that is due, if any. Several at once are one run: the most deliberate one gives it its name.
#[must_use]
pub(super) fn due(desired: &Desired, recorded: &Status) -> Option<Trigger> {
    let unseen = recorded.last_handled_work.is_none();
    let requested = desired.requests.run.as_ref().filter(|value| Some(*value) != recorded.last_handled_request.as_ref());
    if let Some(value) = requested {
        return Some(Trigger { r#type: TriggerType::Request, value: value.clone() });
    }
    // On a new resource nothing has changed yet: whether it runs is `onChange`'s to say, token or not.
    if unseen {
        let value = desired.token.clone().unwrap_or_default();
        return desired.runs_on_change.then_some(Trigger { r#type: TriggerType::Creation, value });
    }
    // A token that was taken away starts nothing; `settle` forgets it, so that it counts when it comes back.
    let token = desired.token.as_ref().filter(|token| Some(*token) != recorded.last_handled_token.as_ref());
    if let Some(token) = token {
        return Some(Trigger { r#type: TriggerType::Change, value: token.clone() });
    }
    let changed = recorded.last_handled_work.as_ref() != Some(&desired.work.digest);
    (changed && desired.runs_on_change).then(|| Trigger { r#type: TriggerType::Change, value: String::new() })
}

/// Records that everything that is asked for now has been handled: by a run that begins, or because it starts nothing.
pub(super) fn settle(desired: &Desired, record: &mut Status) {
    record.last_handled_work = Some(desired.work.digest.clone());
    record.last_handled_token.clone_from(&desired.token);
    // The value stays when the annotation goes: a drift correction that puts it back must start nothing.
    if let Some(value) = &desired.requests.run {
        record.last_handled_request = Some(value.clone());
    }
    record.queued = None;
}
