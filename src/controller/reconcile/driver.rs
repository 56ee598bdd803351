//! The driver performs what the machine requests. It makes no decisions.
//!
//! Each request has its own boxed future, so that a reconciliation that waits for a permit or a service uses little memory.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use jiff::Timestamp;
use kube::ResourceExt as _;

use super::calls;
use super::check::check;
use super::context::Context;
use super::namespaces;
use super::observe::observe;
use super::report::Reporter;
use super::write::{fenced, write_response};
use crate::api::{ModelResource, ResourceKey};
use crate::controller::cluster::resource_api::ResourceApi;
use crate::engine::reconcile::{DriverRequest, DriverResponse, Outcome, ReadFailed, Reconciliation, View as _};
use crate::telemetry::labels::Write;

type View = Arc<ModelResource>;

/// Performs what a reconciliation of the resource with this key and uid requests. Returns its outcome.
pub(super) async fn drive(ctx: &Context, (key, uid): (&ResourceKey, &str), machine: &mut Reconciliation<View>) -> Outcome<View> {
    // Most reconciliations poll, and neither read nor write the resource.
    let resources = LazyLock::new(|| ResourceApi::new(&ctx.client, &ctx.request_limiter, key.kind, &key.namespace));
    let mut reporter = Reporter::new(ctx, key, uid);
    let (mut credentials, mut prepared, mut last_events) = (Ok(None), None, Vec::new());
    let mut request = machine.handle(DriverResponse::Start(Timestamp::now()));
    loop {
        let view = machine.view();
        let response = match request {
            DriverRequest::Observe => {
                let (observed, found) = observe(ctx, key, view, machine.is_detached());
                credentials = found;
                DriverResponse::Observed(Box::new(observed))
            }
            DriverRequest::Read { after } => {
                if !after.is_zero() {
                    reporter.retrying_id_write(after);
                    tokio::time::sleep(after).await;
                }
                DriverResponse::Read(Box::pin(read(ctx, &resources, (key, uid), &mut reporter)).await)
            }
            DriverRequest::ReadNamespace => {
                DriverResponse::Namespace { terminating: Box::pin(namespaces::is_terminating(ctx, &key.namespace, uid)).await }
            }
            DriverRequest::Prepare { model, call, freshness, timeout } => {
                let credentials = std::mem::replace(&mut credentials, Ok(None));
                let prepare = calls::prepare(ctx, view, credentials, &model, &call, freshness);
                let prepare = ctx.traces.in_run(|| reporter.run_span(machine.run()), Box::pin(prepare));
                match within_limit(timeout, prepare).await {
                    Some(Ok(call)) => {
                        prepared = Some(call);
                        DriverResponse::Prepared
                    }
                    Some(Err(effect_result)) => DriverResponse::NotPrepared(effect_result),
                    None => DriverResponse::TimedOut,
                }
            }
            DriverRequest::Reserve { model, id } => DriverResponse::Reserved { claimed: !ctx.store.try_reserve(view, &model, &id) },
            DriverRequest::WriteStatus { status, .. } => {
                let written = fenced(&mut reporter, Write::Status, view, Box::pin(resources.write_status(view, &status))).await;
                if written.is_ok() {
                    reporter.status_written(view.status(), &status);
                }
                write_response(ctx, written)
            }
            DriverRequest::AddFinalizer => {
                write_response(ctx, fenced(&mut reporter, Write::Finalizer, view, Box::pin(resources.add_finalizer(view))).await)
            }
            DriverRequest::RemoveAnnotation(key) => {
                write_response(ctx, fenced(&mut reporter, Write::Annotation, view, Box::pin(resources.remove_annotation(view, key))).await)
            }
            DriverRequest::RemoveFinalizer { events } => {
                last_events = events;
                let removal = Box::pin(async {
                    // Before the write, because the watch may show the deletion before the response arrives.
                    ctx.store.detached_index.untrack(uid);
                    ctx.store.index.retain_claims(view);
                    resources.remove_finalizer(view).await
                });
                match fenced(&mut reporter, Write::Finalizer, view, removal).await {
                    Ok(()) => DriverResponse::Removed,
                    Err(response) => response,
                }
            }
            DriverRequest::AcquireTurn { model, since } => DriverResponse::Turn(ctx.store.acquire_turn(&model, (key, uid), since)),
            DriverRequest::Publish { events, namespace_terminating } => {
                reporter.published(view, &events, namespace_terminating);
                DriverResponse::Published
            }
            DriverRequest::Call { call, timeout } => match prepared.take() {
                Some(prepared) => {
                    if machine.is_detached() {
                        // An operation that is adopted now is claimed like one that was known before.
                        ctx.store.index.retain_claims(view);
                    }
                    let work = Box::pin(calls::call(ctx, view, &call, prepared));
                    let called = within_limit(timeout, ctx.traces.in_run(|| reporter.run_span(machine.run()), work)).await;
                    if let Some(effect_result) = &called {
                        ctx.store.record_accepted(view, effect_result);
                    }
                    called.map_or(DriverResponse::TimedOut, |effect_result| DriverResponse::Called(Box::new(effect_result)))
                }
                // Unreachable: a call follows its preparation. The machine ends on an unexpected response.
                None => DriverResponse::Prepared,
            },
            DriverRequest::RunCheck { model, kind, timeout } => {
                let credentials = std::mem::replace(&mut credentials, Ok(None));
                DriverResponse::CheckCompleted(Box::new(Box::pin(check(ctx, &key.namespace, credentials, (&model, kind), timeout)).await))
            }
            DriverRequest::Done(outcome) => {
                reporter.ended(&outcome, &last_events);
                return *outcome;
            }
        };
        request = machine.handle(response);
    }
}

/// Reads the resource; `None` if another one has its name.
async fn read(
    ctx: &Context,
    resources: &ResourceApi,
    (key, uid): (&ResourceKey, &str),
    reporter: &mut Reporter<'_>,
) -> Result<Option<View>, ReadFailed> {
    match resources.read(&key.name).await {
        Ok(found) => {
            let found = found.filter(|found| found.uid().as_deref() == Some(uid));
            Ok(found.inspect(|found| ctx.store.record_write(found)))
        }
        Err(error) => {
            reporter.read_failed(error);
            Err(ReadFailed)
        }
    }
}

/// Waits for at most `timeout`. Returns `None` if there is no result by then.
async fn within_limit<F: Future>(timeout: Option<Duration>, work: F) -> Option<F::Output> {
    match timeout {
        None => Some(work.await),
        Some(timeout) => tokio::time::timeout(timeout, work).await.ok(),
    }
}
