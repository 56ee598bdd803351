//! The per-resource metrics: the only ones whose labels hold names.
//!
//! The operator replaces all rows at once, so that no series of a deleted resource remains.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use jiff::Timestamp;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::encoding::text::encode_registry;
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};

use super::series::PREFIX;
use crate::api::{Kind, Time};
use crate::telemetry::labels::{LabelValue as _, ResourceStatus};
use crate::text::plain;

/// Maximum length of a model in a label, in bytes.
const MAX_MODEL_BYTES: usize = 128;
/// Number of resources in a page of the output, which takes at most 200 KiB. A client that reads slowly keeps a page in memory, not all.
const PAGE_ROWS: usize = 256;

/// What the metrics show of one resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceRow {
    /// Its kind.
    pub kind: Kind,
    /// Its namespace.
    pub namespace: Box<str>,
    /// Its name.
    pub name: Box<str>,
    /// A short name of its model, from [`shown_model`].
    pub model: Box<str>,
    /// The summary of its conditions.
    pub status: ResourceStatus,
    /// End of the latest successful run.
    pub last_success: Option<Time>,
    /// Duration of the latest successful run that is known, in seconds.
    pub last_duration: Option<i64>,
    /// Next time of its schedule.
    pub next_schedule: Option<Time>,
    /// The maximum age of its data, if it has one.
    pub target: Option<FreshnessTarget>,
    /// Start of the operation that is running.
    pub run_started: Option<Time>,
    /// How long its runs usually take, in seconds.
    pub usual_duration: Option<i64>,
}

impl ResourceRow {
    fn key(&self) -> (&str, &str, Kind) {
        (&self.namespace, &self.name, self.kind)
    }
}

/// The maximum age of the data of a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FreshnessTarget {
    /// The maximum age, in seconds.
    pub stale_after: i64,
    /// When the data becomes stale.
    pub stale_time: Time,
}

/// A model as a label shows it: in one plain line of at most 128 bytes.
#[must_use]
pub fn shown_model(model: &str) -> Box<str> {
    let plain = plain(model);
    if plain.len() <= MAX_MODEL_BYTES {
        return plain.into();
    }
    let kept = plain.floor_char_boundary(MAX_MODEL_BYTES - '…'.len_utf8());
    format!("{}…", &plain[..kept]).into()
}

/// The rows that the metrics show until the next ones replace them.
#[derive(Debug)]
pub struct ResourceTable {
    rows: Vec<Arc<ResourceRow>>,
    omitted: usize,
    collected: Timestamp,
}

impl ResourceTable {
    /// The first `count` of these rows by namespace and name, as of `now`. Of a resource that was deleted and created again, both may still
    /// be known: one of them counts, because a scrape must not have a series twice.
    #[must_use]
    pub fn first(count: usize, mut rows: Vec<Arc<ResourceRow>>, now: Timestamp) -> Self {
        rows.sort_unstable_by(|a, b| a.key().cmp(&b.key()));
        rows.dedup_by(|a, b| a.key() == b.key());
        let omitted = rows.len().saturating_sub(count);
        rows.truncate(count);
        rows.shrink_to_fit();
        Self { rows, omitted, collected: now }
    }

    /// The number of resources that have no row.
    pub(super) fn omitted(&self) -> usize {
        self.omitted
    }

    /// The metrics as `OpenMetrics` text, in pages.
    pub(super) fn pages(self: Arc<Self>) -> impl Iterator<Item = Result<String, fmt::Error>> + Send {
        let table = Arc::clone(&self);
        let used =
            RESOURCE_METRICS.iter().filter(move |metric| table.rows.iter().any(|row| (metric.sample)(row, table.collected).is_some()));
        used.flat_map(move |metric| {
            let (table, count) = (Arc::clone(&self), self.rows.len());
            let starts = (0..count).step_by(PAGE_ROWS);
            starts.map(move |start| Page { table: Arc::clone(&table), metric, rows: start..count.min(start + PAGE_ROWS) }.text())
        })
    }
}

/// The value of a metric for one resource.
enum Sample<'a> {
    /// 1, with the model as a label.
    Model(&'a str),
    /// 1, with the status as a label.
    Status(ResourceStatus),
    /// A number.
    Number(i64),
}

/// A metric that has a value for each resource.
#[derive(Debug)]
struct ResourceMetric {
    name: &'static str,
    help: &'static str,
    unit: Option<Unit>,
    metric_type: MetricType,
    /// Its value for a resource at the time at which the rows were collected; `None` if it has none.
    sample: for<'a> fn(&'a ResourceRow, Timestamp) -> Option<Sample<'a>>,
}

impl ResourceMetric {
    const fn gauge(
        name: &'static str,
        help: &'static str,
        unit: Option<Unit>,
        sample: for<'a> fn(&'a ResourceRow, Timestamp) -> Option<Sample<'a>>,
    ) -> Self {
        Self { name, help, unit, metric_type: MetricType::Gauge, sample }
    }
}

static RESOURCE_METRICS: [ResourceMetric; 9] = [
    ResourceMetric {
        name: "resource",
        help: "The model of a resource.",
        unit: None,
        metric_type: MetricType::Info,
        sample: |row, _| Some(Sample::Model(&row.model)),
    },
    ResourceMetric::gauge("resource_status", "1 for the summary of the conditions.", None, |row, _| Some(Sample::Status(row.status))),
    ResourceMetric::gauge("resource_last_success_timestamp", "End of the latest successful run.", Some(Unit::Seconds), |row, _| {
        time(row.last_success)
    }),
    ResourceMetric::gauge("resource_last_duration", "Duration of the latest successful run.", Some(Unit::Seconds), |row, _| {
        number(row.last_duration)
    }),
    ResourceMetric::gauge("resource_next_schedule_timestamp", "Next time of the schedule.", Some(Unit::Seconds), |row, _| {
        time(row.next_schedule)
    }),
    ResourceMetric::gauge("resource_stale_after", "Maximum age of the data.", Some(Unit::Seconds), |row, _| {
        number(row.target.map(|target| target.stale_after))
    }),
    ResourceMetric::gauge("resource_fresh", "1 while the data is younger than its maximum age.", None, |row, now| {
        number(row.target.map(|target| i64::from(now < target.stale_time.timestamp())))
    }),
    ResourceMetric::gauge("resource_run_started_timestamp", "Start of the operation that is running.", Some(Unit::Seconds), |row, _| {
        time(row.run_started)
    }),
    ResourceMetric::gauge("resource_usual_duration", "Median duration of the latest successful runs.", Some(Unit::Seconds), |row, _| {
        number(row.usual_duration)
    }),
];

fn number<'a>(value: Option<i64>) -> Option<Sample<'a>> {
    value.map(Sample::Number)
}

fn time<'a>(time: Option<Time>) -> Option<Sample<'a>> {
    time.map(|time| Sample::Number(time.timestamp().as_second()))
}

/// A part of the rows of one metric.
#[derive(Debug)]
struct Page {
    table: Arc<ResourceTable>,
    metric: &'static ResourceMetric,
    rows: Range<usize>,
}

impl Page {
    /// Its text. Only the first page of a metric describes it.
    fn text(self) -> Result<String, fmt::Error> {
        let is_first = self.rows.start == 0;
        let mut registry = Registry::with_prefix(PREFIX);
        registry.register_collector(Box::new(self));
        let mut text = String::new();
        encode_registry(&mut text, &registry)?;
        if !is_first {
            let described: usize = text.split_inclusive('\n').take_while(|line| line.starts_with('#')).map(str::len).sum();
            text.drain(..described);
        }
        Ok(text)
    }
}

impl Collector for Page {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let ResourceMetric { name, help, unit, metric_type, sample } = self.metric;
        let mut metric = encoder.encode_descriptor(name, help, unit.as_ref(), *metric_type)?;
        for row in self.table.rows.get(self.rows.clone()).unwrap_or_default() {
            // `exported_namespace`: Prometheus renames `namespace` to it, unless it honors the labels of metrics.
            let [kind, namespace, name] = [("kind", row.kind.as_str()), ("exported_namespace", &*row.namespace), ("name", &*row.name)];
            match sample(row, self.table.collected) {
                None => {}
                Some(Sample::Model(model)) => metric.encode_info(&[kind, namespace, name, ("model", model)])?,
                Some(Sample::Status(status)) => {
                    metric.encode_family(&[kind, namespace, name, ("status", status.label())])?.encode_gauge(&1_i64)?;
                }
                Some(Sample::Number(value)) => metric.encode_family(&[kind, namespace, name])?.encode_gauge(&value)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
impl ResourceRow {
    /// A resource that has every value, for tests.
    pub(crate) fn complete(namespace: &str, name: &str) -> Self {
        let time = |text: &str| text.parse().ok().map(|time: Timestamp| Time::from(time));
        Self {
            kind: Kind::ModelRefresh,
            namespace: namespace.into(),
            name: name.into(),
            model: "s/d".into(),
            status: ResourceStatus::Ready,
            last_success: time("2026-01-01T00:00:00Z"),
            last_duration: Some(61),
            next_schedule: time("2026-01-02T00:00:00Z"),
            target: time("2026-01-02T00:00:00Z").map(|stale_time| FreshnessTarget { stale_after: 86_400, stale_time }),
            run_started: time("2026-01-01T12:00:00Z"),
            usual_duration: Some(60),
        }
    }
}

#[cfg(test)]
mod tests;
