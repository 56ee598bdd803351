//! One cell of the matrix: a scenario with one fault at one of its requests.

use std::time::{Duration, Instant};

use e2e::caught;

use crate::fault::{self, Fault};
use crate::fault_point::{self, Point};
use crate::fixture::Stage;
use crate::invariants;
use crate::scenario::Scenario;

/// One cell.
#[derive(Clone)]
pub struct Cell {
    /// The scenario.
    pub scenario: Scenario,
    /// The request with the fault.
    pub point: Point,
    /// The fault.
    pub fault: Fault,
}

/// The result of a cell.
pub struct CellResult {
    /// The cell.
    pub cell: Cell,
    /// The result.
    pub verdict: Verdict,
    /// The duration.
    pub took: Duration,
}

/// The result of a cell.
pub enum Verdict {
    /// All invariants hold.
    Passed,
    /// All invariants hold, but the request was not made in this run, for example because of one poll fewer.
    NotMet,
    /// The violated invariant.
    Failed(String),
}

impl Cell {
    /// The cells of a scenario.
    pub fn of(scenario: Scenario, points: &[Point]) -> Vec<Self> {
        let of = |point: &Point| {
            let point = point.clone();
            Fault::ALL.into_iter().filter(move |fault| fault.applies_to(&point, scenario.tenants))
        };
        points.iter().flat_map(|point| of(point).map(|fault| Self { scenario, point: point.clone(), fault })).collect()
    }

    /// Such as `plain-aas/POST-refreshes#1/kill-after`.
    pub fn name(&self) -> String {
        format!("{}/{}/{}", self.scenario.name, self.point, self.fault.name())
    }
}

/// Plays the scenario without a fault, and returns its requests.
pub async fn clean(scenario: Scenario) -> Result<Vec<Point>, String> {
    caught(async move {
        let stage = Stage::set("clean", scenario.service, &(scenario.settings)()).await;
        let (api, azure) = (stage.world.proxy().seen().len(), stage.world.azure.requests_by(&stage.world.client_id).await.len());
        let outcome = (scenario.play)(&stage).await;
        invariants::check(&stage, &outcome).await;
        fault_point::of(&stage.world.proxy().seen()[api..], &stage.world.azure.requests_by(&stage.world.client_id).await[azure..])
    })
    .await
}

/// Plays the scenario with the fault.
pub async fn run(cell: Cell) -> CellResult {
    let began = Instant::now();
    let played = cell.clone();
    let met = caught(async move {
        let stage = Stage::set("cell", played.scenario.service, &(played.scenario.settings)()).await;
        let ordered = fault::order(&stage, &played.point, played.fault).await;
        let outcome = tokio::select! {
            outcome = (played.scenario.play)(&stage) => outcome,
            () = ordered.execute(&stage, played.fault) => unreachable!("it never returns"),
        };
        let met = ordered.withdraw(&stage).await;
        invariants::check(&stage, &outcome).await;
        met
    })
    .await;
    let verdict = match met {
        Ok(true) => Verdict::Passed,
        Ok(false) => Verdict::NotMet,
        Err(why) => Verdict::Failed(why),
    };
    CellResult { cell, verdict, took: began.elapsed() }
}
