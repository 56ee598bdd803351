//! The clients of the services, and their identities. Independent of Kubernetes.
//!
//! [`Azure`] is created once and shared. [`Azure::analysis_services`] and [`Azure::power_bi`] return a [`ModelClient`]. [`ModelClient::prepare_for`]
//! returns a [`Call`], which has a permit for a call in flight and a token. Each method of `Call` makes the call and returns a type of
//! [`crate::operation`]. `classify` determines what a status and an error mean; `refreshes`, `sync` and `scale_out` parse the bodies of
//! successful responses. All of these functions are pure.

pub mod analysis_services;
mod backoff;
mod call;
mod check;
mod classify;
mod client;
pub mod cloud;
#[doc(hidden)]
pub mod fuzzing;
mod http;
pub mod identity;
mod in_flight;
pub mod power_bi;
mod refreshes;
mod session;
mod settings;
#[cfg(test)]
pub(crate) mod tests;

pub use call::Call;
pub use client::{Azure, AzureEntries, ModelClient};
pub use refreshes::ListWindow;
pub use settings::{AzureSettings, AzureSettingsError, Observer};
