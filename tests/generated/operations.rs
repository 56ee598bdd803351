//! The pages of `docs/operations` that are made of the code: what to do by reason, and what each permission is for.

use std::fmt::Write as _;

use serde_json::Value;
use tabular_operator::api::Reason;

use crate::chart::read;
use crate::{cell, page, settle};

/// Where to look, for reasons of one sort.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sort {
    Well,
    Waits,
    Spec,
    Credentials,
    AtService,
    Ended,
    Unknown,
    Uninstalled,
}

/// Whoever adds a reason says here where one looks.
fn sort(reason: Reason) -> Sort {
    match reason {
        Reason::Idle
        | Reason::Suspended
        | Reason::Submitting
        | Reason::Running
        | Reason::Cancelling
        | Reason::Succeeded
        | Reason::Deleted
        | Reason::Adopted
        | Reason::Replaced
        | Reason::CancelledOnRequest
        | Reason::NotCancelled
        | Reason::ConflictReplaced
        | Reason::StatusRestored => Sort::Well,
        Reason::WaitingForTurn
        | Reason::ChangeNotRun
        | Reason::ModelBusy
        | Reason::BackingOff
        | Reason::Retrying
        | Reason::CapacityExceeded
        | Reason::WaitDeadlineExceeded
        | Reason::Conflict
        | Reason::MissedSchedule
        | Reason::TriggerDropped
        | Reason::RunsMissed => Sort::Waits,
        Reason::InvalidSpec
        | Reason::FollowedNotFound
        | Reason::FollowCycle
        | Reason::ServerNotInCloud
        | Reason::RequestRejected
        | Reason::Undecodable
        | Reason::WriteRefused => Sort::Spec,
        Reason::SecretNotFound
        | Reason::SecretInvalid
        | Reason::SecretForbidden
        | Reason::ServiceAccountNotFound
        | Reason::ServiceAccountInvalid
        | Reason::ServiceAccountForbidden
        | Reason::IdentityNotAllowed
        | Reason::OperatorIdentityInvalid
        | Reason::CredentialsRefused => Sort::Credentials,
        Reason::AccessDenied
        | Reason::ModelNotFound
        | Reason::OwnerNotFound
        | Reason::ModelNotResolved
        | Reason::ServerPaused
        | Reason::ScaleOutOff
        | Reason::QuotaExceeded => Sort::AtService,
        Reason::RefreshFailed
        | Reason::SyncFailed
        | Reason::Evicted
        | Reason::NodeMoved
        | Reason::AttemptTimeLimit
        | Reason::TotalTimeLimit
        | Reason::CapacityPaused
        | Reason::RefreshDisabled
        | Reason::RequestDropped
        | Reason::TimedOut
        | Reason::DeadlineExceeded
        | Reason::Cancelled
        | Reason::ContradictoryAnswer
        | Reason::OperationLost => Sort::Ended,
        Reason::ResolvingSubmission | Reason::SubmissionUnknown | Reason::Resubmitted | Reason::DecisionIgnored => Sort::Unknown,
        Reason::Uninstalled | Reason::Released => Sort::Uninstalled,
    }
}

/// Each sort, in the order of the page: its head, what is said of it, and the commands that show it.
const SORTS: &[(Sort, &str, &str, &str)] = &[
    (
        Sort::Credentials,
        "The identity is missing or refused",
        "The message names what is missing and has the commands that grant it. It is looked at again within seconds at first, and every minute once it has waited for some minutes.",
        "kubectl get mref adventureworks --output jsonpath='{.status.run.message}{\"\\n\"}'\n\
         kubectl describe secret aas-sp                    # its keys, not their values\n\
         kubectl auth can-i get secret/aas-sp --as system:serviceaccount:tabular-system:tabular-operator\n",
    ),
    (
        Sort::AtService,
        "The service says no",
        "The service started nothing. The operator tries again after a minute at the latest, then ever more slowly, up to a quarter of an hour. The run \
         continues automatically, and a submission that is refused again and again ends at `waitDeadlineSeconds`.",
        "kubectl describe mref adventureworks\n\
         kubectl get mref adventureworks --output jsonpath='{.status.run.activityId}{\"\\n\"}'    # for a support case\n",
    ),
    (
        Sort::Spec,
        "The resource cannot work",
        "It costs no call to the service, and is looked at again when it, or what it names, changes.",
        "kubectl get mref adventureworks --output yaml\nkubectl explain mref.spec\n",
    ),
    (
        Sort::Waits,
        "It waits, or did not begin",
        "Most of it passes by itself.",
        "kubectl get tabular --all-namespaces --output wide      # who is on the same model\n\
         kubectl get mref adventureworks --output jsonpath='{.status.run.waitingFor}{\"\\n\"}'\n",
    ),
    (
        Sort::Ended,
        "The run has ended badly",
        "Nothing runs until there is a new trigger, unless `backoffLimit` allows another attempt.",
        "kubectl get mref adventureworks --output jsonpath='{.status.run.messages}{\"\\n\"}{.status.run.failedObjects}{\"\\n\"}'\n\
         kubectl annotate mref adventureworks tabular-operator.dev/run-requested-at=\"$(date -u +%FT%TZ)\" --overwrite    # run it again\n",
    ),
    (
        Sort::Unknown,
        "An answer was lost",
        "Nothing is submitted on a guess: [exactly once](../exactly-once.md).",
        "kubectl get mref adventureworks --output jsonpath='{.status.run.candidates}{\"\\n\"}'\n",
    ),
    (
        Sort::Uninstalled,
        "It was let go",
        "The operator, or its right to follow the resource, went: [uninstalling](uninstall.md).",
        "kubectl events --for mref/adventureworks\n",
    ),
    (Sort::Well, "Nothing is wrong", "", "kubectl events --for mref/adventureworks      # its history\n"),
];

#[test]
fn troubleshooting() {
    let about = "What the word in the column `REASON` means, what to do about it, and where to look. Each word is the `reason` of conditions and events, too; \
        the `message` beside it says the same with names.\n\n<!-- given: installed refreshed -->\n\n```sh\n\
        kubectl get tabular --all-namespaces --output wide       # every resource, its state, its reason, its message\n\
        kubectl describe mref adventureworks --namespace bi      # conditions, and as events the history\n\
        kubectl logs deployment/tabular-operator --namespace tabular-system\n```\n\n\
        For alerts there are [runbooks](../runbooks.md). Where a command fails for want of a namespace, add `--namespace`.";
    let mut text = page("Troubleshooting, by reason", about);
    let mut told = 0;
    for &(which, head, said, commands) in SORTS {
        write!(text, "\n## {head}\n").unwrap();
        if !said.is_empty() {
            write!(text, "\n{said}\n").unwrap();
        }
        write!(text, "\n```sh\n{commands}```\n").unwrap();
        for reason in Reason::ALL.iter().filter(|reason| sort(**reason) == which) {
            write!(text, "\n### {}\n\n{}\n", reason.as_str(), cell(reason.explanation())).unwrap();
            told += 1;
        }
    }
    assert_eq!(told, Reason::ALL.len());
    settle("docs/operations/troubleshooting.md", &text);
}

/// The rules of a role, each with the comment above it.
fn rules(kind: &str, name: &str) -> Vec<(String, Value)> {
    let source = read("deploy/base/rbac.yaml");
    let document = source.split("\n---\n").find(|document| {
        let object = serde_saphyr::from_str::<Value>(document).unwrap();
        object["kind"] == kind && object["metadata"]["name"] == name
    });
    let document = document.unwrap_or_else(|| panic!("{kind} {name} is not in deploy/base/rbac.yaml"));
    let object = serde_saphyr::from_str::<Value>(document).unwrap();
    let mut comments = Vec::new();
    let (mut said, mut inside) = (Vec::new(), false);
    for line in document.lines() {
        inside |= line == "rules:";
        match line.trim().strip_prefix("# ") {
            Some(comment) if inside => said.push(comment),
            _ if line.starts_with("  - apiGroups") => comments.push(std::mem::take(&mut said).join(" ")),
            _ => {}
        }
    }
    let rules = object["rules"].as_array().unwrap().clone();
    assert_eq!(rules.len(), comments.len(), "{name}");
    comments.into_iter().zip(rules).collect()
}

fn words(rule: &Value, field: &str) -> String {
    let words = rule[field].as_array().into_iter().flatten().filter_map(Value::as_str).filter(|word| !word.is_empty());
    words.map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

#[test]
fn permissions() {
    let about = "What the operator may do, and why: made of `deploy/base/rbac.yaml`, which the chart's roles are compared with. A test runs the operator with exactly \
        these and reads the API server's audit log: it fails where a permission is missing, and where one is never used \
        ([permissions.rs](../../tests/chart/permissions.rs)).\n\n<!-- given: installed -->";
    let mut text = page("Permissions", about);
    let mut section = |head: &str, said: &str, kind: &str, name: &str| {
        write!(text, "\n## {head}\n\n{said}\n\n| Resources | Verbs | Why |\n|---|---|---|\n").unwrap();
        for (why, rule) in rules(kind, name) {
            let only = words(&rule, "resourceNames");
            let only = if only.is_empty() { String::new() } else { format!(", only {only}") };
            assert!(!why.is_empty(), "{name}: a rule does not say what it is for: {rule}");
            writeln!(text, "| {}{only} | {} | {} |", words(&rule, "resources"), words(&rule, "verbs"), cell(&why)).unwrap();
        }
    };
    section(
        "Where it serves",
        "A ClusterRole; with `watchNamespaces` a Role in each of these namespaces instead, and nothing in the cluster.",
        "ClusterRole",
        "tabular-operator",
    );
    section("In its own namespace", "A Role.", "Role", "tabular-operator-lease");
    section(
        "Secrets, where a team grants it",
        "A ClusterRole that is bound to nobody. It names no verb but `get`: the operator reads a Secret by the name that a resource of the same namespace gives, and can neither list nor watch.",
        "ClusterRole",
        "tabular-operator-secrets",
    );
    section(
        "ServiceAccounts, where a team grants it",
        "A ClusterRole that is bound to nobody. [Identities](../identities.md#workload-identity) says what this grant gives away.",
        "ClusterRole",
        "tabular-operator-tokens",
    );
    text.push_str(
        "\n## Asking the cluster\n\n```sh\n\
         kubectl auth can-i --list --as system:serviceaccount:tabular-system:tabular-operator --namespace bi\n\
         kubectl get rolebindings --all-namespaces --output wide | grep tabular-operator      # where it was granted Secrets and tokens\n```\n\n\
         What it cannot do: create or delete one of your resources, read a Secret that nobody granted, list Secrets, or see a pod, a node, a ConfigMap or a role.\n",
    );
    settle("docs/operations/permissions.md", &text);
}
