//! `check`: lets the operator check whether it can reach the model of a resource, and shows the result of each step.

use jiff::Timestamp;
use tabular_operator::api::{CHECK_REQUESTED_AT, Check, CheckResult};
use tokio::time::Instant;

use super::explain::CheckArgs;
use super::watching::interruption;
use crate::connect::{Connection, connect};
use crate::exit::Exit;
use crate::facts::{check_result, is_check_requested};
use crate::failure::Failure;
use crate::objects::Object;
use crate::patch::{Patched, annotation};
use crate::report::{CheckReport, Report};
use crate::request_value::new_value;
use crate::screens;
use crate::session::{Session, deadline, expired};
use crate::target::Target;
use crate::watch::{Change, Watch};

/// How the wait for the result ended.
enum Waited {
    Finished(Box<Check>),
    /// The deadline passed. The resource was last in this state.
    TimedOut(Box<Object>),
    Interrupted,
}

pub(super) async fn run(args: &CheckArgs, session: &mut Session) -> Result<Exit, Failure> {
    let deadline = deadline(Some(args.timeout));
    let connection = connect(&args.common.connection)?;
    let object = connection.get(&args.name).await?;
    if object.is_deleting() {
        session.note(&format!("{} is being deleted, so the operator does not check it", args.name));
        return Ok(Exit::NoChange);
    }
    let value = new_value(&object, CHECK_REQUESTED_AT, None, Timestamp::now());
    let object = request(&connection, &args.name, &value).await?;
    match wait(args, &connection, object, &value, deadline, session).await? {
        Waited::Finished(check) => show(args, &connection, *check, session),
        Waited::TimedOut(object) => {
            session.note(&screens::check_unanswered(&object, args.timeout, &session.view()));
            Ok(Exit::Timeout)
        }
        Waited::Interrupted => {
            session.note("the operator may still perform the check: .status.check shows its result");
            Ok(Exit::Interrupted)
        }
    }
}

/// Requests a check, and returns a version of the resource that shows the request or its result.
async fn request(connection: &Connection, target: &Target, value: &str) -> Result<Object, Failure> {
    match connection.patch(target, annotation(CHECK_REQUESTED_AT, value), None).await? {
        Patched::Answered(object) => Ok(object),
        Patched::Unanswered { lost, read } => {
            let unknown = || Failure::new(format!("{lost}; it is unknown whether the request arrived: repeat the command"));
            read.ok().filter(|read| is_check_requested(read, value)).ok_or_else(unknown)
        }
    }
}

/// Waits for the result of the request.
async fn wait(
    args: &CheckArgs,
    connection: &Connection,
    mut object: Object,
    value: &str,
    deadline: Option<Instant>,
    session: &mut Session,
) -> Result<Waited, Failure> {
    let key = object.key();
    let mut watch = Watch::of_one(connection, &args.name, object.clone());
    let mut interrupted = interruption().await;
    loop {
        match watch.get(&key) {
            Some(current) => object = current.clone(),
            None => return Err(Failure::new(format!("{} was deleted during the check", args.name))),
        }
        if let Some(check) = check_result(&object, value) {
            return Ok(Waited::Finished(Box::new(check.clone())));
        }
        if object.is_deleting() || object.annotation(CHECK_REQUESTED_AT).is_none() {
            let cause = if object.is_deleting() { "is being deleted" } else { "no longer has the request" };
            let sentence = format!("{} {cause}, so the operator does not check it", args.name);
            return Err(Failure::with_exit(Exit::NoChange, sentence));
        }
        tokio::select! {
            change = watch.next() => match change {
                Change::Objects => {}
                Change::Lost(failure) => session.note_lost(&failure),
                Change::Restored => session.note("connected again"),
                Change::Undecodable(undecodable) => return Err(undecodable.failure()),
                Change::Refused(failure) => return Err(failure),
            },
            _ = &mut interrupted => return Ok(Waited::Interrupted),
            () = expired(deadline) => return Ok(Waited::TimedOut(Box::new(object))),
        }
    }
}

fn show(args: &CheckArgs, connection: &Connection, check: Check, session: &mut Session) -> Result<Exit, Failure> {
    let exit = if check.result == CheckResult::Passed { Exit::Success } else { Exit::Negative };
    if session.is_text() {
        let lines = screens::check(&check, &session.view());
        session.print(&lines);
    } else {
        let key = args.name.key(&connection.namespace);
        let report = CheckReport { kind: key.kind.as_str().to_owned(), namespace: key.namespace, name: key.name, check };
        session.report(&Report::Check(report))?;
    }
    Ok(exit)
}

#[cfg(test)]
mod tests {
    use kube::Resource as _;
    use serde_json::{Value, json};
    use tabular_operator::api::Kind;

    use super::*;
    use crate::fixture::{connection, denial, item, lost, refresh};

    /// What is known of the request `v` whose response was lost, by how the resource is read after that.
    async fn recovered(read: (u16, Value)) -> Result<Object, Failure> {
        let connection = connection(move |path| if path.contains("fieldManager=") { lost() } else { read.clone() });
        request(&connection, &Target { kind: Kind::ModelRefresh, name: "orders".to_owned() }, "v").await
    }

    #[tokio::test(start_paused = true)]
    async fn request_with_a_lost_response_is_found_or_unknown() {
        let rows = [
            (Some("v"), None, true),
            (Some("v"), Some("u"), true),
            // The operator has performed the check, and a tool has removed the annotation.
            (None, Some("v"), true),
            // An earlier request has a result.
            (Some("u"), Some("u"), false),
            (None, None, false),
        ];
        for (present, performed, is_found) in rows {
            let check = performed.map(|request| json!({"request": request, "time": "2026-11-29T21:00:00Z", "result": "Passed"}));
            let mut read = refresh("orders", "Orders", json!({}), json!({"check": check}));
            read.resource.meta_mut().annotations = present.map(|value| [(CHECK_REQUESTED_AT.to_owned(), value.to_owned())].into());
            assert_eq!(recovered((200, item(&read))).await.is_ok(), is_found, "{present:?} {performed:?}");
        }
        for read in [lost(), denial("get", "modelrefreshes")] {
            let unknown = recovered(read).await.unwrap_err();
            assert!(unknown.exit == Exit::Failure && unknown.sentence.contains("it is unknown whether the request arrived"), "{unknown}");
        }
    }
}
