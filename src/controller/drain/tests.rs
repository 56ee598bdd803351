//! Drains with an API server whose responses a test determines.

use std::convert::Infallible;
use std::sync::Arc;

use http_body_util::BodyExt as _;
use hyper::{Request, Response};
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::PostParams;
use kube::client::Body;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::time::advance;

use super::*;
use crate::api::FINALIZER;
use crate::cli::DrainRuns;
use crate::controller::lease::drain_signal::SIGNAL_TTL;

/// How long the removal of a finalizer takes.
const REMOVAL: Duration = Duration::from_secs(5);

/// The requests to the API server, for example `GET modelrefreshes`, and their times.
type Requests = Arc<Mutex<Vec<(String, Instant)>>>;

/// An API server with this Lease, or without one for `null`. `list` returns the refreshes by the number of the list, and `accepts` whether
/// a write of the Lease is accepted, by its number.
fn api(
    lease: Value,
    list: impl Fn(usize) -> Vec<Value> + Send + Sync + 'static,
    accepts: impl Fn(usize) -> bool + Send + Sync + 'static,
) -> (Client, Requests) {
    slow_api(("PATCH", REMOVAL), lease, list, accepts)
}

/// The same. The requests whose lines start with these words take this long.
fn slow_api(
    (slow, latency): (&'static str, Duration),
    lease: Value,
    list: impl Fn(usize) -> Vec<Value> + Send + Sync + 'static,
    accepts: impl Fn(usize) -> bool + Send + Sync + 'static,
) -> (Client, Requests) {
    let requests = Requests::default();
    let (log, lease) = (Arc::clone(&requests), Mutex::new(lease));
    let respond = move |line: &str, number: usize, body: Value| -> (u16, Value) {
        match line {
            "GET lease" if lease.lock().is_null() => refused(404, "NotFound"),
            "GET lease" => (200, lease.lock().clone()),
            "PUT lease" if accepts(number) => {
                let mut written = body;
                written["metadata"]["resourceVersion"] = json!(format!("after-{number}"));
                lease.lock().clone_from(&written);
                (200, written)
            }
            "PUT lease" => refused(409, "Conflict"),
            "GET modelrefreshes" => (200, json!({"kind": "ModelRefreshList", "apiVersion": "v1", "metadata": {}, "items": list(number)})),
            "GET modelsyncs" => (200, json!({"kind": "ModelSyncList", "apiVersion": "v1", "metadata": {}, "items": []})),
            _ => (200, refresh("patched", "", false)),
        }
    };
    let respond = Arc::new(respond);
    let service = tower::service_fn(move |request: Request<Body>| {
        let line = format!("{} {}", request.method(), request.uri().path().rsplit('/').next().unwrap());
        let number = {
            let mut log = log.lock();
            log.push((line.clone(), Instant::now()));
            log.iter().filter(|(other, _)| *other == line).count()
        };
        let respond = Arc::clone(&respond);
        async move {
            if line.starts_with(slow) {
                sleep(latency).await;
            }
            let body = request.into_body().collect().await.unwrap().to_bytes();
            let (code, body) = respond(&line, number, serde_json::from_slice(&body).unwrap_or_default());
            Ok::<_, Infallible>(Response::builder().status(code).body(Body::from(serde_json::to_vec(&body).unwrap())).unwrap())
        }
    });
    (Client::new(service, "ops"), requests)
}

fn refused(code: u16, reason: &str) -> (u16, Value) {
    (code, json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "message": reason, "code": code}))
}

/// A Lease that no operator holds.
fn released() -> Value {
    json!({"metadata": {"name": "lease", "resourceVersion": "1"}, "spec": {"leaseDurationSeconds": 1}})
}

/// A Lease that an operator holds.
fn held() -> Value {
    json!({"metadata": {"name": "lease", "resourceVersion": "1"}, "spec": {"holderIdentity": "pod-1", "leaseDurationSeconds": 3600}})
}

/// The holder renews the Lease.
async fn holder_renews(leases: &Api<Lease>) {
    let lease = leases.get("lease").await.unwrap();
    leases.replace("lease", &PostParams::default(), &lease).await.unwrap();
}

fn refresh(name: &str, state: &str, with_finalizer: bool) -> Value {
    json!({
        "apiVersion": "tabular-operator.dev/v1alpha1", "kind": "ModelRefresh",
        "metadata": {"name": name, "namespace": "bi", "finalizers": if with_finalizer { vec![FINALIZER] } else { Vec::new() }},
        "status": {"run": {"state": state}},
    })
}

/// A drain of at most ten minutes that waits for the operations in all namespaces.
fn settings() -> DrainSettings {
    DrainSettings {
        runs: DrainRuns::Wait,
        timeout: Duration::from_mins(10),
        namespaces: Vec::new(),
        lease_name: "lease".to_owned(),
        lease_namespace: None,
    }
}

/// Drains, and returns the output.
async fn drained(client: &Client) -> Result<String, DrainError> {
    drained_with(client, &settings(), &CancellationToken::new()).await
}

async fn drained_with(client: &Client, settings: &DrainSettings, stop: &CancellationToken) -> Result<String, DrainError> {
    let mut request = DrainRequest::new(Api::namespaced(client.clone(), "ops"), settings, None);
    let mut out = Vec::new();
    drain_until_done(client, &mut request, stop, &mut out).await?;
    Ok(String::from_utf8(out).unwrap())
}

/// The times of the requests whose lines start with these words.
fn times(requests: &Requests, start: &str) -> Vec<Instant> {
    requests.lock().iter().filter(|(line, _)| line.starts_with(start)).map(|(_, at)| *at).collect()
}

#[tokio::test(start_paused = true)]
async fn request_outlasts_the_removal_of_many_finalizers() {
    let (client, requests) =
        api(released(), |number| (0..200).map(|n| refresh(&format!("r-{n}"), "Succeeded", number == 1)).collect(), |_| true);
    let output = drained(&client).await.unwrap();
    assert!(output.contains("200 resources remain, without a finalizer"), "{output}");
    let (writes, removals) = (times(&requests, "PUT"), times(&requests, "PATCH"));
    assert_eq!(removals.len(), 200);
    assert!(removals[199] - removals[0] > SIGNAL_TTL, "longer than one request lasts");
    assert!(writes.windows(2).all(|writes| writes[1] - writes[0] < SIGNAL_TTL / 2));
    assert!(writes.last() > removals.last(), "the request lasts for a minute after the removal");
}

#[tokio::test(start_paused = true)]
async fn operation_that_starts_during_the_removal_is_awaited() {
    // The second list follows the first removal.
    let list = |number: usize| match number {
        1 | 4 => vec![refresh("orders", "Succeeded", true)],
        2 | 3 => vec![refresh("orders", "Running", true)],
        _ => vec![refresh("orders", "Succeeded", false)],
    };
    let (client, requests) = api(released(), list, |_| true);
    let output = drained(&client).await.unwrap();
    assert!(output.contains("1 in progress:\n  ModelRefresh bi/orders  Running"), "{output}");
    assert_eq!((times(&requests, "PATCH").len(), times(&requests, "GET modelrefreshes").len()), (2, 5));
}

#[tokio::test(start_paused = true)]
async fn lost_race_for_the_lease_is_not_a_missing_leader() {
    let list = |number: usize| vec![refresh("orders", "Succeeded", number < 3)];
    let (client, requests) = api(released(), list, |number| number > 1);
    drained(&client).await.unwrap();
    let (writes, removals) = (times(&requests, "PUT"), times(&requests, "PATCH"));
    assert_eq!(removals.len(), 1);
    assert!(writes.len() > 1 && writes[0] < writes[1] && writes[1] <= removals[0], "the request precedes the removal");
}

#[tokio::test(start_paused = true)]
async fn lease_must_be_absent_in_several_polls() {
    let (client, requests) = api(Value::Null, |number| vec![refresh("orders", "Succeeded", number < 4)], |_| true);
    drained(&client).await.unwrap();
    let (began, removals) = (times(&requests, "GET lease")[0], times(&requests, "PATCH"));
    assert_eq!((removals.len(), removals[0] - began), (1, 2 * POLL_INTERVAL));
}

#[tokio::test(start_paused = true)]
async fn expired_request_must_be_received_again() {
    let settings = settings();
    let leases_of = |lease| Api::<Lease>::namespaced(api(lease, |_| Vec::new(), |_| true).0, "ops");
    let leases = leases_of(held());
    let mut request = DrainRequest::new(leases.clone(), &settings, None);
    for _ in 0..2 {
        assert_eq!(request.publish(RENEW_INTERVAL).await.unwrap(), LeaderAck::Pending);
        holder_renews(&leases).await;
        assert_eq!(request.publish(RENEW_INTERVAL).await.unwrap(), LeaderAck::Acknowledged);
        advance(SIGNAL_TTL).await;
    }
    let mut request = DrainRequest::new(leases_of(released()), &settings, None);
    assert_eq!(request.publish(RENEW_INTERVAL).await.unwrap(), LeaderAck::NoLeader);
    advance(SIGNAL_TTL).await;
    // An operator may have acquired and released the Lease meanwhile.
    assert_eq!(request.publish(RENEW_INTERVAL).await.unwrap(), LeaderAck::Pending);
    assert_eq!(request.publish(RENEW_INTERVAL).await.unwrap(), LeaderAck::NoLeader);
}

#[tokio::test(start_paused = true)]
async fn request_outlasts_a_long_list() {
    let (client, requests) = slow_api(("GET model", Duration::from_secs(2)), released(), |_| Vec::new(), |_| true);
    let namespaces = (0..40).map(|n| format!("team-{n}")).collect();
    drained_with(&client, &DrainSettings { namespaces, ..settings() }, &CancellationToken::new()).await.unwrap();
    let (writes, lists) = (times(&requests, "PUT"), times(&requests, "GET model"));
    assert!(lists[39] - lists[0] > SIGNAL_TTL, "longer than one request lasts");
    assert!(writes.windows(2).all(|writes| writes[1] - writes[0] < SIGNAL_TTL / 2));
    assert_eq!(lists.len(), 160, "no list is repeated");
}

#[tokio::test(start_paused = true)]
async fn renewal_without_a_write_is_not_received() {
    // The first write is the request, and the second one a renewal of the holder.
    let (client, requests) = api(held(), |_| Vec::new(), |number| number <= 2 || number > 7);
    let (settings, leases) = (settings(), Api::<Lease>::namespaced(client, "ops"));
    let mut request = DrainRequest::new(leases.clone(), &settings, None);
    assert_eq!(request.publish(RENEW_INTERVAL).await.unwrap(), LeaderAck::Pending);
    holder_renews(&leases).await;
    advance(Duration::from_secs(1)).await;
    assert_eq!(request.renew().await.unwrap(), LeaderAck::Pending, "five conflicts");
    assert_eq!(times(&requests, "PUT").len(), 7);
    assert_eq!(request.renew().await.unwrap(), LeaderAck::Acknowledged);
    let (client, _) = api(Value::Null, |_| Vec::new(), |_| true);
    let mut request = DrainRequest::new(Api::namespaced(client, "ops"), &settings, None);
    assert_eq!(request.renew().await.unwrap(), LeaderAck::NoLeader, "there is no Lease");
}

#[tokio::test(start_paused = true)]
async fn removal_of_finalizers_ends_at_the_timeout_or_a_signal() {
    for stopped in [false, true] {
        let (client, requests) = api(released(), |_| (0..200).map(|n| refresh(&format!("r-{n}"), "Succeeded", true)).collect(), |_| true);
        let timeout = if stopped { Duration::from_mins(10) } else { Duration::from_secs(12) };
        let (settings, stop) = (DrainSettings { timeout, ..settings() }, CancellationToken::new());
        let signal = async {
            sleep(Duration::from_secs(12)).await;
            if stopped {
                stop.cancel();
            }
        };
        let (result, ()) = tokio::join!(drained_with(&client, &settings, &stop), signal);
        let message = result.unwrap_err().to_string();
        let expected = if stopped { "stopped by a signal" } else { "the removal of the finalizers is still in progress after 12s" };
        assert!(message.starts_with(expected), "{message}");
        assert_eq!(times(&requests, "PATCH").len(), 3 * CONCURRENT_REMOVALS, "{message}");
    }
}
