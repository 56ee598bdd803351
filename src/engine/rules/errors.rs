//! The meaning of a failed call: its reason, and when it is retried.

use std::time::Duration;

use jiff::Timestamp;

use crate::api::Reason;
use crate::engine::timing;
use crate::operation::{Trouble, TroubleKind};

/// The three grades of errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Grade {
    /// It passes without action: retried soon.
    Transient,
    /// A user must act outside the spec: retried slowly, and Stalled.
    Blocked,
    /// The request itself is wrong.
    Rejected,
}

/// The grade of an error.
#[must_use]
pub(super) fn grade(kind: TroubleKind) -> Grade {
    match kind {
        TroubleKind::Unreachable
        | TroubleKind::Throttled
        | TroubleKind::CapacityExceeded
        | TroubleKind::ServiceError
        | TroubleKind::InvalidAnswer => Grade::Transient,
        TroubleKind::CredentialsRefused
        | TroubleKind::AssertionRefused
        | TroubleKind::AccessDenied
        | TroubleKind::NotFound
        | TroubleKind::OwnerNotFound
        | TroubleKind::Paused
        | TroubleKind::ScaleOutOff
        | TroubleKind::QuotaExceeded => Grade::Blocked,
        TroubleKind::Rejected => Grade::Rejected,
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
pub(super) fn passes(kind: TroubleKind) -> bool {
    grade(kind) == Grade::Transient || kind == TroubleKind::QuotaExceeded
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
fn is_brief(kind: TroubleKind) -> bool {
    grade(kind) != Grade::Blocked && kind != TroubleKind::CapacityExceeded
}

/// Whether an error that is already recorded with this message is worth another write: a throttle that ends at another time is.
#[must_use]
pub(super) fn is_news(trouble: &Trouble, recorded: &str) -> bool {
    trouble.kind == TroubleKind::Throttled && trouble.retry_after.is_some() && !recorded.contains(&trouble.message)
}

/// Errors in a row before a running operation reports them: a single lost response is not worth a write.
pub(super) const SHOWN: u32 = 3;

/// Whether a transient error is worth a write: it is repeated, or the service requested a long backoff.
#[must_use]
pub(super) fn lasts(trouble: &Trouble, count: u32) -> bool {
    count >= SHOWN || trouble.kind == TroubleKind::Throttled && trouble.retry_after.is_some_and(|asked| asked >= timing::CANCEL_AGAIN)
}

/// The delay after the `count`th error in a row, of which `refusals` were refused submissions.
#[must_use]
pub(super) fn pause(trouble: &Trouble, (count, refusals): (u32, u32), seed: (&str, Timestamp)) -> Duration {
    let pause = match trouble.kind {
        TroubleKind::Unreachable
        | TroubleKind::Throttled
        | TroubleKind::ServiceError
        | TroubleKind::InvalidAnswer
        | TroubleKind::Rejected => timing::retry(count, seed),
        // The Secret may have changed. A check of it costs no call, because the same credentials are not tried again immediately.
        TroubleKind::CredentialsRefused | TroubleKind::AssertionRefused | TroubleKind::AccessDenied => {
            timing::refused(timing::CLUSTER, refusals, seed)
        }
        TroubleKind::CapacityExceeded
        | TroubleKind::NotFound
        | TroubleKind::OwnerNotFound
        | TroubleKind::Paused
        | TroubleKind::ScaleOutOff => timing::refused(timing::SERVICE, refusals, seed),
        // A quota lasts a day, whatever backoff a gateway requests.
        TroubleKind::QuotaExceeded => timing::LONGEST_REFUSED,
    };
    let asked = trouble.retry_after.map(|asked| asked.min(timing::LONGEST_ABSENCE).max(Duration::from_millis(200)));
    match asked {
        None => pause,
        Some(asked) if is_brief(trouble.kind) => asked,
        // It takes at least minutes, whatever backoff a gateway requests.
        Some(asked) => asked.max(pause),
    }
}
