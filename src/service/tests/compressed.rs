//! Answers that come compressed, though nobody asked for it: gzip and deflate are unpacked, anything else is no answer.

use std::io::Read as _;

use flate2::Compression;
use flate2::read::{GzEncoder, ZlibEncoder};
use jiff::Timestamp;

use super::stage::{ENTRA, POWER_BI, Reply, SERVER, Stage, model_of, power_bi_of, reply};
use crate::operation::{
    self, Cancellation, Handle, Look, OperationId, OperationKind, Phase, RefreshRequest, ServiceKind, Submission, Trouble, TroubleKind,
};
use crate::service::{Model, Window};

/// A coding that is not unpacked.
const BR: (&str, &str) = ("content-encoding", "br");

/// The sentence that says what is wrong, and what to do.
const SAID: &str = "is compressed although the request excluded it: disable compression";

/// A stage where the services answer so, and the model of one of them.
async fn stage(service: ServiceKind, answer: impl Fn() -> Reply + Send + Sync + 'static) -> (Stage, Model) {
    let host = match service {
        ServiceKind::AnalysisServices => SERVER,
        ServiceKind::PowerBi => POWER_BI,
    };
    let stage = Stage::new(move |request| request.line.contains(&format!(" {host}/")).then(&answer)).await;
    let azure = stage.azure(stage.settings());
    let model = match service {
        ServiceKind::AnalysisServices => model_of(&azure),
        ServiceKind::PowerBi => power_bi_of(&azure),
    };
    (stage, model)
}

async fn look(answer: impl Fn() -> Reply + Send + Sync + 'static) -> Look {
    let (_stage, model) = stage(ServiceKind::AnalysisServices, answer).await;
    let id = OperationId::parse("1a").unwrap();
    model.prepare().await.unwrap().look(OperationKind::Refresh, &Handle::by_id(id)).await
}

#[tokio::test]
async fn it_is_asked_for_plainly() {
    let (stage, model) = stage(ServiceKind::AnalysisServices, || reply(200, &[], r#"{"status":"succeeded"}"#)).await;
    let call = model.prepare().await.unwrap();
    call.look(OperationKind::Refresh, &Handle::by_id(OperationId::parse("1a").unwrap())).await;
    let requests = stage.requests();
    assert!(requests.iter().any(|request| request.line.starts_with(&format!("POST {ENTRA}"))));
    for request in requests {
        assert!(request.head.to_ascii_lowercase().contains("\r\naccept-encoding: identity"), "{}", request.head);
    }
}

/// An answer that is compressed so, of which `cut` bytes are missing.
fn compressed(coding: &str, body: &[u8], cut: usize) -> Reply {
    let mut bytes = Vec::new();
    let read = match coding {
        "gzip" => GzEncoder::new(body, Compression::fast()).read_to_end(&mut bytes),
        _ => ZlibEncoder::new(body, Compression::fast()).read_to_end(&mut bytes),
    };
    read.unwrap();
    let mut answer = format!("HTTP/1.1 200 X\r\ncontent-encoding: {coding}\r\nconnection: close\r\n\r\n").into_bytes();
    answer.extend_from_slice(&bytes[..bytes.len() - cut]);
    Reply::WriteBytes(answer)
}

#[tokio::test]
async fn what_comes_by_gzip_or_deflate_is_read_within_the_same_bounds() {
    for coding in ["gzip", "deflate"] {
        let seen = look(move || compressed(coding, br#"{"status":"succeeded"}"#, 0)).await;
        assert!(matches!(&seen, Look::Found { operation, .. } if operation.phase == Phase::Succeeded), "{coding}: {seen:?}");
        let cut = look(move || compressed(coding, br#"{"status":"succeeded"}"#, 9)).await;
        let swells = look(move || compressed(coding, &vec![b' '; 64 << 20], 0)).await;
        for (seen, said) in [(cut, "is incomplete"), (swells, "is larger than 8 MiB")] {
            let unread = |trouble: &Trouble| trouble.kind == TroubleKind::InvalidAnswer && trouble.message.contains(said);
            assert!(matches!(&seen, Look::Trouble(trouble) if unread(trouble)), "{coding}: {seen:?}");
        }
    }
}

#[tokio::test]
async fn a_look_that_cannot_be_unpacked_ends_nothing() {
    // Whatever the bytes would say were they taken as they are.
    for coding in ["br", "zstd", "identity, GZIP", "x-unheard-of"] {
        for status in [200, 400, 404, 410] {
            match look(move || reply(status, &[("content-encoding", coding)], r#"{"status":"failed"}"#)).await {
                Look::Trouble(trouble) => {
                    assert_eq!(trouble.kind, TroubleKind::InvalidAnswer);
                    assert!(trouble.message.contains(SAID), "{}", trouble.message);
                }
                other => panic!("{coding} {status}: {other:?}"),
            }
        }
    }
}

#[tokio::test]
async fn a_coding_that_changes_nothing_is_none() {
    for coding in ["", "identity", " Identity "] {
        let seen = look(move || reply(200, &[("content-encoding", coding)], r#"{"status":"succeeded"}"#)).await;
        assert!(matches!(&seen, Look::Found { operation, .. } if operation.phase == Phase::Succeeded), "{coding}: {seen:?}");
    }
    // There is nothing in it that could be read wrongly.
    assert_eq!(look(|| reply(404, &[BR], "")).await, Look::Gone);
}

#[tokio::test]
async fn a_submission_whose_answer_comes_compressed_is_refused_or_leaves_a_doubt() {
    use OperationKind::{Refresh, Sync};
    use ServiceKind::{AnalysisServices, PowerBi};
    let submit = async |service, kind, status, headers: &'static [(&'static str, &'static str)]| {
        let (_stage, model) = stage(service, move || reply(status, headers, r#"{"operationId":"1a"}"#)).await;
        let request = match kind {
            Refresh => operation::Request::Refresh(RefreshRequest::default()),
            Sync => operation::Request::Sync,
        };
        model.prepare().await.unwrap().submit(&request).await
    };
    for (service, kind) in [(AnalysisServices, Refresh), (PowerBi, Refresh), (AnalysisServices, Sync), (PowerBi, Sync)] {
        for status in [200, 202] {
            let became = submit(service, kind, status, &[BR]).await;
            assert!(matches!(&became, Submission::Unanswered { message } if message.contains(SAID)), "{service:?} {kind:?}: {became:?}");
        }
        // What the service means by its 400 cannot be told, so it is no word on the request.
        let refused = submit(service, kind, 400, &[BR]).await;
        let unread = |trouble: &Trouble| trouble.kind == TroubleKind::InvalidAnswer && trouble.message.contains(SAID);
        assert!(matches!(&refused, Submission::Refused(trouble) if unread(trouble)), "{service:?} {kind:?}: {refused:?}");
    }
    let located = &[BR, ("location", "/servers/myserver/models/Adventure%20Works/refreshes/2b")];
    let accepted = submit(AnalysisServices, Refresh, 202, located).await;
    assert!(matches!(&accepted, Submission::Accepted { id, .. } if id.as_str() == "2b"), "{accepted:?}");
}

#[tokio::test]
async fn a_list_that_comes_compressed_teaches_nothing() {
    let at = "2026-01-01T12:00:00Z".parse::<Timestamp>().unwrap();
    for service in [ServiceKind::AnalysisServices, ServiceKind::PowerBi] {
        for kind in [OperationKind::Refresh, OperationKind::Sync] {
            let (_stage, model) = stage(service, || reply(200, &[BR], "[]")).await;
            let trouble = model.prepare().await.unwrap().list(kind, Window { intent: at, now: at }).await.unwrap_err();
            assert!(trouble.kind == TroubleKind::InvalidAnswer && trouble.message.contains(SAID), "{service:?} {kind:?}: {trouble:?}");
        }
    }
}

#[tokio::test]
async fn a_cancellation_that_is_refused_so_is_not_taken_for_an_end() {
    let (_stage, model) = stage(ServiceKind::AnalysisServices, || reply(404, &[BR], "{}")).await;
    let became = model.prepare().await.unwrap().cancel(&OperationId::parse("1a").unwrap()).await;
    assert!(matches!(&became, Cancellation::Trouble(trouble) if trouble.message.contains(SAID)), "{became:?}");
}

#[tokio::test]
async fn a_token_that_comes_compressed_is_none() {
    let token = r#"{"token_type":"Bearer","expires_in":3599,"access_token":"planted-token"}"#;
    let stage = Stage::new(move |request| request.line.contains(&format!(" {ENTRA}/")).then(|| reply(200, &[BR], token))).await;
    let trouble = stage.model().prepare().await.unwrap_err();
    assert_eq!(trouble.kind, TroubleKind::InvalidAnswer);
    assert!(trouble.message.contains(SAID), "{}", trouble.message);
}
