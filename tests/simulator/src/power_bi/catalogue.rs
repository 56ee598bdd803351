//! Workspaces and semantic models by name, as visible to an application.

use std::collections::BTreeMap;

use form_urlencoded::parse;
use hyper::StatusCode;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Request, refusal};
use crate::{
    context::Context,
    entra::Token,
    response::ServiceResponse,
    world::{
        World,
        model::Model,
        settings::{ModelSettings, power_bi::Refusal},
    },
};

const ODATA_CONTEXT: &str = "http://wabi-north-europe-redirect.analysis.windows.net/v1.0/myorg/";

/// Documented maximum number of workspaces per request.
const MAX_TOP: usize = 5_000;

/// GET of all workspaces: `$filter` by name, `$top` and `$skip`.
pub fn groups(world: &World, token: &Token, context: &Context<'_>) -> ServiceResponse {
    let mut named = BTreeMap::new();
    let refused = each_visible(world, token, context, |settings| {
        if let Some(group) = settings.group_id {
            named.entry(group).or_insert_with(|| settings.workspace.clone());
        }
    });
    if let Some(refused) = refused.filter(|_| named.is_empty()) {
        return refused;
    }
    let mut groups: Vec<(Uuid, String)> = named.into_iter().collect();
    let (mut skip, mut top) = (0, MAX_TOP);
    for (name, value) in parse(context.call.query.as_bytes()) {
        match name.to_ascii_lowercase().as_str() {
            "$filter" => match filter(&value) {
                Some(matches) => groups.retain(|(id, name)| matches(*id, name)),
                None => return refusal::bad_query("$filter"),
            },
            "$top" => match value.parse() {
                Ok(number @ 1..=MAX_TOP) => top = number,
                Ok(_) | Err(_) => return refusal::bad_query("$top"),
            },
            "$skip" => match value.parse() {
                Ok(number) => skip = number,
                Err(_) => return refusal::bad_query("$skip"),
            },
            _ => {}
        }
    }
    let count = groups.len();
    let shown: Vec<_> = groups
        .into_iter()
        .skip(skip)
        .take(top)
        .map(|(id, name)| json!({"id": id, "isReadOnly": false, "isOnDedicatedCapacity": true, "type": "Workspace", "name": name}))
        .collect();
    ServiceResponse::json(
        StatusCode::OK,
        &json!({"@odata.context": format!("{ODATA_CONTEXT}$metadata#groups"), "@odata.count": count, "value": shown}),
    )
}

/// GET of the semantic models of a workspace.
pub fn datasets(world: &World, token: &Token, request: &Request, context: &Context<'_>) -> ServiceResponse {
    let mut shown = Vec::new();
    let refused = each_visible(world, token, context, |settings| {
        if settings.group_id == request.group {
            shown.push(entry(settings));
        }
    });
    // A workspace may be empty.
    let of_group = |settings: &ModelSettings| settings.group_id == request.group && settings.admits(&token.tenant, &token.client);
    let Some(group) = request.group.filter(|_| !shown.is_empty() || refused.is_none() && world.had_dataset(of_group)) else {
        return refused.unwrap_or_else(refusal::not_found);
    };
    let odata = format!("{ODATA_CONTEXT}groups/{group}/$metadata#datasets");
    ServiceResponse::json(StatusCode::OK, &json!({"@odata.context": odata, "value": shown}))
}

/// GET of one semantic model.
pub fn dataset(model: &Model) -> ServiceResponse {
    ServiceResponse::json(StatusCode::OK, &entry(model.settings()))
}

fn entry(settings: &ModelSettings) -> Value {
    json!({
        "id": settings.dataset_id,
        "name": settings.dataset,
        "addRowsAPIEnabled": false,
        "isRefreshable": true,
        "isEffectiveIdentityRequired": false,
        "isEffectiveIdentityRolesRequired": false,
        "isOnPremGatewayRequired": false,
        "targetStorageMode": "PremiumFiles",
        "queryScaleOutSettings": {
            "autoSyncReadOnlyReplicas": settings.scale_out.auto_sync,
            "maxReadOnlyReplicas": settings.scale_out.replicas,
        },
    })
}

/// Visits each model that the application may use at this host. Returns the refusal of one of them, which applies if nothing else is
/// visible: most refusals concern the tenant, not the model.
fn each_visible(world: &World, token: &Token, context: &Context<'_>, mut visit: impl FnMut(&ModelSettings)) -> Option<ServiceResponse> {
    let mut refused = None;
    for model in world.datasets() {
        let model = model.lock();
        let settings = model.settings();
        if !settings.api_host.eq_ignore_ascii_case(&context.call.host) || !settings.admits(&token.tenant, &token.client) {
            continue;
        }
        match settings.power_bi.refusal {
            None => visit(settings),
            // Such a model is only omitted.
            Some(Refusal::NotFound) => {}
            Some(refusal) => refused = Some(refusal::of(refusal, &settings.power_bi)),
        }
    }
    refused
}

/// A filter: `name eq '…'`, `tolower(name) eq '…'` as in users' scripts, `contains(name,'…')`, or `id eq '…'`. Quotes within the text are
/// doubled.
fn filter(text: &str) -> Option<impl Fn(Uuid, &str) -> bool> {
    let quoted = |text: &str| {
        let inner = text.trim().strip_prefix('\'')?.strip_suffix('\'')?;
        // After removal of doubled quotes, no quote may be left.
        (!inner.replace("''", "").contains('\'')).then(|| inner.replace("''", "'"))
    };
    let equals = |text: &str| {
        let (field, value) = text.split_once(" eq ")?;
        Some((field.trim().to_ascii_lowercase(), quoted(value)?))
    };
    let contained = |text: &str| {
        let (field, value) = text.trim().strip_prefix("contains(")?.strip_suffix(')')?.split_once(',')?;
        (field.trim() == "name").then(|| quoted(value))?
    };
    let (form, wanted) = match (equals(text), contained(text)) {
        (_, Some(wanted)) => (Form::Contains, wanted),
        (Some((field, wanted)), None) => match field.as_str() {
            "name" => (Form::Name, wanted),
            "tolower(name)" => (Form::LowerName, wanted),
            "id" => (Form::Id, wanted),
            _ => return None,
        },
        (None, None) => return None,
    };
    Some(move |id: Uuid, name: &str| match form {
        Form::Name => name == wanted,
        Form::LowerName => name.to_lowercase() == wanted,
        Form::Contains => name.contains(&wanted),
        Form::Id => id.to_string().eq_ignore_ascii_case(&wanted),
    })
}

/// The field that a filter compares.
#[derive(Clone, Copy)]
enum Form {
    Name,
    LowerName,
    Contains,
    Id,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filter_matches_by_name() {
        let id = Uuid::nil();
        for (text, name, expected) in [
            ("name eq 'Sales'", "Sales", true),
            ("name eq 'Sales'", "sales", false),
            ("tolower(name) eq 'sales'", "SALES", true),
            ("name eq 'O''Brien''s'", "O'Brien's", true),
            ("contains(name,'ale')", "Sales", true),
            ("contains(name, 'x')", "Sales", false),
            ("id eq '00000000-0000-0000-0000-000000000000'", "", true),
        ] {
            assert_eq!(filter(text).unwrap()(id, name), expected, "{text} {name}");
        }
        for text in ["", "name eq Sales", "name eq 'a'b'", "name ne 'a'", "type eq 'Workspace'"] {
            assert!(filter(text).is_none(), "{text}");
        }
    }
}
