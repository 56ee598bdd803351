//! What is wrong with a spec, in a way that only the operator can tell. It costs no call.

use std::collections::HashSet;

use kube::ResourceExt;

use super::references;
use super::resource::Resource;
use crate::api::{Credentials, Model, Reason, RefreshParameters};
use crate::engine::{Cure, Fault};
use crate::service::analysis_services::{DatabaseName, ServerName};
use crate::service::cloud::Cloud;

/// What is wrong with a resource's own spec.
pub(super) fn of_spec(resource: &Resource, cloud: &Cloud) -> Option<Fault> {
    let wrong = match resource {
        Resource::ModelRefresh(refresh) => of_trigger(resource)
            .or_else(|| of_model(&refresh.spec.model, cloud))
            .or_else(|| refresh.spec.refresh.as_ref().and_then(of_parameters))
            .or_else(|| of_credentials(refresh.spec.credentials.as_ref())),
        Resource::ModelSync(sync) => of_trigger(resource).or_else(|| {
            let model = sync.spec.model.as_ref()?;
            of_model(model, cloud).or_else(|| of_credentials(sync.spec.credentials.as_ref()))
        }),
    };
    wrong.map(|(reason, message)| Fault { reason, message: format!("spec.{message}"), cure: Cure::Spec })
}

/// What is wrong with a followed refresh whose model and credentials are taken over.
pub(super) fn of_followed(followed: &Resource, cloud: &Cloud) -> Option<Fault> {
    let wrong = followed.model().and_then(|model| of_model(model, cloud)).or_else(|| of_credentials(followed.credentials()));
    let said = |message| format!("the ModelRefresh {}, whose model this takes over: spec.{message}", followed.name_any());
    wrong.map(|(reason, message)| Fault { reason, message: said(message), cure: Cure::Cluster })
}

/// Which fault, and a sentence about it that begins with the field below `spec`.
type Wrong = (Reason, String);

fn of_trigger(resource: &Resource) -> Option<Wrong> {
    let scheduled = resource.trigger().is_some_and(|trigger| trigger.schedule.is_some());
    let message = "trigger.schedule: this version of the operator does not run on a schedule: leave it out";
    scheduled.then(|| (Reason::Unsupported, message.to_owned()))
}

fn of_model(model: &Model, cloud: &Cloud) -> Option<Wrong> {
    let Some(named) = &model.analysis_services else {
        let message = "model: this version of the operator does not serve Power BI semantic models: use analysisServices";
        return Some((Reason::Unsupported, message.to_owned()));
    };
    if let Err(message) = ServerName::parse(&named.server, cloud) {
        return Some((Reason::ServerNotInCloud, format!("model.analysisServices.server: {message}")));
    }
    let wrong = DatabaseName::parse(&named.database).err()?;
    Some((Reason::InvalidSpec, format!("model.analysisServices.database: {wrong}")))
}

/// Admission sees it in a list of 200; a longer one is beyond what the API server lets a rule cost.
fn of_parameters(parameters: &RefreshParameters) -> Option<Wrong> {
    let mut named = HashSet::new();
    let twice = parameters.objects.iter().find(|object| !named.insert(*object))?;
    let partition = twice.partition.as_ref().map(|partition| format!(", partition {partition}")).unwrap_or_default();
    let message = format!("refresh.objects: name each table, or partition of it, once: table {}{partition} is there twice", twice.table);
    Some((Reason::InvalidSpec, message))
}

fn of_credentials(credentials: Option<&Credentials>) -> Option<Wrong> {
    references::unsupported(credentials).map(|message| (Reason::Unsupported, format!("credentials: {message}")))
}
