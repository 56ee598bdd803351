//! Checks of the recipes that no command of the page makes: the workflow of GitHub by actionlint, and the command lines of Tekton and Airflow.
//!
//! Tekton's definitions are not available as a Go module at this place, so its manifests are checked against the fields of its API that are listed here.

use e2e::{Tool, paths};
use serde_json::Value;

use crate::page::Page;

const PAGE: &str = "docs/recipes.md";

fn file(name: &str) -> String {
    let page = Page::read(PAGE);
    let block = page.blocks().find(|block| block.file.as_deref() == Some(name));
    block.unwrap_or_else(|| panic!("{PAGE} has no {name}")).text.clone()
}

fn manifest(name: &str) -> Value {
    serde_saphyr::from_str(&file(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The texts of a list.
fn texts(list: &Value) -> Vec<String> {
    list.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
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

#[test]
fn manifests_of_tekton_have_fields_of_its_api() {
    let fields = |value: &Value, known: &[&str]| {
        let unknown: Vec<&String> = value.as_object().unwrap().keys().filter(|key| !known.contains(&key.as_str())).collect();
        assert!(unknown.is_empty(), "unknown fields {unknown:?} in {value}");
    };
    let object = ["apiVersion", "kind", "metadata", "spec"];
    let (task, run) = (manifest("refresh-task.yaml"), manifest("refresh-taskrun.yaml"));
    for (value, kind) in [(&task, "Task"), (&run, "TaskRun")] {
        fields(value, &object);
        assert_eq!((value["apiVersion"].as_str(), value["kind"].as_str()), (Some("tekton.dev/v1"), Some(kind)));
    }
    fields(&task["spec"], &["description", "params", "steps", "results", "workspaces"]);
    fields(&run["spec"], &["params", "retries", "serviceAccountName", "taskRef", "timeout", "workspaces"]);
    fields(&run["spec"]["taskRef"], &["name", "kind"]);
    assert_eq!(run["spec"]["taskRef"]["name"], task["metadata"]["name"]);
    assert_eq!(run["spec"]["serviceAccountName"], "refresh");
    let declared: Vec<&str> = task["spec"]["params"].as_array().unwrap().iter().map(|param| param["name"].as_str().unwrap()).collect();
    for param in task["spec"]["params"].as_array().unwrap() {
        fields(param, &["name", "type", "description", "default"]);
    }
    for param in run["spec"]["params"].as_array().unwrap() {
        fields(param, &["name", "value"]);
        assert!(declared.contains(&param["name"].as_str().unwrap()), "{param} is not declared");
    }
    let step = &task["spec"]["steps"][0];
    fields(step, &["name", "image", "command", "args", "env"]);
    for variable in texts(&step["args"]).iter().filter_map(|text| text.split_once("$(")?.1.split_once(')')).map(|(variable, _)| variable) {
        let param = variable.strip_prefix("params.");
        assert!(param.map_or(variable == "context.taskRun.name", |name| declared.contains(&name)), "{variable} does not exist");
    }
}

/// The page runs the command of Tekton. That of Airflow is the same, except for the reason.
#[test]
fn tekton_and_airflow_run_same_command() {
    let step = &manifest("refresh-task.yaml")["spec"]["steps"][0];
    let dag = file("refresh_adventureworks.py");
    let list = |argument: &str| -> Vec<String> {
        let text = dag.split_once(&format!("{argument}=[")).unwrap().1.split_once(']').unwrap().0;
        text.split(", ").map(|quoted| quoted.trim_matches('"').to_owned()).collect()
    };
    assert_eq!(list("cmds"), texts(&step["command"]));
    let common = |arguments: Vec<String>| -> Vec<String> {
        let replaced = arguments.into_iter().map(|argument| argument.replace("$(params.refresh)", "adventureworks"));
        replaced.filter(|argument| !argument.starts_with("Tekton ") && !argument.starts_with("Airflow ")).collect()
    };
    assert_eq!(common(list("arguments")), common(texts(&step["args"])));
    let image = step["image"].as_str().unwrap();
    assert!(dag.contains(&format!("image=\"{image}\"")), "the images differ");
}
