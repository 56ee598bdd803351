//! Checks that every link of a page has an existing target: a file and, if given, a heading.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use e2e::paths;

use crate::page::Page;

#[test]
fn every_link_has_a_target() {
    let (root, mut wrong, mut count) = (paths::workspace(), Vec::new(), 0);
    for page in Page::all() {
        let file = root.join(&page.file);
        for link in links(&fs::read_to_string(&file).unwrap()) {
            let (path, heading) = link.split_once('#').map_or((link.as_str(), None), |(path, heading)| (path, Some(heading)));
            let target = if path.is_empty() { file.clone() } else { file.parent().unwrap().join(path) };
            count += 1;
            if !target.exists() || heading.is_some_and(|heading| !headings(&target).contains(heading)) {
                wrong.push(format!("{}: {link}", page.file));
            }
        }
    }
    assert!(count > 100, "only {count} links were found");
    assert!(wrong.is_empty(), "links without a target:\n{}", wrong.join("\n"));
}

/// The links of a text within the repository.
fn links(text: &str) -> Vec<String> {
    let targets = text.split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0));
    targets.filter(|target| !target.contains("://") && !target.contains(' ')).map(str::to_owned).collect()
}

/// The headings of a page in the form of link anchors.
fn headings(page: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(PathBuf::from(page)).unwrap_or_default();
    let heads = text.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim().to_lowercase());
    let kept =
        |head: String| head.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_')).collect::<String>().replace(' ', "-");
    heads.map(kept).collect()
}

#[test]
fn links_and_headings_are_found() {
    assert_eq!(links("[a](b.md#c), [d](https://e), `f`, [g](#h)"), ["b.md#c", "#h"]);
    assert!(headings(&paths::workspace().join("docs/identities.md")).contains("who-can-use-what"));
}
