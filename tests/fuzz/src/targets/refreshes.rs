//! The responses of both services about refreshes.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::Value;
use tabular_operator::api::RunState;
use tabular_operator::azure::fuzzing::{self, ParsedList};
use tabular_operator::engine::{ClaimedOperations, EffectResult};
use tabular_operator::operation::{
    CancelResult, ClockSkew, Listing, OperationId, OperationKind, Phase, PollResult, ServiceErrorKind, ServiceKind, SubmitResult,
};
use url::Url;

use crate::response::ResponseInput;
use crate::{fixtures, invariants};

const SERVICES: [ServiceKind; 2] = [ServiceKind::AnalysisServices, ServiceKind::PowerBi];

fn call_url() -> Url {
    Url::parse("https://westus.asazure.windows.net/servers/sales/models/Orders/refreshes").unwrap()
}

/// The response to `GET refreshes/<id>`. The result is bounded and is the requested operation. A success is never invented.
pub fn poll(input: &[u8]) {
    let Some(input) = ResponseInput::parse(input) else { return };
    let running = fixtures::resource(OperationKind::Refresh, "Running");
    for service in SERVICES {
        let result = fuzzing::poll_result(service, &input.response, &fixtures::operation_id());
        invariants::poll_result(&result, &fixtures::operation_id(), &call_url());
        let has_succeeded = matches!(&result, PollResult::Found { operation, .. } if operation.phase == Phase::Succeeded);
        if has_succeeded {
            assert!(
                input.is_success() && !input.has_body_fault && mentions_success(input.body),
                "a success that the response does not report"
            );
        }
        let decision = fixtures::decision(running, EffectResult::Polled(result));
        let state = decision.status.run.map(|run| run.state);
        assert!(has_succeeded || state != Some(RunState::Succeeded), "a run that succeeded without a successful operation");
    }
}

/// Whether a body contains a status for success or an escape, which can encode any status.
fn mentions_success(body: &[u8]) -> bool {
    let body = String::from_utf8_lossy(body).to_ascii_lowercase();
    ["succeeded", "completed", "\\u"].iter().any(|text| body.contains(text))
}

/// The response to `POST refreshes`. Only a conclusive response means that no refresh was started.
pub fn submission(input: &[u8]) {
    let Some(input) = ResponseInput::parse(input) else { return };
    let submitting = fixtures::resource(OperationKind::Refresh, "Submitting");
    for service in SERVICES {
        let submission = fuzzing::submission(service, &input.response, &call_url());
        invariants::submission(&submission, &call_url());
        match (&submission, input.status) {
            (SubmitResult::Accepted { .. }, 200..=299) | (SubmitResult::Unknown { .. }, _) => {}
            (SubmitResult::Deferred { .. }, _) => panic!("a response to a request that was deferred: {submission:?}"),
            (SubmitResult::Accepted { .. } | SubmitResult::NothingToDo { .. }, status) => {
                panic!("accepted with status {status}: {submission:?}")
            }
            (SubmitResult::NotStarted(_) | SubmitResult::Busy { .. }, ..=299 | 303 | 408 | 425 | 460 | 499) => {
                panic!("refused by an inconclusive response: {submission:?}")
            }
            // Conclusive only if the service itself reports one of these causes.
            (SubmitResult::NotStarted(error), 500..) => {
                let own = [
                    ServiceErrorKind::Paused,
                    ServiceErrorKind::NotFound,
                    ServiceErrorKind::AccessDenied,
                    ServiceErrorKind::CapacityExceeded,
                ]
                .contains(&error.kind);
                assert!(own, "refused by an inconclusive response: {error:?}");
            }
            (SubmitResult::Busy { .. }, 500..) => panic!("busy by an inconclusive response: {submission:?}"),
            (SubmitResult::NotStarted(_) | SubmitResult::Busy { .. }, 300..=499) => {}
        }
        fixtures::decision(submitting, EffectResult::Submitted(submission));
    }
}

/// The response to `DELETE refreshes/<id>`, which never ends a run.
pub fn cancellation(input: &[u8]) {
    let Some(input) = ResponseInput::parse(input) else { return };
    let cancelling = fixtures::resource(OperationKind::Refresh, "Cancelling");
    for service in SERVICES {
        let result = fuzzing::cancel_result(service, &input.response);
        match &result {
            CancelResult::Accepted => assert!(input.is_success()),
            CancelResult::NotRunning => assert!(!input.is_success()),
            CancelResult::Failed(error) => invariants::service_error(error),
        }
        invariants::service_error(&fuzzing::list_error(service, &input.response));
        let decision = fixtures::decision(cancelling, EffectResult::CancelRequested(result));
        assert!(!decision.status.run.unwrap().state.ended(), "a cancel response ended the run");
    }
}

/// The list of refreshes. The result does not depend on the chunks of the body. A list in which a running refresh is missing is marked as
/// truncated.
pub fn list(input: &[u8]) {
    let since: Timestamp = "2026-11-22T08:00:00Z".parse().unwrap();
    for service in SERVICES {
        list_of(service, input, since);
    }
}

fn list_of(service: ServiceKind, input: &[u8], since: Timestamp) {
    let window = (since, Timestamp::MIN);
    let whole = fuzzing::list_rows(service, [input], window, None);
    let bytes = fuzzing::list_rows(service, input.chunks(1), window, None);
    let pieces = fuzzing::list_rows(service, input.chunks(1 + input.len() % 37), window, None);
    assert!(whole == bytes && whole == pieces, "the result depends on the chunks");
    let rows = reference_rows(input);
    let Some(ParsedList { listing, rows: count, complete }) = whole else {
        assert!(rows.is_none_or(|rows| rows.iter().any(is_excluded)), "a valid list was not parsed");
        return;
    };
    let operations = &listing.operations;
    assert!(operations.len() <= 50);
    operations.iter().for_each(invariants::operation);
    if let Some(rows) = rows.filter(|rows| !rows.iter().any(is_excluded)) {
        assert!(complete, "a complete list is marked as incomplete");
        assert_eq!(count, rows.len());
        let is_listed = |id: &OperationId| operations.iter().any(|operation| operation.id.eq_ignoring_case(id.as_str()));
        let is_expected = |row: &&serde_json::Map<String, Value>| !may_be_outdated(service, row);
        let missing = rows.iter().filter(is_expected).filter_map(running_id).find(|id| !is_listed(id));
        assert!(listing.truncated || missing.is_none(), "running refresh {missing:?} is missing in a complete list");
    }
    let clock_skew = Some(ClockSkew::of(invariants::now(), (invariants::now(), invariants::now())));
    let listing = Listing { clock_skew, ..listing };
    let submitting = fixtures::resource(OperationKind::Refresh, "Submitting");
    fixtures::decision(
        submitting,
        EffectResult::Listed { kind: OperationKind::Refresh, result: Ok(listing), claimed: ClaimedOperations::default() },
    );
}

/// The rows of a plain list of objects, parsed by `serde_json`.
fn reference_rows(input: &[u8]) -> Option<Vec<serde_json::Map<String, Value>>> {
    serde_json::from_slice(input).ok()
}

/// Whether the operator may skip a row: it is too long, or two of its fields differ only in case.
fn is_excluded(row: &serde_json::Map<String, Value>) -> bool {
    let names: BTreeSet<String> = row.keys().map(|name| name.to_ascii_lowercase()).collect();
    names.len() < row.len() || row.iter().map(|(name, value)| name.len() + value.to_string().len()).sum::<usize>() > 10_000
}

/// Whether another row may show that this refresh has ended: Power BI shows the type of each refresh.
fn may_be_outdated(service: ServiceKind, row: &serde_json::Map<String, Value>) -> bool {
    service == ServiceKind::PowerBi && row.keys().any(|name| name.eq_ignore_ascii_case("refreshType"))
}

/// The id of a row without a status, which counts as running.
fn running_id(row: &serde_json::Map<String, Value>) -> Option<OperationId> {
    let field = |name: &str| row.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value);
    if field("status").is_some() || field("extendedStatus").is_some() {
        return None;
    }
    OperationId::parse(field("refreshId")?.as_str()?)
}
