//! No command reads a Secret, whatever its user may do.

use std::collections::BTreeSet;

use e2e::{TestSetup, World};
use serde_json::json;
use tabular_operator::api::RunState;

use crate::plugin::{Plugin, Role};

/// A command line for each command that calls the API server, in an order in which they make sense.
const LINES: &[(&str, &str)] = &[
    ("get", "get"),
    ("status", "status orders"),
    ("history", "history orders"),
    ("queue", "queue"),
    ("why", "why orders"),
    ("suspend", "suspend orders"),
    ("resume", "resume orders"),
    ("run", "run orders --reason test"),
    ("cancel", "cancel orders"),
    ("check", "check orders --timeout 1s"),
    ("adopt", "adopt orders --yes"),
    ("resubmit", "resubmit orders --yes"),
    ("release", "release orders --yes"),
    ("version", "version"),
];
/// The commands that have no such line: they print text without a cluster, or run until they are interrupted.
const OTHERS: &[&str] = &["help", "completion", "create", "validate", "dashboard"];

#[tokio::test]
async fn no_command_requests_secrets() {
    let (world, _operator) = World::running("plugin-secrets", TestSetup::default()).await;
    let plugin = Plugin::new(&world, Role::Edit).await;
    world.apply("orders", &json!({})).await;
    world.until_state("orders", RunState::Succeeded).await;
    let help = plugin.succeed("--help").await;
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let commands: BTreeSet<&str> = listed
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert!(commands.len() > 8, "{help}");
    for (command, line) in LINES.iter().filter(|(command, _)| commands.contains(command)) {
        let printed = plugin.run(line).await;
        assert!([0, 2, 3, 4, 5].contains(&printed.code), "{command}: {printed:?}");
    }
    let known: BTreeSet<&str> = LINES.iter().map(|(command, _)| *command).chain(OTHERS.iter().copied()).collect();
    let unknown: Vec<&&str> = commands.difference(&known).collect();
    assert!(unknown.is_empty(), "add {unknown:?} to this test");
    // It fails if one of the requests is for a Secret.
    assert!(plugin.requests(&world).len() > LINES.len());
}
