//! A readable trace of a world.

use std::fmt::Write as _;
use std::sync::Arc;

use tabular_operator::engine::reconcile::DriverRequest;

use crate::quiesce::{self, KnownStates};
use crate::scenario::Scenario;
use crate::world::{Action, Pending, Violation, World};

/// Prints how an invariant was violated: each action, and what it changed.
#[must_use]
pub fn render(scenario: &Arc<Scenario>, actions: &[Action], violation: &Violation) -> String {
    let mut trace = format!("VIOLATED: {violation}\n  in scenario {}: {}\n", scenario.name, scenario.description);
    let mut world = World::new(scenario);
    let mut line = String::new();
    for action in actions {
        let before = world.clone();
        let outcome = world.apply(*action);
        write_step(&mut trace, &mut line, &before, &action.to_string(), &world);
        if let Err(violation) = outcome {
            let _ = writeln!(trace, "  -> {violation}");
            return trace;
        }
    }
    trace.push_str("  --- without further faults ---\n");
    let mut before = world.clone();
    let outcome = quiesce::run(&world, &KnownStates::default(), |what, after| {
        write_step(&mut trace, &mut line, &before, what, after);
        before = after.clone();
    });
    if let Err(violation) = outcome {
        let _ = writeln!(trace, "  -> {violation}");
    }
    trace
}

/// Writes one step: the time, the action, and the changed part of the state.
fn write_step(trace: &mut String, line: &mut String, before: &World, what: &str, after: &World) {
    let (new_requests, state_line) = (new_requests(before, after), actual_state(after));
    // Steps between two decisions change nothing that the trace shows.
    if new_requests.is_empty()
        && state_line == *line
        && (what.contains(" continues with ") || what.contains(" receives "))
        && !what.contains(':')
    {
        return;
    }
    let _ = writeln!(trace, "  {:>5} s  {what}{new_requests}", before.now);
    if state_line != *line {
        let _ = writeln!(trace, "           {state_line}");
        *line = state_line;
    }
}

/// The requests that the machines have just made.
fn new_requests(before: &World, after: &World) -> String {
    let mut text = String::new();
    let states = after.operators.iter().zip(&before.operators).flat_map(|(after, before)| after.states.iter().zip(&before.states));
    for (state, was) in states {
        let same = match (&state.task, &was.task) {
            (Some(task), Some(was)) => Arc::ptr_eq(task, was),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        if same {
            continue;
        }
        match state.task.as_ref().map(|task| &task.pending) {
            Some(Pending::Request(request)) => text.push_str(&requested(request)),
            Some(Pending::Response(_)) => {}
            None => {
                let _ = match state.due {
                    _ if state.dirty => write!(text, ", and reconciles again"),
                    Some(due) => write!(text, ", and waits for {} s", due - after.now),
                    None => write!(text, ", and waits for a change"),
                };
            }
        }
    }
    text
}

fn requested<V>(request: &DriverRequest<V>) -> String {
    match request {
        DriverRequest::Prepare { call, .. } => format!(", and prepares {call:?}"),
        DriverRequest::WriteStatus { intent, .. } => format!(", and writes the status{}", if *intent { " with an intent" } else { "" }),
        DriverRequest::Call { call, .. } => format!(", and requests {call:?}"),
        DriverRequest::RunCheck { .. } => ", and checks the model".to_owned(),
        DriverRequest::Read { .. } => ", and reads bypassing the cache".to_owned(),
        DriverRequest::ReadNamespace => ", and reads the namespace".to_owned(),
        DriverRequest::AddFinalizer => ", and adds the finalizer".to_owned(),
        DriverRequest::RemoveAnnotation(annotation) => format!(", and removes {annotation}"),
        DriverRequest::RemoveFinalizer { .. } => ", and removes the finalizer".to_owned(),
        DriverRequest::Observe => ", and is about to make its call".to_owned(),
        DriverRequest::Reserve { .. } | DriverRequest::AcquireTurn { .. } | DriverRequest::Publish { .. } | DriverRequest::Done(_) => {
            String::new()
        }
    }
}

/// The actual state: the resources, and the operations at the service.
fn actual_state(world: &World) -> String {
    let mut state_line = quiesce::summary(world);
    for op in &world.service.ops {
        let state = match op.ended {
            _ if op.lost => "lost by the service".to_owned(),
            Some((_, phase)) => format!("{phase:?}"),
            None if op.cancelling => "being cancelled".to_owned(),
            None => "running".to_owned(),
        };
        let hidden = if op.visible { "" } else { ", not shown yet" };
        let _ = write!(state_line, " | {} {:?} {state}{hidden}", op.id, op.owner);
    }
    if !world.service.pending_submissions.is_empty() {
        let _ = write!(state_line, " | {} submission(s) on their way", world.service.pending_submissions.len());
    }
    state_line
}
