//! The sources of libraries and images: one YAML library, no crate that `deny.toml` bans, one registry, images pinned by digest, and
//! actions pinned by commit.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::chart::read;

/// The names in `Cargo.lock`: all crates that the workspace may link, including tests and other systems.
fn locked() -> BTreeSet<String> {
    let lock = read("Cargo.lock");
    let names: BTreeSet<String> = values(&lock, "name").collect();
    assert!(names.len() > 300 && names.contains("tabular-operator"), "only {} crates were found", names.len());
    names
}

/// The values of a key at the start of a line, without their quotes.
fn values<'a>(text: &'a str, key: &'a str) -> impl Iterator<Item = String> + 'a {
    let after = move |line: &'a str| line.strip_prefix(key)?.strip_prefix(" = \"")?.strip_suffix('"');
    text.lines().filter_map(after).map(str::to_owned)
}

/// The crates that `deny.toml` bans.
fn banned() -> BTreeSet<String> {
    let names = |line: &str| Some(line.trim().strip_prefix("{ crate = \"")?.split_once('"')?.0.to_owned());
    read("deny.toml").lines().filter_map(names).collect()
}

#[test]
fn lock_file_has_one_yaml_library() {
    let yaml = |name: &String| ["yaml", "yml", "saphyr"].iter().any(|part| name.contains(part));
    let found: Vec<String> = locked().into_iter().filter(yaml).collect();
    assert_eq!(found, ["serde-saphyr"], "use only the YAML library of kube");
}

#[test]
fn lock_file_has_no_banned_crate() {
    let (locked, banned) = (locked(), banned());
    assert!(banned.len() >= 20 && banned.contains("unsafe-libyaml"), "deny.toml bans {banned:?}");
    let found: Vec<&String> = banned.intersection(&locked).collect();
    assert!(found.is_empty(), "Cargo.lock has {found:?}: see deny.toml for the replacement");
}

#[test]
fn lock_file_has_one_registry() {
    let lock = read("Cargo.lock");
    let sources: BTreeSet<String> = values(&lock, "source").collect();
    assert_eq!(sources.into_iter().collect::<Vec<_>>(), ["registry+https://github.com/rust-lang/crates.io-index"]);
}

#[test]
fn licenses_of_deny_and_of_the_bill_are_the_same() {
    let list = |file: &str, start: &str| -> BTreeSet<String> {
        let text = read(file);
        let (_, rest) = text.split_once(start).unwrap_or_else(|| panic!("{file} has no '{start}'"));
        let (inside, _) = rest.split_once(']').unwrap();
        inside.split('"').skip(1).step_by(2).map(str::to_owned).collect()
    };
    let denied = list(
        "deny.toml",
        "[licenses]\n# The same list as in tests/e2e/tests/image/bill.rs, which has what is linked into the program.\nallow = [",
    );
    assert!(denied.contains("MIT"), "{denied:?}");
    assert_eq!(denied, list("tests/e2e/tests/image/bill.rs", "const LICENSES: &[&str] = &["));
}

#[test]
fn builder_image_is_pinned_by_digest() {
    let file = read("Dockerfile");
    let argument = |name: &str| file.lines().find_map(|line| line.strip_prefix(&format!("ARG {name}=")));
    let stages =
        file.lines().filter_map(|line| line.strip_prefix("FROM ")).map(|line| line.split(' ').find(|word| !word.starts_with("--")));
    let mut pinned = 0;
    for image in stages.map(Option::unwrap).filter(|image| *image != "scratch") {
        // Literal, or with the only argument.
        let (head, rest) = image.split_once("${").map_or((image, None), |(head, rest)| (head, rest.strip_suffix('}')));
        let image = format!("{head}{}", rest.and_then(argument).unwrap_or_default());
        let digest = image.split_once("@sha256:").map_or("", |(_, digest)| digest);
        assert!(digest.len() == 64 && digest.chars().all(|c| c.is_ascii_hexdigit()), "{image} is not pinned by its digest");
        pinned += 1;
    }
    assert_eq!(pinned, 1);
}

/// The files below a directory of the repository, as paths from its root.
fn below(directory: &str) -> Vec<String> {
    let entries = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(directory)).unwrap();
    let entries = entries.flat_map(|entry| {
        let entry = entry.unwrap();
        let path = format!("{directory}/{}", entry.file_name().into_string().unwrap());
        if entry.file_type().unwrap().is_dir() { below(&path) } else { vec![path] }
    });
    entries.collect()
}

#[test]
fn actions_of_workflows_are_pinned_by_commit() {
    let mut pinned = 0;
    for file in below(".github").iter().filter(|file| Path::new(file).extension().is_some_and(|extension| extension == "yml")) {
        let text = read(file);
        let used = text.lines().filter_map(|line| line.trim_start().trim_start_matches("- ").strip_prefix("uses: "));
        for action in used.filter(|action| !action.starts_with("./")) {
            // For example `actions/cache@27d5ce7f107fe9357f9df03efb73ab90386fccae # v5.0.5`.
            let (commit, version) = action.split_once('@').and_then(|(_, rest)| rest.split_once(" # v")).unwrap_or_default();
            let is_commit = commit.len() == 40 && commit.chars().all(|c| c.is_ascii_hexdigit());
            assert!(is_commit && !version.is_empty(), "{file}: pin {action} by its commit, and name the version after it");
            pinned += 1;
        }
    }
    assert!(pinned > 10, "only {pinned} actions were found");
}
