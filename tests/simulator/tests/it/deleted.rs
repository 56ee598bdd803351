//! Models that are deleted and published again, and revoked access.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{DATABASE, DATASET, GROUP, LocalAzure, PowerBi, SERVER};

const NEXT: &str = "5b218778-e7a5-4d73-8187-f10824047715";

async fn datasets(power_bi: &PowerBi) -> (u16, Value) {
    let response = power_bi.any(Method::GET, &format!("/groups/{GROUP}/datasets")).send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap_or_default())
}

#[tokio::test]
async fn recreated_database_has_no_operations() {
    let azure = LocalAzure::new(json!({})).await;
    let id = azure.start().await;
    let names = json!({"server": SERVER, "database": DATABASE});
    azure.control(Method::DELETE, "/models", names.clone()).await;
    for path in [format!("/refreshes/{id}"), "/refreshes".to_owned()] {
        let (status, body) = azure.get(&path).await;
        assert_eq!((status, body["code"].as_str()), (404, Some("DatabaseNotFound")), "{path}");
    }
    assert_eq!(azure.try_control(Method::DELETE, "/models", names.clone()).await.0, 404);
    azure.control(Method::PUT, "/models", names).await;
    assert_eq!(azure.get(&format!("/refreshes/{id}")).await.0, 404);
    assert_eq!(azure.get("/refreshes").await, (200, json!([])));
}

#[tokio::test]
async fn deleted_semantic_model_is_not_found() {
    let power_bi = PowerBi::new(json!({"workspace": "Sales", "dataset": "Orders"})).await;
    let id = power_bi.start().await;
    power_bi.azure.control(Method::DELETE, "/models", json!({"groupId": GROUP, "datasetId": DATASET})).await;
    for path in [format!("/refreshes/{id}"), "/refreshes".to_owned()] {
        assert_eq!(power_bi.get(&path).await.0, 404, "{path}");
    }
    let (status, list) = datasets(&power_bi).await;
    assert_eq!((status, &list["value"]), (200, &json!([])));
    let successor = json!({"groupId": GROUP, "datasetId": NEXT, "workspace": "Sales", "dataset": "Orders"});
    power_bi.azure.control(Method::PUT, "/models", successor).await;
    assert_eq!(datasets(&power_bi).await.1["value"][0]["id"], NEXT);
    assert_eq!(power_bi.get("/refreshes").await.0, 404);
}

#[tokio::test]
async fn revoked_access_looks_like_deletion_except_workspace() {
    let power_bi = PowerBi::new(json!({})).await;
    let id = power_bi.start().await;
    power_bi.patch(json!({"administrators": []})).await;
    for path in [format!("/refreshes/{id}"), "/refreshes".to_owned()] {
        assert_eq!(power_bi.get(&path).await.0, 404, "{path}");
    }
    assert_eq!(datasets(&power_bi).await.0, 404);
    power_bi.patch(json!({"administrators": null})).await;
    assert_eq!(power_bi.get(&format!("/refreshes/{id}")).await.0, 202);
}
