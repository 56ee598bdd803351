//! The meaning of a failed call: its reason, and when it is retried.

use std::time::Duration;

use jiff::Timestamp;

use crate::api::Reason;
use crate::engine::draft::Draft;
use crate::engine::timing;
use crate::operation::{ServiceError, ServiceErrorKind};

/// The three classes of errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ErrorClass {
    /// It passes without action: retried soon.
    Transient,
    /// A user must act outside the spec: retried slowly, and Stalled.
    ActionRequired,
    /// The request itself is wrong.
    Permanent,
}

/// The class of an error.
#[must_use]
pub(super) fn class(kind: ServiceErrorKind) -> ErrorClass {
    match kind {
        ServiceErrorKind::Unreachable
        | ServiceErrorKind::Throttled
        | ServiceErrorKind::CapacityExceeded
        | ServiceErrorKind::ServerError
        | ServiceErrorKind::InvalidResponse => ErrorClass::Transient,
        ServiceErrorKind::CredentialsRefused
        | ServiceErrorKind::AssertionRefused
        | ServiceErrorKind::AccessDenied
        | ServiceErrorKind::NotFound
        | ServiceErrorKind::OwnerNotFound
        | ServiceErrorKind::Paused
        | ServiceErrorKind::ScaleOutDisabled
        | ServiceErrorKind::QuotaExceeded => ErrorClass::ActionRequired,
        ServiceErrorKind::Rejected => ErrorClass::Permanent,
    }
}

/// The reason that an error is shown as.
#[must_use]
pub(in crate::engine) fn reason(kind: ServiceErrorKind) -> Reason {
    match kind {
        ServiceErrorKind::Unreachable
        | ServiceErrorKind::Throttled
        | ServiceErrorKind::ServerError
        | ServiceErrorKind::InvalidResponse
        // A poll or a list that is rejected as invalid shows nothing about the operation.
        | ServiceErrorKind::Rejected => Reason::Retrying,
        ServiceErrorKind::CredentialsRefused => Reason::CredentialsRefused,
        ServiceErrorKind::AssertionRefused => Reason::ServiceAccountForbidden,
        ServiceErrorKind::AccessDenied => Reason::AccessDenied,
        ServiceErrorKind::NotFound => Reason::ModelNotFound,
        ServiceErrorKind::OwnerNotFound => Reason::OwnerNotFound,
        ServiceErrorKind::CapacityExceeded => Reason::CapacityExceeded,
        ServiceErrorKind::Paused => Reason::ServerPaused,
        ServiceErrorKind::ScaleOutDisabled => Reason::ScaleOutDisabled,
        ServiceErrorKind::QuotaExceeded => Reason::QuotaExceeded,
    }
}

/// Whether the error passes without action: then the wait that it starts counts toward `waitDeadlineSeconds`.
#[must_use]
pub(super) fn is_temporary(kind: ServiceErrorKind) -> bool {
    class(kind) == ErrorClass::Transient || kind == ServiceErrorKind::QuotaExceeded
}

/// What a run waits for after a refusal.
#[must_use]
pub(super) fn awaited(kind: ServiceErrorKind) -> &'static str {
    match kind {
        ServiceErrorKind::CapacityExceeded => "a capacity that is within its limits",
        ServiceErrorKind::QuotaExceeded => "the model's quota of refreshes",
        ServiceErrorKind::CredentialsRefused
        | ServiceErrorKind::AssertionRefused
        | ServiceErrorKind::AccessDenied
        | ServiceErrorKind::NotFound
        | ServiceErrorKind::OwnerNotFound
        | ServiceErrorKind::Paused
        | ServiceErrorKind::ScaleOutDisabled => "a submission that the service accepts",
        ServiceErrorKind::Unreachable
        | ServiceErrorKind::Throttled
        | ServiceErrorKind::ServerError
        | ServiceErrorKind::InvalidResponse
        | ServiceErrorKind::Rejected => "a response from the service",
    }
}

/// Whether an error usually passes within seconds.
fn is_short(kind: ServiceErrorKind) -> bool {
    class(kind) != ErrorClass::ActionRequired && kind != ServiceErrorKind::CapacityExceeded
}

/// Whether an error that is already recorded with this message is worth another write: a throttle that ends at another time is.
#[must_use]
pub(super) fn has_new_end(error: &ServiceError, recorded: &str) -> bool {
    error.kind == ServiceErrorKind::Throttled && error.retry_after.is_some() && !recorded.contains(&error.message)
}

/// Errors in a row before a running operation reports them: a single lost response is not worth a write.
pub(super) const REPORTED_AFTER: u32 = 3;
/// With so many errors in a row, the next one is reported.
pub(super) const NEXT_IS_REPORTED: u32 = REPORTED_AFTER - 1;

/// Whether a transient error is worth a write: it is repeated, or the service requested a long backoff.
#[must_use]
pub(super) fn is_persistent(error: &ServiceError, count: u32) -> bool {
    count >= REPORTED_AFTER
        || error.kind == ServiceErrorKind::Throttled && error.retry_after.is_some_and(|delay| delay >= timing::CANCEL_RESEND)
}

/// A delay before the next check, at least as long as for any fault that a user must fix: each check may cost a read of a Secret.
pub(super) fn at_least_recheck(draft: &Draft<'_>, kind: ServiceErrorKind, delay: Duration) -> Duration {
    if class(kind) == ErrorClass::ActionRequired { delay.max(timing::cluster_recheck(draft.blocked_for())) } else { delay }
}

/// The delay after the `count`th error in a row, of which `refusals` were refused submissions.
#[must_use]
pub(super) fn delay(error: &ServiceError, (count, refusals): (u32, u32), seed: (&str, Timestamp)) -> Duration {
    let delay = match error.kind {
        ServiceErrorKind::Unreachable
        | ServiceErrorKind::Throttled
        | ServiceErrorKind::ServerError
        | ServiceErrorKind::InvalidResponse
        | ServiceErrorKind::Rejected => timing::retry_delay(count, seed),
        // The Secret may have changed. A check of it costs no call, because the same credentials are not tried again immediately.
        ServiceErrorKind::CredentialsRefused | ServiceErrorKind::AssertionRefused | ServiceErrorKind::AccessDenied => {
            timing::refusal_delay(timing::CLUSTER_RECHECK, refusals, seed)
        }
        ServiceErrorKind::CapacityExceeded
        | ServiceErrorKind::NotFound
        | ServiceErrorKind::OwnerNotFound
        | ServiceErrorKind::Paused
        | ServiceErrorKind::ScaleOutDisabled => timing::refusal_delay(timing::SERVICE_RECHECK, refusals, seed),
        // A quota lasts a day, whatever backoff a gateway requests.
        ServiceErrorKind::QuotaExceeded => timing::MAX_REFUSAL_DELAY,
    };
    let requested = error.retry_after.map(|delay| delay.min(timing::MAX_RETRY_AFTER).max(Duration::from_millis(200)));
    match requested {
        None => delay,
        Some(requested) if is_short(error.kind) => requested,
        // It takes at least minutes, whatever backoff a gateway requests.
        Some(requested) => requested.max(delay),
    }
}
