//! The metrics. `record` has the methods that the rest of the operator calls.
//!
//! | metric (prefix `tabular_operator_`) | type | labels | meaning |
//! |---|---|---|---|
//! | `build_info` | info | `version` | version of the operator |
//! | `reconciles_total` | counter | `kind`, `result` | reconciliations |
//! | `reconcile_duration_seconds` | histogram | `kind` | duration of a reconciliation |
//! | `reconciles_in_flight` | gauge | | reconciliations in progress; above three quarters of `--max-concurrent-reconciles`, others may wait for a slot |
//! | `resources` | gauge | `kind`, `status` | resources, by the summary of their conditions; a suspended resource is `suspended`, unless its run was submitted and has not ended; one that is Stalled only because a user or a new trigger cancelled its run is `cancelled` |
//! | `model_queue_depth` | gauge | | runs that wait for their turn on their model |
//! | `active_runs` | gauge | `kind`, `state` | runs that have not ended |
//! | `runs_requested_total` | counter | `kind`, `trigger` | started runs, by their trigger |
//! | `runs_ended_total` | counter | `kind`, `state`, `reason` | ended runs |
//! | `run_duration_seconds` | histogram | `kind`, `state` | time from the start of an operation at the service to its end |
//! | `run_wait_seconds` | histogram | `kind` | time from the request for a run to its submission |
//! | `run_schedule_lag_seconds` | histogram | `kind` | time from the scheduled time of a run to its submission |
//! | `run_end_lag_seconds` | histogram | `kind` | time from the end of an operation, by the clock of the service, to its record in the status |
//! | `oldest_unsuccessful_seconds` | gauge | `kind` | longest time that a resource has been failing or Stalled; 0 if none is; a resource with the status `suspended` does not count |
//! | `schedule_overdue_seconds` | gauge | `kind` | delay of the most overdue schedule; 0 if none is overdue |
//! | `starved_schedules` | gauge | `kind` | resources whose schedule replaces each run before it ends: the last 3 runs (with `historyLimit: 2` the last 2) were scheduled, and the next trigger cancelled each of them; with a smaller `historyLimit` none is counted |
//! | `resource_info` | info | `kind`, `exported_namespace`, `name`, `model` | 1, with a short name of the model, in at most 128 bytes |
//! | `resource_status` | gauge | `kind`, `exported_namespace`, `name`, `status` | 1 for the summary of the conditions of the resource, or for `suspended` and `cancelled` as in `resources` |
//! | `resource_last_success_timestamp_seconds` | gauge | `kind`, `exported_namespace`, `name` | end of the latest successful run, in Unix time; absent before the first |
//! | `resource_last_duration_seconds` | gauge | `kind`, `exported_namespace`, `name` | duration of the latest successful run; absent if the status does not contain one |
//! | `resource_next_schedule_timestamp_seconds` | gauge | `kind`, `exported_namespace`, `name` | next time of the schedule, in Unix time; absent without a schedule |
//! | `resource_stale_after_seconds` | gauge | `kind`, `exported_namespace`, `name` | `spec.staleAfterSeconds`; absent if it is not set |
//! | `resource_fresh` | gauge | `kind`, `exported_namespace`, `name` | 1 while the data is younger than `spec.staleAfterSeconds`, 0 when it is older; absent if that is not set |
//! | `resource_run_started_timestamp_seconds` | gauge | `kind`, `exported_namespace`, `name` | start of the running operation, in Unix time; absent if none is running |
//! | `resource_usual_duration_seconds` | gauge | `kind`, `exported_namespace`, `name` | median duration of at most 20 successful runs in the history, of those with the same parameters if there are enough; absent if there are fewer than 3 |
//! | `resource_metrics_omitted` | gauge | | resources beyond `--resource-metrics`, which have none of these metrics |
//! | `unresolved_submissions` | gauge | `kind` | runs whose submission got no response, and of which it is not known yet whether an operation started |
//! | `submission_resolutions_total` | counter | `outcome` | submissions whose response was lost, by their resolution |
//! | `service_calls_total` | counter | `service`, `operation`, `code` | requests to Azure |
//! | `service_call_duration_seconds` | histogram | `service`, `operation` | duration of a request to Azure |
//! | `service_calls_deferred_total` | counter | `service` | requests that the operator deferred, because the service requested a backoff or too many were in flight |
//! | `throttled_identities` | gauge | | identities that a service asked to back off |
//! | `token_requests_total` | counter | `identity`, `result` | token requests, excluding tokens from the cache |
//! | `token_request_duration_seconds` | histogram | `identity` | duration of a token request |
//! | `certificate_expiry_timestamp_seconds` | gauge | | expiry of the client certificate in use that expires first, in Unix time; absent if none is in use |
//! | `watch_healthy` | gauge | `kind`, `watched_namespace` | 1 while the watch of a kind in a namespace, or in all (`*`), is healthy; absent on a standby |
//! | `kubernetes_writes_total` | counter | `write`, `result` | writes to the Kubernetes API |
//! | `is_leader` | gauge | | 1 while this process is the leader |
//! | `lease_renewals_total` | counter | `result` | renewals of the lease |
//! | `lease_renewed_timestamp_seconds` | gauge | | time of the last renewal of the lease, in Unix time; 0 before the first renewal |
//! | `trace_spans_total` | counter | `result` | spans that were sent to the collector of traces, or lost because the collector did not accept them or the queue was full |
//! | `tracked_entries` | gauge | `collection` | entries that the leader keeps in memory; they follow the number of resources and running operations |
//! | `tasks` | gauge | | concurrent tasks of the process, mostly connections |

mod record;
mod registry;
mod resources;
mod series;
#[cfg(test)]
mod tests;
pub mod text_format;

pub use record::{Ended, InFlight, Submitted};
pub use registry::Metrics;
pub use resources::{FreshnessTarget, ResourceRow, ResourceTable, shown_model};
