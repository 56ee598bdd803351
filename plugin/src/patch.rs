//! Changes of a resource, as merge patches.

use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use crate::connect::Connection;
use crate::failure::{Failure, Request};
use crate::objects::Object;
use crate::target::Target;

/// The field manager of the changes.
const FIELD_MANAGER: &str = "kubectl-tabular";

/// A merge patch that sets an annotation.
#[must_use]
pub fn annotation(name: &str, value: &str) -> Value {
    json!({"metadata": {"annotations": {name: value}}})
}

impl Connection {
    /// Changes a resource of the connection's namespace, and returns its new version. With a `resourceVersion`, the API server refuses
    /// the patch if the resource has changed since that version. The patch is sent once.
    ///
    /// # Errors
    /// If the API server refuses the patch. [`Cause::Conflict`] has exit code 5, because nothing was changed. After
    /// [`Cause::Unanswered`], the resource may have been changed.
    ///
    /// [`Cause::Conflict`]: crate::failure::Cause::Conflict
    /// [`Cause::Unanswered`]: crate::failure::Cause::Unanswered
    pub async fn patch(&self, target: &Target, patch: Value, version: Option<&str>) -> Result<Object, Failure> {
        let request = Request::new("patch", target.kind, Some(&self.namespace), Some(&target.name));
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        let body = Patch::Merge(with_version(patch, version));
        let object = self.call(request, self.api(target.kind, Some(&self.namespace)).patch(&target.name, &params, &body)).await?;
        Object::parse(target.kind, object).map_err(|undecodable| {
            let warning = undecodable.warning();
            Failure::new(format!("the resource was changed, but {}", warning.trim_start_matches("warning: ")))
        })
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
