//! One line for each change, where no block can be redrawn.

use jiff::Timestamp;

use crate::facts::{reason, state};
use crate::objects::Object;
use crate::output::shown;

/// What a resource is at, without the time: `Running 6/12`, `Failed RefreshFailed`. An equal text is no change.
#[must_use]
pub fn change_text(object: &Object) -> String {
    let (state, reason) = (state(object), reason(object));
    let progress = object.run().filter(|run| !run.state.ended()).and_then(|run| run.progress.as_ref());
    let mut words = vec![state.clone()];
    if !reason.is_empty() && reason != state {
        words.push(reason);
    }
    words.extend(progress.map(|progress| shown(&progress.summary)));
    words.join(" ")
}

/// The line for a change: `2026-11-29T22:00:04Z Running 6/12`.
#[must_use]
pub fn change_line(now: Timestamp, name: Option<&str>, text: &str) -> String {
    let time = now.strftime("%FT%TZ");
    name.map_or_else(|| format!("{time} {text}"), |name| format!("{time} {name} {text}"))
}
