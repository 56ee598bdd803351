//! `status`: shows one resource.

use tabular_operator::api::ResourceKey;

use super::show::StatusArgs;
use super::watching::{Watching, is_complete, neighbors, until_interrupted};
use crate::connect::connect;
use crate::exit::Exit;
use crate::facts::{Visible, chain, queues};
use crate::failure::Failure;
use crate::objects::Object;
use crate::output::View;
use crate::report::{Report, ResourceReport, StatusReport};
use crate::screens;
use crate::session::{Session, deadline};
use crate::watch::Watch;

pub(super) async fn run(args: &StatusArgs, session: &mut Session) -> Result<Exit, Failure> {
    let deadline = deadline(args.timeout);
    let connection = connect(&args.common.connection)?;
    let object = connection.get(&args.name).await?;
    let key = object.key();
    // The queue and the chain are in all namespaces.
    let (listed, scope) = neighbors(&connection, &object).await?;
    session.note_undecodable(&listed.undecodable);
    let is_complete = is_complete(scope.as_ref());
    if !args.watch {
        let is_complete = is_complete && listed.undecodable.is_empty();
        let (view, visible) = (session.view(), Visible { objects: &listed.objects, is_complete });
        if session.is_text() {
            session.print(&screens::status(&object, visible, &view));
        } else {
            session.report(&report(&object, visible, &view))?;
        }
        return Ok(Exit::Success);
    }
    let mut watch = match scope {
        Some(scope) => Watch::of_neighbors(&connection, &scope, key.kind, listed),
        None => Watch::of_one(&connection, &args.name, object),
    };
    let block = |visible: Visible<'_>, view: &View| match find(visible.objects, &key) {
        Some(object) => screens::status(object, visible, view),
        None => vec![vec![(screen::Style::Yellow, format!("{} was deleted", args.name))]],
    };
    let includes = |object: &Object, _: &View| object.key() == key;
    let shown = Watching { block: &block, includes: &includes, warns: &|_| true, names: false, is_complete };
    until_interrupted(session, &mut watch, shown, deadline).await
}

fn find<'a>(objects: &'a [Object], key: &ResourceKey) -> Option<&'a Object> {
    objects.iter().find(|object| object.key() == *key)
}

fn report(object: &Object, visible: Visible<'_>, view: &View) -> Report {
    let queues = queues(visible);
    let key = object.key();
    let behind = queues.iter().filter(|queue| queue.running.iter().any(|running| running.key() == key));
    Report::Status(Box::new(StatusReport {
        resource: ResourceReport::new(object, &queues, view.now),
        waiting_for: chain(object, &queues, view.now).map(|chain| chain.links).unwrap_or_default(),
        waiting_behind: behind.flat_map(|queue| &queue.waiting).map(|waiting| waiting.name()).collect(),
        latest_run: object.run().cloned(),
        history: object.status().history.clone(),
    }))
}
