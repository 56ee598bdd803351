//! What a resource waits for, and what that waits for.

use jiff::Timestamp;
use tabular_operator::api::{Reason, RunState};

use super::model_queue::ahead;
use super::resource_status::state_name;
use super::{ModelQueue, typical};
use crate::objects::Object;
use crate::output::{about, shown};

/// The most links that are shown.
const MOST_LINKS: usize = 5;

/// What a resource waits for: each link waits for the next one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    /// The links, such as `adventureworks (Running, ~3m left)`.
    pub links: Vec<String>,
    /// Whether the last link waits for the resource itself, or for an earlier link.
    pub is_cycle: bool,
}

impl Chain {
    /// The chain in one line: `waiting for … ← waiting for …`.
    #[must_use]
    pub fn sentence(&self) -> String {
        let links: Vec<String> = self.links.iter().map(|link| format!("waiting for {link}")).collect();
        format!("{}{}", links.join(" ← "), if self.is_cycle { " (a cycle)" } else { "" })
    }
}

/// What a resource waits for; `None` if its run does not wait.
#[must_use]
pub fn chain(object: &Object, queues: &[ModelQueue<'_>], now: Timestamp) -> Option<Chain> {
    let (mut links, mut visited) = (Vec::new(), vec![object.key()]);
    let mut current = object;
    while links.len() < MOST_LINKS {
        let Some(run) = current.run().filter(|run| run.state == RunState::Waiting) else { break };
        let Some(next) = ahead(current, queues).filter(|_| run.reason == Reason::WaitingForTurn.as_str()) else {
            // Without it, the run waits for a user, as its reason shows.
            links.extend(run.waiting_for.as_deref().map(shown));
            break;
        };
        links.push(described(next, object, now));
        if visited.contains(&next.key()) {
            return Some(Chain { links, is_cycle: true });
        }
        visited.push(next.key());
        current = next;
    }
    (!links.is_empty()).then_some(Chain { links, is_cycle: false })
}

/// `name (Running, ~3m left)`, with the namespace if it is another one.
fn described(object: &Object, from: &Object, now: Timestamp) -> String {
    let namespace = if object.namespace() == from.namespace() { String::new() } else { format!("{}/", object.namespace()) };
    let state = object.run().map(|run| state_name(run.state)).unwrap_or_default();
    let left = object.run().filter(|run| run.state == RunState::Running).and_then(|_| typical(object, now)?.left());
    let left = left.map(|left| format!(", ~{} left", about(left))).unwrap_or_default();
    format!("{namespace}{} ({state}{left})", object.name())
}
