//! Resources that exist although the API server has responded that it does not know them.

use tokio::sync::mpsc;

use super::super::detached;
use super::*;
use crate::controller::store::detached_index::DetachedResource;

#[tokio::test]
async fn resource_that_the_watch_still_shows_is_rechecked() {
    let (mut ctx, requests) = context(|_, _| refusal(404, "not found"));
    let shown = new();
    fixture::show(&mut ctx, &shown);
    assert_eq!(reconciliations(ctx, &requests, &shown).await.0, millis([45_000; 3]));
}

#[tokio::test(start_paused = true)]
async fn existing_resource_is_not_followed_as_deleted() {
    let resource = running(&json!({"finalizers": [FINALIZER]}));
    let (reads, shown) = (AtomicU64::new(0), serde_json::to_value(&resource).unwrap());
    let respond =
        move |_: &str, _: &Value| if reads.fetch_add(1, Ordering::Relaxed) == 0 { refusal(404, "no route") } else { (200, shown.clone()) };
    let (mut ctx, requests) = context(respond);
    let (trigger, mut triggered) = mpsc::unbounded_channel();
    ctx.store.trigger = trigger;
    let (sender, deleted) = mpsc::unbounded_channel();
    let cached_resource = Arc::new(CachedResource::of(&resource).unwrap());
    assert!(sender.send(DetachedResource { kind: Kind::ModelRefresh, cached_resource, accepted: None }).is_ok());
    let due = async {
        tokio::select! {
            () = detached::run(&ctx, deleted) => None,
            name = triggered.recv() => name,
        }
    };
    assert_eq!(tokio::time::timeout(Duration::from_mins(1), due).await, Ok(Some(resource.key())));
    assert_eq!(requests.lock().iter().map(|(line, _)| line.as_str()).collect::<Vec<_>>(), ["GET modelrefreshes/r-0"; 2]);
}
