//! Waiting for versions of the resources of a world.

use std::time::Duration;

use tabular_operator::api::RunState;

use super::World;
use crate::read::run_state;
use crate::{AnyObject, Version};

impl World {
    /// Waits for a matching version of a resource, starting with the current one.
    pub async fn until(&self, name: &str, what: &str, matches: impl Fn(&AnyObject) -> bool) -> AnyObject {
        self.until_within(self.limit, name, what, matches).await
    }

    /// The same, for at most `limit`.
    pub async fn until_within(&self, limit: Duration, name: &str, what: &str, matches: impl Fn(&AnyObject) -> bool) -> AnyObject {
        self.wait_within(limit, name, what, |version| {
            let object = version.decode().ok()?;
            (!version.deleted && matches(&object)).then_some(object)
        })
        .await
    }

    /// Waits until the latest run is in this state, for at most `limit`.
    pub async fn until_state_within(&self, limit: Duration, name: &str, state: RunState) -> AnyObject {
        self.wait_within(limit, name, &format!("{state:?}"), |version| {
            let object = version.decode().ok()?;
            (!version.deleted && run_state(&object) == Some(state)).then_some(object)
        })
        .await
    }

    /// Waits until the latest run is in this state.
    pub async fn until_state(&self, name: &str, state: RunState) -> AnyObject {
        self.until(name, &format!("{state:?}"), |object| run_state(object) == Some(state)).await
    }

    /// Waits until the run of this number is in this state.
    pub async fn until_run(&self, name: &str, number: i32, state: RunState) -> AnyObject {
        let matches = |object: &AnyObject| {
            let run = object.status.as_ref().and_then(|status| status.run.as_ref());
            run.is_some_and(|run| run.number == number && run.state == state)
        };
        self.until(name, &format!("{state:?} in run {number}"), matches).await
    }

    /// Waits until a condition of this type has this reason.
    pub async fn until_reason(&self, name: &str, condition: &str, reason: &str) -> AnyObject {
        let matches = |object: &AnyObject| {
            let conditions = object.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
            conditions.iter().any(|found| format!("{:?}", found.r#type) == condition && found.reason == reason)
        };
        self.until(name, &format!("{condition} with reason {reason}"), matches).await
    }

    /// Waits until a resource is deleted.
    pub async fn until_gone(&self, name: &str) {
        self.wait_within(self.limit, name, "its deletion", |version| version.deleted.then_some(())).await;
    }

    async fn wait_within<T>(&self, limit: Duration, name: &str, what: &str, check: impl FnMut(&Version) -> Option<T>) -> T {
        if let Ok(found) = tokio::time::timeout(limit, self.recorder.wait(name, check)).await {
            return found;
        }
        let latest = self.recorder.latest(name).map(|version| version.object.data["status"].clone());
        let latest = serde_saphyr::to_string(&latest).unwrap_or_default();
        let events = self.events(name).await.join("\n");
        let azure = self.operations().await;
        let ledger: Vec<String> =
            self.ledger().await.iter().map(|row| format!("{} {} {} -> {:?}", row.time, row.method, row.path, row.status)).collect();
        let ledger = ledger[ledger.len().saturating_sub(20)..].join("\n");
        panic!(
            "timed out after {limit:?} waiting for {what} of {name}. Its status:\n{latest}\nIts events:\n{events}\n\
             At the service:\n{azure:#?}\nThe last requests:\n{ledger}"
        );
    }
}
