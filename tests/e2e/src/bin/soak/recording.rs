//! The samples of both replicas over the whole time, and the levels of a process in a quiet time.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::level::{self, Check};
use crate::replicas::{Leader, Replicas};
use crate::sample::Values;

/// The interval of samples.
const INTERVAL: Duration = Duration::from_secs(5);
/// The duration of the initial level: a watch is renewed each minute, the connections that it does not use are closed after 90 s, and the
/// last of them with the next renewal.
const INITIAL: Duration = Duration::from_secs(150);
/// The maximum duration of the final level.
const LONGEST: Duration = Duration::from_mins(6);
/// The age of values that the operator publishes every 15 s.
const PUBLISHED: Duration = Duration::from_secs(20);

/// One sample.
#[derive(Clone, Debug)]
pub struct Sample {
    /// The time since the start.
    pub at: Duration,
    pub process: Leader,
    pub leads: bool,
    pub values: Values,
}

/// All samples, and what happened when.
#[derive(Clone)]
pub struct Recording {
    began: Instant,
    samples: Arc<Mutex<Vec<Sample>>>,
    /// The quiet times.
    quiet: Arc<Mutex<Vec<(Duration, Duration)>>>,
}

impl Recording {
    /// Starts to take samples in the background.
    pub fn start(began: Instant, replicas: Arc<Replicas>) -> Self {
        let recording = Self { began, samples: Arc::default(), quiet: Arc::default() };
        let own = recording.clone();
        tokio::spawn(async move {
            let mut beat = tokio::time::interval(INTERVAL);
            beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                beat.tick().await;
                for (replica, (pid, scraper)) in replicas.processes().await.into_iter().enumerate() {
                    if let Some((values, leads)) = scraper.sample(pid).await {
                        let sample = Sample { at: own.began.elapsed(), process: Leader { replica, pid }, leads, values };
                        own.samples.lock().unwrap_or_else(PoisonError::into_inner).push(sample);
                    }
                }
            }
        });
        recording
    }

    pub fn samples(&self) -> Vec<Sample> {
        self.samples.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn quiet_times(&self) -> Vec<(Duration, Duration)> {
        self.quiet.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The minimum of each value of a process that leads, from one time to another; `None` without a sample.
    fn minimum(&self, leader: Leader, (from, to): (Duration, Duration)) -> Option<Values> {
        let samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        let of_leader = samples.iter().filter(|sample| sample.leads && sample.process == leader && (from..=to).contains(&sample.at));
        of_leader.map(|sample| sample.values.clone()).reduce(|mut lowest, values| {
            for ((_, lowest), (_, value)) in lowest.iter_mut().zip(values) {
                *lowest = (*lowest).min(value);
            }
            lowest
        })
    }

    fn has_left(&self, leader: Leader) -> bool {
        let samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        samples.iter().rev().find(|sample| sample.leads).is_some_and(|sample| sample.process != leader)
    }

    /// The level of a leader in the quiet time that began at `quiet`: the minimum of each value; `None` if another process leads.
    pub async fn initial_level(&self, leader: Leader, quiet: Instant) -> Option<Values> {
        let from = quiet - self.began + PUBLISHED;
        tokio::time::sleep((from + INITIAL).saturating_sub(self.began.elapsed())).await;
        self.note_quiet(from);
        if self.has_left(leader) { None } else { self.minimum(leader, (from, self.began.elapsed())) }
    }

    /// Compares the initial level with that of a leader with this number of resources in the quiet time that began at `quiet`, as soon as
    /// all values have returned, or after the maximum duration; `None` if another process leads.
    pub async fn final_level(&self, (leader, resources): (Leader, usize), quiet: Instant, initial: &Values) -> Option<Vec<Check>> {
        let from = quiet - self.began + PUBLISHED;
        loop {
            tokio::time::sleep(INTERVAL).await;
            let now = self.began.elapsed();
            let is_last = now.saturating_sub(from) >= LONGEST;
            let checks = self.minimum(leader, (from, now)).map(|level| level::compare(resources, initial, &level));
            if self.has_left(leader) || is_last && checks.is_none() {
                return None;
            }
            if let Some(checks) = checks.filter(|checks| is_last || checks.iter().all(Check::holds)) {
                self.note_quiet(from);
                return Some(checks);
            }
        }
    }

    fn note_quiet(&self, from: Duration) {
        self.quiet.lock().unwrap_or_else(PoisonError::into_inner).push((from, self.began.elapsed()));
    }

    /// All samples, one a line.
    pub fn csv(&self) -> String {
        let samples = self.samples();
        let mut text = "seconds,replica,process,leads".to_owned();
        for (name, _) in samples.first().iter().flat_map(|sample| &sample.values) {
            let _ = write!(text, ",{name}");
        }
        text.push('\n');
        for Sample { at, process, leads, values } in &samples {
            let _ = write!(text, "{:.1},{},{},{leads}", at.as_secs_f64(), process.replica, process.pid);
            for (_, value) in values {
                let _ = write!(text, ",{value}");
            }
            text.push('\n');
        }
        text
    }
}
