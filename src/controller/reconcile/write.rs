//! Writes to a resource, which only the leader performs.

use std::sync::Arc;

use super::super::call::CallError;
use super::super::context::Context;
use super::report::Report;
use crate::api::ModelResource;
use crate::engine::reconcile::{Rejection, Response};
use crate::telemetry::labels::Write;

type View = Arc<ModelResource>;

/// Performs a write while the process leads: another operator may have seen more.
pub(super) async fn fenced<T>(
    report: &mut Report<'_>,
    what: Write,
    view: &View,
    write: impl Future<Output = Result<T, CallError>>,
) -> Result<T, Response<View>> {
    if !report.ctx.lease.holds() {
        return Err(Response::Rejected(Rejection::NotLeader));
    }
    match write.await {
        Ok(written) => {
            report.wrote(what);
            Ok(written)
        }
        Err(error) => Err(report.write_failed(what, view, error)),
    }
}

/// Keeps what a write left.
pub(super) fn left(ctx: &Context, written: Result<View, Response<View>>) -> Response<View> {
    written.map_or_else(
        |failed| failed,
        |view| {
            ctx.keep_latest(&view);
            Response::Written(view)
        },
    )
}
