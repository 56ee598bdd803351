//! The settings of the clients.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::cloud::Cloud;
use crate::operation::CallRecord;

/// The settings of [`super::Azure`].
#[derive(Clone)]
pub struct AzureSettings {
    /// The cloud. Calls go only to its hosts.
    pub cloud: Cloud,
    /// Certificates of additional trusted authorities (PEM).
    pub extra_ca_pem: Option<Vec<u8>>,
    /// Timeout of one call, including the body of the response.
    pub call_timeout: Duration,
    /// Maximum number of calls in flight to one server.
    pub max_calls_per_server: usize,
    /// Maximum duration of a refresh on Analysis Services, which documents no limit.
    pub max_refresh_duration: Duration,
    /// The user agent for the services, `tabular-operator/<version>`.
    pub user_agent: String,
    /// Receives every HTTP exchange, for metrics.
    pub on_call: Option<Observer>,
}

/// Receives every HTTP exchange.
pub type Observer = Arc<dyn Fn(&CallRecord<'_>) + Send + Sync>;

/// Error in the settings, as one sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct AzureSettingsError(pub(super) String);

impl fmt::Debug for AzureSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AzureSettings")
            .field("cloud", &self.cloud.name)
            .field("extra_ca_pem", &self.extra_ca_pem.is_some())
            .field("call_timeout", &self.call_timeout)
            .field("max_calls_per_server", &self.max_calls_per_server)
            .field("max_refresh_duration", &self.max_refresh_duration)
            .field("user_agent", &self.user_agent)
            .finish_non_exhaustive()
    }
}
