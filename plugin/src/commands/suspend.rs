//! `suspend` and `resume`: set `spec.suspend`.

use serde_json::json;

use super::request::SuspendArgs;
use crate::connect::{Connection, connect};
use crate::exit::Exit;
use crate::facts::manager;
use crate::failure::{Cause, Failure};
use crate::report::{Report, RequestReport, RequestsReport};
use crate::screens;
use crate::session::Session;
use crate::target::{Target, distinct};

pub(super) async fn run(args: &SuspendArgs, suspend: bool, session: &mut Session) -> Result<Exit, Failure> {
    let connection = connect(&args.common.connection)?;
    let command = if suspend { "suspend" } else { "resume" };
    let (mut requests, mut exit) = (Vec::new(), Exit::Success);
    for target in distinct(&args.names) {
        let (result, code, message) = match set(&connection, target, suspend, session).await {
            Ok((result, code, message)) => {
                if code == Exit::Success && session.is_text() {
                    session.print(&[vec![(screen::Style::Plain, message.clone())]]);
                } else if code != Exit::Success {
                    session.note(&message);
                }
                (result, code, message)
            }
            Err(failure) => ("Error", session.fail(&failure), failure.sentence),
        };
        exit = exit.max(code);
        requests.push(RequestReport::new(command, target.key(&connection.namespace), result, code, message));
    }
    if !session.is_text() {
        session.report(&Report::Requests(RequestsReport { requests }))?;
    }
    Ok(exit)
}

/// Sets the field of one resource. Returns the result, the exit code and a sentence.
async fn set(
    connection: &Connection,
    target: &Target,
    suspend: bool,
    session: &mut Session,
) -> Result<(&'static str, Exit, String), Failure> {
    let object = connection.get(target).await?;
    if object.is_deleting() {
        return Ok(("Unchanged", Exit::NoChange, format!("{target} is being deleted, so nothing was changed")));
    }
    if object.is_suspended() == suspend {
        let state = if suspend { "suspended" } else { "resumed" };
        return Ok(("Unchanged", Exit::Success, format!("{target} is already {state}")));
    }
    if let Some(manager) = manager(&object) {
        session.note(&format!("warning: {manager} applies {target} from Git and may revert spec.suspend: change it in Git too"));
    }
    let changed = match connection.patch(target, json!({"spec": {"suspend": suspend}}), None).await {
        // The response may be lost, and the change is the same if it is sent again.
        Err(failure) if failure.cause == Cause::Unanswered => {
            connection.get(target).await.ok().filter(|object| object.is_suspended() == suspend).ok_or(failure)?
        }
        result => result?,
    };
    Ok(("Changed", Exit::Success, screens::suspension(&changed, &session.view())))
}
