//! Polls and cancellations of one operation, with all kinds of responses.

use super::fake_azure::{FakeAzure, OTHER_HOST, Reply, SERVER, model_of, power_bi_of, reply};
use crate::azure::AzureSettings;
use crate::operation::{CancelResult, FailureCause, OperationId, OperationKind, OperationRef, Phase, PollResult, ServiceErrorKind};

const PATH: &str = "/servers/myserver/models/Adventure%20Works/refreshes/1a";

fn id() -> OperationId {
    OperationId::parse("1a").unwrap()
}

async fn poll(response: impl Fn(&str) -> Option<Reply> + Send + Sync + 'static) -> (PollResult, FakeAzure) {
    poll_with(FakeAzure::settings, response).await
}

async fn poll_with(
    settings: fn(&FakeAzure) -> AzureSettings,
    response: impl Fn(&str) -> Option<Reply> + Send + Sync + 'static,
) -> (PollResult, FakeAzure) {
    let fake = FakeAzure::new(move |request| {
        let path = request.line.strip_prefix(&format!("GET {SERVER}"))?;
        response(path)
    })
    .await;
    let call = model_of(&fake.azure(settings(&fake))).prepare().await.unwrap();
    (call.poll(OperationKind::Refresh, &OperationRef::by_id(id())).await, fake)
}

fn phase(poll: PollResult) -> Phase {
    match poll {
        PollResult::Found { operation, .. } => operation.phase,
        other => panic!("{other:?}"),
    }
}

fn service_error(poll: PollResult) -> (ServiceErrorKind, String) {
    match poll {
        PollResult::Failed(error) => (error.kind, error.message),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn existing_operation_is_found_and_missing_one_is_gone() {
    let (result, fake) = poll(|path| (path == PATH).then(|| reply(200, &[], r#"{"status":"succeeded"}"#))).await;
    assert_eq!(phase(result), Phase::Succeeded);
    let head = fake.requests().remove(1).head;
    assert!(head.contains("authorization: Bearer planted-token") && head.contains("cache-control: no-cache"), "{head}");
    assert_eq!(poll(|_| None).await.0, PollResult::NotFound);
}

#[tokio::test]
async fn invalid_message_does_not_hide_the_end() {
    let bodies: [&[u8]; 4] = [
        br#"{"status":"failed","refreshAttempts":[{"executionMetrics":{"cpu":NaN,"rows":-Infinity}}]}"#,
        br#"{"status":"failed","messages":["a",null,{"message":"cut \ud83d"}]}"#,
        b"{\"status\":\"failed\",\"messages\":[{\"message\":\"K\xf6ln\"}]}",
        br#"{"status":"failed","objects":[null,"DimDate",7]}"#,
    ];
    for body in bodies {
        let whole = [b"HTTP/1.1 200 X\r\nconnection: close\r\n\r\n", body].concat();
        let (result, _stage) = poll(move |_| Some(Reply::WriteBytes(whole.clone()))).await;
        assert_eq!(phase(result), Phase::Failed, "{}", String::from_utf8_lossy(body));
    }
}

#[tokio::test]
async fn empty_accepted_response_is_running() {
    assert_eq!(phase(poll(|_| Some(reply(202, &[], ""))).await.0), Phase::InProgress);
    for status in [200, 201, 204] {
        let (kind, _) = service_error(poll(move |_| Some(reply(status, &[], ""))).await.0);
        assert_eq!(kind, ServiceErrorKind::InvalidResponse, "{status}");
    }
    let (cut, _stage) = poll(|_| Some(Reply::Write("HTTP/1.1 202 X\r\ncontent-length: 9\r\nconnection: close\r\n\r\n".to_owned()))).await;
    assert_eq!(service_error(cut).0, ServiceErrorKind::InvalidResponse);
}

#[tokio::test]
async fn refused_details_leave_the_operation_as_listed() {
    const LIST: &str = "/servers/myserver/models/Adventure%20Works/refreshes";
    let rows = |status: &str| {
        format!(
            r#"[{{"refreshId":"2b","startTime":"2026-01-01T12:00:01Z","status":"failed"}},
                {{"refreshId":"1A","startTime":"2026-01-01T12:00:00Z","status":"{status}"}},null]"#
        )
    };
    let (ended, running) = (rows("succeeded"), rows("inProgress"));
    let details = [(400, "{}"), (403, "{}"), (422, ""), (500, "{}"), (503, "<html>"), (200, "[]"), (200, r#"{"value":{}}"#)];
    for (status, body) in details {
        for (list, expected) in [(&ended, Phase::Succeeded), (&running, Phase::InProgress)] {
            let list = list.clone();
            let (result, fake) = poll(move |path| match path {
                PATH => Some(reply(status, &[], body)),
                LIST => Some(reply(200, &[], &list)),
                _ => None,
            })
            .await;
            let PollResult::Found { operation, .. } = result else { panic!("{status} {body}: {result:?}") };
            assert_eq!((operation.id.as_str(), operation.phase), ("1a", expected), "{status} {body}");
            assert_eq!(fake.count("GET"), 2);
        }
    }
    // An operation that is not in the list is as its details show it. After a throttled call, there is no further call.
    for (status, list, kind, calls) in [
        (400, "[]", ServiceErrorKind::Rejected, 2),
        (500, "<html>", ServiceErrorKind::ServerError, 2),
        (403, r#"[{"refreshId":"2b","status":"failed"}]"#, ServiceErrorKind::AccessDenied, 2),
        (429, ended.as_str(), ServiceErrorKind::Throttled, 1),
        (302, ended.as_str(), ServiceErrorKind::InvalidResponse, 1),
    ] {
        let list = list.to_owned();
        let (result, fake) = poll(move |path| match path {
            PATH => Some(reply(status, &[], "")),
            LIST => Some(reply(200, &[], &list)),
            _ => None,
        })
        .await;
        assert_eq!((service_error(result).0, fake.count("GET")), (kind, calls), "{status}");
    }
}

#[tokio::test]
async fn most_relevant_of_duplicate_rows_counts() {
    let row = |start: &str, status: &str| format!(r#"{{"refreshId":"1A","startTime":"2026-01-01T{start}Z","status":"{status}"}}"#);
    for (counts, other, expected) in [
        (row("12:00:00", "inProgress"), row("12:00:01", "succeeded"), Phase::InProgress),
        (row("12:00:01", "failed"), row("12:00:00", "succeeded"), Phase::Failed),
        (row("12:00:01", "inProgress"), row("12:00:00", "notStarted"), Phase::InProgress),
    ] {
        for list in [format!("[{counts},{other}]"), format!("[{other},{counts}]")] {
            let (result, _stage) = poll(move |path| match path {
                PATH => Some(reply(403, &[], "{}")),
                _ => Some(reply(200, &[], &list)),
            })
            .await;
            assert_eq!(phase(result), expected, "{counts}");
        }
    }
}

#[tokio::test]
async fn failure_without_text_is_explained_by_its_row() {
    let row = |status: &str, code: &str| {
        format!(r#"[{{"requestId":"1A","status":"{status}","serviceExceptionJson":"{{\"errorCode\":\"{code}\"}}"}}]"#)
    };
    let (paused, evicted) = (row("Failed", "CapacityNotActive"), row("Failed", "0xC11C0020"));
    let said = r#"{"status":"Failed","serviceExceptionJson":"{\"errorCode\":\"X_1\"}"}"#;
    for (details, list, messages, failure, calls) in [
        (r#"{"status":"Failed"}"#, paused.as_str(), 1, Some(FailureCause::CapacityPaused), 2),
        (r#"{"status":"Failed"}"#, evicted.as_str(), 1, Some(FailureCause::Evicted), 2),
        (r#"{"status":"Unknown","extendedStatus":"Failed"}"#, paused.as_str(), 1, Some(FailureCause::CapacityPaused), 2),
        // Another end, no row, or no list.
        (r#"{"status":"Cancelled"}"#, paused.as_str(), 0, None, 2),
        (r#"{"status":"Failed"}"#, "[]", 0, None, 2),
        (r#"{"status":"Failed"}"#, "<html>", 0, None, 2),
        // Nothing is missing.
        (said, paused.as_str(), 1, None, 1),
        (r#"{"status":"Completed"}"#, paused.as_str(), 0, None, 1),
        (r#"{"status":"Unknown"}"#, paused.as_str(), 0, None, 1),
    ] {
        let list = list.to_owned();
        let fake = FakeAzure::new(move |request| {
            Some(reply(200, &[], if request.line.ends_with("/1a") { details } else { &list })).filter(|_| request.line.starts_with("GET"))
        })
        .await;
        let call = power_bi_of(&fake.azure(fake.settings())).prepare().await.unwrap();
        let PollResult::Found { operation, .. } = call.poll(OperationKind::Refresh, &OperationRef::by_id(id())).await else {
            panic!("{details}")
        };
        assert_eq!((operation.messages.len(), operation.failure, fake.count("GET")), (messages, failure, calls), "{details}");
    }
    // Rows of Analysis Services contain no errors.
    let (_, fake) = poll(|_| Some(reply(200, &[], r#"{"status":"failed"}"#))).await;
    assert_eq!(fake.count("GET"), 1);
}

#[tokio::test]
async fn bodies_are_bounded_in_size_and_time() {
    let (result, _stage) =
        poll(|_| Some(Reply::WriteEndlessly("HTTP/1.1 200 X\r\nconnection: close\r\n\r\n".to_owned(), " ".repeat(65_536)))).await;
    assert_eq!(service_error(result), (ServiceErrorKind::InvalidResponse, "the response of the service is larger than 8 MiB".to_owned()));

    let (result, _stage) = poll(|_| Some(Reply::WriteAndHang("HTTP/1.1 200 X\r\ncontent-length: 99999999\r\n\r\n".to_owned()))).await;
    assert_eq!(service_error(result).0, ServiceErrorKind::InvalidResponse);

    let (result, _stage) =
        poll_with(FakeAzure::with_short_timeout, |_| Some(Reply::WriteAndHang("HTTP/1.1 200 X\r\ncontent-length: 99\r\n\r\n{".to_owned())))
            .await;
    assert_eq!(service_error(result), (ServiceErrorKind::Unreachable, "the response of the service did not complete in time".to_owned()));

    let (result, _stage) =
        poll(|_| Some(Reply::Write("HTTP/1.1 200 X\r\ncontent-length: 99\r\n\r\n{\"status\":\"succeeded\"}".to_owned()))).await;
    assert_eq!(service_error(result), (ServiceErrorKind::InvalidResponse, "the response of the service is incomplete".to_owned()));
}

#[tokio::test]
async fn redirects_are_followed_only_on_the_same_host() {
    let (result, _stage) = poll(|path| match path {
        PATH => Some(reply(302, &[("location", "/other")], "")),
        "/other" => Some(reply(200, &[], r#"{"status":"failed"}"#)),
        _ => None,
    })
    .await;
    assert_eq!(phase(result), Phase::Failed);

    for there in [format!("https://{OTHER_HOST}/x"), format!("http://{SERVER}/x"), format!("https://{SERVER}:444/x")] {
        let (result, fake) = poll(move |_| Some(reply(302, &[("location", &there)], ""))).await;
        assert_eq!(service_error(result).0, ServiceErrorKind::InvalidResponse);
        assert_eq!(fake.requests().len(), 2);
        assert_eq!(fake.count(&format!("GET {OTHER_HOST}")), 0);
    }

    let (result, fake) = poll(|_| Some(reply(302, &[("location", PATH)], ""))).await;
    assert_eq!(service_error(result), (ServiceErrorKind::InvalidResponse, "the service redirects in a circle".to_owned()));
    assert_eq!(fake.count(&format!("GET {SERVER}")), 4);
}

#[tokio::test]
async fn cancellation_is_sent_once() {
    let fake = FakeAzure::new(|request| request.line.starts_with("DELETE").then(|| reply(204, &[], ""))).await;
    let call = fake.model().prepare().await.unwrap();
    assert_eq!(call.cancel(&id()).await, CancelResult::Accepted);
    assert_eq!(fake.requests()[1].line, format!("DELETE {SERVER}{PATH}"));
}
