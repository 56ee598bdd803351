//! The answers about refreshes, of both services.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::Value;
use tabular_operator::api::RunState;
use tabular_operator::azure::fuzzing::{self, Listed};
use tabular_operator::engine::{ClaimedOperations, Observation};
use tabular_operator::operation::{
    CancelResult, ClockSkew, Listing, OperationId, OperationKind, Phase, PollResult, ServiceErrorKind, ServiceKind, Submission,
};
use url::Url;

use crate::response::ResponseInput;
use crate::{fixtures, invariants};

const SERVICES: [ServiceKind; 2] = [ServiceKind::AnalysisServices, ServiceKind::PowerBi];

fn called() -> Url {
    Url::parse("https://westus.asazure.windows.net/servers/sales/models/Orders/refreshes").unwrap()
}

/// The answer to `GET refreshes/<id>`: bounded, about the operation that was asked for, and no success is made up.
pub fn poll(input: &[u8]) {
    let Some(input) = ResponseInput::parse(input) else { return };
    let running = fixtures::resource(OperationKind::Refresh, "Running");
    for service in SERVICES {
        let result = fuzzing::poll_result(service, &input.response, &fixtures::operation_id());
        invariants::poll_result(&result, &fixtures::operation_id(), &called());
        let has_succeeded = matches!(&result, PollResult::Found { operation, .. } if operation.phase == Phase::Succeeded);
        if has_succeeded {
            assert!(input.is_success() && !input.has_body_fault && mentions_success(input.body), "a success that nobody told");
        }
        let decision = fixtures::decision(running, Observation::Polled(result));
        let state = decision.status.run.map(|run| run.state);
        assert!(has_succeeded || state != Some(RunState::Succeeded), "a run that succeeded by itself");
    }
}

/// Whether a word for success stands in a body, or could: an escape may spell anything.
fn mentions_success(body: &[u8]) -> bool {
    let body = String::from_utf8_lossy(body).to_ascii_lowercase();
    ["succeeded", "completed", "\\u"].iter().any(|word| body.contains(word))
}

/// The answer to `POST refreshes`: only an answer that is certain says that nothing was started.
pub fn submission(input: &[u8]) {
    let Some(input) = ResponseInput::parse(input) else { return };
    let submitting = fixtures::resource(OperationKind::Refresh, "Submitting");
    for service in SERVICES {
        let submission = fuzzing::submission(service, &input.response, &called());
        invariants::submission(&submission, &called());
        match (&submission, input.status) {
            (Submission::Accepted { .. }, 200..=299) | (Submission::Unknown { .. }, _) => {}
            (Submission::Deferred { .. }, _) => panic!("no response says what the operator did not send: {submission:?}"),
            (Submission::Accepted { .. } | Submission::NothingToDo { .. }, status) => panic!("accepted by {status}: {submission:?}"),
            (Submission::NotStarted(_) | Submission::Busy { .. }, ..=299 | 303 | 408 | 425) => {
                panic!("refused for certain: {submission:?}")
            }
            // Only where the service says itself why it cannot.
            (Submission::NotStarted(error), 500..) => {
                let own = [
                    ServiceErrorKind::Paused,
                    ServiceErrorKind::NotFound,
                    ServiceErrorKind::AccessDenied,
                    ServiceErrorKind::CapacityExceeded,
                ]
                .contains(&error.kind);
                assert!(own, "refused for certain: {error:?}");
            }
            (Submission::Busy { .. }, 500..) => panic!("busy for certain: {submission:?}"),
            (Submission::NotStarted(_) | Submission::Busy { .. }, 300..=499) => {}
        }
        fixtures::decision(submitting, Observation::Submission(submission));
    }
}

/// The answer to `DELETE refreshes/<id>`: whatever it says, it is no end.
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
        let decision = fixtures::decision(cancelling, Observation::CancelRequested(result));
        assert!(!decision.status.run.unwrap().state.ended(), "only a look ends a run");
    }
}

/// The list of refreshes: the same whatever pieces it comes in, and nothing that runs is left out without saying so.
pub fn list(input: &[u8]) {
    let since: Timestamp = "2026-11-22T08:00:00Z".parse().unwrap();
    for service in SERVICES {
        list_of(service, input, since);
    }
}

fn list_of(service: ServiceKind, input: &[u8], since: Timestamp) {
    let window = (since, Timestamp::MIN);
    let whole = fuzzing::listing(service, [input], window, None);
    let bytes = fuzzing::listing(service, input.chunks(1), window, None);
    let pieces = fuzzing::listing(service, input.chunks(1 + input.len() % 37), window, None);
    assert!(whole == bytes && whole == pieces, "the pieces count");
    let rows = reference_rows(input);
    let Some(Listed { listing, rows: count, complete }) = whole else {
        assert!(rows.is_none_or(|rows| rows.iter().any(is_excluded)), "a list that is not read");
        return;
    };
    let operations = &listing.operations;
    assert!(operations.len() <= 50);
    operations.iter().for_each(invariants::operation);
    if let Some(rows) = rows.filter(|rows| !rows.iter().any(is_excluded)) {
        assert!(complete, "a whole list that is cut short");
        assert_eq!(count, rows.len());
        let shown = |id: &OperationId| operations.iter().any(|operation| operation.id.same(id.as_str()));
        let lost = rows.iter().filter_map(running_id).find(|id| !shown(id));
        assert!(listing.truncated || lost.is_none(), "{lost:?} runs, and is left out");
    }
    let clock_skew = Some(ClockSkew::of(invariants::now(), (invariants::now(), invariants::now())));
    let listing = Listing { clock_skew, ..listing };
    let submitting = fixtures::resource(OperationKind::Refresh, "Submitting");
    fixtures::decision(
        submitting,
        Observation::Listed { kind: OperationKind::Refresh, result: Ok(listing), claimed: ClaimedOperations::default() },
    );
}

/// The rows of a plain list of objects, read by another reader.
fn reference_rows(input: &[u8]) -> Option<Vec<serde_json::Map<String, Value>>> {
    serde_json::from_slice(input).ok()
}

/// Whether a row is none that the operator need read: too long, or with a field twice but for upper and lower case.
fn is_excluded(row: &serde_json::Map<String, Value>) -> bool {
    let names: BTreeSet<String> = row.keys().map(|name| name.to_ascii_lowercase()).collect();
    names.len() < row.len() || row.iter().map(|(name, value)| name.len() + value.to_string().len()).sum::<usize>() > 10_000
}

/// The id of a row that says no end.
fn running_id(row: &serde_json::Map<String, Value>) -> Option<OperationId> {
    let field = |name: &str| row.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value);
    if field("status").is_some() || field("extendedStatus").is_some() {
        return None;
    }
    OperationId::parse(field("refreshId")?.as_str()?)
}
