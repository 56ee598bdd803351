//! Runs the commands that the troubleshooting page advises for each reason.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::page::{Page, Part};
use crate::run;

/// The page.
pub const PAGE: &str = "docs/operations/troubleshooting.md";

#[tokio::test]
async fn each_advised_command_runs() {
    let commands: BTreeSet<String> = Page::read(PAGE).inline_commands().collect();
    assert!(commands.len() > 10, "{commands:?}");
    // In this order, what a command creates exists for those that read it.
    let mut script = "export EDITOR=true\nprintf example-secret > FILE\nkubectl delete secret aas-sp --namespace bi\n".to_owned();
    for command in commands {
        writeln!(script, "at 'advice'\n{}", command.replace("SERVICE_ACCOUNT", "reader")).unwrap();
    }
    let given = ["installed", "refreshed"].map(str::to_owned).to_vec();
    run::run(&Page::of("the advice for each reason", vec![Part::Given(given), Part::Then(0, script)])).await;
}
