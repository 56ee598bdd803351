//! The progress of an operation, bounded in size.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use crate::api::{FailedObject, MAX_RUN_MESSAGES, Message, Progress, Run, TableProgress, Time};
use crate::engine::{DecisionMemory, TableTimes, text};
use crate::operation::{Operation, Phase, ServiceMessage};

/// The most tables that are shown individually.
const TABLES: usize = 20;
/// The most tables whose times are remembered.
const TIMED_TABLES: usize = 1000;
/// The most failed objects that are shown.
const FAILED_OBJECTS: usize = 20;

/// What an operation shows of the objects of one table.
#[derive(Clone, Copy, Debug, Default)]
struct Table {
    total: i32,
    completed: i32,
    failed: i32,
    not_started: i32,
}

/// What a user looks for first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    WithFailures,
    InProgress,
    Waiting,
    Done,
}

impl Table {
    fn has_ended(self) -> bool {
        self.completed + self.failed == self.total
    }

    fn rank(self) -> Rank {
        match self {
            _ if self.failed > 0 => Rank::WithFailures,
            _ if self.has_ended() => Rank::Done,
            _ if self.not_started == self.total => Rank::Waiting,
            _ => Rank::InProgress,
        }
    }
}

/// Remembers the tables that this poll is the first to show as started or ended.
pub(super) fn observe(memory: &mut DecisionMemory, run: &Run, operation: &Operation, now: Timestamp) {
    if operation.objects.is_empty() {
        return;
    }
    let mut known = memory.tables.take().unwrap_or_else(|| Arc::new(recorded_times(run)));
    for (name, table) in tables(operation) {
        // Most names are shown as they are, so the bounded name is rarely needed.
        let bounded = if known.contains_key(name) { None } else { Some(text::bounded(name, text::NAME)) };
        let name = bounded.as_deref().unwrap_or(name);
        let before = known.get(name).copied();
        let is_started = table.not_started < table.total;
        let (start, end) = before.unwrap_or_default();
        // Another attempt of the service starts ended objects again.
        let after = if is_started || start.is_some() {
            (start.or(Some(Time::from(now))), if table.has_ended() { end.or(Some(Time::from(now))) } else { None })
        } else {
            (None, None)
        };
        let is_full = before.is_none() && known.len() >= TIMED_TABLES;
        if (start, end) != after && !is_full {
            Arc::make_mut(&mut known).insert(name.to_owned(), after);
        }
    }
    memory.tables = Some(known);
}

/// The times that the status has, for after a restart.
fn recorded_times(run: &Run) -> TableTimes {
    let tables = run.progress.iter().flat_map(|progress| &progress.tables);
    tables.filter(|table| table.started_time.is_some()).map(|table| (table.name.clone(), (table.started_time, table.ended_time))).collect()
}

/// Records what an operation shows of its state, its progress, its failed objects and its messages.
pub(super) fn record(run: &mut Run, operation: &Operation, times: Option<&TableTimes>) {
    // Some responses have no objects: the recorded ones stay.
    if !operation.objects.is_empty() {
        run.progress = Some(progress(operation, times));
        run.failed_objects = failed(operation);
    }
    run.service_state = Some(text::bounded(&operation.service_status, text::WORD)).filter(|value| !value.is_empty());
    if !operation.messages.is_empty() {
        run.messages = messages(operation);
    }
    if operation.activity_id.is_some() && run.activity_id.is_none() {
        run.activity_id = operation.activity_id.as_deref().map(|id| text::bounded(id, text::WORD));
    }
}

/// Whether the run has changed by more than the times and the order of its tables, which alone are not worth a write.
pub(super) fn is_worth_a_write(run: &mut Run, before: &Run) -> bool {
    let counts = |run: &Run| run.progress.as_ref().map(|progress| (progress.total, progress.completed, progress.failed));
    if counts(run) != counts(before) {
        return true;
    }
    let newer = std::mem::replace(&mut run.progress, before.progress.clone());
    let differs = *run != *before;
    if differs {
        run.progress = newer;
    }
    differs
}

fn tables(operation: &Operation) -> BTreeMap<&str, Table> {
    let mut tables: BTreeMap<&str, Table> = BTreeMap::new();
    for object in &operation.objects {
        let table = tables.entry(&object.name.table).or_default();
        table.total = table.total.saturating_add(1);
        let count = match object.phase {
            Phase::Succeeded => &mut table.completed,
            Phase::Failed | Phase::TimedOut | Phase::Cancelled => &mut table.failed,
            Phase::NotStarted => &mut table.not_started,
            Phase::InProgress => continue,
        };
        *count = count.saturating_add(1);
    }
    tables
}

fn progress(operation: &Operation, times: Option<&TableTimes>) -> Progress {
    let tables = tables(operation);
    let sum = |count: fn(&Table) -> i32| tables.values().map(count).sum();
    let (total, completed, failed) = (sum(|table| table.total), sum(|table| table.completed), sum(|table| table.failed));
    let table_count = i32::try_from(tables.len()).unwrap_or(i32::MAX);
    let shown = |(name, table): (&str, Table)| {
        let name = text::bounded(name, text::NAME);
        let (started_time, ended_time) = times.and_then(|times| times.get(&name)).copied().unwrap_or_default();
        let progress =
            TableProgress { name, total: table.total, completed: table.completed, failed: table.failed, started_time, ended_time };
        (table.rank(), progress)
    };
    let mut shown: Vec<_> = tables.into_iter().map(shown).collect();
    let seconds = |table: &TableProgress| table.ended_time.zip(table.started_time).map(|(end, start)| end.seconds_since(start));
    // Stable: equal tables stay in the order of their names.
    shown.sort_by_key(|(rank, table)| (*rank, Reverse(seconds(table).filter(|_| *rank == Rank::Done))));
    Progress {
        summary: format!("{completed}/{total}"),
        total,
        completed,
        failed,
        table_count,
        tables: shown.into_iter().take(TABLES).map(|(_, table)| table).collect(),
    }
}

fn failed(operation: &Operation) -> Vec<FailedObject> {
    let failed = operation.objects.iter().filter(|object| object.phase.failed()).take(FAILED_OBJECTS);
    failed
        .map(|object| FailedObject {
            table: text::bounded(&object.name.table, text::NAME),
            partition: object.name.partition.as_deref().map(|name| text::bounded(name, text::NAME)),
            status: text::bounded(&object.service_status, text::WORD),
        })
        .collect()
}

/// The first messages, each with its count. The service lists causes before their consequences.
fn messages(operation: &Operation) -> Vec<Message> {
    let message = |message: &ServiceMessage| {
        let times = Message::count_suffix(message.times);
        Message {
            r#type: text::bounded(&message.severity, text::WORD),
            code: message.code.as_deref().map(|code| text::bounded(code, text::WORD)),
            message: text::bounded(&message.text, text::SENTENCE - times.len()) + &times,
        }
    };
    operation.messages.iter().take(MAX_RUN_MESSAGES).map(message).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::operation::{ObjectName, ObjectProgress, OperationId};

    fn run() -> Run {
        let run = json!({
            "number": 1, "trigger": {"type": "Creation"}, "attempt": 1, "state": "Running", "requestDigest": "d", "model": {},
            "requestedTime": "2026-01-01T00:00:00Z",
        });
        serde_json::from_value(run).unwrap()
    }

    fn operation(objects: &[(&str, Phase)]) -> Operation {
        let object = |(table, phase): &(&str, Phase)| ObjectProgress {
            name: ObjectName { table: (*table).to_owned(), partition: None },
            phase: *phase,
            service_status: format!("{phase:?}"),
        };
        let id = OperationId::parse("op-1").unwrap();
        Operation { objects: objects.iter().map(object).collect(), ..Operation::new(id, Phase::InProgress, "inProgress".to_owned()) }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_767_225_600 + second).unwrap()
    }

    /// The tables after polls at these seconds, each as name, failed, start and end.
    fn polled(
        run: &mut Run,
        memory: &mut DecisionMemory,
        polls: &[(i64, &[(&str, Phase)])],
    ) -> Vec<(String, i32, Option<i64>, Option<i64>)> {
        for (second, objects) in polls {
            observe(memory, run, &operation(objects), at(*second));
        }
        record(run, &operation(polls.last().unwrap().1), memory.tables.as_deref());
        let since = |time: Option<Time>| time.map(|time| time.seconds_since(Time::from(at(0))));
        let tables = &run.progress.as_ref().unwrap().tables;
        tables.iter().map(|it| (it.name.clone(), it.failed, since(it.started_time), since(it.ended_time))).collect()
    }

    #[test]
    fn table_times_are_of_first_poll_that_shows_them() {
        use Phase::{InProgress, NotStarted, Succeeded};
        let (mut run, mut memory) = (run(), DecisionMemory::default());
        let first: &[_] = &[("a", InProgress), ("a", NotStarted), ("b", NotStarted)];
        let second: &[_] = &[("a", Succeeded), ("a", Succeeded), ("b", NotStarted)];
        let tables = polled(
            &mut run,
            &mut memory,
            &[(0, &[("a", NotStarted), ("b", NotStarted)]), (5, first), (7, first), (9, second), (11, second)],
        );
        assert_eq!(tables, [("b".to_owned(), 0, None, None), ("a".to_owned(), 0, Some(5), Some(9))]);
        // After a restart the recorded times stay.
        let tables = polled(&mut run, &mut DecisionMemory::default(), &[(20, second)]);
        assert_eq!(tables[1], ("a".to_owned(), 0, Some(5), Some(9)));
        // The service starts the table again.
        let tables = polled(&mut run, &mut DecisionMemory::default(), &[(30, first)]);
        assert_eq!(tables[0], ("a".to_owned(), 0, Some(5), None));
    }

    #[test]
    fn tables_are_ordered_by_need_and_bounded() {
        use Phase::{Failed, InProgress, NotStarted, Succeeded};
        let (mut run, mut memory) = (run(), DecisionMemory::default());
        let start: &[_] = &[
            ("done-long", InProgress),
            ("done-short", NotStarted),
            ("waiting", NotStarted),
            ("running", NotStarted),
            ("failed", NotStarted),
        ];
        let middle: &[_] =
            &[("done-long", InProgress), ("done-short", InProgress), ("waiting", NotStarted), ("running", InProgress), ("failed", Failed)];
        let end: &[_] =
            &[("done-long", Succeeded), ("done-short", Succeeded), ("waiting", NotStarted), ("running", InProgress), ("failed", Failed)];
        let names: Vec<_> = polled(&mut run, &mut memory, &[(0, start), (4, middle), (6, end)]).into_iter().map(|table| table.0).collect();
        assert_eq!(names, ["failed", "running", "waiting", "done-long", "done-short"]);
        let names: Vec<String> = (0..30).map(|number| format!("t{number:02}")).collect();
        let many: Vec<_> = names.iter().map(|name| (name.as_str(), if name == "t29" { Failed } else { Succeeded })).collect();
        let tables = polled(&mut run, &mut DecisionMemory::default(), &[(0, &many)]);
        assert_eq!((tables.len(), tables[0].0.as_str(), tables[0].1, tables[1].0.as_str()), (TABLES, "t29", 1, "t00"));
        assert_eq!(run.progress.as_ref().unwrap().table_count, 30);
    }

    #[test]
    fn new_times_alone_are_not_written() {
        use Phase::{InProgress, NotStarted, Succeeded};
        let (mut run, mut memory) = (run(), DecisionMemory::default());
        polled(&mut run, &mut memory, &[(0, &[("a", InProgress), ("b", NotStarted)])]);
        let before = run.clone();
        polled(&mut run, &mut memory, &[(5, &[("a", InProgress), ("b", InProgress)])]);
        assert!(!is_worth_a_write(&mut run, &before) && run == before);
        polled(&mut run, &mut memory, &[(9, &[("a", Succeeded), ("b", InProgress)])]);
        assert!(is_worth_a_write(&mut run, &before));
        let tables = &run.progress.as_ref().unwrap().tables;
        assert_eq!((tables[0].name.as_str(), tables[0].started_time), ("b", Some(Time::from(at(5)))));
    }
}
