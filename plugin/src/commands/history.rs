//! `history`: shows the ended runs of a resource.

use super::show::HistoryArgs;
use crate::connect::connect;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::report::{HistoryReport, Report, UsualReport};
use crate::screens;
use crate::session::Session;

pub(super) async fn run(args: &HistoryArgs, session: &mut Session) -> Result<Exit, Failure> {
    let object = connect(&args.common.connection)?.get(&args.name).await?;
    let view = session.view();
    let unknown = |number: i32| {
        Failure::new(format!("the history of {} has no run {number}: spec.historyLimit determines how many it keeps", args.name))
    };
    if !session.is_text() {
        let key = object.key();
        let mut runs = object.status().history.clone();
        if let Some(number) = args.run {
            runs.retain(|entry| entry.number == number);
            if runs.is_empty() {
                return Err(unknown(number));
            }
        }
        let usual_duration = UsualReport::of(&object, view.now);
        let report = HistoryReport { kind: key.kind.as_str().to_owned(), namespace: key.namespace, name: key.name, usual_duration, runs };
        session.report(&Report::History(report))?;
    } else if let Some(number) = args.run {
        session.print(&screens::history_run(&object, number, &view).ok_or_else(|| unknown(number))?);
    } else if object.status().history.is_empty() {
        session.note(&format!("no run of {} has ended yet", args.name));
    } else {
        session.print(&screens::history(&object, &view));
    }
    Ok(Exit::Success)
}
