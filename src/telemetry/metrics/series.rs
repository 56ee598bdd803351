//! The label sets of the metrics.

use prometheus_client::encoding::EncodeLabelSet;

use crate::api::Kind;
use crate::telemetry::labels::{
    ActiveState, Answer, EndReason, EndState, ExportResult, Identity, ReconcileResult, Route, Service, Standing, TokenResult, Trigger,
    UnknownSubmission, Write, WriteResult,
};

/// Defines a set of labels, in the order of the output.
macro_rules! labels {
    ($($name:ident { $($label:ident: $type:ty),* $(,)? })+) => {
        $(
            #[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
            pub(super) struct $name { $(pub(super) $label: $type),* }
        )+
    };
}

labels! {
    KindLabel { kind: Kind }
    ReconcileLabels { kind: Kind, result: ReconcileResult }
    StandingLabels { kind: Kind, standing: Standing }
    ActiveLabels { kind: Kind, state: ActiveState }
    TriggerLabels { kind: Kind, trigger: Trigger }
    EndLabels { kind: Kind, state: EndState, reason: EndReason }
    DurationLabels { kind: Kind, state: EndState }
    UnknownLabel { outcome: UnknownSubmission }
    CallLabels { service: Service, route: Route, answer: Answer }
    RouteLabels { service: Service, route: Route }
    ServiceLabel { service: Service }
    TokenLabels { identity: Identity, result: TokenResult }
    IdentityLabel { identity: Identity }
    WatchLabels { kind: Kind, watched_namespace: String }
    WriteLabels { write: Write, result: WriteResult }
    RenewalLabel { result: WriteResult }
    SpanLabel { result: ExportResult }
}

/// The empty set, for a metric that may be absent.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct NoLabel {}
