//! The report of `why`.

use schemars::JsonSchema;
use serde::Serialize;
use tabular_operator::api::Time;

use crate::evidence::{Evidence, Liveness, ResourceEvent};
use crate::facts::{Diagnosis, Unobserved, Verdict, Visible, chain, queues};
use crate::objects::Object;
use crate::output::View;
use crate::report::ResourceReport;
use crate::screens::headline;

/// Why a resource is in its state, and what to do about it.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WhyReport {
    /// The resource.
    pub resource: ResourceReport,
    /// The diagnosis in one sentence.
    pub sentence: String,
    /// Whether a user needs to act: `NeedsAction`, `MayNeedAction`, `Stale`, `Proceeds` or `Fine`.
    pub verdict: String,
    /// Whether nothing proceeds until a user acts, which is exit code 3 of `--exit-code`.
    pub needs_action: bool,
    /// The reason that the diagnosis is about; empty if the operator has not observed the resource, or a change of it.
    pub reason: String,
    /// Whether this version of the plugin knows the reason.
    pub known: bool,
    /// The cause, in one sentence.
    pub cause: String,
    /// The remedy and the details; empty if there are none.
    pub remedy: String,
    /// Commands that show more or fix it. They may end with a comment.
    pub commands: Vec<String>,
    /// What happens next; empty if that is not known.
    pub next: String,
    /// The page of the documentation that has more.
    pub page: String,
    /// What its run waits for. Each item waits for the next one.
    pub waiting_for: Vec<String>,
    /// Whether the resources of all namespaces are included in `waitingFor`.
    pub all_namespaces: bool,
    /// The changes that the operator has not observed.
    pub unobserved: Vec<UnobservedReport>,
    /// The latest events, the newest first. Absent if they cannot be listed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub events: Option<Vec<EventReport>>,
    /// The operator.
    pub operator: OperatorReport,
}

/// A change that the operator has not observed.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UnobservedReport {
    /// What changed.
    pub change: String,
    /// For how many seconds it has not been observed. Absent if that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<i64>,
}

/// An event.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EventReport {
    /// When it happened last.
    pub time: Time,
    /// Whether it is a warning.
    pub warning: bool,
    /// The reason.
    pub reason: String,
    /// The message.
    pub message: String,
}

/// Whether the operator is running, by its Lease.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OperatorReport {
    /// `Running`, `NotRunning`, `Released`, `NotFound` (no Lease), or `Unknown` if the Lease cannot be read.
    pub state: String,
    /// The process that holds the Lease.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub holder: Option<String>,
    /// How many seconds ago it renewed the Lease.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub renewed_seconds_ago: Option<i64>,
}

impl WhyReport {
    /// The report of a diagnosis.
    #[must_use]
    pub fn new(object: &Object, diagnosis: Diagnosis, evidence: Evidence, visible: Visible<'_>, view: &View) -> Self {
        let queues = queues(visible);
        let operator = OperatorReport::from(evidence.operator.liveness(view.now));
        Self {
            resource: ResourceReport::new(object, &queues, view.now),
            sentence: headline(object, &diagnosis),
            verdict: diagnosis.verdict.as_str().to_owned(),
            needs_action: diagnosis.verdict == Verdict::NeedsAction,
            reason: diagnosis.reason,
            known: diagnosis.is_known,
            cause: diagnosis.cause,
            remedy: diagnosis.remedy,
            commands: diagnosis.commands,
            next: diagnosis.next,
            page: diagnosis.page,
            waiting_for: chain(object, &queues, view.now).map(|chain| chain.links).unwrap_or_default(),
            all_namespaces: visible.is_complete,
            unobserved: diagnosis.unobserved.into_iter().map(UnobservedReport::from).collect(),
            events: evidence.events.map(|events| events.into_iter().map(EventReport::from).collect()),
            operator,
        }
    }
}

impl From<Unobserved> for UnobservedReport {
    fn from(change: Unobserved) -> Self {
        Self { change: change.what, seconds: change.seconds }
    }
}

impl From<ResourceEvent> for EventReport {
    fn from(event: ResourceEvent) -> Self {
        Self { time: event.time.into(), warning: event.is_warning, reason: event.reason, message: event.note }
    }
}

impl From<Liveness> for OperatorReport {
    fn from(liveness: Liveness) -> Self {
        let (state, holder, renewed_seconds_ago) = match liveness {
            Liveness::Running(holder, age) => ("Running", Some(holder), Some(age)),
            Liveness::Silent(holder, age) => ("NotRunning", Some(holder), Some(age)),
            Liveness::Released => ("Released", None, None),
            Liveness::Absent => ("NotFound", None, None),
            Liveness::Unknown => ("Unknown", None, None),
        };
        Self { state: state.to_owned(), holder, renewed_seconds_ago }
    }
}
