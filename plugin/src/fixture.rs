//! Resources for the tests of the screens.

#![allow(clippy::needless_pass_by_value, reason = "the values are literals")]

use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use kube::api::DynamicObject;
use kube::client::Body;
use kube::{Client, Resource as _};
use screen::{Line, text_of};
use serde_json::{Value, json};
use tabular_operator::api::Kind;

use crate::connect::Connection;
use crate::facts::Visible;
use crate::objects::Object;
use crate::output::View;

/// The time of the tests: 22:09:12 in Rome.
pub(crate) const NOW: &str = "2026-11-29T21:09:12Z";

/// A view at [`NOW`] in Rome.
pub(crate) fn view(width: Option<usize>) -> View {
    let zone = TimeZone::get("Europe/Rome").unwrap();
    View { now: at(NOW), zone, utc: false, width, wide: false, flags: String::new() }
}

/// A time.
pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A refresh on an Analysis Services model in the namespace `bi`, with these fields in its spec and its status.
pub(crate) fn refresh(name: &str, database: &str, spec: Value, status: Value) -> Object {
    let mut whole = json!({
        "model": {"analysisServices": {"server": "asazure://westus.asazure.windows.net/myserver", "database": database}},
    });
    whole.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    object(Kind::ModelRefresh, name, whole, status)
}

/// A resource in the namespace `bi`.
pub(crate) fn object(kind: Kind, name: &str, spec: Value, status: Value) -> Object {
    let mut status = status;
    if let Some(fields) = status.as_object_mut() {
        fields.entry("observedGeneration").or_insert(json!(1));
    }
    let metadata = json!({"name": name, "namespace": "bi", "uid": name, "creationTimestamp": "2026-11-01T00:00:00Z"});
    object_with(kind, &metadata, &spec, &status)
}

/// A resource with this metadata.
pub(crate) fn object_with(kind: Kind, metadata: &Value, spec: &Value, status: &Value) -> Object {
    let whole = json!({
        "apiVersion": "tabular-operator.dev/v1alpha1", "kind": kind.as_str(), "metadata": metadata, "spec": spec, "status": status,
    });
    let resource: DynamicObject = serde_json::from_value(whole).unwrap();
    Object::parse(kind, resource).unwrap()
}

/// A run on the same model, with these fields.
pub(crate) fn run(database: &str, fields: Value) -> Value {
    let mut run = json!({
        "number": 41, "attempt": 1, "requestDigest": "d", "message": "",
        "trigger": {"type": "Schedule", "value": "2026-11-29T21:00:00Z"},
        "model": {"analysisServices": {"server": "asazure://westus.asazure.windows.net/myserver", "database": database}},
        "requestedTime": "2026-11-29T21:00:00Z",
    });
    run.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    run
}

/// A condition.
pub(crate) fn condition(kind: &str, status: &str, reason: &str, message: &str) -> Value {
    json!({
        "type": kind, "status": status, "reason": reason, "message": message, "observedGeneration": 1,
        "lastTransitionTime": "2026-11-29T21:00:00Z",
    })
}

/// An ended run of the history.
pub(crate) fn ended(number: i32, ended: &str, state: &str, seconds: i64, message: &str) -> Value {
    json!({
        "number": number, "attempts": 1, "state": state, "endedTime": ended, "durationSeconds": seconds, "message": message,
        "trigger": {"type": "Schedule", "value": ""}, "requestDigest": "d",
    })
}

/// These resources, as those of all namespaces.
pub(crate) fn visible(objects: &[Object]) -> Visible<'_> {
    Visible { objects, is_complete: true }
}

/// A connection to an API server that responds to each path and query with a status code and a body.
pub(crate) fn connection(respond: impl Fn(&str) -> (u16, Value) + Send + Sync + 'static) -> Connection {
    connection_at("", respond)
}

/// The same, with a date in each response.
pub(crate) fn connection_at(date: &'static str, respond: impl Fn(&str) -> (u16, Value) + Send + Sync + 'static) -> Connection {
    let respond = Arc::new(respond);
    let service = tower::service_fn(move |request: http::Request<Body>| {
        let (code, body) = respond(&request.uri().to_string());
        let response = http::Response::builder().status(code).header("date", date).body(Body::from(body.to_string().into_bytes()));
        std::future::ready(response)
    });
    Connection { client: Client::new(service, "bi"), namespace: "bi".to_owned(), timeout: None }
}

/// A resource as the API server returns it.
pub(crate) fn item(object: &Object) -> Value {
    let mut item = object.data.clone();
    item["metadata"] = serde_json::to_value(object.resource.meta()).unwrap();
    item
}

/// A list of these resources of one kind.
pub(crate) fn list(objects: &[&Object]) -> Value {
    json!({"metadata": {"resourceVersion": "7"}, "items": objects.iter().map(|object| item(object)).collect::<Vec<_>>()})
}

/// The refusal of a verb on a resource by RBAC.
pub(crate) fn denial(verb: &str, resource: &str) -> (u16, Value) {
    let message = format!("{resource} is forbidden: User \"me\" cannot {verb} resource \"{resource}\"");
    (403, json!({"kind": "Status", "status": "Failure", "code": 403, "reason": "Forbidden", "message": message}))
}

/// The response of an API server that may have performed a request.
pub(crate) fn lost() -> (u16, Value) {
    (504, json!({"kind": "Status", "status": "Failure", "code": 504, "reason": "Timeout", "message": "request did not complete"}))
}

/// The lines without styles.
pub(crate) fn text(lines: &[Line]) -> String {
    lines.iter().map(text_of).collect::<Vec<_>>().join("\n")
}
