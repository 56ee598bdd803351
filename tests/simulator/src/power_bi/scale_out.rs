//! Query scale-out: the sync of read-only replicas, and their status.

use std::sync::Arc;

use hyper::StatusCode;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use uuid::Uuid;

use super::refusal;
use crate::{
    context::Context,
    entra::Token,
    response::ServiceResponse,
    world::{
        model::Model,
        operation::Client,
        scale_out::{commits, version},
    },
};

/// The status in which replicas are synchronized.
const ENABLED: &str = "Enabled";

/// POST of the sync.
pub fn sync(model: &mut Model, token: &Token, context: &Context<'_>) -> ServiceResponse {
    let now = context.call.now;
    let state = state(model, now);
    let code = model.settings().scale_out.disabled_post_status;
    if state != ENABLED {
        return if code < 400 { status(model, context) } else { refusal::no_scale_out(code, &state) };
    }
    let id = model.sync_replicas(Client::Application(Arc::clone(&token.client)), context.sequence, now);
    status(model, context).about(id)
}

/// GET of the status.
pub fn status(model: &Model, context: &Context<'_>) -> ServiceResponse {
    let settings = &model.settings().scale_out;
    let lag = SignedDuration::from_millis(i64::try_from(settings.status_lag_millis).unwrap_or(i64::MAX));
    let now = context.call.now.saturating_sub(lag).unwrap_or(context.call.now);
    match state(model, now).as_str() {
        // Reported: the response is empty until the model is loaded.
        "" => ServiceResponse::empty(StatusCode::OK),
        ENABLED => ServiceResponse::json(StatusCode::OK, &enabled(model, now)),
        // In this case, clients read no other field.
        other => ServiceResponse::json(StatusCode::OK, &json!({"scaleOutStatus": other})),
    }
}

fn state(model: &Model, now: Timestamp) -> String {
    let settings = &model.settings().scale_out;
    let loaded = settings.until_loaded && commits(model.operations(), now).next().is_some();
    if loaded { ENABLED.to_owned() } else { settings.status.clone() }
}

fn enabled(model: &Model, now: Timestamp) -> Value {
    let settings = &model.settings().scale_out;
    let view = model.scale_out.view(model.operations(), settings, now);
    let written = |time| settings.timestamp_style.format(model.server_time(time));
    let latest = view.latest;
    let target = latest.map_or(view.min_active, |latest| latest.target);
    let replica = |index: u32| {
        let (kind, commit) = if index == 0 { ("Primary", view.commit) } else { ("ReadOnly", view.min_active) };
        json!({
            "replicaId": Uuid::from_u64_pair(model.settings().dataset_id.unwrap_or_default().as_u64_pair().0, u64::from(index)),
            "replicaType": kind,
            "replicaVersion": version(model.server_time(commit)),
            "replicaTimestamp": written(commit),
        })
    };
    json!({
        "commitVersion": version(model.server_time(view.commit)),
        "commitTimestamp": written(view.commit),
        "targetSyncVersion": version(model.server_time(target)),
        "targetSyncTimestamp": written(target),
        "triggerReason": if latest.is_some_and(|latest| latest.explicit) { "explicit" } else { "automatic" },
        "syncStartTime": written(latest.map_or(view.min_active, |latest| latest.start)),
        "syncEndTime": latest.map_or(Some(view.min_active), |latest| latest.end).map(written),
        "minActiveReadVersion": version(model.server_time(view.min_active)),
        "minActiveReadTimestamp": written(view.min_active),
        "scaleOutStatus": ENABLED,
        "scaleOutReplicas": (0..=settings.replicas).map(replica).collect::<Vec<_>>(),
    })
}
