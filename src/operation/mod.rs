//! Operations at a service: what is requested, and what the service reports.
//!
//! Both services' clients speak in these words and the decision understands nothing else, so no HTTP
//! status, header or body travels further in than [`crate::service`]. No I/O and no Kubernetes here.

mod call;
mod description;
mod error;
mod id;
mod listing;
mod request;
mod result;

pub use call::{CallFault, CallRecord};
pub use description::{Failure, ObjectProgress, Operation, Origin, Phase, REDACTED, ServiceMessage};
pub use error::{Trouble, TroubleKind};
pub use id::{Handle, OperationId};
pub use listing::{Ahead, Listing, UnnamedOperation};
pub use request::{ObjectName, Offers, OperationKind, RefreshRequest, Request};
pub use result::{Cancellation, Look, ModelIds, Presence, Resolution, Submission};
