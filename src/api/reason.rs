//! The reasons: each word that a condition or an event gives for why.

use std::fmt;

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $name:ident),+ $(,)?) => {
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
    Idle,
    /// `spec.suspend` is true, so nothing begins. What was triggered meanwhile runs when it is false again.
    Suspended,
    /// Another resource's run is on the same model, or is ahead in the queue. First come, first served.
    WaitingForTurn,
    /// Another client's refresh of the model is running at the service. `conflictPolicy` says what happens.
    ModelBusy,
    /// The pause before another attempt, after an operation that failed (`backoffLimit`).
    BackingOff,
    /// The operation is about to be submitted, or its answer is awaited.
    Submitting,
    /// The answer to a submission was lost; the service's listing is read to find out whether it began.
    ResolvingSubmission,
    /// The service runs the operation.
    Running,
    /// The service was asked to cancel the operation; its end is awaited.
    Cancelling,
    /// A call to the service, or to Microsoft Entra ID, brought no answer; it is tried again.
    Retrying,
    /// The run ended well.
    Succeeded,
    /// The service reports that the operation failed. Its messages are in `.status.run.messages`.
    RefreshFailed,
    /// The service's own time limit ended the operation.
    TimedOut,
    /// `activeDeadlineSeconds` was over: the operation was cancelled.
    DeadlineExceeded,
    /// `waitDeadlineSeconds` was over before the run's turn came: nothing was submitted.
    WaitDeadlineExceeded,
    /// The operation was cancelled by somebody else.
    Cancelled,
    /// A new trigger replaced the run (`concurrencyPolicy: Replace`).
    Replaced,
    /// The service no longer knows the operation, so how it ended cannot be told. Look at the model, then trigger a new run.
    OperationLost,
    /// The service is busy with another client's refresh, and `conflictPolicy` is Fail.
    Conflict,
    /// The service refuses the request itself. Mend the spec; a change starts a new run.
    RequestRejected,
    /// The service says that the operation succeeded and that some of its objects failed. Look at the model.
    ContradictoryAnswer,
    /// The answer to a submission was lost, and several operations may be the one it began. Say which by the annotation
    /// `tabular-operator.dev/adopt`, or that it was none by `tabular-operator.dev/resubmit`.
    SubmissionUnknown,
    /// The spec cannot work as it is written. Mend it.
    InvalidSpec,
    /// This version of the operator does not do what the spec asks for.
    Unsupported,
    /// The `ModelRefresh` that `trigger.afterRefresh` names is not in this namespace. Create it, or mend the name.
    FollowedNotFound,
    /// Resources follow each other in a circle by `trigger.afterRefresh`. Take it out of one of them.
    FollowCycle,
    /// The server's host is not of the cloud that the operator is set to.
    ServerNotInCloud,
    /// The Secret that `servicePrincipalRef` names is not in this namespace. Create it.
    SecretNotFound,
    /// The Secret lacks a key, or a key holds something else than it should.
    SecretInvalid,
    /// The operator may not read the Secret. Grant it by RBAC.
    SecretForbidden,
    /// The operator's own identity is not allowed for this namespace.
    IdentityNotAllowed,
    /// Microsoft Entra ID refuses the credentials.
    CredentialsRefused,
    /// The service refuses the identity: it is no administrator of the server, or may not see it.
    AccessDenied,
    /// The service does not know the server or the model.
    ModelNotFound,
    /// The server is paused or scaling.
    ServerPaused,
    /// The replicas of the model cannot be synchronised until query scale-out is switched on.
    ScaleOutOff,
    /// A quota of the service is used up.
    QuotaExceeded,
    /// The resource was let go with an operation that may still be running.
    Released,
    /// The operation was found in the service's listing and is followed.
    Adopted,
    /// A trigger was dropped, since a run was under way (`concurrencyPolicy: Forbid`).
    TriggerDropped,
    /// Another client's refresh was cancelled (`conflictPolicy: Replace`).
    ConflictReplaced,
    /// The object cannot be decoded: it was written by another version of the resource definition.
    Undecodable,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
