//! The local control plane: a real API server, started for this process.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use kube::Client;
use tokio::io::AsyncWriteExt as _;

use crate::audit::Audit;
use crate::process::{Server, text};
use crate::{kubeconfig, paths};

/// A running control plane.
#[derive(Debug)]
pub struct ControlPlane {
    // Ends the process when dropped.
    _server: Server,
    program: PathBuf,
    kubeconfig: PathBuf,
    url: String,
    audit: Audit,
}

impl ControlPlane {
    /// Starts it with its data in `directory`/control-plane; builds it first if necessary.
    #[must_use]
    pub fn start(directory: &Path) -> Self {
        let program = paths::built("tests/tools/control-plane/build.sh");
        let audit = directory.join("audit.jsonl");
        let mut command = Command::new(&program);
        command.arg("start").arg("--parent-exits").arg("--cleanup");
        command.arg("--directory").arg(directory.join("control-plane")).arg("--audit-log").arg(&audit);
        let (server, ready) = Server::start(&mut command, &directory.join("control-plane.stderr"));
        Self {
            _server: server,
            program,
            kubeconfig: text(&ready, "kubeconfig").into(),
            url: text(&ready, "server"),
            audit: Audit::new(audit),
        }
    }

    /// An administrator's client. It belongs to the current runtime.
    pub async fn client(&self) -> Client {
        kubeconfig::client(&self.kubeconfig).await
    }

    /// The administrator's kubeconfig.
    #[must_use]
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// Its program, which also is kubectl.
    #[must_use]
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// The endpoint of the API server.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The requests that the API server received.
    #[must_use]
    pub fn audit(&self) -> &Audit {
        &self.audit
    }

    /// The issuer of its service account tokens, and the published keys (a JWKS).
    pub async fn issuer(&self) -> (String, serde_json::Value) {
        let document = async |path: &str| -> serde_json::Value {
            serde_json::from_str(&self.kubectl(&["get", "--raw", path]).await).expect("the API server publishes JSON")
        };
        let configuration = document("/.well-known/openid-configuration").await;
        (text(&configuration, "issuer"), document("/openid/v1/jwks").await)
    }

    /// Runs kubectl as the administrator, with `input` as its standard input.
    pub async fn kubectl_with(&self, arguments: &[&str], input: &str) -> Output {
        let mut child = tokio::process::Command::new(&self.program)
            .arg("kubectl")
            .args(arguments)
            .env("KUBECONFIG", &self.kubeconfig)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("failed to start kubectl");
        let mut stdin = child.stdin.take().expect("its input is piped");
        // It may have exited without reading; its output has the reason.
        let _ = stdin.write_all(input.as_bytes()).await;
        drop(stdin);
        child.wait_with_output().await.expect("failed to wait for kubectl")
    }

    /// Runs kubectl as the administrator and returns its output. Panics if it fails.
    pub async fn kubectl(&self, arguments: &[&str]) -> String {
        let output = self.kubectl_with(arguments, "").await;
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "kubectl {} failed: {errors}", arguments.join(" "));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}
