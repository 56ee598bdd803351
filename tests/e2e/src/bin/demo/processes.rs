//! All processes of the demo, and their orderly end.

use std::fs;
use std::os::unix::fs::DirBuilderExt as _;
use std::panic::resume_unwind;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use e2e::guard::Guard;
use e2e::operator::tail;
use e2e::{ControlPlane, Operator, OperatorSettings, Simulator, SimulatorClient, caught};
use tokio::task::{JoinHandle, spawn_blocking};

use crate::cluster::Cluster;
use crate::plugin::Plugin;
use crate::{Cli, Outcome, azure};
use screen::Screen;

/// The logs in the directory, with the names of their programs.
const LOGS: [(&str, &str); 3] =
    [("operator", "operator.log"), ("local Azure", "simulator.stderr"), ("control plane", "control-plane.stderr")];

/// The servers: the local Azure and, unless a user's cluster is given, the control plane.
type Servers = (Simulator, Option<ControlPlane>);

/// The running parts. They are added step by step, so that the current ones can be ended at any time.
pub struct Processes {
    starting: Option<JoinHandle<Servers>>,
    control_plane: Option<ControlPlane>,
    simulator: Option<Simulator>,
    operator: Option<Operator>,
    pub azure: Option<SimulatorClient>,
    pub cluster: Option<Cluster>,
    directory: PathBuf,
    guard: &'static Guard,
}

impl Processes {
    /// Creates the directory. Nothing runs yet.
    pub fn new() -> Outcome<Self> {
        let directory = std::env::temp_dir().join(format!("tabular-operator-demo-{}", std::process::id()));
        let made = fs::DirBuilder::new().mode(0o700).create(&directory);
        made.map_err(|error| format!("failed to create {}: {error}", directory.display()))?;
        let guard = Box::leak(Box::new(Guard::start(Some(&directory))));
        Ok(Self { starting: None, control_plane: None, simulator: None, operator: None, azure: None, cluster: None, directory, guard })
    }

    /// Starts the servers concurrently.
    pub async fn start(&mut self, cli: &Cli) -> Outcome<()> {
        let (directory, local) = (self.directory.clone(), cli.context.is_none());
        // In the background, so that a signal interrupts the demo meanwhile.
        let starting = self.starting.insert(spawn_blocking(move || {
            std::thread::scope(|scope| {
                let control_plane = local.then(|| scope.spawn(|| ControlPlane::start(&directory, 0)));
                let simulator = Simulator::start(&directory);
                (simulator, control_plane.map(|started| started.join().unwrap_or_else(|panic| resume_unwind(panic))))
            })
        }));
        let (simulator, control_plane) = starting.await.unwrap_or_else(|error| resume_unwind(error.into_panic()));
        self.starting = None;
        let client = simulator.client();
        (self.simulator, self.control_plane) = (Some(simulator), control_plane);
        azure::create_initial_state(&client).await;
        self.azure = Some(client);
        self.cluster = Some(match (&self.control_plane, &cli.context) {
            (Some(control_plane), _) => Cluster::local(control_plane.kubeconfig()).await?,
            (None, Some(context)) => Cluster::of_context(context).await?,
            (None, None) => unreachable!("the control plane was started"),
        });
        Ok(())
    }

    /// Starts the operator as its `ServiceAccount`, with only the location of Azure changed, and waits until it is ready.
    pub async fn start_operator(&mut self) -> Outcome<Duration> {
        let (Some(cluster), Some(simulator)) = (&self.cluster, &self.simulator) else { return Err("nothing is running yet".to_owned()) };
        let mut arguments = vec!["--metrics-address=127.0.0.1:0".to_owned()];
        if self.control_plane.is_none() {
            // In a user's cluster, the operator only watches the demo's namespace.
            arguments.push(format!("--watch-namespace={}", cluster.namespace));
        }
        let settings = OperatorSettings {
            kubeconfig: cluster.write_operator_kubeconfig(self.directory.join("operator.kubeconfig")).await?,
            proxy: simulator.proxy().to_owned(),
            authority: simulator.authority().to_owned(),
            arguments,
            environment: Vec::new(),
            log: self.directory.join("operator.log"),
            pod: None,
            program: None,
        };
        let began = Instant::now();
        self.operator.insert(Operator::start_as_is(&settings, self.guard)).ready().await;
        Ok(began.elapsed())
    }

    /// Returns an error if the operator has exited unexpectedly.
    pub fn ensure_running(&mut self) -> Outcome<()> {
        let ended = self.operator.as_mut().is_some_and(Operator::has_ended);
        if ended { Err("the operator exited".to_owned()) } else { Ok(()) }
    }

    /// The last log lines of the programs, for a failed demo.
    pub fn last_log_lines(&self) -> Vec<String> {
        let words = LOGS.iter().flat_map(|(name, log)| {
            let lines = tail(&self.directory.join(log), 8);
            let head = (!lines.is_empty()).then(|| format!("the last lines of the {name}:"));
            head.into_iter().chain(lines.lines().map(|line| format!("  {line}")).collect::<Vec<_>>())
        });
        words.collect()
    }

    /// The plugin for the cluster.
    pub fn plugin(&self, context: Option<&str>) -> Outcome<Plugin> {
        let cluster = self.cluster.as_ref().ok_or("there is no cluster")?;
        let flag = match (context, &self.control_plane) {
            (Some(context), _) => ["--context".to_owned(), context.to_owned()],
            (None, Some(control_plane)) => ["--kubeconfig".to_owned(), control_plane.kubeconfig().display().to_string()],
            (None, None) => return Err("there is no cluster".to_owned()),
        };
        Ok(Plugin::new(flag, &cluster.namespace))
    }

    /// Explains the use of the running parts.
    pub async fn explain_use(&self, screen: &mut Screen, context: Option<&str>) {
        let (Some(cluster), Some(simulator)) = (&self.cluster, &self.simulator) else { return };
        let mut lines = vec![String::new(), "The demo keeps running until Ctrl-C. In another terminal:".to_owned(), String::new()];
        let kubectl = if let Some(context) = context {
            format!("kubectl --context {context}")
        } else {
            lines.extend(self.control_plane.iter().map(|plane| format!("  export KUBECONFIG={}", plane.kubeconfig().display())));
            "kubectl".to_owned()
        };
        lines.push(if context.is_some() {
            format!("  {kubectl} get tabular --namespace {}", cluster.namespace)
        } else {
            format!("  {kubectl} get tabular -A")
        });
        lines.push(format!("  {kubectl} describe mref inventory --namespace {}", cluster.namespace));
        lines.push(format!("  {kubectl} apply --namespace {} -f deploy/samples/on-request.yaml", cluster.namespace));
        if let Ok(plugin) = self.plugin(context) {
            lines.extend(plugin.lines(&context.map(|context| format!(" --context {context}")).unwrap_or_default()).await);
        }
        if let Some(control_plane) = &self.control_plane {
            lines.extend([
                String::new(),
                "If kubectl is not installed:".to_owned(),
                String::new(),
                format!("  alias kubectl='{} kubectl'", control_plane.program().display()),
            ]);
        }
        lines.extend([
            String::new(),
            "The local Azure, for other clients, and the requests it received:".to_owned(),
            String::new(),
            format!("  export HTTPS_PROXY={} SSL_CERT_FILE={}", simulator.proxy(), simulator.authority().display()),
            format!("  curl --noproxy '*' {}/ledger", simulator.control()),
        ]);
        lines.extend([
            String::new(),
            "The operator's log:".to_owned(),
            String::new(),
            format!("  tail -f {}", self.directory.join("operator.log").display()),
        ]);
        for line in lines {
            screen.print(&line);
        }
    }

    /// Ends everything in order: the resources, the operator, then its requirements.
    pub async fn end(&mut self, screen: &mut Screen) -> Outcome<()> {
        let mut outcome = Ok(());
        let mut note = |result: Outcome<()>| {
            if let (Ok(()), Err(error)) = (&outcome, &result) {
                outcome = Err(error.clone());
            }
        };
        if let Some(starting) = self.starting.take()
            && let Ok((simulator, control_plane)) = starting.await
        {
            (self.simulator, self.control_plane) = (Some(simulator), control_plane);
        }
        let borrowed = self.control_plane.is_none();
        if let Some(cluster) = self.cluster.as_ref().filter(|_| borrowed) {
            screen.print("Removing what was installed into your cluster…");
            note(cluster.remove_resources().await);
        }
        if let Some(mut operator) = self.operator.take()
            && !operator.has_ended()
        {
            note(caught(operator.terminate()).await.and_then(|status| {
                if status.success() { Ok(()) } else { Err(format!("the operator did not exit with 0 after SIGTERM: {status}")) }
            }));
        }
        if let Some(cluster) = self.cluster.take().filter(|_| borrowed) {
            note(cluster.remove_all().await);
        }
        let servers = (self.simulator.take(), self.control_plane.take());
        note(spawn_blocking(|| drop(servers)).await.map_err(|error| format!("failed to stop the servers: {error}")));
        note(fs::remove_dir_all(&self.directory).map_err(|error| format!("failed to remove {}: {error}", self.directory.display())));
        self.guard.finish();
        outcome
    }
}
