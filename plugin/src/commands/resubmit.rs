//! `resubmit`: submits a run again if its submission with a lost response started nothing.

use super::carry_out::{Decided, carry_out, confirmed, declined, no_change};
use super::decision::DecisionArgs;
use crate::connect::Connection;
use crate::facts::decision::{Decision, unresolved};
use crate::failure::Failure;
use crate::screens;
use crate::session::Session;

pub(super) async fn run(args: &DecisionArgs, connection: &Connection, session: &mut Session) -> Result<Decided, Failure> {
    let object = connection.get(&args.name).await?;
    let run = unresolved(&object).map_err(no_change)?;
    if object.is_deleting() {
        let [adopt, release] = ["adopt", "release"].map(|verb| screens::command(verb, &object, &session.view()));
        let name = object.name();
        return Err(no_change(format!("{name} is being deleted, so it is not submitted again: use `{adopt}` or `{release}`")));
    }
    for line in screens::candidates(run, &session.view()) {
        session.note(&line);
    }
    let decision = Decision::resubmit(run);
    if !confirmed(session, &object, &decision, args.confirm)? {
        return Err(declined(&object));
    }
    carry_out(connection, &args.name, &object, &decision, session).await
}
