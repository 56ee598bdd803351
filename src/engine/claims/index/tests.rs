//! Which operations count as claimed, and for how long.

use super::*;

/// A resource, as far as its claims go.
struct Resource {
    uid: Arc<str>,
    kind: OperationKind,
    model: Model,
    status: Status,
}

impl Resource {
    fn record(&self) -> ClaimSource<'_> {
        ClaimSource { kind: self.kind, model: Some(&self.model), status: Some(&self.status) }
    }
}

fn model(database: &str) -> serde_json::Value {
    serde_json::json!({"analysisServices": {"server": "asazure://w.asazure.windows.net/s", "database": database}})
}

fn key(database: &str) -> String {
    serde_json::from_value::<Model>(model(database)).unwrap().key()
}

fn resource(kind: OperationKind, uid: &str, status: &serde_json::Value) -> Resource {
    let (model, status) = (serde_json::from_value(model("d")).unwrap(), serde_json::from_value(status.clone()).unwrap());
    Resource { uid: uid.into(), kind, model, status }
}

fn with_run() -> serde_json::Value {
    let trigger = serde_json::json!({"type": "Creation", "value": ""});
    serde_json::json!({
        "run": {
            "number": 2, "trigger": trigger, "attempt": 2, "state": "Submitting", "requestedTime": "2026-01-01T00:00:00Z",
            "model": model("before"), "requestDigest": "w", "reason": "SubmissionUnknown", "message": "m",
            "operationId": "OP-4", "previousOperationIds": ["op-3"],
            "candidates": [{"operationId": "op-5", "status": "InProgress"}, {"operationId": "op-6", "status": "Completed"}],
        },
        "history": [{"number": 1, "trigger": trigger, "attempts": 1, "state": "Succeeded", "operationId": "op-1", "message": "m"}],
    })
}

fn update(claims: &mut Claims, object: &Resource) {
    claims.update(&object.uid, object.record(), false);
}

fn keep_removed(claims: &mut Claims, object: &Resource) {
    claims.keep_removed(&object.uid, object.record());
}

fn operations() -> Vec<OperationId> {
    ["op-1", "op-2", "OP-3", "op-4", "op-5", "op-6"].iter().filter_map(|id| OperationId::parse(id)).collect()
}

fn upstream() -> BTreeSet<String> {
    ["op-1", "op-3", "op-4"].map(str::to_owned).into()
}

fn candidates() -> BTreeSet<String> {
    ["op-5", "op-6"].map(str::to_owned).into()
}

#[test]
fn orphaned_operations_and_candidates_stay_claimed() {
    let mut claims = Claims::default();
    keep_removed(&mut claims, &resource(OperationKind::Refresh, "u-1", &with_run()));
    keep_removed(&mut claims, &resource(OperationKind::Refresh, "u-4", &serde_json::json!({})));
    let of_others = |own, kind| claims.of_others(Some(own), (kind, &key("elsewhere")), &operations(), |_| false);
    let of_another = of_others("u-2", OperationKind::Refresh);
    assert_eq!(of_another, ClaimedOperations { orphaned: upstream(), candidates: candidates(), ..ClaimedOperations::default() });
    assert_eq!(of_others("u-1", OperationKind::Refresh), ClaimedOperations::default());
    assert_eq!(of_others("u-2", OperationKind::Sync), ClaimedOperations::default());
    assert_eq!((claims.removed.len(), claims.claimants.len()), (1, 1));
}

#[test]
fn orphaned_sync_counts_on_its_models_alone() {
    let mut claims = Claims::default();
    keep_removed(&mut claims, &resource(OperationKind::Sync, "u-1", &with_run()));
    let of_others = |kind, database| claims.of_others(Some("u-2"), (kind, &key(database)), &operations(), |_| false).orphaned;
    for database in ["d", "before"] {
        assert_eq!(of_others(OperationKind::Sync, database), upstream());
        assert!(of_others(OperationKind::Refresh, database).is_empty());
    }
    assert!(of_others(OperationKind::Sync, "elsewhere").is_empty());
}

#[test]
fn operation_that_is_tracked_without_its_resource_is_watched() {
    let mut claims = Claims::default();
    keep_removed(&mut claims, &resource(OperationKind::Refresh, "u-1", &with_run()));
    let of_others = |tracked: &str| claims.of_others(None, (OperationKind::Refresh, &key("d")), &operations(), |uid| uid == tracked);
    let claimed = |active, orphaned| ClaimedOperations { active, orphaned, candidates: candidates(), ..ClaimedOperations::default() };
    // Not on the model on which its submission may have started something.
    assert_eq!(of_others("u-1"), claimed(upstream(), BTreeSet::new()));
    assert_eq!(of_others("u-2"), claimed(BTreeSet::new(), upstream()));
}

#[test]
fn unresolved_submission_counts_until_it_is_resolved() {
    let mut status = with_run();
    status["run"]["submittedTime"] = "2026-01-01T00:01:00Z".into();
    // The submission is unresolved even if a user has been asked about it: the candidates may not include the operation that it started.
    let unresolved = resource(OperationKind::Refresh, "u-1", &status);
    status["run"]["state"] = "Running".into();
    let resolved = resource(OperationKind::Refresh, "u-1", &status);
    let mut claims = Claims::default();
    let of_others = |claims: &Claims, own, kind, database, tracked: bool| {
        claims.of_others(Some(own), (kind, &key(database)), &[], |_| tracked).unresolved.len()
    };
    let of_another = |claims: &Claims| of_others(claims, "u-2", OperationKind::Refresh, "before", false);
    update(&mut claims, &unresolved);
    assert_eq!(of_another(&claims), 1);
    assert_eq!(of_others(&claims, "u-1", OperationKind::Refresh, "before", false), 0);
    assert_eq!(of_others(&claims, "u-2", OperationKind::Sync, "before", false), 0);
    assert_eq!(of_others(&claims, "u-2", OperationKind::Refresh, "d", false), 0);
    update(&mut claims, &resolved);
    assert_eq!(of_another(&claims), 0);
    keep_removed(&mut claims, &unresolved);
    claims.on_deleted(&unresolved.uid);
    assert_eq!(of_another(&claims), 0);
    assert_eq!(of_others(&claims, "u-2", OperationKind::Refresh, "before", true), 1);
    keep_removed(&mut claims, &resource(OperationKind::Refresh, "u-1", &serde_json::json!({})));
    assert!(claims.unresolved.is_empty() && claims.by_id.is_empty());
}

#[test]
fn named_operation_is_adopted_by_the_first_resource() {
    let mut claims = Claims::default();
    let other = resource(OperationKind::Refresh, "u-1", &with_run());
    update(&mut claims, &other);
    let mut claimed = |own: &str, operation: Option<&str>| {
        let operation = operation.and_then(OperationId::parse);
        !claims.try_reserve(own, operation.as_ref().map(|id| (OperationKind::Refresh, "m", id)), |_| false)
    };
    assert_eq!(["op-1", "op-3", "OP-4"].map(|id| claimed("u-2", Some(id))), [true; 3], "it tracks it, or has tracked it");
    assert!(!claimed("u-1", Some("op-4")), "its own");
    assert!(!claimed("u-2", Some("op-5")) && !claimed("u-2", Some("op-5")), "a candidate");
    assert!(claimed("u-3", Some("OP-5")), "which the first has");
    let of_others = |own| claims.of_others(Some(own), (OperationKind::Refresh, "m"), &operations(), |_| false);
    assert_eq!(of_others("u-1").candidates, BTreeSet::from(["op-5".to_owned()]));
    let mut claimed = |own: &str, operation: Option<&str>| {
        let operation = operation.and_then(OperationId::parse);
        !claims.try_reserve(own, operation.as_ref().map(|id| (OperationKind::Refresh, "m", id)), |_| false)
    };
    assert!(!claimed("u-2", None) && !claimed("u-3", Some("op-5")), "until it has it no more");
    claims.on_deleted(&"u-3".into());
    assert!(claims.try_reserve("u-4", OperationId::parse("op-5").as_ref().map(|id| (OperationKind::Refresh, "m", id)), |_| false));
}

#[test]
fn accepted_operation_is_claimed_before_its_record_names_it() {
    let mut claims = Claims::default();
    let mut status = serde_json::json!({"run": with_run()["run"]});
    status["run"]["submittedTime"] = "2026-01-01T00:01:00Z".into();
    let submitting = resource(OperationKind::Refresh, "u-1", &status);
    let op = OperationId::parse("op-9").unwrap();
    let of_op = (OperationKind::Refresh, "m", &op);
    let active = |claims: &Claims, own| claims.of_others(Some(own), (OperationKind::Refresh, "m"), [&op], |_| false).active.len();
    update(&mut claims, &submitting);
    assert!(claims.try_reserve("u-2", Some(of_op), |_| false), "named by a user before it exists");
    claims.accept("u-1", of_op);
    update(&mut claims, &submitting);
    assert!(!claims.try_reserve("u-2", Some(of_op), |_| false) && claims.try_reserve("u-1", Some(of_op), |_| false));
    assert_eq!((active(&claims, "u-2"), active(&claims, "u-1")), (1, 0));
    // From its record on, the record alone counts.
    status["run"]["state"] = "Running".into();
    status["run"]["operationId"] = "op-8".into();
    update(&mut claims, &resource(OperationKind::Refresh, "u-1", &status));
    assert_eq!((active(&claims, "u-2"), claims.accepted.by_uid.len()), (0, 0));
    claims.accept("u-1", of_op);
    claims.on_deleted(&"u-1".into());
    assert!(claims.accepted.by_uid.is_empty() && claims.accepted.by_id.is_empty());
}

#[test]
fn list_compares_only_its_own_operations() {
    let id = |n: usize| OperationId::parse(&format!("op-{n:03}")).unwrap();
    for count in [100, 400] {
        let mut claims = Claims::default();
        for n in 0..count {
            assert!(claims.try_reserve(&format!("u-{n}"), Some((OperationKind::Sync, "m", &id(n))), |_| false));
            claims.accept(&format!("u-{n}"), (OperationKind::Sync, "m", &id(n)));
        }
        let before = STEPS.get();
        let claimed = claims.of_others(Some("u-1"), (OperationKind::Sync, "m"), &[id(0), id(1), id(2)], |_| false);
        assert_eq!((claimed.active.len(), claimed.candidates.len()), (2, 2));
        assert!(!claims.try_reserve("u-1", Some((OperationKind::Sync, "m", &id(3))), |_| false));
        // Two lookups of two operations, and one of the last.
        assert_eq!(STEPS.get() - before, 5, "{count} resources");
        // A new name replaces the earlier one.
        assert!(claims.try_reserve("u-2", Some((OperationKind::Sync, "m", &id(count))), |_| false));
        assert_eq!((claims.reserved.by_uid.len(), claims.reserved.by_id.len()), (count - 1, count - 1));
    }
}

#[test]
fn deleted_resource_is_forgotten_when_others_follow() {
    let mut claims = Claims::default();
    let kept = resource(OperationKind::Refresh, "kept", &with_run());
    for n in 0..=MAX_REMOVED {
        keep_removed(&mut claims, &resource(OperationKind::Refresh, &format!("u-{n}"), &with_run()));
    }
    assert_eq!((claims.removed.len(), claims.claimants.len(), claims.count()), (MAX_REMOVED, MAX_REMOVED, MAX_REMOVED));
    assert!(!claims.claimants.contains_key("u-0"));
    update(&mut claims, &kept);
    claims.on_deleted(&kept.uid);
    assert!(!claims.claimants.contains_key("kept"));
    assert_eq!(claims.by_id.len(), (upstream().len() + candidates().len()) * MAX_REMOVED);
}

#[test]
fn claims_follow_the_record_and_survive_its_deletion() {
    let mut claims = Claims::default();
    let (before, after) =
        (resource(OperationKind::Refresh, "u-1", &serde_json::json!({})), resource(OperationKind::Refresh, "u-1", &with_run()));
    let of_others = |claims: &Claims| claims.of_others(Some("u-2"), (OperationKind::Refresh, "m"), &operations(), |_| false);
    update(&mut claims, &before);
    assert_eq!(of_others(&claims), ClaimedOperations::default());
    update(&mut claims, &after);
    assert_eq!(of_others(&claims).active, upstream());
    keep_removed(&mut claims, &after);
    assert_eq!(of_others(&claims).active, upstream());
    claims.on_deleted(&after.uid);
    assert_eq!(of_others(&claims), ClaimedOperations { orphaned: upstream(), candidates: candidates(), ..ClaimedOperations::default() });
    keep_removed(&mut claims, &before);
    assert_eq!((of_others(&claims), claims.removed.len(), claims.by_id.len()), (ClaimedOperations::default(), 0, 0));
}
