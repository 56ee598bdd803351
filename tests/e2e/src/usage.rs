//! Resource usage of a process, as reported by Linux.

use std::time::Duration;

/// Resource usage of a process so far.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// User and system time together.
    pub cpu: Duration,
    /// Peak resident memory in KiB.
    pub peak_kib: u64,
    /// Current resident memory in KiB.
    pub resident_kib: u64,
}

impl Usage {
    /// Reads it for a process.
    #[must_use]
    pub fn of(pid: u32) -> Self {
        let read = |file: &str| std::fs::read_to_string(format!("/proc/{pid}/{file}")).expect("failed to read /proc, which needs Linux");
        let stat = read("stat");
        // The name in parentheses may contain spaces; user and system time are the 14th and 15th field.
        let after_name = stat.rsplit_once(") ").expect("the process has a name").1;
        let ticks: u64 = after_name.split(' ').skip(11).take(2).map(|ticks| ticks.parse::<u64>().expect("ticks are a number")).sum();
        let status = read("status");
        let memory = |name: &str| -> u64 {
            let value = status.lines().find_map(|line| line.strip_prefix(name)).expect("the status has it");
            value.trim().trim_end_matches(" kB").parse().expect("memory is a number")
        };
        // Linux reports times to user space in hundredths of a second on every architecture.
        Self { cpu: Duration::from_millis(ticks * 10), peak_kib: memory("VmHWM:"), resident_kib: memory("VmRSS:") }
    }
}
