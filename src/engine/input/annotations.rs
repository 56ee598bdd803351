//! The requests in the annotations of a resource.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::api;
use crate::engine::text;

/// The requests in the annotations of a resource.
#[derive(Clone, Debug, Default)]
pub struct AnnotationRequests {
    /// `run-requested-at`.
    pub run: Option<String>,
    /// `cancel-requested-at`.
    pub cancel: Option<String>,
    /// `check-requested-at`.
    pub check: Option<String>,
    /// `adopt`.
    pub adopt: Option<String>,
    /// `resubmit`.
    pub resubmit: Option<String>,
    /// `release: "true"`.
    pub release: bool,
    /// An annotation whose value requests nothing, with the value.
    pub no_op: Option<(&'static str, String)>,
}

impl AnnotationRequests {
    /// The requests in the annotations of a resource.
    pub(in crate::engine) fn of(metadata: &ObjectMeta) -> Self {
        let annotations = metadata.annotations.as_ref();
        let annotation = |key: &str| annotations.and_then(|all| all.get(key)).filter(|value| !value.is_empty());
        Self {
            run: annotation(api::RUN_REQUESTED_AT).map(|value| text::token(value)),
            cancel: annotation(api::CANCEL_REQUESTED_AT).map(|value| text::token(value)),
            check: annotation(api::CHECK_REQUESTED_AT).map(|value| text::token(value)),
            adopt: annotation(api::ADOPT).cloned(),
            resubmit: annotation(api::RESUBMIT).cloned(),
            release: annotation(api::RELEASE).is_some_and(|value| value == "true"),
            no_op: annotations.and_then(no_op),
        }
    }
}

/// The first annotation whose value requests nothing. `release: "false"` is a valid value.
fn no_op(annotations: &BTreeMap<String, String>) -> Option<(&'static str, String)> {
    let is_request = |key, value: &str| match key {
        api::RELEASE => ["true", "false"].contains(&value),
        _ => !value.is_empty(),
    };
    api::ANNOTATIONS.into_iter().find_map(|key| {
        let value = annotations.get(key).filter(|value| !is_request(key, value))?;
        Some((key, value.clone()))
    })
}
