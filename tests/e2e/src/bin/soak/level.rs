//! The comparison of the initial and the final level of a process, as a table.

use std::time::Duration;

use crate::sample::{COLLECTION, DESCRIPTORS, IN_METRICS, MEMORY, OTHER_SERIES, RESOURCE_SERIES, TASKS, Values};

/// The collections with one entry for each resource.
const OF_RESOURCES: [&str; 5] = ["cache", "changes", "index", "names", "local-states"];
/// The claims of deleted resources that are kept for their operations. A resource has at most two entries itself: its claims, and one
/// operation that it is about to adopt or to record.
const CLAIMS: &str = "claims";
const KEPT_CLAIMS: u64 = 1_000;
/// Growth of the memory in KiB that is not a leak: freed pieces of the heap between used ones, and the ids of previous operations that the
/// status of a resource keeps, at most twelve, and the kept claims.
const MEMORY_GROWTH: u64 = 4 * 1024;
/// Number of further series that do not name a resource: a result that occurs for the first time adds its series. There are at most this
/// many results of the kinds that a rehearsal may not reach.
const SERIES_GROWTH: u64 = 100;
/// Maximum number of series of a resource. Some depend on its history, such as the usual duration.
const MAX_RESOURCE_SERIES: u64 = 9;

/// What the final level of a value may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Allowed {
    /// This value, at both levels.
    Exactly(u64),
    /// The initial level and this growth.
    AtMost(u64),
    /// At most this value.
    UpTo(u64),
}

/// One value at both levels.
#[derive(Clone, Debug)]
pub struct Check {
    name: String,
    initial: u64,
    last: u64,
    allowed: Allowed,
}

impl Check {
    /// Whether the value has returned to its initial level.
    pub fn holds(&self) -> bool {
        match self.allowed {
            Allowed::Exactly(value) => self.initial == value && self.last == value,
            Allowed::AtMost(growth) => self.last <= self.initial + growth,
            Allowed::UpTo(most) => self.last <= most,
        }
    }

    /// Prints it, and returns whether it holds.
    pub fn print(&self) -> bool {
        let shown = |value: u64| if self.name == MEMORY { format!("{:.1} MiB", value as f64 / 1024.0) } else { value.to_string() };
        let allowed = match self.allowed {
            Allowed::Exactly(value) => shown(value),
            Allowed::AtMost(growth) => format!("≤ {}", shown(self.initial + growth)),
            Allowed::UpTo(most) => format!("≤ {}", shown(most)),
        };
        let verdict = if self.holds() { "ok" } else { "FAILED" };
        println!("  {:<36} {:>12} {:>12} {:>12}  {verdict}", self.name, shown(self.initial), shown(self.last), allowed);
        self.holds()
    }
}

/// Prints the heading of the table.
pub fn head(resources: usize, took: Duration) {
    let title = format!("{resources} resources, {:.1} minutes apart", took.as_secs_f64() / 60.0);
    println!("\n{title:<38} {:>12} {:>12} {:>12}  verdict", "initial", "final", "allowed");
}

/// Compares the levels of all values of a process that has this number of resources.
pub fn compare(resources: usize, initial: &Values, last: &Values) -> Vec<Check> {
    let resources = u64::try_from(resources).expect("it is small");
    let pairs = initial.iter().zip(last);
    let check = |((name, initial), (same, last)): (&(String, u64), &(String, u64))| {
        assert_eq!(name, same, "all samples have the same values");
        Check { name: name.clone(), initial: *initial, last: *last, allowed: allowed(name, resources) }
    };
    pairs.map(check).collect()
}

fn allowed(name: &str, resources: u64) -> Allowed {
    let collection = name.strip_prefix(COLLECTION);
    match name {
        MEMORY => Allowed::AtMost(MEMORY_GROWTH),
        IN_METRICS => Allowed::Exactly(resources),
        RESOURCE_SERIES => Allowed::UpTo(MAX_RESOURCE_SERIES * resources),
        OTHER_SERIES => Allowed::AtMost(SERIES_GROWTH),
        DESCRIPTORS | TASKS => Allowed::AtMost(0),
        _ if collection.is_some_and(|name| OF_RESOURCES.contains(&name)) => Allowed::Exactly(resources),
        _ if collection == Some(CLAIMS) => Allowed::UpTo(2 * resources + KEPT_CLAIMS),
        // Tokens, backoffs and similar entries expire, so there may be fewer.
        _ => Allowed::AtMost(0),
    }
}
