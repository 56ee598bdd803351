//! `docs/coverage.md` and the threat table of `docs/operations/security.md`: each row names a test that exists.

use std::fs;
use std::path::Path;

/// The pages, each with its minimum number of rows.
const PAGES: [(&str, usize); 2] = [("docs/coverage.md", 100), ("docs/operations/security.md", 15)];

/// The links of a row to tests: the name and the file of each.
fn tests_of(row: &str) -> Vec<(&str, &str)> {
    let links = row.split('[').skip(1).filter_map(|rest| {
        let (name, rest) = rest.split_once("](")?;
        let (file, _) = rest.split_once(')')?;
        Path::new(file).extension().is_some_and(|extension| extension == "rs").then_some((name, file))
    });
    links.collect()
}

/// Whether a file has a test with this name: a function directly below a test attribute.
fn has_test(source: &str, name: &str) -> bool {
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    let (plain, awaits) = (format!("fn {name}("), format!("async fn {name}("));
    let Some(at) = lines.iter().position(|line| line.starts_with(&plain) || line.starts_with(&awaits)) else { return false };
    let above = lines[..at].iter().rev().take_while(|line| line.starts_with("#[") || line.starts_with("///"));
    // A property test is in a proptest block.
    above.clone().any(|line| line.starts_with("#[test]") || line.starts_with("#[tokio::test") || line.starts_with("#[proptest"))
}

#[test]
fn every_row_names_an_existing_test() {
    for (page, least) in PAGES {
        every_row_of(page, least);
    }
}

fn every_row_of(page: &str, least: usize) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(page);
    let text = fs::read_to_string(&file).unwrap();
    let is_row = |line: &&str| line.starts_with("| ") && !line.starts_with("| What ") && !line.starts_with("| Threat ");
    let rows: Vec<&str> = text.lines().filter(is_row).collect();
    assert!(rows.len() >= least, "{page} has {} rows: has its layout changed?", rows.len());
    let mut wrong = Vec::new();
    for row in rows {
        let tests = tests_of(row);
        if tests.is_empty() {
            wrong.push(format!("no test is named: {row}"));
        }
        for (name, source) in tests {
            let path = file.parent().unwrap().join(source);
            let text = fs::read_to_string(&path).unwrap_or_default();
            if !has_test(&text, name) {
                wrong.push(format!("{source} has no test {name}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{page}:\n{}", wrong.join("\n"));
}

#[test]
fn name_without_test_is_detected() {
    let source = "#[test]\nfn it_holds() {\n}\n\nfn helper() {\n}\n";
    assert!(has_test(source, "it_holds"));
    assert!(!has_test(source, "helper"));
    assert!(!has_test(source, "it_hold"));
    assert_eq!(tests_of("| a | [x](../src/a.rs), [page](b.md) |"), [("x", "../src/a.rs")]);
}
