//! All processes of the demo, and their orderly end.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::process::Command;

use crate::azure::{self, Azure};
use crate::cluster::Cluster;
use crate::manifests::text;
use crate::process::{Guard, Program};
use crate::screen::Screen;
use crate::{Cli, Outcome};

/// Timeout until the operator is ready.
const READY: Duration = Duration::from_secs(30);

/// The running parts. They are added step by step, so that the current ones can be ended at any time.
pub struct Stage {
    control_plane: Option<Program>,
    simulator: Option<Program>,
    operator: Option<Program>,
    pub azure: Option<Azure>,
    pub cluster: Option<Cluster>,
    control_plane_program: Option<PathBuf>,
    directory: PathBuf,
    // The last field, so that it is dropped last: it cleans up after the others.
    guard: Guard,
}

impl Stage {
    /// An empty stage with its directory.
    pub fn new() -> Outcome<Self> {
        let directory = std::env::temp_dir().join(format!("tabular-operator-demo-{}", std::process::id()));
        let made = fs::DirBuilder::new().mode(0o700).create(&directory);
        made.map_err(|error| format!("failed to create {}: {error}", directory.display()))?;
        let guard = Guard::start(&directory)?;
        Ok(Self {
            control_plane: None,
            simulator: None,
            operator: None,
            azure: None,
            cluster: None,
            control_plane_program: None,
            directory,
            guard,
        })
    }

    /// Starts the local Azure and, unless a user's cluster is given, the control plane; both concurrently.
    pub async fn raise(&mut self, cli: &Cli) -> Outcome<()> {
        let (guard, directory) = (&self.guard, &self.directory);
        let world = directory.join("world.json");
        write_private(&world, &azure::world()?.to_string())?;
        let mut command = Command::new(beside("simulator")?);
        command.arg("--world").arg(&world).arg("--ca-file").arg(directory.join("azure-ca.pem")).arg("--parent-exits");
        let log = directory.join("azure.log");
        let simulator = Program::serve("local Azure", command, &log, guard);
        let control_plane = async {
            let Some(program) = cli.control_plane.as_ref().filter(|_| cli.context.is_none()) else { return Ok(None) };
            let mut command = Command::new(program);
            command.arg("start").arg("--directory").arg(directory.join("control-plane")).args(["--parent-exits", "--cleanup"]);
            Program::serve("control plane", command, &directory.join("control-plane.stderr"), guard).await.map(Some)
        };
        let (simulator, control_plane) = tokio::join!(simulator, control_plane);
        let (simulator, ready) = simulator?;
        self.simulator = Some(simulator);
        self.azure = Some(Azure::new(&ready)?);
        self.cluster = Some(match (control_plane?, &cli.context) {
            (Some((program, ready)), _) => {
                self.control_plane = Some(program);
                self.control_plane_program.clone_from(&cli.control_plane);
                Cluster::local(Path::new(text(&ready, "/kubeconfig"))).await?
            }
            (None, Some(context)) => Cluster::of_context(context).await?,
            (None, None) => return Err("name a control plane or a context".to_owned()),
        });
        Ok(())
    }

    /// Starts the operator as its `ServiceAccount`, with only the location of Azure changed, and waits until it is ready.
    pub async fn start_operator(&mut self) -> Outcome<Duration> {
        let (Some(cluster), Some(azure)) = (&self.cluster, &self.azure) else { return Err("nothing is running yet".to_owned()) };
        let kubeconfig = cluster.write_operator_kubeconfig(self.directory.join("operator.kubeconfig")).await?;
        let mut command = Command::new(beside("tabular-operator")?);
        for (name, _) in std::env::vars_os() {
            let upper = name.to_string_lossy().to_uppercase();
            if upper.starts_with("TABULAR_OPERATOR_") || ["HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY"].contains(&upper.as_str()) {
                command.env_remove(&name);
            }
        }
        command.args(["run", "--metrics-address", "127.0.0.1:0", "--extra-ca-file", &azure.authority]);
        if self.control_plane.is_none() {
            // In a user's cluster, the operator only watches the demo's namespace.
            command.args(["--watch-namespace", &cluster.namespace]);
        }
        command.env("KUBECONFIG", kubeconfig).env("HTTPS_PROXY", &azure.proxy).stdin(Stdio::null()).stdout(Stdio::null());
        let log = self.directory.join("operator.log");
        let began = std::time::Instant::now();
        let http = azure.http().clone();
        self.operator = Some(Program::start("operator", command, &log, &self.guard)?);
        while began.elapsed() < READY {
            self.still_runs()?;
            if let Some(address) = metrics_address(&log) {
                let response = http.get(format!("http://{address}/readyz")).timeout(Duration::from_secs(1)).send().await;
                if response.is_ok_and(|response| response.status().is_success()) {
                    return Ok(began.elapsed());
                }
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Err(format!("the operator was not ready within {} s", READY.as_secs()))
    }

    /// Returns an error if a program has exited unexpectedly.
    pub fn still_runs(&mut self) -> Outcome<()> {
        [&mut self.operator, &mut self.simulator, &mut self.control_plane].into_iter().flatten().try_for_each(Program::still_runs)
    }

    /// The last log lines of the programs, for a failed demo.
    pub fn last_words(&self) -> Vec<String> {
        [&self.operator, &self.simulator, &self.control_plane].into_iter().flatten().flat_map(Program::last_words).collect()
    }

    /// Explains the use of the running parts.
    pub fn explain_use(&self, screen: &mut Screen, context: Option<&str>) {
        let (Some(cluster), Some(azure)) = (&self.cluster, &self.azure) else { return };
        let mut lines = vec![String::new(), "The demo keeps running until Ctrl-C. In another terminal:".to_owned(), String::new()];
        let kubectl = if let Some(context) = context {
            format!("kubectl --context {context}")
        } else {
            lines.push(format!("  export KUBECONFIG={}", self.directory.join("control-plane/kubeconfig").display()));
            "kubectl".to_owned()
        };
        lines.push(if context.is_some() {
            format!("  {kubectl} get tabular --namespace {}", cluster.namespace)
        } else {
            format!("  {kubectl} get tabular -A")
        });
        lines.push(format!("  {kubectl} describe mref inventory --namespace {}", cluster.namespace));
        lines.push(format!("  {kubectl} apply --namespace {} -f deploy/samples/on-request.yaml", cluster.namespace));
        if let Some(program) = &self.control_plane_program {
            lines.extend([
                String::new(),
                "If kubectl is not installed:".to_owned(),
                String::new(),
                format!("  alias kubectl='{} kubectl'", program.display()),
            ]);
        }
        lines.extend([
            String::new(),
            "The local Azure, for other clients, and the requests it received:".to_owned(),
            String::new(),
            format!("  export HTTPS_PROXY={} SSL_CERT_FILE={}", azure.proxy, azure.authority),
            format!("  curl --noproxy '*' {}/ledger", azure.control),
        ]);
        if let Some(operator) = &self.operator {
            lines.extend([
                String::new(),
                "The operator's log:".to_owned(),
                String::new(),
                format!("  tail -f {}", operator.log().display()),
            ]);
        }
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
        let borrowed = self.control_plane.is_none();
        if let Some(cluster) = self.cluster.as_ref().filter(|_| borrowed) {
            screen.print("Removing what was installed into your cluster…");
            note(cluster.remove_resources().await);
        }
        if let Some(operator) = self.operator.take() {
            note(operator.end(&self.guard).await.and_then(|status| {
                if status.success() { Ok(()) } else { Err(format!("the operator did not exit with 0 after SIGTERM: {status}")) }
            }));
        }
        if let Some(cluster) = self.cluster.take().filter(|_| borrowed) {
            note(cluster.remove_all().await);
        }
        for program in [self.simulator.take(), self.control_plane.take()].into_iter().flatten() {
            note(program.end(&self.guard).await.map(drop));
        }
        note(fs::remove_dir_all(&self.directory).map_err(|error| format!("failed to remove {}: {error}", self.directory.display())));
        outcome
    }
}

/// Writes a file that only the user can read.
pub fn write_private(path: &Path, content: &str) -> Outcome<()> {
    let file = fs::File::options().write(true).create(true).truncate(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(content.as_bytes())).map_err(|error| format!("failed to write {}: {error}", path.display()))
}

/// A program that was built together with this one.
fn beside(name: &str) -> Outcome<PathBuf> {
    let own = std::env::current_exe().map_err(|error| format!("failed to find the path of this program: {error}"))?;
    let path = own.with_file_name(name);
    if path.is_file() { Ok(path) } else { Err(format!("{} not found: run `make build`", path.display())) }
}

/// The address of the operator's metrics in its log.
fn metrics_address(log: &Path) -> Option<String> {
    let log = fs::read_to_string(log).ok()?;
    log.lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .find_map(|line| (line["message"] == "serving metrics").then(|| line["address"].as_str().map(str::to_owned))?)
}
