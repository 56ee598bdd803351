//! One model: its settings, its operations, and the service's rules for them. Pure: the time is passed in.

use std::{collections::HashMap, sync::Arc};

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::{
    operation::{Client, ObjectName, Operation, Part, Phase, Plan, Task},
    settings::{End, ListOrder, Message, ModelSettings, Outcome},
};

/// Operations are listed for about this long, says the documentation.
const RETENTION: SignedDuration = SignedDuration::from_hours(30 * 24);

/// A model and all operations on it.
pub struct Model {
    settings: ModelSettings,
    whole: Arc<[Part]>,
    operations: Vec<Operation>,
    by_id: HashMap<Uuid, usize>,
    outcomes_used: usize,
}

/// One operation at a time: this one is not over.
#[derive(Debug, PartialEq, Eq)]
pub struct Busy(pub Uuid);

impl Model {
    /// A model without operations.
    #[must_use]
    pub fn new(settings: ModelSettings) -> Self {
        let whole = parts(&settings);
        Self { settings, whole, operations: Vec::new(), by_id: HashMap::new(), outcomes_used: 0 }
    }

    /// Its settings.
    #[must_use]
    pub fn settings(&self) -> &ModelSettings {
        &self.settings
    }

    /// Changes its settings. Operations that were accepted go on as planned; a new sequence of outcomes starts anew.
    pub fn set(&mut self, settings: ModelSettings, restart_outcomes: bool) {
        self.whole = parts(&settings);
        self.settings = settings;
        if restart_outcomes {
            self.outcomes_used = 0;
        }
    }

    /// What the server's clock shows.
    #[must_use]
    pub fn server_time(&self, time: Timestamp) -> Timestamp {
        time.saturating_add(SignedDuration::from_millis(self.settings.clock_skew_millis)).unwrap_or(time)
    }

    /// The operation that occupies the model, whether or not it can be seen.
    #[must_use]
    pub fn running(&self, now: Timestamp) -> Option<&Operation> {
        // One at a time, so only the last one can be under way.
        self.operations.last().filter(|operation| !matches!(operation.phase(now), Phase::Ended(..)))
    }

    /// Accepts a refresh, unless one is under way.
    ///
    /// # Errors
    /// [`Busy`] with the operation that is in the way.
    pub fn submit(&mut self, client: Client, task: Task, outcome: Option<Outcome>, sequence: u64, now: Timestamp) -> Result<Uuid, Busy> {
        if let Some(running) = self.running(now) {
            return Err(Busy(running.id));
        }
        let outcome = outcome.unwrap_or_else(|| self.next_outcome());
        let (parts, unknown) = self.resolve(&task.objects);
        let plan = self.plan(&task, outcome, unknown);
        let id = Uuid::new_v4();
        self.by_id.insert(id, self.operations.len());
        self.operations.push(Operation::new(id, client, task, parts, now, sequence, plan));
        Ok(id)
    }

    fn next_outcome(&mut self) -> Outcome {
        let next = self.settings.outcomes.get(self.outcomes_used).cloned();
        if next.is_some() {
            self.outcomes_used += 1;
        }
        next.unwrap_or_else(|| self.settings.outcome.clone())
    }

    /// The partitions that `objects` come to, and the first object that the model does not have.
    fn resolve(&self, objects: &[ObjectName]) -> (Arc<[Part]>, Option<ObjectName>) {
        if objects.is_empty() {
            return (Arc::clone(&self.whole), None);
        }
        let mut found = Vec::new();
        let mut unknown = None;
        for object in objects {
            let before = found.len();
            let table = object.table.to_lowercase();
            let partition = object.partition.as_ref().map(|name| name.to_lowercase());
            found.extend(
                self.whole
                    .iter()
                    .filter(|part| part.table.to_lowercase() == table)
                    .filter(|part| partition.as_ref().is_none_or(|name| part.partition.to_lowercase() == *name))
                    .cloned(),
            );
            if found.len() == before && unknown.is_none() {
                unknown = Some(object.clone());
            }
        }
        (found.into(), unknown)
    }

    fn plan(&self, task: &Task, outcome: Outcome, unknown: Option<ObjectName>) -> Plan {
        let settings = &self.settings;
        let millis = |millis: u64| SignedDuration::from_millis(i64::try_from(millis).unwrap_or(i64::MAX));
        let not_started = millis(outcome.not_started_millis.unwrap_or(settings.not_started_millis));
        let attempt = millis(outcome.duration_millis.unwrap_or(settings.duration_millis));
        if let Some(object) = unknown {
            // It is accepted all the same, and fails as soon as the engine looks for the object.
            let messages = vec![Message::error(not_found(&object))];
            return Plan {
                not_started,
                attempt: SignedDuration::ZERO,
                attempts: 1,
                end: End::Failed,
                messages,
                failed_objects: Vec::new(),
            };
        }
        let planned_failures = outcome.failed_attempts.unwrap_or(match outcome.status {
            End::Failed | End::TimedOut => u32::MAX,
            End::Succeeded | End::Cancelled => 0,
        });
        let (attempts, end) = if planned_failures > task.retry_count {
            let end = if outcome.status == End::TimedOut { End::TimedOut } else { End::Failed };
            (task.retry_count.saturating_add(1), end)
        } else {
            (planned_failures.saturating_add(1), outcome.status)
        };
        let messages = outcome.messages.or_else(|| settings.messages.clone()).unwrap_or_else(|| default_messages(end));
        let failed_objects = outcome.failed_objects.unwrap_or_else(|| settings.failed_objects.clone());
        Plan { not_started, attempt, attempts, end, messages, failed_objects }
    }

    /// The operation that GET shows for `id`.
    #[must_use]
    pub fn shown(&self, id: Uuid, now: Timestamp) -> Option<&Operation> {
        let lag = self.settings.get_lag_millis;
        self.find(id).filter(|operation| !operation.vanished && has_lagged(operation, lag, now))
    }

    /// The operations that the list shows, in its order.
    #[must_use]
    pub fn listed(&self, now: Timestamp) -> Vec<&Operation> {
        let lag = self.settings.list_lag_millis;
        let mut listed: Vec<_> = self
            .operations
            .iter()
            .filter(|operation| !operation.vanished && has_lagged(operation, lag, now))
            .filter(|operation| now.duration_since(operation.submitted) < RETENTION)
            .collect();
        match self.settings.list_order {
            ListOrder::Oldest => {}
            ListOrder::Newest => listed.reverse(),
            // Ids are random, so their order is as good as none.
            ListOrder::Shuffled => listed.sort_unstable_by_key(|operation| operation.id),
        }
        listed
    }

    /// Asks for the cancellation of `id`.
    pub fn cancel(&mut self, id: Uuid, now: Timestamp) -> Cancel {
        let delay = SignedDuration::from_millis(i64::try_from(self.settings.cancel_millis).unwrap_or(i64::MAX));
        let Some(operation) = self.find_mut(id).filter(|operation| !operation.vanished) else {
            return Cancel::Unknown;
        };
        if matches!(operation.phase(now), Phase::Ended(..)) {
            return Cancel::Over;
        }
        operation.cancel(now, delay);
        Cancel::Accepted
    }

    /// Any operation, seen or not.
    #[must_use]
    pub fn find(&self, id: Uuid) -> Option<&Operation> {
        self.by_id.get(&id).and_then(|index| self.operations.get(*index))
    }

    /// Any operation, seen or not, to be changed.
    pub fn find_mut(&mut self, id: Uuid) -> Option<&mut Operation> {
        self.by_id.get(&id).and_then(|index| self.operations.get_mut(*index))
    }

    /// All operations, in the order of their submission.
    #[must_use]
    pub fn operations(&self) -> &[Operation] {
        &self.operations
    }
}

/// What became of a request to cancel.
#[derive(Debug, PartialEq, Eq)]
pub enum Cancel {
    /// It will be cancelled, unless it ends before.
    Accepted,
    /// It had ended.
    Over,
    /// There is no such operation.
    Unknown,
}

fn has_lagged(operation: &Operation, lag_millis: u64, now: Timestamp) -> bool {
    now.duration_since(operation.submitted).as_millis() >= i128::from(lag_millis)
}

fn parts(settings: &ModelSettings) -> Arc<[Part]> {
    let mut parts = Vec::new();
    for table in &settings.tables {
        let name: Arc<str> = table.name.as_str().into();
        if table.partitions.is_empty() {
            parts.push(Part { table: Arc::clone(&name), partition: Arc::clone(&name) });
        }
        parts.extend(table.partitions.iter().map(|partition| Part { table: Arc::clone(&name), partition: partition.as_str().into() }));
    }
    parts.into()
}

fn not_found(object: &ObjectName) -> String {
    match &object.partition {
        Some(partition) => format!("The partition '{partition}' of the table '{}' cannot be found in the model.", object.table),
        None => format!("The table '{}' cannot be found in the model.", object.table),
    }
}

/// What the service says where the settings do not: assumed, after what users report.
fn default_messages(end: End) -> Vec<Message> {
    match end {
        End::Failed => vec![Message::error(
            "Failed to save modifications to the server. Error returned: 'The credentials provided for the data source are invalid.'",
        )],
        End::Succeeded | End::TimedOut | End::Cancelled => Vec::new(),
    }
}

#[cfg(test)]
#[path = "model_tests.rs"]
mod tests;
