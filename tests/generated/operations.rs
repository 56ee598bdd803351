//! The generated pages of `docs/operations`: remedies by reason, and the purpose of each permission.

use std::fmt::Write as _;

use serde_json::Value;
use tabular_operator::api::Reason;
use tabular_operator::api::advice::{Section, advice, fill};

use crate::chart::read;
use crate::{cell, page, settle};

/// The introduction of a section, in Markdown; empty if there is none. It holds for each reason of the section.
fn introduction(section: Section) -> &'static str {
    match section {
        Section::Identity => {
            "The message names what is missing or wrong and, for a missing permission, the command that grants it. The entries state when the \
             operator checks again."
        }
        Section::Service => {
            "The service refuses a request of the run. Before an operation has started, the run waits and continues automatically when the \
             cause is removed; the entries state when the operator tries again. If the service refuses each submission, the run ends at \
             `waitDeadlineSeconds`. If it refuses the polls of a running operation, the operator repeats them at least once a minute."
        }
        Section::Resource => {
            "Something about the resource needs a correction: its spec, an object that it refers to, or what prevents the operator from writing \
             it. The entries state what happens next. A running operation continues at the service."
        }
        Section::Waiting => {
            "A run that waits continues automatically. A run that ended while it waited, or a trigger without a run, needs another trigger, such \
             as a request."
        }
        Section::Failed => {
            "The run has ended, and no run starts until the next trigger. After a failure that may be temporary, `backoffLimit` first allows \
             further attempts; the entries state it."
        }
        Section::LostResponse => {
            "The operator does not submit again until the service's list shows that nothing started, or a user decides: [exactly \
             once](../exactly-once.md)."
        }
        Section::Released => {
            "An [uninstall](uninstall.md) or a [deletion](../runs.md#the-resource-is-deleted) ended what the operator did for the resource."
        }
        Section::Fine => "",
    }
}

#[test]
fn troubleshooting() {
    let about = "The meaning and the remedy of each value in the column `REASON`, with commands to diagnose it. Conditions and events have the same `reason`; \
        the `message` next to it adds the names.\n\n<!-- given: installed refreshed -->\n\n```sh\n\
        kubectl get tabular --all-namespaces --output wide       # every resource, its state, its reason, its message\n\
        kubectl describe mref adventureworks --namespace bi      # conditions, and the history as events\n\
        kubectl logs deployment/tabular-operator --namespace tabular-system\n```\n\n\
        For alerts there are [runbooks](../runbooks.md). Replace the names in the commands with yours. The command `why` of the \
        [plugin](../kubectl-tabular.md#find-out-why) prints the advice for one resource, with its names in the commands.";
    let mut text = page("Troubleshooting, by reason", about);
    let mut listed = 0;
    let value = |name: &str| {
        let values = [
            ("kind", "mref"),
            ("name", "adventureworks"),
            ("namespace", "bi"),
            ("secret", "aas-sp"),
            ("operator", "tabular-operator"),
            ("operator-namespace", "tabular-system"),
        ];
        values.into_iter().find(|(known, _)| *known == name).map(|(_, value)| value.to_owned())
    };
    for section in Section::ALL {
        write!(text, "\n## {}\n", section.heading()).unwrap();
        let introduction = introduction(section);
        if !introduction.is_empty() {
            write!(text, "\n{introduction}\n").unwrap();
        }
        let commands: Vec<_> = section.commands().iter().map(|command| fill(command, value)).collect();
        write!(text, "\n```sh\n{}\n```\n", commands.join("\n")).unwrap();
        for reason in Reason::ALL.iter().filter(|reason| advice(**reason).section == section) {
            let advice = advice(*reason);
            write!(text, "\n### {}\n\n{}\n", reason.as_str(), cell(reason.explanation())).unwrap();
            // Some explanations say it already.
            if !reason.explanation().contains(advice.next) {
                write!(text, "\n**Next.** {}\n", advice.next).unwrap();
            }
            if advice.commands != section.commands() {
                text.push('\n');
                for command in advice.commands {
                    writeln!(text, "- `{}`", fill(command, value)).unwrap();
                }
            }
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
