//! Once faults stop: everything answers, operations end, people say what they are asked for. Then every run comes to its end,
//! every deletion completes, and nothing is written any more.
//!
//! From each state that is explored this one quiet story is played to its end. Most of them soon meet a moment that an earlier
//! story has been through, and stop there.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;

use tabular_operator::api::{self, ConditionStatus, ConditionType, RunState};
use tabular_operator::operation::Phase;

use crate::accepted;
use crate::laws;
use crate::scenario::Left;
use crate::world::{
    Action, Broken, Gone, HOLD, How, LEASE, Mind, Resource, Second, Sight, Standing, Uninstall, Waits, Wish, World, is_unresolved,
};

/// No quiet story is longer than so many steps for each resource: two hours of a Lease's renewals, after which a schedule that is
/// looked at every hour has come round.
const LONGEST: usize = 12_000;

/// So many seconds may pass until whoever has a part in no fault has come to its end.
const PATIENCE: Second = 900;

/// So many steps after a restart are seen to be quiet.
const SETTLED: usize = 200;

/// The moments that quiet stories have been through, all of which ended well.
#[derive(Debug, Default)]
pub struct Known {
    shards: [Mutex<HashSet<u64>>; 16],
}

impl Known {
    fn has(&self, print: u64) -> bool {
        self.shards[(print % 16) as usize].lock().is_ok_and(|shard| shard.contains(&print))
    }

    fn add(&self, prints: Vec<u64>) {
        for print in prints {
            if let Ok(mut shard) = self.shards[(print % 16) as usize].lock() {
                shard.insert(print);
            }
        }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().map_or(0, |shard| shard.len())).sum()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Plays the quiet story from here to its end. `tell` hears of each step.
///
/// # Errors
/// The law that it breaks.
pub fn down(world: &World, known: &Known, mut tell: impl FnMut(&str, &World)) -> Result<(), Broken> {
    let mut world = world.clone();
    world.left = Left::default();
    let mut prints = Vec::new();
    // The moments since a person last had a word, with the versions of the resources.
    let mut round: HashMap<u64, Vec<u32>> = HashMap::new();
    let (mut steps, began) = (0, world.now);
    let longest = LONGEST * world.resources.len();
    loop {
        steps += 1;
        if steps > longest {
            return Err(Broken { law: laws::ENDS, found: format!("no end after {longest} quiet steps: {}", standing(&world)) });
        }
        if let Some(action) = recovers(&world, began)? {
            world.play(action)?;
            tell(&action.to_string(), &world);
        }
        let mut nothing_new = false;
        // What ails, or is looked for where it was deleted, is tried again and again.
        let restless = world.ailing || world.service.sight != Sight::All;
        if !restless && world.operators.iter().all(|operator| operator.minds.iter().all(|mind| mind.task.is_none())) {
            let print = world.print(false);
            if known.has(print) {
                break;
            }
            prints.push(print);
            // A schedule is looked at for ever. Where that leads back to where it was, nothing happens any more but that.
            if let Some(before) = round.insert(print, versions(&world)) {
                nothing_new = true;
                if before != versions(&world) {
                    return Err(Broken { law: laws::QUIET, found: format!("it goes round for ever: {}", standing(&world)) });
                }
            }
        }
        if let Some(action) = next(&world).filter(|_| !nothing_new) {
            world.play(action)?;
            tell(&action.to_string(), &world);
        } else if let Some((resource, wish)) = asked_for(&world)? {
            round.clear();
            if wish == Wish::Resubmit {
                world.resource(resource).bare(api::ADOPT);
                world.resource(resource).bare(api::RESUBMIT);
            }
            world.grant(resource, wish);
            tell(&format!("a person changes resource {resource}: {wish:?}"), &world);
        } else {
            has_ended(&world)?;
            laws::none_forgotten(&world)?;
            stays_quiet(&world, &mut tell)?;
            break;
        }
    }
    known.add(prints);
    Ok(())
}

/// What is well again now: lost access at once, a model that was deleted when nothing on it is under way any more, and a resource that ails
/// when all others have come to their ends.
fn recovers(world: &World, began: Second) -> Result<Option<Action>, Broken> {
    let late = world.now - began > PATIENCE;
    let under_way = |resource: &Resource| {
        let run = resource.now().status.run.as_ref().filter(|run| !run.state.ended() && run.state != RunState::Waiting);
        !resource.gone && run.is_some() && !is_held(resource)
    };
    // What ails cannot learn that its model is gone.
    let mut learns =
        world.resources.iter().enumerate().filter(|(index, _)| world.ail_of(*index).is_none()).map(|(_, resource)| &**resource);
    match world.service.sight {
        Sight::Hidden => return Ok(Some(Action::See { sight: Sight::All })),
        Sight::Deleted if !learns.any(under_way) => {
            return Ok(Some(Action::See { sight: Sight::All }));
        }
        Sight::Deleted if late => return Err(Broken { law: laws::MODEL_GONE, found: standing(world) }),
        Sight::Deleted | Sight::All => {}
    }
    if !world.ailing {
        return Ok(None);
    }
    let waits = |resource: &&std::sync::Arc<Resource>| {
        let ended = resource.now().status.run.as_ref().is_some_and(|run| run.state.ended());
        let mends = resource.suspended() || is_held(resource);
        // What follows the resource that ails has nothing to do before that one is well.
        let follows = resource.now().status.run.is_none() && resource.now().edition.manifest.upstream_name() == Some("resource-0");
        !resource.gone && !mends && !follows && (!ended || resource.deleted.is_some())
    };
    // An uninstall waits for what ails too.
    if world.uninstall != Uninstall::No || world.resources.iter().skip(1).find(waits).is_none() {
        return Ok(Some(Action::Ail { ailing: false }));
    }
    if late { Err(Broken { law: laws::FAIR, found: standing(world) }) } else { Ok(None) }
}

fn versions(world: &World) -> Vec<u32> {
    world.resources.iter().map(|resource| resource.now().version).collect()
}

/// What happens next when nothing goes wrong; `None` where nothing is left to happen.
fn next(world: &World) -> Option<Action> {
    match world.uninstall {
        Uninstall::Gone => return Some(Action::Install),
        Uninstall::Done(_) => {
            let listed = world.resources.iter().position(|resource| resource.listed.is_some());
            return Some(listed.map_or(Action::Uninstall, |resource| Action::Strip { resource }));
        }
        Uninstall::No | Uninstall::Said(_) => {}
    }
    for (operator, it) in world.operators.iter().enumerate() {
        if !it.up {
            return Some(Action::Start { operator });
        }
        if world.is_deaf(operator) {
            return Some(Action::Heed { operator });
        }
        for (resource, mind) in it.minds.iter().enumerate() {
            match mind.task.as_ref().map(|task| &task.waits) {
                None => {}
                Some(Waits::Request(_)) => return Some(Action::Go { operator, resource, how: How::Well }),
                Some(Waits::Response(_)) => return Some(Action::Deliver { operator, resource }),
            }
        }
        match it.standing {
            Standing::Alone => {}
            Standing::Leads { until } if world.now >= until => return Some(Action::Exit { operator }),
            Standing::Leads { until } if world.lease.holder == operator && until < world.now + HOLD => {
                return Some(Action::Renew { operator, heard: true });
            }
            Standing::StandsBy if world.now >= world.lease.renewed + LEASE => return Some(Action::Take { operator }),
            Standing::Leads { .. } | Standing::StandsBy => {}
        }
        if world.leads(operator) {
            let due = |mind: &Mind| mind.is_due(world.now) && mind.gone != Gone::Forgotten;
            if let Some(resource) = it.minds.iter().position(due) {
                return Some(Action::Begin { operator, resource, age: 0 });
            }
        }
    }
    if !world.late.is_empty() {
        return Some(Action::Land { write: 0 });
    }
    if !world.service.posts.is_empty() {
        return Some(Action::Arrive { post: 0 });
    }
    if let Some(op) = world.service.ops.iter().position(|op| op.live()) {
        let phase = if world.service.ops[op].cancelling { Phase::Cancelled } else { Phase::Succeeded };
        return Some(Action::End { op, phase });
    }
    if world.uninstall != Uninstall::No && world.is_drained() {
        return Some(Action::Drained);
    }
    // What waits for a person may look again and again at what they have said wrongly.
    let pending = |(resource, mind): (usize, &Mind)| {
        mind.due.is_some() && mind.gone != Gone::Forgotten && (mind.gone == Gone::Detached || !is_held(&world.resources[resource]))
    };
    let leaders: Vec<usize> = (0..world.operators.len()).filter(|operator| world.leads(*operator)).collect();
    let anything = leaders.iter().any(|operator| world.operators[*operator].minds.iter().enumerate().any(pending));
    let hidden = world.service.ops.iter().any(|op| !op.visible);
    // The holder of the Lease hears of an uninstall when it renews it next.
    let unheard = leaders.iter().any(|operator| world.operators[*operator].heard != world.uninstall.word());
    (anything || hidden || unheard || leaders.is_empty()).then_some(Action::Tick)
}

/// Whether a resource waits for a person to say what became of its submission.
fn is_held(resource: &Resource) -> bool {
    is_unresolved(&resource.now().status)
}

/// What a person is asked for, where it is to be seen that they are.
fn asked_for(world: &World) -> Result<Option<(usize, Wish)>, Broken> {
    for (index, resource) in world.resources.iter().enumerate().filter(|(_, resource)| !resource.gone) {
        let object = resource.now();
        if is_held(resource) {
            let stalled = |kind, status| object.status.conditions.iter().any(|it| it.r#type == kind && it.status == status);
            if !stalled(ConditionType::Stalled, ConditionStatus::True) {
                return Err(Broken { law: laws::VISIBLE, found: format!("resource {index} waits for a word, and does not say so") });
            }
            return Ok(Some((index, if resource.deleted.is_some() { Wish::Release } else { Wish::Resubmit })));
        }
        if resource.suspended() {
            return Ok(Some((index, Wish::Suspend)));
        }
    }
    Ok(None)
}

fn has_ended(world: &World) -> Result<(), Broken> {
    for (index, resource) in world.resources.iter().enumerate().filter(|(_, resource)| !resource.gone) {
        let run = resource.now().status.run.as_ref();
        if resource.deleted.is_some() || run.is_some_and(|run| !run.state.ended()) {
            return Err(Broken { law: laws::ENDS, found: format!("resource {index} stands still: {}", standing(world)) });
        }
        if let Some(queued) = &resource.now().status.queued {
            return Err(Broken { law: accepted::ACCEPTED, found: format!("resource {index}: {queued:?} was accepted, and never runs") });
        }
    }
    Ok(())
}

/// Started anew, the operators find nothing to write and nothing to do.
fn stays_quiet(world: &World, tell: &mut impl FnMut(&str, &World)) -> Result<(), Broken> {
    let mut world = world.clone();
    let (before, ops) = (versions(&world), world.service.ops.len());
    for operator in 0..world.operators.len() {
        let standing = world.operators[operator].standing;
        if world.leads(operator) {
            world.left.crashes = 1;
            world.play(Action::Crash { operator })?;
            world.play(Action::Start { operator })?;
            world.operators[operator].standing = standing;
        }
    }
    for _ in 0..SETTLED {
        let Some(action) = next(&world) else { break };
        world.play(action)?;
        tell(&action.to_string(), &world);
    }
    if versions(&world) != before || world.service.ops.len() != ops {
        return Err(Broken { law: laws::QUIET, found: standing(&world) });
    }
    Ok(())
}

/// How the resources stand, in short.
#[must_use]
pub fn standing(world: &World) -> String {
    let of = |(index, resource): (usize, &std::sync::Arc<Resource>)| {
        let object = resource.now();
        let run = object.status.run.as_ref().map_or_else(
            || "no run".to_owned(),
            |run| {
                let operation = run.operation_id.as_deref().map(|id| format!(" {id}")).unwrap_or_default();
                format!("run {} attempt {} {:?} ({}){operation}", run.number, run.attempt, run.state, run.reason)
            },
        );
        let fate = if resource.gone {
            " [gone]"
        } else if resource.deleted.is_some() {
            " [deleted]"
        } else {
            ""
        };
        format!("resource {index} v{}{fate}: {run}", object.version)
    };
    world.resources.iter().enumerate().map(of).collect::<Vec<_>>().join("; ")
}
