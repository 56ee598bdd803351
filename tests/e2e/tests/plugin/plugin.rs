//! The plugin as a user runs it: a kubeconfig with limited permissions, and no terminal.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use e2e::kubeconfig::Endpoint;
use e2e::rbac::{self, make};
use e2e::{ApiProxy, AuditLine, Tool, World, kubeconfig, paths};
use k8s_openapi::api::rbac::v1::ClusterRole;
use kube::Api;
use serde_json::{Value, json};
use tokio::process::Child;

use crate::terminal::Terminal;

/// The permissions of a user, as the roles of Kubernetes include them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// `view` in the namespace of the world.
    View,
    /// `view` in all namespaces.
    ViewAll,
    /// What `view` permits for refreshes and syncs, and nothing else, in the namespace of the world.
    Resources,
    /// `view` without the permission to watch.
    ViewOnce,
    /// `edit` in the namespace of the world.
    Edit,
    /// What `edit` permits for refreshes, but not for syncs, in the namespace of the world.
    Refreshes,
}

/// The plugin for one user.
pub struct Plugin {
    tool: Tool,
    kubeconfig: PathBuf,
    user: String,
}

/// What a command printed, and how it ended.
#[derive(Debug)]
pub struct Printed {
    /// The exit code.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Plugin {
    /// The plugin for a new user with these permissions. Its default namespace is that of the world.
    pub async fn new(world: &World, role: Role) -> Self {
        Self::at(world, role, &world.environment.endpoint()).await
    }

    /// The same through a proxy in front of the API server.
    pub async fn through(world: &World, proxy: &ApiProxy) -> Self {
        Self::at(world, Role::Edit, proxy.endpoint()).await
    }

    async fn at(world: &World, role: Role, endpoint: &Endpoint) -> Self {
        static USERS: AtomicUsize = AtomicUsize::new(0);
        let name = format!("{}-user-{}", world.namespace, USERS.fetch_add(1, Ordering::Relaxed));
        let roles: Vec<Value> =
            serde_saphyr::from_multiple(include_str!("../../../../deploy/base/user-roles.yaml")).expect("the roles are valid");
        let names: &[&str] = match role {
            Role::View | Role::ViewAll | Role::Resources | Role::ViewOnce => &["tabular-operator-view"],
            Role::Edit | Role::Refreshes => &["tabular-operator-view", "tabular-operator-edit"],
        };
        let included = roles.iter().filter(|role| names.iter().any(|name| role["metadata"]["name"] == *name));
        let mut permitted: Vec<Value> = included.flat_map(|role| role["rules"].as_array().expect("a role has rules")).cloned().collect();
        assert_eq!(permitted.len(), names.len(), "a role is missing");
        for rule in permitted.iter_mut().filter(|_| role == Role::ViewOnce) {
            rule["verbs"].as_array_mut().expect("a rule has verbs").retain(|verb| verb != "watch");
        }
        for rule in permitted.iter_mut().filter(|_| role == Role::Refreshes) {
            rule["resources"].as_array_mut().expect("a rule has resources").retain(|resource| resource == "modelrefreshes");
        }
        if role != Role::Resources {
            permitted.push(events(world).await);
        }
        let role_of_user = json!({"metadata": {"name": name}, "rules": permitted});
        make::<ClusterRole>(&Api::all(world.client.clone()), role_of_user).await;
        let token = rbac::account(&world.client, &name, &world.namespace, &name, role == Role::ViewAll).await;
        let kubeconfig = world.environment.directory().join(format!("{name}.kubeconfig"));
        kubeconfig::write(&kubeconfig, endpoint, &token, &world.namespace);
        Self { tool: Tool::at(paths::plugin()), kubeconfig, user: rbac::user(&name) }
    }

    /// Runs a command line, split at blanks.
    pub async fn run(&self, line: &str) -> Printed {
        self.run_words(&line.split_whitespace().collect::<Vec<_>>()).await
    }

    /// Runs a command line of these arguments.
    pub async fn run_words(&self, words: &[&str]) -> Printed {
        let kubeconfig = self.kubeconfig.to_str().expect("the path is text");
        let arguments: Vec<&str> = words.iter().copied().chain(["--kubeconfig", kubeconfig]).collect();
        Printed::of(self.tool.run_with(&arguments, "").await)
    }

    /// Runs a command that needs no cluster, in the root of the repository.
    pub async fn offline(arguments: &[&str], input: &str) -> Printed {
        Printed::of(Tool::at(paths::plugin()).run_with(arguments, input).await)
    }

    /// The user's name at the API server.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The kubeconfig of the user.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// Starts a command line. The caller ends it.
    pub fn start(&self, line: &str) -> Child {
        let mut command = tokio::process::Command::new(paths::plugin());
        command.args(line.split_whitespace()).arg("--kubeconfig").arg(&self.kubeconfig).kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("failed to start the plugin")
    }
}

impl Printed {
    /// What a command printed.
    pub fn of(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("the output is text");
        let printed = Self { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) };
        assert!(!printed.out.contains('\u{1b}') && !printed.err.contains('\u{1b}'), "escape sequences without a terminal: {printed:?}");
        printed
    }
}

impl Plugin {
    /// Runs a command line in a terminal. When it has asked a question, `answer` provides the line that the user types. What it prints to
    /// standard error is also in `out`.
    pub async fn in_terminal(&self, line: &str, question: &str, answer: impl AsyncFnOnce() -> String) -> Printed {
        let mut terminal = Terminal::start(self, line, (200, 24));
        terminal.until_printed(question).await;
        terminal.type_in(&format!("{}\n", answer().await));
        let ended = terminal.end().await;
        Printed { code: ended.code, out: ended.printed, err: String::new() }
    }

    /// Runs a command line that succeeds, and returns its standard output.
    pub async fn succeed(&self, line: &str) -> String {
        let printed = self.run(line).await;
        assert_eq!(printed.code, 0, "{line}: {printed:?}");
        printed.out
    }

    /// Runs a command line that prints a report.
    pub async fn report(&self, line: &str) -> Value {
        let text = self.succeed(&format!("{line} -o json")).await;
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{line}: {error}: {text}"))
    }

    /// The requests of the user so far. None is for a Secret, whatever a command does.
    pub fn requests(&self, world: &World) -> Vec<String> {
        let requests: Vec<String> = world.environment.control_plane.audit().by(&self.user).iter().map(AuditLine::summary).collect();
        assert!(!requests.is_empty(), "the user made no request");
        assert!(requests.iter().all(|request| !request.contains(" secrets")), "{requests:#?}");
        requests
    }
}

/// The permission for events that the role `view` of Kubernetes includes, in all supported versions: only newer ones include the events of
/// `events.k8s.io`.
async fn events(world: &World) -> Value {
    let view = Api::<ClusterRole>::all(world.client.clone()).get("system:aggregate-to-view").await.expect("Kubernetes has the role");
    let has = |names: &Option<Vec<String>>, wanted: &str| names.iter().flatten().any(|name| name == wanted);
    let rule = view.rules.into_iter().flatten().find(|rule| has(&rule.api_groups, "") && has(&rule.resources, "events"));
    json!({"apiGroups": [""], "resources": ["events"], "verbs": rule.expect("the role permits events").verbs})
}
