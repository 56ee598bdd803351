//! Events and log lines about writes that the API server refuses because of their content. The status cannot report them.

use kube::api::ObjectMeta;

use super::context::Context;
use crate::api::{Kind, Reason};
use crate::controller::cluster::timeout::ApiError;
use crate::engine::{Event, sentence};
use crate::telemetry::labels::Write;

/// Reports a refused write to a resource, unless such a refusal was reported recently: the write is retried repeatedly.
pub(crate) fn report(ctx: &Context, (kind, object): (Kind, &ObjectMeta), write: Write, error: &ApiError) {
    let (namespace, name, uid) = (object.namespace.as_deref(), object.name.as_deref(), object.uid.as_deref());
    if ctx.store.local_states.should_report_write(uid.unwrap_or_default(), write, error.status()) {
        let message = message(write, error.message().unwrap_or_default());
        tracing::warn!(kind = kind.as_str(), namespace, name, uid, "{message}");
        ctx.events.publish(kind, object, &Event { reason: Reason::WriteRefused, message });
    }
}

fn message(write: Write, denial: &str) -> String {
    let what = match write {
        Write::Status => "the status",
        Write::Finalizer => "the finalizer",
        Write::Annotation => "an annotation",
        Write::Event => "an event",
    };
    let remedy = "change the admission policy, webhook or permission that refuses it; the operator retries at least once a minute";
    // Bounded so that the remedy is not cut off.
    let denial: String = sentence(denial).chars().take(400).collect();
    format!("the Kubernetes API refuses the write of {what}: {denial}: {remedy}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_has_plain_refusal_and_remedy() {
        let denial = message(Write::Status, "policy 'no-status' denied request:\u{202e}\n\u{1b}[31mread only");
        assert!(denial.starts_with("the Kubernetes API refuses the write of the status: policy 'no-status' denied request:"), "{denial}");
        assert!(!denial.contains(['\u{202e}', '\n', '\u{1b}']) && denial.ends_with("at least once a minute"), "{denial}");
        assert!(message(Write::Finalizer, &"ü".repeat(5_000)).len() <= 1_024);
    }
}
