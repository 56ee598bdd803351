//! The complete state of the local Azure.

use std::sync::Arc;

use crate::{
    ca::Authority, connection::Gauge, entra::Entra, faults::Faults, hosts::custom::Clouds, imds::identities::Identities, ledger::Ledger,
    world::World,
};

/// The local Azure.
pub struct State {
    /// The authority of its certificates.
    pub authority: Authority,
    /// The host names that it serves.
    pub clouds: Clouds,
    /// Entra ID.
    pub entra: Entra,
    /// The managed identities of the machine.
    pub identities: Identities,
    /// Servers, workspaces, models and operations.
    pub world: World,
    /// Active faults.
    pub faults: Faults,
    /// The received requests.
    pub ledger: Arc<Ledger>,
    /// Open tunnels.
    pub connections: Arc<Gauge>,
}
