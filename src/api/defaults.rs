//! Defaults that both kinds share.

/// 24 hours, in seconds.
pub(super) fn day() -> i32 {
    86_400
}

/// Default number of ended runs in the history.
pub(super) fn ten() -> i32 {
    10
}
