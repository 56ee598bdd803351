//! The report of a command, in one of the shapes of this module.

use schemars::JsonSchema;
use serde::Serialize;
use tabular_operator::api::Kind;

use super::{
    CheckReport, HistoryReport, ManifestsReport, QueueReport, RequestsReport, ResourceReport, ResourcesReport, StatusReport, VersionReport,
    WhyReport,
};
use crate::target::full_name;

/// What a command reports.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(tag = "report")]
pub enum Report {
    /// Of `get`.
    Resources(ResourcesReport),
    /// Of `status`.
    Status(Box<StatusReport>),
    /// Of `history`.
    History(HistoryReport),
    /// Of `queue`.
    Queue(QueueReport),
    /// Of `why`.
    Why(Box<WhyReport>),
    /// Of `run`, `cancel`, `suspend`, `resume`, `adopt`, `resubmit` and `release`.
    Requests(RequestsReport),
    /// Of `validate`.
    Manifests(ManifestsReport),
    /// Of `version`.
    Version(VersionReport),
    /// Of `check`.
    Check(CheckReport),
}

impl Report {
    /// The full names of its resources.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let name = |resource: &ResourceReport| lower(&resource.kind, &resource.name);
        match self {
            Self::Resources(report) => report.resources.iter().map(name).collect(),
            Self::Status(report) => vec![name(&report.resource)],
            Self::Why(report) => vec![name(&report.resource)],
            Self::History(report) => vec![lower(&report.kind, &report.name)],
            Self::Requests(report) => report.requests.iter().map(|request| lower(&request.kind, &request.name)).collect(),
            Self::Check(report) => vec![lower(&report.kind, &report.name)],
            Self::Queue(report) => report.models.iter().flat_map(|model| model.running.iter().chain(&model.waiting)).map(name).collect(),
            Self::Manifests(report) => {
                let invalid = report.manifests.iter().filter(|manifest| !manifest.valid);
                invalid.filter_map(|manifest| Some(lower(manifest.kind.as_ref()?, manifest.name.as_ref()?))).collect()
            }
            Self::Version(_) => Vec::new(),
        }
    }
}

fn lower(kind: &str, name: &str) -> String {
    let kind = Kind::ALL.iter().find(|known| known.as_str() == kind);
    kind.map(|kind| full_name(*kind, name)).unwrap_or_default()
}
