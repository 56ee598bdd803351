//! A successful refresh from `apply` to its end, as seen by a user.

use e2e::world::{condition, first_lasts, run, run_state, status};
use e2e::{TestSetup, World, eventually};
use serde_json::json;
use tabular_operator::api::{ConditionStatus, ConditionType, RunState, TriggerType};

#[tokio::test]
async fn refresh_is_submitted_as_specified_and_succeeds() {
    let (world, _operator) = World::running("success", TestSetup::with_model(first_lasts())).await;
    let refresh = json!({"type": "dataOnly", "commitMode": "partialBatch", "maxParallelism": 3, "retryCount": 2,
        "objects": [{"table": "DimDate"}, {"table": "DimCustomer", "partition": "DimCustomer"}]});
    world.apply("orders", &json!({"refresh": refresh})).await;
    let running = world.until_state("orders", RunState::Running).await;
    assert_eq!(condition(&running, ConditionType::Ready), Some(ConditionStatus::Unknown));
    assert_eq!(condition(&running, ConditionType::Reconciling), Some(ConditionStatus::True));
    assert_eq!(condition(&running, ConditionType::Succeeded), Some(ConditionStatus::Unknown));
    eventually("its start at the service", async || (world.operations().await[0].status == "inProgress").then_some(())).await;
    world.azure.end_running(&world.model()).await;
    let done = world.until_state("orders", RunState::Succeeded).await;

    let operations = world.operations().await;
    assert_eq!(operations.len(), 1);
    let operation = &operations[0];
    assert_eq!(operation.client, format!("application {}", world.client_id));
    assert_eq!((operation.r#type.as_str(), operation.commit_mode.as_str()), ("dataOnly", "partialBatch"));
    assert_eq!((operation.max_parallelism, operation.retry_count), (3, 2));
    assert_eq!(operation.objects, [json!({"table": "DimDate"}), json!({"table": "DimCustomer", "partition": "DimCustomer"})]);

    let (now, run) = (status(&done), run(&done));
    assert_eq!(run.operation_id.as_deref(), Some(operation.operation_id.as_str()));
    assert_eq!(run_state(&running).map(|_| e2e::world::run(&running).operation_id.clone()), Some(run.operation_id.clone()));
    assert_eq!((run.number, run.attempt, run.trigger.r#type), (1, 1, TriggerType::Creation));
    assert!(run.submitted_time.is_some() && run.started_time.is_some() && run.ended_time.is_some() && run.duration.is_some());
    let progress = run.progress.as_ref().expect("the service reported its objects");
    assert_eq!((progress.completed, progress.failed), (progress.total, 0), "{progress:?}");
    assert_eq!((now.history.len(), now.history[0].number, now.history[0].state), (1, 1, RunState::Succeeded));
    assert_eq!(now.history[0].operation_id, run.operation_id);
    assert_eq!(now.observed_generation, done.metadata.generation.unwrap());
    assert_eq!(now.last_successful_time, run.ended_time);
    for (kind, wanted) in [
        (ConditionType::Ready, Some(ConditionStatus::True)),
        (ConditionType::Succeeded, Some(ConditionStatus::True)),
        (ConditionType::Finished, Some(ConditionStatus::True)),
        (ConditionType::Reconciling, None),
        (ConditionType::Stalled, None),
    ] {
        assert_eq!(condition(&done, kind), wanted, "{kind:?}");
    }
    world.assert_kstatus();

    let seen: Vec<RunState> = world.recorder.of("orders").iter().filter_map(|version| run_state(&version.decode().unwrap())).collect();
    let mut order = seen.clone();
    order.dedup();
    assert_eq!(order, [RunState::Submitting, RunState::Running, RunState::Succeeded]);
    eventually("the events", async || {
        let events = world.events("orders").await;
        (events.iter().any(|event| event.starts_with("Running: ")) && events.iter().any(|event| event.starts_with("Succeeded: ")))
            .then_some(())
    })
    .await;
}

#[tokio::test]
async fn kubectl_shows_and_awaits_refresh() {
    let (world, _operator) = World::running("kubectl", TestSetup::default()).await;
    let control_plane = &world.environment.control_plane;
    world.apply("orders", &json!({})).await;
    let wait = ["wait", "--for=condition=Finished", "mref/orders", "--timeout=40s", "-n", &world.namespace];
    control_plane.kubectl(&wait).await;
    let table = control_plane.kubectl(&["get", "mref", "-n", &world.namespace]).await;
    let mut lines = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    assert_eq!(lines.next().unwrap(), ["NAME", "MODEL", "STATE", "REASON", "PROGRESS", "STARTED", "DURATION", "AGE"]);
    let row = lines.next().unwrap();
    let model = format!("{}/AdventureWorks", world.server.rsplit('/').next().unwrap());
    assert_eq!((row.len(), row[0], row[1], row[2], row[3]), (8, "orders", model.as_str(), "Succeeded", "Succeeded"), "{table}");
    let id = world.operations().await[0].operation_id.clone();
    let wide = control_plane.kubectl(&["get", "tabular", "-o", "wide", "-n", &world.namespace]).await;
    assert!(wide.contains(&id), "{wide}");
    let described = control_plane.kubectl(&["describe", "mref", "orders", "-n", &world.namespace]).await;
    assert!(described.contains(&id) && described.contains("Succeeded"), "{described}");
}

#[tokio::test]
async fn wide_columns_show_data_schedule_and_freshness() {
    // The service's clock is ahead: a date in the future would be shown as <invalid>.
    let setup = TestSetup::with_model(json!({"clockSkewMillis": 120_000}));
    let (world, _operator) = World::running("wide", setup).await;
    let control_plane = &world.environment.control_plane;
    let trigger = json!({"schedule": "0 5 1 1 *", "onChange": true});
    world.apply("orders", &json!({"staleAfterSeconds": 3_600, "trigger": trigger})).await;
    world.apply("plain", &json!({})).await;
    let orders = world.until_state("orders", RunState::Succeeded).await;
    let plain = world.until_state("plain", RunState::Succeeded).await;
    let table = control_plane.kubectl(&["get", "mref", "-o", "wide", "-n", &world.namespace]).await;
    let mut lines = table.lines();
    let head = lines.next().unwrap();
    let columns: Vec<_> = head.split("  ").map(str::trim).filter(|column| !column.is_empty()).collect();
    let narrow = ["NAME", "MODEL", "STATE", "REASON", "PROGRESS", "STARTED", "DURATION", "AGE"];
    assert_eq!(columns, [&narrow[..], &["LAST SUCCESS", "NEXT", "FRESH", "OPERATION", "MESSAGE"]].concat(), "{table}");
    let cell = |line: &str, column: &str| line[head.find(column).unwrap()..].split_whitespace().next().unwrap_or_default().to_owned();
    let (first, second) = (lines.next().unwrap(), lines.next().unwrap());
    let next = status(&orders).next_schedule_time.unwrap().to_string();
    assert_eq!((cell(first, "NEXT"), cell(first, "FRESH")), (next, "True".to_owned()), "{table}");
    // Without a schedule and a target these are empty, so the next column follows.
    let id = run(&plain).operation_id.clone().unwrap();
    assert_eq!((cell(second, "NEXT"), cell(second, "FRESH")), (id.clone(), id), "{table}");
    for line in [first, second] {
        assert!(cell(line, "LAST SUCCESS").ends_with('s'), "{table}");
    }
    world.assert_kstatus();
}

#[tokio::test]
async fn short_refresh_and_large_refresh_succeed() {
    let (world, _operator) = World::running("extremes", TestSetup::default()).await;
    let quick = world.put_database("Quick", &json!({"notStartedMillis": 0, "durationMillis": 0})).await;
    let partitions: Vec<String> = (0..3_000).map(|number| format!("FactSales {number:05} {}", "x".repeat(60))).collect();
    let tables = json!([{"name": "FactSales", "partitions": partitions}]);
    let large = world.put_database("Large", &json!({"durationMillis": 1_500, "tables": tables, "outcome": "failed"})).await;
    world.apply("quick", &quick).await;
    world.apply("large", &large).await;
    world.until_state("quick", RunState::Succeeded).await;
    world.until_state("large", RunState::Failed).await;
    for version in world.recorder.all() {
        let size = serde_json::to_vec(&version.object.data["status"]).unwrap().len();
        assert!(size <= 65_536, "a status of {size} bytes");
    }
    world.assert_kstatus();
}
