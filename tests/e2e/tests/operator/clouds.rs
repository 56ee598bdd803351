//! Each cloud: the right host, audience and authority; a token of one cloud is not accepted in another.

use e2e::operator::OperatorSettings;
use e2e::rbac::make;
use e2e::world::merged;
use e2e::{Model, Operator, World};
use k8s_openapi::api::core::v1::Secret;
use serde_json::{Value, json};
use tabular_operator::api::RunState;
use uuid::Uuid;

use crate::identities::rows;

/// The host names of one cloud.
struct Cloud {
    /// `--cloud`.
    flag: &'static str,
    /// The suffix of its Analysis Services hosts.
    servers: &'static str,
    /// Power BI's host, and the audience of its tokens.
    power_bi: (&'static str, &'static str),
    authority: &'static str,
    /// The cloud whose directory has its tenants.
    directory: &'static str,
}

type Name = &'static str;

const fn cloud(flag: Name, servers: Name, power_bi: (Name, Name), authority: Name, directory: Name) -> Cloud {
    Cloud { flag, servers, power_bi, authority, directory }
}

const HIGH: (Name, Name) = ("api.high.powerbigov.us", "high.analysis.usgovcloudapi.net");
const DOD: (Name, Name) = ("api.mil.powerbigov.us", "mil.analysis.usgovcloudapi.net");
const CHINA: (Name, Name) = ("api.powerbi.cn", "analysis.chinacloudapi.cn");

const CLOUDS: [Cloud; 7] = [
    cloud("public", ".asazure.windows.net", ("api.powerbi.com", "analysis.windows.net"), "login.microsoftonline.com", "public"),
    cloud(
        "us-government",
        ".asazure.windows.net",
        ("api.powerbigov.us", "analysis.usgovcloudapi.net"),
        "login.microsoftonline.com",
        "public",
    ),
    cloud("us-government-high", ".asazure.usgovcloudapi.net", HIGH, "login.microsoftonline.us", "us-government"),
    cloud("us-government-dod", ".asazure.usgovcloudapi.net", DOD, "login.microsoftonline.us", "us-government"),
    cloud("china", ".asazure.chinacloudapi.cn", CHINA, "login.chinacloudapi.cn", "china"),
    cloud("custom", ".asazure.chinacloudapi.cn", CHINA, "login.chinacloudapi.cn", "china"),
    // Another documented name of the same authority.
    cloud("custom", ".asazure.chinacloudapi.cn", CHINA, "login.partner.microsoftonline.cn", "china"),
];

/// Creates an application of a tenant in this directory, with its Secret, and a model on a server with this suffix.
async fn create_tenant(world: &World, name: &str, servers: &str, directory: &str) -> (String, Value) {
    let (tenant, client) = (Uuid::new_v4().to_string(), Uuid::new_v4().to_string());
    let registration = json!({"tenantId": tenant, "clientId": client, "clientSecret": "right", "cloud": directory});
    world.azure.put_registration(registration).await;
    let keys = json!({"tenantId": tenant, "clientId": client, "clientSecret": "right"});
    make::<Secret>(&world.secrets(), json!({"metadata": {"name": name}, "stringData": keys})).await;
    let server = format!("asazure://region{servers}/{}", Uuid::new_v4().simple());
    world.azure.put_model(json!({"server": server, "database": "Sales", "durationMillis": 300})).await;
    let spec = json!({
        "model": {"analysisServices": {"server": server, "database": "Sales"}},
        "credentials": {"servicePrincipalRef": {"name": name}},
    });
    (client, spec)
}

fn file(world: &World, authority: &str, servers: &str, audience: &str) -> String {
    let path = world.environment.directory().join(format!("{}.cloud.yaml", Uuid::new_v4().simple()));
    let (host, tokens) = CHINA;
    let text = format!(
        "authority: https://{authority}\nanalysisServices: {{hostSuffix: {servers}, audience: '{audience}'}}\n\
         powerBI: {{host: {host}, audience: 'https://{tokens}/powerbi/api'}}\n"
    );
    std::fs::write(&path, text).unwrap();
    format!("--cloud-file={}", path.display())
}

async fn start(world: &World, arguments: &[String]) -> Operator {
    let usual = world.operator_settings();
    let arguments = usual.arguments.iter().chain(arguments).cloned().collect();
    let mut operator = Operator::start(&OperatorSettings { arguments, ..usual.clone() }, world.environment.guard());
    operator.ready().await;
    operator
}

#[tokio::test]
async fn cloud_uses_its_own_hosts_audience_and_authority() {
    for Cloud { flag, servers, power_bi: (api, tokens), authority, directory } in CLOUDS {
        let world = World::new("cloud").await;
        let mut arguments = vec![format!("--cloud={flag}")];
        if flag == "custom" {
            arguments.push(file(&world, authority, servers, &format!("https://*{servers}")));
        }
        let _operator = start(&world, &arguments).await;
        let (client, spec) = create_tenant(&world, "there", servers, directory).await;
        world.apply("orders", &spec).await;
        let (group, dataset) = (Uuid::new_v4().to_string(), Uuid::new_v4().to_string());
        world.azure.put(&Model::power_bi(&group, &dataset), json!({"apiHost": api, "durationMillis": 300})).await;
        let model = json!({"analysisServices": null, "powerBI": {"groupId": group, "datasetId": dataset}});
        world.apply("semantic", &json!({"model": model, "credentials": spec["credentials"]})).await;
        // The local Azure only accepts tokens for the host's own audience from the cloud's own authority.
        world.until_state("orders", RunState::Succeeded).await;
        world.until_state("semantic", RunState::Succeeded).await;
        let (server, rows) = (format!("region{servers}"), rows(&world, &client).await);
        for row in &rows {
            let expected = if row.route == "token" { [authority, authority] } else { [server.as_str(), api] };
            assert!(expected.contains(&row.host.as_str()), "{flag}: {row:?}");
            // A token is only sent to the host of its audience.
            let audience = if row.host == api { format!("https://{tokens}/powerbi/api") } else { format!("https://*{servers}") };
            assert!(row.route == "token" || row.token_audience.as_deref() == Some(&*audience), "{flag}: {row:?}");
        }
        for host in [authority, server.as_str(), api] {
            assert!(rows.iter().any(|row| row.host == host), "{flag}: {host}");
        }
    }
}

#[tokio::test]
async fn tenant_of_another_cloud_is_reported() {
    let world = World::new("wrong-cloud").await;
    let _operator = start(&world, &["--cloud=china".to_owned()]).await;
    let (client, spec) = create_tenant(&world, "elsewhere", ".asazure.chinacloudapi.cn", "public").await;
    world.apply("orders", &spec).await;
    let refused = world.until_reason("orders", "Stalled", "CredentialsRefused").await;
    let message = &e2e::world::run(&refused).message;
    assert!(message.contains("the operator's cloud is the cloud of the tenant"), "{message}");
    assert!(rows(&world, &client).await.iter().all(|row| row.host == "login.chinacloudapi.cn"));
    // For a server of another cloud, no token is requested.
    let (client, spec) = create_tenant(&world, "public", ".asazure.windows.net", "public").await;
    world.apply("public", &merged(&spec, &json!({}))).await;
    world.until_reason("public", "Stalled", "ServerNotInCloud").await;
    assert!(rows(&world, &client).await.is_empty());
}

#[tokio::test]
async fn token_of_another_cloud_is_refused_and_reported() {
    let world = World::new("mixed-cloud").await;
    // The hosts of one cloud with the authority and the audience of another.
    let mixed = file(&world, "login.microsoftonline.com", ".asazure.chinacloudapi.cn", "https://*.asazure.windows.net");
    let _operator = start(&world, &["--cloud=custom".to_owned(), mixed]).await;
    let (client, spec) = create_tenant(&world, "mixed", ".asazure.chinacloudapi.cn", "public").await;
    world.apply("orders", &spec).await;
    world.until_reason("orders", "Stalled", "AccessDenied").await;
    let rows = rows(&world, &client).await;
    assert!(rows.iter().any(|row| row.route == "refreshes" && row.status == Some(401)), "{rows:?}");
}
