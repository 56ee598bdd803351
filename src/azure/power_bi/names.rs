//! The identification of a Power BI semantic model, and the URLs of its ids.

use std::fmt;

use url::Url;

use crate::operation::ModelIds;

/// Maximum length of the name of a workspace or a semantic model, in characters, as in the admission rule.
const MAX_NAME_LENGTH: usize = 256;

/// A semantic model in its workspace: by their ids, or by their names, which must be resolved first.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ModelName(ModelRef);

/// Only the functions of [`ModelName`] create it, so an id is always a GUID and safe in a path.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(in crate::azure) enum ModelRef {
    /// By ids.
    Ids(ModelIds),
    /// By names, as given.
    Names { workspace: String, dataset: String },
}

impl ModelName {
    /// A semantic model by the ids of its workspace and itself: GUIDs, in upper or lower case.
    ///
    /// # Errors
    /// One sentence that states which id is not a GUID.
    pub fn by_ids(group_id: &str, dataset_id: &str) -> Result<Self, String> {
        let group_id = parse_guid(group_id).ok_or("groupId must be a GUID: the URL of the workspace contains it after /groups/")?;
        let dataset_id = parse_guid(dataset_id).ok_or("datasetId must be a GUID: the URL of the model contains it after /datasets/")?;
        Ok(Self(ModelRef::Ids(ModelIds { group_id, dataset_id })))
    }

    /// A semantic model by the names of its workspace and itself. They may contain all characters except control characters, because the
    /// URL quotes and encodes them.
    ///
    /// # Errors
    /// One sentence that states the name and its problem.
    pub fn by_names(workspace: &str, dataset: &str) -> Result<Self, String> {
        let checked = |what: &str, name: &str| {
            let name = name.trim();
            if name.is_empty() {
                return Err(format!("the name of the {what} must not be empty: set it as Power BI shows it"));
            }
            if name.chars().count() > MAX_NAME_LENGTH {
                return Err(format!("the name of the {what} must have at most {MAX_NAME_LENGTH} characters"));
            }
            if name.chars().any(char::is_control) {
                return Err(format!("the name of the {what} must not contain control characters, such as a line break"));
            }
            Ok(name.to_owned())
        };
        Ok(Self(ModelRef::Names { workspace: checked("workspace", workspace)?, dataset: checked("semantic model", dataset)? }))
    }

    pub(in crate::azure) fn model_ref(&self) -> &ModelRef {
        &self.0
    }

    /// The ids, if the model is given by ids.
    #[must_use]
    pub fn ids(&self) -> Option<&ModelIds> {
        match &self.0 {
            ModelRef::Ids(ids) => Some(ids),
            ModelRef::Names { .. } => None,
        }
    }

    /// The key of the model's workspace. The limits apply to its capacity, which is not known outside the service.
    pub(in crate::azure) fn workspace_key(&self) -> String {
        match &self.0 {
            ModelRef::Ids(ids) => ids.group_id.clone(),
            ModelRef::Names { workspace, .. } => workspace.to_lowercase(),
        }
    }
}

impl fmt::Display for ModelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            ModelRef::Ids(ids) => write!(f, "{}/{}", ids.group_id, ids.dataset_id),
            ModelRef::Names { workspace, dataset } => write!(f, "{workspace}/{dataset}"),
        }
    }
}

/// A GUID in lower case, if the text is a GUID.
pub(in crate::azure) fn parse_guid(text: &str) -> Option<String> {
    let text = text.trim();
    (text.len() == 36).then(|| uuid::Uuid::try_parse(text).ok()).flatten().map(|id| id.hyphenated().to_string())
}

/// `https://<host>/v1.0/myorg/groups`, the base of all URLs of Power BI. A service principal has no workspace of its own, so the URLs
/// without a group are not usable.
pub(in crate::azure) fn groups(host: &str) -> Option<Url> {
    Url::parse(&format!("https://{host}/v1.0/myorg/groups")).ok()
}

/// `…/groups/<group>/datasets/<dataset>/<what>`.
pub(in crate::azure) fn of_dataset(host: &str, ids: &ModelIds, what: &str) -> Option<Url> {
    let ModelIds { group_id, dataset_id } = ids;
    let mut url = groups(host)?;
    url.set_path(&format!("{}/{group_id}/datasets/{dataset_id}/{what}", url.path()));
    Some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUP: &str = "f089354e-8366-4e18-aea3-4cb4a3a50b48";
    const DATASET: &str = "cfafbeb1-8037-4d0c-896e-a46fb27ff229";

    #[test]
    fn ids_result_in_normalized_urls() {
        let model = ModelName::by_ids(&GROUP.to_uppercase(), &format!(" {DATASET} ")).unwrap();
        assert_eq!(model, ModelName::by_ids(GROUP, DATASET).unwrap());
        let refreshes = of_dataset("api.powerbi.com", model.ids().unwrap(), "refreshes").unwrap();
        assert_eq!(refreshes.as_str(), format!("https://api.powerbi.com/v1.0/myorg/groups/{GROUP}/datasets/{DATASET}/refreshes"));
    }

    #[test]
    fn invalid_id_or_name_is_one_sentence() {
        for id in ["", "..", "f089354e83664e18aea34cb4a3a50b48", &format!("{{{GROUP}}}"), &GROUP.replace('f', "g"), "../x"] {
            assert!(ModelName::by_ids(id, DATASET).unwrap_err().starts_with("groupId must be a GUID"), "{id}");
            assert!(ModelName::by_ids(GROUP, id).unwrap_err().starts_with("datasetId must be a GUID"), "{id}");
        }
        let rows =
            [("", "must not be empty"), (" \t", "must not be empty"), ("a\nb", "control character"), (&"x".repeat(257), "at most 256")];
        for (name, expected) in rows {
            let message = ModelName::by_names("Sales", name).unwrap_err();
            assert!(message.starts_with("the name of the semantic model ") && message.contains(expected), "{message}");
            assert!(ModelName::by_names(name, "Orders").unwrap_err().starts_with("the name of the workspace "), "{name}");
        }
        assert_eq!(ModelName::by_names(" Sales & Co. ", "O'Brien/ä").unwrap().to_string(), "Sales & Co./O'Brien/ä");
    }
}
