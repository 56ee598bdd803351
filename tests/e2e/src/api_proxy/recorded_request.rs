//! A request to the API server, in Kubernetes terms.

use hyper::{Method, Uri};

use super::Action;

/// A recorded request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedRequest {
    /// get, list, watch, create, update, patch or delete; for a non-resource path, the HTTP method.
    pub verb: String,
    /// The resource in the plural, such as `modelrefreshes`; empty for a non-resource path such as `/version`.
    pub resource: String,
    /// The subresource, such as `status`.
    pub subresource: String,
    /// The namespace, if the path has one.
    pub namespace: String,
    /// The object's name, if the path has one.
    pub name: String,
    /// Path and query.
    pub path: String,
    /// Bytes of the request's body.
    pub sent: usize,
    /// Whether the body contains a resource version as a precondition.
    pub has_precondition: bool,
    /// Bytes of the response's body received so far.
    pub received: usize,
    /// The response's status, once received.
    pub status: Option<u16>,
    /// The fault applied to it.
    pub action: Option<Action>,
}

impl RecordedRequest {
    pub(super) fn new(method: &Method, uri: &Uri, body: &[u8]) -> Self {
        let parts: Vec<&str> = uri.path().split('/').filter(|part| !part.is_empty()).collect();
        let rest = match parts.as_slice() {
            ["api", _, rest @ ..] | ["apis", _, _, rest @ ..] => rest,
            _ => &[],
        };
        let (namespace, rest) = match rest {
            ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (*namespace, rest),
            rest => ("", rest),
        };
        let part = |index: usize| rest.get(index).copied().unwrap_or_default().to_owned();
        let watching = uri.query().is_some_and(|query| query.split('&').any(|pair| pair == "watch=true" || pair == "watch=1"));
        let verb = match method.as_str() {
            "GET" if watching => "watch",
            "GET" if rest.len() == 1 => "list",
            "GET" => "get",
            "POST" => "create",
            "PUT" => "update",
            "PATCH" => "patch",
            "DELETE" => "delete",
            other => other,
        };
        Self {
            verb: verb.to_owned(),
            resource: part(0),
            subresource: part(2),
            namespace: namespace.to_owned(),
            name: part(1),
            path: uri.path_and_query().map_or_else(String::new, ToString::to_string),
            sent: body.len(),
            has_precondition: version(body).is_some(),
            received: 0,
            status: None,
            action: None,
        }
    }

    /// Whether it is a write.
    #[must_use]
    pub fn is_write(&self) -> bool {
        !matches!(self.verb.as_str(), "get" | "list" | "watch")
    }

    /// Whether it writes one of the operator's resources or its status.
    #[must_use]
    pub fn writes_resource(&self) -> bool {
        self.is_write() && matches!(self.resource.as_str(), "modelrefreshes" | "modelsyncs")
    }

    /// Verb and resource without names: identical between runs.
    #[must_use]
    pub fn signature(&self) -> String {
        let Self { verb, resource, subresource, .. } = self;
        if subresource.is_empty() { format!("{verb} {resource}") } else { format!("{verb} {resource}/{subresource}") }
    }
}

/// The resource version in a body.
fn version(body: &[u8]) -> Option<String> {
    let body: serde_json::Value = serde_json::from_slice(body).ok()?;
    body["metadata"]["resourceVersion"].as_str().filter(|version| !version.is_empty()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kubernetes_paths_are_parsed() {
        for (method, uri, signature, namespace, name) in [
            ("GET", "/apis/tabular-operator.dev/v1alpha1/namespaces/a/modelrefreshes?watch=true", "watch modelrefreshes", "a", ""),
            ("GET", "/apis/tabular-operator.dev/v1alpha1/modelrefreshes?limit=5", "list modelrefreshes", "", ""),
            ("PATCH", "/apis/tabular-operator.dev/v1alpha1/namespaces/a/modelrefreshes/b/status", "patch modelrefreshes/status", "a", "b"),
            ("GET", "/api/v1/namespaces/a/secrets/s", "get secrets", "a", "s"),
            ("GET", "/api/v1/namespaces/a", "get namespaces", "", "a"),
            ("PUT", "/apis/coordination.k8s.io/v1/namespaces/a/leases/l", "update leases", "a", "l"),
            ("GET", "/version", "get ", "", ""),
        ] {
            let recorded = RecordedRequest::new(&method.parse().unwrap(), &uri.parse().unwrap(), b"");
            assert_eq!(
                (recorded.signature().as_str(), recorded.namespace.as_str(), recorded.name.as_str()),
                (signature, namespace, name),
                "{uri}"
            );
        }
    }
}
