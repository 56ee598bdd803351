//! Every real cloud, and a declared one: each serves its own hosts and tokens only.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{CLIENT, DATABASE, DATASET, GROUP, LocalAzure, SECRET, TENANT};

/// An authority, and the host and scope of each of its services.
struct Cloud {
    authority: &'static str,
    analysis_services: Option<(&'static str, &'static str)>,
    power_bi: (&'static str, &'static str),
}

const CLOUDS: [Cloud; 6] = [
    Cloud {
        authority: "login.microsoftonline.com",
        analysis_services: Some(("westus.asazure.windows.net", "https://*.asazure.windows.net")),
        power_bi: ("api.powerbi.com", "https://analysis.windows.net/powerbi/api"),
    },
    Cloud {
        authority: "login.microsoftonline.com",
        analysis_services: None,
        power_bi: ("api.powerbigov.us", "https://analysis.usgovcloudapi.net/powerbi/api"),
    },
    Cloud {
        authority: "login.microsoftonline.us",
        analysis_services: Some(("usgovvirginia.asazure.usgovcloudapi.net", "https://*.asazure.usgovcloudapi.net")),
        power_bi: ("api.high.powerbigov.us", "https://high.analysis.usgovcloudapi.net/powerbi/api"),
    },
    Cloud {
        authority: "login.microsoftonline.us",
        analysis_services: None,
        power_bi: ("api.mil.powerbigov.us", "https://mil.analysis.usgovcloudapi.net/powerbi/api"),
    },
    Cloud {
        authority: "login.chinacloudapi.cn",
        analysis_services: Some(("chinaeast2.asazure.chinacloudapi.cn", "https://*.asazure.chinacloudapi.cn")),
        power_bi: ("api.powerbi.cn", "https://analysis.chinacloudapi.cn/powerbi/api"),
    },
    Cloud {
        authority: "login.cloud.example",
        analysis_services: Some(("west.asazure.cloud.example", "https://*.asazure.cloud.example")),
        power_bi: ("api.powerbi.cloud.example", "https://analysis.cloud.example/powerbi/api"),
    },
];

fn declaration() -> Value {
    json!({
        "name": "example",
        "authorityHost": "login.cloud.example",
        "analysisServices": {"hostSuffix": "asazure.cloud.example", "audience": "https://*.asazure.cloud.example"},
        "powerBI": {"host": "api.powerbi.cloud.example", "audience": "https://analysis.cloud.example/powerbi/api"},
    })
}

async fn token(azure: &LocalAzure, authority: &str, resource: &str) -> (u16, Value) {
    let form = form_urlencoded::Serializer::new(String::new())
        .extend_pairs([("grant_type", "client_credentials"), ("client_id", CLIENT), ("client_secret", SECRET)])
        .append_pair("scope", &format!("{resource}/.default"))
        .finish();
    let request = azure.http.post(format!("https://{authority}/{TENANT}/oauth2/v2.0/token"));
    let response = request.header("content-type", "application/x-www-form-urlencoded").body(form).send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

#[tokio::test]
async fn cloud_accepts_only_its_own_tokens() {
    let azure = LocalAzure::new(json!({})).await;
    azure.control(Method::PUT, "/clouds", declaration()).await;
    // The URL and scope of each service of each cloud.
    let mut services = Vec::new();
    for cloud in &CLOUDS {
        if let Some((host, resource)) = cloud.analysis_services {
            azure.control(Method::PUT, "/models", json!({"server": format!("asazure://{host}/s"), "database": DATABASE})).await;
            services.push((format!("https://{host}/servers/s/models/{DATABASE}/refreshes"), cloud.authority, resource));
        }
        let (host, resource) = cloud.power_bi;
        let group = uuid(services.len());
        azure.control(Method::PUT, "/models", json!({"groupId": group, "datasetId": DATASET, "apiHost": host})).await;
        services.push((format!("https://{host}/v1.0/myorg/groups/{group}/datasets/{DATASET}/refreshes"), cloud.authority, resource));
    }
    assert_eq!(services.len(), 10);
    let mut tokens = Vec::new();
    for (_, authority, resource) in &services {
        let (status, granted) = token(&azure, authority, resource).await;
        assert_eq!(status, 200, "{authority} {resource}");
        tokens.push(granted["access_token"].as_str().unwrap().to_owned());
    }
    for (of, token) in tokens.iter().enumerate() {
        for (at, (url, ..)) in services.iter().enumerate() {
            let status = azure.http.get(url).bearer_auth(token).send().await.unwrap().status();
            assert_eq!(status, if of == at { 200 } else { 401 }, "a token for {} at {url}", services[of].2);
        }
    }
}

/// The id of the service's workspace.
fn uuid(number: usize) -> String {
    format!("00000000-0000-4000-8000-{number:012}")
}

#[tokio::test]
async fn authority_issues_no_token_for_another_cloud() {
    let azure = LocalAzure::new(json!({})).await;
    azure.control(Method::PUT, "/clouds", declaration()).await;
    for cloud in &CLOUDS {
        for other in CLOUDS.iter().filter(|other| other.authority != cloud.authority) {
            let (status, refused) = token(&azure, cloud.authority, other.power_bi.1).await;
            assert_eq!((status, &refused["error_codes"][0]), (400, &json!(500_011)), "{} {}", cloud.authority, other.power_bi.1);
        }
    }
}

#[tokio::test]
async fn workspace_is_in_one_cloud() {
    let azure = LocalAzure::new(json!({})).await;
    azure.control(Method::PUT, "/models", json!({"groupId": GROUP, "datasetId": DATASET, "apiHost": "api.powerbigov.us"})).await;
    let public = azure.token_for("https://analysis.windows.net/powerbi/api/.default").await;
    for path in [format!("groups/{GROUP}/datasets/{DATASET}/refreshes"), format!("groups/{GROUP}/datasets")] {
        let response = azure.http.get(format!("https://api.powerbi.com/v1.0/myorg/{path}")).bearer_auth(&public).send().await.unwrap();
        assert_eq!(response.status(), 404, "{path}");
    }
}

#[tokio::test]
async fn cloud_exists_after_declaration() {
    let azure = LocalAzure::new(json!({})).await;
    let model = json!({"server": "asazure://west.asazure.cloud.example/s", "database": DATABASE});
    assert_eq!(azure.try_control(Method::PUT, "/models", model.clone()).await.0, 400);
    assert!(azure.http.get("https://login.cloud.example/").send().await.is_err());
    azure.control(Method::PUT, "/clouds", declaration()).await;
    azure.control(Method::PUT, "/models", model).await;
    assert_eq!(azure.inspect("/clouds").await, json!([declaration()]));
    let configuration = format!("https://login.cloud.example/{TENANT}/v2.0/.well-known/openid-configuration");
    let response = azure.http.get(configuration).send().await.unwrap();
    assert_eq!(response.json::<Value>().await.unwrap()["issuer"], format!("https://login.cloud.example/{TENANT}/v2.0"));
    for (field, value, word) in [
        ("authorityHost", json!("https://login.cloud.example"), "host name"),
        ("authorityHost", json!("login.microsoftonline.com"), "another cloud"),
        ("authority", json!("login.cloud.example"), "authority"),
    ] {
        let mut broken = declaration();
        broken[field] = value;
        let (status, response) = azure.try_control(Method::PUT, "/clouds", broken).await;
        assert!(status == 400 && response["error"].as_str().unwrap().contains(word), "{response}");
    }
}
