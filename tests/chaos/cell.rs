//! One cell of the matrix: a story with one fault at one of its requests.

use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use futures::FutureExt as _;

use crate::fault::{self, Fault};
use crate::laws;
use crate::point::{self, Point};
use crate::scenario::Scenario;
use crate::stage::Stage;

/// One cell.
#[derive(Clone)]
pub struct Cell {
    /// The story.
    pub scenario: Scenario,
    /// Where something goes wrong.
    pub point: Point,
    /// What.
    pub fault: Fault,
}

/// How a cell went.
pub struct CellResult {
    /// Which one.
    pub cell: Cell,
    /// How.
    pub verdict: Verdict,
    /// How long it took.
    pub took: Duration,
}

/// How a cell went.
pub enum Verdict {
    /// All was as it has to be.
    Passed,
    /// The same, but the request was not made this time: a poll fewer, say.
    NotMet,
    /// Why not.
    Failed(String),
}

impl Cell {
    /// The cells of a story.
    pub fn of(scenario: Scenario, points: &[Point]) -> Vec<Self> {
        let of = |point: &Point| {
            let point = point.clone();
            Fault::ALL.into_iter().filter(move |fault| fault.befalls(&point, scenario.tenants))
        };
        points.iter().flat_map(|point| of(point).map(|fault| Self { scenario, point: point.clone(), fault })).collect()
    }

    /// Such as `plain-aas/POST-refreshes#1/kill-after`.
    pub fn name(&self) -> String {
        format!("{}/{}/{}", self.scenario.name, self.point, self.fault.name())
    }
}

/// Plays the story with nothing wrong, and gives the requests that it has made.
pub async fn clean(scenario: Scenario) -> Result<Vec<Point>, String> {
    caught(async move {
        let stage = Stage::set("clean", scenario.service, &(scenario.settings)()).await;
        let (api, azure) = (stage.world.proxy().seen().len(), stage.world.azure.requests_by(&stage.world.client_id).await.len());
        let outcome = (scenario.play)(&stage).await;
        laws::check(&stage, &outcome).await;
        point::of(&stage.world.proxy().seen()[api..], &stage.world.azure.requests_by(&stage.world.client_id).await[azure..])
    })
    .await
}

/// Plays the story with the fault.
pub async fn run(cell: Cell) -> CellResult {
    let began = Instant::now();
    let played = cell.clone();
    let met = caught(async move {
        let stage = Stage::set("cell", played.scenario.service, &(played.scenario.settings)()).await;
        let ordered = fault::order(&stage, &played.point, played.fault).await;
        let outcome = tokio::select! {
            outcome = (played.scenario.play)(&stage) => outcome,
            () = ordered.see_to(&stage, played.fault) => unreachable!("it goes on for ever"),
        };
        let met = ordered.withdraw(&stage).await;
        laws::check(&stage, &outcome).await;
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

/// What comes of it, or what its panic says.
async fn caught<T>(story: impl Future<Output = T>) -> Result<T, String> {
    AssertUnwindSafe(story).catch_unwind().await.map_err(|panic| {
        let said = panic.downcast_ref::<String>().cloned().or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
        let said = said.unwrap_or_else(|| "it panicked".to_owned());
        // All of it was printed where it happened.
        said.lines().next().unwrap_or_default().to_owned()
    })
}
