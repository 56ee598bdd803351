//! The operations of a model at a service: the one that our submission started, if it arrived, and those of other clients. They render
//! as the documented JSON, before [`super::edits`] changes it.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tabular_operator::operation::ServiceKind;

/// A table, or one partition of it.
pub type Part = (&'static str, Option<&'static str>);

/// The partitions of every table of the model.
const PARTITIONS: [&str; 2] = ["2025", "2026"];

/// The submitter of an operation as the service reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Submitter {
    /// A client of the API.
    Client,
    /// Another source with this `refreshType`, or without one.
    Type(Option<&'static str>),
    /// The same, and its row has no id.
    WithoutId(&'static str),
}

/// An operation of the service.
#[allow(clippy::struct_excessive_bools, reason = "each is generated independently")]
#[derive(Clone, Debug)]
pub struct Op {
    pub id: &'static str,
    /// Whether our submission started it.
    pub ours: bool,
    pub submitter: Submitter,
    /// Milliseconds from the intent, in true time, as are `end` and `visible`.
    pub start: i64,
    pub end: i64,
    /// Whether the service never reports its end.
    pub never_ends: bool,
    pub succeeds: bool,
    /// The time from which lists contain it.
    pub visible: i64,
    pub refresh_type: &'static str,
    /// Empty for the whole model.
    pub objects: Vec<Part>,
    /// Whether the service returns details of it.
    pub has_details: bool,
}

impl Op {
    /// A time in the format of Power BI, without a zone.
    fn timestamp(millis: i64, ahead: i64) -> String {
        let timestamp = intent() + SignedDuration::from_millis(millis + 1_000 * ahead);
        timestamp.to_string().trim_end_matches('Z').to_owned()
    }

    /// Whether the service reports it as running.
    fn is_running(&self, now: i64) -> bool {
        self.never_ends || now < self.end
    }

    /// Its row in the list.
    pub fn row(&self, service: ServiceKind, now: i64, ahead: i64) -> Value {
        let (start, end) = (Self::timestamp(self.start, ahead), Self::timestamp(self.end, ahead));
        let mut row = match service {
            ServiceKind::AnalysisServices => {
                let status = if self.is_running(now) { "inProgress" } else { self.final_status(service) };
                json!({"refreshId": self.id, "startTime": format!("{start}Z"), "status": status})
            }
            ServiceKind::PowerBi => {
                let status = if self.is_running(now) { "Unknown" } else { self.final_status(service) };
                let mut row = json!({"requestId": self.id, "id": 17, "startTime": start, "status": status, "extendedStatus": status});
                match self.submitter {
                    Submitter::Client => row["refreshType"] = json!("ViaEnhancedApi"),
                    Submitter::Type(None) => {}
                    Submitter::Type(Some(refresh_type)) => row["refreshType"] = json!(refresh_type),
                    Submitter::WithoutId(refresh_type) => {
                        row["refreshType"] = json!(refresh_type);
                        row.as_object_mut().unwrap().remove("requestId");
                    }
                }
                row
            }
        };
        if !self.is_running(now) {
            row["endTime"] = json!(end);
        }
        row
    }

    /// Its details.
    pub fn details(&self, service: ServiceKind, now: i64, ahead: i64) -> Value {
        let status = if self.is_running(now) { "inProgress" } else { self.final_status(service) };
        let mut details = json!({
            "startTime": Self::timestamp(self.start, ahead), "type": self.refresh_type, "status": status, "currentRefreshType": self.refresh_type,
        });
        if service == ServiceKind::PowerBi {
            details["extendedStatus"] = json!(status);
            details["commitMode"] = json!("transactional");
            details["numberOfAttempts"] = json!(0);
        }
        // Observed: Power BI returns no objects while a refresh runs, and Analysis Services none in its first seconds.
        let shows_objects = !self.is_running(now) || (service == ServiceKind::AnalysisServices && now > self.start + 3_000);
        let whole: [Part; 3] = [("Sales", None), ("Customers", None), ("Dates", None)];
        let parts = if self.objects.is_empty() { &whole[..] } else { &self.objects[..] };
        let rows = parts.iter().flat_map(|(table, partition)| {
            let partitions = partition.map_or(PARTITIONS.to_vec(), |partition| vec![partition]);
            partitions.into_iter().map(move |partition| json!({"table": table, "partition": partition, "status": status}))
        });
        details["objects"] = if shows_objects { rows.collect() } else { json!([]) };
        if !self.is_running(now) {
            details["endTime"] = json!(Self::timestamp(self.end, ahead));
        }
        details
    }

    fn final_status(&self, service: ServiceKind) -> &'static str {
        match (service, self.succeeds) {
            (ServiceKind::AnalysisServices, true) => "succeeded",
            (ServiceKind::AnalysisServices, false) => "failed",
            (ServiceKind::PowerBi, true) => "Completed",
            (ServiceKind::PowerBi, false) => "Failed",
        }
    }
}

/// The time of the recorded intent on the operator's clock.
pub fn intent() -> Timestamp {
    "2026-11-22T09:00:00Z".parse().unwrap()
}
