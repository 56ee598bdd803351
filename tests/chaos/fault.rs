//! What goes wrong at a request, on either side, and how it is brought about.

use std::time::Duration;

use harness::world::SECRET;
use harness::{Action, Moment, Seen, within};
use serde_json::{Value, json};

use crate::point::{Point, Side};
use crate::scenario::{ORDERS, Tenants};
use crate::stage::{LIMIT, Stage};

/// What goes wrong at a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// SIGKILL before it is handled; it never is.
    KillBefore,
    /// SIGKILL after it is handled, before the answer comes.
    KillAfter,
    /// It is handled, and the connection closed without an answer.
    Lost,
    /// It is refused with this status, and not handled.
    Status(u16),
    /// It is never answered, and not handled.
    Hang,
    /// It is handled, and the answer ends in its middle.
    Truncated,
    /// From it on every write of the first tenant's resource fails, until the second tenant has what it asked for.
    Unwritten,
    /// From it on every read of the first tenant's Secret fails, until the second tenant has what it asked for.
    Unread,
}

impl Fault {
    /// The columns of the matrix.
    pub const ALL: [Self; 11] = [
        Self::KillBefore,
        Self::KillAfter,
        Self::Lost,
        Self::Status(409),
        Self::Status(429),
        Self::Status(500),
        Self::Status(503),
        Self::Hang,
        Self::Truncated,
        Self::Unwritten,
        Self::Unread,
    ];

    /// How a cell's name has it.
    pub fn name(self) -> String {
        match self {
            Self::KillBefore => "kill-before".to_owned(),
            Self::KillAfter => "kill-after".to_owned(),
            Self::Lost => "lost".to_owned(),
            Self::Status(code) => code.to_string(),
            Self::Hang => "hang".to_owned(),
            Self::Truncated => "truncated".to_owned(),
            Self::Unwritten => "unwritten".to_owned(),
            Self::Unread => "unread".to_owned(),
        }
    }

    /// Whether it can befall the request of a story, with one tenant or two. The answer to a watch never ends, so nothing can happen after
    /// it. What lasts begins at each write, and at each read of a Secret.
    pub fn befalls(self, point: &Point, tenants: Tenants) -> bool {
        let signature = match &point.side {
            Side::Api { signature } => signature.as_str(),
            Side::Azure { .. } => "",
        };
        match self {
            Self::KillAfter | Self::Lost | Self::Truncated => !signature.starts_with("watch "),
            Self::KillBefore | Self::Status(_) | Self::Hang => true,
            Self::Unwritten => tenants == Tenants::Two && signature == "update modelrefreshes/status",
            Self::Unread => tenants == Tenants::Two && signature == "get secrets",
        }
    }

    /// What the local Azure has to do.
    fn at_azure(self) -> Value {
        match self {
            Self::KillBefore => json!({"hold": {"at": "before"}}),
            Self::KillAfter => json!({"hold": {"at": "after"}}),
            Self::Lost => json!({"dropAfter": {}}),
            Self::Status(429) => json!({"status": {"code": 429, "headers": {"Retry-After": "1"}}}),
            Self::Status(code) => json!({"status": {"code": code}}),
            Self::Hang => json!({"hang": {}}),
            Self::Truncated => json!({"resetMidBody": {}}),
            Self::Unwritten | Self::Unread => unreachable!("it befalls requests to the API server"),
        }
    }

    /// What the proxy before the API server has to do.
    fn at_api(self) -> Action {
        match self {
            Self::KillBefore => Action::Hold(Moment::Before),
            Self::KillAfter => Action::Hold(Moment::After),
            Self::Lost => Action::Drop(Moment::After),
            Self::Status(code) => Action::Answer(code),
            Self::Hang => Action::Hang,
            Self::Truncated => Action::Truncate,
            Self::Unwritten | Self::Unread => Action::Answer(500),
        }
    }

    fn kills(self) -> bool {
        matches!(self, Self::KillBefore | Self::KillAfter)
    }
}

/// A fault that is in force.
pub enum Ordered {
    /// At the local Azure.
    Azure(harness::Fault),
    /// Before the API server.
    Api(harness::Strike),
    /// The same, until the story has it withdrawn ([`Stage::mend`]).
    Lasting,
}

/// Puts the fault into force. What it hits is counted from now on.
pub async fn order(stage: &Stage, point: &Point, fault: Fault) -> Ordered {
    match &point.side {
        Side::Azure { method, route } => {
            let pattern = json!({"method": method, "route": route, "clientId": stage.world.client_id});
            Ordered::Azure(stage.world.azure.fault(json!({"match": pattern, "skip": point.nth - 1, "action": fault.at_azure()})).await)
        }
        Side::Api { .. } if matches!(fault, Fault::Unwritten | Fault::Unread) => {
            let fits = move |seen: &Seen| match fault {
                Fault::Unwritten => seen.writes_resource() && seen.name == ORDERS,
                _ => seen.resource == "secrets" && seen.name == SECRET,
            };
            stage.endure(stage.world.proxy().strike_times(point.nth - 1, usize::MAX, fault.at_api(), fits)).await;
            Ordered::Lasting
        }
        Side::Api { signature } => {
            let wanted = signature.clone();
            let fits = move |seen: &Seen| seen.signature() == wanted;
            Ordered::Api(stage.world.proxy().strike(point.nth - 1, fault.at_api(), fits))
        }
    }
}

impl Ordered {
    /// Sees to the killing, where the fault is one: waits for the request, kills, and starts the next process.
    pub async fn see_to(&self, stage: &Stage, fault: Fault) {
        if !fault.kills() {
            return std::future::pending().await;
        }
        match self {
            Self::Azure(ordered) => {
                // Until the play is over: the request may not come this time.
                while ordered.held().await == 0 {
                    tokio::time::sleep(Duration::from_millis(30)).await;
                }
                let mut operator = stage.operator.lock().await;
                operator.kill();
                // The service sees that the client is gone; released sooner, it would still do what was asked.
                within(LIMIT, "the held request to be given up", async || (ordered.held().await == 0).then_some(())).await;
                operator.restart();
            }
            Self::Api(strike) => {
                strike.struck().await;
                let mut operator = stage.operator.lock().await;
                operator.kill();
                operator.restart();
            }
            Self::Lasting => {}
        }
        std::future::pending::<()>().await;
    }

    /// Withdraws it, and says whether it has hit.
    pub async fn withdraw(self, stage: &Stage) -> bool {
        match self {
            Self::Azure(ordered) => {
                let hits = ordered.hits().await;
                ordered.remove().await;
                hits > 0
            }
            Self::Api(strike) => strike.count() > 0,
            Self::Lasting => stage.mend().await,
        }
    }
}
