//! The reports of `-o json` and `-o yaml`. Their schema is `plugin/report.schema.json`. Reports only gain fields: no field is removed, and
//! none changes its meaning.

mod command;
mod manifests;
mod requests;
mod resources;
mod version;
mod why;

pub use command::Report;
pub use manifests::{FindingReport, ManifestReport, ManifestsReport};
pub use requests::{RequestReport, RequestsReport};
pub use resources::{
    CheckReport, FreshnessReport, HistoryReport, ModelReport, QueueReport, ResourceReport, ResourcesReport, StatusReport, UsualReport,
};
pub use version::{DefinitionReport, VersionReport};
pub use why::{EventReport, OperatorReport, UnobservedReport, WhyReport};
