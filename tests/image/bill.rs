//! The bill of materials in the image (`CycloneDX`), and the licences that go with it.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use std::sync::LazyLock;

use harness::paths;
use serde_json::Value;

use crate::layout::Image;
use crate::{scratch, tool};

/// Under what libraries may come. Another one is for a person to read first.
const LICENCES: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// The bill, and the texts of the licences: unpacked once for all tests, as two that unpack into one directory spoil each other's files.
static BILL: LazyLock<(Value, String)> = LazyLock::new(|| {
    let root = scratch("bill");
    Image::ours().unpack(&root);
    let documents = root.join("usr/share/doc/tabular-operator");
    let bill = serde_json::from_slice(&fs::read(documents.join("tabular-operator.cdx.json")).unwrap()).unwrap();
    (bill, fs::read_to_string(documents.join("THIRD-PARTY-LICENSES")).unwrap())
});

/// Each library's licence, by name and version.
fn libraries(bill: &Value) -> BTreeMap<String, String> {
    let libraries = bill["components"].as_array().expect("it has components").iter().map(|library| {
        let text = |value: &Value| value.as_str().unwrap_or_else(|| panic!("incomplete: {library:#}")).to_owned();
        let (name, version) = (text(&library["name"]), text(&library["version"]));
        assert_eq!(library["purl"], format!("pkg:cargo/{name}@{version}"));
        assert_eq!(text(&library["hashes"][0]["content"]).len(), 64);
        (format!("{name} {version}"), text(&library["licenses"][0]["expression"]))
    });
    libraries.collect()
}

#[tokio::test]
async fn it_holds_to_its_schema() {
    let (bill, _) = &*BILL;
    let file = scratch("schema").join("bill.json");
    fs::write(&file, bill.to_string()).unwrap();
    let schemas = paths::built("tests/builder/build.sh").join("schemas");
    let arguments = [file.to_str().unwrap(), schemas.to_str().unwrap()];
    tool("schema").run(&arguments).await;
    let mut broken = bill.clone();
    broken["components"][0].as_object_mut().unwrap().remove("name");
    fs::write(&file, broken.to_string()).unwrap();
    let judged = tool("schema").run_with(&arguments, "").await;
    assert!(!judged.status.success(), "the schema refuses nothing");
}

#[test]
fn it_has_everything_that_is_linked() {
    let (bill, texts) = &*BILL;
    assert_eq!(bill["metadata"]["component"]["name"], "tabular-operator");
    let listed = libraries(bill);
    let linked = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--offline", "--package", "tabular-operator", "--edges", "normal", "--prefix", "none"])
        .current_dir(paths::workspace())
        .output()
        .unwrap();
    let linked = String::from_utf8(linked.stdout).unwrap();
    let linked = linked.lines().filter_map(|line| {
        let mut words = line.split(' ');
        Some(format!("{} {}", words.next()?, words.next()?.strip_prefix('v')?))
    });
    let linked: Vec<String> = linked.filter(|library| !library.starts_with("tabular-operator ")).collect();
    assert!(linked.len() > 100, "{linked:?}");
    let missing: Vec<&String> = linked.iter().filter(|library| !listed.contains_key(*library)).collect();
    assert!(missing.is_empty(), "the bill lacks {missing:?}");
    let untold: Vec<&String> = listed.keys().filter(|library| !texts.contains(&format!("  {library}: "))).collect();
    assert!(untold.is_empty(), "THIRD-PARTY-LICENSES lacks {untold:?}");
    assert!(texts.contains("Permission is hereby granted, free of charge") && texts.contains("Apache License"));
}

#[test]
fn every_licence_is_one_that_we_know() {
    for (library, expression) in libraries(&BILL.0) {
        assert!(permitted(&expression), "{library} is under {expression}: read it, and add it to the list, or do without the library");
    }
    assert!(!permitted("GPL-3.0-only") && !permitted("MIT AND GPL-3.0-only") && permitted("GPL-3.0-only OR MIT"));
}

/// Whether one of the choices that an expression leaves is of known licences alone. `AND` binds tighter than `OR`; brackets stand
/// around a choice that is a part of a conjunction.
fn permitted(expression: &str) -> bool {
    let parts = split(expression, " OR ");
    if parts.len() > 1 {
        return parts.into_iter().any(permitted);
    }
    let parts = split(expression, " AND ");
    if parts.len() > 1 {
        return parts.into_iter().all(permitted);
    }
    let inner = expression.trim().strip_prefix('(').and_then(|rest| rest.strip_suffix(')'));
    inner.map_or_else(|| LICENCES.contains(&expression.trim()), permitted)
}

/// The parts of an expression between an operator that no bracket encloses.
fn split<'a>(expression: &'a str, operator: &str) -> Vec<&'a str> {
    let (mut parts, mut depth, mut from) = (Vec::new(), 0, 0);
    for (at, character) in expression.char_indices() {
        match character {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ if depth == 0 && expression[at..].starts_with(operator) => {
                parts.push(&expression[from..at]);
                from = at + operator.len();
            }
            _ => {}
        }
    }
    parts.push(&expression[from..]);
    parts
}
