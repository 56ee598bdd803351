//! `check`: lets the operator check whether it can reach the model of a resource, and shows the result of each step.

#![allow(clippy::doc_markdown, reason = "the help is not markdown")]

use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use tabular_operator::api::{CHECK_REQUESTED_AT, Check, CheckResult};
use tokio::time::Instant;

use crate::connect::{Connection, ConnectionArgs, connect};
use crate::exit::Exit;
use crate::facts::check_answer;
use crate::failure::{Cause, Failure};
use crate::objects::Object;
use crate::patch::annotation;
use crate::report::{CheckReport, Report};
use crate::request_value::new_value;
use crate::screens;
use crate::session::{OutputArgs, Session, deadline, expired};
use crate::target::Target;
use crate::watch::{Change, Watch};

/// The help below the arguments.
pub const EXAMPLES: &str = "\
The operator checks with the credentials of the resource: it gets a token, finds the model, lists its operations.
It starts and cancels nothing, also while a run is in progress or the resource is suspended.
On Power BI, a passed check does not prove that the identity can refresh: the list needs less permission.
Exit code 0 is a passed check, 3 a failed one, and 4 no result within --timeout.

Examples:
  kubectl tabular check sales-orders -n bi
      Check the credentials, the token, the host, the model and the access, and show which step failed.

  kubectl tabular check msync/replicas --timeout 30s -o json
      The same for a sync, as a report for scripts.";

/// The arguments of `check`.
#[derive(Args, Debug)]
pub struct CheckArgs {
    /// A ModelRefresh by name, or msync/NAME, mref/NAME.
    #[arg(value_name = "NAME")]
    pub name: Target,
    /// How long to wait for the result, such as 30s or 5m.
    #[arg(long, value_name = "DURATION", default_value = "2m", value_parser = crate::cli::timeout)]
    pub timeout: Duration,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// How the wait for the result ended.
enum Waited {
    Answered(Box<Check>),
    /// The deadline passed. The resource was last in this state.
    TimedOut(Box<Object>),
    Interrupted,
}

impl CheckArgs {
    /// Runs the command.
    pub async fn run(self) -> Exit {
        let mut session = Session::new(&self.output);
        let ended = check(&self, &mut session).await;
        ended.unwrap_or_else(|failure| session.fail(&failure))
    }
}

async fn check(args: &CheckArgs, session: &mut Session) -> Result<Exit, Failure> {
    let deadline = deadline(Some(args.timeout));
    let connection = connect(&args.connection)?;
    let object = connection.get(&args.name).await?;
    if object.is_deleting() {
        session.note(&format!("{} is being deleted, so the operator does not check it", args.name));
        return Ok(Exit::NoChange);
    }
    let value = new_value(&object, CHECK_REQUESTED_AT, None, Timestamp::now());
    let object = connection.patch(&args.name, annotation(CHECK_REQUESTED_AT, &value), None).await?;
    match answer(args, &connection, object, &value, deadline, session).await? {
        Waited::Answered(check) => show(args, &connection, *check, session),
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
async fn answer(
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
    let mut is_connected = false;
    loop {
        match watch.get(&key) {
            Some(current) => object = current.clone(),
            None => return Err(Failure::new(format!("{} was deleted during the check", args.name))),
        }
        if let Some(check) = check_answer(&object, value) {
            return Ok(Waited::Answered(Box::new(check.clone())));
        }
        if object.is_deleting() || object.annotation(CHECK_REQUESTED_AT).is_none() {
            let cause = if object.is_deleting() { "is being deleted" } else { "no longer has the request" };
            let sentence = format!("{} {cause}, so the operator does not check it", args.name);
            return Err(Failure::with_exit(Exit::NoChange, sentence));
        }
        tokio::select! {
            change = watch.next() => match change {
                Change::Objects => is_connected = true,
                // A permission that is missing from the start will not appear.
                Change::Lost(failure) if !is_connected && failure.cause == Cause::Forbidden => return Err(failure),
                Change::Lost(cause) => session.note_lost(&cause),
                Change::Restored => session.note("connected again"),
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
