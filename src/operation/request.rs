//! What is asked of a service.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What sort of operation: the engine decides both alike, by what [`OperationKind::offers`] says of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum OperationKind {
    /// A refresh of the model's data.
    Refresh,
    /// A synchronisation of the read-only replicas with the model.
    Sync,
}

impl OperationKind {
    /// What the services offer for it. Neither has a way to cancel a synchronisation.
    #[must_use]
    pub fn offers(self) -> Offers {
        match self {
            Self::Refresh => Offers { cancel: true, refused_during_refresh: true },
            Self::Sync => Offers { cancel: false, refused_during_refresh: false },
        }
    }

    /// What people call one.
    #[must_use]
    pub fn noun(self) -> &'static str {
        match self {
            Self::Refresh => "refresh",
            Self::Sync => "synchronisation",
        }
    }
}

/// What the services offer for a sort of operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offers {
    /// Whether one that runs can be cancelled.
    pub cancel: bool,
    /// Whether the service itself refuses one while a refresh of the model runs. Where nobody knows that it does, the listing of
    /// refreshes is read before anything is submitted.
    pub refused_during_refresh: bool,
}

/// What is asked of a service.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Request {
    /// A refresh with these parameters.
    Refresh(RefreshRequest),
    /// A synchronisation of the replicas, which has no parameters.
    Sync,
}

impl Request {
    /// What sort of operation it asks for.
    #[must_use]
    pub fn kind(&self) -> OperationKind {
        match self {
            Self::Refresh(_) => OperationKind::Refresh,
            Self::Sync => OperationKind::Sync,
        }
    }

    /// The parameters, where it asks for a refresh.
    #[must_use]
    pub fn as_refresh(&self) -> Option<&RefreshRequest> {
        match self {
            Self::Refresh(request) => Some(request),
            Self::Sync => None,
        }
    }
}

/// What a refresh is asked to do: the service's own parameters. `None` leaves the service's own default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct RefreshRequest {
    /// `full`, `clearValues`, `calculate`, `dataOnly`, `automatic` or `defragment`.
    pub refresh_type: Option<String>,
    /// `transactional` or `partialBatch`.
    pub commit_mode: Option<String>,
    /// Threads that run the processing commands.
    pub max_parallelism: Option<i32>,
    /// How often the service itself tries again.
    pub retry_count: Option<i32>,
    /// What to refresh; empty is the whole model.
    pub objects: Vec<ObjectName>,
    /// Power BI alone: whether an incremental refresh policy is applied.
    pub apply_refresh_policy: Option<bool>,
    /// Power BI alone: the date that the policy takes for today, `YYYY-MM-DD`.
    pub effective_date: Option<String>,
    /// Power BI alone: how long one attempt may take.
    pub attempt_timeout: Option<Duration>,
}

/// One table, or one partition of a table, as a refresh request names it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ObjectName {
    /// The table.
    pub table: String,
    /// One partition of the table; `None` is the whole table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition: Option<String>,
}
