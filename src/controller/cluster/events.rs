//! Events: one for each transition, written in the background. They never delay a run, and namespaces share the writers fairly.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client, Resource as _};
use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::resource_api::REQUEST_TIMEOUT;
use super::timeout::with_timeout;
use crate::api::{Kind, ModelResource, ResourceKey};
use crate::engine;
use crate::fair_semaphore::FairSemaphore;
use crate::telemetry::labels::{Write, WriteResult};
use crate::telemetry::metrics::Metrics;
use crate::text::plain;

/// The maximum number of events waiting to be written. Further events are dropped and logged.
const MAX_BACKLOG: usize = 4096;
/// The maximum number of waiting events of one namespace.
const MAX_NAMESPACE_BACKLOG: usize = 1024;
/// The longest note that the Kubernetes API accepts, in bytes.
const MAX_NOTE_BYTES: usize = 1024;
/// The longest `reportingInstance` that the Kubernetes API accepts, in bytes.
const MAX_INSTANCE_BYTES: usize = 128;
/// The maximum length of the resource's name within an event's name. With the time, it fits into the 253 characters of a name. It must
/// not end with `-` or `.`, because a DNS label would then start or end with `-`, or be empty.
const MAX_NAME_BYTES: usize = 200;
/// The namespace of events about objects without a namespace.
const CLUSTER_NAMESPACE: &str = "default";
/// The `reportingController` of the events.
const CONTROLLER: &str = "tabular-operator.dev/controller";

/// The number of events written concurrently, of which at most six belong to one namespace.
const WRITERS: usize = 8;

/// The object of an event.
#[derive(Clone, Copy)]
enum Regarding {
    /// A resource. The event is in its namespace.
    Resource(Kind),
    /// A namespace that is being deleted and accepts no more events. The event is in `default`.
    Namespace,
}

/// An event that waits to be written.
struct PendingEvent {
    regarding: Regarding,
    /// The namespace of the event.
    namespace: String,
    name: String,
    uid: Option<String>,
    resource_version: Option<String>,
    event: engine::Event,
    time: Timestamp,
}

/// The queue of events to write.
#[derive(Clone)]
pub(crate) struct Events {
    backlog: mpsc::UnboundedSender<PendingEvent>,
    /// The number of events of each namespace that are waiting or being written.
    waiting: Arc<Mutex<HashMap<String, usize>>>,
    /// Whether the operator has permissions in [`CLUSTER_NAMESPACE`].
    reports_namespaces: bool,
    metrics: Arc<Metrics>,
}

impl Events {
    /// Starts the writer. It ends when all handles are dropped and the backlog is written. The operator has permissions only in the
    /// namespaces that it watches; if there are none, in all.
    pub(crate) fn start(client: Client, metrics: Arc<Metrics>, watch_namespaces: &[String]) -> (Self, tokio::task::JoinHandle<()>) {
        let reports_namespaces = watch_namespaces.is_empty() || watch_namespaces.iter().any(|watched| watched == CLUSTER_NAMESPACE);
        // The counts bound the channel.
        let (backlog, waiting) = mpsc::unbounded_channel::<PendingEvent>();
        let (counts, writers) = (Arc::<Mutex<HashMap<String, usize>>>::default(), FairSemaphore::new(WRITERS));
        let handle = Self { backlog, waiting: Arc::clone(&counts), reports_namespaces, metrics: Arc::clone(&metrics) };
        let instance = std::env::var("HOSTNAME").ok().filter(|name| !name.is_empty()).unwrap_or_else(|| "tabular-operator".to_owned());
        let waiting = futures::stream::unfold(waiting, |mut waiting| async move { waiting.recv().await.map(|next| (next, waiting)) });
        let writer = tokio::spawn(waiting.for_each_concurrent(None, move |next| {
            let (client, metrics, instance) = (client.clone(), Arc::clone(&metrics), instance.clone());
            let (counts, writers) = (Arc::clone(&counts), writers.clone());
            async move {
                let _permit = writers.acquire(&next.namespace).await;
                let (namespace, name, event) = (next.namespace.clone(), next.name.clone(), next.event.reason.as_str());
                let events: Api<Event> = Api::namespaced(client, &namespace);
                let written = with_timeout(REQUEST_TIMEOUT, events.create(&PostParams::default(), &next.event(&instance))).await;
                let result = match &written {
                    Ok(_) => WriteResult::Success,
                    // The namespace accepts no more events, which is expected.
                    Err(error) if error.is_namespace_terminating() => WriteResult::Conflict,
                    Err(error) if error.denial().is_some() => WriteResult::Refused,
                    Err(_) => WriteResult::Error,
                };
                metrics.wrote(Write::Event, result);
                decrement(&mut counts.lock(), &namespace);
                match written {
                    Err(error) if result == WriteResult::Refused => {
                        tracing::warn!(namespace, name, event, %error, "the Kubernetes API refused an event");
                    }
                    Err(error) => tracing::debug!(namespace, name, event, %error, "failed to write an event"),
                    Ok(_) => {}
                }
            }
        }));
        (handle, writer)
    }

    /// Queues an event about a resource.
    pub(crate) fn publish(&self, kind: Kind, object: &ObjectMeta, event: &engine::Event) {
        self.enqueue(PendingEvent {
            regarding: Regarding::Resource(kind),
            namespace: object.namespace.clone().unwrap_or_default(),
            name: object.name.clone().unwrap_or_default(),
            uid: object.uid.clone(),
            resource_version: object.resource_version.clone(),
            event: event.clone(),
            time: Timestamp::now(),
        });
    }

    /// Queues an event about the namespace of a resource. The namespace is being deleted. Without permission for the event, only the log
    /// has its message.
    pub(crate) fn publish_of_namespace(&self, resource: &ResourceKey, event: &engine::Event) {
        let ResourceKey { kind, namespace, name } = resource;
        if !self.reports_namespaces {
            tracing::warn!(kind = kind.as_str(), namespace, name, "{}", event.message);
            return;
        }
        self.enqueue(PendingEvent {
            regarding: Regarding::Namespace,
            namespace: CLUSTER_NAMESPACE.to_owned(),
            name: namespace.clone(),
            uid: None,
            resource_version: None,
            event: engine::Event { reason: event.reason, message: format!("{} {name}: {}", kind.as_str(), event.message) },
            time: Timestamp::now(),
        });
    }

    fn enqueue(&self, waiting: PendingEvent) {
        let (reason, namespace) = (waiting.event.reason, waiting.namespace.clone());
        if !admits(&mut self.waiting.lock(), &namespace) || self.backlog.send(waiting).is_err() {
            self.metrics.wrote(Write::Event, WriteResult::Error);
            tracing::warn!(namespace, reason = reason.as_str(), "dropped an event; too many events are waiting to be written");
        }
    }

    /// Number of events that wait to be written or are being written.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.lock().values().sum()
    }

    /// Waits a limited time for the backlog to be written before the process exits.
    pub(crate) async fn finish(self, writer: tokio::task::JoinHandle<()>) {
        drop(self.backlog);
        let _ = tokio::time::timeout(Duration::from_secs(2), writer).await;
    }
}

impl PendingEvent {
    fn event(self, instance: &str) -> Event {
        let Self { regarding, namespace, name, uid, resource_version, event, time } = self;
        let (api_version, kind, of) = match regarding {
            Regarding::Resource(kind) => (ModelResource::api_version(&kind).into_owned(), kind.as_str(), Some(namespace.clone())),
            Regarding::Namespace => ("v1".to_owned(), "Namespace", None),
        };
        Event {
            action: Some("Reconcile".to_owned()),
            event_time: Some(MicroTime(time)),
            metadata: ObjectMeta {
                // Each event has its own name: a library that merges repeated events keeps the note of the first.
                name: Some(format!("{}.{:x}", truncate(&name, MAX_NAME_BYTES).trim_end_matches(['-', '.']), time.as_nanosecond())),
                namespace: Some(namespace),
                ..ObjectMeta::default()
            },
            note: Some(truncate(&plain(&event.message), MAX_NOTE_BYTES).to_owned()),
            reason: Some(event.reason.as_str().to_owned()),
            regarding: Some(ObjectReference {
                api_version: Some(api_version),
                kind: Some(kind.to_owned()),
                namespace: of,
                name: Some(name),
                uid,
                resource_version,
                field_path: None,
            }),
            reporting_controller: Some(CONTROLLER.to_owned()),
            reporting_instance: Some(truncate(instance, MAX_INSTANCE_BYTES).to_owned()),
            type_: Some(if event.reason.warns() == Some(true) { "Warning" } else { "Normal" }.to_owned()),
            ..Event::default()
        }
    }
}

/// Counts an event of a namespace if it is within the limits.
fn admits(counts: &mut HashMap<String, usize>, namespace: &str) -> bool {
    let of_namespace = counts.get(namespace).copied().unwrap_or_default();
    let admitted = of_namespace < MAX_NAMESPACE_BACKLOG && counts.values().sum::<usize>() < MAX_BACKLOG;
    if admitted {
        counts.insert(namespace.to_owned(), of_namespace + 1);
    }
    admitted
}

/// Decrements the count of a namespace.
fn decrement(counts: &mut HashMap<String, usize>, namespace: &str) {
    match counts.get_mut(namespace) {
        Some(count) if *count > 1 => *count -= 1,
        Some(_) => drop(counts.remove(namespace)),
        None => {}
    }
}

fn truncate(text: &str, limit: usize) -> &str {
    &text[..text.floor_char_boundary(limit)]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::api::Reason;

    fn event(name: &str, time: Timestamp, instance: &str) -> Event {
        let event = engine::Event { reason: Reason::Running, message: "m\u{202e}".repeat(2000) };
        let waiting = PendingEvent {
            regarding: Regarding::Resource(Kind::ModelRefresh),
            namespace: "bi".to_owned(),
            name: name.to_owned(),
            uid: None,
            resource_version: None,
            event,
            time,
        };
        waiting.event(instance)
    }

    /// Validates the name of an object like the API server: labels of `[a-z0-9-]`, joined by dots.
    fn is_valid_name(name: &str) -> bool {
        let edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let is_label = |label: &str| label.starts_with(edge) && label.ends_with(edge) && label.chars().all(|c| edge(c) || c == '-');
        name.len() <= 253 && name.split('.').all(is_label)
    }

    proptest! {
        #[test]
        fn event_name_is_valid_for_any_resource_name(
            head in "[a-z0-9]([-.a-z0-9]{0,3}[a-z0-9])?", middle in "[-.]{0,3}", at in 190_usize..=201, tail in "[a-z0-9]{1,50}",
            seconds in 0_i64..=253_402_207_200, instance in ".{0,300}",
        ) {
            let name = format!("{}{middle}{tail}", head.repeat(at)[..at].to_owned());
            let event = event(&name, Timestamp::from_second(seconds).unwrap(), &instance);
            let called = event.metadata.name.unwrap();
            prop_assert!(is_valid_name(&called) || !is_valid_name(&name), "{called}");
            prop_assert!(event.reporting_instance.unwrap().len() <= 128);
            prop_assert_eq!(event.note.unwrap(), "m".repeat(MAX_NOTE_BYTES));
        }
    }

    #[test]
    fn namespace_with_many_events_does_not_block_others() {
        let mut counts = HashMap::new();
        let admitted = (0..2 * MAX_BACKLOG).filter(|_| admits(&mut counts, "loud")).count();
        assert_eq!(admitted, MAX_NAMESPACE_BACKLOG);
        assert!(admits(&mut counts, "quiet"));
        decrement(&mut counts, "loud");
        assert!(admits(&mut counts, "loud") && !admits(&mut counts, "loud"));
        decrement(&mut counts, "quiet");
        assert_eq!(counts.len(), 1);
    }

    #[test]
    fn event_name_is_cut_before_invalid_last_character() {
        for cut in ["-", ".", "--", "-x.", "x-"] {
            let name = format!("{}{cut}{}", "a".repeat(200 - cut.len()), "z".repeat(53));
            let called = event(&name, Timestamp::UNIX_EPOCH, "host").metadata.name.unwrap();
            assert!(is_valid_name(&called), "{called}");
        }
    }
}
