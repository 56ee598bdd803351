//! Runs every command of the documents: on a real API server and the local Azure, with the real kubectl, Helm and operator.
//!
//! A page is one script of its blocks in order, on its own cluster. The page contains the text for readers and the instructions for this
//! test:
//!
//! | In the page | Meaning |
//! |---|---|
//! | `sh`, `bash` | commands; in `console`, those after `$ ` |
//! | `sh skip="why"` | commands that cannot run here; counted in [`skipped`] |
//! | `yaml file="name"` | the content that the reader puts into that file |
//! | `<!-- given: a b -->` | the initial state: functions of `given.sh` |
//! | `<!-- then: command -->` | a condition that must hold at this place, hidden from the reader |

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod advice;
mod links;
mod new_user;
mod page;
mod recipes;
mod run;
mod skipped;

use page::Page;

/// Runs a page.
macro_rules! pages {
    ($($name:ident: $file:literal),+ $(,)?) => {
        $(#[tokio::test]
        async fn $name() {
            run::run(&Page::read($file)).await;
        })+

        /// The pages that run.
        const RUN: &[&str] = &[$($file),+];
    };
}

pages! {
    readme: "README.md",
    chart: "charts/tabular-operator/README.md",
    manifests: "deploy/README.md",
    argocd: "deploy/argocd/README.md",
    gitops: "docs/gitops.md",
    identities: "docs/identities.md",
    plugin: "docs/kubectl-tabular.md",
    writing_manifests: "docs/writing-manifests.md",
    runbooks: "docs/runbooks.md",
    recipes: "docs/recipes.md",
    runs: "docs/runs.md",
    annotations: "docs/reference/annotations.md",
    states: "docs/reference/states.md",
    install: "docs/operations/install.md",
    upgrade: "docs/operations/upgrade.md",
    tenancy: "docs/operations/tenancy.md",
    quotas: "docs/operations/quotas.md",
    network: "docs/operations/network.md",
    availability: "docs/operations/availability.md",
    backup: "docs/operations/backup.md",
    uninstall: "docs/operations/uninstall.md",
    security: "docs/operations/security.md",
    permissions: "docs/operations/permissions.md",
    troubleshooting: "docs/operations/troubleshooting.md",
}

/// A new page with commands must be added to the list.
#[test]
fn every_page_with_commands_runs() {
    for page in Page::all() {
        let runs = page.blocks().any(page::Block::runs);
        assert_eq!(
            RUN.contains(&page.file.as_str()),
            runs,
            "{}: add it to the pages of tests/e2e/tests/docs/main.rs, or remove it",
            page.file
        );
    }
}

/// A block with a command must be marked as one.
#[test]
fn every_block_has_a_language() {
    for page in Page::all() {
        for block in page.blocks() {
            let known = ["sh", "bash", "console", "yaml", "json", "mermaid", "text", "promql", "dockerfile", "python"];
            let place = format!("{}:{}", page.file, block.line);
            assert!(known.contains(&block.language.as_str()), "{place}: set the language of the block: {known:?}");
            // A file may contain commands, which the page runs, and so may the output of a command.
            if block.is_shell() || block.file.is_some() || block.text.starts_with("$ ") {
                continue;
            }
            let commands = ["kubectl ", "helm ", "tabular-operator "];
            let command = block.text.lines().find(|line| commands.iter().any(|command| line.trim_start().starts_with(command)));
            assert!(command.is_none() || page.is_help(), "{place}: a command that does not run: {command:?}");
        }
    }
}
