//! The bill of materials in the image (`CycloneDX`), and the licenses of its components.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use std::sync::LazyLock;

use e2e::paths;
use serde_json::Value;

use crate::layout::Image;
use crate::{scratch, tool};

/// The permitted licenses of libraries. Another one must be reviewed first.
const LICENSES: &[&str] = &[
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

/// The bill and the license texts, unpacked once for all tests: concurrent extractions would overwrite each other's files.
static BILL: LazyLock<(Value, String)> = LazyLock::new(|| {
    let root = scratch("bill");
    Image::ours().unpack(&root);
    let documents = root.join("usr/share/doc/tabular-operator");
    let bill = serde_json::from_slice(&fs::read(documents.join("tabular-operator.cdx.json")).unwrap()).unwrap();
    (bill, fs::read_to_string(documents.join("THIRD-PARTY-LICENSES")).unwrap())
});

/// The C libraries in the program, which no crate version identifies.
const NATIVE: [&str; 2] = ["aws-lc", "glibc"];

/// Each crate's license, by name and version.
fn libraries(bill: &Value) -> BTreeMap<String, String> {
    let crates = bill["components"]
        .as_array()
        .expect("the bill has components")
        .iter()
        .filter(|library| !NATIVE.iter().any(|name| library["name"] == *name));
    let libraries = crates.map(|library| {
        let text = |value: &Value| value.as_str().unwrap_or_else(|| panic!("incomplete: {library:#}")).to_owned();
        let (name, version) = (text(&library["name"]), text(&library["version"]));
        assert_eq!(library["purl"], format!("pkg:cargo/{name}@{version}"));
        assert_eq!(text(&library["hashes"][0]["content"]).len(), 64);
        (format!("{name} {version}"), text(&library["licenses"][0]["expression"]))
    });
    libraries.collect()
}

#[tokio::test]
async fn bill_is_valid_against_schema() {
    let (bill, _) = &*BILL;
    let file = scratch("schema").join("bill.json");
    fs::write(&file, bill.to_string()).unwrap();
    let schemas = paths::built("tests/tools/builder/build.sh").join("schemas");
    let arguments = [file.to_str().unwrap(), schemas.to_str().unwrap()];
    tool("schema").run(&arguments).await;
    let mut broken = bill.clone();
    broken["components"][0].as_object_mut().unwrap().remove("name");
    fs::write(&file, broken.to_string()).unwrap();
    let judged = tool("schema").run_with(&arguments, "").await;
    assert!(!judged.status.success(), "the schema must refuse an invalid bill");
}

#[test]
fn bill_lists_everything_linked() {
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
    assert!(missing.is_empty(), "missing in the bill: {missing:?}");
    let untold: Vec<&String> = listed.keys().filter(|library| !texts.contains(&format!("  {library}: "))).collect();
    assert!(untold.is_empty(), "missing in THIRD-PARTY-LICENSES: {untold:?}");
    assert!(texts.contains("Permission is hereby granted, free of charge") && texts.contains("Apache License"));
}

/// A C library of the bill, and what depends on it.
fn native(name: &str) -> (&'static Value, Vec<&'static str>) {
    let (bill, _) = &*BILL;
    let all = bill["components"].as_array().unwrap();
    let found = all.iter().find(|library| library["name"] == name).unwrap_or_else(|| panic!("the bill lacks {name}"));
    let dependencies = bill["dependencies"].as_array().unwrap().iter();
    let users = dependencies.filter(|one| one["dependsOn"].as_array().is_some_and(|on| on.contains(&found["bom-ref"])));
    (found, users.map(|one| one["ref"].as_str().unwrap()).collect())
}

#[test]
fn bill_lists_the_c_library_with_its_version() {
    let printed = Command::new("getconf").arg("GNU_LIBC_VERSION").output().expect("getconf is a part of the GNU C Library").stdout;
    let release = String::from_utf8(printed).unwrap().trim().strip_prefix("glibc ").expect("glibc <release>").to_owned();
    let (library, users) = native("glibc");
    let version = library["version"].as_str().unwrap();
    assert!(version == release || version.starts_with(&format!("{release}-")), "the bill has glibc {version}, this machine {release}");
    // By the package's version, which includes patches, and by its name in vulnerability databases.
    let purl = library["purl"].as_str().unwrap();
    assert!(purl.contains(&format!("@{}", version.replace('+', "%2B"))), "{purl}");
    assert_eq!(library["cpe"], format!("cpe:2.3:a:gnu:glibc:{release}:*:*:*:*:*:*:*"));
    assert_eq!(library["licenses"][0]["license"]["id"], "LGPL-2.1-or-later");
    assert!(users.iter().any(|user| user.contains("#tabular-operator@")), "{users:?}");
}

#[test]
fn bill_lists_the_c_tls_library_with_its_version() {
    let (library, users) = native("aws-lc");
    let [user] = users[..] else { panic!("expected exactly one dependent crate: {users:?}") };
    let (_, crate_version) = user.rsplit_once("aws-lc-sys@").expect("aws-lc-sys depends on it");
    let home = std::env::var("CARGO_HOME").unwrap_or_else(|_| format!("{}/.cargo", std::env::var("HOME").unwrap()));
    let registries = fs::read_dir(format!("{home}/registry/src")).unwrap();
    let header = registries
        .map(|registry| registry.unwrap().path().join(format!("aws-lc-sys-{crate_version}/aws-lc/include/openssl/base.h")))
        .find_map(|path| fs::read_to_string(path).ok())
        .expect("the crate's header");
    let version = library["version"].as_str().unwrap();
    assert!(header.contains(&format!("#define AWSLC_VERSION_NUMBER_STRING \"{version}\"")), "the bill has AWS-LC {version}");
    assert_eq!(library["purl"], format!("pkg:github/aws/aws-lc@v{version}"));
}

#[test]
fn bill_lists_c_libraries_of_all_crates() {
    let names = libraries(&BILL.0).into_keys();
    let bindings: Vec<String> = names.filter(|library| library.split(' ').next().unwrap().ends_with("-sys")).collect();
    let known = |library: &String| ["aws-lc-sys ", "linux-raw-sys "].iter().any(|name| library.starts_with(name));
    assert!(bindings.iter().any(|library| library.starts_with("aws-lc-sys ")), "{bindings:?}");
    let unknown: Vec<&String> = bindings.iter().filter(|library| !known(library)).collect();
    assert!(unknown.is_empty(), "{unknown:?}: list what they link in deploy/image/sbom.sh");
}

#[test]
fn every_license_is_permitted() {
    for (library, expression) in libraries(&BILL.0) {
        assert!(permitted(&expression), "{library} has the license {expression}: review it and add it to the list, or remove the library");
    }
    assert!(!permitted("GPL-3.0-only") && !permitted("MIT AND GPL-3.0-only") && permitted("GPL-3.0-only OR MIT"));
}

/// Whether one alternative of an expression contains only known licenses. `AND` binds tighter than `OR`; brackets enclose an alternative
/// within a conjunction.
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
    inner.map_or_else(|| LICENSES.contains(&expression.trim()), permitted)
}

/// The parts of an expression between operators outside brackets.
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
