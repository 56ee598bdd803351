//! The generated pages of `docs/operations`: remedies by reason, and the purpose of each permission.

use std::fmt::Write as _;

use serde_json::Value;
use tabular_operator::api::Reason;

use crate::chart::read;
use crate::{cell, page, settle};

/// A section of the troubleshooting page.
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

/// The section of each reason. A new reason needs an entry here.
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
        | Reason::UpstreamRunsMissed => Sort::Waits,
        Reason::InvalidSpec
        | Reason::UpstreamNotFound
        | Reason::UpstreamCycle
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
        | Reason::ScaleOutDisabled
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

/// Each section, in the order of the page: its heading, introduction and commands.
const SORTS: &[(Sort, &str, &str, &str)] = &[
    (
        Sort::Credentials,
        "The identity is missing or rejected",
        "The message names what is missing, and has the commands that grant it. The operator checks again within seconds at first, and every minute after some minutes.",
        "kubectl get mref adventureworks --output jsonpath='{.status.run.message}{\"\\n\"}'\n\
         kubectl describe secret aas-sp                    # its keys, not their values\n\
         kubectl auth can-i get secret/aas-sp --as system:serviceaccount:tabular-system:tabular-operator\n",
    ),
    (
        Sort::AtService,
        "The service refuses",
        "The service started nothing. The operator tries again after at most 1 minute, then at growing intervals of up to 15 minutes. The run \
         continues automatically. If the service refuses every submission, the run ends at `waitDeadlineSeconds`.",
        "kubectl describe mref adventureworks\n\
         kubectl get mref adventureworks --output jsonpath='{.status.run.activityId}{\"\\n\"}'    # for a support case\n",
    ),
    (
        Sort::Spec,
        "The resource is invalid",
        "The operator sends no requests to the service. It checks again when the resource, or an object that it references, changes.",
        "kubectl get mref adventureworks --output yaml\nkubectl explain mref.spec\n",
    ),
    (
        Sort::Waits,
        "The run waits or did not start",
        "Most of these resolve automatically.",
        "kubectl get tabular --all-namespaces --output wide      # resources on the same model\n\
         kubectl get mref adventureworks --output jsonpath='{.status.run.waitingFor}{\"\\n\"}'\n",
    ),
    (
        Sort::Ended,
        "The run failed",
        "No run starts until the next trigger, unless `backoffLimit` allows another attempt.",
        "kubectl get mref adventureworks --output jsonpath='{.status.run.messages}{\"\\n\"}{.status.run.failedObjects}{\"\\n\"}'\n\
         kubectl annotate mref adventureworks tabular-operator.dev/run-requested-at=\"$(date -u +%FT%TZ)\" --overwrite    # run it again\n",
    ),
    (
        Sort::Unknown,
        "A response was lost",
        "The operator does not submit again until it is certain that nothing started: [exactly once](../exactly-once.md).",
        "kubectl get mref adventureworks --output jsonpath='{.status.run.candidates}{\"\\n\"}'\n",
    ),
    (
        Sort::Uninstalled,
        "The resource was released",
        "The operator was uninstalled, or no longer manages the resource: [uninstalling](uninstall.md).",
        "kubectl events --for mref/adventureworks\n",
    ),
    (Sort::Well, "Nothing is wrong", "", "kubectl events --for mref/adventureworks      # its history\n"),
];

#[test]
fn troubleshooting() {
    let about = "The meaning and the remedy of each value in the column `REASON`, with commands to diagnose it. Conditions and events have the same `reason`; \
        the `message` next to it adds the names.\n\n<!-- given: installed refreshed -->\n\n```sh\n\
        kubectl get tabular --all-namespaces --output wide       # every resource, its state, its reason, its message\n\
        kubectl describe mref adventureworks --namespace bi      # conditions, and the history as events\n\
        kubectl logs deployment/tabular-operator --namespace tabular-system\n```\n\n\
        For alerts there are [runbooks](../runbooks.md). If a command needs a namespace, add `--namespace`.";
    let mut text = page("Troubleshooting, by reason", about);
    let mut listed = 0;
    for &(which, head, introduction, commands) in SORTS {
        write!(text, "\n## {head}\n").unwrap();
        if !introduction.is_empty() {
            write!(text, "\n{introduction}\n").unwrap();
        }
        write!(text, "\n```sh\n{commands}```\n").unwrap();
        for reason in Reason::ALL.iter().filter(|reason| sort(**reason) == which) {
            write!(text, "\n### {}\n\n{}\n", reason.as_str(), cell(reason.explanation())).unwrap();
            listed += 1;
        }
    }
    assert_eq!(listed, Reason::ALL.len());
    settle("docs/operations/troubleshooting.md", &text);
}

/// The rules of a role, each with its comment.
fn rules(kind: &str, name: &str) -> Vec<(String, Value)> {
    let source = read("deploy/base/rbac.yaml");
    let document = source.split("\n---\n").find(|document| {
        let object = serde_saphyr::from_str::<Value>(document).unwrap();
        object["kind"] == kind && object["metadata"]["name"] == name
    });
    let document = document.unwrap_or_else(|| panic!("{kind} {name} is not in deploy/base/rbac.yaml"));
    let object = serde_saphyr::from_str::<Value>(document).unwrap();
    let mut comments = Vec::new();
    let (mut comment_lines, mut inside) = (Vec::new(), false);
    for line in document.lines() {
        inside |= line == "rules:";
        match line.trim().strip_prefix("# ") {
            Some(comment) if inside => comment_lines.push(comment),
            _ if line.starts_with("  - apiGroups") => comments.push(std::mem::take(&mut comment_lines).join(" ")),
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
    let about = "The permissions of the operator and their purpose, generated from `deploy/base/rbac.yaml`. Tests compare the chart's roles with this file. Another test runs the \
        operator with exactly these permissions and reads the audit log of the API server. It fails if a permission is missing, or if one is never used \
        ([permissions.rs](../../tests/e2e/tests/chart/permissions.rs)).\n\n<!-- given: installed -->";
    let mut text = page("Permissions", about);
    let mut section = |head: &str, scope: &str, kind: &str, name: &str| {
        write!(text, "\n## {head}\n\n{scope}\n\n| Resources | Verbs | Why |\n|---|---|---|\n").unwrap();
        for (why, rule) in rules(kind, name) {
            let only = words(&rule, "resourceNames");
            let only = if only.is_empty() { String::new() } else { format!(", only {only}") };
            assert!(!why.is_empty(), "{name}: a rule has no comment with its purpose: {rule}");
            writeln!(text, "| {}{only} | {} | {} |", words(&rule, "resources"), words(&rule, "verbs"), cell(&why)).unwrap();
        }
    };
    section(
        "Watched namespaces",
        "A ClusterRole. With `watchNamespaces`, a Role in each of these namespaces instead, and no permission in the cluster.",
        "ClusterRole",
        "tabular-operator",
    );
    section("The operator's namespace", "A Role.", "Role", "tabular-operator-lease");
    section(
        "Secrets, if a team grants access",
        "A ClusterRole without a binding. Its only verb is `get`: the operator reads a Secret by the name in a resource of the same namespace, and can neither list nor watch Secrets.",
        "ClusterRole",
        "tabular-operator-secrets",
    );
    section(
        "ServiceAccounts, if a team grants access",
        "A ClusterRole without a binding. [Identities](../identities.md#workload-identity) describes the risk of this grant.",
        "ClusterRole",
        "tabular-operator-tokens",
    );
    text.push_str(
        "\n## Check the permissions in a cluster\n\n```sh\n\
         kubectl auth can-i --list --as system:serviceaccount:tabular-system:tabular-operator --namespace bi\n\
         kubectl get rolebindings --all-namespaces --output wide | grep tabular-operator      # namespaces that granted Secrets and tokens\n```\n\n\
         The operator cannot create or delete your resources, read a Secret without a grant, list Secrets, or read pods, nodes, ConfigMaps or roles.\n",
    );
    settle("docs/operations/permissions.md", &text);
}
