//! One call, as metrics, logs and traces record it.

use std::time::Duration;

/// One HTTP exchange. Every text in it but the host is one of a few, so that it can label a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallRecord<'a> {
    /// `POST refreshes`, `GET refresh`, `GET refreshes` or `DELETE refresh`; `POST sync`, `GET sync` (one) or `GET syncs`
    /// (what there is); `GET names`; or `token of` and an identity.
    pub route: &'static str,
    /// `analysis-services`, `power-bi` or `identity`.
    pub host_kind: &'static str,
    /// The host that was called.
    pub host: &'a str,
    /// The HTTP status; `None` where no answer came.
    pub status: Option<u16>,
    /// Why there is no answer, or not all of one.
    pub fault: Option<CallFault>,
    /// From before the request until the last byte of the answer that was read.
    pub duration: Duration,
}

/// Why there is no answer to a call, or not all of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallFault {
    /// It had not come by the deadline.
    Timeout,
    /// No connection, or a broken one.
    Connection,
    /// It is larger than anything that is read.
    TooLarge,
    /// It is compressed, though it was asked not to be.
    Compressed,
}

impl CallFault {
    /// In a word or two.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Connection => "connection",
            Self::TooLarge => "answer too large",
            Self::Compressed => "answer compressed",
        }
    }
}
