//! The record of one call, for metrics, logs and traces.

use std::time::Duration;

/// One HTTP exchange. Every text except the host has a closed set of values, so that it can label a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallRecord<'a> {
    /// `POST refreshes`, `GET refresh`, `GET refreshes` or `DELETE refresh`; `POST sync`, `GET sync` (one) or `GET syncs` (the list); `GET
    /// names`; or `token of` and an identity.
    pub route: &'static str,
    /// `analysis-services`, `power-bi` or `identity`.
    pub host_kind: &'static str,
    /// The called host.
    pub host: &'a str,
    /// The HTTP status code; `None` without a response.
    pub status: Option<u16>,
    /// Why the response is missing or incomplete.
    pub fault: Option<CallFault>,
    /// Time from before the request until the last byte of the response that was read.
    pub duration: Duration,
}

/// Why a response is missing or incomplete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallFault {
    /// It did not arrive before the deadline.
    Timeout,
    /// No connection, or a broken one.
    Connection,
    /// It exceeds the size limit.
    TooLarge,
    /// It is compressed, although the request excluded that.
    Compressed,
}

impl CallFault {
    /// A short text for logs and traces.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Connection => "connection",
            Self::TooLarge => "response too large",
            Self::Compressed => "response compressed",
        }
    }
}
