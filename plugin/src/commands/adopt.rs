//! `adopt`: selects the operation that a submission with a lost response started.

use super::carry_out::{Decided, carry_out, confirmed, declined, no_change};
use super::decision::AdoptArgs;
use crate::connect::Connection;
use crate::exit::Exit;
use crate::facts::decision::{Decision, candidate, operation, unresolved};
use crate::failure::Failure;
use crate::prompt;
use crate::screens::{self, Answer};
use crate::session::Session;

pub(super) async fn run(args: &AdoptArgs, connection: &Connection, session: &mut Session) -> Result<Decided, Failure> {
    let object = connection.get(&args.name).await?;
    let run = unresolved(&object).map_err(no_change)?;
    let may_resubmit = !object.is_deleting();
    for line in screens::candidates(run, &session.view()) {
        session.note(&line);
    }
    let decision = if let Some(id) = &args.operation {
        let adopt = Decision::Adopt(candidate(run, id).map_err(no_change)?);
        confirmed(session, &object, &adopt, args.confirm)?.then_some(adopt)
    } else if run.candidates.is_empty() {
        let other = if may_resubmit { "resubmit" } else { "release" };
        let command = screens::command(other, &object, &session.view());
        return Err(no_change(format!("there is no operation to adopt: if the submission started none, run `{command}`")));
    } else if args.confirm.yes {
        let [one] = run.candidates.as_slice() else {
            return Err(Failure::with_exit(Exit::Usage, "several operations can be adopted: name one of them before --yes"));
        };
        let refused = || no_change("the operator refuses the id of the only candidate");
        Some(Decision::Adopt(operation(one).ok_or_else(refused)?))
    } else {
        let parse = |text: &str| screens::answer(run, may_resubmit, text);
        match prompt::ask(&screens::question(run, may_resubmit), "name the operation, and add --yes", parse)? {
            Some(Answer::Decide(decision)) => Some(decision),
            Some(Answer::Quit) | None => None,
        }
    };
    match decision {
        Some(decision) => carry_out(connection, &args.name, &object, &decision, session).await,
        None => Err(declined(&object)),
    }
}
