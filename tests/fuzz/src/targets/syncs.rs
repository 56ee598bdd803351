//! The answers about synchronisations, of both services.

use jiff::Timestamp;
use tabular_operator::azure::fuzzing;
use tabular_operator::engine::{ClaimedOperations, Observation};
use tabular_operator::operation::{ClockSkew, Listing, OperationId, OperationKind, OperationRef, Phase, PollResult, Submission};
use url::Url;

use crate::response::Answer;
use crate::{fixtures, invariants};

fn called() -> Url {
    Url::parse("https://westus.asazure.windows.net/servers/sales:rw/models/Orders/sync").unwrap()
}

fn since() -> Timestamp {
    "2026-11-22T08:00:00Z".parse().unwrap()
}

/// Analysis Services, `GET sync`: a success is told with 2xx, and the next address is on the same host.
pub fn look(input: &[u8]) {
    let Some(answer) = Answer::parse(input) else { return };
    let running = fixtures::resource(OperationKind::Sync, "Running");
    let of_the_call = OperationId::parse(&format!("request-{}", fixtures::OPERATION)).unwrap();
    for (asked, named) in [(fixtures::operation_id(), false), (fixtures::operation_id(), true), (of_the_call, true)] {
        let seen = fuzzing::sync_look(&answer.heard, &called(), &asked, named);
        invariants::look(&seen, &asked, &called());
        if let PollResult::Found { operation, location, .. } = &seen {
            assert!(operation.phase != Phase::Succeeded || (answer.done() && !answer.faulty), "a success that nobody told");
            let operation_ref = OperationRef { id: asked.clone(), location: location.clone() };
            assert_eq!(fuzzing::stored_location(&operation_ref, &called()).map(String::from), *location, "what is kept can be used");
        }
        if asked == fixtures::operation_id() {
            fixtures::decided(running, Observation::Polled(seen));
        }
    }
}

/// Analysis Services, `POST sync`.
pub fn submission(input: &[u8]) {
    let Some(answer) = Answer::parse(input) else { return };
    let told = fuzzing::sync_submission(&answer.heard, &called());
    invariants::submission(&told, &called());
    match &told {
        Submission::Accepted { .. } | Submission::NothingToDo { .. } => assert!(answer.done(), "{told:?}"),
        Submission::NotStarted(_) | Submission::Busy { .. } => assert!(!answer.done(), "{told:?}"),
        Submission::Deferred { .. } => panic!("no response says what the operator did not send: {told:?}"),
        Submission::Unknown { .. } => {}
    }
    fixtures::decided(fixtures::resource(OperationKind::Sync, "Submitting"), Observation::Submission(told));
}

/// Analysis Services, `GET sync` without an id.
pub fn listing(input: &[u8]) {
    let Some(answer) = Answer::parse(input) else { return };
    let listed = fuzzing::sync_listing(&answer.heard, since());
    let result = match listed {
        Ok((operations, truncated)) => {
            assert!(operations.len() <= 50);
            operations.iter().for_each(invariants::operation);
            let clock_skew = answer.heard.server_time().map(|server| ClockSkew::of(server, (invariants::now(), invariants::now())));
            Ok(Listing { operations, truncated, may_hide_running: truncated, unnamed: None, clock_skew })
        }
        Err(met) => {
            invariants::service_error(&met);
            Err(met)
        }
    };
    let submitting = fixtures::resource(OperationKind::Sync, "Submitting");
    fixtures::decided(submitting, Observation::Listed { kind: OperationKind::Sync, result, claimed: ClaimedOperations::default() });
}

/// Power BI, all that is said of query scale-out: what is accepted can be looked at by the id that was made for it.
pub fn scale_out(input: &[u8]) {
    let Some(answer) = Answer::parse(input) else { return };
    let called = Url::parse("https://api.powerbi.com/v1.0/myorg/groups/g/datasets/d/queryScaleOut/sync").unwrap();
    let told = fuzzing::scale_out_submission(&answer.heard, since());
    invariants::submission(&told, &called);
    let mut asked = vec![fixtures::operation_id(), OperationId::parse("scaleout-12-1795420800000").unwrap()];
    if let Submission::Accepted { id, location, .. } = &told {
        assert!(answer.done() && location.is_none() && id.as_str().starts_with("scaleout-"), "{told:?}");
        asked.push(id.clone());
    }
    fixtures::decided(fixtures::resource(OperationKind::Sync, "Submitting"), Observation::Submission(told));
    for id in asked {
        let seen = fuzzing::scale_out_look(&answer.heard, &id);
        invariants::look(&seen, &id, &called);
        if let PollResult::Found { operation, .. } = &seen {
            assert!(operation.phase != Phase::Succeeded || answer.done(), "a success that nobody told");
        }
        if id == fixtures::operation_id() {
            fixtures::decided(fixtures::resource(OperationKind::Sync, "Running"), Observation::Polled(seen));
        }
    }
    match fuzzing::scale_out_listing(&answer.heard, since()) {
        Ok((operations, _)) => operations.iter().for_each(invariants::operation),
        Err(met) => invariants::service_error(&met),
    }
}
