//! The architecture, checked in the sources: no import cycles, one-way dependencies between folders, small files, short names.

#![allow(clippy::unwrap_used, clippy::panic)]

mod documents;
mod graph;
mod prose;
mod source;

use std::collections::BTreeSet;
use std::sync::LazyLock;

use source::Crate;

/// Maximum number of lines of a file.
const MOST_LINES: usize = 400;
/// Maximum length of a function's name.
const LONGEST_NAME: usize = 60;

/// Each folder of `src` with its allowed dependencies. A file directly in `src`, such as `text.rs`, counts as a folder.
const DEPENDENCIES: [(&str, &[&str]); 10] = [
    ("api", &[]),
    ("fair_semaphore", &[]),
    ("operation", &[]),
    ("text", &[]),
    ("tls", &[]),
    ("engine", &["api", "operation", "text"]),
    ("azure", &["fair_semaphore", "operation", "text", "tls"]),
    ("telemetry", &["api", "operation", "text", "tls"]),
    ("cli", &["telemetry"]),
    ("controller", &["api", "fair_semaphore", "operation", "text", "engine", "azure", "telemetry", "cli"]),
];

/// Each folder and file of `src/controller` with its allowed dependencies there.
const CONTROLLER_DEPENDENCIES: [(&str, &[&str]); 9] = [
    ("cluster", &[]),
    ("shutdown", &[]),
    ("lease", &["cluster"]),
    ("store", &["cluster"]),
    ("credentials", &["cluster"]),
    ("drain", &["cluster", "lease", "shutdown"]),
    ("fuzzing", &["store", "credentials"]),
    ("reconcile", &["cluster", "lease", "store", "credentials"]),
    ("manager", &["cluster", "lease", "store", "credentials", "reconcile", "shutdown"]),
];

static CRATE: LazyLock<Crate> = LazyLock::new(Crate::read);

#[track_caller]
fn assert_none(violations: &BTreeSet<String>) {
    assert!(violations.is_empty(), "{violations:#?}");
}

#[test]
fn files_have_no_import_cycles() {
    assert_none(&graph::in_cycles(&graph::imports(&CRATE)));
}

#[test]
fn folders_depend_in_one_direction() {
    let imports = graph::imports(&CRATE);
    let mut found = BTreeSet::new();
    for (parent, dependencies) in [("src", DEPENDENCIES.as_slice()), ("src/controller", CONTROLLER_DEPENDENCIES.as_slice())] {
        for (file, imported) in &imports {
            let Some(own) = source::folder_in(parent, file) else { continue };
            let Some((_, allowed)) = dependencies.iter().find(|(folder, _)| *folder == own) else { continue };
            for folder in imported.iter().filter_map(|imported| source::folder_in(parent, imported)) {
                if folder != own && !allowed.contains(&folder) {
                    found.insert(format!("{file} -> {folder}"));
                }
            }
        }
    }
    assert_none(&found);
}

#[test]
fn every_folder_has_declared_dependencies() {
    for (parent, dependencies, others) in
        [("src", DEPENDENCIES.as_slice(), ["lib", "main"].as_slice()), ("src/controller", CONTROLLER_DEPENDENCIES.as_slice(), &["mod"])]
    {
        let known: BTreeSet<&str> = dependencies.iter().map(|(folder, _)| *folder).chain(others.iter().copied()).collect();
        let found: BTreeSet<&str> = CRATE.files().filter_map(|file| source::folder_in(parent, file)).collect();
        let unknown: Vec<_> = found.difference(&known).collect();
        assert!(unknown.is_empty(), "add the folders of {parent} and their dependencies: {unknown:?}");
    }
}

#[test]
fn mod_files_only_declare_and_export() {
    let with_items = CRATE.modules.values().filter(|module| module.file.ends_with("/mod.rs") && !module.items.is_empty());
    assert_none(&with_items.map(|module| module.file.clone()).collect());
}

#[test]
fn files_are_short() {
    let long = source::rust_files(&["src", "plugin", "tests"]).into_iter().filter(|(_, text)| text.lines().count() > MOST_LINES);
    assert_none(&long.map(|(file, _)| file).collect());
}

#[test]
fn function_names_are_short() {
    let files = source::rust_files(&["src", "plugin", "tests"]);
    let named = files.iter().flat_map(|(file, text)| source::functions(text).into_iter().map(move |name| (file, name)));
    assert_none(&named.filter(|(_, name)| name.len() > LONGEST_NAME).map(|(file, name)| format!("{file} {name}")).collect());
}

/// What decides has no I/O, no clock and no client, and the clients of the services know nothing of Kubernetes.
#[test]
fn decision_is_pure_and_clients_are_independent() {
    let impure = [
        "tokio",
        "reqwest",
        "hyper",
        "kube::Client",
        "kube::Api",
        "kube::runtime",
        "kube::client",
        "SystemTime",
        "Instant",
        "Timestamp::now",
        "Zoned::now",
        "std::fs",
        "std::net",
        "std::env",
        "std::process",
        "std::thread",
        "rand::",
    ];
    let banned: [(&str, &[&str]); 4] =
        [("engine", &impure), ("api", &impure), ("operation", &impure), ("azure", &["kube::", "k8s_openapi::"])];
    let mut found = BTreeSet::new();
    for module in CRATE.modules.values() {
        let Some(own) = source::folder_in("src", &module.file) else { continue };
        let Some((_, words)) = banned.iter().find(|(folder, _)| *folder == own) else { continue };
        let paths = module.paths.iter().chain(module.imports.values()).chain(&module.globs).map(|path| path.join("::"));
        found.extend(paths.filter(|path| words.iter().any(|word| path.contains(word))).map(|path| format!("{}: {path}", module.file)));
    }
    assert_none(&found);
}
