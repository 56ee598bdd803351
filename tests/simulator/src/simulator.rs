//! Start and stop of a simulator: for the binary, and for tests that run it in their own process.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
};

use tokio::{net::TcpListener, task::JoinHandle};

use crate::{
    ca::Authority,
    control::{self, initial_state::InitialState},
    entra::Entra,
    proxy,
    state::State,
};

/// A free port on loopback.
const ANY_PORT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// The addresses and the initial state.
#[derive(Clone)]
pub struct Settings {
    /// Address of the proxy. Default: any port on loopback.
    pub proxy_address: SocketAddr,
    /// Address of the control API. Default: any port on loopback.
    pub control_address: SocketAddr,
    /// The initial state. Default: empty.
    pub initial_state: InitialState,
}

impl Default for Settings {
    fn default() -> Self {
        Self { proxy_address: ANY_PORT, control_address: ANY_PORT, initial_state: InitialState::default() }
    }
}

/// Reason for a failed start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address is reachable from other machines.
    #[error("{0} is not a loopback address: the simulator serves only this machine")]
    NotLoopback(SocketAddr),
    /// An address is in use or unavailable.
    #[error("failed to listen on {0}: {1}")]
    Listen(SocketAddr, #[source] io::Error),
    /// The certificate authority cannot be created.
    #[error(transparent)]
    Authority(#[from] crate::ca::Error),
    /// The signing key cannot be created.
    #[error("failed to create the key that signs tokens")]
    Key,
    /// The initial state is invalid.
    #[error(transparent)]
    InitialState(#[from] control::initial_state::Error),
}

/// A running simulator. It stops when it is dropped.
pub struct Simulator {
    proxy: SocketAddr,
    control: SocketAddr,
    state: Arc<State>,
    tasks: [JoinHandle<()>; 2],
}

impl Simulator {
    /// Starts a simulator; it is ready when this returns.
    ///
    /// # Errors
    /// When it cannot listen, or the initial state is invalid.
    pub async fn start(settings: Settings) -> Result<Self, Error> {
        let (proxy_listener, proxy) = listen(settings.proxy_address).await?;
        let (control_listener, control) = listen(settings.control_address).await?;
        let state = Arc::new(State {
            authority: Authority::new()?,
            clouds: crate::hosts::custom::Clouds::default(),
            entra: Entra::new().map_err(|_| Error::Key)?,
            identities: crate::imds::identities::Identities::default(),
            world: crate::world::World::default(),
            faults: crate::faults::Faults::default(),
            ledger: Arc::default(),
            connections: Arc::default(),
        });
        settings.initial_state.set(&state)?;
        let tasks = [
            tokio::spawn(proxy::serve(proxy_listener, Arc::clone(&state))),
            tokio::spawn({
                let state = Arc::clone(&state);
                async move {
                    // It serves until it is dropped.
                    let _ = control::serve(control_listener, state).await;
                }
            }),
        ];
        Ok(Self { proxy, control, state, tasks })
    }

    /// The proxy's URL.
    #[must_use]
    pub fn proxy_url(&self) -> String {
        format!("http://{}", self.proxy)
    }

    /// The control API's URL.
    #[must_use]
    pub fn control_url(&self) -> String {
        format!("http://{}", self.control)
    }

    /// The certificate to trust, as PEM.
    #[must_use]
    pub fn ca_pem(&self) -> String {
        self.state.authority.pem()
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), Error> {
    if !address.ip().is_loopback() {
        return Err(Error::NotLoopback(address));
    }
    let listener = TcpListener::bind(address).await.map_err(|error| Error::Listen(address, error))?;
    let address = listener.local_addr().map_err(|error| Error::Listen(address, error))?;
    Ok((listener, address))
}
