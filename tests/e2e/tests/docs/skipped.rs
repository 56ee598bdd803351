//! The commands of the documents that do not run here: counted, each with its reason, so that none is omitted unnoticed.

use std::collections::{BTreeMap, BTreeSet};

use crate::advice;
use crate::page::Page;

/// Number of blocks for each reason.
const SKIPPED: &[(&str, usize)] = &[
    ("a command of this repository", 6),
    ("changes the version", 1),
    ("needs Docker Hub", 3),
    ("needs Tekton", 1),
    ("needs Velero", 1),
    ("needs a release", 2),
    ("needs a registry; tests/e2e/tests/image/publishing.rs does it at one of its own", 2),
    ("needs another architecture's toolchain", 1),
    ("needs cosign and an identity", 3),
    ("needs a collector of traces", 1),
    ("needs a failed uninstall; tests/e2e/tests/chart/lifecycle.rs does it", 1),
    ("needs an Azure subscription", 4),
    ("needs kustomize", 1),
    ("needs nodes", 1),
];

#[test]
fn skipped_blocks_are_listed() {
    let (mut found, mut run) = (BTreeMap::<String, usize>::new(), 0);
    for page in Page::all() {
        for block in page.blocks().filter(|block| block.is_shell()) {
            match &block.skip {
                None => run += 1,
                Some(why) => {
                    println!("not run: {}:{}: {why}", page.file, block.line);
                    *found.entry(why.clone()).or_default() += 1;
                }
            }
        }
    }
    println!("{run} blocks are run");
    let known: BTreeMap<String, usize> = SKIPPED.iter().map(|&(why, count)| (why.to_owned(), count)).collect();
    assert_eq!(found, known, "update the list in tests/e2e/tests/docs/skipped.rs if none of them can run");
}

/// Inline commands, each with the page or test that runs it.
const IN_A_SENTENCE: &[(&str, &str)] = &[
    ("helm install --take-ownership", "tests/e2e/tests/chart/lifecycle.rs"),
    ("kubectl apply --namespace bi -f FILE", "docs/operations/backup.md and others"),
    ("kubectl apply --server-side -k crds", "docs/operations/upgrade.md"),
    ("kubectl explain mref.spec", "docs/operations/troubleshooting.md"),
    ("kubectl get tabular -A", "docs/runbooks.md"),
    ("kubectl replace --force", "tests/e2e/tests/operator/users/storms.rs"),
    ("kubectl rollout restart deployment/tabular-operator --namespace tabular-system", "docs/operations/backup.md"),
    ("kubectl wait --for=condition=Finished", "docs/reference/states.md"),
];

#[test]
fn inline_commands_run_elsewhere() {
    let pages = Page::all();
    let elsewhere = pages.iter().filter(|page| !page.is_help() && page.file != advice::PAGE);
    let found: BTreeSet<String> = elsewhere.flat_map(Page::inline_commands).collect();
    let known: Vec<&str> = IN_A_SENTENCE.iter().map(|(command, _)| *command).collect();
    assert_eq!(
        found.iter().map(String::as_str).collect::<Vec<_>>(),
        known,
        "put it into a block, or add the place where it runs to tests/e2e/tests/docs/skipped.rs"
    );
}
