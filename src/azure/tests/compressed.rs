//! Compressed responses, although the request excluded compression: gzip and deflate are decompressed, others are errors.

use std::io::Read as _;

use flate2::Compression;
use flate2::read::{GzEncoder, ZlibEncoder};
use jiff::Timestamp;

use super::fake_azure::{ENTRA, FakeAzure, POWER_BI, Reply, SERVER, model_of, power_bi_of, reply};
use crate::azure::{ListWindow, ModelClient};
use crate::operation::{
    self, CancelResult, OperationId, OperationKind, OperationRef, Phase, PollResult, RefreshRequest, ServiceError, ServiceErrorKind,
    ServiceKind, SubmitResult,
};

/// An unsupported coding.
const BR: (&str, &str) = ("content-encoding", "br");

/// The sentence with the problem and the remedy.
const REMEDY: &str = "is compressed although the request excluded it: disable compression";

/// A simulated Azure whose services return this response, and the model of one of them.
async fn fake(service: ServiceKind, response: impl Fn() -> Reply + Send + Sync + 'static) -> (FakeAzure, ModelClient) {
    let host = match service {
        ServiceKind::AnalysisServices => SERVER,
        ServiceKind::PowerBi => POWER_BI,
    };
    let fake = FakeAzure::new(move |request| request.line.contains(&format!(" {host}/")).then(&response)).await;
    let azure = fake.azure(fake.settings());
    let model = match service {
        ServiceKind::AnalysisServices => model_of(&azure),
        ServiceKind::PowerBi => power_bi_of(&azure),
    };
    (fake, model)
}

async fn poll(response: impl Fn() -> Reply + Send + Sync + 'static) -> PollResult {
    let (_stage, model) = fake(ServiceKind::AnalysisServices, response).await;
    let id = OperationId::parse("1a").unwrap();
    model.prepare().await.unwrap().poll(OperationKind::Refresh, &OperationRef::by_id(id)).await
}

#[tokio::test]
async fn requests_exclude_compression() {
    let (fake, model) = fake(ServiceKind::AnalysisServices, || reply(200, &[], r#"{"status":"succeeded"}"#)).await;
    let call = model.prepare().await.unwrap();
    call.poll(OperationKind::Refresh, &OperationRef::by_id(OperationId::parse("1a").unwrap())).await;
    let requests = fake.requests();
    assert!(requests.iter().any(|request| request.line.starts_with(&format!("POST {ENTRA}"))));
    for request in requests {
        assert!(request.head.to_ascii_lowercase().contains("\r\naccept-encoding: identity"), "{}", request.head);
    }
}

/// A response with this compression, of which `cut` bytes are missing.
fn compressed(coding: &str, body: &[u8], cut: usize) -> Reply {
    let mut bytes = Vec::new();
    let read = match coding {
        "gzip" => GzEncoder::new(body, Compression::fast()).read_to_end(&mut bytes),
        _ => ZlibEncoder::new(body, Compression::fast()).read_to_end(&mut bytes),
    };
    read.unwrap();
    let mut response = format!("HTTP/1.1 200 X\r\ncontent-encoding: {coding}\r\nconnection: close\r\n\r\n").into_bytes();
    response.extend_from_slice(&bytes[..bytes.len() - cut]);
    Reply::WriteBytes(response)
}

#[tokio::test]
async fn gzip_and_deflate_are_read_within_bounds() {
    for coding in ["gzip", "deflate"] {
        let result = poll(move || compressed(coding, br#"{"status":"succeeded"}"#, 0)).await;
        assert!(matches!(&result, PollResult::Found { operation, .. } if operation.phase == Phase::Succeeded), "{coding}: {result:?}");
        let cut = poll(move || compressed(coding, br#"{"status":"succeeded"}"#, 9)).await;
        let swells = poll(move || compressed(coding, &vec![b' '; 64 << 20], 0)).await;
        for (result, problem) in [(cut, "is incomplete"), (swells, "is larger than 8 MiB")] {
            let is_unreadable = |error: &ServiceError| error.kind == ServiceErrorKind::InvalidResponse && error.message.contains(problem);
            assert!(matches!(&result, PollResult::Failed(error) if is_unreadable(error)), "{coding}: {result:?}");
        }
    }
}

#[tokio::test]
async fn poll_with_unsupported_compression_ends_nothing() {
    // Independent of the meaning of the uncompressed bytes.
    for coding in ["br", "zstd", "identity, GZIP", "x-unheard-of"] {
        for status in [200, 400, 404, 410] {
            match poll(move || reply(status, &[("content-encoding", coding)], r#"{"status":"failed"}"#)).await {
                PollResult::Failed(error) => {
                    assert_eq!(error.kind, ServiceErrorKind::InvalidResponse);
                    assert!(error.message.contains(REMEDY), "{}", error.message);
                }
                other => panic!("{coding} {status}: {other:?}"),
            }
        }
    }
}

#[tokio::test]
async fn identity_coding_is_accepted() {
    for coding in ["", "identity", " Identity "] {
        let result = poll(move || reply(200, &[("content-encoding", coding)], r#"{"status":"succeeded"}"#)).await;
        assert!(matches!(&result, PollResult::Found { operation, .. } if operation.phase == Phase::Succeeded), "{coding}: {result:?}");
    }
    // An empty body cannot be misread.
    assert_eq!(poll(|| reply(404, &[BR], "")).await, PollResult::NotFound);
}

#[tokio::test]
async fn compressed_submit_response_is_error_or_unknown() {
    use OperationKind::{Refresh, Sync};
    use ServiceKind::{AnalysisServices, PowerBi};
    let submit = async |service, kind, status, headers: &'static [(&'static str, &'static str)]| {
        let (_stage, model) = fake(service, move || reply(status, headers, r#"{"operationId":"1a"}"#)).await;
        let request = match kind {
            Refresh => operation::Request::Refresh(RefreshRequest::default()),
            Sync => operation::Request::Sync,
        };
        model.prepare().await.unwrap().submit(&request).await
    };
    for (service, kind) in [(AnalysisServices, Refresh), (PowerBi, Refresh), (AnalysisServices, Sync), (PowerBi, Sync)] {
        for status in [200, 202] {
            let became = submit(service, kind, status, &[BR]).await;
            assert!(matches!(&became, SubmitResult::Unknown { message } if message.contains(REMEDY)), "{service:?} {kind:?}: {became:?}");
        }
        // The reason of the 400 is unknown, so it does not concern the request.
        let refused = submit(service, kind, 400, &[BR]).await;
        let is_unreadable = |error: &ServiceError| error.kind == ServiceErrorKind::InvalidResponse && error.message.contains(REMEDY);
        assert!(matches!(&refused, SubmitResult::NotStarted(error) if is_unreadable(error)), "{service:?} {kind:?}: {refused:?}");
    }
    let located = &[BR, ("location", "/servers/myserver/models/Adventure%20Works/refreshes/2b")];
    let accepted = submit(AnalysisServices, Refresh, 202, located).await;
    assert!(matches!(&accepted, SubmitResult::Accepted { id, .. } if id.as_str() == "2b"), "{accepted:?}");
}

#[tokio::test]
async fn compressed_list_is_an_error() {
    let at = "2026-01-01T12:00:00Z".parse::<Timestamp>().unwrap();
    for service in [ServiceKind::AnalysisServices, ServiceKind::PowerBi] {
        for kind in [OperationKind::Refresh, OperationKind::Sync] {
            let (_stage, model) = fake(service, || reply(200, &[BR], "[]")).await;
            let error = model.prepare().await.unwrap().list(kind, ListWindow { intent: at, now: at }).await.unwrap_err();
            assert!(error.kind == ServiceErrorKind::InvalidResponse && error.message.contains(REMEDY), "{service:?} {kind:?}: {error:?}");
        }
    }
}

#[tokio::test]
async fn compressed_cancel_response_is_not_an_end() {
    let (_stage, model) = fake(ServiceKind::AnalysisServices, || reply(404, &[BR], "{}")).await;
    let became = model.prepare().await.unwrap().cancel(&OperationId::parse("1a").unwrap()).await;
    assert!(matches!(&became, CancelResult::Failed(error) if error.message.contains(REMEDY)), "{became:?}");
}

#[tokio::test]
async fn compressed_token_is_an_error() {
    let token = r#"{"token_type":"Bearer","expires_in":3599,"access_token":"planted-token"}"#;
    let fake = FakeAzure::new(move |request| request.line.contains(&format!(" {ENTRA}/")).then(|| reply(200, &[BR], token))).await;
    let error = fake.model().prepare().await.unwrap_err();
    assert_eq!(error.kind, ServiceErrorKind::InvalidResponse);
    assert!(error.message.contains(REMEDY), "{}", error.message);
}
