//! The operator under test: the unmodified released binary with test settings.

use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::guard::Guard;
use crate::wait::{eventually, within};
use crate::{paths, pod};

/// Settings of a process.
#[derive(Clone, Debug)]
pub struct OperatorSettings {
    /// Its identity and the endpoint of the API server.
    pub kubeconfig: PathBuf,
    /// `HTTPS_PROXY`.
    pub proxy: String,
    /// `--extra-ca-file`.
    pub authority: PathBuf,
    /// Flags such as `--watch-namespace` and `--lease-name`, each as `--name=value`.
    pub arguments: Vec<String>,
    /// Additional environment variables.
    pub environment: Vec<(String, String)>,
    /// The log file.
    pub log: PathBuf,
    /// The file system of a pod to run in, which contains nothing else: see [`crate::pod`]. With `None`, this machine's.
    pub pod: Option<PathBuf>,
    /// Another program with the same command line, such as the reference of the benchmark. With `None`, the operator.
    pub program: Option<PathBuf>,
}

/// Settings that make tests fast, in the proportions of the defaults except for the lease.
pub const FAST: &[&str] = &[
    "--poll-min=100ms",
    "--poll-max=1s",
    "--listing-lag=3s",
    "--call-timeout=5s",
    "--reference-grace=1s",
    // Long enough that a busy machine keeps it, although it pauses for some seconds; tests that kill a leader wait for its expiry.
    "--lease-duration=10s",
    "--metrics-address=127.0.0.1:0",
    "--log-format=json",
];

/// A process of the operator. It is killed when dropped, and when the test process ends.
#[derive(Debug)]
pub struct Operator {
    child: Child,
    settings: OperatorSettings,
    guard: &'static Guard,
    // The start of this process in the log: a restarted one continues the same file.
    log_offset: u64,
    ended: bool,
}

impl Operator {
    /// Starts it with the fast settings, overridden by its own, without waiting.
    #[must_use]
    pub fn start(settings: &OperatorSettings, guard: &'static Guard) -> Self {
        let mut settings = settings.clone();
        let name = |flag: &str| flag.split('=').next().map(ToOwned::to_owned);
        let own: Vec<_> = settings.arguments.iter().map(|flag| name(flag)).collect();
        settings.arguments.extend(FAST.iter().filter(|flag| !own.contains(&name(flag))).map(ToString::to_string));
        Self::start_as_is(&settings, guard)
    }

    /// Starts it with only its own settings, without waiting.
    #[must_use]
    pub fn start_as_is(settings: &OperatorSettings, guard: &'static Guard) -> Self {
        let log = File::options().create(true).append(true).open(&settings.log).expect("failed to open the operator's log");
        let log_offset = log.metadata().map_or(0, |metadata| metadata.len());
        let child = command(settings).stderr(log).process_group(0).spawn().expect("failed to start the operator");
        guard.watch(child.id());
        Self { child, settings: settings.clone(), guard, log_offset, ended: false }
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The log of this process so far.
    #[must_use]
    pub fn log(&self) -> String {
        let text = fs::read(&self.settings.log).unwrap_or_default();
        let from = usize::try_from(self.log_offset).unwrap_or(0).min(text.len());
        String::from_utf8_lossy(&text[from..]).into_owned()
    }

    /// Waits until it serves metrics, and returns the address.
    pub async fn metrics_address(&mut self) -> String {
        let what = "the operator to serve metrics";
        eventually(what, async || {
            self.must_run();
            let log = self.log();
            log.lines().find_map(metrics_address)
        })
        .await
    }

    /// Waits until it is ready: its caches are synced, and it leads or is a candidate.
    pub async fn ready(&mut self) {
        let url = format!("http://{}/readyz", self.metrics_address().await);
        let http = plain_http();
        eventually("the operator to be ready", async || {
            self.must_run();
            let response = http.get(&url).send().await.ok()?;
            response.status().is_success().then_some(())
        })
        .await;
    }

    /// Waits until it is ready and restarts it if it exits: on a busy machine it may lose its lease.
    pub async fn ready_at_last(&mut self) {
        let http = plain_http();
        eventually("the operator to be ready", async || {
            if self.has_ended() {
                self.restart();
            }
            let address = self.log().lines().find_map(metrics_address)?;
            let response = http.get(format!("http://{address}/readyz")).send().await.ok()?;
            response.status().is_success().then_some(())
        })
        .await;
    }

    /// Its metrics.
    pub async fn metrics(&mut self) -> String {
        let url = format!("http://{}/metrics", self.metrics_address().await);
        plain_http().get(url).send().await.expect("failed to read the metrics").text().await.expect("metrics are text")
    }

    /// Its response to a path such as `/readyz`: the status and the body.
    pub async fn get(&mut self, path: &str) -> (u16, String) {
        let url = format!("http://{}{path}", self.metrics_address().await);
        let response = plain_http().get(url).send().await.expect("failed to reach the operator");
        (response.status().as_u16(), response.text().await.expect("the response is text"))
    }

    /// Its metrics in another format.
    pub async fn metrics_as(&mut self, format: &str) -> String {
        let url = format!("http://{}/metrics", self.metrics_address().await);
        let response = plain_http().get(url).header("accept", format).send().await.expect("failed to read the metrics");
        response.text().await.expect("metrics are text")
    }

    fn must_run(&mut self) {
        if let Ok(Some(status)) = self.child.try_wait() {
            panic!("the operator exited with {status}:\n{}", tail(&self.settings.log, 30));
        }
    }

    /// Kills it like a crash of the machine, and waits until it has exited.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.gone();
    }

    /// Sends it a signal by name, such as `STOP`.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.pid().to_string()).status();
        assert!(sent.is_ok_and(|status| status.success()), "failed to send SIG{name} to the operator");
    }

    /// Terminates it as Kubernetes does, and waits.
    pub async fn terminate(&mut self) -> ExitStatus {
        self.signal("TERM");
        self.end(Duration::from_secs(30)).await
    }

    /// Whether it has exited.
    pub fn has_ended(&mut self) -> bool {
        let ended = self.ended || self.child.try_wait().expect("failed to poll the operator").is_some();
        if ended {
            self.gone();
        }
        ended
    }

    /// Waits for its exit.
    pub async fn end(&mut self, limit: Duration) -> ExitStatus {
        let status = within(limit, "the operator to end", async || self.child.try_wait().expect("failed to poll the operator")).await;
        self.gone();
        status
    }

    /// Starts the next process with the same settings; this one must have exited.
    pub fn restart(&mut self) {
        assert!(self.ended, "kill or terminate the operator before a restart");
        *self = Self::start_as_is(&self.settings, self.guard);
    }

    fn gone(&mut self) {
        if !self.ended {
            self.ended = true;
            self.guard.ended(self.child.id());
        }
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        if !self.ended {
            self.kill();
        }
    }
}

/// The program, without the environment variables of the user.
#[must_use]
pub fn program() -> Command {
    without_user_settings(&paths::operator())
}

fn without_user_settings(program: &Path) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().to_uppercase();
        if name.starts_with("TABULAR_OPERATOR_")
            || name.starts_with("AZURE_")
            || name.starts_with("OTEL_")
            || matches!(name.as_str(), "NO_PROXY" | "ALL_PROXY" | "HTTP_PROXY" | "HTTPS_PROXY")
        {
            command.env_remove(&name).env_remove(name.to_lowercase());
        }
    }
    command
}

/// The command line; its standard error is not redirected yet.
#[must_use]
pub fn command(settings: &OperatorSettings) -> Command {
    if let Some(root) = &settings.pod {
        return pod::command(root, settings);
    }
    let mut command = settings.program.as_deref().map_or_else(program, without_user_settings);
    command
        .arg("run")
        .args(&settings.arguments)
        .arg("--extra-ca-file")
        .arg(&settings.authority)
        .env("KUBECONFIG", &settings.kubeconfig)
        .env("HTTPS_PROXY", &settings.proxy)
        // No test sends a packet to the real metadata service.
        .env("HTTP_PROXY", &settings.proxy)
        .envs(settings.environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    command
}

fn metrics_address(line: &str) -> Option<String> {
    address(line, "serving metrics")
}

/// The address that it serves, if this log line reports it.
pub(crate) fn address(line: &str, serving: &str) -> Option<String> {
    let line: Value = serde_json::from_str(line).ok()?;
    let find = |name: &str| line.get(name).or_else(|| line.get("fields")?.get(name)).and_then(Value::as_str);
    (find("message")? == serving).then(|| find("address").map(str::to_owned))?
}

pub(crate) fn plain_http() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(20)).build().expect("the client is created")
}

/// The last lines of a log.
#[must_use]
pub fn tail(log: &Path, lines: usize) -> String {
    let text = String::from_utf8_lossy(&fs::read(log).unwrap_or_default()).into_owned();
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}
