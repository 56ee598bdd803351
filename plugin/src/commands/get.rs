//! `get`: lists the resources.

use screen::Line;
use tabular_operator::api::RunState;

use super::show::GetArgs;
use super::watching::{Watching, until_interrupted};
use crate::connect::{Connection, connect};
use crate::exit::Exit;
use crate::facts::{Freshness, ResourceStatus, freshness, order, queues, resource_status};
use crate::failure::{Cause, Failure};
use crate::objects::{Listed, Object, Scope};
use crate::output::View;
use crate::report::{Report, ResourceReport, ResourcesReport};
use crate::screens;
use crate::session::Session;
use crate::watch::Watch;

pub(super) async fn run(args: &GetArgs, session: &mut Session) -> Result<Exit, Failure> {
    let connection = connect(&args.common.connection)?;
    let scope = Scope { namespace: (!args.all_namespaces).then(|| connection.namespace.clone()), selector: args.selector.clone() };
    let (listed, exit) = read(args, &connection, &scope, session).await?;
    for undecodable in &listed.undecodable {
        session.note(&undecodable.warning());
    }
    let selected = |object: &Object, view: &View| is_selected(args, object, view);
    if args.watch {
        let block = |objects: &[Object], view: &View| block(args, objects, view);
        let shown = Watching { block: &block, includes: &selected, names: true };
        let mut watch = Watch::of(&connection, &scope, listed);
        return Ok(until_interrupted(session, &mut watch, shown, None).await.max(exit));
    }
    let view = session.view();
    let objects: Vec<Object> = listed.objects.iter().filter(|object| selected(object, &view)).cloned().collect();
    if !session.is_text() {
        session.report(&report(&listed.objects, objects, &view))?;
    } else if objects.is_empty() {
        let filtered = args.stale || args.failed || args.running || args.selector.is_some();
        let place = if args.all_namespaces { "in all namespaces".to_owned() } else { format!("in namespace {}", connection.namespace) };
        // An unknown name has its own message.
        if exit == Exit::Success {
            session.note(&format!("no {} {place}", if filtered { "resource matches" } else { "ModelRefresh or ModelSync" }));
        }
    } else {
        session.print(&screens::get(&listed.objects, &objects, args.all_namespaces, &view));
        if let Some(hint) = screens::needs_action(&objects, &view) {
            session.note(&hint);
        }
    }
    Ok(exit)
}

/// Reads the resources. Names that do not exist are reported, and determine the exit code.
async fn read(args: &GetArgs, connection: &Connection, scope: &Scope, session: &mut Session) -> Result<(Listed, Exit), Failure> {
    // Also for names: a queue position counts the other resources.
    let listed = connection.list(scope).await;
    if args.names.is_empty() {
        return Ok((listed?, Exit::Success));
    }
    let mut exit = Exit::Success;
    let mut listed = match listed {
        Ok(listed) => listed,
        Err(failure) if failure.cause == Cause::Forbidden => Listed::default(),
        Err(failure) => return Err(failure),
    };
    for target in &args.names {
        let key = target.key(&connection.namespace);
        if listed.objects.iter().any(|object| object.key() == key) {
            continue;
        }
        match connection.get(target).await {
            Ok(object) => listed.objects.push(object),
            Err(failure) => exit = exit.max(session.fail(&failure)),
        }
    }
    Ok((listed, exit))
}

fn is_selected(args: &GetArgs, object: &Object, view: &View) -> bool {
    let key = object.key();
    if !args.names.is_empty() && !args.names.iter().any(|target| target.kind == key.kind && target.name == key.name) {
        return false;
    }
    let stale = freshness(object, view.now).is_some_and(Freshness::is_stale);
    let unsuccessful = object.run().is_some_and(|run| run.state.ended() && run.state != RunState::Succeeded);
    let (status, none) = (resource_status(object), !(args.stale || args.failed || args.running));
    none || args.stale && stale
        || args.failed && (unsuccessful || status == ResourceStatus::NeedsAction)
        || args.running && matches!(status, ResourceStatus::Running | ResourceStatus::Waiting)
}

fn block(args: &GetArgs, objects: &[Object], view: &View) -> Vec<Line> {
    let selected: Vec<Object> = objects.iter().filter(|object| is_selected(args, object, view)).cloned().collect();
    let mut lines = screens::get(objects, &selected, args.all_namespaces, view);
    lines.extend(screens::needs_action(&selected, view).map(|hint| vec![(screen::Style::Faint, hint)]));
    lines
}

fn report(all: &[Object], mut objects: Vec<Object>, view: &View) -> Report {
    order(&mut objects, view.now);
    let queues = queues(all);
    let resources = objects.iter().map(|object| ResourceReport::new(object, &queues, view.now)).collect();
    Report::Resources(ResourcesReport { resources })
}
