//! Large responses for several namespaces at the same time.

use std::time::Duration;

use super::fake_azure::{FakeAzure, Reply, SERVER, model_in, reply};
use crate::azure::AzureSettings;
use crate::azure::http::MAX_SHORT_BODY_BYTES;
use crate::operation::{OperationId, OperationKind, OperationRef, PollResult};

#[tokio::test]
async fn slow_large_bodies_delay_no_other_namespace() {
    let large = format!(r#"{{"status":"inProgress","more":"{}"}}"#, "x".repeat(2 * MAX_SHORT_BODY_BYTES));
    let incomplete = format!("HTTP/1.1 200 X\r\ncontent-length: {}\r\n\r\n{large}", large.len() + 1);
    let fake = FakeAzure::new(move |request| {
        let path = request.line.strip_prefix(&format!("GET {SERVER}"))?;
        Some(if path.contains("/slow") { Reply::WriteAndHang(incomplete.clone()) } else { reply(200, &[], &large) })
    })
    .await;
    let azure = fake.azure(AzureSettings { max_calls_per_server: 32, ..fake.settings() });
    let poll = async |namespace: &str, id: &str| {
        let call = model_in(&azure, namespace).prepare().await.unwrap();
        call.poll(OperationKind::Refresh, &OperationRef::by_id(OperationId::parse(id).unwrap())).await
    };
    let slow = futures::future::join_all(["slow-1", "slow-2", "slow-3", "slow-4"].map(|id| poll("greedy", id)));
    let other = async {
        while fake.count("GET") < 4 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        // Time to read what arrives of the slow responses.
        tokio::time::sleep(Duration::from_millis(500)).await;
        poll("other", "1a").await
    };
    let result = tokio::select! {
        _ = slow => None,
        result = tokio::time::timeout(Duration::from_secs(10), other) => result.ok(),
    };
    assert!(matches!(result, Some(PollResult::Found { .. })), "{result:?}");
}
