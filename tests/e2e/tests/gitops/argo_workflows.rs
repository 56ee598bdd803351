//! The recipe for Argo Workflows in `docs/recipes.md`: its conditions, evaluated as Argo's executor does (`tests/tools/argo-workflows`) at every
//! version of real runs. The executor polls, so a condition must never be true before the run of its workflow ends.

use std::path::PathBuf;
use std::sync::Arc;

use e2e::world::{first_lasts, merged, run, status};
use e2e::{Tool, Version, World, paths};
use serde::Deserialize;
use serde_json::{Value, json};
use tabular_operator::api::{CANCEL_REQUESTED_AT, RunState};
use uuid::Uuid;

use crate::states::quick;

/// The field and the variable that the conditions compare.
const TOKEN: &str = "status.lastHandledToken";
const UID: &str = "{{workflow.uid}}";

/// The `WorkflowTemplate` of the recipe, perhaps changed.
struct Recipe {
    file: PathBuf,
    tool: Tool,
}

/// What the executor does at one version of the resource.
#[derive(Clone, Debug, Deserialize, PartialEq)]
struct StepResult {
    result: String,
    path: String,
    selector: String,
}

impl Recipe {
    fn new(world: &World, name: &str, change: impl Fn(&str) -> String) -> Self {
        let page = std::fs::read_to_string(paths::workspace().join("docs/recipes.md")).unwrap();
        let block = page.split("```yaml file=\"refresh-adventureworks.yaml\"\n").nth(1).expect("the page has the template");
        let template = change(block.split("```").next().unwrap());
        let file = world.environment.directory().join(format!("{}-{name}.yaml", world.namespace));
        std::fs::write(&file, template).unwrap();
        Self { file, tool: Tool::at(paths::built("tests/tools/argo-workflows/build.sh").join("argo-workflows")) }
    }

    fn of(world: &World) -> Self {
        Self::new(world, "recipe", str::to_owned)
    }

    fn file(&self) -> &str {
        self.file.to_str().unwrap()
    }

    /// The results of a step at these versions.
    async fn results(&self, step: &str, uid: &str, versions: &[Arc<Version>]) -> Vec<StepResult> {
        let lines: Vec<String> = versions.iter().map(|version| serde_json::to_string(&version.object).unwrap()).collect();
        let output = self.tool.run_with(&["wait", self.file(), step, uid], &lines.join("\n")).await;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let results = String::from_utf8(output.stdout).unwrap();
        let results: Vec<StepResult> = results.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(results.len(), versions.len(), "one result per version");
        results
    }

    /// Applies the manifest of the first step as the executor does, on another model. Returns the workflow.
    async fn start(&self, world: &World, named: &'static str, spec: &Value) -> Workflow {
        let uid = Uuid::new_v4().to_string();
        let text = self.tool.run(&["manifest", self.file(), "start", &uid]).await;
        let manifest: Value = serde_json::from_str(&text).unwrap();
        let of_model = json!({"model": {"analysisServices": {"server": world.server, "database": named}}});
        let spec = merged(&merged(&manifest["spec"], &of_model), spec);
        let manifest = world.manifest(named, &spec).to_string();
        let output = world.environment.control_plane.kubectl_with(&["apply", "-f", "-", "-o", "json"], &manifest).await;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let applied: Value = serde_json::from_slice(&output.stdout).unwrap();
        Workflow { uid, named, since: resource_version(&applied) }
    }
}

fn resource_version(object: &Value) -> u64 {
    object["metadata"]["resourceVersion"].as_str().and_then(|text| text.parse().ok()).expect("a resource version")
}

/// A workflow that has applied its manifest.
struct Workflow {
    uid: String,
    named: &'static str,
    /// The first version that its executor can read.
    since: u64,
}

impl Workflow {
    /// The versions that its executor can read.
    fn versions(&self, world: &World) -> Vec<Arc<Version>> {
        let mut versions = world.recorder.of(self.named);
        versions.retain(|version| resource_version(&serde_json::to_value(&version.object).unwrap()) >= self.since);
        versions
    }

    /// Asserts that neither step has a result before the run of this number starts and ends, and that the result is that of its end.
    async fn assert_ends_with_run(&self, world: &World, recipe: &Recipe, number: i32, end: RunState) {
        let versions = self.versions(world);
        let resources: Vec<_> = versions.iter().map(|version| version.decode().unwrap()).collect();
        let is_own = |index: usize| run(&resources[index]).number == number;
        let starts = recipe.results("start", &self.uid, &versions).await;
        let started = starts.iter().position(|result| result.result != "Waiting").expect("the run started");
        assert_eq!(starts[started].result, "Succeeded", "{:?}", starts[started]);
        let path = format!("apis/tabular-operator.dev/v1alpha1/namespaces/{}/modelrefreshes/{}", world.namespace, self.named);
        assert_eq!(starts[started].path, path);
        for resource in &resources[..started] {
            let before = resource.status.as_ref().and_then(|status| status.run.as_ref());
            assert!(before.is_none_or(|run| run.number < number), "a run in progress was not observed: {resource:#?}");
        }

        let waits = recipe.results("wait", &self.uid, &versions).await;
        let ended = (started..versions.len()).find(|&index| waits[index].result != "Waiting").expect("the step ended");
        for resource in &resources[started..ended] {
            assert!(run(resource).number == number && !run(resource).state.ended(), "no result after the end: {resource:#?}");
        }
        assert!(is_own(ended), "the result of another run: {:?} {:#?}", waits[ended], resources[ended]);
        assert_eq!(run(&resources[ended]).state, end, "{:?}", waits[ended]);
        let expected = if end == RunState::Succeeded { "Succeeded" } else { "Failed" };
        for index in (ended..versions.len()).filter(|&index| is_own(index)) {
            assert_eq!(waits[index].result, expected, "the result changed: {:#?}", resources[index]);
        }
        // A workflow that polls too late reports that, instead of waiting for its deadline.
        for index in (ended..versions.len()).filter(|&index| status(&resources[index]).last_handled_token.as_ref() != Some(&self.uid)) {
            assert_eq!((waits[index].result.as_str(), waits[index].selector.contains("!=")), ("Failed", true), "{:?}", waits[index]);
        }
    }
}

#[tokio::test]
async fn argo_workflow_ends_exactly_with_its_own_run() {
    let (world, _operator) = quick("argo-workflows").await;
    let recipe = Recipe::of(&world);
    let long = json!({"status": "succeeded", "durationMillis": 600_000});
    let rows = [
        (json!("succeeded"), RunState::Succeeded),
        (json!("succeeded"), RunState::Succeeded),
        (json!("failed"), RunState::Failed),
        (json!("succeeded"), RunState::Succeeded),
        (json!("cancelled"), RunState::Cancelled),
        (json!("failed"), RunState::Failed),
        (long.clone(), RunState::Cancelled),
        (json!("succeeded"), RunState::Succeeded),
        (long, RunState::TimedOut),
        (json!("succeeded"), RunState::Succeeded),
    ];
    let outcomes: Vec<&Value> = rows.iter().map(|(outcome, _)| outcome).collect();
    world.put_database("again", &json!({"durationMillis": 500, "cancelMillis": 300, "outcomes": outcomes})).await;
    let mut workflows = Vec::new();
    for ((_, end), number) in rows.iter().zip(1..) {
        let deadline = if *end == RunState::TimedOut { 1 } else { 3_600 };
        let workflow = recipe.start(&world, "again", &json!({"activeDeadlineSeconds": deadline})).await;
        if number == 7 {
            world.until_run("again", number, RunState::Running).await;
            world.annotate("again", CANCEL_REQUESTED_AT, Some("seventh")).await;
        }
        world.until_run("again", number, *end).await;
        workflows.push((workflow, number, *end));
    }
    for (workflow, number, end) in &workflows {
        workflow.assert_ends_with_run(&world, &recipe, *number, *end).await;
    }

    // Why the recipe needs a token, two steps and `!=`: its simpler forms give the result of the previous run, or one at the start of the run.
    let (after_success, after_failure) = (&workflows[1].0, &workflows[3].0);
    let without_token =
        |text: &str| ["==", "!="].iter().fold(text.to_owned(), |text, sign| text.replace(&format!("{TOKEN} {sign} {UID},"), ""));
    let simple = Recipe::new(&world, "without-token", without_token);
    for (workflow, result) in [(after_success, "Succeeded"), (after_failure, "Failed")] {
        assert_eq!(simple.results("wait", &workflow.uid, &workflow.versions(&world)).await[0].result, result);
    }
    let both = |text: &str| text.replace(&format!("{TOKEN} !="), &format!("{TOKEN} =="));
    let versions = after_success.versions(&world);
    let results = Recipe::new(&world, "both", both).results("wait", &after_success.uid, &versions).await;
    let running = versions.iter().position(|version| run(&version.decode().unwrap()).number == 2).unwrap();
    assert_eq!(results[running].result, "Failed", "one part of a failure condition is enough");
}

#[tokio::test]
async fn argo_workflows_at_same_time_end_with_their_own_runs() {
    let (world, _operator) = quick("argo-workflows-two").await;
    let recipe = Recipe::of(&world);
    let rows = [("queued", "Queue", RunState::Succeeded), ("replaced", "Replace", RunState::Cancelled)];
    for (named, policy, end) in rows {
        world.put_database(named, &merged(&first_lasts(), &json!({"durationMillis": 500, "cancelMillis": 300}))).await;
        let spec = json!({"concurrencyPolicy": policy});
        let first = recipe.start(&world, named, &spec).await;
        world.until_run(named, 1, RunState::Running).await;
        let second = recipe.start(&world, named, &spec).await;
        if policy == "Queue" {
            world.until(named, "a queued trigger", |object| status(object).queued.is_some()).await;
            world.end_running_on(named).await;
        }
        world.until_run(named, 2, RunState::Succeeded).await;
        first.assert_ends_with_run(&world, &recipe, 1, end).await;
        second.assert_ends_with_run(&world, &recipe, 2, RunState::Succeeded).await;
    }
}

#[tokio::test]
async fn argo_workflow_template_is_valid() {
    let world = World::new("argo-lint").await;
    let recipe = Recipe::of(&world);
    recipe.tool.run(&["lint", recipe.file()]).await;
    let broken = [("synchronization", "synchronize"), ("action: get", "action: look"), ("template: wait", "template: await")];
    for (valid, invalid) in broken {
        let recipe = Recipe::new(&world, "broken", |text| text.replace(valid, invalid));
        let output = recipe.tool.run_with(&["lint", recipe.file()], "").await;
        assert!(!output.status.success(), "{invalid} was accepted");
    }
}
