//! What the API server accepts and the operator rejects: a schedule that never occurs, an unknown time zone, a duplicate in a long list.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::{Value, json};
use tabular_operator::api::{Kind, ModelResource, RefreshParameters};
use tabular_operator::engine::ScheduleTrigger;

use super::finding::Finding;

/// The faults of a manifest that admission accepts.
///
/// # Errors
/// If the spec cannot be decoded.
pub(super) fn only_operator(kind: Kind, manifest: &Value) -> Result<Vec<Finding>, String> {
    let body = json!({"spec": manifest["spec"]});
    let resource = ModelResource::assemble(kind, &ObjectMeta::default(), body.to_string().as_bytes())?;
    let (trigger, parameters) = match &resource {
        ModelResource::ModelRefresh(refresh) => (refresh.spec.trigger.as_ref(), refresh.spec.refresh.as_ref()),
        ModelResource::ModelSync(sync) => (sync.spec.trigger.as_ref(), None),
    };
    let schedule = trigger.and_then(ScheduleTrigger::of).and_then(Result::err);
    let duplicate = parameters.and_then(RefreshParameters::duplicate).map(|message| format!("spec.{message}"));
    let finding = |message: String| match message.split_once(": ") {
        Some((field, rest)) => Finding::new(field, rest),
        None => Finding::new("spec", message),
    };
    Ok(schedule.into_iter().chain(duplicate).map(finding).collect())
}
