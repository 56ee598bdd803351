//! The recipes of `docs/gitops.md`, applied unchanged, and its commands.

use std::fs;

use e2e::world::run;
use e2e::{TestSetup, World, paths};
use serde_json::{Value, json};
use tabular_operator::api::RunState;

use crate::history::Histories;

/// The blocks of the page in one language.
fn blocks(language: &str) -> Vec<String> {
    let text = fs::read_to_string(paths::workspace().join("docs/gitops.md")).unwrap();
    // The language, the rest of the info string, and the lines of the block.
    let blocks = text.split("\n```").skip(1).step_by(2).map(|block| block.split_once('\n').unwrap());
    blocks.filter(|(head, _)| head.split(' ').next() == Some(language)).map(|(_, lines)| format!("{lines}\n")).collect()
}

/// A manifest of the page, with only the server changed.
fn recipe(world: &World, name: &str) -> String {
    let blocks = blocks("yaml");
    let block = blocks.iter().find(|block| block.contains(&format!("\n  name: {name}\n")));
    let block = block.unwrap_or_else(|| panic!("docs/gitops.md has no {name}"));
    let server = "asazure://westus.asazure.windows.net/myserver";
    assert!(block.contains(server), "{name} names another server");
    block.replace(server, &world.server)
}

async fn kubectl(world: &World, arguments: &[&str], input: &str) -> (bool, String) {
    let output = world.environment.control_plane.kubectl_with(&[&["--namespace", &world.namespace], arguments].concat(), input).await;
    let printed = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    (output.status.success(), printed)
}

async fn apply(world: &World, manifest: &str) {
    let (applied, printed) = kubectl(world, &["apply", "--validate=strict", "-f", "-"], manifest).await;
    assert!(applied, "{printed}");
}

#[tokio::test]
async fn hook_completes_with_its_run_for_each_sync() {
    let model = json!({"durationMillis": 500, "outcomes": ["succeeded", "failed"]});
    let (world, _operator) = World::running("hook", TestSetup::with_model(model)).await;
    let manifest = recipe(&world, "after-sync");
    for end in [RunState::Succeeded, RunState::Failed] {
        // As BeforeHookCreation does: the previous object is deleted, and then a new one is created.
        let (deleted, printed) = kubectl(&world, &["delete", "mref/after-sync", "--ignore-not-found"], "").await;
        assert!(deleted, "{printed}");
        apply(&world, &manifest).await;
        let ended = world.until_state("after-sync", end).await;
        assert_eq!(run(&ended).number, 1);
    }
    assert_eq!(world.posts().await, 2);
    let results = Histories::of(&world).await.results("after-sync");
    let without_end: Vec<&str> = results.iter().map(String::as_str).filter(|word| !word.starts_with("Terminating")).collect();
    assert_eq!(without_end, ["InProgress Progressing", "Current Healthy", "InProgress Progressing", "Failed Degraded"]);
}

#[tokio::test]
async fn sync_wave_waits_for_run_of_its_token() {
    let (world, _operator) = World::running("wave", TestSetup::default()).await;
    let manifest = recipe(&world, "before-reports");
    apply(&world, &manifest).await;
    world.until_run("before-reports", 1, RunState::Succeeded).await;
    apply(&world, &manifest.replace("4d5e6f7", "8a9b0c1")).await;
    world.until_run("before-reports", 2, RunState::Succeeded).await;
    let expected = ["InProgress Progressing", "Current Healthy", "InProgress Progressing", "Current Healthy"];
    Histories::of(&world).await.assert("before-reports", &expected);
}

#[tokio::test]
async fn commands_of_page_have_documented_effect() {
    let (world, _operator) = World::running("page", TestSetup::default()).await;
    // A new resource does not run for its initial token: onChange is off.
    let manifest = recipe(&world, "release");
    apply(&world, &manifest.replace("4d5e6f7", "0a1b2c3")).await;
    world.until_reason("release", "Ready", "Idle").await;
    apply(&world, &manifest).await;
    let commands: Vec<String> = blocks("sh").iter().flat_map(|block| block.lines().map(str::to_owned).collect::<Vec<_>>()).collect();
    assert_eq!(commands.len(), 4, "{commands:#?}");
    for command in &commands {
        let words: Vec<String> =
            command.split_whitespace().skip(1).map(|word| word.replace('\'', "").replace("release.yaml", "-")).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let (done, printed) = kubectl(&world, &words, &manifest).await;
        assert!(done, "{command}: {printed}");
    }
    let done = world.until_state("release", RunState::Succeeded).await;
    assert_eq!((run(&done).trigger.value.as_str(), world.posts().await), ("4d5e6f7", 1));
}

#[test]
fn every_manifest_of_page_is_tested() {
    let names: Vec<Value> = blocks("yaml")
        .iter()
        .map(|block| serde_saphyr::from_str::<Value>(block).unwrap())
        .filter(|object| object["apiVersion"] == e2e::Kind::api_version())
        .map(|object| object["metadata"]["name"].clone())
        .collect();
    assert_eq!(names, ["release", "after-sync", "before-reports"]);
}
