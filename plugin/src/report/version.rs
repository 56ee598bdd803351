//! The report of `version`.

use schemars::JsonSchema;
use serde::Serialize;

/// The version of the plugin, and what the cluster serves.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VersionReport {
    /// The version of the plugin.
    pub plugin: String,
    /// The version of the API that the plugin uses.
    pub api_version: String,
    /// The versions that the cluster serves; absent with `--client`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub served: Option<Vec<String>>,
    /// The definitions of the kinds; absent with `--client`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub definitions: Option<Vec<DefinitionReport>>,
}

/// The definition of a kind, in this plugin and in the cluster.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DefinitionReport {
    /// Its name, such as `modelrefreshes.tabular-operator.dev`.
    pub name: String,
    /// The digest of the definition in this plugin.
    pub plugin_digest: String,
    /// The digest of the definition in the cluster; absent if it cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster_digest: Option<String>,
    /// Why it cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}
