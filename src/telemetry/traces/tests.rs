//! Tests of trace and span ids.

use super::*;

fn subject(uid: &str, run: i32) -> RunSpan {
    let (namespace, name) = ("bi".to_owned(), "one".to_owned());
    RunSpan { kind: Kind::ModelRefresh, namespace, name, uid: uid.to_owned(), run, operation: None, activity: None }
}

#[test]
fn trace_id_of_a_run_is_stable() {
    let id = subject("6f9d0d3e-6f6c-4a0f-9d5b-000000000001", 4).trace();
    assert_eq!(id, RunSpan { name: "renamed".to_owned(), ..subject("6f9d0d3e-6f6c-4a0f-9d5b-000000000001", 4) }.trace());
    assert_ne!(id, subject("6f9d0d3e-6f6c-4a0f-9d5b-000000000001", 5).trace());
    assert_ne!(id, subject("6f9d0d3e-6f6c-4a0f-9d5b-000000000002", 4).trace());
    // A literal, because an operator of another version must derive the same id.
    assert_eq!(id.to_string(), "8323c8a58fffa8ee85484f1567ed1e6e");
    let one = subject("a", 1);
    let spans = [Part::Run, Part::Waiting, Part::Operation(1), Part::Operation(2)].map(|part| one.span(part));
    for (index, span) in spans.iter().enumerate() {
        assert!(!spans[..index].contains(span));
    }
}

#[tokio::test]
async fn disabled_traces_record_nothing() {
    let traces = Traces::off();
    let unused = || -> RunSpan { unreachable!("the subject must not be evaluated") };
    assert!(traces.in_run(unused, async { CURRENT_RUN.try_with(|_| ()).is_err() }).await);
    assert_eq!(traces.trace_of(&subject("a", 1)), None);
}
