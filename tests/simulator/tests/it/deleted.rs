//! Models that are deleted and published again, and revoked access.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{DATABASE, DATASET, GROUP, PowerBi, SERVER, Scene};

const NEXT: &str = "5b218778-e7a5-4d73-8187-f10824047715";

async fn datasets(power_bi: &PowerBi) -> (u16, Value) {
    let answer = power_bi.any(Method::GET, &format!("/groups/{GROUP}/datasets")).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap_or_default())
}

#[tokio::test]
async fn recreated_database_has_no_operations() {
    let scene = Scene::new(json!({})).await;
    let id = scene.start().await;
    let names = json!({"server": SERVER, "database": DATABASE});
    scene.control(Method::DELETE, "/models", names.clone()).await;
    for path in [format!("/refreshes/{id}"), "/refreshes".to_owned()] {
        let (status, body) = scene.get(&path).await;
        assert_eq!((status, body["code"].as_str()), (404, Some("DatabaseNotFound")), "{path}");
    }
    assert_eq!(scene.try_control(Method::DELETE, "/models", names.clone()).await.0, 404);
    scene.control(Method::PUT, "/models", names).await;
    assert_eq!(scene.get(&format!("/refreshes/{id}")).await.0, 404);
    assert_eq!(scene.get("/refreshes").await, (200, json!([])));
}

#[tokio::test]
async fn deleted_semantic_model_is_not_found() {
    let power_bi = PowerBi::new(json!({"workspace": "Sales", "dataset": "Orders"})).await;
    let id = power_bi.start().await;
    power_bi.scene.control(Method::DELETE, "/models", json!({"groupId": GROUP, "datasetId": DATASET})).await;
    for path in [format!("/refreshes/{id}"), "/refreshes".to_owned()] {
        assert_eq!(power_bi.get(&path).await.0, 404, "{path}");
    }
    let (status, list) = datasets(&power_bi).await;
    assert_eq!((status, &list["value"]), (200, &json!([])));
    let successor = json!({"groupId": GROUP, "datasetId": NEXT, "workspace": "Sales", "dataset": "Orders"});
    power_bi.scene.control(Method::PUT, "/models", successor).await;
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
