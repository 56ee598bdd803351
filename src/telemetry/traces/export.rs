//! The export of spans: OTLP over HTTP, from a separate thread with a bounded queue.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use opentelemetry_otlp::{Protocol, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{BatchConfigBuilder, BatchSpanProcessor, SpanData, SpanExporter, SpanProcessor as _};
use thiserror::Error;

use crate::telemetry::labels::ExportResult;
use crate::telemetry::metrics::Metrics;
use crate::tls;

/// Timeout for one batch.
const TIMEOUT: Duration = Duration::from_secs(10);
/// File with certificates to trust, from the specification of OTLP exporters.
const CERTIFICATE: &str = "OTEL_EXPORTER_OTLP_CERTIFICATE";
/// Default service name, unless `OTEL_SERVICE_NAME` is set.
const SERVICE: &str = "tabular-operator";

/// Error while setting up the export, as one sentence.
#[derive(Debug, Error)]
#[error("{0}")]
pub struct TraceError(String);

/// Default size of the queue, from the specification of OTLP exporters.
const QUEUE: usize = 2048;
/// Variable that overrides it, from the same specification.
const QUEUE_SIZE: &str = "OTEL_BSP_MAX_QUEUE_SIZE";

/// The queue, and the thread that sends it: at most 2048 spans, sent every 5 s or in batches of 512. If the queue is full, a span is lost.
/// The environment (`OTEL_BSP_…`) can override these numbers.
///
/// The processor does not report lost spans. `waiting` therefore counts the queue: it is never less than the number of queued spans.
#[derive(Debug)]
pub(super) struct SpanExport {
    processor: BatchSpanProcessor,
    capacity: usize,
    waiting: Arc<AtomicUsize>,
    metrics: Arc<Metrics>,
}

impl SpanExport {
    pub(super) fn start(endpoint: &str, metrics: Arc<Metrics>) -> Result<Self, TraceError> {
        let pem = match std::env::var_os(CERTIFICATE).filter(|path| !path.is_empty()) {
            None => None,
            Some(path) => {
                let unread = |error| TraceError(format!("failed to read {CERTIFICATE} {}: {error}", Path::new(&path).display()));
                Some(std::fs::read(&path).map_err(unread)?)
            }
        };
        let roots = tls::roots_to_add(pem.as_deref()).map_err(TraceError)?;
        let client = reqwest::blocking::Client::builder()
            .user_agent(concat!("tabular-operator/", env!("CARGO_PKG_VERSION")))
            .tls_certs_merge(roots)
            // The spans and their headers are for this host only.
            .redirect(reqwest::redirect::Policy::none())
            .timeout(TIMEOUT)
            .build()
            .map_err(|error| TraceError(format!("failed to set up the client for traces: {error}")))?;
        let exporter = opentelemetry_otlp::SpanExporter::builder()
            .with_http()
            .with_http_client(client)
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(endpoint)
            .with_timeout(TIMEOUT)
            .build()
            .map_err(|error| TraceError(format!("failed to set up the export of spans to {endpoint}: {error}")))?;
        let capacity = std::env::var(QUEUE_SIZE).ok().and_then(|capacity| capacity.parse().ok()).unwrap_or(QUEUE);
        let waiting = Arc::new(AtomicUsize::new(0));
        let failing = AtomicBool::new(false);
        let counting = CountingExporter { exporter, metrics: Arc::clone(&metrics), waiting: Arc::clone(&waiting), failing };
        let config = BatchConfigBuilder::default().with_max_queue_size(capacity).build();
        let mut processor = BatchSpanProcessor::builder(counting).with_batch_config(config).build();
        processor.set_resource(&resource());
        Ok(Self { processor, capacity, waiting, metrics })
    }

    pub(super) fn enqueue(&self, span: SpanData) {
        let slot = |waiting| (waiting < self.capacity).then_some(waiting + 1);
        if self.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, slot).is_ok() {
            self.processor.on_end(span);
        } else {
            self.metrics.spans_exported(ExportResult::Error, 1);
        }
    }

    pub(super) fn finish(&self, timeout: Duration) {
        if let Err(error) = self.processor.shutdown_with_timeout(timeout) {
            tracing::debug!(%error, "failed to send the last spans");
        }
    }
}

/// The identity of the sender: the environment (`OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES`), or else the operator and its pod.
fn resource() -> Resource {
    let named = std::env::var_os("OTEL_SERVICE_NAME").is_some();
    let builder = Resource::builder();
    let builder = if named { builder } else { builder.with_service_name(SERVICE) };
    let mut attributes = vec![opentelemetry::KeyValue::new("service.version", env!("CARGO_PKG_VERSION"))];
    let pod = std::env::var("HOSTNAME").ok().filter(|name| !name.is_empty());
    attributes.extend(pod.map(|pod| opentelemetry::KeyValue::new("service.instance.id", pod)));
    builder.with_attributes(attributes).build()
}

/// Counts sent and lost spans. Logs once when the collector becomes unavailable, and once when it is available again.
struct CountingExporter {
    exporter: opentelemetry_otlp::SpanExporter,
    metrics: Arc<Metrics>,
    waiting: Arc<AtomicUsize>,
    failing: AtomicBool,
}

impl SpanExporter for CountingExporter {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let count = batch.len();
        self.waiting.fetch_sub(count, Ordering::Relaxed);
        let sent = self.exporter.export(batch).await;
        let result = if sent.is_ok() { ExportResult::Success } else { ExportResult::Error };
        self.metrics.spans_exported(result, count);
        match (&sent, self.failing.swap(sent.is_err(), Ordering::Relaxed)) {
            (Err(error), false) => tracing::warn!(%error, "failed to send spans to the collector; the spans are lost"),
            (Ok(()), true) => tracing::info!("the collector accepts spans again"),
            (Err(_), true) | (Ok(()), false) => {}
        }
        sent
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

impl fmt::Debug for CountingExporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reporting").finish_non_exhaustive()
    }
}
