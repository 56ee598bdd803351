//! Throttles and calls in flight of Power BI.

use std::time::Duration;

use jiff::Timestamp;

use super::fake_azure::{DATASET, GROUP, POWER_BI, power_bi_named, power_bi_of, reply};
use super::power_bi::{fake, row};
use crate::azure::ListWindow;
use crate::azure::power_bi::ModelName;
use crate::operation::{
    CallKind, CancelResult, OperationId, OperationKind, OperationRef, PollResult, RefreshRequest, Request, ServiceErrorKind, SubmitResult,
};

#[tokio::test]
async fn throttled_identity_backs_off_from_all_models_of_host() {
    let fake = fake(|_, _| Some(reply(429, &[("retry-after", "40")], ""))).await;
    let azure = fake.azure(fake.settings());
    let call = power_bi_of(&azure).prepare().await.unwrap();
    let _ = call.submit(&Request::Refresh(RefreshRequest::default())).await;
    let other = ModelName::by_ids(DATASET, GROUP).unwrap();
    let error = power_bi_named(&azure, other).prepare().await.unwrap_err();
    assert_eq!(error.kind, ServiceErrorKind::Throttled);
    assert!(error.retry_after.is_some_and(|wait| wait > Duration::from_secs(30)));
}

/// A throttle applies to one kind of call. An overloaded capacity delays no call.
#[tokio::test]
async fn throttle_delays_only_calls_of_its_kind() {
    let refresh = OperationKind::Refresh;
    let kinds = [CallKind::Submit(refresh), CallKind::Poll(refresh), CallKind::List(refresh), CallKind::Cancel];
    for (n, throttled) in kinds.into_iter().enumerate() {
        for (body, pauses) in [("", true), (r#"{"error":{"code":"CapacityLimitExceeded"}}"#, false)] {
            let fake = fake(move |_, _| Some(reply(429, &[("retry-after", "3392")], body))).await;
            let azure = fake.azure(fake.settings());
            let call = power_bi_of(&azure).prepare_for(throttled).await.unwrap();
            let id = OperationId::parse("1a").unwrap();
            match n {
                0 => assert!(matches!(call.submit(&Request::Refresh(RefreshRequest::default())).await, SubmitResult::NotStarted(_))),
                1 => assert!(matches!(call.poll(refresh, &OperationRef::by_id(id)).await, PollResult::Failed(_))),
                2 => assert!(call.check_list(refresh).await.is_err()),
                _ => assert!(matches!(call.cancel(&id).await, CancelResult::Failed(_))),
            }
            for kind in kinds {
                let prepared = power_bi_of(&azure).prepare_for(kind).await;
                assert_eq!(prepared.is_err(), pauses && kind == throttled, "{kind:?} after {throttled:?}");
            }
            assert_eq!(azure.throttled(), usize::from(pauses));
        }
    }
}

/// The list that explains a refused submission is a call of another kind.
#[tokio::test]
async fn throttled_list_after_submission_delays_no_submission() {
    let fake = fake(|method, _| {
        let body = r#"{"error":{"code":"InvalidRequest","message":"Ung\u00fcltig"}}"#;
        Some(if method == "POST" { reply(400, &[], body) } else { reply(429, &[("retry-after", "3392")], "") })
    })
    .await;
    let azure = fake.azure(fake.settings());
    let submit = CallKind::Submit(OperationKind::Refresh);
    let call = power_bi_of(&azure).prepare_for(submit).await.unwrap();
    let _ = call.submit(&Request::Refresh(RefreshRequest::default())).await;
    assert!(power_bi_of(&azure).prepare_for(submit).await.is_ok());
    assert!(power_bi_of(&azure).prepare_for(CallKind::Poll(OperationKind::Refresh)).await.is_ok());
    assert!(power_bi_of(&azure).prepare_for(CallKind::List(OperationKind::Refresh)).await.is_err());
}

/// A throttled request for the details of an outdated row delays no submission.
#[tokio::test]
async fn throttled_details_after_submission_delay_no_submission() {
    let rows = [row(-600, Some(-500), "ViaApi", "Completed"), row(-7200, None, "ViaEnhancedApi", "Unknown")];
    let list = format!("[{}]", rows.join(","));
    let fake = fake(move |method, rest| match (method, rest) {
        ("POST", _) => Some(reply(400, &[], r#"{"error":{"code":"InvalidRequest","message":"Ung\u00fcltig."}}"#)),
        (_, "/r-7200") => Some(reply(429, &[("retry-after", "3392")], "")),
        _ => Some(reply(200, &[], &list)),
    })
    .await;
    let azure = fake.azure(fake.settings());
    let submit = CallKind::Submit(OperationKind::Refresh);
    let call = power_bi_of(&azure).prepare_for(submit).await.unwrap();
    let submission = call.submit(&Request::Refresh(RefreshRequest::default())).await;
    assert!(matches!(submission, SubmitResult::Busy { .. }), "{submission:?}");
    assert!(power_bi_of(&azure).prepare_for(submit).await.is_ok());
    assert!(power_bi_of(&azure).prepare_for(CallKind::Poll(OperationKind::Refresh)).await.is_err());
}

/// A list reads the details of its rows, and a poll may read the list. Neither repeats a request that the service throttles.
#[tokio::test]
async fn call_sends_no_other_request_that_is_throttled() {
    let details = format!("GET {POWER_BI}/v1.0/myorg/groups/{GROUP}/datasets/{DATASET}/refreshes/");
    let refresh = OperationKind::Refresh;
    for details_are_throttled in [true, false] {
        let list = format!("[{}]", row(-5, None, "ViaEnhancedApi", "Unknown"));
        let fake = fake(move |_, rest| {
            let throttled = rest.starts_with('/') == details_are_throttled;
            let other = if details_are_throttled { reply(200, &[], &list) } else { reply(400, &[], "") };
            Some(if throttled { reply(429, &[("retry-after", "3392")], "") } else { other })
        })
        .await;
        let azure = fake.azure(fake.settings());
        for _ in 0..3 {
            if details_are_throttled {
                let now = Timestamp::now();
                let call = power_bi_of(&azure).prepare_for(CallKind::List(refresh)).await.unwrap();
                let error = call.list(refresh, ListWindow { intent: now, now }).await.unwrap_err();
                assert_eq!(error.kind, ServiceErrorKind::Throttled);
                assert!(error.retry_after.is_some_and(|wait| wait > Duration::from_mins(50)), "{error:?}");
            } else {
                let call = power_bi_of(&azure).prepare_for(CallKind::Poll(refresh)).await.unwrap();
                let result = call.poll(refresh, &OperationRef::by_id(OperationId::parse("1a").unwrap())).await;
                assert!(matches!(result, PollResult::Failed(_)), "{result:?}");
            }
        }
        let (of_details, all) = (fake.count(&details), fake.count("GET"));
        assert_eq!((of_details, all - of_details), if details_are_throttled { (1, 3) } else { (3, 1) });
    }
}

#[tokio::test]
async fn calls_in_flight_are_bounded_per_workspace() {
    let fake = fake(|_, _| None).await;
    let mut settings = fake.settings();
    settings.max_calls_per_server = 1;
    let azure = fake.azure(settings);
    let held = power_bi_of(&azure).prepare().await.unwrap();
    let same = power_bi_named(&azure, ModelName::by_ids(GROUP, GROUP).unwrap());
    assert_eq!(same.prepare().await.unwrap_err().kind, ServiceErrorKind::Throttled);
    assert!(power_bi_named(&azure, ModelName::by_ids(DATASET, DATASET).unwrap()).prepare().await.is_ok());
    drop(held);
    assert!(same.prepare().await.is_ok());
}
