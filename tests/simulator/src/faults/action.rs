//! What a fault does to a request: the words of the control API.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::world::verbatim::Template;

/// One kind of fault. "Handled" means that the service does what was asked before the fault shows.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Action {
    /// Responds with this status. Not handled, unless `handled` is true.
    Status {
        /// The status.
        code: u16,
        /// The body: a text as it is, anything else as JSON.
        #[serde(default)]
        body: Option<Template>,
        /// Headers to add.
        #[serde(default)]
        headers: BTreeMap<String, String>,
        /// Whether it is handled before. Default false.
        #[serde(default)]
        handled: bool,
    },
    /// Closes the connection; not handled.
    DropBefore {
        /// Whether other requests on an HTTP/2 connection go on: then this one's stream is reset. Default false.
        #[serde(default)]
        alone: bool,
    },
    /// Handled, and then the connection is closed without an answer.
    DropAfter {
        /// As for [`Self::DropBefore`].
        #[serde(default)]
        alone: bool,
    },
    /// Waits.
    Delay {
        /// How long.
        millis: u64,
        /// Whether it is handled after the wait (default) or before it.
        #[serde(default = "yes")]
        before: bool,
    },
    /// Never answers.
    Hang {
        /// Whether it is handled. Default false.
        #[serde(default)]
        after: bool,
    },
    /// Holds the request until it is released. A request held before it is handled never is if its client goes away.
    Hold {
        /// Whether it is held before or after it is handled.
        at: Moment,
    },
    /// Handled; the answer's `Content-Length` is right, but the connection ends after so many bytes of the body.
    Truncate {
        /// How many bytes are sent.
        bytes: usize,
    },
    /// Handled; the body is replaced by an array of operations that goes on.
    Huge {
        /// For so many bytes; 0: without end.
        #[serde(default)]
        bytes: u64,
    },
    /// Handled; the body is replaced by a piece that comes again and again. With a status of its own it is not handled.
    Repeat {
        /// The status.
        #[serde(default)]
        code: Option<u16>,
        /// What comes before.
        #[serde(default)]
        head: String,
        /// The piece.
        piece: String,
        /// How often it comes.
        count: u64,
        /// What comes after.
        #[serde(default)]
        tail: String,
        /// Whether `Content-Length` says how long it is.
        #[serde(default)]
        announced: bool,
    },
    /// Handled; the body comes compressed by gzip, whatever was asked for.
    Gzip {
        /// How many blanks stand before it: a heap of them is small until it is unpacked. Default 0.
        #[serde(default)]
        blanks: u64,
    },
    /// Handled; so many headers of 1,000 characters are added, at most 20,000.
    ManyHeaders {
        /// How many.
        count: u32,
    },
    /// Handled; the body comes at this rate.
    Slow {
        /// Bytes in a second, at least 1.
        bytes_per_second: u64,
    },
    /// Answers with an HTML page, as gateways do.
    Html {
        /// The status.
        code: u16,
        /// Whether it is handled before. Default false.
        #[serde(default)]
        handled: bool,
    },
    /// Answers with a redirect and is not handled.
    Redirect {
        /// The status, 301 to 308.
        code: u16,
        /// Where to.
        location: String,
    },
    /// Handled; the answer's `Location` is replaced.
    Location {
        /// The new value; `null` for none at all.
        value: Option<String>,
    },
    /// Handled; the answer's body is replaced: a text as it is, anything else as JSON.
    Body(Template),
    /// Handled; headers of the answer are set, or removed where the value is `null`.
    Headers(BTreeMap<String, Option<String>>),
    /// Handled; the answer's status is replaced.
    StatusAfter {
        /// The new status.
        code: u16,
    },
    /// Handled; the connection is reset after half of the body.
    ResetMidBody {},
    /// Nothing: the service responds as usual.
    Pass {},
    /// One action for each request, in this order. The last one stays where the fault hits more of them.
    Responses(Script),
}

/// The actions of a script, at least one.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "Vec<Action>", into = "Vec<Action>")]
pub struct Script(Vec<Action>);

/// A script that cannot be.
#[derive(Debug, thiserror::Error)]
#[error("responses need at least one action, and none of them can be responses")]
pub struct NoScript;

impl TryFrom<Vec<Action>> for Script {
    type Error = NoScript;

    fn try_from(actions: Vec<Action>) -> Result<Self, NoScript> {
        let nested = actions.iter().any(|action| matches!(action, Action::Responses(_)));
        if actions.is_empty() || nested { Err(NoScript) } else { Ok(Self(actions)) }
    }
}

impl From<Script> for Vec<Action> {
    fn from(script: Script) -> Self {
        script.0
    }
}

impl Action {
    /// What it does to the request of this number; 0 is the first.
    #[must_use]
    pub fn at(&self, number: u64) -> &Self {
        let Self::Responses(Script(actions)) = self else {
            return self;
        };
        let number = usize::try_from(number).unwrap_or(usize::MAX);
        actions.get(number).or(actions.last()).unwrap_or(self)
    }

    /// For how many requests it is written.
    #[must_use]
    pub fn requests(&self) -> u64 {
        if let Self::Responses(Script(actions)) = self { u64::try_from(actions.len()).unwrap_or(u64::MAX) } else { 1 }
    }

    /// Replaces `now` in its bodies by this time, so that it does not move.
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
pub enum Moment {
    /// Before.
    Before,
    /// After.
    After,
}
