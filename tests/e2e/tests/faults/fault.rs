//! The faults of a request, on either side, and their injection.

use std::time::Duration;

use e2e::world::SECRET;
use e2e::{Action, RecordedRequest, When, within};
use serde_json::{Value, json};

use crate::fault_point::{FaultPoint, Side};
use crate::fixture::{Fixture, LIMIT};
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

    /// Its part of a case's name.
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
    pub fn applies_to(self, point: &FaultPoint, tenants: Tenants) -> bool {
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
            Self::KillBefore => Action::Hold(When::Before),
            Self::KillAfter => Action::Hold(When::After),
            Self::Lost => Action::Drop(When::After),
            Self::Status(code) => Action::Respond(code),
            Self::Hang => Action::Hang,
            Self::Truncated => Action::Truncate,
            Self::Unwritten | Self::Unread => Action::Respond(500),
        }
    }

    fn kills(self) -> bool {
        matches!(self, Self::KillBefore | Self::KillAfter)
    }
}

/// An active fault.
pub enum ActiveFault {
    /// In the local Azure.
    Azure(e2e::Fault),
    /// In front of the API server.
    Api(e2e::InjectedFault),
    /// In front of the API server until the scenario withdraws it ([`Fixture::withdraw_lasting`]).
    Lasting,
}

/// Activates the fault. Affected requests are counted from now on.
pub async fn activate(fixture: &Fixture, point: &FaultPoint, fault: Fault) -> ActiveFault {
    match &point.side {
        Side::Azure { method, route } => {
            let pattern = json!({"method": method, "route": route, "clientId": fixture.world.client_id});
            ActiveFault::Azure(
                fixture.world.azure.fault(json!({"match": pattern, "skip": point.nth - 1, "action": fault.at_azure()})).await,
            )
        }
        Side::Api { .. } if matches!(fault, Fault::Unwritten | Fault::Unread) => {
            let matches = move |request: &RecordedRequest| match fault {
                Fault::Unwritten => request.writes_resource() && request.name == ORDERS,
                _ => request.resource == "secrets" && request.name == SECRET,
            };
            fixture.keep_until_withdrawn(fixture.world.proxy().inject_times(point.nth - 1, usize::MAX, fault.at_api(), matches)).await;
            ActiveFault::Lasting
        }
        Side::Api { signature } => {
            let wanted = signature.clone();
            let matches = move |request: &RecordedRequest| request.signature() == wanted;
            ActiveFault::Api(fixture.world.proxy().inject(point.nth - 1, fault.at_api(), matches))
        }
    }
}

impl ActiveFault {
    /// If the fault kills the operator: waits for the request, kills the process, and starts the next one.
    pub async fn execute(&self, fixture: &Fixture, fault: Fault) {
        if !fault.kills() {
            return std::future::pending().await;
        }
        match self {
            Self::Azure(active) => {
                // Until the scenario ends: the request may be missing in this run.
                while active.held().await == 0 {
                    tokio::time::sleep(Duration::from_millis(30)).await;
                }
                let mut operator = fixture.operator.lock().await;
                operator.kill();
                // The service detects that the client has disconnected. Released earlier, it would still handle the request.
                within(LIMIT, "the held request to end", async || (active.held().await == 0).then_some(())).await;
                operator.restart();
            }
            Self::Api(fault) => {
                fault.wait_until_hit().await;
                let mut operator = fixture.operator.lock().await;
                operator.kill();
                operator.restart();
            }
            Self::Lasting => {}
        }
        std::future::pending::<()>().await;
    }

    /// Withdraws it, and returns whether it affected a request.
    pub async fn withdraw(self, fixture: &Fixture) -> bool {
        match self {
            Self::Azure(active) => {
                let hits = active.hits().await;
                active.remove().await;
                hits > 0
            }
            Self::Api(fault) => fault.hits() > 0,
            Self::Lasting => fixture.withdraw_lasting().await,
        }
    }
}
