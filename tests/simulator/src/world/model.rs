//! One model: its settings, its operations, and the service's rules for them. Pure: the time is a parameter.

use std::{collections::HashMap, sync::Arc};

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use uuid::Uuid;

use super::{
    millis,
    operation::{Client, Operation, Part, Phase, Plan},
    scale_out::ScaleOut,
    settings::{End, ListOrder, Message, ModelSettings, Outcome},
    syncs::Syncs,
    task::{ObjectName, Origin, Task},
    timestamp::TimestampStyle,
    verbatim::{self, Clock, Scripted},
};

/// Documented time for which operations are listed.
const RETENTION: SignedDuration = SignedDuration::from_hours(30 * 24);

/// A model and all operations on it.
pub struct Model {
    /// Its syncs, if it is in Analysis Services.
    pub syncs: Syncs,
    /// Its replicas, if it is in Power BI.
    pub scale_out: ScaleOut,
    settings: ModelSettings,
    whole: Arc<[Part]>,
    operations: Vec<Operation>,
    by_id: HashMap<Uuid, usize>,
    outcomes_used: usize,
    // The first POST since the rows of its list were set.
    post: Option<Timestamp>,
}

/// The operation in progress: only one can run at a time.
#[derive(Debug, PartialEq, Eq)]
pub struct Busy(pub Uuid);

impl Model {
    /// A model without operations.
    #[must_use]
    pub fn new(mut settings: ModelSettings, now: Timestamp) -> Self {
        settings.pin(now);
        let whole = parts(&settings);
        Self {
            syncs: Syncs::default(),
            scale_out: ScaleOut::new(now),
            settings,
            whole,
            operations: Vec::new(),
            by_id: HashMap::new(),
            outcomes_used: 0,
            post: None,
        }
    }

    /// Its settings.
    #[must_use]
    pub fn settings(&self) -> &ModelSettings {
        &self.settings
    }

    /// Changes its settings. Accepted operations continue as planned; a new sequence of outcomes starts from its beginning. Only pausing
    /// or resuming a capacity affects the operation in progress.
    pub fn set(&mut self, mut settings: ModelSettings, restart_outcomes: bool, now: Timestamp) {
        settings.pin(now);
        if settings.rows != self.settings.rows {
            self.post = None;
        }
        self.whole = parts(&settings);
        self.settings = settings;
        if self.settings.power_bi_ids().is_some() {
            let (paused, limit) = (self.settings.paused, millis(self.settings.power_bi.pause_limit_millis));
            for operation in self.operations.iter_mut().rev().take(2) {
                if paused { operation.pause(now, limit) } else { operation.resume(now) }
            }
        }
        if restart_outcomes {
            self.syncs.restart_outcomes();
            self.outcomes_used = 0;
        }
    }

    /// The server's clock.
    #[must_use]
    pub fn server_time(&self, time: Timestamp) -> Timestamp {
        self.settings.server_time(time)
    }

    /// The operation that occupies the model, visible or not.
    #[must_use]
    pub fn running(&self, now: Timestamp) -> Option<&Operation> {
        // At most one operation runs, and at most one more is queued.
        self.operations.iter().rev().take(2).find(|operation| !matches!(operation.phase(now), Phase::Ended(..)))
    }

    /// Starts the queued operation if its turn has come. Must be called before any read.
    pub fn settle(&mut self, now: Timestamp) {
        if let [.., before, last] = self.operations.as_mut_slice()
            && last.is_queued()
            && let Phase::Ended(at, _) = before.phase(now)
        {
            last.begin_after(at.max(last.submitted));
        }
    }

    /// Accepts a refresh, unless one is in progress.
    ///
    /// # Errors
    /// [`Busy`] with the operation in progress.
    pub fn submit(&mut self, client: Client, task: Task, outcome: Option<Outcome>, sequence: u64, now: Timestamp) -> Result<Uuid, Busy> {
        if let Some(running) = self.running(now) {
            return Err(Busy(running.id));
        }
        let operation = self.operation(client, task, outcome, sequence, now);
        Ok(self.add(operation))
    }

    /// Queues a refresh behind the one in progress; the queue has one place.
    ///
    /// # Errors
    /// [`Busy`] with the queued operation.
    pub fn enqueue(&mut self, client: Client, task: Task, sequence: u64, now: Timestamp) -> Result<Uuid, Busy> {
        let waits = |operation: &&Operation| operation.is_queued() && !matches!(operation.phase(now), Phase::Ended(..));
        if let Some(waiting) = self.operations.last().filter(waits) {
            return Err(Busy(waiting.id));
        }
        let operation = self.operation(client, task, None, sequence, now).in_queue();
        Ok(self.add(operation))
    }

    /// Number of refreshes that the API accepted in the 24 hours before `now`.
    #[must_use]
    pub fn accepted_in_a_day(&self, now: Timestamp) -> usize {
        let day = SignedDuration::from_hours(24);
        let by_api = |operation: &&Operation| match operation.task.origin {
            Origin::ViaApi | Origin::ViaEnhancedApi => now.duration_since(operation.submitted) < day,
            Origin::OnDemand | Origin::Scheduled => false,
        };
        self.operations.iter().filter(by_api).count()
    }

    fn operation(&mut self, client: Client, task: Task, outcome: Option<Outcome>, sequence: u64, now: Timestamp) -> Operation {
        let outcome = outcome.unwrap_or_else(|| self.next_outcome());
        let (parts, unknown) = self.resolve(&task.objects);
        let plan = self.plan(&task, outcome, unknown);
        Operation::new(Uuid::new_v4(), client, task, parts, now, sequence, plan)
    }

    fn add(&mut self, operation: Operation) -> Uuid {
        let id = operation.id;
        self.by_id.insert(id, self.operations.len());
        self.operations.push(operation);
        id
    }

    fn next_outcome(&mut self) -> Outcome {
        let next = self.settings.outcomes.get(self.outcomes_used).cloned();
        if next.is_some() {
            self.outcomes_used += 1;
        }
        next.unwrap_or_else(|| self.settings.outcome.clone())
    }

    /// The partitions of `objects`, and the first object that the model does not have.
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
        let not_started = millis(outcome.not_started_millis.unwrap_or(settings.not_started_millis));
        let mut attempt = millis(outcome.duration_millis.unwrap_or(settings.duration_millis));
        // It is accepted nevertheless, and fails when the engine resolves the object.
        let doomed = unknown.map(|object| not_found(&object)).or_else(|| self.unsupported(task));
        if let Some(sentence) = doomed {
            return Plan {
                not_started,
                attempt: SignedDuration::ZERO,
                attempts: 1,
                end: End::Failed,
                messages: vec![Message::error(sentence)],
                failed_objects: Vec::new(),
                limit: None,
            };
        }
        let planned_failures = outcome.failed_attempts.unwrap_or(match outcome.status {
            End::Failed | End::TimedOut => u32::MAX,
            End::Succeeded | End::Cancelled | End::Disabled => 0,
        });
        let power_bi = settings.power_bi_ids().map(|_| &settings.power_bi);
        let attempt_limit = power_bi.map(|limits| task.timeout.unwrap_or_else(|| millis(limits.attempt_limit_millis)));
        let limit = power_bi.map(|limits| millis(limits.total_limit_millis));
        let mut status = outcome.status;
        let mut planned_failures = planned_failures;
        if let Some(limit) = attempt_limit.filter(|limit| *limit < attempt) {
            (attempt, status, planned_failures) = (limit, End::TimedOut, u32::MAX);
        }
        let retries = task.retry_count.saturating_add(outcome.internal_retries.unwrap_or_default());
        let (attempts, end) = if planned_failures > retries {
            let end = if status == End::TimedOut { End::TimedOut } else { End::Failed };
            (retries.saturating_add(1), end)
        } else {
            (planned_failures.saturating_add(1), status)
        };
        let messages = outcome.messages.or_else(|| settings.messages.clone()).unwrap_or_else(|| default_messages(end));
        let failed_objects = outcome.failed_objects.unwrap_or_else(|| settings.failed_objects.clone());
        Plan { not_started, attempt, attempts, end, messages, failed_objects, limit }
    }

    /// The unsupported combination of parameters in a task, if any. (Documented for Power BI.)
    #[must_use]
    pub fn unsupported(&self, task: &Task) -> Option<String> {
        if self.settings.power_bi_ids().is_none() || !task.apply_refresh_policy {
            return None;
        }
        if task.partial_batch {
            return Some("Applying the refresh policy is not supported with the commit mode 'PartialBatch'.".to_owned());
        }
        let incremental = |object: &&ObjectName| {
            let policies = &self.settings.power_bi.incremental_tables;
            object.partition.is_some() && policies.iter().any(|table| table.to_lowercase() == object.table.to_lowercase())
        };
        task.objects
            .iter()
            .find(incremental)
            .map(|object| format!("A partition of the table '{}' cannot be refreshed while its refresh policy is applied.", object.table))
    }

    /// The operation that GET shows for `id`.
    #[must_use]
    pub fn shown(&self, id: Uuid, now: Timestamp) -> Option<&Operation> {
        let lag = self.settings.get_lag_millis;
        self.find(id).filter(|operation| !operation.vanished && has_lagged(operation, lag, now))
    }

    /// The operations in the list, in its order.
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
            // Ids are random, and so is their order.
            ListOrder::Shuffled => listed.sort_unstable_by_key(|operation| operation.id),
        }
        listed
    }

    /// Records a POST for the model, whatever its result.
    pub fn posted(&mut self, now: Timestamp) {
        self.post.get_or_insert(now);
    }

    /// The timestamp format of verbatim rows and bodies.
    #[must_use]
    pub fn clock(&self, style: TimestampStyle) -> Clock {
        Clock { post: self.post, style, skew: SignedDuration::from_millis(self.settings.clock_skew_millis) }
    }

    /// The rows of the list, from those of its operations.
    #[must_use]
    pub fn rows(&self, own: impl Iterator<Item = impl Serialize>, style: TimestampStyle) -> Vec<String> {
        let clock = self.clock(style);
        let own = own.map(|row| self.settings.row_patch.applied_to(&row, &clock)).collect();
        verbatim::rows(&self.settings.rows, own, &clock)
    }

    /// The configured response to GET of an id, in place of the service's details.
    #[must_use]
    pub fn scripted(&self, id: &str) -> Option<&Scripted> {
        let details = &self.settings.details;
        let named = details.iter().find(|(name, _)| name.eq_ignore_ascii_case(id)).map(|(_, response)| response);
        named.or_else(|| details.get("*"))
    }

    /// Requests the cancellation of `id`.
    pub fn cancel(&mut self, id: Uuid, now: Timestamp) -> Cancel {
        let delay = millis(self.settings.cancel_millis);
        let Some(operation) = self.find_mut(id).filter(|operation| !operation.vanished) else {
            return Cancel::Unknown;
        };
        if matches!(operation.phase(now), Phase::Ended(..)) {
            return Cancel::Over;
        }
        operation.cancel(now, delay);
        Cancel::Accepted
    }

    /// Starts a sync of a semantic model's replicas, or returns the one in progress.
    pub fn sync_replicas(&mut self, client: Client, sequence: u64, now: Timestamp) -> Uuid {
        self.scale_out.sync(client, &self.operations, &self.settings.scale_out, sequence, now)
    }

    /// Any operation, visible or not.
    #[must_use]
    pub fn find(&self, id: Uuid) -> Option<&Operation> {
        self.by_id.get(&id).and_then(|index| self.operations.get(*index))
    }

    /// Any operation, visible or not, for a change.
    pub fn find_mut(&mut self, id: Uuid) -> Option<&mut Operation> {
        self.by_id.get(&id).and_then(|index| self.operations.get_mut(*index))
    }

    /// All operations, in the order of their submission.
    #[must_use]
    pub fn operations(&self) -> &[Operation] {
        &self.operations
    }
}

/// The result of a cancel request.
#[derive(Debug, PartialEq, Eq)]
pub enum Cancel {
    /// It will be cancelled, unless it ends earlier.
    Accepted,
    /// It had already ended.
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

/// The service's messages if the settings have none: assumed, based on reports of users.
fn default_messages(end: End) -> Vec<Message> {
    match end {
        End::Failed => vec![Message::error(
            "Failed to save modifications to the server. Error returned: 'The credentials provided for the data source are invalid.'",
        )],
        End::Succeeded | End::TimedOut | End::Cancelled | End::Disabled => Vec::new(),
    }
}

#[cfg(test)]
#[path = "model_tests.rs"]
mod tests;
