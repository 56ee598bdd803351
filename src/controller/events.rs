//! Events: one for each transition, written in the background. A lost event never hinders a run.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client, Resource};
use tokio::sync::mpsc;

use super::call::bounded;
use super::records::CALL;
use crate::api::ModelRefresh;
use crate::engine::Notice;
use crate::telemetry::labels::{Write, WriteResult};
use crate::telemetry::metrics::Metrics;

/// How many events may wait to be written; beyond it they are dropped, and that is logged.
const BACKLOG: usize = 4096;
/// The longest note that the Kubernetes API takes, in bytes.
const NOTE: usize = 1024;
/// Who reports.
const CONTROLLER: &str = "tabular-operator.dev/controller";

/// Where events are handed in.
#[derive(Clone)]
pub(super) struct Events {
    backlog: mpsc::Sender<(String, Event)>,
    instance: String,
}

impl Events {
    /// Starts the writer. It ends when every handle is dropped and the backlog is written.
    pub(super) fn start(client: Client, metrics: Arc<Metrics>) -> (Self, tokio::task::JoinHandle<()>) {
        let (backlog, mut waiting) = mpsc::channel::<(String, Event)>(BACKLOG);
        let writer = tokio::spawn(async move {
            while let Some((namespace, event)) = waiting.recv().await {
                let events: Api<Event> = Api::namespaced(client.clone(), &namespace);
                let written = bounded(CALL, events.create(&PostParams::default(), &event)).await;
                metrics.wrote(Write::Event, if written.is_ok() { WriteResult::Success } else { WriteResult::Error });
                if let Err(error) = written {
                    // An ending namespace takes no more events, and that is in order.
                    tracing::debug!(%error, namespace, "failed to write an event");
                }
            }
        });
        let instance = std::env::var("HOSTNAME").ok().filter(|name| !name.is_empty()).unwrap_or_else(|| "tabular-operator".to_owned());
        (Self { backlog, instance }, writer)
    }

    /// Hands in one event about the resource with this metadata.
    pub(super) fn publish(&self, object: &ObjectMeta, notice: &Notice) {
        let now = Timestamp::now();
        let namespace = object.namespace.clone().unwrap_or_default();
        let name = object.name.clone().unwrap_or_default();
        let event = Event {
            action: Some("Reconcile".to_owned()),
            event_time: Some(MicroTime(now)),
            metadata: ObjectMeta {
                // A name of its own for each: a library that merges repeats keeps the note of the first.
                name: Some(format!("{}.{:x}", name.chars().take(200).collect::<String>(), now.as_nanosecond())),
                namespace: Some(namespace.clone()),
                ..ObjectMeta::default()
            },
            note: Some(cut(&notice.message)),
            reason: Some(notice.reason.as_str().to_owned()),
            regarding: Some(ObjectReference {
                api_version: Some(ModelRefresh::api_version(&()).into_owned()),
                kind: Some(ModelRefresh::kind(&()).into_owned()),
                namespace: Some(namespace.clone()),
                name: Some(name),
                uid: object.uid.clone(),
                resource_version: object.resource_version.clone(),
                field_path: None,
            }),
            reporting_controller: Some(CONTROLLER.to_owned()),
            reporting_instance: Some(self.instance.clone()),
            type_: Some(if notice.warning { "Warning" } else { "Normal" }.to_owned()),
            ..Event::default()
        };
        if self.backlog.try_send((namespace, event)).is_err() {
            tracing::warn!(reason = notice.reason.as_str(), "an event was dropped: too many wait to be written");
        }
    }

    /// Gives the backlog a moment to be written before the process ends.
    pub(super) async fn finish(self, writer: tokio::task::JoinHandle<()>) {
        drop(self.backlog);
        let _ = tokio::time::timeout(Duration::from_secs(2), writer).await;
    }
}

fn cut(text: &str) -> String {
    let end = (0..=text.len().min(NOTE)).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    text[..end].to_owned()
}
