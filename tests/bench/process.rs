//! What a process has used so far, as Linux tells it.

use std::time::Duration;

/// What a process has used.
pub struct Usage {
    /// User and system time together.
    pub cpu: Duration,
    /// The largest memory that it had at once, in MiB.
    pub peak_mib: f64,
}

impl Usage {
    /// Reads it for a process.
    pub fn of(pid: u32) -> Self {
        let read = |file: &str| std::fs::read_to_string(format!("/proc/{pid}/{file}")).expect("the benchmark needs Linux's /proc");
        let stat = read("stat");
        // The name in parentheses may hold blanks; user and system time are the 14th and 15th field of all.
        let after_name = stat.rsplit_once(") ").expect("it has a name").1;
        let ticks: u64 = after_name.split(' ').skip(11).take(2).map(|ticks| ticks.parse::<u64>().expect("ticks are a number")).sum();
        let status = read("status");
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("it has a peak");
        let kib: f64 = peak.trim().trim_end_matches(" kB").parse().expect("the peak is a number");
        // Linux gives times to user space in hundredths of a second on every architecture.
        Self { cpu: Duration::from_millis(ticks * 10), peak_mib: kib / 1024.0 }
    }
}
