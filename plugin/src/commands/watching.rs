//! Watching until Ctrl-C: a block that is redrawn on a terminal, and one line for each change elsewhere.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::time::Duration;

use futures::FutureExt as _;
use screen::Line;
use tabular_operator::api::ResourceKey;
use tokio::time::Instant;

use crate::connect::Connection;
use crate::exit::Exit;
use crate::facts::Visible;
use crate::failure::{Cause, Failure};
use crate::objects::{Listed, Object, Scope};
use crate::output::View;
use crate::screens::{change_line, change_text};
use crate::session::{Session, expired};
use crate::watch::{Change, Watch};

/// How often the block is redrawn without a change, because it contains times.
const REDRAW: Duration = Duration::from_secs(1);

/// What to show of the watched resources.
pub(super) struct Watching<'a> {
    /// The block on a terminal.
    pub block: &'a dyn Fn(Visible<'_>, &View) -> Vec<Line>,
    /// Whether a resource has lines elsewhere.
    pub includes: &'a dyn Fn(&Object, &View) -> bool,
    /// Whether a warning reports a resource that can no longer be decoded.
    pub warns: &'a dyn Fn(&ResourceKey) -> bool,
    /// Whether lines name the resource.
    pub names: bool,
    /// Whether no other resource can be in the queues of those that are watched.
    pub is_complete: bool,
}

/// The resources that may share the model of a resource, and their scope. Without a scope, the user may not list even one namespace, and
/// only the resource itself is visible.
///
/// # Errors
/// If the list fails, or has a version of the resource that cannot be decoded.
pub(super) async fn neighbors(connection: &Connection, object: &Object) -> Result<(Listed, Option<Scope>), Failure> {
    match connection.list_widely().await {
        Ok((listed, all_namespaces)) => {
            if let Some(own) = listed.undecodable.iter().find(|undecodable| undecodable.key == object.key()) {
                return Err(own.failure());
            }
            let namespace = (!all_namespaces).then(|| connection.namespace.clone());
            Ok((listed, Some(Scope { namespace, selector: None })))
        }
        Err(failure) if failure.cause == Cause::Forbidden => Ok((Listed { objects: vec![object.clone()], ..Listed::default() }, None)),
        Err(failure) => Err(failure),
    }
}

/// Whether a scope includes each resource that can share a model with another one.
pub(super) fn is_complete(scope: Option<&Scope>) -> bool {
    scope.is_some_and(|scope| scope.namespace.is_none() && scope.selector.is_none())
}

/// Returns a future that ends at the next Ctrl-C, and that already listens: Tokio loses a Ctrl-C between the installation of its handler and
/// the registration of the first listener. Without a handler, Ctrl-C ends the process as usual.
pub(super) async fn interruption() -> Pin<Box<impl Future>> {
    let mut interrupted = Box::pin(tokio::signal::ctrl_c().fuse());
    let _ = futures::poll!(&mut interrupted);
    interrupted
}

/// Watches until Ctrl-C, until the reader closes the output, or until the deadline.
///
/// # Errors
/// If the API server refuses the watch.
pub(super) async fn until_interrupted(
    session: &mut Session,
    watch: &mut Watch,
    shown: Watching<'_>,
    deadline: Option<Instant>,
) -> Result<Exit, Failure> {
    let mut lines = BTreeMap::new();
    let mut redraw = tokio::time::interval(REDRAW);
    let mut interrupted = interruption().await;
    let exit = loop {
        update(session, watch, &shown, &mut lines);
        if session.is_closed() {
            return Ok(Exit::Success);
        }
        tokio::select! {
            change = watch.next() => match change {
                Change::Objects => {}
                Change::Lost(cause) => session.note_lost(&cause),
                Change::Restored => session.note("connected again"),
                Change::Undecodable(undecodable) => {
                    if (shown.warns)(&undecodable.key) {
                        session.note(&undecodable.warning());
                    }
                }
                Change::Refused(failure) => {
                    session.settle();
                    return Err(failure);
                }
            },
            _ = redraw.tick(), if session.is_live() => {}
            _ = &mut interrupted => break Exit::Success,
            () = expired(deadline) => break Exit::Timeout,
        }
    };
    // The last frame shows the current state.
    update(session, watch, &shown, &mut lines);
    session.settle();
    Ok(exit)
}

fn update(session: &mut Session, watch: &Watch, shown: &Watching<'_>, before: &mut BTreeMap<String, String>) {
    let (view, objects) = (session.view(), watch.objects());
    if session.is_live() {
        let is_complete = shown.is_complete && !watch.leaves_out();
        session.draw(&(shown.block)(Visible { objects: &objects, is_complete }, &view));
        return;
    }
    let mut current = BTreeMap::new();
    for object in objects.iter().filter(|object| (shown.includes)(object, &view)) {
        current.insert(format!("{}/{}", object.namespace(), object.name()), change_text(object));
    }
    let gone = before.keys().filter(|name| !current.contains_key(*name)).map(|name| (name.clone(), "Gone".to_owned()));
    let new = current.iter().filter(|(name, text)| before.get(*name) != Some(text)).map(|(name, text)| (name.clone(), text.clone()));
    for (name, text) in gone.chain(new) {
        let name = Some(name.as_str()).filter(|_| shown.names);
        session.print(&[vec![(screen::Style::Plain, change_line(view.now, name, &text))]]);
    }
    *before = current;
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tabular_operator::api::Kind;

    use super::*;
    use crate::exit::Exit;
    use crate::fixture::{connection, denial, list, refresh};
    use crate::session::OutputArgs;
    use crate::target::Target;

    /// How a watch ends that the API server refuses, after a list that it permits or not.
    async fn ended(may_list: bool) -> Failure {
        let object = refresh("orders", "Orders", json!({}), json!({}));
        let listed = list(&[&object]);
        let connection = connection(move |path| match (path.contains("watch="), may_list) {
            (false, true) => (200, listed.clone()),
            (false, false) => denial("list", "modelrefreshes"),
            (true, _) => denial("watch", "modelrefreshes"),
        });
        let target = Target { kind: Kind::ModelRefresh, name: "orders".to_owned() };
        let mut watch = Watch::of_one(&connection, &target, object);
        let shown = Watching { block: &|_, _| Vec::new(), includes: &|_, _| false, warns: &|_| true, names: false, is_complete: false };
        let deadline = Some(Instant::now() + Duration::from_mins(1));
        until_interrupted(&mut Session::new(OutputArgs::default()), &mut watch, shown, deadline).await.unwrap_err()
    }

    #[tokio::test(start_paused = true)]
    async fn denied_watch_ends_with_exit_code_1_and_the_permission() {
        for (may_list, verb) in [(true, "watch"), (false, "list")] {
            let failure = ended(may_list).await;
            let sentence = format!("you may not {verb} modelrefreshes in namespace bi: ask for the role view there");
            assert_eq!((failure.exit, failure.sentence), (Exit::Failure, sentence));
        }
    }
}
