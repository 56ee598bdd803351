//! The versions of Kubernetes of the tests: the module files of the control plane, the documents and the nightly workflow name the same.

use crate::chart::{files, read};

const MODULES: &str = "tests/tools/control-plane";

/// The version of a module that a module file requires, without its v.
fn version(file: &str, module: &str) -> String {
    let text = read(&format!("{MODULES}/{file}"));
    let required = text.lines().find_map(|line| line.strip_prefix('\t')?.strip_prefix(module)?.strip_prefix(" v"));
    required.unwrap_or_else(|| panic!("{file} does not require {module}")).to_owned()
}

/// The minor version, and the cells of the table for a module file.
fn row(file: &str) -> (String, String) {
    let kubernetes = version(file, "k8s.io/kubernetes");
    let (minor, _) = kubernetes.rsplit_once('.').unwrap();
    let row = format!("| {minor} | {kubernetes} | {} |", version(file, "go.etcd.io/etcd/server/v3"));
    (minor.to_owned(), row)
}

#[test]
fn tested_kubernetes_versions_are_documented() {
    let others: Vec<(String, String)> = files(&format!("{MODULES}/versions"), ".mod")
        .iter()
        .map(|file| {
            let (minor, row) = row(&format!("versions/{file}"));
            assert_eq!(*file, format!("{minor}.mod"), "the name of the file is the minor version");
            (minor, row)
        })
        .collect();
    let default = row("go.mod");
    let page = read("docs/operations/support.md");
    for (minor, row) in others.iter().chain([&default]) {
        assert!(page.contains(row), "docs/operations/support.md has no row '{row}' for {minor}");
    }
    let rows = page.lines().filter(|line| line.starts_with("| 1.")).count();
    assert_eq!(rows, others.len() + 1, "docs/operations/support.md has a row of another version");

    let nightly: Vec<String> = others.iter().map(|(minor, _)| format!("\"{minor}\"")).collect();
    let wanted = format!("version: [{}]", nightly.join(", "));
    assert!(read(".github/workflows/nightly.yml").contains(&wanted), "the job kubernetes needs '{wanted}'");
    let mut all: Vec<&str> = others.iter().chain([&default]).map(|(minor, _)| minor.as_str()).collect();
    all.sort_unstable();
    let offered = format!("with {} to {}", all[0], all[all.len() - 1]);
    assert!(page.contains(&offered), "docs/operations/support.md does not say '{offered}'");
    let tested = format!("tested on {}", default.0);
    for document in ["docs/operations/install.md", "docs/operations/support.md"] {
        assert!(read(document).contains(&tested), "{document} does not say '{tested}'");
    }
}
