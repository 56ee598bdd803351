//! Defaults that both kinds have.

/// 24 hours, in seconds.
pub(super) fn day() -> i32 {
    86_400
}

/// Ten ended runs.
pub(super) fn ten() -> i32 {
    10
}
