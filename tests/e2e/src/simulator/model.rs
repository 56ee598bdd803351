//! The models of the local Azure.

use serde_json::Value;

/// A model of either service, as named in the control API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Model {
    /// A database of Analysis Services.
    AnalysisServices {
        /// The server, `asazure://…`.
        server: String,
        /// The database.
        database: String,
    },
    /// A semantic model of Power BI.
    PowerBi {
        /// The workspace's id.
        group: String,
        /// The semantic model's id.
        dataset: String,
    },
}

impl Model {
    /// A database of Analysis Services.
    #[must_use]
    pub fn analysis_services(server: &str, database: &str) -> Self {
        Self::AnalysisServices { server: server.to_owned(), database: database.to_owned() }
    }

    /// A semantic model of Power BI.
    #[must_use]
    pub fn power_bi(group: &str, dataset: &str) -> Self {
        Self::PowerBi { group: group.to_owned(), dataset: dataset.to_owned() }
    }

    /// The paths of the model with this end, as matched by a fault.
    pub(super) fn path(&self, end: &str) -> String {
        match self {
            Self::AnalysisServices { server, database } => {
                format!("*/{}*/models/{database}/{end}", server.rsplit('/').next().unwrap_or_default())
            }
            Self::PowerBi { dataset, .. } => format!("*/datasets/{dataset}/{end}"),
        }
    }

    pub(super) fn names(&self) -> [(&'static str, &str); 2] {
        match self {
            Self::AnalysisServices { server, database } => [("server", server), ("database", database)],
            Self::PowerBi { group, dataset } => [("groupId", group), ("datasetId", dataset)],
        }
    }

    /// `fields` with the model's names.
    pub(super) fn named(&self, mut fields: Value) -> Value {
        for (name, value) in self.names() {
            fields[name] = value.into();
        }
        fields
    }
}
