//! The flags for the cluster, the proxy and the timeout, as in kubectl.

use std::fs;
use std::path::{Path, PathBuf};

use e2e::{TestEnvironment, Tool, World, paths};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::plugin::{Plugin, Printed, Role};

/// The kubeconfig of a user with more entries.
struct Config {
    path: PathBuf,
    content: Value,
}

impl Config {
    fn of(plugin: &Plugin) -> Self {
        let path = plugin.kubeconfig().with_extension("more");
        Self { path, content: serde_json::from_str(&fs::read_to_string(plugin.kubeconfig()).unwrap()).unwrap() }
    }

    fn add(&mut self, list: &str, name: &str, kind: &str, entry: &Value) {
        self.content[list].as_array_mut().unwrap().push(json!({"name": name, kind: entry}));
        fs::write(&self.path, self.content.to_string()).unwrap();
    }

    /// Runs a command line with these variables and none for a proxy.
    async fn run(&self, line: &str, variables: &[String]) -> Printed {
        let (program, path) = (paths::plugin(), self.path.display().to_string());
        let unset = ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "NO_PROXY", "no_proxy"];
        let mut words: Vec<&str> = unset.iter().flat_map(|variable| ["-u", variable]).collect();
        words.extend(variables.iter().map(String::as_str));
        words.push(program.to_str().unwrap());
        words.extend(line.split_whitespace());
        Printed::of(Tool::at("env".into()).run_with(&[&words, ["--kubeconfig", path.as_str()].as_slice()].concat(), "").await)
    }
}

#[tokio::test]
async fn flags_select_context_cluster_user_and_namespace() {
    let world = World::new("plugin-flags").await;
    let plugin = Plugin::new(&world, Role::View).await;
    world.apply("orders", &json!({"suspend": true})).await;
    let mut config = Config::of(&plugin);
    config.content["current-context"] = json!("gone");
    config.add("clusters", "gone", "cluster", &json!({"server": "https://127.0.0.1:1"}));
    config.add("users", "unknown", "user", &json!({"token": "none"}));
    // A program that gets the credentials, such as kubelogin, and one that is not installed.
    let token = config.content["users"][0]["user"]["token"].clone();
    let credential = json!({"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {"token": token}});
    let login = |command: &str| {
        let arguments = ["-c", "printf %s \"$1\"", "login", &credential.to_string()];
        json!({"exec": {"apiVersion": credential["apiVersion"], "interactiveMode": "Never", "command": command, "args": arguments}})
    };
    config.add("users", "login", "user", &login("sh"));
    config.add("users", "no-login", "user", &login("not-installed"));
    config.add("contexts", "gone", "context", &json!({"cluster": "gone", "user": "it", "namespace": world.namespace}));
    for (line, code, error) in [
        ("get", 1, "failed to reach the API server"),
        ("get --context it", 0, ""),
        ("get --cluster it", 0, ""),
        ("get --context it --user unknown", 1, "rejects the credentials"),
        ("get --context it --user login", 0, ""),
        ("get --context it --user no-login", 1, "failed to get the credentials of the kubeconfig by not-installed"),
        ("get --context it -n default", 1, "you may not list modelrefreshes in namespace default: ask for the role view there"),
        ("get --context absent", 1, "absent"),
    ] {
        let printed = config.run(line, &[]).await;
        assert!(printed.code == code && printed.err.contains(error), "{line}: {printed:?}");
        assert_eq!(printed.out.contains("orders"), code == 0, "{line}: {printed:?}");
        assert_eq!(printed.err.lines().count(), usize::from(code == 1), "one sentence: {printed:?}");
    }

    // An administrator as that user, and as a user with all permissions.
    let (namespace, user) = (world.namespace.as_str(), plugin.user());
    let administrator = world.environment.control_plane.kubeconfig().to_str().unwrap();
    let head = ["-n", namespace, "--kubeconfig", administrator, "--as"];
    let read = Plugin::offline(&[&["get"], head.as_slice(), &[user]].concat(), "").await;
    assert!(read.code == 0 && read.out.contains("orders"), "{read:?}");
    let refused = Plugin::offline(&[&["resume", "orders"], head.as_slice(), &[user]].concat(), "").await;
    assert!(refused.code == 1 && refused.err.contains("you may not patch modelrefreshes"), "{refused:?}");
    let masters = Plugin::offline(&[&["resume", "orders"], head.as_slice(), &["x", "--as-group", "system:masters"]].concat(), "").await;
    assert_eq!((masters.code, masters.out.as_str()), (0, "resumed orders\n"), "{masters:?}");
}

#[tokio::test]
async fn silent_api_server_ends_at_the_request_timeout() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let path = TestEnvironment::get().directory().join("silent.kubeconfig");
    let server = format!("http://{}", silent.local_addr().unwrap());
    write(&path, &json!({"server": server}));
    let began = std::time::Instant::now();
    let printed = Plugin::offline(&["get", "--request-timeout", "1s", "--kubeconfig", path.to_str().unwrap()], "").await;
    assert_eq!((printed.code, printed.out.as_str()), (1, ""), "{printed:?}");
    assert!(printed.err.contains("did not respond within 1 s") && printed.err.contains("--request-timeout"), "{printed:?}");
    assert!(began.elapsed() < std::time::Duration::from_secs(9), "{:?}", began.elapsed());
}

/// Writes a kubeconfig with this cluster.
fn write(path: &Path, cluster: &Value) {
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": cluster}], "users": [{"name": "u", "user": {}}],
    });
    fs::write(path, config.to_string()).unwrap();
}

#[tokio::test]
async fn requests_use_the_proxy_of_kubeconfig_and_environment() {
    let world = World::new("plugin-proxy").await;
    let plugin = Plugin::new(&world, Role::View).await;
    // The proxy of the local Azure refuses other hosts, and records them.
    let (host, proxy) = (format!("{}.kubernetes.example", world.namespace), world.environment.simulator.proxy());
    let with_password = proxy.replace("http://", "http://me:hidden@");
    let authority = Config::of(&plugin).content["clusters"][0]["cluster"]["certificate-authority-data"].clone();
    let refused = async || world.azure.ledger_after(0).await.iter().filter(|row| row.route == "refused" && row.host == host).count();
    let server = json!({"server": format!("https://{host}:6443"), "certificate-authority-data": authority});
    let by_kubeconfig = e2e::world::merged(&server, &json!({"proxy-url": with_password}));
    let rows = [
        (&by_kubeconfig, Vec::new(), true),
        (&server, vec![format!("HTTPS_PROXY={with_password}")], true),
        (&server, vec![format!("https_proxy={proxy}")], true),
        (&server, vec![format!("HTTPS_PROXY={proxy}"), "NO_PROXY=.kubernetes.example".to_owned()], false),
        (&server, Vec::new(), false),
    ];
    for (cluster, variables, is_used) in rows {
        let before = refused().await;
        let config = Config { path: plugin.kubeconfig().with_extension("proxied"), content: Value::Null };
        write(&config.path, cluster);
        let printed = config.run("get --request-timeout 5s", &variables).await;
        assert!(printed.code == 1 && printed.out.is_empty() && !printed.err.contains("hidden"), "{variables:?}: {printed:?}");
        assert_eq!(refused().await > before, is_used, "{variables:?}: {printed:?}");
    }
}
