//! Checks of the recipes that no command of the page makes: actionlint checks the workflow of GitHub.

use e2e::{Tool, paths};

use crate::page::Page;

const PAGE: &str = "docs/recipes.md";

fn file(name: &str) -> String {
    let page = Page::read(PAGE);
    let block = page.blocks().find(|block| block.file.as_deref() == Some(name));
    block.unwrap_or_else(|| panic!("{PAGE} has no {name}")).text.clone()
}

#[tokio::test]
async fn workflow_of_github_passes_actionlint() {
    let actionlint = Tool::at(paths::built("tests/tools/actionlint/build.sh"));
    let workflow = file("refresh.yml");
    let lint = async |text: &str| actionlint.run_with(&["-shellcheck=", "-pyflakes=", "-"], text).await;
    let output = lint(&workflow).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert!(!lint(&workflow.replace("github.run_attempt", "github.attempt")).await.status.success(), "actionlint checks expressions");
}
