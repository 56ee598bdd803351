//! Operations at a service: requests, and the results that the service reports.
//!
//! The clients of both services return these types. The engine knows the services only through these types. HTTP status codes, headers and
//! bodies therefore stay in [`crate::azure`]. No I/O and no Kubernetes here.

mod call;
mod error;
mod id;
mod listing;
mod model_check;
mod observed_operation;
mod request;
mod result;

pub use call::{CallFault, CallKind, CallRecord, CallTarget, IdentityKind, ServiceKind};
pub use error::{ServiceError, ServiceErrorKind};
pub use id::{OperationId, OperationRef};
pub use listing::{ClockSkew, Listing, UnnamedOperation};
pub use model_check::ModelCheck;
pub use observed_operation::{FailureCause, ObjectProgress, Operation, Origin, Phase, REDACTED, ServiceMessage};
pub use request::{Capabilities, ObjectName, OperationKind, RefreshRequest, Request};
pub use result::{CancelResult, ModelExistence, ModelIds, ModelLookup, PollResult, SubmitResult};
