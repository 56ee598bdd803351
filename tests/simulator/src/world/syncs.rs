//! The syncs of one model of Analysis Services: the server's rules for them. Pure: the time is a parameter.

use jiff::Timestamp;
use uuid::Uuid;

use super::{
    millis,
    operation::Client,
    settings::sync::{SyncOutcome, SyncSettings},
    sync::{Sync, SyncState},
};

/// All syncs of a model, in the order of their submission.
#[derive(Default)]
pub struct Syncs {
    all: Vec<Sync>,
    outcomes_used: usize,
}

impl Syncs {
    /// Starts a new sequence of outcomes.
    pub fn restart_outcomes(&mut self) {
        self.outcomes_used = 0;
    }

    /// The sync in progress, visible or not. A sync that is cleaning up does not block the next one.
    #[must_use]
    pub fn running(&self, now: Timestamp) -> Option<&Sync> {
        self.all.last().filter(|sync| match sync.stage(now).state {
            SyncState::Replicating | SyncState::Rehydrating => true,
            SyncState::Finalizing | SyncState::Completed | SyncState::Failed | SyncState::Invalid => false,
        })
    }

    /// Accepts a sync.
    pub fn submit(
        &mut self,
        client: Client,
        outcome: Option<SyncOutcome>,
        settings: &SyncSettings,
        sequence: u64,
        now: Timestamp,
    ) -> &mut Sync {
        let outcome = outcome.unwrap_or_else(|| {
            let next = settings.outcomes.get(self.outcomes_used).cloned();
            self.outcomes_used += usize::from(next.is_some());
            next.unwrap_or_else(|| settings.outcome.clone())
        });
        let index = self.all.len();
        self.all.push(Sync::new(client, outcome, settings, now, sequence));
        &mut self.all[index]
    }

    /// The sync that GET shows for `id`.
    #[must_use]
    pub fn shown(&mut self, id: Uuid, settings: &SyncSettings, now: Timestamp) -> Option<&mut Sync> {
        self.find_mut(id).filter(|sync| is_visible(sync, settings.get_lag_millis, now))
    }

    /// The syncs that GET without an id shows, newest first.
    pub fn listed(&mut self, settings: &SyncSettings, now: Timestamp) -> impl Iterator<Item = &mut Sync> {
        let lag = settings.list_lag_millis;
        self.all.iter_mut().rev().filter(move |sync| is_visible(sync, lag, now))
    }

    /// Any sync, visible or not, for a change.
    pub fn find_mut(&mut self, id: Uuid) -> Option<&mut Sync> {
        self.all.iter_mut().find(|sync| sync.id == id)
    }

    /// All syncs.
    #[must_use]
    pub fn all(&self) -> &[Sync] {
        &self.all
    }
}

fn is_visible(sync: &Sync, lag_millis: u64, now: Timestamp) -> bool {
    !sync.vanished && now.duration_since(sync.submitted) >= millis(lag_millis)
}
