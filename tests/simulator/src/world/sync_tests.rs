//! A sync over time, without a clock.

use super::*;

fn at(millis: i64) -> Timestamp {
    "2026-01-01T00:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_millis(millis)
}

fn sync(settings: &Value) -> Sync {
    let settings: SyncSettings = serde_json::from_value(settings.clone()).unwrap();
    Sync::new(Client::Control, settings.outcome.clone(), &settings, at(0), 1)
}

#[test]
fn sync_passes_through_its_states() {
    let sync = sync(&json!({"replicatingMillis": 10, "rehydratingMillis": 20, "finalizingMillis": 30}));
    let states: Vec<_> = [0, 9, 10, 29, 30, 59, 60].into_iter().map(|millis| sync.stage(at(millis)).state.number()).collect();
    assert_eq!(states, [0, 0, 1, 1, 4, 4, 2]);
    assert_eq!(sync.stage(at(40)).since, at(30));
    assert_eq!((sync.details(at(0)), sync.details(at(60))), (&Value::Null, &Value::Null));
}

#[test]
fn failed_sync_has_details_and_skips_finalizing() {
    let sync = sync(
        &json!({"replicatingMillis": 1, "rehydratingMillis": 1, "finalizingMillis": 9, "outcome": {"state": "failed", "details": {"a": 1}}}),
    );
    assert_eq!(sync.details(at(1)), &Value::Null);
    assert_eq!((sync.stage(at(2)).state, sync.details(at(2))), (SyncState::Failed, &json!({"a": 1})));
}

#[test]
fn forced_end_applies_only_before_planned_end() {
    let mut running = sync(&json!({"replicatingMillis": 10}));
    running.end(at(5), SyncEnd::Invalid, None);
    assert_eq!((running.stage(at(4)).state, running.stage(at(5)).state.name()), (SyncState::Replicating, "Invalid"));
    let mut over = sync(&json!({"replicatingMillis": 0, "rehydratingMillis": 0}));
    over.end(at(5), SyncEnd::Failed, None);
    assert_eq!(over.stage(at(6)).state, SyncState::Completed);
}
