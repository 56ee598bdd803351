//! Tests of the manifests that the flags result in.

use clap::Parser as _;
use serde_json::{Value, json};

use super::*;
use crate::cli::{Cli, Command};
use crate::commands::manifest::ManifestCommand;

const AAS: &str = "--server asazure://westus.asazure.windows.net/myserver --database AdventureWorks";
const GUIDS: [&str; 2] = ["f089354e-8366-4e18-aea3-4cb4a3a50b48", "cfafbeb1-8037-4d0c-896e-a46fb27ff229"];

/// The template of a command line, split at blanks; `_` stands for a blank.
fn parse(line: &str) -> Result<(ManifestArgs, Template), String> {
    let words =
        ["kubectl-tabular", "create"].into_iter().map(str::to_owned).chain(line.split_whitespace().map(|word| word.replace('_', " ")));
    let cli = Cli::try_parse_from(words).map_err(|error| error.to_string())?;
    match cli.command {
        Command::Manifest(ManifestCommand::Create(create)) => create.template().map_err(|failure| failure.sentence),
        other => panic!("{other:?}"),
    }
}

fn resource(line: &str) -> Value {
    // Compiling the definitions takes longer than all checks.
    thread_local!(static CHECKER: Checker = Checker::new(Kind::ALL).unwrap());
    let template = parse(line).unwrap_or_else(|error| panic!("{line}: {error}")).1;
    let resource = template.resource();
    let findings = CHECKER.with(|checker| checker.check(template.kind, &resource));
    assert!(findings.is_empty(), "{line}: {findings:?}");
    resource
}

#[test]
fn each_combination_of_flags_is_valid() {
    let ids = format!("--workspace {} --dataset {}", GUIDS[0], GUIDS[1]);
    let url = format!("--url https://app.powerbi.com/groups/{}/datasets/{}/details?experience=power-bi", GUIDS[0], GUIDS[1]);
    let models = [AAS, "--workspace Sales_EU --dataset Orders", &ids, &url];
    let identity = format!("--managed-identity={}", GUIDS[0]);
    let identities = [
        "--secret sp",
        "--secret sp --with-access",
        "--service-account a --with-access",
        "--managed-identity",
        &identity,
        "--operator-identity",
    ];
    let triggers = ["", "--schedule 0_5_*_*_*", "--schedule 0_5_*_*_* --time-zone Europe/Rome", "--after other", "--suspend"];
    let contents = ["", "--type dataOnly", "--table a/b --table yes --partition t/p/q", "--stale-after 26h"];
    for model in models {
        for identity in identities {
            for trigger in triggers {
                for content in contents {
                    resource(&format!("refresh r {model} {identity} {trigger} {content}"));
                }
                resource(&format!("sync s -n bi {model} {identity} {trigger}"));
            }
        }
    }
    assert_eq!(resource("sync s --after other")["spec"], json!({"trigger": {"afterRefresh": {"name": "other"}}}));
}

#[test]
fn flags_become_fields() {
    let found =
        resource(&format!("refresh r {AAS} --secret sp --partition t/p/q --table x --stale-after 7d --schedule 0_5_*_*_1 --suspend"));
    let objects = json!([{"table": "x"}, {"table": "t", "partition": "p/q"}]);
    let spec = json!({
        "model": {"analysisServices": {"server": "asazure://westus.asazure.windows.net/myserver", "database": "AdventureWorks"}},
        "credentials": {"servicePrincipalRef": {"name": "sp"}},
        "refresh": {"type": "full", "objects": objects},
        "trigger": {"schedule": "0 5 * * 1"},
        "staleAfterSeconds": 604_800,
        "suspend": true,
    });
    assert_eq!(found["spec"], spec);
    let ids = json!({"powerBI": {"groupId": GUIDS[0], "datasetId": GUIDS[1]}});
    for host in ["app.powerbi.com", "app.high.powerbigov.us"] {
        let url = format!("https://{host}/groups/{}/datasets/{}/details", GUIDS[0], GUIDS[1]);
        assert_eq!(resource(&format!("sync s --url {url} --operator-identity"))["spec"]["model"], ids);
    }
}

#[test]
fn access_covers_one_secret_or_account() {
    let access = |line: &str| {
        let (args, template) = parse(line).unwrap();
        template.access(&args.operator_service_account)
    };
    let Access { comment, resources: secret } = access(&format!("refresh r -n bi {AAS} --secret sp")).unwrap();
    assert!(
        comment.starts_with("# The ServiceAccount tabular-system/tabular-operator of the operator may use the Secret sp.\n"),
        "{comment}"
    );
    assert!(
        comment.contains("--operator-service-account NAMESPACE/NAME") && comment.lines().all(|line| line.starts_with("# ")),
        "{comment}"
    );
    assert_eq!(secret[0]["rules"], json!([{"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["sp"], "verbs": ["get"]}]));
    assert_eq!(secret[1]["subjects"][0], json!({"kind": "ServiceAccount", "name": "tabular-operator", "namespace": "tabular-system"}));
    assert_eq!((&secret[0]["metadata"], &secret[1]["roleRef"]["name"]), (&secret[1]["metadata"], &secret[0]["metadata"]["name"]));
    let account = format!("refresh r {AAS} --service-account a --operator-service-account ops/bi-tabular-operator");
    let account = access(&account).unwrap().resources;
    let subject = json!({"kind": "ServiceAccount", "name": "bi-tabular-operator", "namespace": "ops"});
    assert_eq!((&account[1]["subjects"][0], &account[0]["metadata"]["name"]), (&subject, &json!("bi-tabular-operator-token-a")));
    assert!(access(&format!("refresh r {AAS} --operator-identity")).is_none());
}

#[test]
fn contradictory_flags_are_refused_with_the_remedy() {
    let rows = [
        ("refresh r --secret s".to_owned(), "set the model: --server and --database, --workspace and --dataset, or --url"),
        ("sync s --secret s".to_owned(), "or --url, or --after"),
        (format!("refresh r {AAS}"), "set the identity: "),
        (format!("refresh r {AAS} --secret s --operator-identity"), "cannot be used with"),
        (format!("refresh r {AAS} --workspace w --dataset d --secret s"), "cannot be used with"),
        ("refresh r --server a --secret s".to_owned(), "--database"),
        (format!("refresh r --workspace {} --dataset d --secret s", GUIDS[0]), "must be two names or two ids"),
        (format!("refresh r {AAS} --secret s --time-zone UTC"), "--schedule"),
        (format!("refresh r {AAS} --secret s --type Full"), "possible values: full, "),
        (format!("refresh r {AAS} --secret s --partition t"), "must be TABLE/PARTITION"),
        (format!("refresh r {AAS} --secret s --operator-service-account ops"), "must be NAMESPACE/NAME"),
        (format!("refresh r {AAS} --secret s --operator-service-account a/b/c"), "must be NAMESPACE/NAME"),
        (format!("refresh r {AAS} --secret s --stale-after soon"), "must be a duration"),
        ("refresh r --secret s --url https://app.powerbi.com/groups/me/datasets/x".to_owned(), "My workspace"),
        ("refresh r --secret s --url http://app.powerbi.com/groups/a/datasets/b".to_owned(), "must be the address of a semantic model"),
        ("refresh r --secret s --url https://app.powerbi.com/groups/a/datasets/../b".to_owned(), "must be the address of a semantic model"),
    ];
    for (line, expected) in rows {
        let error = parse(&line).map(|_| ()).unwrap_err();
        assert!(error.contains(expected), "{line}: {error}");
    }
}

#[test]
fn invalid_values_are_findings() {
    let rows = [
        (format!("refresh R {AAS} --secret s"), "metadata.name: must have lower-case letters"),
        ("refresh r --server westus --database d --secret s".to_owned(), "spec.model.analysisServices.server: must have the form"),
        (format!("refresh r {AAS} --secret S"), "spec.credentials.servicePrincipalRef.name: must be the name of a Secret"),
        (format!("refresh r {AAS} --secret s --schedule 0_0_31_2_*"), "spec.trigger.schedule: "),
        (format!("refresh r {AAS} --secret s --stale-after 1s"), "spec.staleAfterSeconds: must be at least 60"),
        (format!("refresh r {AAS} --secret s --after r"), "spec.trigger.afterRefresh.name: must not be the name of this resource"),
    ];
    for (line, expected) in rows {
        let template = parse(&line).unwrap().1;
        let findings = Checker::new(Kind::ALL).unwrap().check(template.kind, &template.resource());
        assert!(findings.len() == 1 && findings[0].to_string().starts_with(expected), "{line}: {findings:?}");
    }
}

#[test]
fn samples_in_document_are_current() {
    let page = include_str!("../../../../docs/writing-manifests.md");
    let samples: Vec<&str> = page.split("$ kubectl tabular create ").skip(1).collect();
    assert_eq!(samples.len(), 2);
    for sample in samples {
        let (command, rest) = sample.split_once('\n').unwrap();
        let (shown, _) = rest.split_once("```").unwrap();
        let line = command.replace("0 5 * * *", "0_5_*_*_*").replace('"', "");
        let (args, template) = parse(&line).unwrap();
        assert_eq!(shown, text(&args, &template).unwrap(), "correct docs/writing-manifests.md");
    }
}
