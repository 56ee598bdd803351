//! The API server's audit log: every request of the operator, counted where it arrives.

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
    /// Who asked.
    pub user: User,
    /// What for.
    #[serde(default)]
    pub object_ref: ObjectRef,
    /// What was answered.
    #[serde(default)]
    pub response_status: ResponseStatus,
    /// Path and query.
    #[serde(rename = "requestURI")]
    pub request_uri: String,
}

/// Who asked.
#[derive(Clone, Debug, Deserialize)]
pub struct User {
    /// Such as `system:serviceaccount:operators:t-1`.
    pub username: String,
}

/// What was asked for.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct ObjectRef {
    /// The resource, in the plural.
    #[serde(default)]
    pub resource: String,
    /// The namespace, where it has one.
    #[serde(default)]
    pub namespace: String,
    /// The name, where one was given.
    #[serde(default)]
    pub name: String,
    /// Such as `status`.
    #[serde(default)]
    pub subresource: String,
}

/// What was answered.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct ResponseStatus {
    /// The HTTP status.
    #[serde(default)]
    pub code: u16,
}

impl AuditLine {
    /// Whether it changes something, or tries to.
    #[must_use]
    pub fn is_write(&self) -> bool {
        !matches!(self.verb.as_str(), "get" | "list" | "watch")
    }

    /// The verb and what it was for, such as `patch modelrefreshes/status orders`.
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

    /// Every request by this user that is done, oldest first.
    #[must_use]
    pub fn by(&self, user: &str) -> Vec<AuditLine> {
        let text = std::fs::read_to_string(&self.0).unwrap_or_else(|error| panic!("failed to read the audit log: {error}"));
        // The last line may be half written; what mentions the user by the way is sorted out after parsing.
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let lines = whole.lines().filter(|line| line.contains(user));
        let lines = lines.map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("failed to read '{line}': {error}")));
        lines.filter(|line: &AuditLine| line.user.username == user && line.stage != "ResponseStarted").collect()
    }

    /// The writes by this user to these resources (all but leases, with none named).
    #[must_use]
    pub fn writes(&self, user: &str, resources: &[&str]) -> Vec<AuditLine> {
        let wanted = |line: &AuditLine| {
            let resource = line.object_ref.resource.as_str();
            if resources.is_empty() { resource != "leases" } else { resources.contains(&resource) }
        };
        self.by(user).into_iter().filter(|line| line.is_write() && wanted(line)).collect()
    }
}
