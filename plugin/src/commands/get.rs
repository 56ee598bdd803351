//! `get`: lists the resources.

use std::collections::BTreeSet;

use screen::Line;
use tabular_operator::api::{ResourceKey, RunState};

use super::show::GetArgs;
use super::watching::{Watching, is_complete, until_interrupted};
use crate::connect::{Connection, connect};
use crate::exit::Exit;
use crate::facts::{Freshness, ResourceStatus, Visible, freshness, is_queued, order, queues, resource_status};
use crate::failure::Failure;
use crate::objects::{Listed, Object, Scope};
use crate::output::View;
use crate::report::{Report, ResourceReport, ResourcesReport};
use crate::screens;
use crate::session::Session;
use crate::target::{Target, distinct, kinds};
use crate::watch::Watch;

pub(super) async fn run(args: &GetArgs, session: &mut Session) -> Result<Exit, Failure> {
    let connection = connect(&args.common.connection)?;
    let scope = Scope { namespace: (!args.all_namespaces).then(|| connection.namespace.clone()), selector: args.selector.clone() };
    let (listed, exit) = read(args, &connection, &scope, session).await?;
    let selected = |object: &Object, view: &View| is_selected(args, object, view);
    if args.watch {
        session.note_undecodable(&listed.undecodable);
        let block = |visible: Visible<'_>, view: &View| block(args, visible, view);
        // Names are of one namespace. Its other resources have no effect on their rows, because positions are left out.
        let warns = |key: &ResourceKey| is_named(&args.names, key);
        let is_complete = is_complete(Some(&scope));
        let shown = Watching { block: &block, includes: &selected, warns: &warns, names: true, is_complete };
        let mut watch = Watch::of(&connection, &scope, &kinds(&args.names), listed);
        return until_interrupted(session, &mut watch, shown, None).await.map(|ended| ended.max(exit));
    }
    let view = session.view();
    let objects: Vec<Object> = listed.objects.iter().filter(|object| selected(object, &view)).cloned().collect();
    let (all, is_complete) = all(&connection, &scope, listed, &objects).await;
    session.note_undecodable(&all.undecodable);
    let visible = Visible { objects: &all.objects, is_complete };
    if !session.is_text() {
        session.report(&report(visible, objects, &view))?;
    } else if objects.is_empty() {
        let filtered = args.stale || args.failed || args.running || args.selector.is_some();
        let place = if args.all_namespaces { "in all namespaces".to_owned() } else { format!("in namespace {}", connection.namespace) };
        // An unknown name has its own message.
        if exit == Exit::Success {
            session.note(&format!("no {} {place}", if filtered { "resource matches" } else { "ModelRefresh or ModelSync" }));
        }
    } else {
        session.print(&screens::get(visible, &objects, args.all_namespaces, &view));
        if let Some(hint) = screens::needs_action(&objects, &view) {
            session.note(&hint);
        }
    }
    Ok(exit)
}

/// Reads the resources. Names that do not exist are reported, and determine the exit code.
async fn read(args: &GetArgs, connection: &Connection, scope: &Scope, session: &mut Session) -> Result<(Listed, Exit), Failure> {
    if args.names.is_empty() {
        return Ok((connection.list(scope).await?, Exit::Success));
    }
    let (mut listed, mut exit) = (Listed::default(), Exit::Success);
    for target in distinct(&args.names) {
        match connection.get(target).await {
            Ok(object) => listed.objects.push(object),
            Err(failure) => exit = exit.max(session.fail(&failure)),
        }
    }
    Ok((listed, exit))
}

/// The resources that can be in the queues of the selected ones, and whether these are all. A model is shared by all namespaces, which are
/// listed only if a selected resource is in a queue. One that cannot be decoded may be in a queue.
async fn all(connection: &Connection, scope: &Scope, mut listed: Listed, selected: &[Object]) -> (Listed, bool) {
    let mut is_whole = is_complete(Some(scope));
    if !is_whole && selected.iter().any(is_queued) {
        // Without the permission, the positions are left out.
        if let Ok(everywhere) = connection.list(&Scope::default()).await {
            let known: BTreeSet<ResourceKey> = listed.objects.iter().map(Object::key).collect();
            listed.objects.extend(everywhere.objects.into_iter().filter(|object| !known.contains(&object.key())));
            (listed.undecodable, is_whole) = (everywhere.undecodable, true);
        }
    }
    let is_complete = is_whole && listed.undecodable.is_empty();
    (listed, is_complete)
}

/// Whether a resource of the namespace has one of these names. Without a name, each has.
fn is_named(names: &[Target], key: &ResourceKey) -> bool {
    names.is_empty() || names.iter().any(|target| target.kind == key.kind && target.name == key.name)
}

fn is_selected(args: &GetArgs, object: &Object, view: &View) -> bool {
    if !is_named(&args.names, &object.key()) {
        return false;
    }
    let stale = freshness(object, view.now).is_some_and(Freshness::is_stale);
    let unsuccessful = object.run().is_some_and(|run| run.state.ended() && run.state != RunState::Succeeded);
    let (status, none) = (resource_status(object), !(args.stale || args.failed || args.running));
    none || args.stale && stale
        || args.failed && (unsuccessful || status == ResourceStatus::NeedsAction)
        || args.running && matches!(status, ResourceStatus::Running | ResourceStatus::Waiting)
}

fn block(args: &GetArgs, visible: Visible<'_>, view: &View) -> Vec<Line> {
    let selected: Vec<Object> = visible.objects.iter().filter(|object| is_selected(args, object, view)).cloned().collect();
    let mut lines = screens::get(visible, &selected, args.all_namespaces, view);
    lines.extend(screens::needs_action(&selected, view).map(|hint| vec![(screen::Style::Faint, hint)]));
    lines
}

fn report(visible: Visible<'_>, mut objects: Vec<Object>, view: &View) -> Report {
    order(&mut objects, view.now);
    let queues = queues(visible);
    let resources = objects.iter().map(|object| ResourceReport::new(object, &queues, view.now)).collect();
    Report::Resources(ResourcesReport { resources })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use serde_json::json;
    use tabular_operator::api::Kind;

    use super::*;
    use crate::facts::place;
    use crate::fixture::{NOW, at, connection, denial, list, object_with, run};

    fn waiting(namespace: &str, requested: &str) -> Object {
        let model = json!({"analysisServices": {"server": "asazure://westus.asazure.windows.net/myserver", "database": "Orders"}});
        let run = run("Orders", json!({"state": "Waiting", "reason": "WaitingForTurn", "requestedTime": requested}));
        let metadata = json!({"name": "orders", "namespace": namespace, "uid": namespace});
        object_with(Kind::ModelRefresh, &metadata, &json!({"model": model}), &json!({"observedGeneration": 1, "run": run}))
    }

    /// The position of the resource in the namespace `bi`, and the number of requests. In the namespace `ops`, another one is ahead of it.
    async fn position(scope: &Scope, own: Object, is_permitted: bool) -> (Option<usize>, usize) {
        let (requests, other) = (Arc::new(AtomicUsize::new(0)), waiting("ops", "2026-11-29T20:00:00Z"));
        let (counter, older) = (Arc::clone(&requests), own.clone());
        let connection = connection(move |path| {
            counter.fetch_add(1, Ordering::Relaxed);
            match (is_permitted, path.contains("/modelrefreshes")) {
                (false, _) => denial("list", "modelrefreshes"),
                (true, true) => (200, list(&[&other, &older])),
                (true, false) => (200, list(&[])),
            }
        });
        let own = [own];
        let (all, is_complete) = all(&connection, scope, listed(&own), &own).await;
        let queues = queues(Visible { objects: &all.objects, is_complete });
        let position = place(&own[0], &queues, at(NOW)).and_then(|place| place.position);
        (position, requests.load(Ordering::Relaxed))
    }

    fn listed(objects: &[Object]) -> Listed {
        Listed { objects: objects.to_vec(), ..Listed::default() }
    }

    #[tokio::test]
    async fn undecodable_resource_may_be_ahead() {
        let own = [waiting("bi", "2026-11-29T21:00:00Z")];
        let mut everywhere = list(&[&waiting("ops", "2026-11-29T20:00:00Z"), &own[0]]);
        everywhere["items"][0]["spec"]["model"] = json!(1);
        let connection = connection(move |path| (200, if path.contains("/modelrefreshes") { everywhere.clone() } else { list(&[]) }));
        let scope = Scope { namespace: Some("bi".to_owned()), selector: None };
        let (all, is_complete) = all(&connection, &scope, listed(&own), &own).await;
        assert_eq!((all.objects.len(), all.undecodable.len(), is_complete), (1, 1, false));
        assert_eq!(all.undecodable[0].key.namespace, "ops");
    }

    #[test]
    fn only_named_resources_are_reported() {
        let names: Vec<Target> = ["orders", "msync/replicas"].map(|name| name.parse().unwrap()).into();
        let reported = |kind: Kind, name: &str| is_named(&names, &Target { kind, name: name.to_owned() }.key("bi"));
        assert!(reported(Kind::ModelRefresh, "orders") && reported(Kind::ModelSync, "replicas"));
        assert!(!reported(Kind::ModelRefresh, "stock") && !reported(Kind::ModelRefresh, "replicas"));
        assert!(is_named(&[], &Target { kind: Kind::ModelRefresh, name: "stock".to_owned() }.key("bi")));
    }

    #[tokio::test]
    async fn positions_count_other_namespaces_or_are_left_out() {
        let own = || waiting("bi", "2026-11-29T21:00:00Z");
        let namespace = Scope { namespace: Some("bi".to_owned()), selector: None };
        let labels = Scope { namespace: None, selector: Some("tier=gold".to_owned()) };
        for scope in [&namespace, &labels] {
            assert_eq!(position(scope, own(), true).await, (Some(2), 2), "{scope:?}");
            assert_eq!(position(scope, own(), false).await, (None, 1), "{scope:?}");
        }
        assert_eq!(position(&Scope::default(), own(), true).await, (Some(1), 0), "everything is listed already");
        let mut idle = own();
        idle.resource = idle.resource.with_status(&tabular_operator::api::Status::default());
        assert_eq!(position(&namespace, idle, true).await, (None, 0), "nothing waits, so nothing is listed");
    }
}
