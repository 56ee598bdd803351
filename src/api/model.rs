//! The model of a resource: an Analysis Services database or a Power BI semantic model.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The tabular model. Set exactly one of `analysisServices` and `powerBI`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.analysisServices) != has(self.powerBI)")
    .message("set exactly one of analysisServices (an Azure Analysis Services database) and powerBI (a Power BI semantic model)"))]
pub struct Model {
    /// A database on an Azure Analysis Services server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub analysis_services: Option<AnalysisServicesModel>,
    /// A Power BI semantic model (dataset), identified by its ids or by its names.
    #[serde(default, rename = "powerBI", skip_serializing_if = "Option::is_none")]
    pub power_bi: Option<PowerBiModel>,
}

/// A database on an Azure Analysis Services server.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct AnalysisServicesModel {
    /// The server as the Azure portal shows it: `asazure://<region>.asazure.windows.net/<server>`, without `:rw`. Its host must belong to
    /// the cloud that the operator is configured for.
    #[schemars(length(max = 200))]
    #[x_kube(validation = Rule::new("!self.endsWith(':rw')")
        .message("server: must not end with :rw; the operator adds it where required"))]
    #[x_kube(validation = Rule::new("self.matches('^asazure://[a-z0-9-]+([.][a-z0-9-]+)+/[A-Za-z0-9-]+(:rw)?$')")
        .message("server: must have the form that the Azure portal shows, such as asazure://westus.asazure.windows.net/myserver"))]
    pub server: String,
    /// Name of the database on the server.
    #[schemars(length(min = 1, max = 256))]
    #[x_kube(validation = Rule::new("!self.matches('[[:cntrl:]/\\\\\\\\?#%]') && self == self.trim()")
        .message("database: must be the name of the database on the server, without slashes, ?, #, %, control characters or surrounding blanks"))]
    pub database: String,
}

/// A Power BI semantic model. Set `groupId` and `datasetId`, or `workspace` and `dataset`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.groupId) == has(self.datasetId) && has(self.workspace) == has(self.dataset) \
    && has(self.groupId) != has(self.workspace)")
    .message("set exactly one of the pairs groupId and datasetId, or workspace and dataset"))]
pub struct PowerBiModel {
    /// Id of the workspace, a GUID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self.matches('^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$')")
        .message("groupId: must be a GUID, such as f089354e-8366-4e18-aea3-4cb4a3a50b48; the URL of the workspace contains it after /groups/"))]
    #[schemars(length(max = 64))]
    pub group_id: Option<String>,
    /// Id of the semantic model, a GUID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self.matches('^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$')")
        .message("datasetId: must be a GUID, such as cfafbeb1-8037-4d0c-896e-a46fb27ff229; the URL of the model contains it after /datasets/"))]
    #[schemars(length(max = 64))]
    pub dataset_id: Option<String>,
    /// Name of the workspace, if the ids are not known. At the start of each run, the operator resolves both names to ids, and uses these
    /// ids until the run ends. The identity must have access to the workspace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    #[x_kube(validation = Rule::new("!self.matches('[[:cntrl:]]') && self == self.trim()")
        .message("workspace: must be the name of the workspace as Power BI shows it, without control characters or surrounding blanks"))]
    pub workspace: Option<String>,
    /// Name of the semantic model in that workspace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    #[x_kube(validation = Rule::new("!self.matches('[[:cntrl:]]') && self == self.trim()")
        .message("dataset: must be the name of the semantic model as Power BI shows it, without control characters or surrounding blanks"))]
    pub dataset: Option<String>,
}

/// A model, by its service.
#[derive(Clone, Copy, Debug)]
pub enum ServiceModel<'a> {
    /// A database of Analysis Services.
    AnalysisServices(&'a AnalysisServicesModel),
    /// A semantic model of Power BI.
    PowerBi(&'a PowerBiModel),
}

impl Model {
    /// The model by its service; `None` if no model is set. This is the case if a dependent takes the model of an upstream refresh that
    /// does not exist.
    #[must_use]
    pub fn at_service(&self) -> Option<ServiceModel<'_>> {
        // Destructured completely, so that a new service does not compile until it is handled here.
        let Self { analysis_services, power_bi } = self;
        let analysis_services = analysis_services.as_ref().map(ServiceModel::AnalysisServices);
        analysis_services.or_else(|| power_bi.as_ref().map(ServiceModel::PowerBi))
    }

    /// A short name for messages: `myserver/AdventureWorks`, or the workspace and the dataset.
    #[must_use]
    pub fn display(&self) -> String {
        match self.at_service() {
            Some(ServiceModel::AnalysisServices(model)) => {
                let server = model.server.rsplit('/').next().unwrap_or(&model.server);
                format!("{server}/{}", model.database)
            }
            Some(ServiceModel::PowerBi(model)) => {
                let group = model.workspace.as_deref().or(model.group_id.as_deref()).unwrap_or("?");
                let dataset = model.dataset.as_deref().or(model.dataset_id.as_deref()).unwrap_or("?");
                format!("{group}/{dataset}")
            }
            None => String::new(),
        }
    }

    /// Whether no model is set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.at_service().is_none()
    }

    /// The names that the operator must resolve before any other request about the model. `None` if the ids are given.
    #[must_use]
    pub fn names(&self) -> Option<ModelNames> {
        match self.at_service()? {
            ServiceModel::AnalysisServices(_) => None,
            ServiceModel::PowerBi(model) => Some(ModelNames { workspace: model.workspace.clone()?, dataset: model.dataset.clone()? }),
        }
    }

    /// The Power BI semantic model with these ids.
    #[must_use]
    pub fn by_ids(group_id: String, dataset_id: String) -> Self {
        let model = PowerBiModel { group_id: Some(group_id), dataset_id: Some(dataset_id), workspace: None, dataset: None };
        Self { analysis_services: None, power_bi: Some(model) }
    }

    /// The key of the model in the queue. It is lower case, because the services ignore case. It is meaningful only if the ids are known:
    /// the same model has different keys by its names and by its ids.
    #[must_use]
    pub fn key(&self) -> String {
        match self.at_service() {
            Some(ServiceModel::AnalysisServices(model)) => format!("{}/{}", model.server, model.database).to_lowercase(),
            Some(ServiceModel::PowerBi(_)) => format!("powerbi://{}", self.display()).to_lowercase(),
            None => String::new(),
        }
    }
}

/// The names of a Power BI semantic model.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ModelNames {
    /// Name of the workspace.
    #[schemars(length(max = 256))]
    pub workspace: String,
    /// Name of the semantic model.
    #[schemars(length(max = 256))]
    pub dataset: String,
}
