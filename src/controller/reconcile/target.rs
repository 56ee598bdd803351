//! The model that a resource names, in the types of the service clients.

use crate::api::{AnalysisServicesModel, Model, PowerBiModel, Reason, ServiceModel};
use crate::azure::analysis_services::{DatabaseName, ServerName};
use crate::azure::cloud::Cloud;
use crate::azure::identity::Identity;
use crate::azure::power_bi::ModelName;
use crate::azure::{Azure, ModelClient};

/// A model whose names are valid at its service.
pub(crate) enum ModelTarget {
    /// A database of Analysis Services.
    AnalysisServices(ServerName, DatabaseName),
    /// A semantic model of Power BI.
    PowerBi(ModelName),
}

impl ModelTarget {
    /// Parses the model that a resource names. Needs no request.
    ///
    /// # Errors
    /// The reason of a fault, and its message, which starts with the field below `spec`.
    pub(crate) fn of(model: &Model, cloud: &Cloud) -> Result<Self, (Reason, String)> {
        match model.at_service() {
            Some(ServiceModel::AnalysisServices(model)) => Self::of_analysis_services(model, cloud),
            Some(ServiceModel::PowerBi(model)) => Self::of_power_bi(model, cloud),
            None => Err((Reason::InvalidSpec, "model: set exactly one of analysisServices and powerBI".to_owned())),
        }
    }

    fn of_analysis_services(model: &AnalysisServicesModel, cloud: &Cloud) -> Result<Self, (Reason, String)> {
        let server = ServerName::parse(&model.server, cloud)
            .map_err(|message| (Reason::ServerNotInCloud, format!("model.analysisServices.server: {message}")))?;
        let database = DatabaseName::parse(&model.database)
            .map_err(|message| (Reason::InvalidSpec, format!("model.analysisServices.database: {message}")))?;
        Ok(Self::AnalysisServices(server, database))
    }

    fn of_power_bi(model: &PowerBiModel, cloud: &Cloud) -> Result<Self, (Reason, String)> {
        if cloud.power_bi.is_none() {
            let message = format!("model.powerBI: must not be set; the cloud of the operator, {}, has no Power BI", cloud.name);
            return Err((Reason::ServerNotInCloud, message));
        }
        let named = match (&model.group_id, &model.dataset_id, &model.workspace, &model.dataset) {
            (Some(group), Some(dataset), _, _) => ModelName::by_ids(group, dataset),
            (_, _, Some(workspace), Some(dataset)) => ModelName::by_names(workspace, dataset),
            _ => Err("set exactly one of the pairs groupId and datasetId, or workspace and dataset".to_owned()),
        };
        named.map(Self::PowerBi).map_err(|message| (Reason::InvalidSpec, format!("model.powerBI: {message}")))
    }

    /// The client of the model at its service, with an identity, for a resource in a namespace.
    ///
    /// # Errors
    /// One sentence, if the cloud of the operator does not have the service.
    pub(crate) fn client(self, azure: &Azure, identity: Identity, namespace: &str) -> Result<ModelClient, String> {
        match self {
            Self::AnalysisServices(server, database) => Ok(azure.analysis_services(server, database, identity, namespace)),
            Self::PowerBi(model) => azure.power_bi(model, identity, namespace),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GUID: &str = "f089354e-8366-4e18-aea3-4cb4a3a50b48";

    fn of(model: serde_json::Value, cloud: &Cloud) -> Result<ModelTarget, (Reason, String)> {
        ModelTarget::of(&serde_json::from_value(model).unwrap(), cloud)
    }

    #[test]
    fn each_form_of_model_reference_is_parsed() {
        let server = "asazure://westus.asazure.windows.net/s";
        for model in [
            serde_json::json!({"analysisServices": {"server": server, "database": "d"}}),
            serde_json::json!({"powerBI": {"groupId": GUID, "datasetId": GUID}}),
            serde_json::json!({"powerBI": {"workspace": "Sales", "dataset": "Orders"}}),
        ] {
            assert!(of(model.clone(), &Cloud::public()).is_ok(), "{model}");
        }
    }

    #[test]
    fn fault_names_its_field() {
        let rows = [
            (serde_json::json!({}), Reason::InvalidSpec, "model: "),
            (
                serde_json::json!({"analysisServices": {"server": "asazure://westus.asazure.chinacloudapi.cn/s", "database": "d"}}),
                Reason::ServerNotInCloud,
                "model.analysisServices.server: ",
            ),
            (serde_json::json!({"powerBI": {"groupId": "x", "datasetId": GUID}}), Reason::InvalidSpec, "model.powerBI: "),
            (serde_json::json!({"powerBI": {"workspace": "Sales"}}), Reason::InvalidSpec, "model.powerBI: "),
        ];
        for (model, reason, begins) in rows {
            let (found, message) = of(model.clone(), &Cloud::public()).err().unwrap();
            assert_eq!(found, reason, "{model}");
            assert!(message.starts_with(begins), "{message}");
        }
        let without = Cloud { power_bi: None, ..Cloud::public() };
        let (reason, message) = of(serde_json::json!({"powerBI": {"workspace": "S", "dataset": "O"}}), &without).err().unwrap();
        assert_eq!(reason, Reason::ServerNotInCloud);
        assert!(message.contains("has no Power BI"), "{message}");
    }
}
