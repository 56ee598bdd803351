//! The comparison of both programs.

use crate::figures::Figures;
use crate::setup::milliseconds;
use crate::table::Target::{AtMost, None as Untold};
use crate::table::{self, comparison, comparison_head};

/// Targets of the operator's CPU, relative to the reference.
const CPU_PER_POLL: f64 = 0.4;
const CPU_PER_RUN: f64 = 0.8;

/// Prints the figures of both programs for `count` resources. The numbers of requests show that both did the same work.
pub fn print(count: usize, operator: &Figures, reference: &Figures) {
    let both = |figure: fn(&Figures) -> f64| (figure(operator), figure(reference));
    let per_run = |number: fn(&Figures) -> f64| (number(operator) / count as f64, number(reference) / count as f64);
    comparison_head(&format!("{count} resources, compared"));
    comparison("CPU per run", both(|of| milliseconds(of.burst.cpu_per_run)), table::CPU, AtMost(CPU_PER_RUN));
    comparison("CPU per poll", both(|of| milliseconds(of.polling.cpu_per_poll)), table::CPU, AtMost(CPU_PER_POLL));
    comparison("whole runs", both(|of| of.burst.per_second), table::PER_SECOND, Untold);
    comparison("… relative to the bare writes", both(Figures::complete_runs), table::RATIO, Untold);
    comparison("writes of the status and the finalizer per run", per_run(|of| of.burst.requests.writes as f64), table::PER_RUN, Untold);
    comparison("events per run", per_run(|of| of.burst.requests.events as f64), table::PER_RUN, Untold);
    comparison("submissions per run", per_run(|of| of.burst.requests.submissions as f64), table::PER_RUN, Untold);
    comparison("polls per run", per_run(|of| of.burst.requests.polls as f64), table::PER_RUN, Untold);
    comparison("polls while all are running", both(|of| of.polling.polls_per_second), table::PER_SECOND, Untold);
    comparison("writes while all are running", both(|of| of.polling.writes_per_second), table::PER_SECOND, Untold);
    comparison("delay of a due poll: p50", both(|of| of.polling.delay.p50), table::MILLISECONDS, Untold);
    comparison("… p99", both(|of| of.polling.delay.p99), table::MILLISECONDS, Untold);
    comparison("peak memory while all of them run once", both(|of| of.burst.peak_mib), table::MIB, Untold);
    comparison("… of another process, all ended", both(|of| of.idle_mib), table::MIB, Untold);
    comparison("… while all are running", both(|of| of.polling.peak_mib), table::MIB, Untold);
    comparison("… of a process that takes over", both(|of| of.polling.takeover.peak_mib), table::MIB, Untold);
    comparison("takeover: all polled after the start", both(|of| of.polling.takeover.all_polled.as_secs_f64()), table::SECONDS, Untold);
    comparison("… operations submitted", both(|of| of.polling.takeover.submissions as f64), table::COUNT, Untold);
}
