//! Tests of the model checker: that it detects violations, and that the documents name existing tests.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::Path;
use std::sync::Arc;

use crate::catalogue::{self, Size};
use crate::explore::explore;
use crate::scenario::{BrokenRules, Budget, Scenario};
use crate::{invariants, large, random, trace};

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)).unwrap()
}

#[test]
fn plain_run_violates_no_invariant() {
    let found = explore(&Arc::new(Scenario::base("plain", "no faults")), 1);
    assert!(found.exhausted && found.violation.is_none() && found.states > 5, "{found:?}");
}

#[test]
fn write_under_any_version_is_detected_and_traced() {
    let scenario = Arc::new(Scenario {
        budget: Budget { submissions: 1, stale: 1, crashes: 1, calls: 1, ..Budget::default() },
        broken_rules: BrokenRules { version: true, ..BrokenRules::default() },
        ..Scenario::base("any-version", "the status is written under any resource version")
    });
    let (actions, violation) = explore(&scenario, 1).violation.unwrap();
    assert_eq!(violation.invariant, invariants::ONCE);
    let trace = trace::render(&scenario, &actions, &violation);
    assert!(trace.contains("stale view") && trace.ends_with(&format!("-> {violation}\n")), "{trace}");
}

#[test]
fn stopped_exploration_is_not_exhausted() {
    let found = explore(&Arc::new(Scenario { max_states: Some(3), ..Scenario::base("cut", "stopped early") }), 1);
    assert!(!found.exhausted && found.violation.is_none(), "{found:?}");
}

#[test]
fn same_seed_results_in_the_same_schedule() {
    for seed in 1..40 {
        let (first, second) = (random::run(&large::large, seed), random::run(&large::large, seed));
        assert_eq!(first.actions, second.actions);
        assert!(first.outcome.is_ok(), "seed {seed}: {:?}", first.outcome);
    }
}

#[test]
fn scenario_names_are_unique() {
    let mut names: Vec<&str> = catalogue::scenarios(Size::Share).iter().map(|scenario| scenario.name).collect();
    names.extend(catalogue::known_gaps().iter().map(|(scenario, _)| scenario.name));
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
}

#[test]
fn adoption_table_names_existing_tests() {
    let tests = ["adoption", "evidence", "competing_submissions"].map(|file| read(&format!("tests/scenarios/{file}.rs"))).concat();
    let document = read("docs/exactly-once.md");
    let rows =
        document.lines().skip_while(|line| !line.contains("tests/scenarios/adoption.rs")).skip(2).take_while(|line| line.starts_with('|'));
    let named: Vec<&str> = rows.filter_map(|row| row.rsplit('`').nth(1)).collect();
    assert!(named.len() > 10, "{named:?}");
    for name in named {
        assert!(tests.contains(&format!("fn {name}()")), "docs/exactly-once.md names a missing test: {name}");
    }
}
