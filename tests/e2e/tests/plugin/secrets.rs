//! No command requests a Secret, whatever its user may do; those that read work with the role `view`; and each report is as documented.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use e2e::{TestSetup, World, paths};
use serde_json::{Value, json};
use tabular_operator::api::RunState;

use crate::plugin::{Plugin, Printed, Role};

/// Command lines that read: at least one for each such command, and one for each flag that causes other requests.
const READS: &[&str] = &[
    "get",
    "get orders msync/absent",
    "get --failed -l a=b",
    "status orders",
    "status orders -w --timeout 1s",
    "history orders",
    "history orders --run 1",
    "queue",
    "why orders",
    "version",
    "version --client",
    "completion",
    "create refresh new --workspace w --dataset d --secret aas-sp --with-access",
    "create sync new --after orders",
    "validate -f deploy/samples/minimal.yaml",
];
/// The same for those that write, in an order in which they make sense.
const WRITES: &[&str] = &[
    "suspend orders",
    "check orders --timeout 1s",
    "resume orders",
    "run orders --reason test",
    "run orders --wait",
    "cancel orders",
    "cancel orders --wait",
    "adopt orders --yes",
    "resubmit orders --yes",
    "release orders --yes",
    "validate -f deploy/samples/minimal.yaml --dry-run=server",
];

/// The commands that have no commands below them, each with its help.
async fn commands() -> BTreeMap<String, String> {
    let (mut found, mut open) = (BTreeMap::new(), vec![String::new()]);
    while let Some(above) = open.pop() {
        let words: Vec<&str> = above.split_whitespace().chain(["--help"]).collect();
        let help = Plugin::offline(&words, "").await.out;
        let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
        let below: Vec<&str> = listed
            .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
            .filter_map(|line| line.split_whitespace().next())
            .collect();
        if below.is_empty() {
            found.insert(above, help);
        } else {
            let names = below.into_iter().filter(|name| *name != "help");
            open.extend(names.map(|name| format!("{above} {name}").trim().to_owned()));
        }
    }
    found
}

/// Runs command lines, and returns the ends of each. A command that can print a report prints it, which must match its schema.
async fn run(plugin: &Plugin, lines: &[&'static str], commands: &BTreeMap<String, String>) -> Vec<(&'static str, Printed)> {
    let schema = fs::read_to_string(paths::workspace().join("plugin/report.schema.json")).unwrap();
    let schema = jsonschema::validator_for(&serde_json::from_str(&schema).unwrap()).unwrap();
    let mut ends = Vec::new();
    for line in lines {
        let help = commands.iter().find(|(command, _)| line.starts_with(*command)).map(|(_, help)| help).unwrap();
        let has_report = help.contains("--output <FORMAT>") && !line.contains(" -w");
        let mut words: Vec<&str> = line.split_whitespace().collect();
        words.extend(["-o", "json"].iter().filter(|_| has_report));
        let is_online = help.contains("--kubeconfig <FILE>");
        let printed = if is_online { plugin.run_words(&words).await } else { Plugin::offline(&words, "").await };
        if has_report && !printed.out.is_empty() {
            let report: Value = serde_json::from_str(&printed.out).unwrap_or_else(|error| panic!("{line}: {error}: {printed:?}"));
            let faults: Vec<String> = schema.iter_errors(&report).map(|error| error.to_string()).collect();
            assert!(faults.is_empty(), "{line}: {faults:#?}: {report:#}");
        }
        ends.push((*line, printed));
    }
    ends
}

#[tokio::test]
async fn no_command_requests_secrets() {
    let commands = commands().await;
    let lines = || READS.iter().chain(WRITES);
    let of = |line: &str| commands.keys().find(|command| line.starts_with(*command)).cloned();
    let known: BTreeSet<String> = lines().filter_map(|line| of(line)).collect();
    assert_eq!(known, commands.keys().cloned().collect(), "each command has a line in this test");

    let (world, _operator) = World::running("plugin-secrets", TestSetup::default()).await;
    world.apply("orders", &json!({})).await;
    world.until_state("orders", RunState::Succeeded).await;
    let (reader, editor) = (Plugin::new(&world, Role::View).await, Plugin::new(&world, Role::Edit).await);
    for (line, printed) in run(&reader, READS, &commands).await {
        let code = if line.contains("absent") {
            1
        } else if line.contains("--timeout") {
            4
        } else {
            0
        };
        assert_eq!(printed.code, code, "{line}: {printed:?}");
    }
    let mut refused = 0;
    for (line, printed) in run(&reader, WRITES, &commands).await {
        let is_refused = printed.code == 1 && printed.err.contains("you may not ") && printed.err.contains("the role edit");
        assert!(is_refused || [0, 5].contains(&printed.code) && printed.out.contains("Unchanged"), "{line}: {printed:?}");
        refused += usize::from(is_refused);
    }
    assert!(refused >= 5, "only {refused} lines attempt to write");
    for (line, printed) in run(&editor, &[READS, WRITES].concat(), &commands).await {
        assert!(printed.code != 1 || line.contains("absent"), "{line}: {printed:?}");
    }
    let yaml: Value = serde_saphyr::from_str(&editor.succeed("history orders -o yaml").await).unwrap();
    assert_eq!(yaml, editor.report("history orders").await);
    let kubeconfig = editor.kubeconfig().to_str().unwrap();
    for words in [["status", "--kubeconfig", kubeconfig, ""], ["get", "--kubeconfig", kubeconfig, "-n"]] {
        Plugin::offline(&[&["__complete"], words.as_slice()].concat(), "").await;
    }
    // Each fails if one of the requests is for a Secret.
    let (of_reader, of_editor) = (reader.requests(&world), editor.requests(&world));
    let is_read =
        |request: &String| ["get ", "list ", "watch "].iter().any(|verb| request.starts_with(verb)) || request.ends_with("-> 403");
    assert!(of_reader.iter().all(is_read), "{of_reader:#?}");
    assert!(of_editor.len() > READS.len() && !of_editor.iter().all(is_read), "{of_editor:#?}");
}
