//! The status of a resource.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Check, Condition, ConditionStatus, ConditionType, HistoryEntry, Reason, Run, Time, Trigger};

/// Observed state of the resource, at most 64 KiB.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("default" = {"observedGeneration": -1}))]
pub struct Status {
    /// The `metadata.generation` that the operator observed last; -1 before the first observation.
    #[serde(default = "never")]
    #[schemars(range(min = -1))]
    pub observed_generation: i64,
    /// The conditions Ready, Reconciling, Stalled, Succeeded and Finished, which follow kstatus, and Fresh with `staleAfterSeconds`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// Short name of the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub model: Option<String>,
    /// The latest run.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "Run::read")]
    pub run: Option<Run>,
    /// The accepted trigger of the next run. The run starts when the current run has ended, the resource is no longer suspended, or the
    /// cause of a block is removed. It starts even if its source is withdrawn, such as an annotation that was removed. If a change is
    /// reverted, its trigger is dropped with an event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queued: Option<Trigger>,
    /// The ended runs, newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    #[schemars(length(max = 20))]
    pub history: Vec<HistoryEntry>,
    /// Last handled value of the annotation `run-requested-at`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub last_handled_request: Option<String>,
    /// Last handled value of the annotation `cancel-requested-at`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub last_handled_cancel_request: Option<String>,
    /// The latest check that the annotation `check-requested-at` requested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<Check>,
    /// Last handled value of `trigger.token`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub last_handled_token: Option<String>,
    /// Digest of the model and the refresh parameters that were handled last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub last_handled_digest: Option<String>,
    /// The `trigger.schedule`, with its time zone, that `nextScheduleTime` was calculated from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub last_handled_schedule: Option<String>,
    /// Scheduled time of the latest run that `trigger.schedule` started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_schedule_time: Option<Time>,
    /// Next time that `trigger.schedule` is due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_schedule_time: Option<Time>,
    /// The last run of the upstream refresh (`trigger.afterRefresh`) that started a run of this resource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_upstream_run: Option<UpstreamRun>,
    /// Time at which the operator found a reference of this resource missing: a Secret, a `ServiceAccount`, the permission to read one of
    /// them, or the upstream refresh. Absent otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing_since_time: Option<Time>,
    /// End of the latest successful run. If the service's clock is ahead, the time when the operator recorded the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_successful_time: Option<Time>,
    /// Number of successful runs, including those that are no longer in `history`.
    #[serde(default, skip_serializing_if = "is_zero")]
    #[schemars(range(min = 0))]
    pub successful_runs: i64,
}

impl Default for Status {
    fn default() -> Self {
        Self {
            observed_generation: never(),
            conditions: Vec::new(),
            model: None,
            run: None,
            queued: None,
            history: Vec::new(),
            last_handled_request: None,
            last_handled_cancel_request: None,
            check: None,
            last_handled_token: None,
            last_handled_digest: None,
            last_handled_schedule: None,
            last_schedule_time: None,
            next_schedule_time: None,
            last_upstream_run: None,
            missing_since_time: None,
            last_successful_time: None,
            successful_runs: 0,
        }
    }
}

impl Status {
    /// Whether the operator has recorded it, unlike that of a new resource.
    #[must_use]
    pub fn is_observed(&self) -> bool {
        self.observed_generation != never()
    }

    /// The condition Stalled if a user must act. `None` also if it shows only that a run ended as a user or a new trigger requested: the event
    /// of that end is no warning.
    #[must_use]
    pub fn needed_action(&self) -> Option<&Condition> {
        let is_stalled = |condition: &&Condition| condition.r#type == ConditionType::Stalled && condition.status == ConditionStatus::True;
        let stalled = self.conditions.iter().find(is_stalled)?;
        let is_end = self.run.as_ref().is_some_and(|run| run.state.ended() && run.reason == stalled.reason);
        let is_requested_end = is_end && Reason::parse(&stalled.reason).and_then(Reason::warns) == Some(false);
        (!is_requested_end).then_some(stalled)
    }
}

/// The runs of an upstream refresh that have started runs of a resource.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UpstreamRun {
    /// Name of the `ModelRefresh`.
    #[schemars(length(max = 253))]
    pub name: String,
    /// Uid of the `ModelRefresh`. Another object with the same name has its own runs.
    #[schemars(length(max = 64))]
    pub uid: String,
    /// Number of the latest upstream run; 0 before the first.
    #[schemars(range(min = 0, max = 1_000_000_000))]
    pub number: i32,
    /// When the operator recorded the end of the latest upstream run, or of the latest queued one. Absent before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recorded_time: Option<Time>,
    /// Upstream runs count from this `recordedTime` on, because the status of the `ModelRefresh` was reset or restored from a backup. Absent
    /// otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counts_since_time: Option<Time>,
    /// Number of successful runs of the `ModelRefresh`, up to the latest upstream run.
    #[schemars(range(min = 0))]
    pub successful_runs: i64,
    /// Later successful runs, which each wait for a run of this resource. Absent if there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queued: Option<QueuedRuns>,
}

/// Successful runs of an upstream refresh that wait for a run of the dependent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct QueuedRuns {
    /// Number of the latest of these runs.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub number: i32,
    /// Count of these runs.
    #[schemars(range(min = 1))]
    pub count: i64,
}

fn never() -> i64 {
    -1
}

#[allow(clippy::trivially_copy_pass_by_ref)] // as serde calls it
fn is_zero(count: &i64) -> bool {
    *count == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn requested_end_of_a_run_needs_no_action() {
        let needs_action = |state: &str, of_run: &str, stalled: &str| {
            let run = json!({"number": 1, "trigger": {"type": "Creation"}, "attempt": 1, "state": state, "model": {}, "reason": of_run,
                "requestedTime": "2026-01-01T00:00:00Z", "requestDigest": "w"});
            let condition = json!({"type": "Stalled", "status": "True", "reason": stalled, "message": "", "observedGeneration": 1,
                "lastTransitionTime": "2026-01-01T00:00:00Z"});
            let status = json!({"run": run, "conditions": [condition]});
            serde_json::from_value::<Status>(status).unwrap().needed_action().is_some()
        };
        assert!(!needs_action("Cancelled", "CancelledOnRequest", "CancelledOnRequest"));
        assert!(!needs_action("Cancelled", "Replaced", "Replaced"));
        // Another client cancelled it, or a newer version of the operator defines the reason.
        assert!(needs_action("Cancelled", "Cancelled", "Cancelled"));
        assert!(needs_action("Cancelled", "Newer", "Newer"));
        assert!(needs_action("Failed", "RefreshFailed", "RefreshFailed"));
        // Something else prevents the next run, or the cancellation of this one.
        assert!(needs_action("Cancelled", "CancelledOnRequest", "SecretNotFound"));
        assert!(needs_action("Running", "AccessDenied", "AccessDenied"));
        assert!(Status::default().needed_action().is_none());
    }
}
