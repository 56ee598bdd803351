//! Every target over its corpus and over a few thousand mutations of it: the part of fuzzing that takes seconds and does not need
//! the fuzzer.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::panic::{AssertUnwindSafe, catch_unwind};

use fuzz::mutate::{Rng, mutated};
use fuzz::{TARGETS, Target, paths};

/// Number of mutated inputs per target.
const MUTATIONS: usize = 4_000;

/// Runs a target on an input, and saves the input if it violates an invariant. `description` names the input.
fn run(target: &Target, input: &[u8], description: &str) {
    let passed = catch_unwind(AssertUnwindSafe(|| (target.run)(input))).is_ok();
    assert!(passed, "{} violates an invariant for {description}; {}", target.name, paths::save_crash(target.name, input));
}

/// Runs a target over its corpus and over mutations of it.
fn run_with_mutations(name: &str) {
    let target = fuzz::target(name);
    let corpus = paths::corpus(name);
    assert!(!corpus.is_empty(), "{name} has no corpus");
    for (file, input) in &corpus {
        run(target, input, &file.display().to_string());
    }
    let mut rng = Rng::new(name.bytes().map(u64::from).sum());
    // Large inputs are slow, so only the corpus run covers them.
    let small: Vec<&[u8]> = corpus.iter().map(|(_, input)| input.as_slice()).filter(|input| input.len() <= 4096).collect();
    for count in 0..MUTATIONS {
        let (one, other) = (small[rng.below(small.len())], small[rng.below(small.len())]);
        run(target, &mutated(one, other, &mut rng), &format!("mutated input {count}"));
    }
}

/// Defines a test per target, so that the targets run in parallel and a failure names its target.
macro_rules! targets {
    ($($test:ident: $name:literal),+ $(,)?) => {
        $(#[test]
        fn $test() {
            run_with_mutations($name);
        })+

        const TESTED: &[&str] = &[$($name),+];
    };
}

targets! {
    refresh_poll: "refresh-poll",
    refresh_post: "refresh-post",
    refresh_delete: "refresh-delete",
    refresh_list: "refresh-list",
    sync_poll: "sync-poll",
    sync_post: "sync-post",
    sync_list: "sync-list",
    scale_out: "scale-out",
    lookup: "lookup",
    server_name: "server-name",
    cloud_file: "cloud-file",
    token: "token",
    metadata_token: "metadata-token",
    claims: "claims",
    secret: "secret",
    certificate: "certificate",
    location: "location",
    timestamp: "timestamp",
    sentence: "sentence",
    error: "error",
    schedule: "schedule",
    resource: "resource",
}

#[test]
fn targets_tests_and_corpora_match() {
    let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
    assert_eq!(names, TESTED);
    let mut directories: Vec<String> =
        std::fs::read_dir(paths::home().join("corpus")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    directories.sort();
    let mut sorted = names;
    sorted.sort_unstable();
    assert_eq!(directories, sorted);
}

#[test]
fn corpus_stays_small() {
    let sizes: Vec<usize> = TARGETS.iter().flat_map(|target| paths::corpus(target.name)).map(|(_, input)| input.len()).collect();
    let (files, bytes) = (sizes.len(), sizes.iter().sum::<usize>());
    assert!(files <= 600 && bytes <= 1 << 20, "{files} files of {bytes} bytes: rebuild it from the named seeds with `make fuzz KEEP=1`");
}

#[test]
fn make_fuzz_without_only_runs_every_target() {
    let targets_for = |more: &[&str]| -> Vec<String> {
        let mut make = std::process::Command::new("make");
        make.args(["--dry-run", "--always-make", "fuzz"]).args(more).current_dir(paths::home().join("../.."));
        // A `make` that started this test must not affect the result.
        let output =
            ["MAKEFLAGS", "MFLAGS", "MAKELEVEL", "ONLY"].into_iter().fold(&mut make, |make, name| make.env_remove(name)).output().unwrap();
        let recipe = String::from_utf8(output.stdout).unwrap();
        let (_, after) = recipe.rsplit_once("tests/fuzz/run.sh").unwrap_or_else(|| panic!("unexpected recipe: {recipe}"));
        after.split_whitespace().take_while(|word| *word != "&&").map(str::to_owned).collect()
    };
    assert_eq!(targets_for(&[]), Vec::<String>::new());
    assert_eq!(targets_for(&["ONLY=token"]), ["token"]);
}
