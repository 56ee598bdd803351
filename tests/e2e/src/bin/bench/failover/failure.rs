//! The failures of a leader, and how long the settings of the Lease allow a failover to take.

use std::time::Duration;

use tabular_operator::controller::lease::LeaseSettings;

use super::replicas::{POLLS, Replica};
use crate::setup::LONGEST;

/// A failure of the leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// SIGKILL, like a crash.
    Killed,
    /// SIGSTOP, like a node that is suspended. After the failover, SIGCONT resumes it.
    Frozen,
    /// It does not reach the API server, but Azure.
    Disconnected,
    /// SIGTERM, like an eviction or a drained node.
    Drained,
}

impl Failure {
    pub const ALL: [Self; 4] = [Self::Killed, Self::Frozen, Self::Disconnected, Self::Drained];

    pub fn name(self) -> &'static str {
        match self {
            Self::Killed => "killed",
            Self::Frozen => "frozen",
            Self::Disconnected => "disconnected",
            Self::Drained => "drained",
        }
    }

    /// How long no operation is polled, without the time that requests take. The last poll is up to an interval before the leader stops.
    pub fn allowed(self, lease: &LeaseSettings) -> Duration {
        let without_leader = match self {
            Self::Killed | Self::Frozen | Self::Drained => self.takes(lease),
            // It acts until its deadline, which is before the expiry.
            Self::Disconnected => self.takes(lease).saturating_sub(lease.renew_deadline()),
        };
        without_leader + POLLS
    }

    /// How long a standby needs to acquire the Lease, without the time that requests take.
    pub fn takes(self, lease: &LeaseSettings) -> Duration {
        match self {
            // The standby reads the last renewal at most a retry period later, and acquires the Lease when that is unchanged for the duration.
            Self::Killed | Self::Frozen | Self::Disconnected => lease.retry_period() + lease.duration,
            // The leader releases it, and the standby reads that at most a retry period later.
            Self::Drained => lease.retry_period(),
        }
    }

    pub fn begin(self, leader: &mut Replica) {
        match self {
            Self::Killed => leader.operator.kill(),
            Self::Frozen => leader.operator.signal("STOP"),
            Self::Disconnected => leader.api.set_available(false),
            Self::Drained => leader.operator.signal("TERM"),
        }
    }

    /// Ends the failure, and waits until the process has exited.
    pub async fn end(self, leader: &mut Replica) {
        let code = match self {
            Self::Killed => return,
            Self::Frozen => {
                leader.operator.signal("CONT");
                1
            }
            Self::Disconnected => 1,
            Self::Drained => 0,
        };
        assert_eq!(leader.operator.end(LONGEST).await.code(), Some(code), "{}", leader.operator.log());
        leader.api.set_available(true);
    }
}
