//! A way through a world, told so that a person can follow it.

use std::fmt::Write as _;
use std::sync::Arc;

use tabular_operator::engine::reconcile::Request;

use crate::calm::{self, Known};
use crate::scenario::Scenario;
use crate::world::{Action, Broken, Waits, World};

/// Tells how a law came to be broken: each step, and what it changed.
#[must_use]
pub fn tell(scenario: &Arc<Scenario>, actions: &[Action], broken: &Broken) -> String {
    let mut story = format!("BROKEN: {broken}\n  in scenario {}: {}\n", scenario.name, scenario.about);
    let mut world = World::new(scenario);
    let mut line = String::new();
    for action in actions {
        let before = world.clone();
        let outcome = world.play(*action);
        chapter(&mut story, &mut line, &before, &action.to_string(), &world);
        if let Err(broken) = outcome {
            let _ = writeln!(story, "  -> {broken}");
            return story;
        }
    }
    story.push_str("  --- from here on nothing goes wrong ---\n");
    let mut before = world.clone();
    let outcome = calm::down(&world, &Known::default(), |what, after| {
        chapter(&mut story, &mut line, &before, what, after);
        before = after.clone();
    });
    if let Err(broken) = outcome {
        let _ = writeln!(story, "  -> {broken}");
    }
    story
}

/// One step: when, what, and what is now to be seen that was not.
fn chapter(story: &mut String, line: &mut String, before: &World, what: &str, after: &World) {
    let (doing, seen) = (doing(before, after), outlook(after));
    // Steps between two decisions that nobody sees.
    if doing.is_empty() && seen == *line && (what.contains(" goes on with ") || what.contains(" receives ")) && !what.contains(':') {
        return;
    }
    let _ = writeln!(story, "  {:>5} s  {what}{doing}", before.now);
    if seen != *line {
        let _ = writeln!(story, "           {seen}");
        *line = seen;
    }
}

/// What an operator has just requested.
fn doing(before: &World, after: &World) -> String {
    let mut said = String::new();
    let minds = after.operators.iter().zip(&before.operators).flat_map(|(after, before)| after.minds.iter().zip(&before.minds));
    for (mind, was) in minds {
        let same = match (&mind.task, &was.task) {
            (Some(task), Some(was)) => Arc::ptr_eq(task, was),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        if same {
            continue;
        }
        match mind.task.as_ref().map(|task| &task.waits) {
            Some(Waits::Request(request)) => said.push_str(&requested(request)),
            Some(Waits::Response(_)) => {}
            None => {
                let _ = match mind.due {
                    _ if mind.dirty => write!(said, ", and begins again"),
                    Some(due) => write!(said, ", and waits for {} s", due - after.now),
                    None => write!(said, ", and waits for a change"),
                };
            }
        }
    }
    said
}

fn requested<V>(request: &Request<V>) -> String {
    match request {
        Request::Prepare { call, .. } => format!(", and prepares {call:?}"),
        Request::WriteStatus { intent, .. } => format!(", and writes the status{}", if *intent { " with an intent" } else { "" }),
        Request::Call { call, .. } => format!(", and requests {call:?}"),
        Request::Read { .. } => ", and reads past the cache".to_owned(),
        Request::ReadNamespace => ", and reads the namespace".to_owned(),
        Request::AddFinalizer => ", and adds the finalizer".to_owned(),
        Request::RemoveAnnotation(annotation) => format!(", and removes {annotation}"),
        Request::RemoveFinalizer { .. } => ", and removes the finalizer".to_owned(),
        Request::Observe => ", and is about to make its call".to_owned(),
        Request::Reserve { .. } | Request::AcquireTurn { .. } | Request::Publish { .. } | Request::Done(_) => String::new(),
    }
}

/// The truth at one moment: the resources, and the operations at the service.
fn outlook(world: &World) -> String {
    let mut seen = calm::standing(world);
    for op in &world.service.ops {
        let fate = match op.ended {
            _ if op.vanished => "lost by the service".to_owned(),
            Some((_, phase)) => format!("{phase:?}"),
            None if op.cancelling => "being cancelled".to_owned(),
            None => "runs".to_owned(),
        };
        let hidden = if op.visible { "" } else { ", not shown yet" };
        let _ = write!(seen, " | {} {:?} {fate}{hidden}", op.id, op.owner);
    }
    if !world.service.posts.is_empty() {
        let _ = write!(seen, " | {} submission(s) on the way", world.service.posts.len());
    }
    seen
}
