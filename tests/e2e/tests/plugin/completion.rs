//! The completion by kubectl itself, with the script of the plugin.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::time::{Duration, Instant};

use e2e::{World, paths};
use serde_json::json;

use crate::plugin::{Plugin, Role};

/// kubectl, the plugin and its script in one directory of the PATH.
struct Shell<'a> {
    path: String,
    plugin: &'a Plugin,
}

impl<'a> Shell<'a> {
    fn new(world: &World, plugin: &'a Plugin) -> Self {
        let directory = world.environment.directory().join(format!("{}-path", world.namespace));
        fs::create_dir_all(&directory).unwrap();
        let program = |name: &str, content: &str| {
            let path = directory.join(name);
            fs::write(&path, content).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        };
        let kubectl = world.environment.control_plane.program().display();
        program("kubectl", &format!("#!/bin/sh\nexec '{kubectl}' kubectl \"$@\"\n"));
        program("kubectl_complete-tabular", &fs::read_to_string(paths::workspace().join("plugin/kubectl_complete-tabular")).unwrap());
        symlink(paths::plugin(), directory.join("kubectl-tabular")).unwrap();
        let path = std::env::join_paths([directory.as_path(), Path::new("/usr/bin"), Path::new("/bin")]).unwrap();
        Self { path: path.into_string().unwrap(), plugin }
    }

    /// What kubectl offers for a line, split at blanks, without its directive.
    async fn complete(&self, line: &str) -> Vec<String> {
        let output = tokio::process::Command::new("sh")
            .args(["-c", "kubectl __complete tabular \"$@\"", "sh"])
            .args(line.split(' '))
            .env("PATH", &self.path)
            .env("KUBECONFIG", self.plugin.kubeconfig())
            .output()
            .await
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        assert_eq!(lines.pop().as_deref(), Some(":4"), "{line}: {text} {}", String::from_utf8_lossy(&output.stderr));
        lines
    }
}

#[tokio::test]
async fn kubectl_completes_commands_flags_and_names() {
    let world = World::new("completion").await;
    let plugin = Plugin::new(&world, Role::View).await;
    let shell = Shell::new(&world, &plugin);
    world.apply("sales", &json!({"suspend": true})).await;
    world.apply("stock", &json!({"suspend": true})).await;
    world.apply("modelsync/replicas", &json!({"suspend": true})).await;

    let commands = shell.complete("").await;
    assert!(commands.iter().any(|line| line.starts_with("status\tShow one refresh or sync")), "{commands:?}");
    assert_eq!(shell.complete("history --ru").await.len(), 1);
    assert_eq!(shell.complete("status s").await, ["sales", "stock"]);
    assert_eq!(shell.complete("get ").await, ["msync/replicas", "sales", "stock"]);
    assert_eq!(shell.complete("get sales ").await, ["msync/replicas", "stock"]);
    assert_eq!(shell.complete("status msync/").await, ["msync/replicas"]);
    // The user may not list namespaces, and nothing in another one.
    assert_eq!(shell.complete("get -n ").await, Vec::<String>::new());
    assert_eq!(shell.complete("status -n default s").await, Vec::<String>::new());
    assert!(plugin.requests(&world).iter().all(|request| request.starts_with("list ")), "names come from lists");
}

#[tokio::test]
async fn unavailable_api_server_delays_completion_by_a_second() {
    // It accepts connections, and never responds.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let directory = e2e::TestEnvironment::get().directory().join("completion-silent");
    fs::create_dir_all(&directory).unwrap();
    let kubeconfig = directory.join("kubeconfig");
    let server = format!("http://{}", silent.local_addr().unwrap());
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": server}}], "users": [{"name": "u", "user": {}}],
    });
    fs::write(&kubeconfig, config.to_string()).unwrap();
    let began = Instant::now();
    let printed = Plugin::offline(&["__complete", "get", "--kubeconfig", kubeconfig.to_str().unwrap(), ""], "").await;
    assert_eq!((printed.code, printed.out.as_str(), printed.err.as_str()), (0, ":4\n", ""));
    // Other requests have 10 s.
    assert!((Duration::from_millis(900)..Duration::from_secs(9)).contains(&began.elapsed()), "{:?}", began.elapsed());
}

#[tokio::test]
async fn version_compares_the_definitions() {
    let world = World::new("version").await;
    let plugin = Plugin::new(&world, Role::View).await;
    let version = plugin.succeed("version").await;
    assert!(version.contains("serves tabular-operator.dev/v1alpha1\n"), "{version}");
    assert!(version.contains("modelsyncs.tabular-operator.dev: unknown: you may not get customresourcedefinitions"), "{version}");
    let administrator = world.environment.control_plane.kubeconfig().to_str().unwrap();
    let printed = Plugin::offline(&["version", "-o", "json", "--kubeconfig", administrator], "").await;
    let report: serde_json::Value = serde_json::from_str(&printed.out).unwrap();
    for definition in report["definitions"].as_array().unwrap() {
        assert_eq!(definition["pluginDigest"], definition["clusterDigest"], "{report}");
    }
    assert_eq!(report["definitions"].as_array().unwrap().len(), 2);
    let script = Plugin::offline(&["completion"], "").await;
    assert_eq!(script.out, fs::read_to_string(paths::workspace().join("plugin/kubectl_complete-tabular")).unwrap());
    let client = Plugin::offline(&["version", "--client", "--kubeconfig", "/missing"], "").await;
    assert!(client.code == 0 && client.out.starts_with("plugin  "), "{client:?}");
}
