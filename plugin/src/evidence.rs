//! What else the cluster shows of a resource: its events, and the Lease of the operator. A user may lack the permission for either.

use std::cmp::Reverse;
use std::time::Duration;

use http::header::DATE;
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Event;
use kube::api::ListParams;
use kube::client::Body;
use kube::{Api, Resource as _};
use tokio::time::{Instant, sleep};

use crate::connect::Connection;
use crate::failure::{Cause, Failure, Request};
use crate::objects::Object;

/// How many events are kept.
const MOST_EVENTS: usize = 5;
/// How long a Lease without a duration is valid, in seconds.
const DEFAULT_DURATION: i64 = 15;
/// How much older than its duration a Lease may be, in seconds: the clocks of the operator and of the user differ.
const TOLERANCE: i64 = 30;
/// How far a renewal may be ahead of the user's clock, in seconds, before that clock counts as behind: clocks differ a little.
const MOST_AHEAD: i64 = 5;
/// The pause before a Lease that is too old is read again.
const READ_AGAIN: Duration = Duration::from_secs(1);
/// The duration of a Lease, in seconds, of which a third is waited at most for its next renewal.
const MOST_WAITED: i64 = 30;

/// An event of a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceEvent {
    /// When it happened last.
    pub time: Timestamp,
    /// Whether it is a warning.
    pub is_warning: bool,
    /// The reason.
    pub reason: String,
    /// The message.
    pub note: String,
}

/// The Lease of the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperatorLease {
    /// The process that holds it; `None` after a release.
    pub holder: Option<String>,
    /// When the holder renewed it last.
    pub renewed: Option<Timestamp>,
    /// How long a renewal is valid, in seconds.
    pub duration: i64,
}

impl OperatorLease {
    /// The same Lease, with the age that it has at this time of the API server.
    fn seen_at(&self, time: Timestamp) -> Self {
        let ahead = Timestamp::now().duration_since(time);
        Self { renewed: self.renewed.and_then(|renewed| renewed.checked_add(ahead).ok()), ..self.clone() }
    }
}

/// What is known of the operator.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Operator {
    /// Nothing: the Lease cannot be read.
    #[default]
    Unknown,
    /// There is no Lease with this name in the operator's namespace.
    Absent,
    /// This is its Lease.
    Lease(OperatorLease),
}

/// Whether the operator is running, by its Lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Liveness {
    /// The holder renewed the Lease this many seconds ago.
    Running(String, i64),
    /// The holder has not renewed the Lease for this many seconds, which is too long.
    Silent(String, i64),
    /// No process holds it.
    Released,
    /// There is no Lease.
    Absent,
    /// The Lease cannot be read.
    Unknown,
}

impl Operator {
    /// Whether the operator is running.
    #[must_use]
    pub fn liveness(&self, now: Timestamp) -> Liveness {
        let lease = match self {
            Self::Unknown => return Liveness::Unknown,
            Self::Absent => return Liveness::Absent,
            Self::Lease(lease) => lease,
        };
        let Some((holder, renewed)) = lease.holder.clone().zip(lease.renewed) else { return Liveness::Released };
        let age = now.duration_since(renewed).as_secs().max(0);
        if age > lease.duration.saturating_add(TOLERANCE) { Liveness::Silent(holder, age) } else { Liveness::Running(holder, age) }
    }
}

/// The events of a resource and the Lease of the operator, as far as the user may read them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// The latest events, the newest first; `None` if they cannot be listed.
    pub events: Option<Vec<ResourceEvent>>,
    /// The operator.
    pub operator: Operator,
}

impl Connection {
    /// Reads the evidence of a resource. What cannot be read is absent.
    pub async fn evidence(&self, object: &Object, operator_namespace: &str, lease: &str) -> Evidence {
        let (events, operator) = tokio::join!(self.events(object), self.operator(operator_namespace, lease));
        Evidence { events: events.ok(), operator }
    }

    /// Lists the latest events of a resource, the newest first. They are those of the core API: the role `view` permits the same events of
    /// `events.k8s.io` only since Kubernetes 1.35.
    ///
    /// # Errors
    /// If they cannot be listed.
    pub async fn events(&self, object: &Object) -> Result<Vec<ResourceEvent>, Failure> {
        let key = object.key();
        let request = Request { verb: "list", resource: "events", namespace: Some(&key.namespace), name: None };
        let selected = ListParams::default().fields(&format!("involvedObject.kind={},involvedObject.name={}", key.kind.as_str(), key.name));
        let api: Api<Event> = Api::namespaced(self.client.clone(), &key.namespace);
        let found = self.call(request, api.list(&selected)).await?;
        Ok(latest(found.items, object.resource.meta().uid.as_deref()))
    }

    /// Reads the Lease of the operator. The age of one that is too old, or was renewed in the future, is determined by the clock of the API
    /// server, because that of the user may be ahead or behind. One that is too old by that clock is read again until its next renewal is
    /// due: if it is renewed meanwhile, the operator runs, and its clock is behind.
    async fn operator(&self, namespace: &str, name: &str) -> Operator {
        let is_silent = |operator: &Operator| matches!(operator.liveness(Timestamp::now()), Liveness::Silent(_, _));
        let first = self.lease(namespace, name).await;
        let Operator::Lease(before) = &first else { return first };
        let is_ahead = before.renewed.is_some_and(|renewed| renewed.duration_since(Timestamp::now()).as_secs() > MOST_AHEAD);
        if !is_silent(&first) && !is_ahead {
            return first;
        }
        let corrected = match self.time().await {
            Some(time) => Operator::Lease(before.seen_at(time)),
            None => first.clone(),
        };
        if !is_silent(&corrected) {
            return corrected;
        }
        // The holder renews it three times within its duration.
        let interval = Duration::from_secs(before.duration.clamp(0, MOST_WAITED).unsigned_abs()) / 3 + READ_AGAIN;
        let until = Instant::now() + interval;
        while Instant::now() < until {
            sleep(READ_AGAIN).await;
            match self.lease(namespace, name).await {
                Operator::Lease(lease) if lease.renewed > before.renewed => {
                    return Operator::Lease(OperatorLease { renewed: Some(Timestamp::now()), ..lease });
                }
                Operator::Lease(_) | Operator::Absent | Operator::Unknown => {}
            }
        }
        corrected
    }

    /// The time of the API server, by a header that each of its responses has.
    async fn time(&self) -> Option<Timestamp> {
        let request = Request { verb: "get", resource: "version", namespace: None, name: None };
        let get = http::Request::get("/version").body(Body::empty()).ok()?;
        let response = self.call(request, self.client.send(get)).await.ok()?;
        let date = response.headers().get(DATE)?.to_str().ok()?;
        Some(rfc2822::parse(date).ok()?.timestamp())
    }

    async fn lease(&self, namespace: &str, name: &str) -> Operator {
        let request = Request { verb: "get", resource: "leases", namespace: Some(namespace), name: Some(name) };
        let api: Api<Lease> = Api::namespaced(self.client.clone(), namespace);
        match self.call(request, api.get(name)).await {
            Ok(lease) => Operator::Lease(of_lease(lease)),
            Err(failure) if failure.cause == Cause::NotFound => Operator::Absent,
            Err(_) => Operator::Unknown,
        }
    }
}

/// The latest of these events, the newest first, without those of a deleted resource with the same name.
fn latest(events: Vec<Event>, uid: Option<&str>) -> Vec<ResourceEvent> {
    let is_of = |event: &Event| {
        let involved = event.involved_object.uid.as_deref().filter(|uid| !uid.is_empty());
        involved.is_none() || uid.is_none() || involved == uid
    };
    let mut found: Vec<ResourceEvent> = events.into_iter().filter(is_of).filter_map(of_event).collect();
    found.sort_by_key(|event| Reverse(event.time));
    found.truncate(MOST_EVENTS);
    found
}

fn of_event(event: Event) -> Option<ResourceEvent> {
    let last = event.series.and_then(|series| series.last_observed_time).map(|time| time.0);
    let time = last.or(event.event_time.map(|time| time.0)).or(event.last_timestamp.map(|time| time.0));
    Some(ResourceEvent {
        time: time.or(event.metadata.creation_timestamp.map(|time| time.0))?,
        is_warning: event.type_.as_deref() == Some("Warning"),
        reason: event.reason.unwrap_or_default(),
        note: event.message.unwrap_or_default(),
    })
}

fn of_lease(lease: Lease) -> OperatorLease {
    let spec = lease.spec.unwrap_or_default();
    OperatorLease {
        holder: spec.holder_identity.filter(|holder| !holder.is_empty()),
        renewed: spec.renew_time.map(|time| time.0),
        duration: spec.lease_duration_seconds.map_or(DEFAULT_DURATION, i64::from),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use serde_json::json;

    use super::*;
    use crate::fixture::{at, connection, connection_at};

    fn event(second: u32, uid: &str, reason: &str) -> Event {
        serde_json::from_value(json!({
            "metadata": {"name": reason}, "eventTime": format!("2026-11-29T21:00:{second:02}.000000Z"), "type": "Warning",
            "reason": reason, "message": "n", "involvedObject": {"uid": uid},
        }))
        .unwrap()
    }

    #[test]
    fn latest_events_are_of_the_same_resource() {
        let mut events: Vec<Event> = (0..7).map(|second| event(second, "u", &format!("r{second}"))).collect();
        events.push(event(30, "deleted", "old"));
        let mut repeated = event(0, "", "repeated");
        repeated.series = serde_json::from_value(json!({"count": 2, "lastObservedTime": "2026-11-29T21:00:40.000000Z"})).unwrap();
        events.push(repeated);
        let found: Vec<String> = latest(events, Some("u")).into_iter().map(|event| event.reason).collect();
        assert_eq!(found, ["repeated", "r6", "r5", "r4", "r3"]);
    }

    #[tokio::test(start_paused = true)]
    async fn lease_that_is_renewed_is_not_too_old() {
        for (renews, expected) in [(true, "Running"), (false, "Silent")] {
            let reads = AtomicU32::new(0);
            let connection = connection(move |_| {
                let second = if renews { reads.fetch_add(1, Ordering::Relaxed) * 2 } else { 0 };
                let renewed = format!("2020-01-01T00:00:{second:02}.000000Z");
                let spec = json!({"holderIdentity": "pod_1", "renewTime": renewed, "leaseDurationSeconds": 15});
                (200, json!({"metadata": {"name": "tabular-operator"}, "spec": spec}))
            });
            let liveness = connection.operator("tabular-system", "tabular-operator").await.liveness(Timestamp::now());
            assert!(format!("{liveness:?}").starts_with(expected), "{liveness:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn age_of_lease_is_by_the_clock_of_the_api_server() {
        // The clock of the user is ahead in the first two, and behind in the others.
        for (year, date, expected) in [
            (2020, "Wed, 01 Jan 2020 00:20:00 GMT", Liveness::Running("pod_1".to_owned(), 1200)),
            (2020, "Wed, 01 Jan 2020 02:00:00 GMT", Liveness::Silent("pod_1".to_owned(), 7200)),
            (2999, "Tue, 01 Jan 2999 00:20:00 GMT", Liveness::Running("pod_1".to_owned(), 1200)),
            (2999, "Tue, 01 Jan 2999 02:00:00 GMT", Liveness::Silent("pod_1".to_owned(), 7200)),
        ] {
            let connection = connection_at(date, move |_| {
                let renewed = format!("{year}-01-01T00:00:00.000000Z");
                let spec = json!({"holderIdentity": "pod_1", "renewTime": renewed, "leaseDurationSeconds": 3600});
                (200, json!({"metadata": {"name": "tabular-operator"}, "spec": spec}))
            });
            assert_eq!(connection.operator("tabular-system", "tabular-operator").await.liveness(Timestamp::now()), expected);
        }
    }

    #[test]
    fn lease_shows_whether_the_operator_runs() {
        let lease = |spec| Operator::Lease(of_lease(serde_json::from_value(json!({"metadata": {}, "spec": spec})).unwrap()));
        let held = lease(json!({"holderIdentity": "pod_1", "renewTime": "2026-11-29T21:09:08.000000Z", "leaseDurationSeconds": 15}));
        let holder = || "pod_1".to_owned();
        let rows = [
            (held.clone(), "2026-11-29T21:09:12Z", Liveness::Running(holder(), 4)),
            (held.clone(), "2026-11-29T21:09:00Z", Liveness::Running(holder(), 0)),
            (held.clone(), "2026-11-29T21:09:53Z", Liveness::Running(holder(), 45)),
            (held, "2026-11-29T21:09:54Z", Liveness::Silent(holder(), 46)),
            (lease(json!({"holderIdentity": "", "renewTime": "2026-11-29T21:09:08.000000Z"})), "2026-11-29T21:09:12Z", Liveness::Released),
            (lease(json!({"holderIdentity": "pod_1"})), "2026-11-29T21:09:12Z", Liveness::Released),
            (Operator::Absent, "2026-11-29T21:09:12Z", Liveness::Absent),
            (Operator::Unknown, "2026-11-29T21:09:12Z", Liveness::Unknown),
        ];
        for (operator, now, expected) in rows {
            assert_eq!(operator.liveness(at(now)), expected, "{operator:?}");
        }
    }
}
