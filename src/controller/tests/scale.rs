//! Thousands of models with a refresh and a sync after it, all due in the same minute: the cost of each resource does not grow with their
//! number. Only allocations are gated, because they are the same on every machine; the times are printed.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use allocations::Allocations;
use jiff::Timestamp;
use kube::Resource as _;
use kube::runtime::reflector::store::Writer;
use kube::runtime::watcher::Event;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::api::{Kind, ModelResource, ResourceKey, Time};
use crate::controller::fixture;
use crate::controller::reconcile::context::Context;
use crate::controller::store::cached::CachedResource;
use crate::controller::store::scope::{WatchHandle, WatchScope};
use crate::engine::{QueueState, Turn, TurnQueue};
use crate::operation::{OperationId, OperationKind};

/// The most bytes that the operator keeps of one resource: `docs/performance.md`.
const MAX_BYTES: u64 = 5 * 1024;

/// The number of models; the test also measures twice and four times as many. `TABULAR_OPERATOR_TEST_MODELS=5000` has 20,000 at most.
fn models() -> usize {
    let asked = std::env::var("TABULAR_OPERATOR_TEST_MODELS").ok().and_then(|text| text.parse().ok());
    asked.unwrap_or(1_000)
}

/// A model with its resources.
struct TestModel {
    /// Its key.
    key: String,
    /// A refresh that is running.
    refresh: ModelResource,
    /// The same when its run has succeeded.
    ended: ModelResource,
    /// A sync that waits for the refresh.
    sync: ModelResource,
    /// The operation of the refresh.
    refresh_id: OperationId,
    /// The operation of the sync, which no record names yet.
    sync_id: OperationId,
}

impl TestModel {
    fn new(n: usize) -> Self {
        let model = json!({"analysisServices": {"server": "asazure://w.asazure.windows.net/s", "database": format!("d-{n:06}")}});
        let run = |state: &str, more: Value| {
            let mut run = json!({
                "number": 1, "trigger": {"type": "Schedule", "value": "2026-01-01T05:00:00Z"}, "attempt": 1, "state": state,
                "requestedTime": "2026-01-01T05:00:00Z", "model": model, "requestDigest": "w",
            });
            run.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            json!({"run": run})
        };
        let named = json!({"submittedTime": "2026-01-01T05:00:01Z", "operationId": refresh_id(n)});
        let mut succeeded = named.clone();
        (succeeded["endedTime"], succeeded["recordedTime"]) = (json!("2026-01-01T05:01:00Z"), json!("2026-01-01T05:01:00Z"));
        let refresh_spec = json!({"model": model, "trigger": {"schedule": "0 5 * * *"}});
        let sync_spec = json!({"trigger": {"afterRefresh": {"name": format!("r-{n:06}")}}});
        let refresh = |version: u64, status: Value| resource("ModelRefresh", ("r", n, version), &refresh_spec, &status);
        let refresh_at_first = refresh(1, run("Running", named));
        Self {
            key: refresh_at_first.model().unwrap().key(),
            refresh: refresh_at_first,
            ended: refresh(2, run("Succeeded", succeeded)),
            sync: resource("ModelSync", ("s", n, 1), &sync_spec, &run("Waiting", json!({}))),
            refresh_id: OperationId::parse(&refresh_id(n)).unwrap(),
            sync_id: OperationId::parse(&format!("sync-{n:06}")).unwrap(),
        }
    }

    fn both(&self) -> [&ModelResource; 2] {
        [&self.refresh, &self.sync]
    }
}

fn refresh_id(n: usize) -> String {
    format!("refresh-{n:06}")
}

fn resource(kind: &str, (prefix, n, version): (&str, usize, u64), spec: &Value, status: &Value) -> ModelResource {
    let name = format!("{prefix}-{n:06}");
    let metadata = json!({"name": name, "namespace": "bi", "uid": format!("u-{name}"), "resourceVersion": version.to_string()});
    let object = json!({
        "apiVersion": "tabular-operator.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec, "status": status,
    });
    serde_json::from_value(object).unwrap()
}

fn uid(object: &ModelResource) -> &str {
    object.meta().uid.as_deref().unwrap()
}

/// A store with the caches of both watches.
struct Fleet {
    ctx: Context,
    caches: HashMap<Kind, (Arc<WatchScope>, Writer<CachedResource>)>,
    triggered: mpsc::UnboundedReceiver<ResourceKey>,
}

impl Fleet {
    fn new() -> Self {
        let (mut ctx, mut caches) = (fixture::context(0), HashMap::new());
        let (trigger, triggered) = mpsc::unbounded_channel();
        ctx.store.trigger = trigger;
        for kind in Kind::ALL.iter().copied() {
            let (scope, writer) = (WatchScope { kind, namespace: None }, Writer::<CachedResource>::new(kind));
            let handle = WatchHandle { store: writer.as_reader(), synced: CancellationToken::new(), seen: Arc::default() };
            ctx.store.watches.insert(scope.clone(), handle);
            caches.insert(kind, (Arc::new(scope), writer));
        }
        Self { ctx, caches, triggered }
    }

    /// Handles a change of a resource as the watch does.
    fn shows(&mut self, object: &ModelResource) {
        let (scope, writer) = self.caches.get_mut(&object.kind()).unwrap();
        let (key, cached) = (object.key(), CachedResource::of(object).unwrap());
        writer.apply_watcher_event(&Event::Apply(cached.clone()));
        self.ctx.store.observed(scope, &key, &cached);
        self.ctx.store.notify_dependents(&key);
    }

    /// Keeps what a reconciliation of a resource keeps.
    fn reconciles(&self, object: &ModelResource) {
        let (store, key, uid) = (&self.ctx.store, object.key(), uid(object));
        drop(store.begin((&key, uid), &Arc::new(object.clone())));
        store.local_states.set_in_memory(uid, store.local_states.in_memory(uid));
        store.detached_index.track(object, &store.cached(&key).unwrap());
    }

    /// The number of requested reconciliations of a kind.
    fn triggered(&mut self, kind: Kind) -> usize {
        std::iter::from_fn(|| self.triggered.try_recv().ok()).filter(|key| key.kind == kind).count()
    }
}

/// What an operation costs for a number of models.
struct Cost {
    what: &'static str,
    models: usize,
    allocated: Allocations,
    took: Duration,
}

impl Cost {
    fn of(what: &'static str, models: usize, work: impl FnOnce()) -> Self {
        let (before, began) = (Allocations::so_far(), Instant::now());
        work();
        Self { what, models, allocated: Allocations::since(before), took: began.elapsed() }
    }

    /// Whether it costs at most 1.3 times as much for each model as with fewer of them.
    fn is_like(&self, fewer: &Self) -> bool {
        let [more_models, fewer_models] = [self.models, fewer.models].map(|models| u64::try_from(models).unwrap());
        let is_like = |more: u64, fewer: u64| more * fewer_models * 10 <= fewer * more_models * 13;
        is_like(self.allocated.count, fewer.allocated.count) && is_like(self.allocated.bytes, fewer.allocated.bytes)
    }

    fn line(&self) -> String {
        let Self { what, models, allocated, took } = self;
        let each = u64::try_from(*models).unwrap();
        let nanos = took.as_nanos() / u128::from(each);
        format!(
            "{what}, {models} models: {}/{each} allocations, {} bytes and {nanos} ns per model",
            allocated.count,
            allocated.bytes / each
        )
    }
}

/// The costs of all operations on this number of models.
fn costs(count: usize) -> Vec<Cost> {
    let models: Vec<TestModel> = (0..count).map(TestModel::new).collect();
    let (mut fleet, now) = (Fleet::new(), Timestamp::now());
    let mut costs = vec![Cost::of("observation and registration", count, || {
        for object in models.iter().flat_map(TestModel::both) {
            fleet.shows(object);
            fleet.reconciles(object);
        }
    })];
    assert_eq!((fleet.triggered(Kind::ModelRefresh), fleet.ctx.store.queue.lock().depth()), (0, count));
    costs.push(Cost::of("reservation", count, || {
        for TestModel { key, sync, sync_id, .. } in &models {
            assert!(fleet.ctx.store.try_reserve(sync, key, sync_id));
            fleet.ctx.store.index.accept(uid(sync), (OperationKind::Sync, key, sync_id));
        }
    }));
    costs.push(Cost::of("claims of a list", count, || {
        for (own, other) in models.iter().zip(models.iter().cycle().skip(1)) {
            let ids = [&own.refresh_id, &other.refresh_id];
            let claimed = fleet.ctx.store.claimed_by_others(&own.refresh, (OperationKind::Refresh, &own.key), ids);
            assert_eq!(claimed.active.len(), 1);
            let claimed = fleet.ctx.store.claimed_by_others(&own.refresh, (OperationKind::Sync, &own.key), [&own.sync_id]);
            assert_eq!((claimed.active.len(), claimed.candidates.len()), (1, 1));
        }
    }));
    costs.push(Cost::of("end of a refresh, gauges and dependents", count, || {
        for model in &models {
            fleet.shows(&model.ended);
        }
    }));
    assert_eq!(fleet.triggered(Kind::ModelSync), count);
    costs.push(Cost::of("queue", count, || {
        let mut queue = fleet.ctx.store.queue.lock();
        for TestModel { key, refresh, sync, .. } in &models {
            assert_eq!(queue.set(key, uid(refresh), &refresh.key(), QueueState::None), [sync.key()]);
            assert_eq!(queue.acquire(key, uid(sync), &sync.key(), now.into()), Turn::Granted);
        }
    }));
    costs.push(Cost::of("queue of a single model", count, || queue_of_one_model(&models, now.into())));
    costs.push(Cost::of("published gauges", count, || fleet.ctx.store.index.publish(now)));
    costs.push(Cost::of("deletion", count, || {
        for object in models.iter().flat_map(TestModel::both) {
            fleet.ctx.store.on_deleted(&object.key(), object.meta());
            fleet.ctx.store.remove(&object.key());
        }
    }));
    costs
}

/// All resources wait for the same model, and get their turns in order.
fn queue_of_one_model(models: &[TestModel], since: Time) {
    let mut queue = TurnQueue::default();
    for model in models {
        let _ = queue.acquire("m", uid(&model.refresh), &model.refresh.key(), since);
    }
    for model in models {
        assert_eq!(queue.acquire("m", uid(&model.refresh), &model.refresh.key(), since), Turn::Granted);
        let _ = queue.set("m", uid(&model.refresh), &model.refresh.key(), QueueState::None);
    }
    assert_eq!(queue.depth(), 0);
}

#[tokio::test]
async fn cost_of_a_resource_does_not_grow_with_their_number() {
    let [one, two, four] = [1, 2, 4].map(|times| costs(times * models()));
    for ((one, two), four) in one.iter().zip(&two).zip(&four) {
        println!("{}\n{}\n{}", one.line(), two.line(), four.line());
    }
    for (one, four) in one.iter().zip(&four) {
        assert!(four.is_like(one), "quadratic: {} against {}", four.line(), one.line());
    }
}

#[tokio::test]
async fn memory_of_a_resource_is_bounded() {
    let models: Vec<TestModel> = (0..models()).map(TestModel::new).collect();
    let mut fleet = Fleet::new();
    let before = Allocations::so_far();
    for object in models.iter().flat_map(TestModel::both) {
        fleet.shows(object);
        fleet.reconciles(object);
    }
    fleet.ctx.store.index.publish(Timestamp::now());
    let bytes = Allocations::since(before).kept() / u64::try_from(2 * models.len()).unwrap();
    println!("{bytes} bytes per resource");
    assert!(bytes <= MAX_BYTES, "{bytes} bytes per resource");
}
