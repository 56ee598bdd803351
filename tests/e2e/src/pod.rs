//! The operator as in a pod: in a read-only file system that contains only an image and the kubelet's files.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::operator::OperatorSettings;
use crate::paths;

/// The path of a pod's `ServiceAccount`.
const ACCOUNT: &str = "var/run/secrets/kubernetes.io/serviceaccount";

/// The files that a kubelet adds to a container's file system.
#[derive(Debug)]
pub struct Mounts<'a> {
    /// The `ServiceAccount`'s token, its namespace, and the API server's certificate authority (PEM).
    pub account: [&'a str; 3],
    /// `/etc/hosts`.
    pub hosts: &'a str,
    /// `/etc/resolv.conf`.
    pub resolver: &'a str,
}

impl Mounts<'_> {
    /// Writes them below `root`, where none of them may exist: files of an image would hide those of Kubernetes.
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

/// Adds a file of a volume.
pub fn add(root: &Path, path: &str, content: &str) {
    let file = root.join(path);
    assert!(!file.exists(), "the image already contains {path}");
    fs::create_dir_all(file.parent().expect("it has a directory")).expect("failed to create a directory");
    fs::write(file, content).expect("failed to write a file");
}

/// The reason why this machine cannot run a program as in a pod, if any.
#[must_use]
pub fn missing_support() -> Option<String> {
    let tried = Command::new(script()).args(["/", "--", "/bin/true"]).stdin(Stdio::null()).output();
    match tried {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(error) => Some(error.to_string()),
    }
}

/// The command line in `root`. The environment is the pod's, without variables of this machine.
pub(crate) fn command(root: &Path, settings: &OperatorSettings) -> Command {
    let mut command = Command::new(script());
    command.arg(root).arg(format!("HTTPS_PROXY={}", settings.proxy)).arg(format!("HTTP_PROXY={}", settings.proxy));
    command.args(settings.environment.iter().map(|(name, value)| format!("{name}={value}")));
    command.args(["--", "/tabular-operator", "run"]).args(&settings.arguments).arg("--extra-ca-file").arg(&settings.authority);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command
}

fn script() -> PathBuf {
    paths::workspace().join("tests/e2e/pod.sh")
}
