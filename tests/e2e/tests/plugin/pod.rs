//! The plugin in a pod, as in `docs/recipes.md`: the image has only the program, and the `ServiceAccount` only the permissions of the page.

use std::fs;
use std::path::{Path, PathBuf};

use e2e::pod::{self, Mounts};
use e2e::world::run;
use e2e::{TestSetup, Tool, World, paths, rbac};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use serde_json::json;
use tabular_operator::api::RunState;

/// The path of the program in the image of the page.
const PROGRAM: &str = "usr/local/bin/kubectl-tabular";

async fn kubectl(world: &World, arguments: &[&str], input: &str) -> String {
    let arguments = [arguments, &["--namespace", &world.namespace]].concat();
    let output = world.environment.control_plane.kubectl_with(&arguments, input).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// The root of the container, with the files that the kubelet adds.
async fn root(world: &World) -> PathBuf {
    let page = fs::read_to_string(paths::workspace().join("docs/recipes.md")).unwrap();
    let access = page.split("```yaml file=\"access.yaml\"\n").nth(1).unwrap().split("```").next().unwrap();
    kubectl(world, &["apply", "-f", "-"], access).await;
    let token = kubectl(world, &["create", "token", "refresh"], "").await;
    let authority = Api::<ConfigMap>::namespaced(world.client.clone(), rbac::OPERATORS).get("kube-root-ca.crt").await.unwrap();
    let root = world.environment.directory().join(format!("{}-root", world.namespace));
    let program = root.join(PROGRAM);
    fs::create_dir_all(program.parent().unwrap()).unwrap();
    fs::copy(paths::plugin(), program).unwrap();
    let account = [token.as_str(), world.namespace.as_str(), authority.data.as_ref().unwrap()["ca.crt"].as_str()];
    Mounts { account, hosts: "127.0.0.1 localhost\n", resolver: "nameserver 127.53.0.2\n" }.put_into(&root);
    root
}

#[tokio::test]
async fn plugin_runs_in_pod_with_permissions_of_recipes() {
    if let Some(why) = pod::missing_support() {
        return eprintln!("not tested: a pod's environment needs namespaces: {why}");
    }
    let (world, _operator) = World::running("plugin-pod", TestSetup::default()).await;
    world.apply("orders", &json!({"trigger": {"onChange": false}})).await;
    world.until_reason("orders", "Ready", "Idle").await;
    let root = root(&world).await;
    let (host, port) = world.environment.control_plane.url().trim_start_matches("https://").split_once(':').unwrap();
    let environment = [format!("KUBERNETES_SERVICE_HOST={host}"), format!("KUBERNETES_SERVICE_PORT={port}")];
    let program = Path::new("/").join(PROGRAM);
    let tool = Tool::at(paths::workspace().join("tests/e2e/pod.sh"));
    let head = [root.to_str().unwrap(), &environment[0], &environment[1], "--", program.to_str().unwrap()];

    let output =
        tool.run_with(&[&head[..], &["run", "orders", "--wait", "--timeout", "1m", "--reason", "Tekton refresh-1"]].concat(), "").await;
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stdout).starts_with("✓ run 1 succeeded"), "{output:?}");
    let ended = world.until_state("orders", RunState::Succeeded).await;
    assert!(run(&ended).trigger.value.ends_with("Z Tekton refresh-1"), "{ended:#?}");
    let output = tool.run_with(&[&head[..], &["suspend", "orders", "--namespace", "default"]].concat(), "").await;
    assert_eq!(output.status.code(), Some(1), "the permissions are for one namespace: {output:?}");
}
