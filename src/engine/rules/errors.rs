//! The meaning of a failed call: its reason, and when it is retried.

use std::time::Duration;

use jiff::Timestamp;

use crate::api::Reason;
use crate::engine::timing;
use crate::operation::{Trouble, TroubleKind};

/// The three grades of errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ErrorClass {
    /// It passes without action: retried soon.
    Transient,
    /// A user must act outside the spec: retried slowly, and Stalled.
    ActionRequired,
    /// The request itself is wrong.
    Permanent,
}

/// The grade of an error.
#[must_use]
pub(super) fn class(kind: TroubleKind) -> ErrorClass {
    match kind {
        TroubleKind::Unreachable
        | TroubleKind::Throttled
        | TroubleKind::CapacityExceeded
        | TroubleKind::ServiceError
        | TroubleKind::InvalidAnswer => ErrorClass::Transient,
        TroubleKind::CredentialsRefused
        | TroubleKind::AssertionRefused
        | TroubleKind::AccessDenied
        | TroubleKind::NotFound
        | TroubleKind::OwnerNotFound
        | TroubleKind::Paused
        | TroubleKind::ScaleOutOff
        | TroubleKind::QuotaExceeded => ErrorClass::ActionRequired,
        TroubleKind::Rejected => ErrorClass::Permanent,
    }
}

/// The reason that an error is shown as.
#[must_use]
pub(super) fn reason(kind: TroubleKind) -> Reason {
    match kind {
        TroubleKind::Unreachable
        | TroubleKind::Throttled
        | TroubleKind::ServiceError
        | TroubleKind::InvalidAnswer
        // A poll or a list that is rejected as invalid shows nothing about the operation.
        | TroubleKind::Rejected => Reason::Retrying,
        TroubleKind::CredentialsRefused => Reason::CredentialsRefused,
        TroubleKind::AssertionRefused => Reason::ServiceAccountForbidden,
        TroubleKind::AccessDenied => Reason::AccessDenied,
        TroubleKind::NotFound => Reason::ModelNotFound,
        TroubleKind::OwnerNotFound => Reason::OwnerNotFound,
        TroubleKind::CapacityExceeded => Reason::CapacityExceeded,
        TroubleKind::Paused => Reason::ServerPaused,
        TroubleKind::ScaleOutOff => Reason::ScaleOutOff,
        TroubleKind::QuotaExceeded => Reason::QuotaExceeded,
    }
}

/// Whether the error passes without action: then the wait that it starts counts toward `waitDeadlineSeconds`.
#[must_use]
pub(super) fn is_temporary(kind: TroubleKind) -> bool {
    class(kind) == ErrorClass::Transient || kind == TroubleKind::QuotaExceeded
}

/// What a run waits for after a refusal.
#[must_use]
pub(super) fn awaited(kind: TroubleKind) -> &'static str {
    match kind {
        TroubleKind::CapacityExceeded => "a capacity that is within its limits",
        TroubleKind::QuotaExceeded => "the model's quota of refreshes",
        TroubleKind::CredentialsRefused
        | TroubleKind::AssertionRefused
        | TroubleKind::AccessDenied
        | TroubleKind::NotFound
        | TroubleKind::OwnerNotFound
        | TroubleKind::Paused
        | TroubleKind::ScaleOutOff => "a submission that the service accepts",
        TroubleKind::Unreachable
        | TroubleKind::Throttled
        | TroubleKind::ServiceError
        | TroubleKind::InvalidAnswer
        | TroubleKind::Rejected => "a response from the service",
    }
}

/// Whether an error usually passes within seconds.
fn is_short(kind: TroubleKind) -> bool {
    class(kind) != ErrorClass::ActionRequired && kind != TroubleKind::CapacityExceeded
}

/// Whether an error that is already recorded with this message is worth another write: a throttle that ends at another time is.
#[must_use]
pub(super) fn has_new_end(trouble: &Trouble, recorded: &str) -> bool {
    trouble.kind == TroubleKind::Throttled && trouble.retry_after.is_some() && !recorded.contains(&trouble.message)
}

/// Errors in a row before a running operation reports them: a single lost response is not worth a write.
pub(super) const REPORTED_AFTER: u32 = 3;

/// Whether a transient error is worth a write: it is repeated, or the service requested a long backoff.
#[must_use]
pub(super) fn is_persistent(trouble: &Trouble, count: u32) -> bool {
    count >= REPORTED_AFTER
        || trouble.kind == TroubleKind::Throttled && trouble.retry_after.is_some_and(|asked| asked >= timing::CANCEL_RESEND)
}

/// The delay after the `count`th error in a row, of which `refusals` were refused submissions.
#[must_use]
pub(super) fn delay(trouble: &Trouble, (count, refusals): (u32, u32), seed: (&str, Timestamp)) -> Duration {
    let delay = match trouble.kind {
        TroubleKind::Unreachable
        | TroubleKind::Throttled
        | TroubleKind::ServiceError
        | TroubleKind::InvalidAnswer
        | TroubleKind::Rejected => timing::retry_delay(count, seed),
        // The Secret may have changed. A check of it costs no call, because the same credentials are not tried again immediately.
        TroubleKind::CredentialsRefused | TroubleKind::AssertionRefused | TroubleKind::AccessDenied => {
            timing::refusal_delay(timing::CLUSTER_RECHECK, refusals, seed)
        }
        TroubleKind::CapacityExceeded
        | TroubleKind::NotFound
        | TroubleKind::OwnerNotFound
        | TroubleKind::Paused
        | TroubleKind::ScaleOutOff => timing::refusal_delay(timing::SERVICE_RECHECK, refusals, seed),
        // A quota lasts a day, whatever backoff a gateway requests.
        TroubleKind::QuotaExceeded => timing::MAX_REFUSAL_DELAY,
    };
    let asked = trouble.retry_after.map(|asked| asked.min(timing::MAX_RETRY_AFTER).max(Duration::from_millis(200)));
    match asked {
        None => delay,
        Some(asked) if is_short(trouble.kind) => asked,
        // It takes at least minutes, whatever backoff a gateway requests.
        Some(asked) => asked.max(delay),
    }
}
