//! Following requests: what becomes of each, until its end or until the operator has handled it.

use std::collections::BTreeSet;
use std::time::Duration;

use screen::Line;
use tabular_operator::api::Kind;
use tokio::time::Instant;

use super::watching::{is_complete, neighbors};
use crate::connect::Connection;
use crate::exit::Exit;
use crate::facts::{Request, RequestOutcome, Visible};
use crate::failure::Failure;
use crate::objects::{Listed, Object, Scope};
use crate::output::View;
use crate::screens;
use crate::session::{Session, expired};
use crate::target::Target;
use crate::watch::{Change, Watch};

/// How long a command without `--wait` waits for the operator, which usually handles a request within a second.
const SETTLE: Duration = Duration::from_secs(5);
/// After this time, an unhandled request is explained.
const EXPLAIN: Duration = Duration::from_secs(30);
/// How often the block is redrawn and the times above are checked.
const TICK: Duration = Duration::from_secs(1);

/// A request that is followed.
pub(super) struct Followed {
    pub target: Target,
    pub request: Request,
    /// What has become of it so far.
    pub outcome: RequestOutcome,
    /// The latest version of its resource.
    pub object: Option<Object>,
    is_announced: bool,
    is_explained: bool,
    /// The last line about it.
    line: String,
}

impl Followed {
    pub(super) fn new(target: Target, mut request: Request) -> Self {
        let object = request.before().clone();
        let outcome = request.observe(Some(&object));
        Self { target, request, outcome, object: Some(object), is_announced: false, is_explained: false, line: String::new() }
    }

    /// Its exit code if that is determined.
    pub(super) fn exit(&self, wait: bool) -> Option<Exit> {
        self.request.exit(&self.outcome, wait)
    }

    /// What has become of it, in one line.
    pub(super) fn text(&self, view: &View) -> String {
        screens::progress(&self.request, &self.outcome, self.object.as_ref(), view)
    }

    /// The line with the name.
    pub(super) fn sentence(&self, view: &View) -> String {
        screens::requested(&self.request, &self.outcome, self.object.as_ref(), view)
    }

    /// Takes a version of the resource into account.
    fn observe(&mut self, object: Option<&Object>) {
        self.outcome = self.request.observe(object);
        if let Some(object) = object {
            self.object = Some(object.clone());
        }
    }

    /// Reports what changed to a user who waits.
    fn report(&mut self, session: &mut Session, is_drawn: bool, several: bool, elapsed: Duration) {
        let view = session.view();
        let text = self.text(&view);
        let has_ended = matches!(self.outcome, RequestOutcome::Ended(_));
        if !self.is_announced && !has_ended && (self.outcome != RequestOutcome::Pending || elapsed >= SETTLE) {
            session.note(&self.sentence(&view));
            (self.is_announced, self.line) = (true, text);
        } else if self.is_announced && text != self.line && (!is_drawn || self.exit(true).is_some()) && !has_ended {
            let name = several.then(|| self.target.to_string());
            session.note(&screens::change_line(view.now, name.as_deref(), &text));
            self.line = text;
        }
        let object = self.object.as_ref().filter(|_| self.outcome == RequestOutcome::Pending && elapsed >= EXPLAIN && !self.is_explained);
        if let Some(object) = object {
            session.note(&screens::unhandled(&self.request, object, &view));
            self.is_explained = true;
        }
    }
}

/// How long to follow.
#[derive(Clone, Copy, Debug)]
pub(super) struct Until {
    /// Until the run has ended; otherwise until the operator has handled the request.
    pub wait: bool,
    /// The end of `--timeout`.
    pub deadline: Option<Instant>,
}

/// Follows requests. Returns when the exit code of each is determined, at the deadline, or when waiting is of no use.
pub(super) async fn follow(connection: &Connection, session: &mut Session, all: &mut [&mut Followed], until: Until) -> Result<(), Failure> {
    let is_drawn = until.wait && session.is_text() && session.is_live();
    let several = all.len() > 1;
    let (mut watch, is_complete) = watch(connection, all, is_drawn).await;
    let began = Instant::now();
    let mut tick = tokio::time::interval(TICK);
    loop {
        for followed in all.iter_mut() {
            followed.observe(watch.get(&followed.request.before().key()));
            if until.wait {
                followed.report(session, is_drawn, several, began.elapsed());
            }
        }
        let is_done = all.iter().all(|followed| followed.exit(until.wait).is_some());
        if is_drawn {
            let is_complete = is_complete && !watch.leaves_out();
            session.draw(&block(all, Visible { objects: &watch.objects(), is_complete }, session));
        }
        if is_done || !until.wait && began.elapsed() >= SETTLE {
            session.settle();
            return Ok(());
        }
        tokio::select! {
            change = watch.next() => match change {
                Change::Objects => {}
                Change::Restored => session.note("connected again"),
                // The end of its run would not be noticed. Another resource of the model is only left out.
                Change::Undecodable(undecodable) => {
                    if all.iter().any(|followed| followed.request.before().key() == undecodable.key) {
                        return Err(undecodable.failure());
                    }
                }
                Change::Lost(failure) => session.note_lost(&failure),
                Change::Refused(failure) => return Err(failure),
            },
            _ = tick.tick() => {}
            () = expired(until.deadline) => {
                session.settle();
                return Ok(());
            }
        }
    }
}

/// Watches the resources of the requests, and for a block those that may share the model. The watch starts with a list of its own, so the
/// API server need not be available now. Also returns whether no other resource can be in the queues.
async fn watch(connection: &Connection, all: &[&mut Followed], is_drawn: bool) -> (Watch, bool) {
    let found: Vec<Object> = all.iter().map(|followed| followed.request.before().clone()).collect();
    if let ([one], [object]) = (all, found.as_slice()) {
        let neighbors = if is_drawn { neighbors(connection, object).await.ok() } else { None };
        return match neighbors {
            Some((listed, Some(scope))) => {
                let is_complete = is_complete(Some(&scope));
                (Watch::of_neighbors(connection, &scope, one.target.kind, listed), is_complete)
            }
            Some((_, None)) | None => (Watch::of_one(connection, &one.target, object.clone()), false),
        };
    }
    let scope = Scope { namespace: Some(connection.namespace.clone()), selector: None };
    let kinds: BTreeSet<Kind> = all.iter().map(|followed| followed.target.kind).collect();
    (Watch::of(connection, &scope, &kinds, Listed { objects: found, ..Listed::default() }), false)
}

/// The status of one resource, or a table of several.
fn block(all: &[&mut Followed], visible: Visible<'_>, session: &Session) -> Vec<Line> {
    let view = session.view();
    match all {
        [one] => one.object.as_ref().map(|object| screens::status(object, visible, &view)).unwrap_or_default(),
        several => {
            let selected: Vec<Object> = several.iter().filter_map(|followed| followed.object.clone()).collect();
            screens::get(visible, &selected, false, &view)
        }
    }
}

#[cfg(test)]
mod tests {
    use kube::Resource as _;
    use serde_json::json;
    use tabular_operator::api::RUN_REQUESTED_AT;

    use super::*;
    use crate::facts::RunRequest;
    use crate::fixture::{connection, denial, list, refresh, run};
    use crate::session::OutputArgs;

    /// A refresh with the request `v`, before the operator has handled it or after.
    fn requested(name: &str, is_handled: bool) -> Object {
        let own = run(name, json!({"state": "Running", "trigger": {"type": "Request", "value": "v"}}));
        let status = if is_handled { json!({"lastHandledRequest": "v", "run": own}) } else { json!({}) };
        let mut object = refresh(name, name, json!({}), status);
        object.resource.meta_mut().annotations = Some([(RUN_REQUESTED_AT.to_owned(), "v".to_owned())].into());
        object
    }

    #[tokio::test(start_paused = true)]
    async fn undecodable_resource_ends_the_wait_with_an_error() {
        let mut listed = list(&[&requested("orders", true)]);
        listed["items"][0]["spec"]["model"] = json!(1);
        let connection = connection(move |_| (200, listed.clone()));
        let request = RunRequest::new("v".to_owned(), requested("orders", false));
        let mut one = Followed::new(Target { kind: Kind::ModelRefresh, name: "orders".to_owned() }, Request::Run(request));
        let until = Until { wait: true, deadline: Some(Instant::now() + Duration::from_mins(1)) };
        let ended = follow(&connection, &mut Session::new(OutputArgs::default()), &mut [&mut one], until).await;
        let sentence = ended.unwrap_err().sentence;
        assert!(sentence.starts_with("ModelRefresh bi/orders cannot be read: "), "{sentence}");
    }

    #[tokio::test(start_paused = true)]
    async fn only_the_kinds_of_the_names_are_watched() {
        let names = ["orders", "stock"];
        let handled = names.map(|name| requested(name, true));
        let listed = list(&[&handled[0], &handled[1]]);
        let connection =
            connection(move |path| if path.contains("/modelrefreshes") { (200, listed.clone()) } else { denial("list", "modelsyncs") });
        let mut all = names.map(|name| {
            let request = RunRequest::new("v".to_owned(), requested(name, false));
            Followed::new(Target { kind: Kind::ModelRefresh, name: name.to_owned() }, Request::Run(request))
        });
        let mut followed: Vec<&mut Followed> = all.iter_mut().collect();
        let until = Until { wait: false, deadline: None };
        follow(&connection, &mut Session::new(OutputArgs::default()), &mut followed, until).await.unwrap();
        assert!(followed.iter().all(|one| one.outcome == RequestOutcome::InProgress(41)));
    }
}
