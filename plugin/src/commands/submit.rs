//! `run` and `cancel`: set an annotation, and follow what becomes of the request.

use jiff::Timestamp;
use tabular_operator::api::{CANCEL_REQUESTED_AT, RUN_REQUESTED_AT};

use super::follow::{Followed, Until, follow};
use super::request::AnnotateArgs;
use super::watching::interruption;
use crate::connect::{Connection, connect};
use crate::exit::Exit;
use crate::facts::{CancelRequest, Request, RequestOutcome, RunRequest};
use crate::failure::Failure;
use crate::objects::Object;
use crate::output::View;
use crate::patch::{Patched, annotation};
use crate::report::{Report, RequestReport, RequestsReport};
use crate::request_value::new_value;
use crate::screens;
use crate::session::{Session, deadline};
use crate::target::{Target, distinct};

/// Which annotation a command sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Annotate {
    Run,
    Cancel,
}

impl Annotate {
    fn command(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Cancel => "cancel",
        }
    }

    fn annotation(self) -> &'static str {
        match self {
            Self::Run => RUN_REQUESTED_AT,
            Self::Cancel => CANCEL_REQUESTED_AT,
        }
    }

    /// Why nothing is requested of a resource.
    fn refusal(self, object: &Object, view: &View) -> Option<String> {
        match self {
            Self::Run => screens::cannot_run(object, view),
            Self::Cancel => screens::cannot_cancel(object),
        }
    }
}

/// What the command did about a name.
enum Entry {
    /// Nothing was requested.
    Ended {
        target: Target,
        result: &'static str,
        exit: Exit,
        message: String,
    },
    Followed(Box<Followed>),
}

/// What the command did so far.
#[derive(Default)]
struct Progress {
    entries: Vec<Entry>,
    /// The resource whose request is being sent.
    sending: Option<Object>,
}

pub(super) async fn run(args: &AnnotateArgs, what: Annotate, session: &mut Session) -> Result<Exit, Failure> {
    let until = Until { wait: args.wait, deadline: deadline(args.timeout) };
    let connection = connect(&args.common.connection)?;
    let mut done = Progress::default();
    let mut interrupted = interruption().await;
    let failure = {
        let work = request_all(args, what, &connection, until, session, &mut done);
        tokio::select! {
            ended = work => Some(ended.err()),
            _ = &mut interrupted => None,
        }
    };
    session.settle();
    let (open, exit) = match &failure {
        None => (Exit::Interrupted, Exit::Interrupted),
        Some(Some(failure)) => (Exit::Failure, session.fail(failure)),
        // Without --wait, a request that is not handled yet is a success.
        Some(None) => (if args.wait { Exit::Timeout } else { Exit::Success }, Exit::Success),
    };
    if let Some(object) = done.sending {
        let status = screens::command("status", &object, &session.view());
        session.note(&format!("the request for {} may have arrived: check with `{status}`", object.name()));
    }
    let reports = done.entries.iter().map(|entry| conclude(entry, what, &connection.namespace, args.wait, open, session));
    let reports: Vec<RequestReport> = reports.collect();
    let exit = done.entries.iter().map(|entry| exit_of(entry, args.wait, open)).fold(exit, Exit::max);
    if session.is_text() {
        print(&done.entries, args.wait, session);
    } else {
        session.report(&Report::Requests(RequestsReport { requests: reports }))?;
    }
    Ok(exit)
}

async fn request_all(
    args: &AnnotateArgs,
    what: Annotate,
    connection: &Connection,
    until: Until,
    session: &mut Session,
    done: &mut Progress,
) -> Result<(), Failure> {
    for target in distinct(&args.names) {
        let requested = request(args, what, connection, target, session, &mut done.sending).await;
        done.sending = None;
        done.entries.push(match requested {
            Ok(Ok(request)) => Entry::Followed(Box::new(Followed::new(target.clone(), request))),
            Ok(Err(message)) => {
                session.note(&message);
                Entry::Ended { target: target.clone(), result: "Unchanged", exit: Exit::NoChange, message }
            }
            Err(failure) => {
                let exit = session.fail(&failure);
                Entry::Ended { target: target.clone(), result: "Error", exit, message: failure.sentence }
            }
        });
    }
    let mut followed: Vec<&mut Followed> =
        done.entries.iter_mut().filter_map(|entry| if let Entry::Followed(one) = entry { Some(&mut **one) } else { None }).collect();
    if followed.is_empty() { Ok(()) } else { follow(connection, session, &mut followed, until).await }
}

/// Requests something of one resource. The inner error is why nothing was requested.
async fn request(
    args: &AnnotateArgs,
    what: Annotate,
    connection: &Connection,
    target: &Target,
    session: &mut Session,
    sending: &mut Option<Object>,
) -> Result<Result<Request, String>, Failure> {
    let found = connection.get(target).await?;
    if let Some(refusal) = what.refusal(&found, &session.view()) {
        return Ok(Err(refusal));
    }
    if what == Annotate::Cancel
        && let Some(warning) = screens::follow_up(&found, &session.view())
    {
        session.note(&warning);
    }
    let value = new_value(&found, what.annotation(), args.reason.as_deref(), Timestamp::now());
    *sending = Some(found.clone());
    let (lost, read) = match connection.patch(target, annotation(what.annotation(), &value), None).await? {
        Patched::Answered(before) => {
            return Ok(match what {
                Annotate::Run => Ok(Request::Run(RunRequest::new(value, before))),
                Annotate::Cancel => CancelRequest::new(value, before.clone())
                    .map(Request::Cancel)
                    .ok_or_else(|| screens::cannot_cancel(&before).unwrap_or_default()),
            });
        }
        Patched::Unanswered { lost, read } => (lost, read),
    };
    let recovered = read.ok().and_then(|read| match what {
        Annotate::Run => RunRequest::recovered(value, found.clone(), read).map(Request::Run),
        Annotate::Cancel => CancelRequest::recovered(value, found.clone(), read).map(Request::Cancel),
    });
    let status = screens::command("status", &found, &session.view());
    let unknown = || Failure::new(format!("{lost}; it is unknown whether the request arrived: check with `{status}`"));
    recovered.map(Ok).ok_or_else(unknown)
}

/// The exit code for a name. `open` is that of a request whose end is not known.
fn exit_of(entry: &Entry, wait: bool, open: Exit) -> Exit {
    match entry {
        Entry::Ended { exit, .. } => *exit,
        Entry::Followed(followed) => followed.exit(wait).unwrap_or(open),
    }
}

/// Reports what continues, and returns the entry of the report.
fn conclude(entry: &Entry, what: Annotate, namespace: &str, wait: bool, open: Exit, session: &mut Session) -> RequestReport {
    let exit = exit_of(entry, wait, open);
    match entry {
        Entry::Ended { target, result, message, .. } => RequestReport::new(what.command(), target.key(namespace), result, exit, message),
        Entry::Followed(followed) => {
            if followed.exit(wait).is_none() && open != Exit::Success {
                session.note(&screens::continues(&followed.request, &followed.outcome, &session.view()));
            }
            RequestReport::of(what.command(), &followed.request, &followed.outcome, exit, followed.text(&session.view()))
        }
    }
}

/// Prints the result of each request: to standard output, unless nothing was done.
fn print(entries: &[Entry], wait: bool, session: &mut Session) {
    let followed: Vec<&Followed> =
        entries.iter().filter_map(|entry| if let Entry::Followed(one) = entry { Some(&**one) } else { None }).collect();
    for one in &followed {
        match (&one.outcome, wait) {
            (RequestOutcome::Ended(end), true) => {
                let name = (entries.len() > 1).then(|| one.target.to_string());
                session.print(&[screens::ended(&one.request, end, name.as_deref())]);
            }
            // The user has followed it.
            (_, true) => {}
            (RequestOutcome::Dropped(_) | RequestOutcome::NotCancellable(_) | RequestOutcome::Removed | RequestOutcome::Deleted, false) => {
                session.note(&one.sentence(&session.view()));
            }
            (_, false) => session.print(&[vec![(screen::Style::Plain, one.sentence(&session.view()))]]),
        }
    }
}
