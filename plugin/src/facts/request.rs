//! A request of the user to the operator, by an annotation.

use tabular_operator::api::RunState;

use super::{CancelRequest, Fate, RunRequest};
use crate::exit::Exit;
use crate::objects::Object;

/// A request.
#[derive(Clone, Debug)]
pub enum Request {
    /// For a run.
    Run(RunRequest),
    /// For the cancellation of a run.
    Cancel(CancelRequest),
}

impl Request {
    /// The value of its annotation.
    #[must_use]
    pub fn value(&self) -> &str {
        match self {
            Self::Run(request) => request.value(),
            Self::Cancel(request) => request.value(),
        }
    }

    /// A version of the resource with the request.
    #[must_use]
    pub fn before(&self) -> &Object {
        match self {
            Self::Run(request) => request.before(),
            Self::Cancel(request) => request.before(),
        }
    }

    /// Its run, once that is known.
    #[must_use]
    pub fn run(&self) -> Option<i32> {
        match self {
            Self::Run(request) => request.run(),
            Self::Cancel(request) => Some(request.run()),
        }
    }

    /// Whether its run also serves a later request, which superseded it.
    #[must_use]
    pub fn is_superseded(&self) -> bool {
        match self {
            Self::Run(request) => request.is_superseded(),
            Self::Cancel(_) => false,
        }
    }

    /// What has become of it by this version of the resource; `None` if the resource does not exist.
    pub fn observe(&mut self, object: Option<&Object>) -> Fate {
        match self {
            Self::Run(request) => request.observe(object),
            Self::Cancel(request) => request.observe(object),
        }
    }

    /// The exit code of a command once it is determined. With `wait`, that is when the run has ended.
    #[must_use]
    pub fn exit(&self, fate: &Fate, wait: bool) -> Option<Exit> {
        match fate {
            Fate::Unhandled => None,
            Fate::Accepted | Fate::InProgress(_) if wait => None,
            Fate::Ended(ending) if wait => Some(match (self, ending.state) {
                // The run has ended, as requested.
                (_, RunState::Succeeded) | (Self::Cancel(_), RunState::Cancelled) => Exit::Success,
                (Self::Run(_) | Self::Cancel(_), _) => Exit::Negative,
            }),
            Fate::Forgotten(_) if wait => Some(Exit::Failure),
            Fate::Accepted | Fate::InProgress(_) | Fate::Ended(_) | Fate::Forgotten(_) => Some(Exit::Success),
            Fate::Dropped(_) | Fate::NotCancellable(_) | Fate::Withdrawn => Some(Exit::NoChange),
            Fate::Deleted => Some(Exit::Failure),
        }
    }
}
