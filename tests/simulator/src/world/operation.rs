//! One refresh as a function of the clock. It is planned when it is accepted; every read passes the time.
//!
//! Nothing runs in the background, so ten thousand running operations cost only their memory.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use uuid::Uuid;

use super::{
    later,
    settings::{End, FailedObject, Message},
    task::Task,
};

/// Maximum number of attempts shown.
const MAX_ATTEMPTS: u32 = 100;

/// A partition that an operation processes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Part {
    /// The table's name.
    pub table: Arc<str>,
    /// The partition's name.
    pub partition: Arc<str>,
}

/// The client that started an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Client {
    /// An application with a token.
    Application(Arc<str>),
    /// The control API, which acts as another client.
    Control,
}

/// The course of an operation unless its end is forced.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How long it is `notStarted`.
    pub not_started: SignedDuration,
    /// The duration of one attempt.
    pub attempt: SignedDuration,
    /// The number of attempts until the end.
    pub attempts: u32,
    /// The end.
    pub end: End,
    /// The messages of a failure.
    pub messages: Vec<Message>,
    /// The objects that fail. Empty: those in progress at the end.
    pub failed_objects: Vec<FailedObject>,
    /// The maximum duration of all attempts.
    pub limit: Option<SignedDuration>,
}

/// An unplanned end.
#[derive(Clone, Debug)]
struct ForcedEnd {
    at: Timestamp,
    end: End,
    messages: Vec<Message>,
}

/// One refresh.
#[derive(Clone, Debug)]
pub struct Operation {
    /// Its id.
    pub id: Uuid,
    /// The client that submitted it.
    pub client: Client,
    /// The requested task.
    pub task: Task,
    /// The partitions that the task resolves to.
    pub parts: Arc<[Part]>,
    /// When it was accepted.
    pub submitted: Timestamp,
    /// The sequence number of its submission in the ledger.
    pub sequence: u64,
    /// The time of the first cancel request.
    pub cancel_requested: Option<Timestamp>,
    /// Whether GET and the list no longer show it.
    pub vanished: bool,
    plan: Plan,
    forced_ends: Vec<ForcedEnd>,
    /// It waits for the end of another operation, which determines its start.
    queued: bool,
    pause: Option<Pause>,
}

/// A period in which it is suspended.
#[derive(Clone, Copy, Debug)]
struct Pause {
    since: Timestamp,
    /// The time at which it times out if it is still suspended.
    limit: Timestamp,
}

/// The phase of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Accepted, not started.
    NotStarted,
    /// In progress.
    InProgress,
    /// Ended at this time, with this result.
    Ended(Timestamp, End),
}

impl Phase {
    /// The service's status value.
    #[must_use]
    pub fn status(self) -> Status {
        match self {
            Self::NotStarted => Status::NotStarted,
            Self::InProgress => Status::InProgress,
            Self::Ended(_, End::Succeeded) => Status::Succeeded,
            Self::Ended(_, End::Failed) => Status::Failed,
            Self::Ended(_, End::TimedOut) => Status::TimedOut,
            Self::Ended(_, End::Cancelled) => Status::Cancelled,
            Self::Ended(_, End::Disabled) => Status::Disabled,
        }
    }
}

/// The documented status values, of an operation or of an object. Only Power BI has `Disabled`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub enum Status {
    NotStarted,
    InProgress,
    TimedOut,
    Cancelled,
    Failed,
    Succeeded,
    Disabled,
}

impl Operation {
    /// Accepts `task` at `submitted`.
    #[must_use]
    pub fn new(id: Uuid, client: Client, task: Task, parts: Arc<[Part]>, submitted: Timestamp, sequence: u64, plan: Plan) -> Self {
        Self {
            id,
            client,
            task,
            parts,
            submitted,
            sequence,
            cancel_requested: None,
            vanished: false,
            plan,
            forced_ends: Vec::new(),
            queued: false,
            pause: None,
        }
    }

    /// Queues it until [`Self::begin_after`] is called.
    #[must_use]
    pub fn in_queue(mut self) -> Self {
        self.queued = true;
        self
    }

    /// Whether it is queued.
    #[must_use]
    pub fn is_queued(&self) -> bool {
        self.queued
    }

    /// Its turn comes at this time.
    pub fn begin_after(&mut self, turn: Timestamp) {
        self.queued = false;
        self.plan.not_started = self.plan.not_started.saturating_add(turn.duration_since(self.submitted));
    }

    /// Suspends it at `now`. After `limit` it times out.
    pub fn pause(&mut self, now: Timestamp, limit: SignedDuration) {
        if self.pause.is_none() && !matches!(self.phase(now), Phase::Ended(..)) {
            self.pause = Some(Pause { since: now, limit: later(now, limit) });
        }
    }

    /// Resumes it, unless it has timed out.
    pub fn resume(&mut self, now: Timestamp) {
        if let Some(Pause { since, limit }) = self.pause
            && now < limit
        {
            self.pause = None;
            self.plan.not_started = self.plan.not_started.saturating_add(now.duration_since(since));
        }
    }

    /// The time at which it starts.
    fn started(&self) -> Timestamp {
        if self.queued { Timestamp::MAX } else { later(self.submitted, self.plan.not_started) }
    }

    /// The time, result and messages of its end: the planned one, or an earlier one.
    fn ending(&self) -> (Timestamp, End, &[Message]) {
        let attempts = i32::try_from(self.plan.attempts).unwrap_or(i32::MAX);
        let length = self.plan.attempt.saturating_mul(attempts);
        let mut planned = match self.plan.limit.filter(|limit| *limit < length) {
            Some(limit) => (later(self.started(), limit), End::TimedOut, &[][..]),
            None => (later(self.started(), length), self.plan.end, self.plan.messages.as_slice()),
        };
        if let Some(Pause { limit, .. }) = self.pause {
            planned = (limit, End::TimedOut, &[][..]);
        }
        self.forced_ends.iter().fold(
            planned,
            |earliest, other| {
                if other.at < earliest.0 { (other.at, other.end, &other.messages) } else { earliest }
            },
        )
    }

    /// Its phase.
    #[must_use]
    pub fn phase(&self, now: Timestamp) -> Phase {
        let (at, end, _) = self.ending();
        if now >= at {
            Phase::Ended(at, end)
        } else if self.working_time(now) >= self.started() {
            Phase::InProgress
        } else {
            Phase::NotStarted
        }
    }

    /// `now`, or the time at which it was suspended.
    fn working_time(&self, now: Timestamp) -> Timestamp {
        self.pause.map_or(now, |pause| now.min(pause.since))
    }

    /// The start and end times of the started attempts.
    #[must_use]
    pub fn attempts(&self, now: Timestamp) -> Vec<(Timestamp, Option<Timestamp>)> {
        let over = match self.phase(now) {
            Phase::NotStarted => return Vec::new(),
            Phase::InProgress => None,
            Phase::Ended(at, _) if at < self.started() => return Vec::new(),
            Phase::Ended(at, _) => Some(at),
        };
        let seen = self.working_time(over.unwrap_or(now));
        let mut attempts = Vec::new();
        let mut start = self.started();
        for left in (0..self.plan.attempts.min(MAX_ATTEMPTS)).rev() {
            let end = later(start, self.plan.attempt);
            if end > seen || left == 0 {
                attempts.push((start, over));
                break;
            }
            attempts.push((start, Some(end)));
            start = end;
        }
        attempts
    }

    /// The messages of its end, once it has ended.
    #[must_use]
    pub fn messages(&self, now: Timestamp) -> &[Message] {
        let (at, end, messages) = self.ending();
        if now >= at && end != End::Succeeded { messages } else { &[] }
    }

    /// Requests its cancellation, which takes effect after `delay`. Has no effect after the end; a repeated request does not postpone it.
    pub fn cancel(&mut self, now: Timestamp, delay: SignedDuration) {
        if self.cancel_requested.is_none() && !matches!(self.phase(now), Phase::Ended(..)) {
            self.cancel_requested = Some(now);
            self.forced_ends.push(ForcedEnd { at: later(now, delay), end: End::Cancelled, messages: Vec::new() });
        }
    }

    /// Ends it now, unless it has ended.
    pub fn end(&mut self, now: Timestamp, end: End, messages: Vec<Message>) {
        self.forced_ends.push(ForcedEnd { at: now, end, messages });
    }

    /// Its objects and their statuses. Before the start there are none, as captured.
    pub fn progress(&self, now: Timestamp) -> impl Iterator<Item = (&Part, Status)> {
        let phase = self.phase(now);
        let (at, end, _) = self.ending();
        let seen = if phase == Phase::NotStarted || at < self.started() { 0 } else { self.parts.len() };
        let wave = self.wave(self.working_time(now.min(at)));
        let size = self.wave_size();
        let failing_wave = self.first_failing_wave();
        self.parts.iter().enumerate().take(seen).map(move |(index, part)| {
            let of_part = index / size;
            let status = match (phase, end) {
                (Phase::NotStarted | Phase::InProgress, _) => match of_part.cmp(&wave) {
                    std::cmp::Ordering::Less => Status::Succeeded,
                    std::cmp::Ordering::Equal => Status::InProgress,
                    std::cmp::Ordering::Greater => Status::NotStarted,
                },
                (Phase::Ended(..), End::Succeeded) => Status::Succeeded,
                (Phase::Ended(..), End::Failed) => self.after_failure(part, of_part, failing_wave.unwrap_or(wave)),
                // A committed batch stays; a transaction is rolled back as a whole.
                (Phase::Ended(..), End::TimedOut | End::Cancelled | End::Disabled) if self.task.partial_batch && of_part < wave => {
                    Status::Succeeded
                }
                (Phase::Ended(..), End::TimedOut) => Status::TimedOut,
                (Phase::Ended(..), End::Cancelled) => Status::Cancelled,
                (Phase::Ended(..), End::Disabled) => Status::Disabled,
            };
            (part, status)
        })
    }

    /// The status of an object after a failure in wave `failing`: the named objects, or those in progress, have failed. The others were
    /// rolled back, or keep their status if each batch is committed.
    fn after_failure(&self, part: &Part, of_part: usize, failing: usize) -> Status {
        let failed = if self.plan.failed_objects.is_empty() { of_part == failing } else { self.fails(part) };
        match (failed, self.task.partial_batch) {
            (true, _) => Status::Failed,
            (false, true) if of_part < failing => Status::Succeeded,
            (false, true) if of_part > failing => Status::NotStarted,
            (false, _) => Status::Cancelled,
        }
    }

    fn fails(&self, part: &Part) -> bool {
        let same = |a: &str, b: &str| a.to_lowercase() == b.to_lowercase();
        self.plan.failed_objects.iter().any(|failed| {
            same(&failed.table, &part.table) && failed.partition.as_ref().is_none_or(|partition| same(partition, &part.partition))
        })
    }

    fn first_failing_wave(&self) -> Option<usize> {
        if self.plan.failed_objects.is_empty() {
            return None;
        }
        self.parts.iter().position(|part| self.fails(part)).map(|index| index / self.wave_size())
    }

    /// Number of objects processed concurrently.
    fn wave_size(&self) -> usize {
        usize::try_from(self.task.max_parallelism).unwrap_or(usize::MAX).max(1)
    }

    /// The wave of objects that an attempt processes at `now`: all waves take the same time.
    fn wave(&self, now: Timestamp) -> usize {
        let waves = self.parts.len().div_ceil(self.wave_size()).max(1);
        let attempt = self.plan.attempt.as_nanos().max(1);
        let elapsed = now.duration_since(self.started()).as_nanos().max(0);
        let over = elapsed >= attempt.saturating_mul(i128::from(self.plan.attempts));
        let within = if over { attempt - 1 } else { elapsed % attempt };
        let wave = within.saturating_mul(i128::try_from(waves).unwrap_or(i128::MAX)) / attempt;
        usize::try_from(wave).unwrap_or(usize::MAX).min(waves - 1)
    }
}

#[cfg(test)]
#[path = "operation_tests.rs"]
mod tests;
