//! A request of the user to the operator, by an annotation.

use tabular_operator::api::RunState;

use super::{CancelRequest, RequestOutcome, RunRequest};
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
    pub fn observe(&mut self, object: Option<&Object>) -> RequestOutcome {
        match self {
            Self::Run(request) => request.observe(object),
            Self::Cancel(request) => request.observe(object),
        }
    }

    /// The exit code of a command once it is determined. With `wait`, that is when the run has ended.
    #[must_use]
    pub fn exit(&self, outcome: &RequestOutcome, wait: bool) -> Option<Exit> {
        match outcome {
            RequestOutcome::Pending => None,
            RequestOutcome::Accepted | RequestOutcome::InProgress(_) if wait => None,
            RequestOutcome::Ended(end) if wait => Some(match (self, end.state) {
                // The run has ended, as requested.
                (_, RunState::Succeeded) | (Self::Cancel(_), RunState::Cancelled) => Exit::Success,
                (Self::Run(_) | Self::Cancel(_), _) => Exit::Negative,
            }),
            RequestOutcome::NotInHistory(_) if wait => Some(Exit::Failure),
            RequestOutcome::Accepted | RequestOutcome::InProgress(_) | RequestOutcome::Ended(_) | RequestOutcome::NotInHistory(_) => {
                Some(Exit::Success)
            }
            RequestOutcome::Dropped(_) | RequestOutcome::NotCancellable(_) | RequestOutcome::Removed => Some(Exit::NoChange),
            RequestOutcome::Deleted => Some(Exit::Failure),
        }
    }
}
