//! The upstream refresh of the scripted resource, and the runs that it starts.

use tabular_operator::api::{AfterRefresh, HistoryEntry, ModelRefresh, Run, RunState, Status, Time, Trigger, TriggerType};

use super::world::{World, model, secs};

impl World {
    /// A dependent of the refresh `staging`, which exists and has not run.
    pub fn dependent(mut self) -> Self {
        self.edit(|spec| spec.trigger.get_or_insert_default().after_refresh = Some(AfterRefresh { name: "staging".to_owned() }));
        self.upstream = Some(Self::upstream_refresh("staging", "led-1"));
        self.service.length = secs(20);
        self
    }

    /// A refresh that has not run.
    pub fn upstream_refresh(name: &str, uid: &str) -> ModelRefresh {
        let spec = serde_json::from_value(serde_json::json!({"model": model("Led")})).unwrap();
        let mut upstream = ModelRefresh::new(name, spec);
        upstream.metadata.uid = Some(uid.to_owned());
        upstream.status = Some(Status::default());
        upstream
    }

    /// A run of the upstream refresh ends; `kept` of its ended runs stay in its history.
    pub fn upstream_ends(&mut self, state: RunState, kept: usize) {
        let (requested, now) = (Time::from(self.now() - secs(1)), Time::from(self.now()));
        let Some(upstream) = self.upstream.as_mut() else { return };
        let status = upstream.status.as_mut().unwrap();
        let number = status.run.as_ref().map_or(1, |run| run.number + 1);
        let trigger = Trigger { r#type: TriggerType::Request, value: String::new() };
        status.successful_runs += i64::from(state == RunState::Succeeded);
        let run = serde_json::json!({"number": number, "trigger": trigger, "attempt": 1, "state": state, "model": upstream.spec.model,
            "requestDigest": "w", "requestedTime": requested, "endedTime": now, "recordedTime": now});
        status.run = Some(serde_json::from_value::<Run>(run).unwrap());
        let entry = serde_json::json!({"number": number, "trigger": trigger, "attempts": 1, "state": state,
            "requestedTime": requested, "recordedTime": now});
        status.history.insert(0, serde_json::from_value::<HistoryEntry>(entry).unwrap());
        status.history.truncate(kept);
        self.changed();
    }

    /// A run of the upstream refresh succeeds.
    pub fn upstream_succeeds(&mut self) -> &mut Self {
        self.upstream_ends(RunState::Succeeded, 20);
        self
    }

    /// A user restores an earlier status of the upstream refresh, all of whose runs have succeeded. It shows the runs up to this number.
    pub fn restore_upstream(&mut self, number: i32) -> &mut Self {
        if let Some(status) = self.upstream.as_mut().and_then(|upstream| upstream.status.as_mut()) {
            status.history.retain(|entry| entry.number <= number);
            let (recorded_time, requested) =
                status.history.first().map_or((None, None), |entry| (entry.recorded_time, entry.requested_time));
            let restored = |run: Run| Run { number, recorded_time, requested_time: requested.unwrap_or(run.requested_time), ..run };
            status.run = status.run.take().filter(|_| number > 0).map(restored);
            status.successful_runs = i64::from(number);
        }
        // The numbers after this one count again.
        self.inner.resource(0).started_triggers.retain(|trigger| trigger.r#type != TriggerType::AfterRefresh);
        self.changed()
    }

    /// The runs that the upstream started, oldest first.
    pub fn runs_after_upstream(&self) -> Vec<String> {
        let mut seen: Vec<(i32, String)> = Vec::new();
        for run in self.statuses.iter().filter_map(|status| status.run.as_ref()) {
            if run.trigger.r#type == TriggerType::AfterRefresh && seen.iter().all(|(number, _)| *number != run.number) {
                seen.push((run.number, run.trigger.value.clone()));
            }
        }
        seen.into_iter().map(|(_, value)| value).collect()
    }
}
