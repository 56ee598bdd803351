//! What a call that brought nothing means: how it is called, and when it is tried again.

use std::time::Duration;

use jiff::Timestamp;

use crate::api::Reason;
use crate::engine::pace;
use crate::operation::{Trouble, TroubleKind};

/// The three grades of trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Grade {
    /// It passes by itself: tried again soon.
    Transient,
    /// Somebody has to act, outside the spec: tried again slowly, and visibly stalled.
    Blocked,
    /// The request itself is wrong.
    Rejected,
}

/// The grade of a trouble.
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

/// The reason that a trouble is shown as.
#[must_use]
pub(super) fn reason(kind: TroubleKind) -> Reason {
    match kind {
        TroubleKind::Unreachable
        | TroubleKind::Throttled
        | TroubleKind::ServiceError
        | TroubleKind::InvalidAnswer
        // A look or a listing that is refused as wrong says nothing about the operation.
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

/// Whether the wait that a refused call begins has an end though nobody acts: it counts toward `waitDeadlineSeconds`.
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

/// Whether a trouble usually passes within seconds.
fn is_brief(kind: TroubleKind) -> bool {
    grade(kind) != Grade::Blocked && kind != TroubleKind::CapacityExceeded
}

/// Whether a trouble that is on record already, with this message, is worth another write: a throttle that ends at another time is.
#[must_use]
pub(super) fn is_news(trouble: &Trouble, recorded: &str) -> bool {
    trouble.kind == TroubleKind::Throttled && trouble.retry_after.is_some() && !recorded.contains(&trouble.message)
}

/// Troubles in a row before a run that goes on says so: a single lost answer is not worth a write.
pub(super) const SHOWN: u32 = 3;

/// Whether a trouble that passes by itself is worth a write: it is not the first, or the service says that it takes a while.
#[must_use]
pub(super) fn lasts(trouble: &Trouble, count: u32) -> bool {
    count >= SHOWN || trouble.kind == TroubleKind::Throttled && trouble.retry_after.is_some_and(|asked| asked >= pace::CANCEL_AGAIN)
}

/// How long to stay away after the `count`th trouble in a row, of which the service refused `refusals` submissions.
#[must_use]
pub(super) fn pause(trouble: &Trouble, (count, refusals): (u32, u32), seed: (&str, Timestamp)) -> Duration {
    let pause = match trouble.kind {
        TroubleKind::Unreachable
        | TroubleKind::Throttled
        | TroubleKind::ServiceError
        | TroubleKind::InvalidAnswer
        | TroubleKind::Rejected => pace::retry(count, seed),
        // The Secret may have been changed. A look at it costs no call: the same credentials are not tried again at once.
        TroubleKind::CredentialsRefused | TroubleKind::AssertionRefused | TroubleKind::AccessDenied => {
            pace::refused(pace::CLUSTER, refusals, seed)
        }
        TroubleKind::CapacityExceeded
        | TroubleKind::NotFound
        | TroubleKind::OwnerNotFound
        | TroubleKind::Paused
        | TroubleKind::ScaleOutOff => pace::refused(pace::SERVICE, refusals, seed),
        // A quota is of a day, whatever a gateway in between asks for.
        TroubleKind::QuotaExceeded => pace::LONGEST_REFUSED,
    };
    let asked = trouble.retry_after.map(|asked| asked.min(pace::LONGEST_ABSENCE).max(Duration::from_millis(200)));
    match asked {
        None => pause,
        Some(asked) if is_brief(trouble.kind) => asked,
        // It takes minutes at least, whatever a gateway in between asks for.
        Some(asked) => asked.max(pause),
    }
}
