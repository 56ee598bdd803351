//! Workspaces and semantic models by name.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{API, DATASET, GROUP, PowerBi, TENANT};

const OTHER_GROUP: &str = "3d9b93c6-7b6d-4801-a491-1738910904fd";
const OTHER_DATASET: &str = "5b218778-e7a5-4d73-8187-f10824047715";

async fn get(power_bi: &PowerBi, path: &str, query: &[(&str, &str)]) -> (u16, Value) {
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
    let response = power_bi.any(Method::GET, &format!("{path}?{query}")).send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap_or_default())
}

fn ids(list: &Value) -> Vec<&str> {
    list["value"].as_array().unwrap().iter().map(|entry| entry["id"].as_str().unwrap()).collect()
}

async fn put(power_bi: &PowerBi, mut model: Value) {
    let fields = model.as_object_mut().unwrap();
    fields.entry("groupId").or_insert(GROUP.into());
    fields.entry("datasetId").or_insert(DATASET.into());
    power_bi.azure.control(Method::PUT, "/models", model).await;
}

#[tokio::test]
async fn workspace_is_found_by_name() {
    let power_bi = PowerBi::new(json!({"workspace": "Sales"})).await;
    put(&power_bi, json!({"groupId": OTHER_GROUP, "datasetId": OTHER_DATASET, "workspace": "Bob's sales"})).await;
    let (status, all) = get(&power_bi, "/groups", &[]).await;
    assert_eq!((status, ids(&all)), (200, vec![OTHER_GROUP, GROUP]));
    assert_eq!((&all["value"][1]["name"], &all["@odata.count"]), (&json!("Sales"), &json!(2)));
    for (filter, found) in [
        ("name eq 'Sales'", vec![GROUP]),
        ("name eq 'SALES'", vec![]),
        ("tolower(name) eq 'sales'", vec![GROUP]),
        ("name eq 'Bob''s sales'", vec![OTHER_GROUP]),
        ("contains(name,'sales')", vec![OTHER_GROUP]),
    ] {
        assert_eq!(ids(&get(&power_bi, "/groups", &[("$filter", filter)]).await.1), found, "{filter}");
    }
    for query in [("$filter", "name eq Sales"), ("$top", "0"), ("$top", "5001"), ("$skip", "-1")] {
        assert_eq!(get(&power_bi, "/groups", &[query]).await.0, 400, "{query:?}");
    }
    assert_eq!(ids(&get(&power_bi, "/groups", &[("$top", "1"), ("$skip", "1")]).await.1), [GROUP]);
    assert_eq!(power_bi.azure.last_row().await["route"], "groups");
    assert_eq!(power_bi.any(Method::POST, "/groups").send().await.unwrap().status(), 405);
}

#[tokio::test]
async fn names_can_be_ambiguous_and_change() {
    let power_bi = PowerBi::new(json!({"workspace": "Sales", "dataset": "Orders"})).await;
    put(&power_bi, json!({"groupId": OTHER_GROUP, "workspace": "Sales", "datasetId": OTHER_DATASET})).await;
    put(&power_bi, json!({"datasetId": OTHER_GROUP, "workspace": "Sales", "dataset": "Orders"})).await;
    assert_eq!(ids(&get(&power_bi, "/groups", &[("$filter", "name eq 'Sales'")]).await.1).len(), 2);
    let datasets = format!("/groups/{GROUP}/datasets");
    let (_, list) = get(&power_bi, &datasets, &[]).await;
    assert_eq!(ids(&list), [OTHER_GROUP, DATASET]);
    assert!(list["value"].as_array().unwrap().iter().all(|entry| entry["name"] == "Orders" && entry["isRefreshable"] == true));
    power_bi.patch(json!({"dataset": "Archive"})).await;
    assert_eq!(get(&power_bi, &datasets, &[]).await.1["value"][1]["name"], "Archive");
    let row = power_bi.azure.last_row().await;
    assert_eq!((&row["route"], &row["groupId"]), (&json!("datasets"), &json!(GROUP)));
    assert_eq!(get(&power_bi, &format!("/groups/{DATASET}/datasets"), &[]).await.0, 404);
}

#[tokio::test]
async fn tenant_refusal_applies_to_names() {
    let power_bi = PowerBi::new(json!({})).await;
    let datasets = format!("/groups/{GROUP}/datasets");
    for (refusal, of_groups, of_datasets) in
        [("tenantSetting", 401, 401), ("notAccessible", 403, 403), ("throttled", 429, 429), ("notFound", 200, 404)]
    {
        power_bi.patch(json!({"powerBI": {"refusal": refusal}})).await;
        assert_eq!((get(&power_bi, "/groups", &[]).await.0, get(&power_bi, &datasets, &[]).await.0), (of_groups, of_datasets), "{refusal}");
    }
    put(&power_bi, json!({"datasetId": OTHER_DATASET})).await;
    assert_eq!(ids(&get(&power_bi, &datasets, &[]).await.1), [OTHER_DATASET]);
}

#[tokio::test]
async fn inaccessible_models_are_hidden() {
    let power_bi = PowerBi::new(json!({"administrators": [{"tenantId": TENANT, "clientId": "other-client"}]})).await;
    assert_eq!(ids(&get(&power_bi, "/groups", &[]).await.1), Vec::<&str>::new());
    assert_eq!(get(&power_bi, &format!("/groups/{GROUP}/datasets"), &[]).await.0, 404);
    let bare = power_bi.azure.http.get(format!("{API}/groups")).send().await.unwrap();
    assert_eq!(bare.status(), 401);
}
