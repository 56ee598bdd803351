//! What to do about each reason: the cause, the commands, and what happens next. The troubleshooting page and the plugin show the same.

use super::Reason;

/// The advice on a reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Advice {
    /// The kind of problem.
    pub section: Section,
    /// The cause, in one sentence.
    pub cause: &'static str,
    /// The remedy and the details: further sentences, or none.
    pub remedy: &'static str,
    /// The commands that show more or fix it, as templates for [`fill`]. They may end with a comment. Never empty.
    pub commands: &'static [&'static str],
    /// What the operator does next, in one or two sentences.
    pub next: &'static str,
}

/// A kind of problem: a section of the troubleshooting page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// The identity is missing or rejected.
    Identity,
    /// The service refuses a request.
    Service,
    /// The resource is invalid.
    Resource,
    /// The run waits or did not start.
    Waiting,
    /// The run failed.
    Failed,
    /// A response was lost.
    LostResponse,
    /// The resource was released.
    Released,
    /// Nothing is wrong.
    Fine,
}

impl Section {
    /// All sections, in the order of the troubleshooting page.
    pub const ALL: [Self; 8] =
        [Self::Identity, Self::Service, Self::Resource, Self::Waiting, Self::Failed, Self::LostResponse, Self::Released, Self::Fine];

    /// The heading.
    #[must_use]
    pub fn heading(self) -> &'static str {
        match self {
            Self::Identity => "The identity is missing or rejected",
            Self::Service => "The service refuses a request",
            Self::Resource => "The resource is invalid",
            Self::Waiting => "The run waits or did not start",
            Self::Failed => "The run failed",
            Self::LostResponse => "A response was lost",
            Self::Released => "The resource was released",
            Self::Fine => "Nothing is wrong",
        }
    }

    /// The commands for every reason of the section, as templates for [`fill`].
    #[must_use]
    pub fn commands(self) -> &'static [&'static str] {
        match self {
            Self::Identity => &[
                "kubectl get {kind} {name} --namespace {namespace} --output jsonpath='{.status.run.message}{\"\\n\"}'",
                "kubectl describe secret {secret} --namespace {namespace}    # its keys, not their values",
                "kubectl auth can-i get secret/{secret} --namespace {namespace} --as system:serviceaccount:{operator-namespace}:{operator}",
            ],
            Self::Service => &[
                "kubectl describe {kind} {name} --namespace {namespace}",
                "kubectl get {kind} {name} --namespace {namespace} --output jsonpath='{.status.run.activityId}{\"\\n\"}'    # for a support case",
            ],
            Self::Resource => &["kubectl get {kind} {name} --namespace {namespace} --output yaml", "kubectl explain {kind}.spec"],
            Self::Waiting => &[LIST_ALL, WAITING_FOR],
            Self::Failed => &[MESSAGES, RUN_AGAIN],
            Self::LostResponse => &[CANDIDATES],
            Self::Released | Self::Fine => &["kubectl events --for {kind}/{name} --namespace {namespace}      # its history"],
        }
    }
}

const LIST_ALL: &str = "kubectl get tabular --all-namespaces --output wide      # resources on the same model";
const WAITING_FOR: &str = "kubectl get {kind} {name} --namespace {namespace} --output jsonpath='{.status.run.waitingFor}{\"\\n\"}'";
const MESSAGES: &str = "kubectl get {kind} {name} --namespace {namespace} --output jsonpath='{.status.run.messages}{\"\\n\"}{.status.run.failedObjects}{\"\\n\"}'";
const CANDIDATES: &str = "kubectl get {kind} {name} --namespace {namespace} --output jsonpath='{.status.run.candidates}{\"\\n\"}'";
const RUN_AGAIN: &str = "kubectl annotate {kind} {name} --namespace {namespace} tabular-operator.dev/run-requested-at=\"$(date -u +%FT%TZ)\" --overwrite    # run it again";
const CREATE_SECRET: &str = "kubectl create secret generic {secret} --namespace {namespace} --from-literal=tenantId=TENANT_ID --from-literal=clientId=CLIENT_ID --from-file=clientSecret=FILE";
const EDIT: &str = "kubectl edit {kind} {name} --namespace {namespace}";
const RESUME: &str = "kubectl patch {kind} {name} --namespace {namespace} --type merge --patch '{\"spec\":{\"suspend\":false}}'";
const ADOPT: &str =
    "kubectl annotate --overwrite {kind} {name} --namespace {namespace} tabular-operator.dev/adopt={operation}    # track this operation";
const RESUBMIT: &str =
    "kubectl annotate --overwrite {kind} {name} --namespace {namespace} tabular-operator.dev/resubmit={submission}    # none of them";
const SERVICE_ACCOUNT: &str = "kubectl get serviceaccount {service-account} --namespace {namespace} --output yaml";
const UPSTREAM: &str = "kubectl get mref --namespace {namespace}";
const OPERATOR_LOGS: &str = "kubectl logs deployment/{operator} --namespace {operator-namespace}";

/// The command of the plugin that does the same as one of [`Advice::commands`], as a template for [`fill`]; `None` if there is none.
#[must_use]
pub fn plugin_command(command: &str) -> Option<&'static str> {
    match command {
        LIST_ALL => Some("kubectl tabular queue --namespace {namespace}    # resources on the same model"),
        WAITING_FOR => Some("kubectl tabular status {target} --namespace {namespace}    # what it waits for"),
        MESSAGES => Some("kubectl tabular status {target} --namespace {namespace}    # messages and failed objects"),
        CANDIDATES => Some("kubectl tabular status {target} --namespace {namespace}    # operations that may be that of the run"),
        RUN_AGAIN => Some("kubectl tabular run {target} --namespace {namespace}    # run it again"),
        RESUME => Some("kubectl tabular resume {target} --namespace {namespace}"),
        ADOPT => Some("kubectl tabular adopt {target} --namespace {namespace}    # select the operation"),
        RESUBMIT => Some("kubectl tabular resubmit {target} --namespace {namespace}    # none of them"),
        _ => None,
    }
}

const NO_ACTION: &str = "No action is needed.";
const NEXT_TRIGGER: &str = "The next trigger starts a run.";
const CONTINUES: &str = "The run continues automatically.";
const RECHECKS: &str = "The operator checks again within seconds at first, then every minute, and continues automatically.";
const CREDENTIALS: &str = "The operator tries changed credentials within seconds, and unchanged credentials again after a minute.";
const RETRIES: &str = "The operator tries again after at most 1 minute, then at intervals of up to 15 minutes.";
/// What happens next after the end of a run without a further attempt.
pub const NO_FURTHER_RUN: &str = "No run starts until the next trigger.";
const ATTEMPTS: &str =
    "If backoffLimit allows another attempt, the operator submits the run again. Otherwise, no run starts until the next trigger.";
const ON_CHANGE: &str = "The operator checks again as soon as the resource changes.";
const DECISION: &str = "The operator submits nothing until you decide.";

macro_rules! advice {
    ($($reason:ident: $section:ident, [$($command:expr),*], $next:expr;)+) => {
        /// The advice on a reason.
        #[must_use]
        pub fn advice(reason: Reason) -> Advice {
            let (section, commands, next): (Section, &'static [&'static str], &'static str) = match reason {
                $(Reason::$reason => (Section::$section, &[$($command),*], $next)),+
            };
            let (cause, remedy) = split_first_sentence(reason.explanation());
            Advice { section, cause, remedy, commands: if commands.is_empty() { section.commands() } else { commands }, next }
        }
    };
}

advice! {
    Idle: Fine, [], NEXT_TRIGGER;
    Suspended: Fine, [RESUME], "No run starts until spec.suspend is false. The runs that were triggered meanwhile then start.";
    WaitingForTurn: Waiting, [], "The run starts when it is first in the queue, or ends at waitDeadlineSeconds.";
    ModelBusy: Waiting, [], "The run starts when the other refresh has ended, or ends at waitDeadlineSeconds.";
    ChangeNotRun: Waiting, [], "The change runs after the current run.";
    BackingOff: Waiting, [], "The next attempt starts automatically at the time in the message.";
    Submitting: Fine, [], CONTINUES;
    ResolvingSubmission: LostResponse, [], "The operator tracks the operation if it started, and submits again if it certainly did not.";
    Running: Fine, [], "The operator polls the operation until it ends.";
    Cancelling: Fine, [], "The run ends when the service reports the end of the operation, or after the longest time that a refresh can run (--max-refresh-duration; 30 hours on Power BI).";
    Retrying: Waiting, [], CONTINUES;
    CapacityExceeded: Waiting, [], "The operator submits the run again after 1 minute, then after twice as long each time up to 15 minutes, until waitDeadlineSeconds.";
    Succeeded: Fine, [], NEXT_TRIGGER;
    RefreshFailed: Failed, [], ATTEMPTS;
    SyncFailed: Failed, [], ATTEMPTS;
    Evicted: Failed, [], ATTEMPTS;
    NodeMoved: Failed, [], ATTEMPTS;
    AttemptTimeLimit: Failed, [EDIT, RUN_AGAIN], NO_FURTHER_RUN;
    TotalTimeLimit: Failed, [EDIT, RUN_AGAIN], NO_FURTHER_RUN;
    CapacityPaused: Failed, [RUN_AGAIN], ATTEMPTS;
    RefreshDisabled: Failed, [RUN_AGAIN], NO_FURTHER_RUN;
    RequestDropped: Failed, [RUN_AGAIN], ATTEMPTS;
    TimedOut: Failed, [EDIT, RUN_AGAIN], ATTEMPTS;
    DeadlineExceeded: Failed, [EDIT, RUN_AGAIN], NO_FURTHER_RUN;
    WaitDeadlineExceeded: Waiting, [LIST_ALL, EDIT, RUN_AGAIN], NO_FURTHER_RUN;
    Cancelled: Failed, [RUN_AGAIN], NO_FURTHER_RUN;
    Replaced: Fine, [], "The run of the new trigger starts.";
    Uninstalled: Released, [RUN_AGAIN], NO_FURTHER_RUN;
    CancelledOnRequest: Failed, [RUN_AGAIN], NO_FURTHER_RUN;
    OperationLost: Failed, [RUN_AGAIN], NO_FURTHER_RUN;
    Conflict: Waiting, [EDIT, RUN_AGAIN], NO_FURTHER_RUN;
    RequestRejected: Resource, [EDIT], "The change of the spec starts a new run, unless trigger.onChange is false.";
    ContradictoryAnswer: Failed, [], NO_FURTHER_RUN;
    SubmissionUnknown: LostResponse, [ADOPT, RESUBMIT], DECISION;
    InvalidSpec: Resource, [EDIT], ON_CHANGE;
    UpstreamNotFound: Resource, [UPSTREAM, EDIT], RECHECKS;
    UpstreamUnreadable: Resource, [UPSTREAM, OPERATOR_LOGS], RECHECKS;
    UpstreamCycle: Resource, [EDIT], RECHECKS;
    ServerNotInCloud: Resource, [EDIT], ON_CHANGE;
    SecretNotFound: Identity, [CREATE_SECRET], RECHECKS;
    SecretInvalid: Identity, ["kubectl describe secret {secret} --namespace {namespace}    # its keys, not their values"], RECHECKS;
    SecretForbidden: Identity, [], RECHECKS;
    ServiceAccountNotFound: Identity, ["kubectl create serviceaccount {service-account} --namespace {namespace}"], RECHECKS;
    ServiceAccountInvalid: Identity, [SERVICE_ACCOUNT], RECHECKS;
    ServiceAccountForbidden: Identity, [SERVICE_ACCOUNT], RECHECKS;
    IdentityNotAllowed: Identity, [EDIT], "The operator checks again when the resource changes, or after the operator's administrator allows the namespace.";
    OperatorIdentityInvalid: Identity, [OPERATOR_LOGS], "The run continues after the administrator restarts the operator with correct environment variables.";
    CredentialsRefused: Identity, ["kubectl describe secret {secret} --namespace {namespace}    # its keys, not their values"], CREDENTIALS;
    AccessDenied: Service, [], RETRIES;
    ModelNotFound: Service, [EDIT], RETRIES;
    OwnerNotFound: Service, [], RETRIES;
    ModelNotResolved: Service, [EDIT], "The operator checks again every minute.";
    ServerPaused: Service, [], RETRIES;
    ScaleOutDisabled: Service, [], RETRIES;
    QuotaExceeded: Service, [], "The operator tries again every 15 minutes, until waitDeadlineSeconds.";
    Fresh: Fine, [], NO_ACTION;
    Stale: Waiting, ["kubectl describe {kind} {name} --namespace {namespace}", RUN_AGAIN], "The next successful run sets the condition Fresh to True.";
    Released: Released, [], "The operator no longer tracks the operation.";
    Deleted: Fine, [], NO_ACTION;
    NotCancelled: Fine, [], NO_ACTION;
    Resubmitted: LostResponse, [], CONTINUES;
    Adopted: Fine, [], CONTINUES;
    DecisionIgnored: LostResponse, [], "The operator has removed the annotation.";
    MissedSchedule: Waiting, [RUN_AGAIN], "The next scheduled time starts a run.";
    TriggerDropped: Waiting, [RUN_AGAIN], NEXT_TRIGGER;
    UpstreamRunsMissed: Waiting, [RUN_AGAIN], "The next successful run of the upstream refresh starts a run.";
    StatusRestored: Fine, [], CONTINUES;
    ConflictReplaced: Fine, [], CONTINUES;
    WriteRefused: Resource, [OPERATOR_LOGS], "The operator tries the write again.";
    Undecodable: Resource, ["kubectl get {kind} {name} --namespace {namespace} --output yaml"], ON_CHANGE;
}

/// The heading of a reason on the troubleshooting page, as the anchor of a link.
#[must_use]
pub fn anchor(reason: Reason) -> String {
    reason.as_str().to_ascii_lowercase()
}

/// A template with its placeholders filled: `{kind}` (`mref` or `msync`), `{name}`, `{namespace}`, `{secret}`, `{service-account}`,
/// `{operation}`, `{submission}`, `{operator}`, `{operator-namespace}` and `{target}` (the name as the plugin accepts it, such as `msync/sales`). A
/// placeholder without a value becomes a word in capitals, such as `SECRET`.
#[must_use]
pub fn fill(template: &str, value: impl Fn(&str) -> Option<String>) -> String {
    let (mut out, mut rest) = (String::with_capacity(template.len()), template);
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        if let Some((name, after)) = after.split_once('}').filter(|(name, _)| is_placeholder(name)) {
            out.push_str(&value(name).unwrap_or_else(|| name.replace('-', "_").to_ascii_uppercase()));
            rest = after;
        } else {
            // A brace of JSON or of a JSONPath.
            out.push('{');
            rest = after;
        }
    }
    out.push_str(rest);
    out
}

fn is_placeholder(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')
}

/// Splits a text after its first sentence.
fn split_first_sentence(text: &str) -> (&str, &str) {
    text.split_once(". ").map_or((text, ""), |(first, rest)| (text.get(..=first.len()).unwrap_or(first), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_of_every_reason_is_complete() {
        for reason in Reason::ALL {
            let Advice { section, cause, remedy, commands, next } = advice(*reason);
            assert!(Section::ALL.contains(&section), "{reason}");
            for text in [cause, next] {
                assert!(
                    text.ends_with('.') && text.starts_with(|c: char| c.is_ascii_uppercase() || matches!(c, '`' | 'b')),
                    "{reason}: {text}"
                );
            }
            assert_eq!(format!("{cause} {remedy}").trim_end(), reason.explanation(), "{reason}");
            assert!(!commands.is_empty(), "{reason}");
            let known = |name: &str| {
                let of_resource = ["kind", "name", "namespace", "target", "secret", "service-account", "operation", "submission"];
                assert!(of_resource.contains(&name) || ["operator", "operator-namespace"].contains(&name), "{reason}: {name}");
                Some("x".to_owned())
            };
            for command in commands {
                assert!(fill(command, known).starts_with("kubectl "), "{reason}: {command}");
                let of_plugin = plugin_command(command).map(|command| fill(command, known));
                assert!(of_plugin.is_none_or(|command| command.starts_with("kubectl tabular ")), "{reason}: {command}");
            }
        }
    }

    #[test]
    fn placeholders_are_filled_and_braces_stay() {
        let value = |name: &str| (name == "name").then(|| "sales".to_owned());
        assert_eq!(fill("get {name} {service-account} {.status}{\"\\n\"} {", value), "get sales SERVICE_ACCOUNT {.status}{\"\\n\"} {");
        assert_eq!(fill("'{\"spec\":{\"suspend\":false}}'", value), "'{\"spec\":{\"suspend\":false}}'");
    }

    #[test]
    fn cause_is_the_first_sentence() {
        let advice = advice(Reason::SecretNotFound);
        assert_eq!(advice.cause, "The Secret in `servicePrincipalRef` is not in this namespace, or has no keys yet.");
        assert_eq!((advice.remedy, anchor(Reason::SecretNotFound).as_str()), ("Create it.", "secretnotfound"));
        assert_eq!(split_first_sentence("One."), ("One.", ""));
    }
}
