//! The API of the resources: types, defaults, admission rules, conditions and reasons. No I/O.

pub mod advice;
mod annotations;
mod check;
mod condition;
mod crds;
mod credentials;
mod defaults;
pub mod estimate;
mod key;
mod kind;
mod metadata;
mod model;
mod model_refresh;
mod model_sync;
mod progress;
mod reason;
mod refresh;
mod resource;
mod run;
mod status;
mod time;
mod trigger;
mod unrecognized;

pub use annotations::{
    ADOPT, ANNOTATIONS, CANCEL_REQUESTED_AT, CHECK_REQUESTED_AT, FINALIZER, RELEASE, RESUBMIT, RUN_REQUESTED_AT, has_finalizer,
    has_other_finalizers,
};
pub use check::{Check, CheckResult, CheckStep, CheckStepName, NO_RESPONSE};
pub use condition::{Condition, ConditionStatus, ConditionType};
pub use crds::crds;
pub use credentials::{Credentials, ManagedIdentity, ServicePrincipalRef, WorkloadIdentity};
pub use key::ResourceKey;
pub use kind::Kind;
pub use metadata::{MAX_VALUE_BYTES, MORE_FINALIZERS, Metadata, value_digest};
pub use model::{AnalysisServicesModel, Model, ModelNames, PowerBiModel, ServiceModel};
pub use model_refresh::{ConcurrencyPolicy, ConflictPolicy, DeletionPolicy, ModelRefresh, ModelRefreshSpec};
pub use model_sync::{ModelSync, ModelSyncSpec};
pub use progress::{FailedObject, MAX_RUN_MESSAGES, Message, Progress, TableProgress};
pub use reason::{EventPolicy, Reason};
pub use refresh::{CommitMode, RefreshObject, RefreshParameters, RefreshType};
pub use resource::ModelResource;
pub use run::{CancelCause, Candidate, HistoryEntry, Run, RunState, Trigger, TriggerType};
pub use status::{QueuedRuns, Status, UpstreamRun};
pub use time::Time;
pub use trigger::{AfterRefresh, TriggerSpec};
pub use unrecognized::UnrecognizedValue;
