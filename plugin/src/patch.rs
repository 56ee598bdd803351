//! Changes of a resource, as merge patches.

use std::time::Duration;

use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::connect::Connection;
use crate::failure::{Cause, Failure, Request};
use crate::objects::Object;
use crate::target::Target;

/// The field manager of the changes.
const FIELD_MANAGER: &str = "kubectl-tabular";
/// For how long a resource is read after a lost response.
const READ_AGAIN: Duration = Duration::from_secs(15);
/// The pause between two of these reads.
const PAUSE: Duration = Duration::from_millis(500);

/// What is known of a change.
#[derive(Clone, Debug)]
pub enum Patched {
    /// The API server responded with the new version of the resource.
    Answered(Object),
    /// The response was lost, and the resource may have been changed.
    Unanswered {
        /// How it was lost.
        lost: Failure,
        /// The resource, as it was read after that.
        read: Result<Object, Failure>,
    },
}

/// A merge patch that sets an annotation.
#[must_use]
pub fn annotation(name: &str, value: &str) -> Value {
    json!({"metadata": {"annotations": {name: value}}})
}

impl Connection {
    /// Changes a resource of the connection's namespace. With a `resourceVersion`, the API server refuses the patch if the resource has
    /// changed since that version. The patch is sent once. If its response is lost, the resource is read, so that the caller can determine
    /// whether the patch arrived.
    ///
    /// # Errors
    /// If the API server refuses the patch. [`Cause::Conflict`] has exit code 5, because nothing was changed.
    pub async fn patch(&self, target: &Target, patch: Value, version: Option<&str>) -> Result<Patched, Failure> {
        let lost = match self.send(target, patch, version).await {
            Ok(object) => return Ok(Patched::Answered(object)),
            Err(failure) if failure.cause == Cause::Unanswered => failure,
            Err(failure) => return Err(failure),
        };
        let read = self.read_again(target).await;
        Ok(Patched::Unanswered { lost, read })
    }

    async fn send(&self, target: &Target, patch: Value, version: Option<&str>) -> Result<Object, Failure> {
        let request = Request::new("patch", target.kind, Some(&self.namespace), Some(&target.name));
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        let body = Patch::Merge(with_version(patch, version));
        let object = self.call(request, self.api(target.kind, Some(&self.namespace)).patch(&target.name, &params, &body)).await?;
        Object::parse(target.kind, object)
            .map_err(|undecodable| Failure::new(format!("the resource was changed, but {}", undecodable.sentence())))
    }

    /// Reads a resource after a lost response, when the API server may not be available yet.
    async fn read_again(&self, target: &Target) -> Result<Object, Failure> {
        let began = Instant::now();
        loop {
            match self.get(target).await {
                Err(failure) if failure.cause == Cause::Unanswered && began.elapsed() < READ_AGAIN => sleep(PAUSE).await,
                result => return result,
            }
        }
    }
}

/// The patch, for this version of the resource only.
fn with_version(mut patch: Value, version: Option<&str>) -> Value {
    if let Some(version) = version {
        patch["metadata"]["resourceVersion"] = version.into();
    }
    patch
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patch_has_resource_version_only_on_request() {
        let patch = annotation("tabular-operator.dev/adopt", "1344a272");
        assert_eq!(with_version(patch.clone(), None), json!({"metadata": {"annotations": {"tabular-operator.dev/adopt": "1344a272"}}}));
        let versioned = with_version(patch, Some("7"));
        assert_eq!(versioned["metadata"]["resourceVersion"], "7");
        assert_eq!(versioned["metadata"]["annotations"]["tabular-operator.dev/adopt"], "1344a272");
        let spec = with_version(json!({"spec": {"suspend": true}}), Some("8"));
        assert_eq!(spec, json!({"spec": {"suspend": true}, "metadata": {"resourceVersion": "8"}}));
    }
}
