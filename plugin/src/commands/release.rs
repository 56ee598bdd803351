//! `release`: deletes a resource now, and leaves its operation running.

use super::carry_out::{Decided, carry_out, declined, no_change};
use super::decision::DecisionArgs;
use crate::connect::Connection;
use crate::facts::decision::{Decision, cannot_release};
use crate::failure::Failure;
use crate::prompt;
use crate::screens;
use crate::session::Session;

pub(super) async fn run(args: &DecisionArgs, connection: &Connection, session: &mut Session) -> Result<Decided, Failure> {
    let object = connection.get(&args.name).await?;
    if let Some(sentence) = cannot_release(&object) {
        return Err(no_change(sentence));
    }
    session.note(&screens::consequence(&object, &Decision::Release, &session.view()));
    if !args.confirm.yes {
        let name = &args.name.name;
        let question = format!("Type the name of the resource ({name}) to release it:");
        // Another text is no second attempt.
        let typed = prompt::ask(&question, "add --yes", |text| Some(text == name))?;
        if typed != Some(true) {
            return Err(declined(&object));
        }
    }
    carry_out(connection, &args.name, &object, &Decision::Release, session).await
}
