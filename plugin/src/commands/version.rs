//! `version`: the plugin, what the cluster serves, and whether both have the same definitions.

use http::Request as HttpRequest;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::APIGroup;
use kube::{Api, ResourceExt as _};
use sha2::{Digest as _, Sha256};
use tabular_operator::api::crds;

use super::about::VersionArgs;
use crate::connect::{Connection, connect};
use crate::exit::Exit;
use crate::failure::{Cause, Failure, Request};
use crate::report::{DefinitionReport, Report, VersionReport};
use crate::session::Session;

const GROUP: &str = "tabular-operator.dev";
const API_VERSION: &str = "v1alpha1";
/// The plural name of the definitions themselves, for messages about permissions.
const DEFINITIONS: &str = "customresourcedefinitions";

pub(super) async fn run(args: &VersionArgs, session: &mut Session) -> Result<Exit, Failure> {
    let mut report = VersionReport {
        plugin: env!("CARGO_PKG_VERSION").to_owned(),
        api_version: API_VERSION.to_owned(),
        served: None,
        definitions: None,
    };
    let outcome = if args.client { Ok(()) } else { read(args, &mut report).await };
    if session.is_text() {
        for line in lines(&report) {
            session.print_text(&line);
        }
    } else {
        session.report(&Report::Version(report))?;
    }
    // The version of the plugin is known without a cluster.
    outcome.map(|()| Exit::Success)
}

async fn read(args: &VersionArgs, report: &mut VersionReport) -> Result<(), Failure> {
    let connection = connect(&args.common.connection)?;
    let request = Request { verb: "get", resource: GROUP, namespace: None, name: None };
    let path = HttpRequest::get(format!("/apis/{GROUP}")).body(Vec::new()).map_err(|error| Failure::new(error.to_string()))?;
    let group: APIGroup = connection.call(request, connection.client.request(path)).await?;
    report.served = Some(group.versions.into_iter().map(|version| version.version).collect());
    let mut definitions = Vec::new();
    for definition in crds().map_err(|error| Failure::new(error.to_string()))? {
        definitions.push(compare(&connection, &definition).await);
    }
    report.definitions = Some(definitions);
    Ok(())
}

async fn compare(connection: &Connection, ours: &CustomResourceDefinition) -> DefinitionReport {
    let name = ours.name_any();
    let api: Api<CustomResourceDefinition> = Api::all(connection.client.clone());
    let request = Request { verb: "get", resource: DEFINITIONS, namespace: None, name: Some(&name) };
    let theirs = connection.call(request, api.get(&name)).await;
    // The roles of a namespace do not include the definitions.
    let error = theirs.as_ref().err().map(|failure| match failure.cause {
        Cause::Forbidden => format!("you may not get {DEFINITIONS}"),
        _ => failure.sentence.clone(),
    });
    DefinitionReport { plugin_digest: digest(ours), cluster_digest: theirs.ok().as_ref().map(digest), error, name }
}

/// The digest of the versions of a definition: their schemas and columns. The rest of it is the API server's.
fn digest(definition: &CustomResourceDefinition) -> String {
    // Serializing strings, numbers and lists cannot fail.
    let text = serde_json::to_value(&definition.spec.versions).unwrap_or_default().to_string();
    Sha256::digest(text.as_bytes()).iter().take(6).fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

fn lines(report: &VersionReport) -> Vec<String> {
    let VersionReport { plugin, api_version, served, definitions } = report;
    let mut lines = vec![format!("plugin       {plugin}, for {GROUP}/{api_version}")];
    if let Some(served) = served {
        let missing = if served.contains(api_version) { "" } else { "; this plugin needs another version" };
        lines.push(format!("cluster      serves {GROUP}/{}{missing}", served.join(", ")));
    }
    for definition in definitions.iter().flatten() {
        let DefinitionReport { name, plugin_digest, cluster_digest, error } = definition;
        let state = match (cluster_digest, error) {
            (Some(digest), _) if digest == plugin_digest => format!("same as in this plugin ({digest})"),
            (Some(digest), _) => {
                format!("differs from this plugin's ({digest}, not {plugin_digest}): use the plugin of the operator's version")
            }
            (None, error) => format!("unknown: {}", error.as_deref().unwrap_or("no response")),
        };
        lines.push(format!("definition   {name}: {state}"));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn definitions_are_compared_by_what_users_see() {
        let ours = crds().unwrap().remove(0);
        let mut theirs: CustomResourceDefinition = serde_json::from_str(&serde_json::to_string(&ours).unwrap()).unwrap();
        theirs.metadata.uid = Some("1".to_owned());
        assert_eq!(digest(&ours), digest(&theirs));
        theirs.spec.versions[0].additional_printer_columns = None;
        assert_ne!(digest(&ours), digest(&theirs));
    }

    #[test]
    fn lines_name_what_differs() {
        let definition = |digest: Option<&str>, error: Option<&str>| DefinitionReport {
            name: "modelrefreshes.tabular-operator.dev".to_owned(),
            plugin_digest: "aa".to_owned(),
            cluster_digest: digest.map(str::to_owned),
            error: error.map(str::to_owned),
        };
        let report = VersionReport {
            plugin: "0.1.0".to_owned(),
            api_version: "v1alpha1".to_owned(),
            served: Some(vec!["v1".to_owned()]),
            definitions: Some(vec![definition(Some("aa"), None), definition(Some("bb"), None), definition(None, Some("you may not"))]),
        };
        let lines = lines(&report);
        assert_eq!(lines[0], "plugin       0.1.0, for tabular-operator.dev/v1alpha1");
        assert!(lines[1].ends_with("serves tabular-operator.dev/v1; this plugin needs another version"), "{}", lines[1]);
        assert!(lines[2].ends_with(": same as in this plugin (aa)") && lines[3].contains("(bb, not aa)"), "{lines:#?}");
        assert!(lines[4].ends_with("unknown: you may not"), "{}", lines[4]);
    }
}
