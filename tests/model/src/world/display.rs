//! The description of an action in a trace.

use std::fmt;

use super::{Action, RequestOutcome, Visibility};

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |operator: &usize| char::from(b'A' + u8::try_from(*operator).unwrap_or(25));
        match self {
            Self::Reconcile { operator, resource, age: 0 } => write!(f, "operator {} reconciles resource {resource}", name(operator)),
            Self::Reconcile { operator, resource, age } => {
                write!(f, "operator {} reconciles a stale view of resource {resource}, {age} version(s) old", name(operator))
            }
            Self::Deliver { operator, resource } => {
                write!(f, "operator {} receives the response for resource {resource}", name(operator))
            }
            Self::Abandon { operator, resource } => {
                write!(f, "operator {} abandons its reconciliation of resource {resource}", name(operator))
            }
            Self::PerformLateWrite { write } => write!(f, "late write {write} of a status is performed"),
            Self::Perform { operator, resource, outcome } => {
                let outcome = match outcome {
                    RequestOutcome::Done => String::new(),
                    RequestOutcome::LostBefore => ": lost before it is performed".to_owned(),
                    RequestOutcome::LostAfter => ": performed, and the response is lost".to_owned(),
                    RequestOutcome::Late => ": no response, and it is still on its way".to_owned(),
                    RequestOutcome::Refused(kind) => format!(": refused ({kind:?})"),
                    RequestOutcome::NotPrepared => ": cannot be prepared, the Secret is missing".to_owned(),
                    RequestOutcome::Rejected(rejection) => format!(": rejected ({rejection:?})"),
                    RequestOutcome::Slow(by) => format!(": takes {by} s"),
                    RequestOutcome::TimedOut => ": its timeout passes".to_owned(),
                    RequestOutcome::ShownAs(appearance) => format!(": the service shows the operator's own operations as {appearance:?}"),
                };
                write!(f, "operator {} continues with resource {resource}{outcome}", name(operator))
            }
            Self::Crash { operator } => write!(f, "operator {} is killed", name(operator)),
            Self::Start { operator } => write!(f, "operator {} starts", name(operator)),
            Self::Renew { operator, confirmed } => {
                write!(f, "operator {} renews the Lease{}", name(operator), if *confirmed { "" } else { ", and the response is lost" })
            }
            Self::AcquireLease { operator } => write!(f, "operator {} acquires the Lease", name(operator)),
            Self::Exit { operator } => write!(f, "operator {} exits because its Lease has expired, and restarts", name(operator)),
            Self::EndOperation { op, phase } => write!(f, "op-{op} ends: {phase:?}"),
            Self::ShowOperation { op } => write!(f, "the service starts to show op-{op}"),
            Self::LoseOperation { op } => write!(f, "the service loses op-{op}"),
            Self::DeliverSubmission { submission } => write!(f, "late submission {submission} arrives"),
            Self::OtherClient { model, request, appearance } => {
                write!(f, "another client refreshes model {model}: {request:?} request, shown as {appearance:?}")
            }
            Self::User { resource, user_action } => write!(f, "a user changes resource {resource}: {user_action:?}"),
            Self::DeleteNamespace => write!(f, "the namespace is deleted"),
            Self::RetargetNames => write!(f, "the names refer to another model"),
            Self::Impair { impaired: true } => write!(f, "resource 0 becomes impaired"),
            Self::Impair { impaired: false } => write!(f, "resource 0 recovers"),
            Self::SetVisibility { visibility: Visibility::All } => write!(f, "the models are visible again"),
            Self::SetVisibility { visibility: Visibility::Deleted } => write!(f, "the models are deleted"),
            Self::SetVisibility { visibility: Visibility::Hidden } => write!(f, "the models are hidden from the identity"),
            Self::RequestDrain { mode } => write!(f, "an uninstall requests a drain ({mode:?})"),
            Self::WithdrawDrain => write!(f, "the drain is withdrawn"),
            Self::ObserveDrain { operator } => write!(f, "operator {} observes the Lease", name(operator)),
            Self::CompleteDrain => write!(f, "the drain completes: no operation is running"),
            Self::RemoveFinalizer { resource } => write!(f, "the uninstall removes the finalizer of resource {resource}"),
            Self::Uninstall => write!(f, "the operator is uninstalled"),
            Self::Install => write!(f, "the operator is installed again"),
            Self::Tick => write!(f, "time passes"),
            Self::Delay { by } => write!(f, "{by} s pass, and the operators are late"),
            Self::StepClock { operator, by } => write!(f, "the wall clock of operator {} steps by {by} s", name(operator)),
        }
    }
}
