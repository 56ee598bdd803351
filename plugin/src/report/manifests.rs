//! The report of `validate`.

use schemars::JsonSchema;
use serde::Serialize;

use crate::manifests::Finding;
use crate::output::shown;

/// The manifests of our kinds, in the order of the files.
#[derive(Debug, Default, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ManifestsReport {
    /// The manifests.
    pub manifests: Vec<ManifestReport>,
    /// The number of resources of other kinds, which were not checked.
    pub skipped: usize,
}

/// A manifest.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ManifestReport {
    /// The file; `-` for standard input.
    pub file: String,
    /// The number of the YAML document, from 1.
    pub document: usize,
    /// The number of the item, from 1, if the document is a list of resources.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub item: Option<usize>,
    /// `ModelRefresh` or `ModelSync`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The namespace, if the manifest names one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Whether it has no fault.
    pub valid: bool,
    /// Its faults.
    pub findings: Vec<FindingReport>,
}

/// A fault.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FindingReport {
    /// The path of the field, such as `spec.trigger.schedule`; empty for the whole manifest.
    pub field: String,
    /// What is wrong, and the remedy.
    pub message: String,
}

impl ManifestsReport {
    /// The number of manifests with a fault.
    #[must_use]
    pub fn invalid(&self) -> usize {
        self.manifests.iter().filter(|manifest| !manifest.valid).count()
    }

    /// A line for each fault, as `FILE:document N: FIELD: MESSAGE`.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        self.manifests.iter().flat_map(|manifest| {
            let item = manifest.item.map(|item| format!(" item {item}")).unwrap_or_default();
            let place = shown(&format!("{}:document {}{item}", manifest.file, manifest.document));
            manifest.findings.iter().map(move |fault| format!("{place}: {}", Finding::new(&fault.field, &fault.message)))
        })
    }

    /// The counts, in one line.
    #[must_use]
    pub fn summary(&self) -> String {
        let invalid = self.invalid();
        let skipped = if self.skipped == 0 { String::new() } else { format!(", {} of other kinds skipped", self.skipped) };
        format!("{} valid, {invalid} invalid{skipped}", self.manifests.len() - invalid)
    }
}
