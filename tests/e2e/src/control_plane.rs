//! The local control plane: a real API server, started for this process.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, PoisonError};

use kube::Client;
use tokio::io::AsyncWriteExt as _;

use crate::audit::Audit;
use crate::process::{Server, text};
use crate::{kubeconfig, paths};

/// A running control plane.
#[derive(Debug)]
pub struct ControlPlane {
    // Ends the process when dropped; `None` during a restart.
    server: Mutex<Option<Server>>,
    directory: PathBuf,
    program: PathBuf,
    kubeconfig: PathBuf,
    url: String,
    audit: Audit,
}

impl ControlPlane {
    /// Starts it with its data in `directory`/control-plane; builds it first if necessary. With port 0, it has any free port.
    #[must_use]
    pub fn start(directory: &Path, port: u16) -> Self {
        let program = paths::built("tests/tools/control-plane/build.sh");
        let (server, ready) = serve(&program, directory, port);
        Self {
            server: Mutex::new(Some(server)),
            directory: directory.to_owned(),
            program,
            kubeconfig: text(&ready, "kubeconfig").into(),
            url: text(&ready, "server"),
            audit: Audit::new(audit_log(directory)),
        }
    }

    /// Stops the API server and starts it again with its data and its address. Blocks until it is ready. The port must be one that no
    /// other process gets meanwhile, so not any free one.
    pub fn restart(&self) {
        let mut server = self.server.lock().unwrap_or_else(PoisonError::into_inner);
        let port = self.url.rsplit(':').next().and_then(|port| port.parse().ok()).expect("the address has a port");
        drop(server.take());
        *server = Some(serve(&self.program, &self.directory, port).0);
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

/// Starts the program, and returns its ready line. At any free port it cannot be restarted, so it removes its data at its end.
fn serve(program: &Path, directory: &Path, port: u16) -> (Server, serde_json::Value) {
    let mut command = Command::new(program);
    command.arg("start").arg("--parent-exits").arg(format!("--port={port}"));
    command.arg("--directory").arg(directory.join("control-plane")).arg("--audit-log").arg(audit_log(directory));
    if port == 0 {
        command.arg("--cleanup");
    }
    Server::start(&mut command, &directory.join("control-plane.stderr"))
}

fn audit_log(directory: &Path) -> PathBuf {
    directory.join("audit.jsonl")
}
