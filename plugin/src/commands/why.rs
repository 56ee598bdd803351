//! `why`: explains the state of a resource.

use super::explain::WhyArgs;
use super::watching::{is_complete, neighbors};
use crate::connect::connect;
use crate::exit::Exit;
use crate::facts::{OperatorNames, Verdict, Visible, diagnosis};
use crate::failure::Failure;
use crate::report::{Report, WhyReport};
use crate::screens;
use crate::session::Session;

pub(super) async fn run(args: &WhyArgs, session: &mut Session) -> Result<Exit, Failure> {
    let connection = connect(&args.common.connection)?;
    let object = connection.get(&args.name).await?;
    // The queue and the chain are in all namespaces.
    let (listed, evidence) =
        tokio::join!(neighbors(&connection, &object), connection.evidence(&object, &args.operator_namespace, &args.operator_lease));
    let (listed, scope) = listed?;
    session.note_undecodable(&listed.undecodable);
    let is_complete = is_complete(scope.as_ref()) && listed.undecodable.is_empty();
    let visible = Visible { objects: &listed.objects, is_complete };
    let view = session.view();
    let operator = OperatorNames { namespace: &args.operator_namespace, name: &args.operator_lease };
    let mut diagnosis = diagnosis(&object, &evidence, operator, view.now);
    for command in &mut diagnosis.commands {
        *command = view.command(command);
    }
    let exit = if args.exit_code && diagnosis.verdict == Verdict::NeedsAction { Exit::Negative } else { Exit::Success };
    if session.is_text() {
        session.print(&screens::why(&object, &diagnosis, &evidence, visible, &view));
    } else {
        let report = WhyReport::new(&object, diagnosis, evidence, visible, &view);
        session.report(&Report::Why(Box::new(report)))?;
    }
    Ok(exit)
}
