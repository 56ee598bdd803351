//! The faults of a request, on either side, and their injection.

use std::time::Duration;

use e2e::world::SECRET;
use e2e::{Action, Moment, Seen, within};
use serde_json::{Value, json};

use crate::fault_point::{Point, Side};
use crate::fixture::{LIMIT, Stage};
use crate::scenario::{ORDERS, Tenants};

/// A fault of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// SIGKILL before the request is handled; it never is.
    KillBefore,
    /// SIGKILL after the request is handled, before the response is sent.
    KillAfter,
    /// The request is handled, and the connection is closed without a response.
    Lost,
    /// The request is refused with this status, and not handled.
    Status(u16),
    /// The request gets no response and is not handled.
    Hang,
    /// The request is handled, and the response is truncated.
    Truncated,
    /// From this request on, every write of the first tenant's resource fails until the second tenant's requests are completed.
    Unwritten,
    /// From this request on, every read of the first tenant's Secret fails until the second tenant's requests are completed.
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

    /// Its part of a cell's name.
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

    /// Whether it can apply to the request of a scenario, with one tenant or two. The response to a watch never ends, so nothing can
    /// happen after it. Lasting faults start at each write, and at each read of a Secret.
    pub fn applies_to(self, point: &Point, tenants: Tenants) -> bool {
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

    /// The fault in the local Azure.
    fn at_azure(self) -> Value {
        match self {
            Self::KillBefore => json!({"hold": {"at": "before"}}),
            Self::KillAfter => json!({"hold": {"at": "after"}}),
            Self::Lost => json!({"dropAfter": {}}),
            Self::Status(429) => json!({"status": {"code": 429, "headers": {"Retry-After": "1"}}}),
            Self::Status(code) => json!({"status": {"code": code}}),
            Self::Hang => json!({"hang": {}}),
            Self::Truncated => json!({"resetMidBody": {}}),
            Self::Unwritten | Self::Unread => unreachable!("it applies to requests to the API server"),
        }
    }

    /// The fault in the proxy in front of the API server.
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

/// An active fault.
pub enum Ordered {
    /// In the local Azure.
    Azure(e2e::Fault),
    /// In front of the API server.
    Api(e2e::Strike),
    /// In front of the API server until the scenario withdraws it ([`Stage::withdraw_lasting`]).
    Lasting,
}

/// Activates the fault. Affected requests are counted from now on.
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
            stage.keep_until_withdrawn(stage.world.proxy().strike_times(point.nth - 1, usize::MAX, fault.at_api(), fits)).await;
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
    /// If the fault kills the operator: waits for the request, kills the process, and starts the next one.
    pub async fn execute(&self, stage: &Stage, fault: Fault) {
        if !fault.kills() {
            return std::future::pending().await;
        }
        match self {
            Self::Azure(ordered) => {
                // Until the scenario ends: the request may be missing in this run.
                while ordered.held().await == 0 {
                    tokio::time::sleep(Duration::from_millis(30)).await;
                }
                let mut operator = stage.operator.lock().await;
                operator.kill();
                // The service detects that the client has disconnected. Released earlier, it would still handle the request.
                within(LIMIT, "the held request to end", async || (ordered.held().await == 0).then_some(())).await;
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

    /// Withdraws it, and returns whether it affected a request.
    pub async fn withdraw(self, stage: &Stage) -> bool {
        match self {
            Self::Azure(ordered) => {
                let hits = ordered.hits().await;
                ordered.remove().await;
                hits > 0
            }
            Self::Api(strike) => strike.count() > 0,
            Self::Lasting => stage.withdraw_lasting().await,
        }
    }
}
