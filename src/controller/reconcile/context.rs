//! What all reconciliations share.

use std::sync::Arc;

use kube::Client;

use crate::azure::Azure;
use crate::controller::cluster::events::Events;
use crate::controller::credentials::CredentialResolver;
use crate::controller::credentials::denials::DenialCache;
use crate::controller::lease::LeaseHandle;
use crate::controller::store::resources::Store;
use crate::fair_semaphore::FairSemaphore;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::traces::Traces;

/// What all reconciliations share.
pub(crate) struct Context {
    pub(crate) client: Client,
    /// The permits for requests about resources.
    pub(crate) request_limiter: FairSemaphore,
    pub(crate) azure: Azure,
    pub(crate) lease: LeaseHandle,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) traces: Traces,
    pub(crate) events: Events,
    pub(crate) credential_resolver: CredentialResolver,
    pub(crate) denials: DenialCache,
    pub(crate) store: Store,
    /// The permits for reconciliations, over all watches.
    pub(crate) reconcile_permits: FairSemaphore,
}
