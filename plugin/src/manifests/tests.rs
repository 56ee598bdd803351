//! Tests of the checks on complete manifests.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tabular_operator::api::Kind;

use super::*;

/// The manifests of a directory of the repository.
fn files(directory: &str) -> Vec<(PathBuf, String)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(directory);
    let paths = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
    let yaml = paths.filter(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    let mut all: Vec<_> = yaml.map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect();
    all.sort();
    all
}

/// The findings in a file, as text.
fn check(checker: &Checker, text: &str) -> Vec<String> {
    let (documents, error) = read(text);
    let of = |document: &Document| match subject(&document.manifest) {
        Subject::Ours(kind) => checker.check(kind, &document.manifest),
        Subject::Invalid(finding) => vec![finding],
        Subject::Other => Vec::new(),
    };
    let found = documents.iter().flat_map(of).map(|finding| finding.to_string());
    found.chain(error.map(|error| error.message)).collect()
}

/// A refresh with a spec.
fn refresh(spec: &str) -> String {
    let spec = spec.lines().fold(String::new(), |all, line| all + "  " + line + "\n");
    format!(
        "apiVersion: tabular-operator.dev/v1alpha1\nkind: ModelRefresh\nmetadata: {{name: sales}}\nspec:\n  model:\n    analysisServices:\n      \
         server: asazure://westus.asazure.windows.net/myserver\n      database: AdventureWorks\n{spec}"
    )
}

#[test]
fn accepted_manifests_and_samples_have_no_finding() {
    let checker = Checker::new(Kind::ALL).unwrap();
    let all: Vec<_> = ["tests/e2e/manifests/accepted", "deploy/samples"].iter().flat_map(|directory| files(directory)).collect();
    assert!(all.len() > 70, "{}", all.len());
    for (path, text) in all {
        assert_eq!(check(&checker, &text), Vec::<String>::new(), "{}", path.display());
    }
}

#[test]
fn samples_name_their_schema() {
    const SCHEMAS: &str = "https://raw.githubusercontent.com/tabular-operator/tabular-operator/main/schemas";
    let mut named = 0;
    for (path, text) in files("deploy/samples") {
        for document in text.split("---\n") {
            let kind = Kind::ALL.iter().find(|kind| document.contains(&format!("\nkind: {}\n", kind.as_str())));
            let expected =
                kind.map(|kind| format!("# yaml-language-server: $schema={SCHEMAS}/{}_v1alpha1.json", kind.as_str().to_lowercase()));
            let found = document.lines().next().filter(|line| line.starts_with("# yaml-language-server"));
            assert_eq!(found, expected.as_deref(), "{}", path.display());
            named += usize::from(kind.is_some());
        }
    }
    assert!(named >= 20, "{named}");
}

#[test]
fn refused_manifests_have_a_finding() {
    let checker = Checker::new(Kind::ALL).unwrap();
    let all = files("tests/e2e/manifests/refused");
    assert!(all.len() > 120, "{}", all.len());
    let accepted: Vec<_> = all.iter().filter(|(_, text)| check(&checker, text).is_empty()).map(|(path, _)| path).collect();
    assert!(accepted.is_empty(), "{accepted:#?}");
}

#[test]
fn findings_name_the_field_and_the_remedy() {
    let checker = Checker::new(Kind::ALL).unwrap();
    let rows = [
        ("refresh: {maxparallelism: 4}", "spec.refresh.maxparallelism: unknown field; did you mean maxParallelism?"),
        ("schedule: 0 5 * * *", "spec.schedule: unknown field; did you mean spec.trigger.schedule?"),
        ("zzz: 1", "spec.zzz: unknown field"),
        (
            "refresh: {type: Full}",
            "spec.refresh.type: must be one of full, clearValues, calculate, dataOnly, automatic, defragment; did you mean full?",
        ),
        ("suspend: 'true'", "spec.suspend: must be true or false, not text"),
        ("trigger: {token: 20261121}", "spec.trigger.token: must be text, not a number: quote it"),
        ("trigger: {token: on}", "spec.trigger.token: must be text, not true or false: quote it"),
        ("refresh: {objects: DimDate}", "spec.refresh.objects: must be a list, not text"),
        ("refresh: {objects: [{table: a}, {table: ''}]}", "spec.refresh.objects[1].table: must have at least 1 characters, or be omitted"),
        ("staleAfterSeconds: 59", "spec.staleAfterSeconds: must be at least 60"),
        ("backoffLimit: 11", "spec.backoffLimit: must be at most 10"),
        ("credentials: {servicePrincipalRef: {}}", "spec.credentials.servicePrincipalRef.name: must be set"),
        (
            "credentials: {}",
            "spec.credentials: set exactly one of servicePrincipalRef, workloadIdentity and managedIdentity, or omit credentials",
        ),
        ("trigger: {timeZone: Europe/Rome}", "spec.trigger.timeZone: must not be set without schedule"),
        ("trigger: {afterRefresh: {name: sales}}", "spec.trigger.afterRefresh.name: must not be the name of this resource"),
        ("trigger: {schedule: 0 0 30 2 *}", "spec.trigger.schedule: \"0 0 30 2 *\" never matches: no year has such a day"),
        (
            "trigger: {schedule: 0 5 * * *, timeZone: Europe/Roma}",
            "spec.trigger.timeZone: unknown time zone Europe/Roma: set an IANA name such as Europe/Rome",
        ),
        (
            "refresh: {effectiveDate: 2026-11-21}",
            "spec.refresh: must not set applyRefreshPolicy, effectiveDate or attemptTimeoutSeconds for analysisServices; they require powerBI",
        ),
        ("suspend: true\nsuspend: false", "invalid YAML: "),
    ];
    for (spec, expected) in rows {
        let found = check(&checker, &refresh(spec));
        assert!(found.len() == 1 && found[0].starts_with(expected), "{spec}: {found:?}");
    }
}

#[test]
fn schedule_outside_cron_is_refused_by_the_rule() {
    let found = check(&Checker::new(Kind::ALL).unwrap(), &refresh("trigger: {schedule: every day at 5}"));
    assert!(found.len() == 1 && found[0].starts_with("spec.trigger.schedule: must have five fields of cron"), "{found:?}");
}

#[test]
fn duplicate_in_a_long_list_is_found() {
    let tables: Vec<String> = (0..=200).map(|table| format!("{{table: t{}}}", table % 200)).collect();
    let found = check(&Checker::new(Kind::ALL).unwrap(), &refresh(&format!("refresh: {{objects: [{}]}}", tables.join(", "))));
    assert_eq!(found, ["spec.refresh.objects: must contain each table or partition once; table t0 is listed twice"]);
}

#[test]
fn nulls_and_whole_numbers_are_read_as_by_the_api_server() {
    let checker = Checker::new(Kind::ALL).unwrap();
    for spec in ["trigger:", "suspend: null\nbackoffLimit: 2.0", "suspend: yes", "backoffLimit: 010", "refresh: {type: null}"] {
        let found = check(&checker, &refresh(spec));
        let expected: &[&str] = &[];
        assert_eq!(found, expected, "{spec}");
    }
    assert_eq!(check(&checker, &refresh("backoffLimit: 2.5")), ["spec.backoffLimit: must be a whole number, not a number"]);
}

#[test]
fn status_is_dropped_but_has_no_unknown_fields() {
    let checker = Checker::new(Kind::ALL).unwrap();
    assert_eq!(check(&checker, &(refresh("") + "status: {observedGeneration: many}\n")), Vec::<String>::new());
    assert_eq!(
        check(&checker, &(refresh("") + "status: {observed: 1}\n")),
        ["status.observed: unknown field; did you mean observedGeneration?"]
    );
}

#[test]
fn metadata_is_checked() {
    let checker = Checker::new(Kind::ALL).unwrap();
    let rows = [
        ("{name: Sales}", "metadata.name: must have lower-case letters"),
        ("{namespace: bi}", "metadata: must have a name or a generateName"),
        ("{name: a, label: {}}", "metadata.label: unknown field; did you mean labels?"),
        ("{name: a, labels: {tier: 1}}", "metadata.labels.tier: must be text, not a number: quote it"),
        ("{name: a, labels: {tier: a b}}", "metadata.labels.tier: must match"),
        ("{name: a, annotations: {a b: c}}", "metadata.annotations: must have keys of"),
    ];
    for (metadata, expected) in rows {
        let found = check(&checker, &refresh("").replace("{name: sales}", metadata));
        assert!(found.len() == 1 && found[0].starts_with(expected), "{metadata}: {found:?}");
    }
    for metadata in ["{generateName: a-}", "{name: a.b-1, labels: {a.b/c: '', d: e_f.g}, creationTimestamp: null, resourceVersion: '1'}"] {
        let found = check(&checker, &refresh("").replace("{name: sales}", metadata));
        assert!(found.is_empty(), "{metadata}: {found:?}");
    }
}

#[test]
fn documents_and_items_are_counted() {
    let list = json!({"apiVersion": "v1", "kind": "List", "items": [{"kind": "A"}, {"kind": "B"}]});
    let (documents, error) = read(&format!("# comment\n---\nkind: A\n---\n---\n{list}\n---\nkind: [\n"));
    let places: Vec<_> = documents.iter().map(|document| (document.number, document.item)).collect();
    let error = error.unwrap();
    assert_eq!(places.iter().map(|(_, item)| *item).collect::<Vec<_>>(), [None, Some(1), Some(2)]);
    assert!(places[0].0 < places[1].0 && places[2].0 < error.number, "{places:?} {error:?}");
    assert!(error.message.starts_with("invalid YAML: ") && !error.message.contains('\n'), "{error:?}");
    assert_eq!(read("{\"a\":\n\t1}").0[0].manifest, json!({"a": 1}));
    assert_eq!(read(""), (Vec::new(), None));
}

#[test]
fn aliases_do_not_expand_without_bound() {
    let bomb: Vec<String> = (1..30).map(|level| format!("a{level}: &a{level} [*a{0}, *a{0}, *a{0}, *a{0}]", level - 1)).collect();
    let (documents, error) = read(&format!("a0: &a0 [x]\n{}", bomb.join("\n")));
    assert!(documents.is_empty() && error.is_some());
    assert!(read(&"[".repeat(100_000)).1.is_some());
}

#[test]
fn other_kinds_are_recognized() {
    let of = |version: &str, kind: &str| subject(&json!({"apiVersion": version, "kind": kind}));
    assert_eq!(of("tabular-operator.dev/v1alpha1", "ModelSync"), Subject::Ours(Kind::ModelSync));
    assert_eq!(of("apps/v1", "Deployment"), Subject::Other);
    assert_eq!(of("example.com/v1", "ModelSync"), Subject::Other);
    let rows = [
        (of("tabular-operator.dev/v1", "ModelSync"), "apiVersion: must be tabular-operator.dev/v1alpha1"),
        (
            of("tabular-operator.dev/v1alpha1", "ModelRefreshes"),
            "kind: unknown kind of tabular-operator.dev/v1alpha1; did you mean ModelRefresh?",
        ),
        (of("tabular-operator.dev/v1alpha1", ""), "kind: must be set"),
        (subject(&json!({"kind": "ModelSync"})), "apiVersion: must be set"),
        (subject(&json!("text")), "must be a resource, with apiVersion, kind, metadata and spec"),
    ];
    for (found, expected) in rows {
        let Subject::Invalid(finding) = found else { panic!("{expected}: {found:?}") };
        assert_eq!(finding.to_string(), expected);
    }
}

#[test]
fn text_that_yaml_would_misread_is_quoted() {
    let texts = [
        "yes",
        "No",
        "on",
        "y",
        "n",
        "TRUE",
        "null",
        "~",
        "",
        " a",
        "a ",
        "010",
        "0x1F",
        "1_000",
        "1e3",
        ".inf",
        "12:30:45",
        "2026-11-29",
        "- a",
        "a: b",
        "a #b",
        "#a",
        "*a",
        "&a",
        "!a",
        "%a",
        "@a",
        "`a",
        "{a}",
        "[a]",
        "a,b",
        "'a'",
        "\"a\"",
        "a\nb",
        "a\tb",
        "\u{1}",
        "\u{85}",
        "=",
        "<<",
        "?",
        "-",
        "---",
        "...",
        "a\\b",
        "\u{feff}a",
        "Größe",
        "日本",
        "0o7",
        "+1",
        ".5",
        "1.",
        "null ",
        "|",
        ">",
    ];
    for text in texts {
        let manifest = json!({"kind": "A", "spec": {"text": text, "list": [text], text: 1}});
        let written = write(std::slice::from_ref(&manifest)).unwrap();
        assert_eq!(read(&written), (vec![Document { number: 1, item: None, manifest: manifest.clone() }], None), "{text:?}:\n{written}");
    }
    // YAML 1.1 has more of these than the reader here.
    let written = write(&[json!(["yes", "y", "0o7", "12:30:45", "1_000", "2026-11-29"])]).unwrap();
    for line in written.lines() {
        assert!(line.contains('"') || line.contains('\''), "{written}");
    }
}

#[test]
fn schema_of_an_unknown_field_is_an_error_everywhere() {
    fn objects(schema: &Value, path: &str, found: &mut Vec<String>) {
        if schema.get("properties").is_some() && schema.get("additionalProperties") != Some(&json!(false)) {
            found.push(path.to_owned());
        }
        for (name, child) in schema.as_object().into_iter().flatten() {
            objects(child, &format!("{path}/{name}"), found);
        }
    }
    for kind in Kind::ALL {
        let (schema, mut open) = (json_schema(*kind).unwrap(), Vec::new());
        objects(&schema, "", &mut open);
        assert_eq!(open, Vec::<String>::new());
        assert!(!schema.to_string().contains("x-kubernetes"));
    }
}
