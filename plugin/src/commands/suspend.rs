//! `suspend` and `resume`: set `spec.suspend`.

use serde_json::json;

use super::request::SuspendArgs;
use crate::connect::{Connection, connect};
use crate::exit::Exit;
use crate::facts::manager;
use crate::failure::Failure;
use crate::patch::Patched;
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
    let changed = match connection.patch(target, json!({"spec": {"suspend": suspend}}), None).await? {
        Patched::Answered(changed) => changed,
        Patched::Unanswered { lost, read } => {
            // The change is the same if it is sent again.
            let unknown = || Failure::new(format!("{lost}; it is unknown whether {target} was changed: repeat the command"));
            read.ok().filter(|read| read.is_suspended() == suspend).ok_or_else(unknown)?
        }
    };
    Ok(("Changed", Exit::Success, screens::suspension(&changed, &session.view())))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use tabular_operator::api::Kind;

    use super::*;
    use crate::fixture::{connection, item, lost, refresh};
    use crate::session::OutputArgs;

    /// The result of `suspend` if the response to its change is lost, and the change arrived or not. The API server then fails once more.
    async fn suspended(has_arrived: bool) -> Result<(&'static str, Exit, String), Failure> {
        let (is_sent, is_available) = (AtomicBool::new(false), AtomicBool::new(true));
        let connection = connection(move |path| {
            if path.contains("fieldManager=") {
                is_sent.store(true, Ordering::Relaxed);
                is_available.store(false, Ordering::Relaxed);
                return lost();
            }
            if !is_available.swap(true, Ordering::Relaxed) {
                return lost();
            }
            let suspend = has_arrived && is_sent.load(Ordering::Relaxed);
            (200, item(&refresh("orders", "Orders", json!({"suspend": suspend}), json!({}))))
        });
        let target = Target { kind: Kind::ModelRefresh, name: "orders".to_owned() };
        set(&connection, &target, true, &mut Session::new(OutputArgs::default())).await
    }

    #[tokio::test(start_paused = true)]
    async fn change_with_a_lost_response_is_found_or_unknown() {
        let (result, exit, message) = suspended(true).await.unwrap();
        assert_eq!((result, exit, message.as_str()), ("Changed", Exit::Success, "suspended orders"));
        let unknown = suspended(false).await.unwrap_err();
        assert!(unknown.exit == Exit::Failure && unknown.sentence.contains("it is unknown whether orders was changed"), "{unknown}");
    }
}
