//! How tokens are asked for, over the same client.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::stage::{ENTRA, EVIL, Reply, SECRET, SERVER, Stage, model_of, reply};
use crate::operation::{Handle, Look, OperationId, OperationKind, TroubleKind};

fn asked(line: &str) -> bool {
    line.starts_with(&format!("POST {ENTRA}"))
}

#[tokio::test]
async fn one_token_serves_many_calls_and_is_asked_for_as_documented() {
    let stage = Stage::new(|_| None).await;
    let mut settings = stage.settings();
    settings.max_calls_per_server = 50;
    let model = model_of(&stage.azure(settings));
    let calls = futures::future::join_all((0..50).map(|_| model.prepare())).await;
    assert!(calls.iter().all(Result::is_ok));
    let requests = stage.requests();
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].line, format!("POST {ENTRA}/f089354e-8366-4e18-aea3-4cb4a3a50b48/oauth2/v2.0/token"));
    assert!(requests[0].body.contains("scope=https%3A%2F%2F*.asazure.windows.net%2F.default"), "{}", requests[0].body);
    assert!(requests[0].body.contains(&format!("client_secret={SECRET}")));
    assert!(requests[0].head.contains("user-agent: tabular-operator/test"), "{}", requests[0].head);
}

#[tokio::test]
async fn a_refused_secret_is_a_sentence_and_is_not_asked_about_again() {
    let body =
        r#"{"error":"invalid_client","error_description":"AADSTS7000215: Invalid client secret.\r\nTrace ID: 1","error_codes":[7000215]}"#;
    let stage = Stage::new(move |request| asked(&request.line).then(|| reply(401, &[], body))).await;
    let model = stage.model();
    for _ in 0..3 {
        let trouble = model.prepare().await.unwrap_err();
        assert_eq!((trouble.kind, trouble.retry_after), (TroubleKind::CredentialsRefused, None));
        assert!(trouble.message.ends_with("into clientSecret (AADSTS7000215)"), "{}", trouble.message);
    }
    assert_eq!(stage.requests().len(), 1);
}

#[tokio::test]
async fn an_identity_provider_that_fails_is_given_time() {
    let stage = Stage::new(|request| asked(&request.line).then(|| reply(503, &[("content-type", "text/html")], "<html>down</html>"))).await;
    let model = stage.model();
    for _ in 0..3 {
        let trouble = model.prepare().await.unwrap_err();
        assert_eq!(trouble.kind, TroubleKind::ServiceError);
        assert!(trouble.retry_after.is_some());
    }
    assert_eq!(stage.requests().len(), 1);
}

#[tokio::test]
async fn a_lost_answer_is_asked_for_once_more() {
    let count = AtomicUsize::new(0);
    let stage =
        Stage::new(move |request| (asked(&request.line) && count.fetch_add(1, Ordering::Relaxed) == 0).then_some(Reply::Close)).await;
    assert!(stage.model().prepare().await.is_ok());
    assert_eq!(stage.requests().len(), 2);
}

#[tokio::test]
async fn no_secret_follows_a_redirect() {
    let there = format!("https://{EVIL}/token");
    let stage = Stage::new(move |request| asked(&request.line).then(|| reply(307, &[("location", &there)], ""))).await;
    let trouble = stage.model().prepare().await.unwrap_err();
    assert_eq!(trouble.kind, TroubleKind::InvalidAnswer);
    assert_eq!(stage.requests().len(), 1);
}

#[tokio::test]
async fn a_token_that_the_service_refuses_is_replaced_once() {
    let stage =
        Stage::new(|request| request.line.starts_with(&format!("GET {SERVER}")).then(|| reply(401, &[("www-authenticate", "Bearer")], "")))
            .await;
    let model = stage.model();
    let id = OperationId::parse("1").unwrap();
    for _ in 0..4 {
        let look = model.prepare().await.unwrap().look(OperationKind::Refresh, &Handle::by_id(id.clone())).await;
        assert!(matches!(&look, Look::Trouble(trouble) if trouble.kind == TroubleKind::AccessDenied), "{look:?}");
    }
    assert_eq!(stage.requests().iter().filter(|request| asked(&request.line)).count(), 2);
}

#[tokio::test]
async fn a_token_that_was_good_before_has_ended_and_that_is_nobodys_fault() {
    // Good for two looks, and then refused: once, as its end is, or for ever, as the loss of a right is.
    for (refusals, then) in [(1, None), (9, Some(TroubleKind::AccessDenied))] {
        let looks = AtomicUsize::new(0);
        let stage = Stage::new(move |request| {
            let look = request.line.starts_with(&format!("GET {SERVER}")).then(|| looks.fetch_add(1, Ordering::Relaxed))?;
            let refused = (2..2 + refusals).contains(&look);
            Some(if refused { reply(401, &[("www-authenticate", "Bearer")], "") } else { reply(200, &[], r#"{"status":"inProgress"}"#) })
        })
        .await;
        let model = stage.model();
        let mut seen = Vec::new();
        for _ in 0..4 {
            let handle = Handle::by_id(OperationId::parse("1").unwrap());
            seen.push(match model.prepare().await.unwrap().look(OperationKind::Refresh, &handle).await {
                Look::Trouble(trouble) => Some(trouble.kind),
                _ => None,
            });
        }
        assert_eq!(seen, [None, None, Some(TroubleKind::ServiceError), then], "{refusals}");
        assert_eq!(stage.requests().iter().filter(|request| asked(&request.line)).count(), 2);
    }
}

#[tokio::test]
async fn an_unknown_authority_is_said_with_what_to_do() {
    let stage = Stage::new(|_| None).await;
    let mut settings = stage.settings();
    settings.extra_ca_pem = None;
    let trouble = model_of(&stage.azure(settings)).prepare().await.unwrap_err();
    assert_eq!(trouble.kind, TroubleKind::Unreachable);
    assert!(trouble.message.contains("--extra-ca-file"), "{}", trouble.message);
}

#[tokio::test]
async fn nothing_that_is_printed_holds_a_secret() {
    let stage = Stage::new(|_| None).await;
    let azure = stage.azure(stage.settings());
    let model = model_of(&azure);
    let call = model.prepare().await.unwrap();
    let printed = format!("{:?} {azure:?} {model:?} {call:?}", stage.settings());
    assert!(!printed.contains("planted"), "{printed}");
}
