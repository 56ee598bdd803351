//! Programs started by the demo. None outlives it: servers exit with their input, and a small shell kills the rest.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::Outcome;

/// Timeout until a program is ready.
const READY: Duration = Duration::from_mins(1);
/// Timeout of a program's exit after SIGTERM.
const END: Duration = Duration::from_secs(25);

/// A running program.
#[derive(Debug)]
pub struct Program {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

impl Program {
    /// Starts it with its errors in a file, in its own process group: the demo handles Ctrl-C and ends it in order.
    pub fn start(name: &'static str, mut command: Command, log: &Path, guard: &Guard) -> Outcome<Self> {
        let errors = File::create(log).map_err(|error| format!("failed to write {}: {error}", log.display()))?;
        let started = command.stderr(errors).process_group(0).kill_on_drop(true).spawn();
        let child = started.map_err(|error| format!("failed to start the {name}: {error}"))?;
        if let Some(pid) = child.id() {
            guard.watch(pid);
        }
        Ok(Self { name, child, log: log.to_owned() })
    }

    /// Starts a program that reports readiness with a line of JSON, and exits with its input.
    pub async fn serve(name: &'static str, mut command: Command, log: &Path, guard: &Guard) -> Outcome<(Self, Value)> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut program = Self::start(name, command, log, guard)?;
        let output = program.child.stdout.take().ok_or("its output is piped")?;
        let mut line = String::new();
        let read = tokio::time::timeout(READY, BufReader::new(output).read_line(&mut line)).await;
        let ready = read.ok().and_then(Result::ok).and_then(|_| serde_json::from_str(&line).ok());
        ready.map(|ready| (program, ready)).ok_or_else(|| format!("the {name} did not become ready: {}", last_lines(log, 5).join(" ")))
    }

    /// Returns an error if it has exited unexpectedly.
    pub fn still_runs(&mut self) -> Outcome<()> {
        match self.child.try_wait() {
            Ok(Some(status)) => Err(format!("the {} exited with {status}", self.name)),
            Ok(None) | Err(_) => Ok(()),
        }
    }

    /// Its last lines.
    pub fn last_words(&self) -> Vec<String> {
        let lines = last_lines(&self.log, 8);
        let head = format!("the last lines of the {}:", self.name);
        if lines.is_empty() { Vec::new() } else { std::iter::once(head).chain(lines.into_iter().map(|line| format!("  {line}"))).collect() }
    }

    /// The path of its log.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Terminates it as Kubernetes would, and waits.
    pub async fn end(mut self, guard: &Guard) -> Outcome<ExitStatus> {
        let pid = self.child.id();
        drop(self.child.stdin.take());
        if let Some(pid) = pid {
            // It may have exited meanwhile.
            let _ = Command::new("kill").arg("-TERM").arg(pid.to_string()).stderr(Stdio::null()).status().await;
        }
        let ended = tokio::time::timeout(END, self.child.wait()).await;
        if ended.is_err() {
            // SIGKILL ends it in any state.
            let _ = self.child.kill().await;
        }
        if let Some(pid) = pid {
            guard.ended(pid);
        }
        match ended {
            Ok(Ok(status)) => Ok(status),
            Ok(Err(error)) => Err(format!("failed to wait for the {}: {error}", self.name)),
            Err(_) => Err(format!("the {} did not end within {} s and was killed", self.name, END.as_secs())),
        }
    }
}

/// The last lines of a file.
fn last_lines(file: &Path, count: usize) -> Vec<String> {
    let text = std::fs::read(file).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].iter().map(|line| (*line).to_owned()).collect()
}

/// Kills the registered processes and removes the directory when its input ends, which happens after any exit of the demo.
const GUARD: &str = r#"
trap '' INT TERM HUP
pids=' '
while read -r word pid; do
  case $word in
    watch) pids="$pids$pid " ;;
    ended) left=' '; for known in $pids; do [ "$known" = "$pid" ] || left="$left$known "; done; pids=$left ;;
  esac
done
for pid in $pids; do kill -9 "$pid"; done
tries=0
while [ -e "$1" ] && [ "$tries" -lt 25 ]; do rm -rf "$1"; tries=$((tries + 1)); sleep 0.2; done
"#;

/// The shell that cleans up after a killed demo.
#[derive(Debug)]
pub struct Guard(std::process::Child);

impl Guard {
    /// Starts it for a directory.
    pub fn start(directory: &Path) -> Outcome<Self> {
        let mut shell = std::process::Command::new("sh");
        shell.arg("-c").arg(GUARD).arg("guard").arg(directory).process_group(0);
        let started = shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        started.map(Self).map_err(|error| format!("failed to start sh: {error}"))
    }

    fn watch(&self, pid: u32) {
        self.send("watch", pid);
    }

    fn ended(&self, pid: u32) {
        self.send("ended", pid);
    }

    fn send(&self, command: &str, pid: u32) {
        if let Some(mut input) = self.0.stdin.as_ref() {
            // Fails only if the shell was killed.
            let _ = writeln!(input, "{command} {pid}");
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        // The demo leaves no process behind, including this shell.
        let _ = self.0.wait();
    }
}
