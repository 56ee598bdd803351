//! Every command that the documents show is run: on a real API server and the local Azure, with the real kubectl, Helm and operator.
//!
//! A page is one script, its blocks in their order, on a cluster of its own. What a page says to a reader and what it says to this
//! test both stand in the page:
//!
//! | In the page | What it means |
//! |---|---|
//! | `sh`, `bash` | commands; `console`: those behind `$ ` |
//! | `sh skip="why"` | they cannot run here; counted in [`skipped`] |
//! | `yaml file="name"` | what the reader has put into that file |
//! | `<!-- given: a b -->` | what is there at the beginning: functions of `given.sh` |
//! | `<!-- then: command -->` | what has to hold at that place, not shown to the reader |

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod links;
mod page;
mod play;
mod skipped;
mod stranger;

use page::Page;

/// Runs a page.
macro_rules! pages {
    ($($name:ident: $file:literal),+ $(,)?) => {
        $(#[tokio::test]
        async fn $name() {
            play::play(&Page::read($file)).await;
        })+

        /// The pages that are run.
        const PLAYED: &[&str] = &[$($file),+];
    };
}

pages! {
    readme: "README.md",
    chart: "charts/tabular-operator/README.md",
    manifests: "deploy/README.md",
    argocd: "deploy/argocd/README.md",
    gitops: "docs/gitops.md",
    identities: "docs/identities.md",
    runbooks: "docs/runbooks.md",
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

/// A new page with commands is no page that nobody runs.
#[test]
fn every_page_with_commands_is_run() {
    for page in Page::all() {
        let runs = page.blocks().any(page::Block::runs);
        assert_eq!(PLAYED.contains(&page.file.as_str()), runs, "{}: add it to the pages of tests/docs/main.rs, or take it out", page.file);
    }
}

/// What looks like a command is one to this test too.
#[test]
fn every_block_says_what_it_is() {
    for page in Page::all() {
        for block in page.blocks() {
            let known = ["sh", "bash", "console", "yaml", "json", "mermaid", "text", "promql"];
            let place = format!("{}:{}", page.file, block.line);
            assert!(known.contains(&block.language.as_str()), "{place}: say what the block is: {known:?}");
            if block.is_shell() {
                continue;
            }
            let commands = ["kubectl ", "helm ", "tabular-operator "];
            let command = block.text.lines().find(|line| commands.iter().any(|command| line.trim_start().starts_with(command)));
            assert!(command.is_none() || page.file == "docs/reference/flags.md", "{place}: a command that nobody runs: {command:?}");
        }
    }
}
