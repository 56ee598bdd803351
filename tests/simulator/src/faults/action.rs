//! The effect of a fault on a request: the vocabulary of the control API.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::world::verbatim::Template;

/// One kind of fault. "Handled" means that the service executes the request before the fault takes effect.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Action {
    /// Responds with this status. Not handled, unless `handled` is true.
    Status {
        /// The status.
        code: u16,
        /// The body: a string unchanged, any other value as JSON.
        #[serde(default)]
        body: Option<Template>,
        /// Headers to add.
        #[serde(default)]
        headers: BTreeMap<String, String>,
        /// Whether the request is handled first. Default false.
        #[serde(default)]
        handled: bool,
    },
    /// Closes the connection; not handled.
    DropBefore {
        /// Whether other requests on an HTTP/2 connection continue: only this one's stream is reset. Default false.
        #[serde(default)]
        alone: bool,
    },
    /// Handled; then the connection is closed without a response.
    DropAfter {
        /// As for [`Self::DropBefore`].
        #[serde(default)]
        alone: bool,
    },
    /// Delays the request.
    Delay {
        /// The delay.
        millis: u64,
        /// Whether it is handled after the delay (default) or before it.
        #[serde(default = "yes")]
        before: bool,
    },
    /// Never responds.
    Hang {
        /// Whether it is handled. Default false.
        #[serde(default)]
        after: bool,
    },
    /// Holds the request until it is released. A request held before it is handled is never handled if its client disconnects.
    Hold {
        /// Whether it is held before or after it is handled.
        at: When,
    },
    /// Handled; the response's `Content-Length` is right, but the connection ends after this many bytes of the body.
    Truncate {
        /// Number of bytes sent.
        bytes: usize,
    },
    /// Handled; the body is replaced by a very long array of operations.
    Huge {
        /// Number of bytes; 0: unlimited.
        #[serde(default)]
        bytes: u64,
    },
    /// Handled; the body is replaced by a repeated piece. If `code` is set, it is not handled.
    Repeat {
        /// The status.
        #[serde(default)]
        code: Option<u16>,
        /// The text before the pieces.
        #[serde(default)]
        head: String,
        /// The piece.
        piece: String,
        /// Number of repetitions.
        count: u64,
        /// The text after the pieces.
        #[serde(default)]
        tail: String,
        /// Whether `Content-Length` is sent.
        #[serde(default)]
        announced: bool,
    },
    /// Handled; the body is compressed with gzip, regardless of `Accept-Encoding`.
    Gzip {
        /// Number of spaces before the body: they are small until decompressed. Default 0.
        #[serde(default)]
        blanks: u64,
    },
    /// Handled; adds this many headers of 1,000 characters, at most 20,000.
    ManyHeaders {
        /// Number of headers.
        count: u32,
    },
    /// Handled; the body is sent at this rate.
    Slow {
        /// Bytes per second, at least 1.
        bytes_per_second: u64,
    },
    /// Responds with an HTML page, as gateways do.
    Html {
        /// The status.
        code: u16,
        /// Whether the request is handled first. Default false.
        #[serde(default)]
        handled: bool,
    },
    /// Responds with a redirect; not handled.
    Redirect {
        /// The status, 301 to 308.
        code: u16,
        /// The target.
        location: String,
    },
    /// Handled; the response's `Location` is replaced.
    Location {
        /// The new value; `null` removes it.
        value: Option<String>,
    },
    /// Handled; the response's body is replaced: a string unchanged, any other value as JSON.
    Body(Template),
    /// Handled; headers of the response are set, or removed if the value is `null`.
    Headers(BTreeMap<String, Option<String>>),
    /// Handled; the response's status is replaced.
    StatusAfter {
        /// The new status.
        code: u16,
    },
    /// Handled; the connection is reset after half of the body.
    ResetMidBody {},
    /// No effect: the service responds as usual.
    Pass {},
    /// One action per request, in this order. The last one applies to all further requests.
    Responses(Script),
}

/// The actions of a script, at least one.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "Vec<Action>", into = "Vec<Action>")]
pub struct Script(Vec<Action>);

/// An invalid script.
#[derive(Debug, thiserror::Error)]
#[error("responses needs at least one action, and no action may be responses itself")]
pub struct InvalidScript;

impl TryFrom<Vec<Action>> for Script {
    type Error = InvalidScript;

    fn try_from(actions: Vec<Action>) -> Result<Self, InvalidScript> {
        let nested = actions.iter().any(|action| matches!(action, Action::Responses(_)));
        if actions.is_empty() || nested { Err(InvalidScript) } else { Ok(Self(actions)) }
    }
}

impl From<Script> for Vec<Action> {
    fn from(script: Script) -> Self {
        script.0
    }
}

impl Action {
    /// The effect on the request of this zero-based number.
    #[must_use]
    pub fn at(&self, number: u64) -> &Self {
        let Self::Responses(Script(actions)) = self else {
            return self;
        };
        let number = usize::try_from(number).unwrap_or(usize::MAX);
        actions.get(number).or(actions.last()).unwrap_or(self)
    }

    /// The number of requests in the script.
    #[must_use]
    pub fn requests(&self) -> u64 {
        if let Self::Responses(Script(actions)) = self { u64::try_from(actions.len()).unwrap_or(u64::MAX) } else { 1 }
    }

    /// Replaces `now` in its bodies by this time, so that it is fixed.
    pub fn pin(&mut self, now: Timestamp) {
        if let Self::Status { body: Some(body), .. } | Self::Body(body) = self {
            body.pin(now);
        } else if let Self::Responses(Script(actions)) = self {
            for action in actions {
                action.pin(now);
            }
        }
    }
}

fn yes() -> bool {
    true
}

/// Before or after a request is handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum When {
    /// Before.
    Before,
    /// After.
    After,
}
