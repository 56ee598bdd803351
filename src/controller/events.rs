//! Events: one for each transition, written in the background. A lost event never hinders a run.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client, Resource as _};
use tokio::sync::mpsc;

use super::call::bounded;
use super::records::CALL;
use super::resource::Resource;
use crate::engine::Notice;
use crate::telemetry::labels::{Kind, Write, WriteResult};
use crate::telemetry::metrics::Metrics;

/// How many events may wait to be written; beyond it they are dropped, and that is logged.
const BACKLOG: usize = 4096;
/// The longest note that the Kubernetes API takes, in bytes.
const NOTE: usize = 1024;
/// Who reports.
const CONTROLLER: &str = "tabular-operator.dev/controller";

/// How many events are written at the same time.
const WRITERS: usize = 4;

/// One event that waits to be written.
struct Waiting {
    kind: Kind,
    namespace: String,
    name: String,
    uid: Option<String>,
    resource_version: Option<String>,
    notice: Notice,
    time: Timestamp,
}

/// Where events are handed in.
#[derive(Clone)]
pub(super) struct Events {
    backlog: mpsc::Sender<Waiting>,
    metrics: Arc<Metrics>,
}

impl Events {
    /// Starts the writer. It ends when every handle is dropped and the backlog is written.
    pub(super) fn start(client: Client, metrics: Arc<Metrics>) -> (Self, tokio::task::JoinHandle<()>) {
        let (backlog, waiting) = mpsc::channel::<Waiting>(BACKLOG);
        let instance = std::env::var("HOSTNAME").ok().filter(|name| !name.is_empty()).unwrap_or_else(|| "tabular-operator".to_owned());
        let waiting = futures::stream::unfold(waiting, |mut waiting| async move { waiting.recv().await.map(|next| (next, waiting)) });
        let counted = Arc::clone(&metrics);
        let writer = tokio::spawn(waiting.for_each_concurrent(WRITERS, move |next| {
            let (client, metrics, instance) = (client.clone(), Arc::clone(&metrics), instance.clone());
            async move {
                let events: Api<Event> = Api::namespaced(client, &next.namespace);
                let written = bounded(CALL, events.create(&PostParams::default(), &next.event(instance))).await;
                metrics.wrote(Write::Event, if written.is_ok() { WriteResult::Success } else { WriteResult::Error });
                if let Err(error) = written {
                    // An ending namespace takes no more events, and that is in order.
                    tracing::debug!(%error, "failed to write an event");
                }
            }
        }));
        (Self { backlog, metrics: counted }, writer)
    }

    /// Hands in one event about the resource of this kind with this metadata.
    pub(super) fn publish(&self, kind: Kind, object: &ObjectMeta, notice: &Notice) {
        let waiting = Waiting {
            kind,
            namespace: object.namespace.clone().unwrap_or_default(),
            name: object.name.clone().unwrap_or_default(),
            uid: object.uid.clone(),
            resource_version: object.resource_version.clone(),
            notice: notice.clone(),
            time: Timestamp::now(),
        };
        if self.backlog.try_send(waiting).is_err() {
            self.metrics.wrote(Write::Event, WriteResult::Error);
            tracing::warn!(reason = notice.reason.as_str(), "an event was dropped: too many wait to be written");
        }
    }

    /// Gives the backlog a moment to be written before the process ends.
    pub(super) async fn finish(self, writer: tokio::task::JoinHandle<()>) {
        drop(self.backlog);
        let _ = tokio::time::timeout(Duration::from_secs(2), writer).await;
    }
}

impl Waiting {
    fn event(self, instance: String) -> Event {
        let Self { kind, namespace, name, uid, resource_version, notice, time } = self;
        Event {
            action: Some("Reconcile".to_owned()),
            event_time: Some(MicroTime(time)),
            metadata: ObjectMeta {
                // A name of its own for each: a library that merges repeats keeps the note of the first.
                name: Some(format!("{}.{:x}", name.chars().take(200).collect::<String>(), time.as_nanosecond())),
                namespace: Some(namespace.clone()),
                ..ObjectMeta::default()
            },
            note: Some(cut(&notice.message)),
            reason: Some(notice.reason.as_str().to_owned()),
            regarding: Some(ObjectReference {
                api_version: Some(Resource::api_version(&kind).into_owned()),
                kind: Some(kind.as_str().to_owned()),
                namespace: Some(namespace),
                name: Some(name),
                uid,
                resource_version,
                field_path: None,
            }),
            reporting_controller: Some(CONTROLLER.to_owned()),
            reporting_instance: Some(instance),
            type_: Some(if notice.reason.warns() == Some(true) { "Warning" } else { "Normal" }.to_owned()),
            ..Event::default()
        }
    }
}

fn cut(text: &str) -> String {
    let end = (0..=text.len().min(NOTE)).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    text[..end].to_owned()
}
