//! Oversized responses and objects on every route: memory stays bounded, other resources continue to run, and the affected resource
//! completes afterwards.

use e2e::operator::Operator;
use e2e::rbac::make;
use e2e::world::{TENANT, merged, run, status};
use e2e::{Model, TestSetup, World, semantic_model};
use futures::future::join_all;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use serde_json::{Value, json};
use tabular_operator::api::{RUN_REQUESTED_AT, RunState};
use uuid::Uuid;

/// A lease duration and limits that tolerate a busy machine: a hundred large responses keep it busy.
fn setup() -> TestSetup {
    TestSetup { limit: Some(SLOWLY), ..TestSetup::with_flags(&["--lease-duration=15s"]) }
}

/// Number of large responses requested concurrently: more than the operator reads concurrently.
const LARGE: usize = 7;

/// Limit of the additional memory of the operator, in kB. It reads four responses of 8 MiB concurrently, each into a buffer that doubles.
/// Connections hold unread parts of other responses.
const MORE: u64 = 128 * 1024;

/// Peak memory of the operator so far, in kB; `None` if the kernel does not report it.
fn peak(operator: &Operator) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", operator.pid())).ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.split_whitespace().next()?.parse().ok()
}

/// An operator under observation: its memory must stay bounded, and it must not exit or panic.
struct Watched {
    operator: Operator,
    before: Option<u64>,
}

impl Watched {
    fn new(operator: Operator) -> Self {
        let before = peak(&operator);
        Self { operator, before }
    }

    fn assert_unharmed(mut self) {
        assert!(!self.operator.has_ended(), "the operator exited");
        let grown = peak(&self.operator).zip(self.before).map(|(after, before)| after - before);
        assert!(grown.is_none_or(|grown| grown < MORE), "the operator took {grown:?} kB more");
        let log = self.operator.log();
        let panicked = log.lines().find(|line| line.contains("panicked"));
        assert_eq!(panicked, None);
    }
}

/// Every kind of oversized response of a service: 100 MiB with and without a length, a million rows, a string of the maximum size,
/// compressed data, deep nesting, one byte per second, headers of 20 MB. If `code` is given, it replaces the service's status, and the
/// service does not handle the request.
fn floods(code: Option<u16>) -> Vec<(&'static str, Value)> {
    let repeat = |rest: Value| json!({"repeat": merged(&json!({"code": code}), &rest)});
    let mut floods = vec![
        ("large", repeat(json!({"piece": "x".repeat(1024), "count": 102_400}))),
        ("announced", repeat(json!({"piece": "x".repeat(1024), "count": 102_400, "announced": true}))),
        ("rows", repeat(json!({"head": "[", "piece": "{},", "count": 1_000_000, "tail": "{}]"}))),
        ("listed", repeat(json!({"head": "{\"value\":[", "piece": "{},", "count": 1_000_000, "tail": "{}]}"}))),
        ("deep", repeat(json!({"head": "{\"objects\":", "piece": "[", "count": 4_000_000}))),
        ("deep-objects", repeat(json!({"piece": "{\"a\":", "count": 1_000_000}))),
        ("text", repeat(json!({"head": "{\"status\":\"", "piece": "\\u0000", "count": 1_000_000, "tail": "\"}"}))),
    ];
    if code.is_none() {
        floods.push(("slow", json!({"slow": {"bytesPerSecond": 1}})));
        floods.push(("endless", json!({"huge": {}})));
        floods.push(("packed", json!({"gzip": {"blanks": 50_000_000}})));
    }
    floods
}

/// Oversized headers end the connection, including the other responses on it. They are therefore tested separately.
fn heads() -> Vec<(&'static str, Value)> {
    vec![("head", json!({"manyHeaders": {"count": 20_000}}))]
}

/// Runs another resource on another model repeatedly until `hit` completes.
async fn meanwhile(world: &World, hit: impl Future<Output = ()>) {
    let spec = world.put_database("Witness", &json!({"durationMillis": 500})).await;
    world.apply("witness", &spec).await;
    world.until_state("witness", RunState::Succeeded).await;
    let witness = async {
        for number in 2.. {
            world.annotate("witness", RUN_REQUESTED_AT, Some(&number.to_string())).await;
            world.until_run("witness", number, RunState::Succeeded).await;
        }
    };
    tokio::select! {
        () = hit => {}
        () = witness => {}
    }
    let witness = world.recorder.latest("witness").unwrap().decode().unwrap();
    assert!(run(&witness).number >= 2, "no other resource ran meanwhile");
    let operations = world.operations_on("Witness").await;
    assert!(operations.len() >= usize::try_from(run(&witness).number - 1).unwrap());
}

/// Runs `flood` against its own operator while another resource runs. The operator's memory must stay bounded, and it must not exit or
/// panic.
async fn affects_no_other(name: &str, setup: TestSetup, flood: impl AsyncFnOnce(&World)) {
    let (world, operator) = World::running(name, setup).await;
    let operator = Watched::new(operator);
    meanwhile(&world, Box::pin(flood(&world))).await;
    operator.assert_unharmed();
    world.assert_kstatus();
}

/// Creates one resource with its own database for each flood. `times` of its `method` requests are affected; in the end every one is
/// refreshed by exactly one operation.
async fn refreshes_are_hit(world: &World, floods: Vec<(String, Value)>, method: &str, list: bool) {
    join_all(floods.into_iter().map(async |(flood, action)| {
        let name = format!("{}-{flood}", method.to_lowercase());
        let name = if list { format!("list-{flood}") } else { name };
        let spec = world.put_database(&name, &json!({"notStartedMillis": 100, "durationMillis": 1_200})).await;
        if list {
            world.fault("POST", &format!("{name}/refreshes"), &json!({"action": {"dropAfter": {}}})).await;
        }
        let path = if method == "POST" || list { format!("{name}/refreshes") } else { format!("{name}/refreshes/*") };
        let fault = world.fault(method, &path, &json!({"times": 2, "action": action})).await;
        world.apply(&name, &spec).await;
        let done = world.until_state(&name, RunState::Succeeded).await;
        assert!(fault.hits().await >= 1, "{name} was never affected");
        let operations = world.operations_on(&name).await;
        assert_eq!(operations.len(), 1, "{name}: {operations:#?}");
        assert_eq!(run(&done).operation_id.as_ref(), Some(&operations[0].operation_id), "{name}");
    }))
    .await;
}

#[tokio::test]
async fn oversized_poll_response_affects_no_other_resource() {
    affects_no_other("bounds-poll", setup(), async |world| {
        tokio::join!(
            refreshes_are_hit(world, floods_named(None), "GET", false),
            refreshes_are_hit(world, floods_named(Some(400)), "GET", false),
            refreshes_are_hit(world, floods_named(Some(500)), "GET", false),
        );
    })
    .await;
}

#[tokio::test]
async fn oversized_list_or_submit_response_affects_no_other() {
    affects_no_other("bounds-post", setup(), async |world| {
        tokio::join!(
            refreshes_are_hit(world, floods_named(None), "POST", false),
            refreshes_are_hit(world, floods_named(Some(503)), "POST", false),
            refreshes_are_hit(world, floods_named(None), "GET", true),
        );
    })
    .await;
}

#[tokio::test]
async fn oversized_cancel_response_affects_no_other_resource() {
    affects_no_other("bounds-delete", setup(), async |world| {
        cancellations_are_hit(world, [None, Some(400)].into_iter().flat_map(floods_named).collect()).await;
    })
    .await;
}

fn floods_named(code: Option<u16>) -> Vec<(String, Value)> {
    let end = code.map(|code| format!("-{code}")).unwrap_or_default();
    floods(code).into_iter().map(|(flood, action)| (format!("{flood}{end}"), action)).collect()
}

#[tokio::test]
async fn oversized_sync_response_affects_no_other_resource() {
    affects_no_other("bounds-sync", setup(), async |world| syncs_are_hit(world, &["POST", "GET"], &floods(None)).await).await;
}

#[tokio::test]
async fn oversized_power_bi_response_affects_no_other_resource() {
    affects_no_other("bounds-pbi", setup(), async |world| power_bi_is_hit(world, &floods(None)).await).await;
}

#[tokio::test]
async fn oversized_headers_affect_no_other_resource() {
    affects_no_other("bounds-head", setup(), async |world| {
        let named = || heads().into_iter().map(|(flood, action)| (flood.to_owned(), action)).collect::<Vec<_>>();
        for (method, list) in [("GET", false), ("POST", false), ("GET", true)] {
            refreshes_are_hit(world, named(), method, list).await;
        }
        cancellations_are_hit(world, named()).await;
        for method in ["POST", "GET"] {
            syncs_are_hit(world, &[method], &heads()).await;
        }
        power_bi_is_hit(world, &heads()).await;
    })
    .await;
}

/// One resource per flood, which replaces the response to its cancel request.
async fn cancellations_are_hit(world: &World, floods: Vec<(String, Value)>) {
    join_all(floods.into_iter().map(async |(name, action)| {
        let spec = world.put_database(&name, &json!({"durationMillis": 600_000})).await;
        let fault = world.fault("DELETE", &format!("{name}/refreshes/*"), &json!({"times": 1, "action": action})).await;
        world.apply(&name, &spec).await;
        world.until_state(&name, RunState::Running).await;
        world.delete(&name).await;
        world.until_gone(&name).await;
        assert_eq!(fault.hits().await, 1, "{name}");
        let operations = world.operations_on(&name).await;
        assert_eq!(operations.iter().map(|operation| operation.status.as_str()).collect::<Vec<_>>(), ["cancelled"], "{name}");
    }))
    .await;
}

/// One resource per flood and method, which replaces a response about its sync.
async fn syncs_are_hit(world: &World, methods: &[&str], floods: &[(&str, Value)]) {
    join_all(methods.iter().flat_map(|&method| floods.iter().map(move |flood| (method, flood))).map(async |(method, (flood, action))| {
        let database = format!("{}-{flood}", method.to_lowercase());
        let sync = json!({"sync": {"replicatingMillis": 800, "rehydratingMillis": 800, "bareGet": "latest"}});
        let spec = world.put_database(&database, &sync).await;
        let fault = world.fault(method, &format!("{database}/sync*"), &json!({"times": 1, "action": action})).await;
        let name = format!("modelsync/{database}");
        world.apply(&name, &spec).await;
        world.until_state(&name, RunState::Succeeded).await;
        assert_eq!(fault.hits().await, 1, "{name}");
        let syncs = world.azure.syncs(&Model::analysis_services(&world.server, &database)).await;
        assert_eq!(syncs.len(), 1, "{name}: {syncs:#?}");
    }))
    .await;
}

/// One resource for each flood and route of Power BI.
async fn power_bi_is_hit(world: &World, floods: &[(&str, Value)]) {
    let routes = ["groups", "datasets", "refresh", "refreshes", "syncStatus"];
    let all = routes.into_iter().flat_map(|route| floods.iter().map(move |flood| (route, flood)));
    join_all(all.map(async |(route, (flood, action))| {
        let (model, by_ids, _) = semantic_model(world, &json!({"durationMillis": 1_200, "workspace": format!("{route}-{flood}")})).await;
        let Model::PowerBi { group, dataset } = &model else { unreachable!() };
        let by_names =
            json!({"model": {"analysisServices": null, "powerBI": {"workspace": format!("{route}-{flood}"), "dataset": "Orders"}}});
        let sync = route == "syncStatus";
        let path = match route {
            "groups" => format!("*name%20eq%20%27{route}%2D{}%27*", flood.replace('-', "%2D")),
            "datasets" => format!("*/groups/{group}/datasets"),
            "refresh" => format!("*/datasets/{dataset}/refreshes/*"),
            "refreshes" => format!("*/datasets/{dataset}/refreshes?*"),
            _ => format!("*/datasets/{dataset}/queryScaleOut/syncStatus"),
        };
        if route == "refreshes" {
            let lost = json!({"match": {"method": "POST", "path": format!("*/datasets/{dataset}/refreshes")}, "action": {"dropAfter": {}}});
            world.azure.fault(lost).await;
        }
        let order = json!({"match": {"method": "GET", "path": path}, "times": 1, "action": action});
        let fault = world.azure.fault(order).await;
        let named = matches!(route, "groups" | "datasets");
        let name = format!("{}{}-{flood}", if sync { "modelsync/" } else { "" }, route.to_lowercase());
        world.apply(&name, if named { &by_names } else { &by_ids }).await;
        world.until_state_within(SLOWLY, &name, RunState::Succeeded).await;
        assert_eq!(fault.hits().await, 1, "{name}");
        let count = if sync { world.azure.syncs(&model).await.len() } else { world.azure.refreshes(&model).await.len() };
        assert_eq!(count, 1, "{name}");
    }))
    .await;
}

/// The names of a model are resolved again after an interval.
const SLOWLY: std::time::Duration = std::time::Duration::from_secs(100);

/// Creates an application for a resource, and returns the part of its spec that refers to it.
async fn application(world: &World, name: &str, secret: &str) -> (String, Value) {
    let client = Uuid::new_v4().to_string();
    world.azure.put_application(TENANT, &client, "right").await;
    let keys = json!({"tenantId": TENANT, "clientId": client, "clientSecret": secret});
    let secrets: Api<Secret> = world.secrets();
    make(&secrets, json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": keys})).await;
    (client, json!({"credentials": {"servicePrincipalRef": {"name": name}}}))
}

#[tokio::test]
async fn oversized_token_response_affects_no_other_resource() {
    affects_no_other("bounds-token", setup(), async |world| {
        join_all([None, Some(401)].into_iter().flat_map(floods_named).map(async |(name, action)| {
            let (client, credentials) = application(world, &name, "right").await;
            let order = json!({"match": {"route": "token", "clientId": client}, "times": 1, "action": action});
            let fault = world.azure.fault(order).await;
            let spec = world.put_database(&name, &json!({"durationMillis": 500})).await;
            world.apply(&name, &merged(&spec, &credentials)).await;
            world.until_state_within(SLOWLY, &name, RunState::Succeeded).await;
            assert_eq!(fault.hits().await, 1, "{name}");
            assert_eq!(world.operations_on(&name).await.len(), 1, "{name}");
        }))
        .await;
    })
    .await;
}

#[tokio::test]
async fn operations_of_ten_thousand_partitions_are_polled() {
    // Each poll returns a megabyte: it is polled as often as necessary, and a busy machine has enough time to send it.
    let mut setup = setup();
    setup.arguments.extend(["--poll-max=4s", "--call-timeout=20s"].map(ToOwned::to_owned));
    let partitions: Vec<String> = (0..10_000).map(|number| format!("A partition with a name of some length {number}")).collect();
    let tables = json!([{"name": "Sales", "partitions": partitions}]);
    affects_no_other("bounds-parts", setup, async |world| {
        join_all((0..LARGE).map(async |number| {
            let name = format!("large-{number}");
            let spec = world.put_database(&name, &json!({"tables": tables, "durationMillis": 8_000})).await;
            world.apply(&name, &spec).await;
            let done = world.until_state_within(SLOWLY, &name, RunState::Succeeded).await;
            let progress = run(&done).progress.clone().unwrap();
            assert_eq!((progress.total, progress.completed), (10_000, 10_000), "{name}");
            assert!(serde_json::to_string(status(&done)).unwrap().len() < 64 * 1024);
            // Each response was complete: none was truncated while others were read.
            assert_eq!(world.operations_on(&name).await.len(), 1, "{name}");
        }))
        .await;
    })
    .await;
}

#[tokio::test]
async fn oversized_kubernetes_objects_affect_no_other_resource() {
    affects_no_other("bounds-objects", setup(), async |world| {
        // A Secret of the maximum size, and one with an oversized certificate.
        let secret = "s3cr3t-".repeat(120_000);
        let (_, credentials) = application(world, "large-secret", &secret).await;
        world.apply("large-secret", &merged(&world.put_database("large-secret", &json!({})).await, &credentials)).await;
        let keys = json!({"tenantId": TENANT, "clientId": world.client_id, "clientCertificate": secret});
        make(&world.secrets(), json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "heap"}, "stringData": keys})).await;
        let heap = json!({"credentials": {"servicePrincipalRef": {"name": "heap"}}});
        world.apply("heap", &merged(&world.put_database("heap", &json!({})).await, &heap)).await;
        for (name, reason) in [("large-secret", "SecretInvalid"), ("heap", "SecretInvalid")] {
            let stalled = world.until_reason(name, "Stalled", reason).await;
            let shown = serde_json::to_string(status(&stalled)).unwrap();
            assert!(!shown.contains("s3cr3t") && shown.len() < 8 * 1024, "{shown}");
        }
        // All annotations together may have 256 KiB.
        world.apply("annotated", &world.put_database("annotated", &json!({"durationMillis": 500})).await).await;
        world.until_state("annotated", RunState::Succeeded).await;
        world.annotate("annotated", RUN_REQUESTED_AT, Some(&"x".repeat(200_000))).await;
        let again = world.until_run("annotated", 2, RunState::Succeeded).await;
        assert!(serde_json::to_string(status(&again)).unwrap().len() < 16 * 1024);
        // The maximum number of objects and length of names that admission accepts are submitted unchanged.
        let objects: Vec<Value> = (0..1_000).map(|number| json!({"table": format!("{}{number:03}", "t".repeat(62))})).collect();
        let tables: Vec<Value> = objects.iter().map(|object| json!({"name": object["table"]})).collect();
        let spec = world.put_database("wide", &json!({"durationMillis": 500, "tables": tables})).await;
        world.apply("wide", &merged(&spec, &json!({"refresh": {"objects": objects}}))).await;
        world.until_state("wide", RunState::Succeeded).await;
        assert_eq!(world.operations_on("wide").await[0].objects.len(), 1_000);
    })
    .await;
}
