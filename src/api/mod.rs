//! The API of the resources: types, defaults, admission rules, conditions and reasons. No I/O.

mod annotations;
mod condition;
mod crds;
mod credentials;
mod defaults;
mod key;
mod kind;
mod metadata;
mod model;
mod model_refresh;
mod model_sync;
mod newer;
mod reason;
mod refresh;
mod run;
mod status;
mod time;
mod trigger;

pub use annotations::{ADOPT, ANNOTATIONS, CANCEL_REQUESTED_AT, FINALIZER, RELEASE, RESUBMIT, RUN_REQUESTED_AT, has_finalizer};
pub use condition::{Condition, ConditionStatus, ConditionType};
pub use crds::crds;
pub use credentials::{Credentials, ManagedIdentity, ServicePrincipalRef, WorkloadIdentity};
pub use key::ResourceKey;
pub use kind::Kind;
pub use metadata::{MAX_VALUE_BYTES, MORE_FINALIZERS, Metadata, value_digest};
pub use model::{AnalysisServicesModel, Model, ModelNames, PowerBiModel};
pub use model_refresh::{ConcurrencyPolicy, ConflictPolicy, DeletionPolicy, ModelRefresh, ModelRefreshSpec};
pub use model_sync::{ModelSync, ModelSyncSpec};
pub use newer::NewerValue;
pub use reason::{Reason, Telling};
pub use refresh::{CommitMode, RefreshObject, RefreshParameters, RefreshType};
pub use run::{CancelCause, Candidate, FailedObject, HistoryEntry, Message, Progress, Run, RunState, TableProgress, Trigger, TriggerType};
pub use status::{FollowedRun, QueuedRuns, Status};
pub use time::Time;
pub use trigger::{AfterRefresh, RefreshTrigger};
