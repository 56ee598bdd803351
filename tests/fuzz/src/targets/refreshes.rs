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

use crate::response::Answer;
use crate::{fixtures, invariants};

const SERVICES: [ServiceKind; 2] = [ServiceKind::AnalysisServices, ServiceKind::PowerBi];

fn called() -> Url {
    Url::parse("https://westus.asazure.windows.net/servers/sales/models/Orders/refreshes").unwrap()
}

/// The answer to `GET refreshes/<id>`: bounded, about the operation that was asked for, and no success is made up.
pub fn look(input: &[u8]) {
    let Some(answer) = Answer::parse(input) else { return };
    let running = fixtures::resource(OperationKind::Refresh, "Running");
    for service in SERVICES {
        let seen = fuzzing::look(service, &answer.heard, &fixtures::operation_id());
        invariants::look(&seen, &fixtures::operation_id(), &called());
        let ended_well = matches!(&seen, PollResult::Found { operation, .. } if operation.phase == Phase::Succeeded);
        if ended_well {
            assert!(answer.done() && !answer.faulty && says_success(answer.body), "a success that nobody told");
        }
        let decision = fixtures::decided(running, Observation::Polled(seen));
        let state = decision.status.run.map(|run| run.state);
        assert!(ended_well || state != Some(RunState::Succeeded), "a run that succeeded by itself");
    }
}

/// Whether a word for success stands in a body, or could: an escape may spell anything.
fn says_success(body: &[u8]) -> bool {
    let body = String::from_utf8_lossy(body).to_ascii_lowercase();
    ["succeeded", "completed", "\\u"].iter().any(|word| body.contains(word))
}

/// The answer to `POST refreshes`: only an answer that is certain says that nothing was started.
pub fn submission(input: &[u8]) {
    let Some(answer) = Answer::parse(input) else { return };
    let submitting = fixtures::resource(OperationKind::Refresh, "Submitting");
    for service in SERVICES {
        let told = fuzzing::submission(service, &answer.heard, &called());
        invariants::submission(&told, &called());
        match (&told, answer.status) {
            (Submission::Accepted { .. }, 200..=299) | (Submission::Unknown { .. }, _) => {}
            (Submission::Deferred { .. }, _) => panic!("no response says what the operator did not send: {told:?}"),
            (Submission::Accepted { .. } | Submission::NothingToDo { .. }, status) => panic!("accepted by {status}: {told:?}"),
            (Submission::NotStarted(_) | Submission::Busy { .. }, ..=299 | 303 | 408 | 425) => panic!("refused for certain: {told:?}"),
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
            (Submission::Busy { .. }, 500..) => panic!("busy for certain: {told:?}"),
            (Submission::NotStarted(_) | Submission::Busy { .. }, 300..=499) => {}
        }
        fixtures::decided(submitting, Observation::Submission(told));
    }
}

/// The answer to `DELETE refreshes/<id>`: whatever it says, it is no end.
pub fn cancellation(input: &[u8]) {
    let Some(answer) = Answer::parse(input) else { return };
    let cancelling = fixtures::resource(OperationKind::Refresh, "Cancelling");
    for service in SERVICES {
        let told = fuzzing::cancellation(service, &answer.heard);
        match &told {
            CancelResult::Accepted => assert!(answer.done()),
            CancelResult::NotRunning => assert!(!answer.done()),
            CancelResult::Failed(met) => invariants::service_error(met),
        }
        invariants::service_error(&fuzzing::no_listing(service, &answer.heard));
        let decision = fixtures::decided(cancelling, Observation::CancelRequested(told));
        assert!(!decision.status.run.unwrap().state.ended(), "only a look ends a run");
    }
}

/// The list of refreshes: the same whatever pieces it comes in, and nothing that runs is left out without saying so.
pub fn listing(input: &[u8]) {
    let since: Timestamp = "2026-11-22T08:00:00Z".parse().unwrap();
    for service in SERVICES {
        listing_of(service, input, since);
    }
}

fn listing_of(service: ServiceKind, input: &[u8], since: Timestamp) {
    let window = (since, Timestamp::MIN);
    let whole = fuzzing::listing(service, [input], window, None);
    let bytes = fuzzing::listing(service, input.chunks(1), window, None);
    let pieces = fuzzing::listing(service, input.chunks(1 + input.len() % 37), window, None);
    assert!(whole == bytes && whole == pieces, "the pieces count");
    let rows = plain_rows(input);
    let Some(Listed { listing, rows: count, complete }) = whole else {
        assert!(rows.is_none_or(|rows| rows.iter().any(odd)), "a list that is not read");
        return;
    };
    let operations = &listing.operations;
    assert!(operations.len() <= 50);
    operations.iter().for_each(invariants::operation);
    if let Some(rows) = rows.filter(|rows| !rows.iter().any(odd)) {
        assert!(complete, "a whole list that is cut short");
        assert_eq!(count, rows.len());
        let shown = |id: &OperationId| operations.iter().any(|operation| operation.id.same(id.as_str()));
        let lost = rows.iter().filter_map(running).find(|id| !shown(id));
        assert!(listing.truncated || lost.is_none(), "{lost:?} runs, and is left out");
    }
    let clock_skew = Some(ClockSkew::of(invariants::now(), (invariants::now(), invariants::now())));
    let listing = Listing { clock_skew, ..listing };
    let submitting = fixtures::resource(OperationKind::Refresh, "Submitting");
    fixtures::decided(
        submitting,
        Observation::Listed { kind: OperationKind::Refresh, result: Ok(listing), claimed: ClaimedOperations::default() },
    );
}

/// The rows of a plain list of objects, read by another reader.
fn plain_rows(input: &[u8]) -> Option<Vec<serde_json::Map<String, Value>>> {
    serde_json::from_slice(input).ok()
}

/// Whether a row is none that the operator need read: too long, or with a field twice but for upper and lower case.
fn odd(row: &serde_json::Map<String, Value>) -> bool {
    let names: BTreeSet<String> = row.keys().map(|name| name.to_ascii_lowercase()).collect();
    names.len() < row.len() || row.iter().map(|(name, value)| name.len() + value.to_string().len()).sum::<usize>() > 10_000
}

/// The id of a row that says no end.
fn running(row: &serde_json::Map<String, Value>) -> Option<OperationId> {
    let field = |name: &str| row.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value);
    if field("status").is_some() || field("extendedStatus").is_some() {
        return None;
    }
    OperationId::parse(field("refreshId")?.as_str()?)
}
