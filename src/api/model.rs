//! Which model is meant: an Analysis Services database or a Power BI semantic model.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The tabular model. Set exactly one of `analysisServices` and `powerBI`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.analysisServices) != has(self.powerBI)")
    .message("set exactly one of analysisServices (an Azure Analysis Services database) and powerBI (a semantic model)"))]
pub struct Model {
    /// A database on an Azure Analysis Services server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub analysis_services: Option<AnalysisServicesModel>,
    /// A Power BI semantic model (dataset), by its ids or by its names.
    #[serde(default, rename = "powerBI", skip_serializing_if = "Option::is_none")]
    pub power_bi: Option<PowerBiModel>,
}

/// A database on an Azure Analysis Services server.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct AnalysisServicesModel {
    /// The server as the Azure portal shows it: `asazure://<region>.asazure.windows.net/<server>`, without `:rw`.
    /// Its host must belong to the cloud that the operator is set to.
    #[schemars(length(max = 200))]
    #[x_kube(validation = Rule::new("!self.endsWith(':rw')")
        .message("leave out the suffix :rw: the operator adds it where the service wants it"))]
    #[x_kube(validation = Rule::new("self.matches('^asazure://[a-z0-9-]+([.][a-z0-9-]+)+/[A-Za-z0-9-]+(:rw)?$')")
        .message("write the server as the Azure portal shows it, such as asazure://westus.asazure.windows.net/myserver"))]
    pub server: String,
    /// The database, as its name stands on the server.
    #[schemars(length(min = 1, max = 256))]
    #[x_kube(validation = Rule::new("!self.matches('[[:cntrl:]/\\\\\\\\?#%]') && self == self.trim()")
        .message("write the database's name as it stands on the server, without slashes, ?, #, % or blanks around it"))]
    pub database: String,
}

/// A Power BI semantic model: `groupId` and `datasetId`, or `workspace` and `dataset`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.groupId) == has(self.datasetId) && has(self.workspace) == has(self.dataset) \
    && has(self.groupId) != has(self.workspace)")
    .message("name the model either by groupId and datasetId, or by workspace and dataset"))]
pub struct PowerBiModel {
    /// The workspace's id, a GUID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self.matches('^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$')")
        .message("groupId is a GUID, such as f089354e-8366-4e18-aea3-4cb4a3a50b48: it stands in the workspace's URL after /groups/"))]
    #[schemars(length(max = 64))]
    pub group_id: Option<String>,
    /// The semantic model's id, a GUID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self.matches('^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$')")
        .message("datasetId is a GUID, such as cfafbeb1-8037-4d0c-896e-a46fb27ff229: it stands in the model's URL after /datasets/"))]
    #[schemars(length(max = 64))]
    pub dataset_id: Option<String>,
    /// The workspace's name, where the ids are not known. Both names are looked up at the start of each run, and the ids that
    /// they stand for then serve that run to its end. The identity has to see the workspace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    #[x_kube(validation = Rule::new("!self.matches('[[:cntrl:]]') && self == self.trim()")
        .message("write the workspace's name as Power BI shows it, without blanks around it"))]
    pub workspace: Option<String>,
    /// The semantic model's name in that workspace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    #[x_kube(validation = Rule::new("!self.matches('[[:cntrl:]]') && self == self.trim()")
        .message("write the semantic model's name as Power BI shows it, without blanks around it"))]
    pub dataset: Option<String>,
}

impl Model {
    /// A short name for people: `myserver/AdventureWorks`, or the workspace and the dataset.
    #[must_use]
    pub fn display(&self) -> String {
        match (&self.analysis_services, &self.power_bi) {
            (Some(model), _) => {
                let server = model.server.rsplit('/').next().unwrap_or(&model.server);
                format!("{server}/{}", model.database)
            }
            (None, Some(model)) => {
                let group = model.workspace.as_deref().or(model.group_id.as_deref()).unwrap_or("?");
                let dataset = model.dataset.as_deref().or(model.dataset_id.as_deref()).unwrap_or("?");
                format!("{group}/{dataset}")
            }
            (None, None) => String::new(),
        }
    }

    /// Whether it names no model at all, as where a follower takes that of a refresh which is not there.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.analysis_services.is_none() && self.power_bi.is_none()
    }

    /// The names that have to be looked up before the service can be asked anything about the model.
    #[must_use]
    pub fn names(&self) -> Option<ModelNames> {
        let model = self.power_bi.as_ref().filter(|_| self.analysis_services.is_none())?;
        Some(ModelNames { workspace: model.workspace.clone()?, dataset: model.dataset.clone()? })
    }

    /// The Power BI semantic model with these ids.
    #[must_use]
    pub fn by_ids(group_id: String, dataset_id: String) -> Self {
        let model = PowerBiModel { group_id: Some(group_id), dataset_id: Some(dataset_id), workspace: None, dataset: None };
        Self { analysis_services: None, power_bi: Some(model) }
    }

    /// What makes two models one and the same to the queue: the services do not tell upper from lower case. It counts only
    /// where the ids are known: a model by names has another key than the same one by ids.
    #[must_use]
    pub fn key(&self) -> String {
        match (&self.analysis_services, &self.power_bi) {
            (Some(model), _) => format!("{}/{}", model.server, model.database).to_lowercase(),
            (None, Some(_)) => format!("powerbi://{}", self.display()).to_lowercase(),
            (None, None) => String::new(),
        }
    }
}

/// The names of a Power BI semantic model.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ModelNames {
    /// The workspace's.
    #[schemars(length(max = 256))]
    pub workspace: String,
    /// The semantic model's.
    #[schemars(length(max = 256))]
    pub dataset: String,
}
