//! What the clients of the services are set up with.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::cloud::Cloud;
use crate::operation::CallRecord;

/// What [`super::Azure`] is made from.
#[derive(Clone)]
pub struct Settings {
    /// The cloud; a call leaves for no host but its.
    pub cloud: Cloud,
    /// Certificates of further authorities (PEM), trusted beside the usual ones.
    pub extra_ca_pem: Option<Vec<u8>>,
    /// How long one call may take, its answer's body included.
    pub call_timeout: Duration,
    /// How many calls to one server may be in flight at once.
    pub max_calls_per_server: usize,
    /// How long a refresh may run on Analysis Services, which documents no limit.
    pub max_refresh_duration: Duration,
    /// What the services are told about who calls, `tabular-operator/<version>`.
    pub user_agent: String,
    /// Told of every HTTP exchange, for metrics.
    pub on_call: Option<Observer>,
}

/// Who is told of every HTTP exchange.
pub type Observer = Arc<dyn Fn(&CallRecord<'_>) + Send + Sync>;

/// Why the settings cannot be used: one sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SettingsError(pub(super) String);

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("cloud", &self.cloud.name)
            .field("extra_ca_pem", &self.extra_ca_pem.is_some())
            .field("call_timeout", &self.call_timeout)
            .field("max_calls_per_server", &self.max_calls_per_server)
            .field("max_refresh_duration", &self.max_refresh_duration)
            .field("user_agent", &self.user_agent)
            .finish_non_exhaustive()
    }
}
