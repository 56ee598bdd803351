//! A server program of this process: it reports readiness with one line of JSON, and ends when its input ends.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

/// A running server. Its input stays open for the lifetime of this process.
#[derive(Debug)]
pub struct Server {
    child: Child,
    log: PathBuf,
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
            .spawn()
            .unwrap_or_else(|error| panic!("failed to start {command:?}: {error}"));
        let mut line = String::new();
        let output = child.stdout.take().expect("its output is piped");
        let read = BufReader::new(output).read_line(&mut line);
        let ready = read.ok().and_then(|_| serde_json::from_str(&line).ok());
        let Some(ready) = ready else {
            let errors = std::fs::read_to_string(log).unwrap_or_default();
            panic!("{command:?} did not become ready. Output: '{line}', errors:\n{errors}");
        };
        (Self { child, log: log.to_owned() }, ready)
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The file of its errors.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.log
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
