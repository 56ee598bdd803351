//! An action in words.

use std::fmt;

use super::{Action, How, Sight};

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |operator: &usize| char::from(b'A' + u8::try_from(*operator).unwrap_or(25));
        match self {
            Self::Begin { operator, resource, age: 0 } => write!(f, "operator {} looks at resource {resource}", name(operator)),
            Self::Begin { operator, resource, age } => {
                write!(f, "operator {} looks at resource {resource}, as it was {age} version(s) ago", name(operator))
            }
            Self::Deliver { operator, resource } => {
                write!(f, "operator {} receives the response for resource {resource}", name(operator))
            }
            Self::Abandon { operator, resource } => {
                write!(f, "operator {} abandons its reconciliation of resource {resource}", name(operator))
            }
            Self::Land { write } => write!(f, "late write {write} of a status is performed"),
            Self::Go { operator, resource, how } => {
                let how = match how {
                    How::Well => String::new(),
                    How::LostBefore => ": lost before it arrives".to_owned(),
                    How::LostAfter => ": done, and the answer is lost".to_owned(),
                    How::Late => ": no answer, and it is still on its way".to_owned(),
                    How::Refused(kind) => format!(": refused ({kind:?})"),
                    How::Unprepared => ": cannot be prepared, the Secret is missing".to_owned(),
                    How::Rejected(rejection) => format!(": rejected ({rejection:?})"),
                    How::Slow(by) => format!(": it takes {by} s"),
                    How::TimedOut => ": its timeout passes".to_owned(),
                    How::Shown(guise) => format!(": the service shows ours as {guise:?}"),
                };
                write!(f, "operator {} goes on with resource {resource}{how}", name(operator))
            }
            Self::Crash { operator } => write!(f, "operator {} is killed", name(operator)),
            Self::Start { operator } => write!(f, "operator {} is started", name(operator)),
            Self::Renew { operator, heard } => {
                write!(f, "operator {} renews the Lease{}", name(operator), if *heard { "" } else { ", and does not hear of it" })
            }
            Self::Take { operator } => write!(f, "operator {} takes the Lease", name(operator)),
            Self::Exit { operator } => write!(f, "operator {} ends, for its Lease has run out, and stands by", name(operator)),
            Self::End { op, phase } => write!(f, "op-{op} ends: {phase:?}"),
            Self::Show { op } => write!(f, "the service shows op-{op}"),
            Self::Vanish { op } => write!(f, "the service loses op-{op}"),
            Self::Arrive { post } => write!(f, "submission {post} arrives at last"),
            Self::Stranger { model, work, guise } => {
                write!(f, "another client refreshes model {model}: {work:?} as ours, and shown as {guise:?}")
            }
            Self::Wish { resource, wish } => write!(f, "a person changes resource {resource}: {wish:?}"),
            Self::EndNamespace => write!(f, "the namespace is deleted"),
            Self::Rename => write!(f, "the model's names come to stand for another one"),
            Self::Ail { ailing: true } => write!(f, "resource 0 begins to ail"),
            Self::Ail { ailing: false } => write!(f, "resource 0 is well again"),
            Self::See { sight: Sight::All } => write!(f, "the models are to be seen again"),
            Self::See { sight: Sight::Deleted } => write!(f, "the models are deleted"),
            Self::See { sight: Sight::Hidden } => write!(f, "the models are hidden from this identity"),
            Self::Leave { leaving } => write!(f, "an uninstall begins ({leaving:?})"),
            Self::Stay => write!(f, "the uninstall is given up"),
            Self::Heed { operator } => write!(f, "operator {} hears of it", name(operator)),
            Self::Drained => write!(f, "the uninstall finds nothing under way"),
            Self::Strip { resource } => write!(f, "the uninstall takes the finalizer off resource {resource}"),
            Self::Uninstall => write!(f, "the operator is uninstalled"),
            Self::Install => write!(f, "the operator is installed again"),
            Self::Tick => write!(f, "time goes by"),
            Self::Sleep { by } => write!(f, "{by} s go by, and the operators are late"),
            Self::Jump { operator, by } => write!(f, "the wall clock of operator {} steps by {by} s", name(operator)),
        }
    }
}
