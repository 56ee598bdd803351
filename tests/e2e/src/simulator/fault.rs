//! A fault of the local Azure.

use reqwest::Method;
use serde::Deserialize;

use super::SimulatorClient;
use crate::wait::eventually;

/// An ordered fault.
#[derive(Clone, Debug)]
pub struct Fault {
    pub(super) simulator: SimulatorClient,
    pub(super) id: String,
}

impl Fault {
    async fn view(&self) -> FaultView {
        self.simulator.read(&format!("/faults/{}", self.id), &[]).await
    }

    /// Number of requests affected so far.
    pub async fn hits(&self) -> u64 {
        self.view().await.hits
    }

    /// Number of requests on hold.
    pub async fn held(&self) -> u64 {
        self.view().await.held
    }

    /// Waits until it holds a request.
    pub async fn holds(&self) {
        eventually("the fault to hold a request", async || (self.view().await.held > 0).then_some(())).await;
    }

    /// Waits until it holds no request: the clients have disconnected.
    pub async fn holds_none(&self) {
        eventually("the held request to end", async || (self.view().await.held == 0).then_some(())).await;
    }

    /// Waits until it has affected `count` requests.
    pub async fn has_hit(&self, count: u64) {
        eventually("the fault to hit", async || (self.hits().await >= count).then_some(())).await;
    }

    /// Releases the held requests.
    pub async fn release(&self) {
        self.simulator.send(Method::POST, &format!("/faults/{}/release", self.id), None).await;
    }

    /// Removes it, which releases the held requests.
    pub async fn remove(self) {
        self.simulator.send(Method::DELETE, &format!("/faults/{}", self.id), None).await;
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct FaultView {
    hits: u64,
    held: u64,
}
