//! One sync of a server's replicas as a function of the clock, planned when it is accepted, like a refresh.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    later, millis,
    operation::Client,
    settings::sync::{SyncEnd, SyncOutcome, SyncSettings},
};

/// The documented values of `syncstate`, and -1, which a client by Microsoft supports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncState {
    /// Files are copied to a target folder.
    Replicating,
    /// The database is loaded on the read-only instances.
    Rehydrating,
    /// Succeeded.
    Completed,
    /// Failed.
    Failed,
    /// Succeeded, but still cleaning up.
    Finalizing,
    /// The state is unknown.
    Invalid,
}

impl SyncState {
    /// The number in `syncstate`.
    #[must_use]
    pub fn number(self) -> i8 {
        match self {
            Self::Replicating => 0,
            Self::Rehydrating => 1,
            Self::Completed => 2,
            Self::Failed => 3,
            Self::Finalizing => 4,
            Self::Invalid => -1,
        }
    }

    /// The name in `syncstate`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Replicating => "Replicating",
            Self::Rehydrating => "Rehydrating",
            Self::Completed => "Completed",
            Self::Failed => "Failed",
            Self::Finalizing => "Finalizing",
            Self::Invalid => "Invalid",
        }
    }

    /// Whether the state is final.
    #[must_use]
    pub fn is_final(self) -> bool {
        match self {
            Self::Replicating | Self::Rehydrating | Self::Finalizing => false,
            Self::Completed | Self::Failed | Self::Invalid => true,
        }
    }
}

impl From<SyncEnd> for SyncState {
    fn from(end: SyncEnd) -> Self {
        match end {
            SyncEnd::Completed => Self::Completed,
            SyncEnd::Failed => Self::Failed,
            SyncEnd::Invalid => Self::Invalid,
        }
    }
}

/// The state of a sync, and the time at which it started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stage {
    /// Its state.
    pub state: SyncState,
    /// The time at which the state started.
    pub since: Timestamp,
}

/// One sync.
#[derive(Clone, Debug)]
pub struct Sync {
    /// Its id.
    pub id: Uuid,
    /// The client that requested it.
    pub client: Client,
    /// When it was accepted.
    pub submitted: Timestamp,
    /// The sequence number of its submission in the ledger.
    pub sequence: u64,
    /// Whether GET no longer shows it.
    pub vanished: bool,
    /// The number of its newest `Location`.
    pub locations: u64,
    replicating: SignedDuration,
    rehydrating: SignedDuration,
    finalizing: SignedDuration,
    end: SyncEnd,
    details: Value,
    forced_end: Option<(Timestamp, SyncEnd, Value)>,
}

impl Sync {
    /// Accepts a sync at `submitted`.
    #[must_use]
    pub fn new(client: Client, outcome: SyncOutcome, settings: &SyncSettings, submitted: Timestamp, sequence: u64) -> Self {
        let SyncOutcome { state, details, replicating_millis, rehydrating_millis, finalizing_millis } = outcome;
        let finalizing = match state {
            SyncEnd::Completed => finalizing_millis.unwrap_or(settings.finalizing_millis),
            SyncEnd::Failed | SyncEnd::Invalid => 0,
        };
        Self {
            id: Uuid::new_v4(),
            client,
            submitted,
            sequence,
            vanished: false,
            locations: 0,
            replicating: millis(replicating_millis.unwrap_or(settings.replicating_millis)),
            rehydrating: millis(rehydrating_millis.unwrap_or(settings.rehydrating_millis)),
            finalizing: millis(finalizing),
            end: state,
            details: details.unwrap_or_else(|| default_details(state)),
            forced_end: None,
        }
    }

    /// Its state.
    #[must_use]
    pub fn stage(&self, now: Timestamp) -> Stage {
        if let Some((at, end, _)) = self.forced_end.as_ref().filter(|(at, ..)| now >= *at) {
            return Stage { state: (*end).into(), since: *at };
        }
        let rehydrating = later(self.submitted, self.replicating);
        let finalizing = later(rehydrating, self.rehydrating);
        let ended = later(finalizing, self.finalizing);
        if now >= ended {
            Stage { state: self.end.into(), since: ended }
        } else if now >= finalizing {
            Stage { state: SyncState::Finalizing, since: finalizing }
        } else if now >= rehydrating {
            Stage { state: SyncState::Rehydrating, since: rehydrating }
        } else {
            Stage { state: SyncState::Replicating, since: self.submitted }
        }
    }

    /// The value of `details`: `null` before the end.
    #[must_use]
    pub fn details(&self, now: Timestamp) -> &Value {
        match &self.forced_end {
            Some((at, _, details)) if now >= *at => details,
            _ if self.stage(now).state.is_final() => &self.details,
            _ => &Value::Null,
        }
    }

    /// Ends it now, unless it has ended.
    pub fn end(&mut self, now: Timestamp, end: SyncEnd, details: Option<Value>) {
        if !self.stage(now).state.is_final() {
            self.forced_end = Some((now, end, details.unwrap_or_else(|| default_details(end))));
        }
    }
}

/// The details if the settings have none: assumed.
fn default_details(end: SyncEnd) -> Value {
    match end {
        SyncEnd::Completed | SyncEnd::Invalid => Value::Null,
        SyncEnd::Failed => json!("The database could not be attached on a read-only replica."),
    }
}

#[cfg(test)]
#[path = "sync_tests.rs"]
mod tests;
