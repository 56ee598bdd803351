//! The writes of a run, made bare: what the API server alone makes possible on this machine at this moment.

use futures::{StreamExt as _, stream};
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::json;
use tabular_operator::api::{FINALIZER, ModelRefresh, Status};

/// Makes `count` resources, and for each the four writes of a run: the finalizer, and the status three times.
pub async fn runs(api: &Api<ModelRefresh>, prefix: &str, count: usize, concurrency: usize) {
    let status = |state: &str| -> Status {
        let condition = |kind: &str, status: &str| {
            json!({"type": kind, "status": status, "observedGeneration": 1, "lastTransitionTime": "2026-11-22T05:00:00Z", "reason": state,
                   "message": "the service runs operation 1344a272-7893-4afa-a4b3-3fb87222fdac"})
        };
        serde_json::from_value(json!({
            "observedGeneration": 1,
            "conditions": [condition("Ready", "Unknown"), condition("Succeeded", "Unknown"), condition("Finished", "False")],
            "model": "bench/bench",
            "lastHandledWork": "fcc9e1659d300b81b91230a3",
            "run": {
                "number": 1, "trigger": {"type": "Creation", "value": ""}, "attempt": 1, "state": state, "work": "fcc9e1659d300b81b91230a3",
                "model": {"analysisServices": {"server": "asazure://westus.asazure.windows.net/bench", "database": "bench"}},
                "operationId": "1344a272-7893-4afa-a4b3-3fb87222fdac", "requestedTime": "2026-11-22T05:00:00Z",
                "reason": state, "message": "the service runs operation 1344a272-7893-4afa-a4b3-3fb87222fdac",
            },
        }))
        .expect("the status fits")
    };
    let records = [status("Submitting"), status("Running"), status("Succeeded")];
    stream::iter(0..count)
        .for_each_concurrent(concurrency, |index| {
            let records = &records;
            async move {
                let made = api.create(&PostParams::default(), &super::manifest(prefix, index)).await.expect("failed to create");
                let name = made.metadata.name.clone().expect("it has a name");
                let patch =
                    Patch::Merge(json!({"metadata": {"finalizers": [FINALIZER], "resourceVersion": made.metadata.resource_version}}));
                let mut object = api.patch(&name, &PatchParams::default(), &patch).await.expect("failed to add the finalizer");
                for record in records {
                    object.status = Some(record.clone());
                    object.metadata.managed_fields = None;
                    object = api.replace_status(&name, &PostParams::default(), &object).await.expect("failed to write the status");
                }
            }
        })
        .await;
}
