//! Admission by the real API server: each manifest of `tests/e2e/manifests` is refused or accepted as declared.

use std::fs;
use std::path::PathBuf;

use e2e::{TestEnvironment, World, eventually, paths};
use futures::StreamExt as _;
use hyper::Request;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::DynamicObject;
use kube::{Api, Client};
use serde_json::json;

const MANY: usize = 16;

fn manifests(kind: &str) -> Vec<(PathBuf, String)> {
    let directory = paths::workspace().join("tests/e2e/manifests").join(kind);
    let entries = fs::read_dir(&directory).unwrap_or_else(|error| panic!("failed to read {}: {error}", directory.display()));
    let paths = entries.map(|entry| entry.unwrap().path()).filter(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    let mut all: Vec<_> = paths.map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect();
    all.sort();
    all
}

/// Dry run: the server validates without creating an object. Unknown fields are refused, as in kubectl.
async fn dry_run(client: &Client, manifest: &str) -> Result<DynamicObject, String> {
    let object: serde_json::Value = serde_saphyr::from_str(manifest).map_err(|error| error.to_string())?;
    let plural = match object["kind"].as_str() {
        Some("ModelRefresh") => "modelrefreshes",
        Some("ModelSync") => "modelsyncs",
        other => return Err(format!("unknown kind: {other:?}")),
    };
    let uri = format!("/apis/tabular-operator.dev/v1alpha1/namespaces/default/{plural}?dryRun=All&fieldValidation=Strict");
    let request = Request::post(uri).header("Content-Type", "application/json").body(object.to_string().into_bytes());
    client.request(request.unwrap()).await.map_err(|error| match error {
        kube::Error::Api(status) => status.message.clone(),
        other => panic!("failed to reach the API server: {other}"),
    })
}

/// `make test-kubernetes` selects another version than the default.
#[tokio::test]
async fn control_plane_has_the_selected_version() {
    let output_text = TestEnvironment::get().control_plane.kubectl(&["version", "--output", "json"]).await;
    let versions: serde_json::Value = serde_json::from_str(&output_text).unwrap();
    let of = |part: &str| format!("{}.{}", versions[part]["major"].as_str().unwrap(), versions[part]["minor"].as_str().unwrap());
    let found = of("serverVersion");
    println!("Kubernetes {found}");
    let wanted = std::env::var("KUBERNETES_VERSION").ok().filter(|version| !version.is_empty()).unwrap_or_else(|| found.clone());
    assert_eq!((found, of("clientVersion")), (wanted.clone(), wanted));
}

#[tokio::test]
async fn invalid_manifest_is_refused_with_declared_message() {
    let client = TestEnvironment::get().client().await;
    let all = manifests("refused");
    assert!(all.len() >= 120, "only {} manifests", all.len());
    let judged = futures::stream::iter(all).map(|(path, text)| {
        let client = client.clone();
        async move {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let Some(wanted) = text.lines().next().and_then(|line| line.strip_prefix("# refused: ")) else {
                return Some(format!("{name}: its first line is not '# refused: …'"));
            };
            match dry_run(&client, &text).await {
                Ok(_) => Some(format!("{name}: accepted")),
                Err(message) => (!message.contains(wanted)).then(|| format!("{name}: refused with another message: {message}")),
            }
        }
    });
    let faults: Vec<String> = judged.buffered(MANY).filter_map(async |fault| fault).collect().await;
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[tokio::test]
async fn each_sample_is_accepted() {
    let directory = paths::workspace().join("deploy/samples");
    let arguments = ["apply", "--dry-run=server", "--validate=strict", "--namespace=default", "--filename"];
    let output_text = TestEnvironment::get().control_plane.kubectl(&[arguments.as_slice(), &[&directory.to_string_lossy()]].concat()).await;
    assert!(output_text.lines().count() >= 20 && output_text.contains("by-workload-identity created (server dry run)"), "{output_text}");
}

#[tokio::test]
async fn each_valid_manifest_is_accepted() {
    let client = TestEnvironment::get().client().await;
    let all = manifests("accepted");
    assert!(all.len() >= 50, "only {} manifests", all.len());
    let judged = futures::stream::iter(all).map(|(path, text)| {
        let client = client.clone();
        async move {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            match dry_run(&client, &text).await {
                Err(message) => Some(format!("{name}: {message}")),
                // Tools consider this status unfinished until the operator has observed the object.
                Ok(object) if object.data["status"] == json!({"observedGeneration": -1}) => None,
                Ok(object) => Some(format!("{name}: its first status is {}", object.data["status"])),
            }
        }
    });
    let faults: Vec<String> = judged.buffered(MANY).filter_map(async |fault| fault).collect().await;
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[tokio::test]
async fn accepted_manifest_shows_no_diff_after_apply() {
    let world = World::new("diff").await;
    let control_plane = &TestEnvironment::get().control_plane;
    let text = fs::read_to_string(paths::workspace().join("tests/e2e/manifests/accepted/whole-power-bi.yaml")).unwrap();
    for arguments in [&["apply", "-f", "-"][..], &["apply", "--server-side", "--force-conflicts", "-f", "-"]] {
        let mut arguments = arguments.to_vec();
        arguments.extend(["-n", &world.namespace]);
        let applied = control_plane.kubectl_with(&arguments, &text).await;
        assert!(applied.status.success() && applied.stderr.is_empty(), "{applied:?}");
    }
    let diff = control_plane.kubectl_with(&["diff", "-n", &world.namespace, "-f", "-"], &text).await;
    assert!(diff.status.success(), "{}", String::from_utf8_lossy(&diff.stdout));
}

#[tokio::test]
async fn definitions_install_without_warnings() {
    let control_plane = &TestEnvironment::get().control_plane;
    for definition in tabular_operator::api::crds().unwrap() {
        let text = tabular_operator::cli::yaml(&definition).unwrap();
        let applied =
            control_plane.kubectl_with(&["apply", "--server-side", "--force-conflicts", "--dry-run=server", "-f", "-"], &text).await;
        assert!(applied.status.success() && applied.stderr.is_empty(), "{}", String::from_utf8_lossy(&applied.stderr));
    }
    let api: Api<CustomResourceDefinition> = Api::all(TestEnvironment::get().client().await);
    for name in ["modelrefreshes.tabular-operator.dev", "modelsyncs.tabular-operator.dev"] {
        let conditions = api.get(name).await.unwrap().status.unwrap().conditions.unwrap();
        assert!(!conditions.iter().any(|condition| condition.type_ == "NonStructuralSchema"), "{conditions:?}");
    }
}

#[tokio::test]
async fn kubectl_explains_every_field() {
    let control_plane = &TestEnvironment::get().control_plane;
    // The API server publishes the documentation shortly after it serves a new definition.
    let refresh = eventually("the documentation", async || {
        let output = control_plane.kubectl_with(&["explain", "mref.spec.refresh", "--recursive"], "").await;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    })
    .await;
    for field in
        ["type", "commitMode", "maxParallelism", "retryCount", "objects", "table", "partition", "applyRefreshPolicy", "effectiveDate"]
    {
        assert!(refresh.contains(field), "{field} is not explained in\n{refresh}");
    }
    for (path, sentences) in [
        ("mref.spec", &["How long an operation may run, in seconds", "Default: 86400"][..]),
        (
            "mref.spec.refresh",
            &[
                "Default at the service: 10",
                "Power BI only",
                "`automatic` skips objects that are ready, so it may process nothing",
                "UTC in the Simplified Chinese edition; in the English edition of January 2025, the time zone",
            ],
        ),
        ("mref.spec.trigger", &["five fields of cron", "IANA name"]),
        ("mref.spec.credentials.servicePrincipalRef", &["tenantId", "clientCertificate", "PEM"]),
        ("mref.spec.credentials.workloadIdentity", &["azure.workload.identity/client-id", "api://AzureADTokenExchange"]),
        ("mref.spec.model.powerBI", &["At the start of each run, the operator resolves both names to ids"]),
        ("mref.spec.trigger.afterRefresh", &["A `ModelRefresh` in this namespace"]),
        ("msync.spec", &["the model of the refresh in `trigger.afterRefresh`", "cannot be cancelled"]),
        ("msync.status.run", &["Status of the operation as the service last reported it"]),
        ("mref.status.run", &["Id of the operation at the service"]),
    ] {
        let output_text = control_plane.kubectl(&["explain", path]).await;
        let flat = output_text.split_whitespace().collect::<Vec<_>>().join(" ");
        for sentence in sentences {
            assert!(flat.contains(sentence), "'{sentence}' is not in the explanation of {path}:\n{output_text}");
        }
        // Rust's markup is noise in a terminal: only names of fields and values are quoted.
        assert!(!output_text.contains("]("), "the explanation of {path} contains a rustdoc link:\n{output_text}");
    }
}
