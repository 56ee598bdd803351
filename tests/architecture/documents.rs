//! The documents that a repository needs for new maintainers.

use std::path::Path;

use crate::source::root;

fn read(file: &str) -> String {
    std::fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

#[test]
fn required_documents_exist() {
    let documents = [
        "CHANGELOG.md",
        "CODE_OF_CONDUCT.md",
        "CONTRIBUTING.md",
        "LICENSE",
        "SECURITY.md",
        ".github/CODEOWNERS",
        ".github/ISSUE_TEMPLATE/bug.yml",
        ".github/ISSUE_TEMPLATE/config.yml",
        ".github/ISSUE_TEMPLATE/feature.yml",
        ".github/PULL_REQUEST_TEMPLATE.md",
        ".github/dependabot.yml",
        ".github/workflows/ci.yml",
        ".github/workflows/nightly.yml",
        ".github/workflows/release.yml",
    ];
    let missing: Vec<_> = documents.iter().filter(|file| read(file).trim().is_empty()).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn changelog_names_current_version() {
    let changelog = read("CHANGELOG.md");
    assert!(changelog.contains("\n## [Unreleased]\n"));
    assert!(changelog.contains(env!("CARGO_PKG_VERSION")), "CHANGELOG.md does not name {}", env!("CARGO_PKG_VERSION"));
}

/// The folders that the documents name sources relative to.
const SOURCE_FOLDERS: [&str; 5] = ["", "src", "src/engine", "src/azure", "tests/model/src"];

fn has_extension(path: &Path, extension: &str) -> bool {
    path.extension().is_some_and(|found| found == extension)
}

#[test]
fn sources_in_documents_exist() {
    let mut documents: Vec<_> = ["docs", "docs/operations"]
        .iter()
        .flat_map(|folder| std::fs::read_dir(root().join(folder)).unwrap())
        .map(|entry| entry.unwrap().path())
        .filter(|path| has_extension(path, "md"))
        .collect();
    documents.extend(["CONTRIBUTING.md", "README.md"].map(|file| root().join(file)));
    let (mut named, mut missing) = (0, Vec::new());
    for document in documents {
        let text = std::fs::read_to_string(&document).unwrap();
        for span in text.split('`').filter(|span| span.contains('/') && has_extension(Path::new(span), "rs") && !span.contains([' ', '*']))
        {
            named += 1;
            if !SOURCE_FOLDERS.iter().any(|folder| root().join(folder).join(span).exists()) {
                missing.push(format!("{}: {span}", document.display()));
            }
        }
    }
    assert!(named > 80, "{named}");
    assert!(missing.is_empty(), "{missing:#?}");
}

/// A row of the map that names a function also names the file that contains it.
#[test]
fn functions_in_architecture_exist() {
    let map = read("docs/architecture.md");
    let (mut named, mut missing) = (0, Vec::new());
    for row in map.lines().filter(|line| line.starts_with('|')) {
        let spans: Vec<&str> = row.split('`').skip(1).step_by(2).collect();
        let paths = spans.iter().filter(|span| has_extension(Path::new(span), "rs"));
        let files: String = paths
            .flat_map(|path| SOURCE_FOLDERS.iter().map(move |folder| root().join(folder).join(path)))
            .filter_map(|path| std::fs::read_to_string(path).ok())
            .collect();
        let is_function =
            |span: &&&str| span.starts_with(|c: char| c.is_ascii_lowercase()) && span.chars().all(|c| c.is_ascii_lowercase() || c == '_');
        for function in spans.iter().filter(is_function).filter(|_| !files.is_empty()) {
            named += 1;
            if !["(", "<"].iter().any(|next| files.contains(&format!("fn {function}{next}"))) {
                missing.push(format!("{function}: {row}"));
            }
        }
    }
    assert!(named > 2, "{named}");
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn paths_in_agents_guide_exist() {
    let guide = read("AGENTS.md");
    let spans = guide.split("```").step_by(2).flat_map(|prose| prose.split('`').skip(1).step_by(2));
    let folders = ["src", "tests", "docs", "deploy", "charts", "crds"];
    let is_path = |span: &&str| !span.contains(' ') && folders.iter().any(|folder| Path::new(span).starts_with(folder));
    let paths: Vec<&str> = spans.filter(is_path).collect();
    assert!(paths.len() > 30, "{paths:?}");
    let missing: Vec<_> = paths.into_iter().filter(|path| !root().join(path).exists()).collect();
    assert!(missing.is_empty(), "AGENTS.md names missing paths: {missing:?}");
}
