//! The CPU time of this process and of those that it has started, also of those that have ended.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

/// One process, as Linux reports it.
struct Process {
    id: u32,
    parent: u32,
    /// User and system time in hundredths of a second, with that of its ended children.
    ticks: u64,
}

/// The CPU time so far.
pub fn cpu() -> Duration {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let all: Vec<Process> = entries.filter_map(|entry| Process::read(entry.file_name().to_str()?)).collect();
    let mut ours = BTreeSet::from([std::process::id()]);
    // A child may have a smaller id than its parent.
    loop {
        let children: Vec<u32> = all.iter().filter(|each| ours.contains(&each.parent)).map(|each| each.id).collect();
        let before = ours.len();
        ours.extend(children);
        if ours.len() == before {
            break;
        }
    }
    let ticks: u64 = all.iter().filter(|each| ours.contains(&each.id)).map(|each| each.ticks).sum();
    Duration::from_millis(ticks * 10)
}

impl Process {
    /// `None` if it has ended, or if this is no process.
    fn read(id: &str) -> Option<Self> {
        let id: u32 = id.parse().ok()?;
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        // The name in parentheses may contain spaces. The parent is the 4th field, and the four times begin with the 14th.
        let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
        let times = fields.get(11..15)?.iter().map(|ticks| ticks.parse::<u64>().ok());
        Some(Self { id, parent: fields.get(1)?.parse().ok()?, ticks: times.sum::<Option<u64>>()? })
    }
}
