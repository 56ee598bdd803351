//! The API server's audit log: every request of the operator, counted on arrival.

use std::path::PathBuf;

use serde::Deserialize;

/// The log of one control plane.
#[derive(Debug)]
pub struct Audit(PathBuf);

/// One request.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditLine {
    /// `ResponseComplete`, or `ResponseStarted` for a watch.
    pub stage: String,
    /// get, list, watch, create, update, patch or delete.
    pub verb: String,
    /// The user.
    pub user: User,
    /// The object of the request.
    #[serde(default)]
    pub object_ref: ObjectRef,
    /// The response.
    #[serde(default)]
    pub response_status: ResponseStatus,
    /// Path and query.
    #[serde(rename = "requestURI")]
    pub request_uri: String,
}

/// The user of a request.
#[derive(Clone, Debug, Deserialize)]
pub struct User {
    /// Such as `system:serviceaccount:operators:t-1`.
    pub username: String,
}

/// The object of a request.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct ObjectRef {
    /// The resource, in the plural.
    #[serde(default)]
    pub resource: String,
    /// The namespace, if present.
    #[serde(default)]
    pub namespace: String,
    /// The name, if present.
    #[serde(default)]
    pub name: String,
    /// The subresource, such as `status`.
    #[serde(default)]
    pub subresource: String,
}

/// The response to a request.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct ResponseStatus {
    /// The HTTP status.
    #[serde(default)]
    pub code: u16,
}

impl AuditLine {
    /// Whether it is a write or an attempted write.
    #[must_use]
    pub fn is_write(&self) -> bool {
        !matches!(self.verb.as_str(), "get" | "list" | "watch")
    }

    /// The verb and its object, such as `patch modelrefreshes/status orders`.
    #[must_use]
    pub fn summary(&self) -> String {
        let ObjectRef { resource, name, subresource, .. } = &self.object_ref;
        let part = if subresource.is_empty() { String::new() } else { format!("/{subresource}") };
        format!("{} {resource}{part} {name} -> {}", self.verb, self.response_status.code)
    }
}

impl Audit {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// Removes the requests so far, so that the file of a long run stays small.
    pub fn clear(&self) {
        let file = std::fs::File::options().write(true).open(&self.0);
        file.and_then(|file| file.set_len(0)).unwrap_or_else(|error| panic!("failed to clear the audit log: {error}"));
    }

    /// Every completed request of this user, oldest first.
    #[must_use]
    pub fn by(&self, user: &str) -> Vec<AuditLine> {
        let text = std::fs::read_to_string(&self.0).unwrap_or_else(|error| panic!("failed to read the audit log: {error}"));
        // The last line may be incomplete. Lines that only mention the user are removed after parsing.
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let lines = whole.lines().filter(|line| line.contains(user));
        let lines = lines.map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("failed to read '{line}': {error}")));
        lines.filter(|line: &AuditLine| line.user.username == user && line.stage != "ResponseStarted").collect()
    }

    /// The writes of this user to these resources (if none are named: all but leases).
    #[must_use]
    pub fn writes(&self, user: &str, resources: &[&str]) -> Vec<AuditLine> {
        let wanted = |line: &AuditLine| {
            let resource = line.object_ref.resource.as_str();
            if resources.is_empty() { resource != "leases" } else { resources.contains(&resource) }
        };
        self.by(user).into_iter().filter(|line| line.is_write() && wanted(line)).collect()
    }
}
