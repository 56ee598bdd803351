//! The reasons of conditions and events, and how the operator reports each of them.

use std::fmt;

/// How the operator reports a reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventPolicy {
    /// In the status only.
    None,
    /// As a separate event, in addition to the status.
    Explicit,
    /// As a separate warning event, in addition to the status.
    ExplicitWarning,
    /// As an event on the transition.
    OnTransition,
    /// As a warning event on the transition.
    WarningOnTransition,
    /// As a warning event on the transition. A run in progress is Stalled: it continues only after a user acts.
    Stalled,
    /// As a warning event on the transition. The missing object may be part of the same commit and appear a little later. The resource is
    /// therefore Reconciling for the time in `--reference-grace`, and Stalled after that.
    Awaited,
}

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $name:ident: $policy:ident),+ $(,)?) => {
        /// The reason of a condition or of an event. The names are part of the interface and are documented.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Reason { $($(#[doc = $doc])+ $name),+ }

        impl Reason {
            /// Every reason, in the order of the reference.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The name of the reason in conditions and events.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => stringify!($name)),+ }
            }

            /// The reason with this name; `None` for a name from another version.
            #[must_use]
            pub fn parse(name: &str) -> Option<Self> {
                match name { $(stringify!($name) => Some(Self::$name),)+ _ => None }
            }

            /// How the operator reports this reason.
            #[must_use]
            pub fn event_policy(self) -> EventPolicy {
                match self { $(Self::$name => EventPolicy::$policy),+ }
            }

            /// Whether a transition to it publishes an event.
            #[must_use]
            pub fn has_event_on_transition(self) -> bool {
                match self.event_policy() {
                    EventPolicy::OnTransition | EventPolicy::WarningOnTransition | EventPolicy::Stalled | EventPolicy::Awaited => true,
                    // These have no event of the status, or an explicit event already reported them.
                    EventPolicy::None | EventPolicy::Explicit | EventPolicy::ExplicitWarning => false,
                }
            }

            /// Whether its event is a warning; `None` if it has no event.
            #[must_use]
            pub fn warns(self) -> Option<bool> {
                match self.event_policy() {
                    EventPolicy::None => None,
                    EventPolicy::OnTransition | EventPolicy::Explicit => Some(false),
                    EventPolicy::WarningOnTransition | EventPolicy::Stalled | EventPolicy::Awaited | EventPolicy::ExplicitWarning => Some(true),
                }
            }

            /// Its meaning and the remedy, for the reference.
            #[must_use]
            pub fn explanation(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc),+).trim_ascii()),+ }
            }
        }
    };
}

impl Reason {
    /// Whether a run can end for this reason.
    #[must_use]
    pub fn ends_run(self) -> bool {
        matches!(
            self,
            Self::Succeeded
                | Self::RefreshFailed
                | Self::SyncFailed
                | Self::Evicted
                | Self::NodeMoved
                | Self::AttemptTimeLimit
                | Self::TotalTimeLimit
                | Self::CapacityPaused
                | Self::RefreshDisabled
                | Self::RequestDropped
                | Self::TimedOut
                | Self::DeadlineExceeded
                | Self::WaitDeadlineExceeded
                | Self::Cancelled
                | Self::Replaced
                | Self::Uninstalled
                | Self::CancelledOnRequest
                | Self::OperationLost
                | Self::Conflict
                | Self::RequestRejected
                | Self::ContradictoryAnswer
                | Self::Released
                | Self::Deleted
        )
    }
}

reasons! {
    /// No run is in progress and no trigger is due.
    Idle: None,
    /// `spec.suspend` is true, so no run starts. To start the runs that were triggered meanwhile, set it to false.
    Suspended: OnTransition,
    /// Another resource's run uses the same model, or is ahead in the queue. The queue is first in, first out.
    WaitingForTurn: OnTransition,
    /// Another client's refresh of the model is running at the service. `conflictPolicy` decides what happens; a sync waits.
    ModelBusy: OnTransition,
    /// The spec changed during a run under `concurrencyPolicy: Forbid`, and the change has not run. It runs after the current run. Until
    /// then the resource is not Ready.
    ChangeNotRun: OnTransition,
    /// The run waits before another attempt, after a failed operation (`backoffLimit`).
    BackingOff: WarningOnTransition,
    /// The operator is about to submit the operation, or waits for the response.
    Submitting: None,
    /// The response to a submission was lost. The operator reads the operations of the service to find out whether the operation started.
    ResolvingSubmission: WarningOnTransition,
    /// The operation is running at the service.
    Running: OnTransition,
    /// The operator requested the cancellation of the operation and waits for its end.
    Cancelling: OnTransition,
    /// A request to the service, to Microsoft Entra ID or to the Kubernetes API failed temporarily: no response, a server error or a
    /// throttle. The operator retries the request. Meanwhile, other resources may use the model. If the service limits the requests of the
    /// identity, the message states until when the operator waits. The operator also uses this reason when it repeats a submission that
    /// never arrived.
    Retrying: WarningOnTransition,
    /// The capacity has exceeded its limits, so the service started nothing. The run waits, and the operator submits it again after 1
    /// minute, then after twice as long each time up to 15 minutes, until `waitDeadlineSeconds`. The wait counts toward neither
    /// `backoffLimit` nor a quota, and does not delay runs on other capacities. The resource is Reconciling, not Stalled, because no user
    /// action is required. Refresh fewer models at the same time, or use a larger capacity. If an operation is already running, it
    /// continues, and the operator polls it later.
    CapacityExceeded: WarningOnTransition,
    /// The run succeeded.
    Succeeded: OnTransition,
    /// The service reports that the operation failed. Correct the cause, which is the first of the service's messages in
    /// `.status.run.messages`, then trigger a new run.
    RefreshFailed: WarningOnTransition,
    /// The service reports that the sync failed. Correct the cause in the service's messages in `.status.run.messages`, then trigger a new
    /// run.
    SyncFailed: WarningOnTransition,
    /// Power BI evicted the model from memory during the refresh. Run it again; `backoffLimit` does this automatically.
    Evicted: WarningOnTransition,
    /// Analysis Services moved the model to another node, or lost the request in transit. Run it again; `backoffLimit` does this
    /// automatically.
    NodeMoved: WarningOnTransition,
    /// One attempt of the service took longer than `refresh.attemptTimeoutSeconds`, by default 5 hours. Refresh fewer objects at a time, or
    /// increase the limit. `backoffLimit` does not apply, because another attempt would take as long. Power BI reports the same if its
    /// capacity was paused for more than 6 hours: resume the capacity, then trigger a new run.
    AttemptTimeLimit: WarningOnTransition,
    /// All attempts of the service together took longer than 24 hours. Refresh fewer objects at a time, or lower `refresh.retryCount`.
    /// `backoffLimit` does not apply, because another attempt would take as long.
    TotalTimeLimit: WarningOnTransition,
    /// The capacity was paused, or low on memory, during the refresh. Resume it, or refresh fewer models at the same time, then run it again;
    /// `backoffLimit` does this automatically.
    CapacityPaused: WarningOnTransition,
    /// Refreshes are disabled for the model. Enable them, then trigger a new run. `backoffLimit` does not apply.
    RefreshDisabled: WarningOnTransition,
    /// Power BI accepted the request but then dropped it, so the refresh never ran. Run it again; `backoffLimit` does this automatically.
    /// Power BI drops requests if too many arrive in a short time.
    RequestDropped: WarningOnTransition,
    /// The service ended the operation because of its own time limit. Refresh fewer objects at a time, or increase the limit. On Power BI,
    /// the limit of an attempt is `refresh.attemptTimeoutSeconds`.
    TimedOut: WarningOnTransition,
    /// The operation exceeded `activeDeadlineSeconds`, and the operator cancelled it. Refresh fewer objects at a time, or increase
    /// `activeDeadlineSeconds`, then trigger a new run. A sync cannot be cancelled and may continue at the service.
    DeadlineExceeded: WarningOnTransition,
    /// The run waited for `waitDeadlineSeconds`: for its turn, for another operation, or for a service that refused each submission. The
    /// message states what it waited for: resolve that, or increase `waitDeadlineSeconds`, then trigger a new run. No operation of this
    /// attempt started.
    WaitDeadlineExceeded: WarningOnTransition,
    /// A user or another client cancelled the operation. Find out why, then trigger a new run.
    Cancelled: WarningOnTransition,
    /// A new trigger replaced the run (`concurrencyPolicy: Replace`).
    Replaced: OnTransition,
    /// The operator cancelled the operation before it was uninstalled (`uninstall.runs: Cancel`). Trigger a new run after the next
    /// installation.
    Uninstalled: WarningOnTransition,
    /// The annotation `tabular-operator.dev/cancel-requested-at` cancelled the run. A new trigger starts another run.
    CancelledOnRequest: OnTransition,
    /// The result of the operation is unknown: the service no longer knows it, or still shows it as running after the longest time that a
    /// refresh can run, and cancellations have no effect. Check the model, then trigger a new run.
    OperationLost: WarningOnTransition,
    /// The service is busy with another client's refresh, and `conflictPolicy` is Fail. Trigger a new run when that refresh has ended, or
    /// set `Wait`.
    Conflict: WarningOnTransition,
    /// The service rejects the request itself, so the run failed. Correct the spec. If `trigger.onChange` is false, also
    /// request a run.
    RequestRejected: WarningOnTransition,
    /// The service reports that the operation succeeded, but that some of its objects failed. Check these objects of the model, then trigger
    /// a new run.
    ContradictoryAnswer: WarningOnTransition,
    /// The response to a submission was lost, and the list of the service does not prove which operation it started, if any. Select the
    /// operation with the annotation `tabular-operator.dev/adopt`, or exclude all of them with `tabular-operator.dev/resubmit`. The message
    /// has both commands.
    SubmissionUnknown: Stalled,
    /// The spec is invalid. Correct the field that the message names.
    InvalidSpec: Stalled,
    /// The `ModelRefresh` in `trigger.afterRefresh` is not in this namespace. Create it, or correct the name.
    UpstreamNotFound: Awaited,
    /// The operator cannot read or decode the `ModelRefresh` in `trigger.afterRefresh`, so its runs are unknown. Correct what the message
    /// names. Queued runs stay queued until then.
    UpstreamUnreadable: Awaited,
    /// The resources that are linked by `trigger.afterRefresh` form a cycle. Remove this field from one of them.
    UpstreamCycle: Stalled,
    /// The host of the server does not belong to the cloud that the operator is configured for. Correct `server`, or have the operator's
    /// administrator set `--cloud`.
    ServerNotInCloud: Stalled,
    /// The Secret in `servicePrincipalRef` is not in this namespace, or has no keys yet. Create it.
    SecretNotFound: Awaited,
    /// The Secret lacks a key, or the value of a key is invalid. Correct the key that the message names.
    SecretInvalid: Stalled,
    /// The operator has no permission to read the Secret. Grant it with RBAC: the message has the commands.
    SecretForbidden: Awaited,
    /// The `ServiceAccount` in `workloadIdentity` is not in this namespace. Create it.
    ServiceAccountNotFound: Awaited,
    /// The `ServiceAccount` lacks an annotation that identifies it in Microsoft Entra ID, or such an annotation is invalid. Correct the
    /// annotation that the message names.
    ServiceAccountInvalid: Stalled,
    /// The operator has no permission to read the `ServiceAccount`, or to request a token for it. Grant it with RBAC: the message has the
    /// commands.
    ServiceAccountForbidden: Awaited,
    /// This namespace may use neither the operator's own identity nor a managed identity. Set a Secret or a `ServiceAccount` in `credentials`,
    /// or have the operator's administrator allow the namespace with `--operator-identity-namespace`.
    IdentityNotAllowed: Stalled,
    /// The environment variables of the operator describe the operator's own identity incorrectly. The operator's administrator must
    /// correct them.
    OperatorIdentityInvalid: Stalled,
    /// Microsoft Entra ID or the metadata service rejects the identity: a credential is expired, revoked or mistyped, or the application is
    /// not set up for it. The message has the error code. Correct what it names, such as a key of the Secret or a federated credential.
    CredentialsRefused: Stalled,
    /// The service denies access to the identity: it is not an administrator of the server, has no access to the semantic model, or the
    /// firewall of the server blocks the operator. Grant what the message names.
    AccessDenied: Stalled,
    /// The service does not know the server or the model. Correct the name, or create the model.
    ModelNotFound: Stalled,
    /// The owner of the semantic model no longer exists in Microsoft Entra ID, so Power BI refuses to refresh it. Take over the semantic
    /// model in its settings in Power BI. The run continues automatically.
    OwnerNotFound: Stalled,
    /// No model, or more than one, has the names in the spec. Correct the names, or set the ids. The operator checks again every minute.
    ModelNotResolved: Stalled,
    /// The server is paused or scaling. Resume it; the run continues automatically.
    ServerPaused: Stalled,
    /// The replicas of the model cannot be synchronized while query scale-out is disabled. Enable it for the model.
    ScaleOutDisabled: Stalled,
    /// A quota of the service is exhausted, such as the number of refreshes of a model per day. Wait, or request a higher quota. The
    /// operator tries again every 15 minutes, until `waitDeadlineSeconds`.
    QuotaExceeded: Stalled,
    /// The data is younger than `staleAfterSeconds`.
    Fresh: None,
    /// No run has succeeded for `staleAfterSeconds`, so the data of the model is older than its target. The other conditions show why: no
    /// run was due, or runs wait or fail.
    Stale: ExplicitWarning,
    /// The finalizer was removed while an operation of the resource may still be running.
    Released: ExplicitWarning,
    /// The operation was cancelled, or nothing was submitted, because the resource is being deleted.
    Deleted: Explicit,
    /// The annotation `tabular-operator.dev/cancel-requested-at` cancelled nothing: no run was in progress, or the run is a sync, which
    /// cannot be cancelled after it has started.
    NotCancelled: ExplicitWarning,
    /// According to the list of the service or the annotation `tabular-operator.dev/resubmit`, a submission whose response was lost started
    /// nothing. The operator submits the run again.
    Resubmitted: Explicit,
    /// The operator found the operation in the list of the service and tracks it.
    Adopted: Explicit,
    /// The annotation `tabular-operator.dev/adopt` or `tabular-operator.dev/resubmit` applies to no pending decision, so the operator removed
    /// it: it is left over from an earlier decision, or names an operation that cannot be the right one. Or an annotation of the operator
    /// has a value without effect, such as an empty one. The message states the pending decision, or the values that have an effect.
    DecisionIgnored: ExplicitWarning,
    /// Scheduled times passed, and `startingDeadlineSeconds` no longer allows a run for them. No run starts for these times.
    MissedSchedule: ExplicitWarning,
    /// No run starts for a trigger. Either a scheduled time, a request or a run of the upstream refresh came during a run under
    /// `concurrencyPolicy: Forbid`. Or a change was reverted before its run started. Or the trigger joined the next attempt of a run
    /// that ended before that attempt was submitted.
    TriggerDropped: ExplicitWarning,
    /// No run starts for some runs of the upstream refresh. Either the history of the upstream refresh no longer contains them: increase
    /// its `historyLimit`. Or the upstream refresh was deleted, or removed from `trigger.afterRefresh`, while these runs were queued:
    /// request a run.
    UpstreamRunsMissed: ExplicitWarning,
    /// A user or another client edited the status so that it contradicted the operator's records. An example is an end of a run that has
    /// not ended. The operator restores the state of the run from the history, or else from the service.
    StatusRestored: ExplicitWarning,
    /// The operator cancelled another client's refresh (`conflictPolicy: Replace`).
    ConflictReplaced: ExplicitWarning,
    /// The Kubernetes API refuses a write of the operator to the resource (its status, its finalizer or an annotation), or a mutating
    /// webhook reverts it. The message contains the response of the API server, which names the admission policy, the
    /// webhook or the permission. Correct that. The operator submits nothing for the resource until it can write the status. It tries again
    /// at least once a minute.
    WriteRefused: ExplicitWarning,
    /// The operator cannot decode the object, because it was written with another version of the CRD. Install the CRDs of the operator's
    /// version, and apply the manifest again. Or delete the object with the annotation `release`; the operator then no longer tracks the
    /// operation at the service.
    Undecodable: ExplicitWarning,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
