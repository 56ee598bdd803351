//! A plugin of another version than the operator: definitions that are older and newer, with what such an operator records.

use e2e::environment::served;
use e2e::rbac::make;
use e2e::world::merged;
use e2e::{Kind, TestEnvironment, eventually};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DynamicObject, Patch, PatchParams};
use kube::{Api, Client, ResourceExt as _};
use serde_json::{Map, Value, json};
use tabular_operator::api::{RUN_REQUESTED_AT, crds};

use crate::plugin::{Plugin, Printed};
use crate::watch::in_state;

/// A cluster of its own, because it has other definitions, without an operator.
struct Cluster {
    environment: TestEnvironment,
    client: Client,
}

impl Cluster {
    /// Installs the definitions with a change of their schemas.
    async fn start(change: impl Fn(&mut Value)) -> Self {
        let environment = tokio::task::spawn_blocking(TestEnvironment::start).await.unwrap();
        let client = environment.client().await;
        let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
        for definition in crds().unwrap() {
            let mut changed = serde_json::to_value(&definition).unwrap();
            change(changed.pointer_mut("/spec/versions/0/schema/openAPIV3Schema").unwrap());
            make(&definitions, changed).await;
            served(&definitions, &definition.name_any()).await;
        }
        Self { environment, client }
    }

    fn api(&self) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), "default", &Kind::Refresh.resource())
    }

    /// Creates a resource, and records a status as its operator does.
    async fn record(&self, name: &str, spec: &Value, status: &Value) -> DynamicObject {
        make(&self.api(), manifest(name, spec)).await;
        self.update(name, status).await
    }

    async fn update(&self, name: &str, status: &Value) -> DynamicObject {
        self.api().patch_status(name, &PatchParams::default(), &Patch::Merge(json!({"status": status}))).await.unwrap()
    }

    /// Runs the plugin as the administrator.
    async fn run(&self, line: &str) -> Printed {
        self.run_with(line, "").await
    }

    async fn run_with(&self, line: &str, input: &str) -> Printed {
        let kubeconfig = self.environment.control_plane.kubeconfig().to_str().unwrap();
        let words: Vec<&str> = line.split_whitespace().chain(["--kubeconfig", kubeconfig]).collect();
        Plugin::offline(&words, input).await
    }

    /// Runs commands that show resources. Each succeeds and prints something.
    async fn show(&self, lines: &[&str]) -> String {
        let mut all = String::new();
        for line in lines {
            let printed = self.run(line).await;
            assert!(printed.code == 0 && !printed.out.is_empty(), "{line}: {printed:?}");
            all.push_str(&printed.out);
        }
        all
    }
}

fn manifest(name: &str, spec: &Value) -> Value {
    let usual = json!({"model": {"analysisServices": {"server": "asazure://westus.asazure.windows.net/s", "database": "d"}}});
    json!({"apiVersion": Kind::api_version(), "kind": "ModelRefresh", "metadata": {"name": name}, "spec": merged(&usual, spec)})
}

/// The status of a run, and of an ended one before it.
fn status(number: i32, state: &str, run: &Value) -> Value {
    let ended = json!({
        "number": number - 1, "attempts": 1, "state": "Succeeded", "reason": "Succeeded", "endedTime": "2026-11-29T21:00:00Z",
        "durationSeconds": 5, "trigger": {"type": "Creation", "value": ""}, "message": "m", "requestDigest": "d",
    });
    merged(&in_state(state), &json!({"run": merged(&json!({"number": number, "operationId": "o-1"}), run), "history": [ended]}))
}

/// The fields below a place of a schema.
fn fields<'a>(schema: &'a mut Value, place: &str) -> &'a mut Map<String, Value> {
    schema.pointer_mut(&format!("{place}/properties")).and_then(Value::as_object_mut).expect("the schema has the place")
}

const SPEC: &str = "/properties/spec";
const STATUS: &str = "/properties/status";
const RUN: &str = "/properties/status/properties/run";
const ENTRY: &str = "/properties/status/properties/history/items";

/// Fields that the older definitions lack.
const LATER: [(&str, &[&str]); 4] = [
    (SPEC, &["staleAfterSeconds"]),
    (STATUS, &["check", "lastHandledRequest", "queued", "successfulRuns"]),
    (RUN, &["progress", "detailsUrl", "message"]),
    (ENTRY, &["requestDigest", "durationSeconds", "message"]),
];

fn older(schema: &mut Value) {
    for (place, names) in LATER {
        let fields = fields(schema, place);
        for name in names {
            fields.remove(*name);
        }
    }
}

#[tokio::test]
async fn older_operator_is_shown_and_requested() {
    let cluster = Cluster::start(older).await;
    let progress = json!({"completed": 1, "failed": 0, "total": 2, "summary": "1/2"});
    let running = status(2, "Running", &json!({"progress": progress, "message": "m", "detailsUrl": "https://app.powerbi.com/"}));
    let recorded = merged(&running, &json!({"lastHandledRequest": "r", "successfulRuns": 1}));
    let object = cluster.record("orders", &json!({"staleAfterSeconds": 3_600}), &recorded).await;
    let stored = &object.data;
    for place in ["/spec/staleAfterSeconds", "/status/lastHandledRequest", "/status/run/progress", "/status/history/0/durationSeconds"] {
        assert_eq!(stored.pointer(place), None, "{stored:#}");
    }

    let lines = ["get", "get -o wide", "status orders", "history orders", "history orders --run 1", "queue", "why orders"];
    let shown = cluster.show(&lines).await;
    assert!(shown.contains("▶ Running for ") && shown.contains("operation o-1"), "{shown}");
    cluster.show(&["get -o json", "status orders -o json", "why orders -o json", "history orders -o json", "queue -o json"]).await;
    let version = cluster.show(&["version"]).await;
    assert_eq!(version.matches("differs from this plugin's").count(), 2, "{version}");

    // The older operator neither knows the annotation nor has the field of the result.
    let unanswered = cluster.run("check orders --timeout 2s").await;
    assert!(unanswered.code == 4 && unanswered.err.contains("may be older than this plugin"), "{unanswered:?}");
    // It starts the run of a request, but does not record the request that it handled last.
    let (waited, ()) = tokio::join!(cluster.run("run orders --wait --timeout 60s"), async {
        let request = async || cluster.api().get("orders").await.unwrap().annotations().get(RUN_REQUESTED_AT).cloned();
        let value = eventually("the request", request).await;
        let trigger = json!({"trigger": {"type": "Request", "value": value}, "operationId": "o-2"});
        cluster.update("orders", &status(3, "Running", &trigger)).await;
        let end = json!({"endedTime": jiff::Timestamp::now().strftime("%FT%TZ").to_string(), "reason": "Succeeded"});
        cluster.update("orders", &status(3, "Succeeded", &merged(&trigger, &end))).await;
    });
    assert!(waited.code == 0 && waited.out.contains("✓ run 3 succeeded"), "{waited:?}");
    let suspended = cluster.run("suspend orders").await;
    assert_eq!(suspended.code, 0, "{suspended:?}");
    assert_eq!(cluster.api().get("orders").await.unwrap().data["spec"]["suspend"], true);

    // The plugin knows the field. The definition of the cluster decides with --dry-run=server.
    let manifest = manifest("other", &json!({"staleAfterSeconds": 3_600})).to_string();
    let offline = cluster.run_with("validate -f -", &manifest).await;
    assert_eq!(offline.code, 0, "{offline:?}");
    let refused = cluster.run_with("validate -f - --dry-run=server", &manifest).await;
    assert!(refused.code == 3 && refused.out.contains("unknown field \"spec.staleAfterSeconds\""), "{refused:?}");
}

/// The newer definitions have more fields, and one with another type.
fn newer(schema: &mut Value) {
    for (place, name) in [(SPEC, "priority"), (SPEC, "staleAfterSeconds"), (STATUS, "region"), (RUN, "region"), (ENTRY, "region")] {
        fields(schema, place).insert(name.to_owned(), json!({"type": "string"}));
    }
}

/// A status with values and fields of a newer operator.
fn of_newer(state: &str, run: &Value) -> Value {
    let condition = |kind: &str, status: &str| {
        let time = "2026-11-29T21:00:00Z";
        json!({"type": kind, "status": status, "reason": state, "message": "m", "observedGeneration": 1, "lastTransitionTime": time})
    };
    let trigger = json!({"type": "Webhook", "value": "w"});
    let known = status(2, state, &merged(run, &json!({"region": "west", "reason": state, "trigger": trigger})));
    let conditions = [condition("Ready", "Unknown"), condition("Degraded", "Partly")];
    let mut recorded = merged(&known, &json!({"region": "west", "conditions": conditions}));
    let entry = json!({"state": "Hibernated", "reason": "Hibernated", "region": "west", "trigger": trigger});
    recorded["history"][0] = merged(&recorded["history"][0], &entry);
    recorded
}

#[tokio::test]
async fn newer_operator_is_shown_and_keeps_its_fields() {
    let cluster = Cluster::start(newer).await;
    let priority = json!({"priority": "high"});
    cluster.record("orders", &priority, &of_newer("Hibernating", &json!({}))).await;
    cluster.record("sales", &priority, &of_newer("Hibernated", &json!({"endedTime": "2026-11-29T21:00:00Z"}))).await;

    // The operation of an unknown state that has not ended is followed as running.
    let shown = cluster.show(&["get", "get -o wide", "status orders", "history orders", "history orders --run 1", "queue"]).await;
    assert!(shown.contains("▶ Running") && shown.contains("Hibernated") && shown.contains("Webhook"), "{shown}");
    assert!(cluster.show(&["status sales"]).await.contains("Hibernated"));
    for name in ["orders", "sales"] {
        let why = cluster.show(&[&format!("why {name}")]).await;
        assert!(why.contains("This plugin is older than the operator, and does not know the reason Hibernat"), "{why}");
        assert!(why.contains("Install the plugin of the operator's version."), "{why}");
    }
    cluster.show(&["get -o json", "status orders -o json", "why sales -o json", "history sales -o json", "queue -o json"]).await;
    let version = cluster.show(&["version"]).await;
    assert_eq!(version.matches("differs from this plugin's").count(), 2, "{version}");

    // A change keeps what the plugin does not know.
    let suspended = cluster.run("suspend orders").await;
    assert_eq!(suspended.code, 0, "{suspended:?}");
    let object = cluster.api().get("orders").await.unwrap();
    assert_eq!((&object.data["spec"]["suspend"], &object.data["spec"]["priority"]), (&json!(true), &json!("high")), "{object:?}");
    let status = &object.data["status"];
    assert_eq!(
        (&status["region"], &status["run"]["region"], &status["run"]["state"]),
        (&json!("west"), &json!("west"), &json!("Hibernating"))
    );

    let manifest = manifest("other", &priority).to_string();
    let offline = cluster.run_with("validate -f -", &manifest).await;
    assert!(offline.code == 3 && offline.out.contains("spec.priority: unknown field"), "{offline:?}");
    let accepted = cluster.run_with("validate -f - --dry-run=server", &manifest).await;
    assert_eq!(accepted.code, 0, "{accepted:?}");

    // A resource that cannot be decoded hides no other.
    cluster.record("broken", &json!({"staleAfterSeconds": "1h"}), &of_newer("Hibernating", &json!({}))).await;
    let sentence = "ModelRefresh default/broken cannot be read: ";
    let listed = cluster.run("get").await;
    assert!(listed.code == 0 && listed.out.contains("orders") && listed.out.contains("sales"), "{listed:?}");
    for line in ["get", "status orders", "why orders", "queue"] {
        let printed = cluster.run(line).await;
        assert!(printed.code == 0 && printed.err.contains(sentence), "{line}: {printed:?}");
        assert!(printed.err.contains("this plugin may be older than the operator"), "{line}: {printed:?}");
    }
    for line in ["status broken", "why broken", "run broken", "check broken", "suspend broken"] {
        let printed = cluster.run(line).await;
        assert!(printed.code == 1 && printed.out.is_empty() && printed.err.contains(sentence), "{line}: {printed:?}");
    }
}
