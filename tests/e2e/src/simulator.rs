//! The local Azure: its process; its clients are in the folder.

mod actual;
mod client;
mod fault;
mod model;

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::paths;
use crate::process::{Server, text};
pub use actual::{Operation, Row, Sync};
pub use client::SimulatorClient;
pub use fault::Fault;
pub use model::Model;

/// A running local Azure.
#[derive(Debug)]
pub struct Simulator {
    // Ends the process when dropped.
    _server: Server,
    proxy: String,
    control: String,
    authority: PathBuf,
}

impl Simulator {
    /// Starts it, with its certificate authority in `directory`.
    #[must_use]
    pub fn start(directory: &Path) -> Self {
        let authority = directory.join("azure-ca.pem");
        let mut command = Command::new(paths::simulator());
        command.args(["--proxy-address", "127.0.0.1:0", "--control-address", "127.0.0.1:0", "--parent-exits"]);
        command.arg("--ca-file").arg(&authority);
        let (server, ready) = Server::start(&mut command, &directory.join("simulator.stderr"));
        Self { _server: server, proxy: text(&ready, "proxy"), control: text(&ready, "control"), authority }
    }

    /// The value for `HTTPS_PROXY`.
    #[must_use]
    pub fn proxy(&self) -> &str {
        &self.proxy
    }

    /// Its certificate authority, a PEM file.
    #[must_use]
    pub fn authority(&self) -> &Path {
        &self.authority
    }

    /// The address of its control API.
    #[must_use]
    pub fn control(&self) -> &str {
        &self.control
    }

    /// A client of its control API.
    #[must_use]
    pub fn client(&self) -> SimulatorClient {
        SimulatorClient::new(&self.control)
    }
}
