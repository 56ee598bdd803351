//! The prefix of the metrics, and their label sets.

use prometheus_client::encoding::EncodeLabelSet;

use crate::telemetry::labels::Label;

/// Prefix of all metrics.
pub(super) const PREFIX: &str = "tabular_operator";

/// Defines a set of labels, in the order of the output.
macro_rules! labels {
    ($($name:ident { $($label:ident),* })+) => {
        $(
            #[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
            pub(super) struct $name { $(pub(super) $label: Label),* }
        )+
    };
}

labels! {
    KindLabel { kind }
    ReconcileLabels { kind, result }
    ResourceLabels { kind, status }
    StateLabels { kind, state }
    TriggerLabels { kind, trigger }
    EndLabels { kind, state, reason }
    ResolutionLabel { outcome }
    CallLabels { service, operation, code }
    OperationLabels { service, operation }
    ServiceLabel { service }
    TokenLabels { identity, result }
    IdentityLabel { identity }
    WriteLabels { write, result }
    ResultLabel { result }
    CollectionLabel { collection }
    NoLabel {}
}

/// The labels of a watch. The operator's settings name the namespace, or it is `*`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct WatchLabels {
    pub(super) kind: Label,
    pub(super) watched_namespace: String,
}
