//! The operator as a pod runs it: in a file system that is read-only and has nothing but an image in it and what the kubelet adds.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::operator::OperatorSettings;
use crate::paths;

/// Where a pod finds its `ServiceAccount`.
const ACCOUNT: &str = "var/run/secrets/kubernetes.io/serviceaccount";

/// What a kubelet puts into a container's file system.
#[derive(Debug)]
pub struct Mounts<'a> {
    /// The `ServiceAccount`'s token, its namespace, and who signed the API server's certificate (PEM).
    pub account: [&'a str; 3],
    /// `/etc/hosts`.
    pub hosts: &'a str,
    /// `/etc/resolv.conf`.
    pub resolver: &'a str,
}

impl Mounts<'_> {
    /// Puts them below `root`, where nothing of them may be yet: an image that has them would hide what Kubernetes says.
    pub fn put_into(&self, root: &Path) {
        let [token, namespace, authority] = self.account;
        for (path, content) in [
            (format!("{ACCOUNT}/token"), token),
            (format!("{ACCOUNT}/namespace"), namespace),
            (format!("{ACCOUNT}/ca.crt"), authority),
            ("etc/hosts".to_owned(), self.hosts),
            ("etc/resolv.conf".to_owned(), self.resolver),
        ] {
            add(root, &path, content);
        }
    }
}

/// Adds a file that a volume would bring.
pub fn add(root: &Path, path: &str, content: &str) {
    let file = root.join(path);
    assert!(!file.exists(), "the image has {path} in it");
    fs::create_dir_all(file.parent().expect("it has a directory")).expect("failed to make a directory");
    fs::write(file, content).expect("failed to write a file");
}

/// Why this machine cannot run anything as a pod does, where it cannot.
#[must_use]
pub fn hindrance() -> Option<String> {
    let tried = Command::new(script()).args(["/", "--", "/bin/true"]).stdin(Stdio::null()).output();
    match tried {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(error) => Some(error.to_string()),
    }
}

/// The command line in `root`. The environment is the pod's: none of this machine's is in it.
pub(crate) fn command(root: &Path, settings: &OperatorSettings) -> Command {
    let mut command = Command::new(script());
    command.arg(root).arg(format!("HTTPS_PROXY={}", settings.proxy)).arg(format!("HTTP_PROXY={}", settings.proxy));
    command.args(settings.environment.iter().map(|(name, value)| format!("{name}={value}")));
    command.args(["--", "/tabular-operator", "run"]).args(&settings.arguments).arg("--extra-ca-file").arg(&settings.authority);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command
}

fn script() -> PathBuf {
    paths::workspace().join("tests/harness/pod.sh")
}
