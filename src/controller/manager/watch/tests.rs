use std::convert::Infallible;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::Frame;
use hyper::{Request, Response, StatusCode};
use kube::client::Body;
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::*;
use crate::controller::fixture;

/// The requests to an API server, and their times.
type Requests = Arc<Mutex<Vec<String>>>;

/// An API server that responds to each list or watch request with a status and a body.
fn api(respond: impl Fn(usize, &str) -> (u16, Value) + Clone + Send + Sync + 'static) -> (Client, Requests) {
    let requests = Requests::default();
    let log = Arc::clone(&requests);
    let service = tower::service_fn(move |request: Request<Body>| {
        let query = request.uri().query().unwrap_or_default().to_owned();
        let number = {
            let mut log = log.lock();
            log.push(query.clone());
            log.len()
        };
        let (status, body) = respond(number, &query);
        async move {
            // A watch without events stays open.
            let silence = StreamBody::new(stream::pending::<Result<Frame<Bytes>, Infallible>>());
            let body = if query.contains("watch=true") && status == 200 {
                silence.boxed_unsync()
            } else {
                Full::new(Bytes::from(body.to_string())).boxed_unsync()
            };
            let mut response = Response::new(body);
            *response.status_mut() = StatusCode::from_u16(status).unwrap();
            Ok::<_, Infallible>(response)
        }
    });
    (Client::new(service, "bi"), requests)
}

fn refused(code: u16) -> (u16, Value) {
    (
        code,
        json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "message": "no", "reason": "No", "metadata": {}}),
    )
}

fn list(items: &[Value], next: Option<usize>) -> (u16, Value) {
    let metadata = json!({"resourceVersion": "7", "continue": next.map(|next| next.to_string())});
    (200, json!({"kind": "ModelRefreshList", "apiVersion": "tabular-operator.dev/v1alpha1", "metadata": metadata, "items": items}))
}

fn refresh(name: &str, text: &str) -> Value {
    json!({
        "apiVersion": "tabular-operator.dev/v1alpha1", "kind": "ModelRefresh",
        "metadata": {"name": name, "namespace": "bi", "uid": name, "resourceVersion": "5", "generation": 1},
        "spec": {"model": {"analysisServices": {"server": "asazure://w.asazure.windows.net/s", "database": text}}},
    })
}

/// A context that watches the refreshes of all namespaces with this client, and the changes from the watch.
fn watching(client: Client) -> (Arc<Context>, SelectAll<BoxStream<'static, ResourceKey>>, CancellationToken, Health) {
    let (mut watches, handles) = watches(&[]);
    watches.retain(|watch| watch.scope.kind == Kind::ModelRefresh);
    let (mut ctx, health) = (fixture::context(0), Health::new());
    (ctx.client, ctx.store.watches) = (client, handles);
    let ctx = Arc::new(ctx);
    let (changes, mut settled) = changes(watches, &ctx, &health);
    (ctx, changes, settled.remove(0), health)
}

#[tokio::test(start_paused = true)]
async fn listed_resource_is_due_when_it_is_in_the_cache() {
    let (client, requests) = api(|number, query| match number {
        1 => list(&[refresh("a", "d")], Some(1)),
        2 => {
            assert!(query.contains("continue=1"), "{query}");
            list(&[refresh("b", "d")], None)
        }
        _ => (200, Value::Null),
    });
    let (ctx, mut changes, settled, _) = watching(client);
    for name in ["a", "b"] {
        let due = changes.next().await.unwrap();
        assert_eq!((due.name.as_str(), ctx.store.cached(&due).is_some()), (name, true));
    }
    assert!(settled.is_cancelled());
    assert!(tokio::time::timeout(Duration::from_secs(1), changes.next()).await.is_err());
    assert_eq!(requests.lock().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn refused_list_is_retried_with_backoff_until_it_succeeds() {
    let (client, requests) = api(|number, query| match (number, query.contains("watch=true")) {
        (1..=6, _) => refused(403),
        (_, false) => list(&[refresh("a", "d")], None),
        (_, true) => (200, Value::Null),
    });
    let (ctx, mut changes, settled, _) = watching(client);
    assert!(tokio::time::timeout(Duration::from_secs(20), changes.next()).await.is_err());
    // At 0, 0.8, 2.4, 5.6 and 12 s.
    assert_eq!((requests.lock().len(), settled.is_cancelled()), (5, true));
    assert!(ctx.store.unsynced_watches(Kind::ModelRefresh).is_some());
    assert_eq!(changes.next().await.unwrap().name, "a");
    assert_eq!(ctx.store.unsynced_watches(Kind::ModelRefresh), None);
}

#[tokio::test(start_paused = true)]
async fn expired_version_or_missing_crd_causes_new_list() {
    for code in [404, 410] {
        let (client, requests) = api(move |number, query| match (number, query.contains("watch=true")) {
            (2, true) => refused(code),
            (1, false) => list(&[refresh("a", "d")], None),
            (_, false) => list(&[refresh("b", "d")], None),
            (_, true) => (200, Value::Null),
        });
        let (ctx, mut changes, _, _) = watching(client);
        assert_eq!(changes.next().await.unwrap().name, "a");
        let due = changes.next().await.unwrap();
        assert_eq!((due.name.as_str(), ctx.store.cached(&due).is_some()), ("b", true), "{code}");
        // Only its reconciliation removes what is kept for the name of a resource that was deleted meanwhile.
        let deleted = tokio::time::timeout(Duration::from_secs(1), changes.next()).await.unwrap().unwrap();
        assert_eq!((deleted.name.as_str(), ctx.store.cached(&deleted).is_some()), ("a", false), "{code}");
        let seen = ctx.store.watches.values().map(|watch| watch.seen.load(Ordering::Relaxed)).sum::<usize>();
        assert_eq!((seen, requests.lock().len()), (1, 3), "{code}");
    }
}

#[tokio::test(start_paused = true)]
async fn listed_status_change_is_due_when_it_is_in_the_cache() {
    let (client, _) = api(|number, query| match (number, query.contains("watch=true")) {
        (1, false) => list(&[refresh("a", "d")], None),
        (2, true) => refused(410),
        (_, true) => (200, Value::Null),
        (_, false) if query.contains("continue=1") => list(&[refresh("b", "d")], None),
        (_, false) => {
            let mut edited = refresh("a", "d");
            edited["metadata"]["resourceVersion"] = json!("6");
            list(&[edited], Some(1))
        }
    });
    let (ctx, mut changes, _, _) = watching(client);
    for (name, version) in [("a", "5"), ("a", "6"), ("b", "5")] {
        let due = changes.next().await.unwrap();
        let cached = ctx.store.cached(&due).unwrap();
        assert_eq!((due.name.as_str(), cached.resource_version().as_deref()), (name, Some(version)));
    }
}

#[tokio::test(start_paused = true)]
async fn resource_recreated_without_a_watch_is_due() {
    for (uid, is_due) in [("b", true), ("a", false)] {
        let (client, requests) = api(move |number, query| match (number, query.contains("watch=true")) {
            (2, true) => refused(410),
            (1, false) => list(&[refresh("a", "d")], None),
            (_, false) => {
                let mut recreated = refresh("a", "d");
                recreated["metadata"]["uid"] = json!(uid);
                list(&[recreated], None)
            }
            (_, true) => (200, Value::Null),
        });
        let (_ctx, mut changes, _, _) = watching(client);
        assert_eq!(changes.next().await.unwrap().name, "a");
        let due = tokio::time::timeout(Duration::from_secs(30), changes.next()).await;
        assert_eq!(due.is_ok_and(|due| due.is_some_and(|due| due.name == "a")), is_due, "{uid}");
        assert!(requests.lock().len() >= 3, "{uid}");
    }
}

#[tokio::test(start_paused = true)]
async fn pages_are_bounded_in_bytes() {
    // 2,000 small resources, then 40 large ones, then small ones again.
    let size = |n: usize| if (2_000..2_040).contains(&n) { 600_000 } else { 10 };
    let pages = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&pages);
    let (client, requests) = api(move |_, query| {
        if query.contains("watch=true") {
            return (200, Value::Null);
        }
        let number = |key: &str| query.split('&').find_map(|part| part.strip_prefix(key)?.strip_prefix('=')?.parse::<usize>().ok());
        let (from, limit) = (number("continue").unwrap_or(0), number("limit").unwrap());
        let to = (from + limit).min(3_000);
        let items: Vec<Value> = (from..to).map(|n| refresh(&format!("r-{n}"), &"d".repeat(size(n)))).collect();
        let page = list(&items, (to < 3_000).then_some(to));
        seen.lock().push((from, to, page.1.to_string().len()));
        page
    });
    let (ctx, mut changes, _, _) = watching(client);
    let mut names = Vec::new();
    while names.len() < 3_000 {
        names.push(changes.next().await.unwrap().name);
    }
    names.sort_unstable();
    names.dedup();
    assert_eq!((names.len(), ctx.store.watches.values().map(|watch| watch.store.len()).sum::<usize>()), (3_000, 3_000));
    let pages = pages.lock();
    // A page that the next one does not continue was discarded.
    let read = pages.iter().enumerate().filter(|(n, (_, to, _))| *to == 3_000 || pages.get(n + 1).is_some_and(|next| next.0 == *to));
    let read: Vec<_> = read.map(|(_, page)| *page).collect();
    assert!(read.iter().all(|(from, to, bytes)| *bytes <= 2 * 1024 * 1024 || to - from == 1), "{read:?}");
    assert!(read.iter().any(|(from, to, _)| to - from > 100), "large pages contain small resources");
    assert!(requests.lock().len() < 100, "{}", requests.lock().len());
}
