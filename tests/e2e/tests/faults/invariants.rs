//! Invariants that hold after every scenario, whatever the fault.

use std::time::Duration;

use e2e::world::run;

use crate::fixture::Fixture;
use crate::scenario::{OTHERS, Outcome};

/// How long nothing may be written after the end.
const QUIET: Duration = Duration::from_millis(700);

/// Panics with the violated invariant.
pub async fn check(fixture: &Fixture, outcome: &Outcome) {
    operations(fixture, outcome).await;
    fixture.world.assert_histories();
    fixture.world.assert_kstatus();
    fixture.world.proxy().assert_preconditions();
    silence(fixture).await;
}

/// The service has exactly the requested operations with the expected results, and the status reports them correctly.
async fn operations(fixture: &Fixture, outcome: &Outcome) {
    let refreshes = fixture.refreshes().await;
    let ended: Vec<&str> = refreshes.iter().map(|operation| operation.status.as_str()).collect();
    assert_eq!(ended, outcome.refreshes, "refreshes at the service: {refreshes:#?}");
    let syncs = fixture.world.azure.syncs(&fixture.model).await;
    let ended: Vec<&str> = syncs.iter().map(|sync| sync.status.as_str()).collect();
    assert_eq!(ended, outcome.syncs, "syncs at the service: {syncs:#?}");
    for other in fixture.world.azure.refreshes(&fixture.model).await {
        let ours = other.client.contains(&fixture.world.client_id);
        assert!(ours || other.cancel_requested_time.is_none(), "another client's refresh was cancelled: {other:#?}");
    }
    for (named, end) in &outcome.ends {
        let latest = fixture.world.recorder.latest(named).unwrap_or_else(|| panic!("{named} was never recorded"));
        assert_eq!(latest.deleted, end.is_none(), "whether {named} still exists");
        let object = latest.decode().unwrap_or_else(|error| panic!("failed to decode {named}: {error}"));
        let Some(end) = end else { continue };
        let run = run(&object);
        assert_eq!(run.state, *end, "{named}");
        if *named == OTHERS {
            let theirs: Vec<String> =
                fixture.refreshes_by(&fixture.theirs).await.into_iter().map(|operation| operation.operation_id).collect();
            assert_eq!(theirs, run.operation_id.iter().cloned().collect::<Vec<_>>(), "refreshes of the second tenant");
            continue;
        }
        let last = if named.starts_with("modelsync/") {
            // Power BI assigns no id to a sync; the status contains the operator's own.
            syncs.last().filter(|_| matches!(fixture.model, e2e::Model::AnalysisServices { .. })).map(|sync| &sync.operation_id)
        } else {
            refreshes.last().map(|operation| &operation.operation_id)
        };
        if let Some(last) = last {
            assert_eq!(run.operation_id.as_ref(), Some(last), "the status of {named} does not name its last operation");
        }
    }
}

/// No further writes and no further requests to the service.
async fn silence(fixture: &Fixture) {
    let count = async || (fixture.world.recorder.all().len(), fixture.world.azure.requests_by(&fixture.world.client_id).await.len());
    let before = count().await;
    tokio::time::sleep(QUIET).await;
    assert_eq!(count().await, before, "versions of resources and requests to Azure changed after the end");
}
