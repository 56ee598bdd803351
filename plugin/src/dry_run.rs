//! A dry run at the API server: it validates a new resource and creates nothing.

use http::Uri;
use kube::Resource as _;
use kube::api::{DynamicObject, PostParams};
use kube::core::Status;
use serde_json::Value;
use tabular_operator::api::Kind;

use crate::connect::Connection;
use crate::failure::{Failure, Request};
use crate::manifests::Finding;
use crate::objects::api_resource;

impl Connection {
    /// The faults of a manifest by the definitions of the cluster.
    ///
    /// # Errors
    /// If the API server does not validate it, for example because of a missing permission.
    pub async fn dry_run(&self, kind: Kind, manifest: &Value) -> Result<Vec<Finding>, Failure> {
        let namespace = manifest["metadata"]["namespace"].as_str().unwrap_or(&self.namespace);
        // It becomes a part of the path. With other characters, the path could have another query, and the request could create the resource.
        if namespace.is_empty() || !namespace.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-') {
            return Ok(vec![Finding::new("metadata.namespace", "must be the name of a namespace")]);
        }
        let request = Request::new("create", kind, Some(namespace), None);
        let bug = |error: &dyn std::fmt::Display| Failure::new(format!("failed to write the request: {error}"));
        let path = DynamicObject::url_path(&api_resource(kind), Some(namespace));
        let parameters = PostParams { dry_run: true, ..PostParams::default() };
        let mut call =
            kube::core::Request::new(path).create(&parameters, manifest.to_string().into_bytes()).map_err(|error| bug(&error))?;
        let uri: Uri = format!("{}&fieldValidation=Strict", call.uri()).parse().map_err(|error| bug(&error))?;
        *call.uri_mut() = uri;
        // The error itself is needed, not what it means for a command.
        match self.call(request, async { Ok(self.client.request::<Value>(call).await) }).await? {
            Ok(_) => Ok(Vec::new()),
            Err(kube::Error::Api(status)) if matches!(status.code, 400 | 422) => Ok(findings(&status)),
            // The API server validates a resource before it finds that one of this name exists.
            Err(kube::Error::Api(status)) if status.code == 409 && status.reason == "AlreadyExists" => Ok(Vec::new()),
            Err(error) => Err(request.failed(&error)),
        }
    }
}

/// The faults that the API server lists, or its message.
fn findings(status: &Status) -> Vec<Finding> {
    const STRICT: &str = "strict decoding error: ";
    let causes = status.details.iter().flat_map(|details| &details.causes);
    let listed: Vec<Finding> = causes.map(|cause| Finding::new(&cause.field, &cause.message)).collect();
    if listed.is_empty() {
        let message = status.message.split_once(STRICT).map_or(status.message.as_str(), |(_, faults)| faults);
        return vec![Finding::new("", message)];
    }
    listed
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn found(status: Value) -> Vec<String> {
        findings(&serde_json::from_value(status).unwrap()).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn causes_of_the_api_server_are_findings() {
        let causes = json!([{"field": "spec.model", "message": "Required value", "reason": "FieldValueRequired"}]);
        let status = json!({"status": "Failure", "code": 422, "reason": "Invalid", "message": "all", "details": {"causes": causes}});
        assert_eq!(found(status), ["spec.model: Required value"]);
        let message =
            "ModelRefresh in version \"v1alpha1\" cannot be handled as a ModelRefresh: strict decoding error: unknown field \"spec.a\"";
        let status = json!({"status": "Failure", "code": 400, "reason": "BadRequest", "message": message});
        assert_eq!(found(status), ["unknown field \"spec.a\""]);
    }
}
