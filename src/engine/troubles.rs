//! What a call that brought nothing means: how it is called, and when it is tried again.

use std::time::Duration;

use jiff::Timestamp;

use super::pace;
use crate::api::Reason;
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
        TroubleKind::Unreachable | TroubleKind::Throttled | TroubleKind::ServiceError | TroubleKind::InvalidAnswer => Grade::Transient,
        TroubleKind::CredentialsRefused
        | TroubleKind::AssertionRefused
        | TroubleKind::AccessDenied
        | TroubleKind::NotFound
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
        TroubleKind::Paused => Reason::ServerPaused,
        TroubleKind::ScaleOutOff => Reason::ScaleOutOff,
        TroubleKind::QuotaExceeded => Reason::QuotaExceeded,
    }
}

/// How long to stay away after the `count`th trouble in a row.
#[must_use]
pub(super) fn pause(trouble: &Trouble, count: u32, seed: (&str, Timestamp)) -> Duration {
    let pause = match trouble.kind {
        TroubleKind::Unreachable
        | TroubleKind::Throttled
        | TroubleKind::ServiceError
        | TroubleKind::InvalidAnswer
        | TroubleKind::Rejected => pace::retry(count, seed),
        // The Secret may have been changed. A look at it costs no call: the same credentials are not tried again at once.
        TroubleKind::CredentialsRefused | TroubleKind::AssertionRefused | TroubleKind::AccessDenied => pace::CLUSTER,
        TroubleKind::NotFound | TroubleKind::Paused | TroubleKind::ScaleOutOff => pace::SERVICE,
        TroubleKind::QuotaExceeded => pace::SERVICE.saturating_mul(15),
    };
    let asked = trouble.retry_after.map(|asked| asked.min(pace::LONGEST_ABSENCE).max(Duration::from_millis(200)));
    match (asked, trouble.kind) {
        (None, _) => pause,
        // A quota is of a day, whatever a gateway in between asks for.
        (Some(asked), TroubleKind::QuotaExceeded) => asked.max(pause),
        (Some(asked), _) => asked,
    }
}
