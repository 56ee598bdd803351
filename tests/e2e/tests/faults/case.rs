//! One case of the matrix: a scenario with one fault at one of its requests.

use std::time::{Duration, Instant};

use e2e::caught;

use crate::fault::{self, Fault};
use crate::fault_point::{self, FaultPoint};
use crate::fixture::Fixture;
use crate::invariants;
use crate::scenario::Scenario;

/// One case.
#[derive(Clone)]
pub struct Case {
    /// The scenario.
    pub scenario: Scenario,
    /// The request with the fault.
    pub point: FaultPoint,
    /// The fault.
    pub fault: Fault,
}

/// The result of a case.
pub struct CaseResult {
    /// The case.
    pub case: Case,
    /// The result.
    pub status: CaseStatus,
    /// The duration.
    pub took: Duration,
}

/// The result of a case.
pub enum CaseStatus {
    /// All invariants hold.
    Passed,
    /// All invariants hold, but the request was not made in this run, for example because of one poll fewer.
    NotReached,
    /// The violated invariant.
    Failed(String),
}

impl Case {
    /// The cases of a scenario.
    pub fn of(scenario: Scenario, points: &[FaultPoint]) -> Vec<Self> {
        let of = |point: &FaultPoint| {
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

/// Runs the scenario without a fault, and returns its requests.
pub async fn clean(scenario: Scenario) -> Result<Vec<FaultPoint>, String> {
    caught(async move {
        let fixture = Fixture::start("clean", scenario.service, &(scenario.settings)()).await;
        let (api, azure) = (fixture.world.proxy().requests().len(), fixture.world.azure.requests_by(&fixture.world.client_id).await.len());
        let outcome = (scenario.run)(&fixture).await;
        invariants::check(&fixture, &outcome).await;
        fault_point::of(&fixture.world.proxy().requests()[api..], &fixture.world.azure.requests_by(&fixture.world.client_id).await[azure..])
    })
    .await
}

/// Runs the scenario with the fault.
pub async fn run(case: Case) -> CaseResult {
    let began = Instant::now();
    let started = case.clone();
    let reached = caught(async move {
        let fixture = Fixture::start("case", started.scenario.service, &(started.scenario.settings)()).await;
        let active = fault::activate(&fixture, &started.point, started.fault).await;
        let outcome = tokio::select! {
            outcome = (started.scenario.run)(&fixture) => outcome,
            () = active.execute(&fixture, started.fault) => unreachable!("it never returns"),
        };
        let reached = active.withdraw(&fixture).await;
        invariants::check(&fixture, &outcome).await;
        reached
    })
    .await;
    let status = match reached {
        Ok(true) => CaseStatus::Passed,
        Ok(false) => CaseStatus::NotReached,
        Err(why) => CaseStatus::Failed(why),
    };
    CaseResult { case, status, took: began.elapsed() }
}
