//! The reasons: each word that a condition or an event gives for why, and how it is told.

use std::fmt;

/// How a reason is told when it comes up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Telling {
    /// In the status alone.
    Quiet,
    /// As an event of its own, beside what the status says.
    Notice,
    /// As an event of its own, that warns.
    NoticeWarning,
    /// As an event.
    Event,
    /// As an event that warns.
    Warning,
    /// As an event that warns, and a run that is under way is Stalled: it goes on only when somebody acts.
    Stalled,
    /// As an event that warns. What is missing may be part of the same commit and arrive a little later, so the resource is
    /// Reconciling for as long as `--reference-grace` says, and Stalled after that.
    Awaited,
}

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $name:ident: $telling:ident),+ $(,)?) => {
        /// Why a condition is as it is, or an event happened. The words are part of the interface and are documented.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Reason { $($(#[doc = $doc])+ $name),+ }

        impl Reason {
            /// Every reason, in the order of the reference.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The word, as it stands in conditions and events.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => stringify!($name)),+ }
            }

            /// The reason of this name; `None` for a word of another version.
            #[must_use]
            pub fn parse(word: &str) -> Option<Self> {
                match word { $(stringify!($name) => Some(Self::$name),)+ _ => None }
            }

            /// How it is told when it comes up.
            #[must_use]
            pub fn telling(self) -> Telling {
                match self { $(Self::$name => Telling::$telling),+ }
            }

            /// Whether its event is a warning; `None` where there is no event.
            #[must_use]
            pub fn warns(self) -> Option<bool> {
                match self.telling() {
                    Telling::Quiet => None,
                    Telling::Event | Telling::Notice => Some(false),
                    Telling::Warning | Telling::Stalled | Telling::Awaited | Telling::NoticeWarning => Some(true),
                }
            }

            /// What it means and what to do, for the reference.
            #[must_use]
            pub fn explanation(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc),+).trim_ascii()),+ }
            }
        }
    };
}

reasons! {
    /// Nothing is asked for: no run is under way and no trigger is due.
    Idle: Quiet,
    /// `spec.suspend` is true, so nothing begins. What was triggered meanwhile runs when it is false again.
    Suspended: Event,
    /// Another resource's run is on the same model, or is ahead in the queue. First come, first served.
    WaitingForTurn: Event,
    /// Another client's refresh of the model is running at the service. `conflictPolicy` says what happens; a synchronisation waits.
    ModelBusy: Event,
    /// A change of the spec came during a run under `concurrencyPolicy: Forbid` and has not run. It runs when that run has ended; until then the
    /// resource is not Ready.
    ChangeNotRun: Event,
    /// The pause before another attempt, after an operation that failed (`backoffLimit`).
    BackingOff: Warning,
    /// The operation is about to be submitted, or its answer is awaited.
    Submitting: Quiet,
    /// The answer to a submission was lost; the service's listing is read to find out whether it began.
    ResolvingSubmission: Warning,
    /// The service runs the operation.
    Running: Event,
    /// The service was asked to cancel the operation; its end is awaited.
    Cancelling: Event,
    /// A call to the service, or to Microsoft Entra ID, brought no answer; it is tried again. Meanwhile other resources may use the model. Where the
    /// service limits the calls of the identity, the message says until when the operator waits.
    Retrying: Warning,
    /// The capacity has exceeded its limits, so the service started nothing. The run waits and is submitted again after 1 minute, then after
    /// twice as long each time up to 15 minutes, until `waitDeadlineSeconds`. It uses up neither an attempt nor a quota, and runs on
    /// other capacities are not delayed. The resource is Reconciling, not Stalled, since the wait ends without anyone's help. Refresh fewer models
    /// at the same time, or use a larger capacity. A running operation keeps running, and the operator polls it later.
    CapacityExceeded: Warning,
    /// The run ended well.
    Succeeded: Event,
    /// The service reports that the operation failed. Its messages are in `.status.run.messages`, the cause first.
    RefreshFailed: Warning,
    /// The service reports that the synchronisation failed. What it said is in `.status.run.messages`.
    SyncFailed: Warning,
    /// Power BI evicted the model from memory during the refresh. Run it again: `backoffLimit` does so by itself.
    Evicted: Warning,
    /// Analysis Services moved the model to another node, or lost the request on the way. Run it again: `backoffLimit` does so by
    /// itself.
    NodeMoved: Warning,
    /// One attempt of the service took longer than `refresh.attemptTimeoutSeconds`, by default 5 hours. Refresh less at once, or
    /// allow more; a fresh attempt would take as long, so `backoffLimit` makes none. Power BI says the same after its capacity was
    /// paused for more than 6 hours: resume it, then trigger a new run.
    AttemptTimeLimit: Warning,
    /// All attempts of the service together took longer than 24 hours. Refresh less at once, or lower `refresh.retryCount`; a
    /// fresh attempt would take as long, so `backoffLimit` makes none.
    TotalTimeLimit: Warning,
    /// The capacity was paused, or short of memory, during the refresh. `backoffLimit` runs it again when the capacity is back.
    CapacityPaused: Warning,
    /// Refreshes are switched off for the model. Switch them on; until then `backoffLimit` makes no fresh attempt.
    RefreshDisabled: Warning,
    /// Power BI accepted the request and never knew it again: it never ran. It drops requests where too many come in a short time.
    /// `backoffLimit` submits it again.
    RequestDropped: Warning,
    /// The service's own time limit ended the operation. Refresh less at once, or allow more.
    TimedOut: Warning,
    /// `activeDeadlineSeconds` was over: the operation was cancelled. A synchronisation cannot be, and may go on at the service.
    DeadlineExceeded: Warning,
    /// The run waited for `waitDeadlineSeconds`: for its turn, for another operation, or for a service that refused each submission. Nothing was
    /// submitted that the service accepted.
    WaitDeadlineExceeded: Warning,
    /// The operation was cancelled by somebody else. Ask them, then trigger a new run.
    Cancelled: Warning,
    /// A new trigger replaced the run (`concurrencyPolicy: Replace`).
    Replaced: Event,
    /// The operator was about to be uninstalled, and cancelled the operation (`uninstall.runs: Cancel`). Trigger a new run once it is
    /// installed again.
    Uninstalled: Warning,
    /// The annotation `tabular-operator.dev/cancel-requested-at` had the run cancelled. A new trigger starts another.
    CancelledOnRequest: Event,
    /// The service no longer knows the operation, so how it ended cannot be told. Look at the model, then trigger a new run.
    OperationLost: Warning,
    /// The service is busy with another client's refresh, and `conflictPolicy` is Fail. Trigger a new run when that has ended, or let it
    /// `Wait`.
    Conflict: Warning,
    /// The service refuses the request itself. Mend the spec; a change starts a new run.
    RequestRejected: Warning,
    /// The service says that the operation succeeded and that some of its objects failed. Look at the model.
    ContradictoryAnswer: Warning,
    /// The answer to a submission was lost, and several operations may be the one it began. State which by the annotation
    /// `tabular-operator.dev/adopt`, or that it was none by `tabular-operator.dev/resubmit`: the message has both commands.
    SubmissionUnknown: Stalled,
    /// The spec cannot work as it is written. The message says where; mend it.
    InvalidSpec: Stalled,
    /// The `ModelRefresh` that `trigger.afterRefresh` names is not in this namespace. Create it, or correct the name.
    FollowedNotFound: Awaited,
    /// Resources follow each other in a circle by `trigger.afterRefresh`. Take it out of one of them.
    FollowCycle: Stalled,
    /// The server's host is not of the cloud that the operator is set to. Mend `server`, or have the operator's administrator set `--cloud`.
    ServerNotInCloud: Stalled,
    /// The Secret that `servicePrincipalRef` names is not in this namespace, or has no keys yet. Create it.
    SecretNotFound: Awaited,
    /// The Secret lacks a key, or a key holds something else than it should. The message names the key; mend it.
    SecretInvalid: Stalled,
    /// The operator may not read the Secret. Grant it by RBAC.
    SecretForbidden: Awaited,
    /// The `ServiceAccount` that `workloadIdentity` names is not in this namespace. Create it.
    ServiceAccountNotFound: Awaited,
    /// The `ServiceAccount` lacks an annotation that says who it is in Microsoft Entra ID, or one of them is wrong. The message names it; mend
    /// it.
    ServiceAccountInvalid: Stalled,
    /// The operator may not read the `ServiceAccount`, or not ask for a token of it. Grant it by RBAC.
    ServiceAccountForbidden: Awaited,
    /// The operator's own identity, and a managed identity, are not allowed for this namespace. Its administrator lists it with
    /// `--operator-identity-namespace`.
    IdentityNotAllowed: Stalled,
    /// The operator's own identity is described wrongly in its environment. Its administrator mends that.
    OperatorIdentityInvalid: Stalled,
    /// Microsoft Entra ID refuses the credentials: expired, revoked or mistyped. The message has its code and which key to check; put the right
    /// one into the Secret.
    CredentialsRefused: Stalled,
    /// The service refuses the identity: it is no administrator of the server, or may not see it. The message says which right is missing;
    /// grant it.
    AccessDenied: Stalled,
    /// The service does not know the server or the model. Mend the name, or create it there. Looked up again every minute.
    ModelNotFound: Stalled,
    /// The owner of the semantic model no longer exists in Microsoft Entra ID, so Power BI refuses to refresh it. Take over the semantic model in its
    /// settings in Power BI; the run continues automatically.
    OwnerNotFound: Stalled,
    /// No model has the names that the spec gives, or several have. Mend the names, or give the ids. Looked up again every minute.
    ModelNotResolved: Stalled,
    /// The server is paused or scaling. Resume it; the run goes on by itself.
    ServerPaused: Stalled,
    /// The replicas of the model cannot be synchronised until query scale-out is switched on. Switch it on at the model.
    ScaleOutOff: Stalled,
    /// A quota of the service is used up: it says how many refreshes a day a model may have. Wait, or ask for more. Tried again every quarter
    /// of an hour, until `waitDeadlineSeconds`.
    QuotaExceeded: Stalled,
    /// The resource was let go with an operation that may still be running.
    Released: NoticeWarning,
    /// The operation was cancelled since its resource is deleted.
    Deleted: Notice,
    /// The annotation `tabular-operator.dev/cancel-requested-at` had nothing cancelled: no run was under way, or it is a
    /// synchronisation, which cannot be cancelled once it has begun.
    NotCancelled: NoticeWarning,
    /// A submission whose answer was lost had begun nothing, or a person says so: it is submitted again.
    Resubmitted: Notice,
    /// The operation was found in the service's listing and is followed.
    Adopted: Notice,
    /// The annotation `tabular-operator.dev/adopt` or `tabular-operator.dev/resubmit` answers nothing that is asked, so the operator removed
    /// it: it is left over from an earlier question, or names an operation that cannot be the one. Or an annotation of the operator's has a
    /// value that asks for nothing, such as an empty one. The message states what is asked now, or which value has an effect.
    DecisionIgnored: NoticeWarning,
    /// Scheduled times passed, and it is too late for them (`startingDeadlineSeconds`): nothing runs for them.
    MissedSchedule: NoticeWarning,
    /// Nothing runs for a trigger. An occurrence (a scheduled time, a request, a run of the followed refresh) came during a run under
    /// `concurrencyPolicy: Forbid`, or a change was taken back before its run began.
    TriggerDropped: NoticeWarning,
    /// Runs of the followed refresh were not followed. Either they are no longer in its history: raise its `historyLimit`. Or the refresh was
    /// deleted or is no longer followed while they waited: request a run.
    RunsMissed: NoticeWarning,
    /// Somebody edited the status so that it contradicted the operator's records, for example an end of a run that has not ended. The run's
    /// state is restored from the history, or else from the service.
    StatusRestored: NoticeWarning,
    /// Another client's refresh was cancelled (`conflictPolicy: Replace`).
    ConflictReplaced: NoticeWarning,
    /// The Kubernetes API refuses a write of the operator's to the resource: its status, its finalizer or an annotation. Or it accepts the write,
    /// and a mutating webhook undoes it. The message has what the API server said, which names the admission policy, the webhook or the
    /// permission; change that. Nothing is submitted for the resource until its status can be written. The operator tries again, at least once a
    /// minute.
    WriteRefused: NoticeWarning,
    /// The object cannot be decoded: it was written by another version of the resource definition. Install the definitions of the operator's
    /// version, and apply the manifest again; or delete it with the annotation `release`, and the operation at the service is no longer followed.
    Undecodable: NoticeWarning,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
