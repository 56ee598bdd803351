//! Resources and settings for the targets, and the decision of the operator on a parsed response.

use std::collections::HashMap;
use std::sync::LazyLock;
use std::time::Duration;

use serde_json::{Value, json};
use tabular_operator::api::{Kind, ModelResource};
use tabular_operator::controller::fuzzing;
use tabular_operator::engine::{Decision, DecisionInput, DecisionMemory, DesiredState, EffectResult, External, Settings, decide};
use tabular_operator::operation::{Operation, OperationId, OperationKind, Phase};

use crate::invariants;

/// The operation id in the status of the resources.
pub const OPERATION: &str = "1344a272-7893-4afa-a4b3-3fb87222fdac";

/// [`OPERATION`], parsed.
#[must_use]
pub fn operation_id() -> OperationId {
    OperationId::parse(OPERATION).unwrap()
}

/// A resource whose run is in this state (`Submitting`, `Running` or `Cancelling`). It is built only once, because the fuzzer requests
/// it for every input.
#[must_use]
pub fn resource(kind: OperationKind, state: &'static str) -> &'static ModelResource {
    static RESOURCES: LazyLock<HashMap<(OperationKind, &str), ModelResource>> = LazyLock::new(|| {
        let kinds = [OperationKind::Refresh, OperationKind::Sync];
        let all = kinds.into_iter().flat_map(|kind| ["Submitting", "Running", "Cancelling"].map(|state| (kind, state)));
        all.map(|(kind, state)| ((kind, state), build(kind, state))).collect()
    });
    &RESOURCES[&(kind, state)]
}

fn build(kind: OperationKind, state: &str) -> ModelResource {
    let requested = "2026-11-22T08:59:30Z";
    let model = json!({"analysisServices": {"server": "asazure://westus.asazure.windows.net/sales", "database": "Orders"}});
    let run = json!({
        "number": 1, "trigger": {"type": "Creation", "value": ""}, "attempt": 1, "state": state, "model": model, "requestDigest": "0",
        "requestedTime": requested, "submittedTime": requested, "operationId": if state == "Submitting" { Value::Null } else { OPERATION.into() },
    });
    let (kind, name) = match kind {
        OperationKind::Refresh => (Kind::ModelRefresh, "ModelRefresh"),
        OperationKind::Sync => (Kind::ModelSync, "ModelSync"),
    };
    let object = json!({
        "apiVersion": "tabular-operator.dev/v1alpha1", "kind": name,
        "metadata": {"name": "orders", "namespace": "bi", "uid": "u", "generation": 1, "creationTimestamp": requested,
            "finalizers": ["tabular-operator.dev/operation"]},
        "spec": {"model": model, "backoffLimit": 1},
        "status": {"observedGeneration": 1, "run": run},
    });
    fuzzing::resource(kind, object.to_string().as_bytes()).unwrap()
}

/// The decision on the result of an effect for a resource. Panics if its status or its events violate an invariant.
pub fn decision(resource: &ModelResource, effect_result: EffectResult) -> Decision {
    let (desired, settings) = (DesiredState::of(resource, External::default()), settings());
    let status = resource.status().cloned().unwrap_or_default();
    let memory = DecisionMemory::default();
    let decision = decide(&DecisionInput {
        desired: &desired,
        status: &status,
        memory: &memory,
        effect_result,
        now: invariants::now(),
        settings: &settings,
    });
    invariants::status(&decision.status);
    for event in &decision.events {
        invariants::contains_no_token(&event.message);
    }
    decision
}

/// An operation in this phase, submitted by a client of the API.
#[must_use]
pub fn operation(id: &OperationId, phase: Phase) -> Operation {
    Operation {
        start: Some(invariants::now()),
        end: phase.ended().then(invariants::now),
        refresh_type: Some("full".to_owned()),
        ..Operation::new(id.clone(), phase, format!("{phase:?}"))
    }
}

/// The operator's default settings.
#[must_use]
pub fn settings() -> Settings {
    Settings {
        poll_min: Duration::from_secs(1),
        poll_max: Duration::from_secs(30),
        poll_fraction: 0.1,
        call_timeout: Duration::from_secs(30),
        listing_lag: Duration::from_mins(2),
        max_refresh_duration: Duration::from_hours(48),
        reference_grace: Duration::from_mins(1),
        power_bi_portal: Some("app.powerbi.com".to_owned()),
    }
}
