//! A fault that the local Azure was ordered to have.

use reqwest::Method;
use serde::Deserialize;

use super::SimulatorClient;
use crate::wait::eventually;

/// A fault that was ordered.
#[derive(Clone, Debug)]
pub struct Fault {
    pub(super) simulator: SimulatorClient,
    pub(super) id: String,
}

impl Fault {
    async fn view(&self) -> FaultView {
        self.simulator.read(&format!("/faults/{}", self.id), &[]).await
    }

    /// How many requests it has hit.
    pub async fn hits(&self) -> u64 {
        self.view().await.hits
    }

    /// How many requests it holds now.
    pub async fn held(&self) -> u64 {
        self.view().await.held
    }

    /// Waits until it holds a request.
    pub async fn holds(&self) {
        eventually("the fault to hold a request", async || (self.view().await.held > 0).then_some(())).await;
    }

    /// Waits until it holds none any more: whoever asked is gone.
    pub async fn holds_none(&self) {
        eventually("the held request to be given up", async || (self.view().await.held == 0).then_some(())).await;
    }

    /// Waits until it has hit as many requests.
    pub async fn has_hit(&self, count: u64) {
        eventually("the fault to hit", async || (self.hits().await >= count).then_some(())).await;
    }

    /// Lets go what it holds.
    pub async fn release(&self) {
        self.simulator.send(Method::POST, &format!("/faults/{}/release", self.id), None).await;
    }

    /// Ends it, which lets go what it holds.
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
