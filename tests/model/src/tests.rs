//! The proof's own tests: that it can fail, and that the document names real tests.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::Path;
use std::sync::Arc;

use crate::catalogue::{self, Size};
use crate::explore::explore;
use crate::scenario::{Careless, Left, Scenario};
use crate::{large, laws, story, walk};

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)).unwrap()
}

#[test]
fn a_plain_run_breaks_no_law() {
    let found = explore(&Arc::new(Scenario::calm("plain", "nothing goes wrong")), 1);
    assert!(found.exhausted && found.broken.is_none() && found.states > 5, "{found:?}");
}

#[test]
fn a_controller_that_writes_on_any_version_is_found_out_and_told() {
    let scenario = Arc::new(Scenario {
        left: Left { posts: 1, stale: 1, crashes: 1, calls: 1, ..Left::default() },
        careless: Careless { version: true, ..Careless::default() },
        ..Scenario::calm("careless", "status is written whatever the version is")
    });
    let (actions, broken) = explore(&scenario, 1).broken.unwrap();
    assert_eq!(broken.law, laws::ONCE);
    let told = story::tell(&scenario, &actions, &broken);
    assert!(told.contains("as it was") && told.ends_with(&format!("-> {broken}\n")), "{told}");
}

#[test]
fn an_exploration_that_is_stopped_is_not_taken_for_whole() {
    let found = explore(&Arc::new(Scenario { bound: Some(3), ..Scenario::calm("cut", "stopped early") }), 1);
    assert!(!found.exhausted && found.broken.is_none(), "{found:?}");
}

#[test]
fn a_seed_makes_the_same_schedule_again() {
    for seed in 1..40 {
        let (once, again) = (walk::walk(&large::large, seed), walk::walk(&large::large, seed));
        assert_eq!(once.actions, again.actions);
        assert!(once.outcome.is_ok(), "seed {seed}: {:?}", once.outcome);
    }
}

#[test]
fn every_scenario_has_a_name_of_its_own() {
    let mut names: Vec<&str> = catalogue::scenarios(Size::Share).iter().map(|scenario| scenario.name).collect();
    names.extend(catalogue::gaps().iter().map(|(scenario, _)| scenario.name));
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
}

#[test]
fn each_row_of_the_table_of_adoption_names_its_test() {
    let tests = ["adoption", "proof", "rivals"].map(|file| read(&format!("src/engine/tests/{file}.rs"))).concat();
    let document = read("docs/exactly-once.md");
    let rows =
        document.lines().skip_while(|line| !line.contains("src/engine/tests/adoption.rs")).skip(2).take_while(|line| line.starts_with('|'));
    let named: Vec<&str> = rows.filter_map(|row| row.rsplit('`').nth(1)).collect();
    assert!(named.len() > 10, "{named:?}");
    for name in named {
        assert!(tests.contains(&format!("fn {name}()")), "docs/exactly-once.md names a test that is not there: {name}");
    }
}

/// `make mutants` takes long and is run seldom; a mutant that no longer fits the sources is seen at once.
#[test]
fn every_mutant_still_applies() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mutants = std::fs::read_dir(root.join("tests/model/mutants")).unwrap().map(|entry| entry.unwrap().path());
    for mutant in mutants.filter(|path| path.extension().is_some_and(|extension| extension == "patch")) {
        let check = std::process::Command::new("git").args(["apply", "--check"]).arg(&mutant).current_dir(&root).output().unwrap();
        assert!(check.status.success(), "{}: make it anew: {}", mutant.display(), String::from_utf8_lossy(&check.stderr));
    }
}
