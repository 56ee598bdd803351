//! `check`: lets the operator check whether it can reach the model of a resource, and shows the result of each step.

use jiff::Timestamp;
use tabular_operator::api::{CHECK_REQUESTED_AT, Check, CheckResult};
use tokio::time::Instant;

use super::explain::CheckArgs;
use crate::connect::{Connection, connect};
use crate::exit::Exit;
use crate::facts::check_result;
use crate::failure::Failure;
use crate::objects::Object;
use crate::patch::annotation;
use crate::report::{CheckReport, Report};
use crate::request_value::new_value;
use crate::screens;
use crate::session::{Session, deadline, expired};
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
    let object = connection.patch(&args.name, annotation(CHECK_REQUESTED_AT, &value), None).await?;
    match wait(args, &connection, object, &value, deadline, session).await? {
        Waited::Finished(check) => show(args, &connection, *check, session),
        Waited::TimedOut(object) => {
            session.note(&screens::check_unanswered(&object, args.timeout));
            Ok(Exit::Timeout)
        }
        Waited::Interrupted => {
            session.note("the operator may still perform the check: .status.check shows its result");
            Ok(Exit::Interrupted)
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
    let interrupted = tokio::signal::ctrl_c();
    tokio::pin!(interrupted);
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
