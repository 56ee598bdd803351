//! Cleanup after the test process: a small shell kills remaining processes and removes the directory when its input ends, which happens
//! after any exit of this process, including SIGKILL.

use std::io::Write as _;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Mutex;

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

/// The shell's input: each line names a process to end with this one.
#[derive(Debug)]
pub struct Guard {
    input: Mutex<ChildStdin>,
    // Not awaited: it outlives this process.
    _shell: Child,
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
            .spawn()
            .expect("failed to start sh");
        let input = Mutex::new(child.stdin.take().expect("its input is piped"));
        Self { input, _shell: child }
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
        let mut input = self.input.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        // Fails only if the shell was killed, which does not affect a test.
        let _ = writeln!(input, "{command} {pid}");
    }
}
