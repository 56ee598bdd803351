//! The page of a run's operation in the Power BI portal.

use crate::api::Run;
use crate::operation::OperationKind;

/// The URL of the operation's page. `None` for a sync, outside Power BI, without a known portal, or if an id is not a GUID.
#[must_use]
pub(super) fn details_url(run: &Run, kind: OperationKind, portal: Option<&str>) -> Option<String> {
    if kind == OperationKind::Sync || run.model.analysis_services.is_some() {
        return None;
    }
    let model = run.model.power_bi.as_ref()?;
    let (group, dataset) = (guid(model.group_id.as_deref()?)?, guid(model.dataset_id.as_deref()?)?);
    let operation = guid(run.operation_id.as_deref()?)?;
    Some(format!("https://{}/groups/{group}/datasets/{dataset}/refreshdetails/{operation}", portal?))
}

/// A GUID in lower case, if the text is one with hyphens.
fn guid(text: &str) -> Option<String> {
    let is_hyphen = |at: usize| matches!(at, 8 | 13 | 18 | 23);
    let is_guid =
        text.len() == 36 && text.bytes().enumerate().all(|(at, byte)| if is_hyphen(at) { byte == b'-' } else { byte.is_ascii_hexdigit() });
    is_guid.then(|| text.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const GROUP: &str = "f089354e-8366-4e18-aea3-4cb4a3a50b48";
    const DATASET: &str = "cfafbeb1-8037-4d0c-896e-a46fb27ff229";
    const OPERATION: &str = "1344a272-7893-4afa-a4b3-3fb87222fdac";

    fn run(model: &Value, operation: Option<&str>) -> Run {
        let run = json!({
            "number": 1, "trigger": {"type": "Creation"}, "attempt": 1, "state": "Running", "requestDigest": "d", "model": model,
            "requestedTime": "2026-01-01T00:00:00Z", "operationId": operation,
        });
        serde_json::from_value(run).unwrap()
    }

    #[test]
    fn details_url_names_workspace_model_and_operation() {
        let run = run(&json!({"powerBI": {"groupId": GROUP.to_uppercase(), "datasetId": DATASET}}), Some(&OPERATION.to_uppercase()));
        let url = format!("https://app.powerbi.com/groups/{GROUP}/datasets/{DATASET}/refreshdetails/{OPERATION}");
        assert_eq!(details_url(&run, OperationKind::Refresh, Some("app.powerbi.com")), Some(url));
        assert_eq!(details_url(&run, OperationKind::Sync, Some("app.powerbi.com")), None);
        assert_eq!(details_url(&run, OperationKind::Refresh, None), None);
    }

    #[test]
    fn details_url_requires_three_guids() {
        let ids = |group: &str, dataset: &str| json!({"powerBI": {"groupId": group, "datasetId": dataset}});
        let rows = [
            (ids(GROUP, DATASET), None),
            (ids(GROUP, DATASET), Some("op-1")),
            (ids(GROUP, "../x"), Some(OPERATION)),
            (ids(&GROUP.replace('-', "+"), DATASET), Some(OPERATION)),
            (ids(GROUP, &DATASET.replace('c', "g")), Some(OPERATION)),
            (json!({"powerBI": {"workspace": "w", "dataset": "d"}}), Some(OPERATION)),
            (json!({"analysisServices": {"server": "asazure://westus.asazure.windows.net/s", "database": "d"}}), Some(OPERATION)),
        ];
        for (model, operation) in rows {
            assert_eq!(
                details_url(&run(&model, operation), OperationKind::Refresh, Some("app.powerbi.com")),
                None,
                "{model} {operation:?}"
            );
        }
    }
}
