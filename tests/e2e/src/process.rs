//! A server program of this process: it reports readiness with one line of JSON, and ends when its input ends.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use serde_json::Value;

/// Timeout until a server is ready: longer than that of the control plane (`readyDeadline` in `start.go`), which reports what is not ready.
const READY: Duration = Duration::from_mins(3);

/// A running server. Its input stays open for the lifetime of this process.
#[derive(Debug)]
pub struct Server {
    child: Child,
}

impl Server {
    /// Starts `command` with its errors in `log`, and waits for its ready line.
    #[must_use]
    pub fn start(command: &mut Command, log: &Path) -> (Self, Value) {
        let errors = File::create(log).unwrap_or_else(|error| panic!("failed to write {}: {error}", log.display()));
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(errors)
            // Ctrl-C reaches only this process, which ends it in order.
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("failed to start {command:?}: {error}"));
        let output = child.stdout.take().expect("its output is piped");
        let (sender, receiver) = mpsc::channel();
        std::thread::spawn(move || {
            let mut line = String::new();
            let _ = BufReader::new(output).read_line(&mut line);
            sender.send(line)
        });
        let line = receiver.recv_timeout(READY).unwrap_or_default();
        let Ok(ready) = serde_json::from_str(&line) else {
            let errors = std::fs::read_to_string(log).unwrap_or_default();
            panic!("{command:?} did not become ready. Output: '{line}', errors:\n{errors}");
        };
        (Self { child }, ready)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// A field of a ready line.
#[must_use]
pub fn text(ready: &Value, name: &str) -> String {
    ready[name].as_str().unwrap_or_else(|| panic!("no {name} in {ready}")).to_owned()
}
