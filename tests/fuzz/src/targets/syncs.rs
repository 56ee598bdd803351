//! The responses of both services about syncs.

use jiff::Timestamp;
use tabular_operator::azure::fuzzing;
use tabular_operator::engine::{ClaimedOperations, EffectResult};
use tabular_operator::operation::{ClockSkew, Listing, OperationId, OperationKind, OperationRef, Phase, PollResult, SubmitResult};
use url::Url;

use crate::response::ResponseInput;
use crate::{fixtures, invariants};

fn call_url() -> Url {
    Url::parse("https://westus.asazure.windows.net/servers/sales:rw/models/Orders/sync").unwrap()
}

fn since() -> Timestamp {
    "2026-11-22T08:00:00Z".parse().unwrap()
}

/// Analysis Services, `GET sync`. Only a 2xx response reports a success, and the next URL is on the same host.
pub fn poll(input: &[u8]) {
    let Some(input) = ResponseInput::parse(input) else { return };
    let running = fixtures::resource(OperationKind::Sync, "Running");
    let request_id = OperationId::parse(&format!("request-{}", fixtures::OPERATION)).unwrap();
    for (asked, named) in [(fixtures::operation_id(), false), (fixtures::operation_id(), true), (request_id, true)] {
        let result = fuzzing::sync_poll_result(&input.response, &call_url(), &asked, named);
        invariants::poll_result(&result, &asked, &call_url());
        if let PollResult::Found { operation, location, .. } = &result {
            assert!(
                operation.phase != Phase::Succeeded || (input.is_success() && !input.has_body_fault),
                "a success that the response does not report"
            );
            let operation_ref = OperationRef { id: asked.clone(), location: location.clone() };
            assert_eq!(
                fuzzing::recorded_location(&operation_ref, &call_url()).map(String::from),
                *location,
                "the stored location is not usable"
            );
        }
        if asked == fixtures::operation_id() {
            fixtures::decision(running, EffectResult::Polled(result));
        }
    }
}

/// Analysis Services, `POST sync`.
pub fn submission(input: &[u8]) {
    let Some(input) = ResponseInput::parse(input) else { return };
    let submission = fuzzing::sync_submission(&input.response, &call_url());
    invariants::submission(&submission, &call_url());
    match &submission {
        SubmitResult::Accepted { .. } | SubmitResult::NothingToDo { .. } => assert!(input.is_success(), "{submission:?}"),
        SubmitResult::NotStarted(_) | SubmitResult::Busy { .. } => assert!(!input.is_success(), "{submission:?}"),
        SubmitResult::Deferred { .. } => panic!("a response to a request that was deferred: {submission:?}"),
        SubmitResult::Unknown { .. } => {}
    }
    fixtures::decision(fixtures::resource(OperationKind::Sync, "Submitting"), EffectResult::Submitted(submission));
}

/// Analysis Services, `GET sync` without an id.
pub fn list(input: &[u8]) {
    let Some(input) = ResponseInput::parse(input) else { return };
    let list = fuzzing::sync_list(&input.response, since());
    let result = match list {
        Ok((operations, truncated)) => {
            assert!(operations.len() <= 50);
            operations.iter().for_each(invariants::operation);
            let clock_skew = input.response.server_time().map(|server| ClockSkew::of(server, (invariants::now(), invariants::now())));
            Ok(Listing { operations, truncated, may_hide_running: truncated, clock_skew, ..Listing::default() })
        }
        Err(error) => {
            invariants::service_error(&error);
            Err(error)
        }
    };
    let submitting = fixtures::resource(OperationKind::Sync, "Submitting");
    fixtures::decision(submitting, EffectResult::Listed { kind: OperationKind::Sync, result, claimed: ClaimedOperations::default() });
}

/// Power BI, the responses about query scale-out. An accepted sync can be polled by the id that the operator generated for it.
pub fn scale_out(input: &[u8]) {
    let Some(input) = ResponseInput::parse(input) else { return };
    let call_url = Url::parse("https://api.powerbi.com/v1.0/myorg/groups/g/datasets/d/queryScaleOut/sync").unwrap();
    let submission = fuzzing::scale_out_submission(&input.response, &call_url, since());
    invariants::submission(&submission, &call_url);
    let mut asked = vec![fixtures::operation_id(), OperationId::parse("scaleout-12-1795420800000").unwrap()];
    if let SubmitResult::Accepted { id, location, .. } = &submission {
        assert!(input.is_success() && location.is_none() && id.as_str().starts_with("scaleout-"), "{submission:?}");
        asked.push(id.clone());
    }
    fixtures::decision(fixtures::resource(OperationKind::Sync, "Submitting"), EffectResult::Submitted(submission));
    for id in asked {
        let result = fuzzing::scale_out_poll_result(&input.response, &id);
        invariants::poll_result(&result, &id, &call_url);
        if let PollResult::Found { operation, .. } = &result {
            assert!(operation.phase != Phase::Succeeded || input.is_success(), "a success that the response does not report");
        }
        if id == fixtures::operation_id() {
            fixtures::decision(fixtures::resource(OperationKind::Sync, "Running"), EffectResult::Polled(result));
        }
    }
    match fuzzing::scale_out_list(&input.response, since()) {
        Ok((operations, _)) => operations.iter().for_each(invariants::operation),
        Err(error) => invariants::service_error(&error),
    }
}
