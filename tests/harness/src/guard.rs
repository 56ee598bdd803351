//! Nothing outlives the test process: a small shell kills what is left and removes the directory when its input ends,
//! which it does however this process ends, by SIGKILL too.

use std::io::Write as _;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Mutex;

const SCRIPT: &str = r#"
trap '' INT TERM HUP
children=' '
while read -r word what; do
  case $word in
    watch) children="$children$what " ;;
    ended) kept=' '; for child in $children; do [ "$child" = "$what" ] || kept="$kept$child "; done; children=$kept ;;
  esac
done
for child in $children; do kill -9 "$child"; done
tries=0
while [ -n "$1" ] && [ -e "$1" ] && [ "$tries" -lt 50 ]; do rm -rf "$1"; tries=$((tries + 1)); sleep 0.2; done
"#;

/// The shell's input: what is written to it names a process to end with this one.
#[derive(Debug)]
pub struct Guard {
    input: Mutex<ChildStdin>,
    // Not waited for: it outlives us.
    _shell: Child,
}

impl Guard {
    /// Starts it. `directory` goes at the end; with `None`, nothing does.
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

    /// Ends this process with ours.
    pub fn watch(&self, pid: u32) {
        self.tell("watch", pid);
    }

    /// This process has ended; its number may be another's from now on.
    pub fn ended(&self, pid: u32) {
        self.tell("ended", pid);
    }

    fn tell(&self, word: &str, pid: u32) {
        let mut input = self.input.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        // Fails only where somebody has killed the shell, and then no test is the worse for it.
        let _ = writeln!(input, "{word} {pid}");
    }
}
