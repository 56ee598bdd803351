//! Requests to a service.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Kind of operation. The engine treats both alike, by their [`OperationKind::capabilities`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum OperationKind {
    /// A refresh of the model's data.
    Refresh,
    /// A sync of the read-only replicas with the model.
    Sync,
}

impl OperationKind {
    /// What the services support for this kind. Neither can cancel a sync.
    #[must_use]
    pub fn capabilities(self) -> Capabilities {
        match self {
            Self::Refresh => Capabilities { cancel: true, refused_during_refresh: true },
            Self::Sync => Capabilities { cancel: false, refused_during_refresh: false },
        }
    }

    /// The noun in messages.
    #[must_use]
    pub fn noun(self) -> &'static str {
        match self {
            Self::Refresh => "refresh",
            Self::Sync => "sync",
        }
    }
}

/// What the services support for a kind of operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Whether a running operation can be cancelled.
    pub cancel: bool,
    /// Whether the service itself refuses this operation while a refresh of the model runs. If that is unknown, the operator reads the list
    /// of refreshes before a submission.
    pub refused_during_refresh: bool,
}

/// A request to a service.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Request {
    /// A refresh with these parameters.
    Refresh(RefreshRequest),
    /// A sync of the replicas, which has no parameters.
    Sync,
}

impl Request {
    /// The kind of the requested operation.
    #[must_use]
    pub fn kind(&self) -> OperationKind {
        match self {
            Self::Refresh(_) => OperationKind::Refresh,
            Self::Sync => OperationKind::Sync,
        }
    }

    /// The parameters of a refresh.
    #[must_use]
    pub fn as_refresh(&self) -> Option<&RefreshRequest> {
        match self {
            Self::Refresh(request) => Some(request),
            Self::Sync => None,
        }
    }
}

/// Parameters of a refresh, as the service defines them. `None` selects the default of the service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct RefreshRequest {
    /// `full`, `clearValues`, `calculate`, `dataOnly`, `automatic` or `defragment`.
    pub refresh_type: Option<String>,
    /// `transactional` or `partialBatch`.
    pub commit_mode: Option<String>,
    /// Number of threads that run the processing commands.
    pub max_parallelism: Option<i32>,
    /// How often the service itself retries.
    pub retry_count: Option<i32>,
    /// The objects to refresh. Empty selects the whole model.
    pub objects: Vec<ObjectName>,
    /// Power BI only: whether the service applies an incremental refresh policy.
    pub apply_refresh_policy: Option<bool>,
    /// Power BI only: the date that the policy uses as the current date, `YYYY-MM-DD`.
    pub effective_date: Option<String>,
    /// Power BI only: time limit of one attempt.
    pub attempt_timeout: Option<Duration>,
}

/// A table, or one partition of a table, as a refresh request names it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ObjectName {
    /// Name of the table.
    pub table: String,
    /// Name of one partition of the table; `None` selects the whole table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition: Option<String>,
}
