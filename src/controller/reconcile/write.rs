//! Writes to a resource. Only the leader performs them.

use std::sync::Arc;

use super::context::Context;
use super::report::Reporter;
use crate::api::ModelResource;
use crate::controller::cluster::timeout::ApiError;
use crate::engine::reconcile::{DriverResponse, Rejection};
use crate::telemetry::labels::Write;

type View = Arc<ModelResource>;

/// Performs a write if the process leads. Otherwise another operator may have newer information.
pub(super) async fn fenced<T>(
    reporter: &mut Reporter<'_>,
    what: Write,
    view: &View,
    write: impl Future<Output = Result<T, ApiError>>,
) -> Result<T, DriverResponse<View>> {
    if !reporter.ctx.lease.holds() {
        return Err(DriverResponse::Rejected(Rejection::NotLeader));
    }
    match write.await {
        Ok(written) => {
            reporter.count_write(what);
            Ok(written)
        }
        Err(error) => Err(reporter.write_failed(what, view, error)),
    }
}

/// Keeps the object that a write returned, and returns the response for the machine.
pub(super) fn write_response(ctx: &Context, written: Result<View, DriverResponse<View>>) -> DriverResponse<View> {
    written.map_or_else(
        |failed| failed,
        |view| {
            ctx.store.record_write(&view);
            DriverResponse::Written(view)
        },
    )
}
