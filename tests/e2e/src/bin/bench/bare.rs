//! The bare writes of a run: the maximum rate of the API server on this machine at this time.

use futures::{StreamExt as _, stream};
use k8s_openapi::api::events::v1::Event;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt as _};
use serde_json::json;
use tabular_operator::api::{FINALIZER, ModelRefresh, RunState, Status};
use tokio::sync::Semaphore;

use crate::setup;

/// The client of each kind of write.
pub struct Writers {
    /// Creates the resources, as in the operator's measurement.
    pub resources: Api<ModelRefresh>,
    /// Performs the operator's writes with the operator's account, so that each call is authorized.
    pub records: Api<ModelRefresh>,
    /// Writes the events, if requested.
    pub events: Option<Api<Event>>,
}

/// Creates `count` resources, and for each the writes of a run: the finalizer, three statuses and, if requested, two events. They are
/// sequential, while the operator writes its events concurrently. At most `concurrency` are in flight.
pub async fn runs(writers: &Writers, prefix: &str, count: usize, concurrency: usize) {
    let status = |state: &str| -> Status {
        let condition = |kind: &str, status: &str| {
            json!({"type": kind, "status": status, "observedGeneration": 1, "lastTransitionTime": "2026-11-22T05:00:00Z", "reason": state,
                   "message": "the service runs operation 1344a272-7893-4afa-a4b3-3fb87222fdac"})
        };
        serde_json::from_value(json!({
            "observedGeneration": 1,
            "conditions": [condition("Ready", "Unknown"), condition("Succeeded", "Unknown"), condition("Finished", "False")],
            "model": "bench/bench",
            "lastHandledDigest": "fcc9e1659d300b81b91230a3",
            "run": {
                "number": 1, "trigger": {"type": "Creation", "value": ""}, "attempt": 1, "state": state, "requestDigest": "fcc9e1659d300b81b91230a3",
                "model": {"analysisServices": {"server": "asazure://westus.asazure.windows.net/bench", "database": "bench"}},
                "operationId": "1344a272-7893-4afa-a4b3-3fb87222fdac", "requestedTime": "2026-11-22T05:00:00Z",
                "reason": state, "message": "the service runs operation 1344a272-7893-4afa-a4b3-3fb87222fdac",
            },
        }))
        .expect("the status is valid")
    };
    let records = [status("Submitting"), status("Running"), status("Succeeded")];
    let permits = Semaphore::new(concurrency);
    stream::iter(0..count)
        .for_each_concurrent(None, |index| {
            let (records, permits) = (&records, &permits);
            let Writers { resources, records: api, events } = writers;
            async move {
                let made = with_permit(permits, resources.create(&PostParams::default(), &setup::manifest(prefix, index))).await;
                let name = made.metadata.name.clone().expect("the object has a name");
                let patch =
                    Patch::Merge(json!({"metadata": {"finalizers": [FINALIZER], "resourceVersion": made.metadata.resource_version}}));
                let mut object = with_permit(permits, api.patch(&name, &PatchParams::default(), &patch)).await;
                for record in records {
                    object.status = Some(record.clone());
                    object.metadata.managed_fields = None;
                    object = with_permit(permits, api.replace_status(&name, &PostParams::default(), &object)).await;
                    let state = object.status.as_ref().and_then(|status| status.run.as_ref()).map(|run| run.state);
                    if let Some(events) = events.as_ref().filter(|_| state != Some(RunState::Submitting)) {
                        with_permit(permits, events.create(&PostParams::default(), &event(&object))).await;
                    }
                }
            }
        })
        .await;
}

/// Makes a call with a permit; calls are in the order of arrival.
async fn with_permit<T>(permits: &Semaphore, call: impl Future<Output = kube::Result<T>>) -> T {
    let _permit = permits.acquire().await.expect("the semaphore is never closed");
    call.await.expect("failed to write")
}

/// An event of the same size as the operator's.
fn event(about: &ModelRefresh) -> Event {
    let name = about.name_any();
    let regarding = json!({"apiVersion": "tabular-operator.dev/v1alpha1", "kind": "ModelRefresh", "namespace": about.namespace(), "name": name,
                           "uid": about.uid(), "resourceVersion": about.resource_version()});
    let event = json!({
        "metadata": {"generateName": format!("{name}-")},
        "eventTime": jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string(),
        "action": "Run", "reason": "Running", "type": "Normal", "regarding": regarding,
        "note": "the service runs operation 1344a272-7893-4afa-a4b3-3fb87222fdac",
        "reportingController": "tabular-operator.dev/bench", "reportingInstance": "bench",
    });
    serde_json::from_value(event).expect("the event is valid")
}
