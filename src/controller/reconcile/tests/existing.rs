//! Resources that exist although the API server has responded that it does not know them.

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::super::detached;
use super::*;
use crate::controller::store::detached_index::DetachedResource;
use crate::engine::reconcile::{AcceptedSubmission, InMemoryState};
use crate::operation::SubmitResult;

#[tokio::test]
async fn resource_that_the_watch_still_shows_is_rechecked() {
    let (mut ctx, requests) = context(|_, _| refusal(404, "not found"));
    let shown = new();
    fixture::show(&mut ctx, &shown);
    assert_eq!(reconciliations(ctx, &requests, &shown).await.0, millis([45_000; 3]));
}

/// Tracks a resource that appears to be deleted, until the store requests its reconciliation. Returns the number of reads of it.
async fn reads_until_due(
    mut ctx: Context,
    requests: &Requests,
    (resource, accepted): (&ModelResource, Option<AcceptedSubmission>),
) -> (Context, usize) {
    let (trigger, mut triggered) = mpsc::unbounded_channel();
    ctx.store.trigger = trigger;
    let (sender, deleted) = mpsc::unbounded_channel();
    let cached_resource = Arc::new(CachedResource::of(resource).unwrap());
    assert!(sender.send(DetachedResource { kind: Kind::ModelRefresh, cached_resource, accepted }).is_ok());
    let due = async {
        tokio::select! {
            () = detached::run(&ctx, deleted) => None,
            name = triggered.recv() => name,
        }
    };
    assert_eq!(tokio::time::timeout(Duration::from_mins(10), due).await, Ok(Some(resource.key())));
    let reads = requests.lock().iter().filter(|(line, _)| line == "GET modelrefreshes/r-0").count();
    (ctx, reads)
}

/// An API server that does not know the resource in the first `absent` reads, and the requests to it.
fn absent_in_reads(absent: u64, resource: &ModelResource) -> (Context, Requests) {
    let (reads, shown) = (AtomicU64::new(0), serde_json::to_value(resource).unwrap());
    context(move |_, _| if reads.fetch_add(1, Ordering::Relaxed) < absent { refusal(404, "no route") } else { (200, shown.clone()) })
}

#[tokio::test(start_paused = true)]
async fn existing_resource_is_not_followed_as_deleted() {
    let mut resource = serde_json::to_value(running(&json!({"finalizers": [FINALIZER]}))).unwrap();
    let run = resource["status"]["run"].as_object_mut().unwrap();
    run.remove("operationId");
    run.insert("state".to_owned(), json!("Submitting"));
    let resource: ModelResource = serde_json::from_value(resource).unwrap();
    let id = OperationId::parse("op-9").unwrap();
    let submission = SubmitResult::Accepted { id: id.clone(), location: None, activity_id: None, retry_after: None };
    let accepted = Some(AcceptedSubmission { run: 1, attempt: 1, submission, failed_writes: 3, denied: false });
    for shown in [false, true] {
        let (mut ctx, requests) = absent_in_reads(1, &resource);
        if shown {
            fixture::show(&mut ctx, &resource);
        }
        let (ctx, reads) = reads_until_due(ctx, &requests, (&resource, accepted.clone())).await;
        assert_eq!(reads, 2, "{shown}");
        assert_eq!(ctx.store.local_states.in_memory("u-0").accepted, accepted, "{shown}");
        let (model, other) = (resource.model().unwrap().key(), fixture::running(1));
        let claimed = ctx.store.claimed_by_others(&other, (OperationKind::Refresh, &model), [&id]);
        assert!(claimed.active.contains("op-9"), "{shown}: no other resource adopts it");
    }
}

#[tokio::test(start_paused = true)]
async fn shown_resource_is_not_followed_during_an_outage() {
    let resource = running(&json!({"finalizers": [FINALIZER]}));
    let (mut ctx, requests) = absent_in_reads(20, &resource);
    fixture::show(&mut ctx, &resource);
    assert_eq!(reads_until_due(ctx, &requests, (&resource, None)).await.1, 21);
}

#[tokio::test(start_paused = true)]
async fn state_of_shown_resource_is_kept_after_its_tracking() {
    // Without a run, so its tracking ends at once.
    let (resource, outage) = (new(), u64::MAX);
    let (mut ctx, requests) = absent_in_reads(outage, &resource);
    fixture::show(&mut ctx, &resource);
    ctx.store.observed(&fixture::all_refreshes(), &resource.key(), &CachedResource::of(&resource).unwrap());
    ctx.store.local_states.set_in_memory("u-0", InMemoryState { failures: 2, ..InMemoryState::default() });
    let (ctx, reads) = reads_until_due(ctx, &requests, (&resource, None)).await;
    assert_eq!(reads, 24, "for two minutes");
    assert_eq!((ctx.store.local_states.in_memory("u-0").failures, ctx.store.index.count()), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn found_resource_is_reconciled_again_after_a_delay() {
    let resource = running(&json!({"finalizers": [FINALIZER]}));
    let (ctx, requests) = absent_in_reads(0, &resource);
    let began = Instant::now();
    assert_eq!(reads_until_due(ctx, &requests, (&resource, None)).await.1, 1);
    assert_eq!(began.elapsed().as_secs(), 5);
}
