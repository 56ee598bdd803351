//! Cleanup after the test process: a small shell kills remaining processes and removes the directory when its input ends, which happens
//! after any exit of this process, including SIGKILL.

use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, PoisonError};

const SCRIPT: &str = r#"
trap '' INT TERM HUP
children=' '
while read -r command what; do
  case $command in
    watch) children="$children$what " ;;
    ended) kept=' '; for child in $children; do [ "$child" = "$what" ] || kept="$kept$child "; done; children=$kept ;;
  esac
done
for child in $children; do kill -9 "$child"; done
tries=0
while [ -n "$1" ] && [ -e "$1" ] && [ "$tries" -lt 50 ]; do rm -rf "$1"; tries=$((tries + 1)); sleep 0.2; done
"#;

/// The shell. Each line of its input names a process to end with this one.
#[derive(Debug)]
pub struct Guard {
    // `None` after `finish`.
    input: Mutex<Option<ChildStdin>>,
    // Otherwise not awaited: it outlives this process.
    shell: Mutex<Child>,
}

impl Guard {
    /// Starts it. It removes `directory` at the end, if given.
    #[must_use]
    pub fn start(directory: Option<&Path>) -> Self {
        let mut child = Command::new("sh")
            .arg("-c")
            .arg(SCRIPT)
            .arg("guard")
            .arg(directory.map_or(Path::new("").as_os_str(), Path::as_os_str))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // It survives a signal to the group of this process.
            .process_group(0)
            .spawn()
            .expect("failed to start sh");
        let input = Mutex::new(child.stdin.take());
        Self { input, shell: Mutex::new(child) }
    }

    /// Cleans up now, and waits for it.
    pub fn finish(&self) {
        drop(self.input.lock().unwrap_or_else(PoisonError::into_inner).take());
        // Fails only if the shell is already gone.
        let _ = self.shell.lock().unwrap_or_else(PoisonError::into_inner).wait();
    }

    /// Ends this process together with the test process.
    pub fn watch(&self, pid: u32) {
        self.send("watch", pid);
    }

    /// Removes an ended process: its pid may be reused.
    pub fn ended(&self, pid: u32) {
        self.send("ended", pid);
    }

    fn send(&self, command: &str, pid: u32) {
        if let Some(input) = self.input.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            // Fails only if the shell was killed, which does not affect a test.
            let _ = writeln!(input, "{command} {pid}");
        }
    }
}
