//! Defaults that both kinds share.

/// Default deadline of a run: 24 hours, in seconds.
pub(super) fn deadline_seconds() -> i32 {
    86_400
}

/// Default number of ended runs in the history.
pub(super) fn history_limit() -> i32 {
    10
}
