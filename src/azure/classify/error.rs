//! Errors of calls, described in a sentence with the remedy.

use jiff::Timestamp;
use url::Url;

use super::response_kind::ResponseKind;
use crate::azure::http::{BodyFault, ErrorSummary, Response, page, text};
use crate::operation::{ServiceError, ServiceErrorKind, ServiceKind};

/// The problem with a compressed body, with the remedy.
pub(in crate::azure) const COMPRESSED: &str =
    "is compressed although the request excluded it: disable compression for this host in the proxy or gateway";

/// The error for an unreadable body.
pub(in crate::azure) fn body_error(fault: BodyFault) -> ServiceError {
    match fault {
        BodyFault::TooLarge => ServiceError::new(ServiceErrorKind::InvalidResponse, "the response of the service is larger than 8 MiB"),
        BodyFault::Broken => ServiceError::new(ServiceErrorKind::InvalidResponse, "the response of the service is incomplete"),
        BodyFault::Slow => ServiceError::new(ServiceErrorKind::Unreachable, "the response of the service did not complete in time"),
        BodyFault::Compressed => ServiceError::new(ServiceErrorKind::InvalidResponse, format!("the response of the service {COMPRESSED}")),
    }
}

/// The error for the kind of a response, with a sentence that has the remedy.
pub(in crate::azure) fn error_of(service: ServiceKind, kind: ResponseKind, response: &Response, summary: &ErrorSummary) -> ServiceError {
    let status = response.status;
    // The header has the details if the body only contains "An internal error occurred." (seen in captures).
    let detail = response.extended_error().unwrap_or_else(|| summary.message.clone());
    let detail = if detail.is_empty() && response.is_page() { page::summary(response.text(), 200) } else { detail };
    let page = if detail.is_empty() { String::new() } else { format!(" Its text: {detail}") };
    let detail = if detail.is_empty() { String::new() } else { format!(": {detail}") };
    let code = if summary.code.is_empty() { format!("HTTP {status}") } else { format!("HTTP {status}, {}", summary.code) };
    let (error_kind, message) = match kind {
        ResponseKind::Success => (ServiceErrorKind::InvalidResponse, format!("the response of the service is unusable ({code})")),
        ResponseKind::Redirect => {
            let host = response.location().and_then(|location| Url::parse(location).ok());
            let host =
                host.as_ref().and_then(Url::host_str).map(|host| format!(" to host {}", text::sanitize(host, 253))).unwrap_or_default();
            (ServiceErrorKind::InvalidResponse, format!("the service redirects{host} ({code}), and the operator does not follow redirects"))
        }
        ResponseKind::NotFromService if response.fault == Some(BodyFault::Compressed) => {
            (ServiceErrorKind::InvalidResponse, format!("the response of the service (HTTP {status}) {COMPRESSED}"))
        }
        ResponseKind::NotFromService => (
            ServiceErrorKind::InvalidResponse,
            format!("the response is not from the service (HTTP {status}): check the proxies and gateways in between.{page}"),
        ),
        ResponseKind::Throttled => (ServiceErrorKind::Throttled, throttled(response.throttled_until)),
        ResponseKind::CapacityExceeded => (
            ServiceErrorKind::CapacityExceeded,
            format!(
                "the capacity has exceeded its limits ({code}): refresh fewer models at the same time, or use a larger capacity; the operator tries \
                 again automatically{detail}"
            ),
        ),
        ResponseKind::Inconclusive | ResponseKind::ServerError => {
            (ServiceErrorKind::ServerError, format!("the service failed ({code}){detail}"))
        }
        ResponseKind::Busy => (ServiceErrorKind::ServerError, format!("the service is busy with another operation ({code}){detail}")),
        ResponseKind::TokenExpired => {
            (ServiceErrorKind::ServerError, format!("the token has expired ({code}); the operator requests a new one automatically"))
        }
        ResponseKind::QuotaExceeded => (
            ServiceErrorKind::QuotaExceeded,
            format!(
                "the model has reached its limit of refreshes in 24 hours ({code}): schedule fewer, or move the model to a capacity with a higher limit; the operator retries automatically{detail}"
            ),
        ),
        ResponseKind::Paused => (ServiceErrorKind::Paused, format!("{}{detail}", paused(service, &code))),
        ResponseKind::ScaleOutDisabled => {
            (ServiceErrorKind::ScaleOutDisabled, format!("{} ({code}){detail}", scale_out_disabled(&summary.code)))
        }
        ResponseKind::NotFound | ResponseKind::ModelNotFound => {
            (ServiceErrorKind::NotFound, format!("{}{detail}", missing(service, &code)))
        }
        ResponseKind::OwnerNotFound => (
            ServiceErrorKind::OwnerNotFound,
            format!(
                "the owner of the semantic model no longer exists ({code}): take over the semantic model in its settings in Power BI{detail}"
            ),
        ),
        ResponseKind::AccessDenied => (ServiceErrorKind::AccessDenied, format!("{}{detail}", denied(service, response, summary, &code))),
        ResponseKind::Firewall => (
            ServiceErrorKind::AccessDenied,
            format!("the firewall of the server blocks the operator: allow its IP address in the firewall{detail}"),
        ),
        ResponseKind::Rejected => (ServiceErrorKind::Rejected, format!("the service rejects the request ({code}){detail}")),
    };
    ServiceError {
        kind: error_kind,
        message: text::truncate(&message, 1024),
        retry_after: response.backoff(summary),
        activity_id: summary.activity_id.clone().or_else(|| response.activity_id()),
    }
}

/// The throttle of the caller: one sentence for the response and for each call that waits because of it.
pub(in crate::azure) fn throttled(until: Option<Timestamp>) -> String {
    let what = "the service throttles the calls of this identity";
    until.map_or_else(
        || format!("{what}: the operator tries again automatically"),
        |until| format!("{what}: the operator waits until {until}, then tries again automatically"),
    )
}

fn paused(service: ServiceKind, code: &str) -> String {
    match service {
        ServiceKind::AnalysisServices => {
            format!("the server is paused, scaling or not ready ({code}): resume it in Azure; the operator retries automatically")
        }
        ServiceKind::PowerBi => {
            format!("the capacity of the workspace is paused ({code}): resume it in Azure; the operator retries automatically")
        }
    }
}

/// Why the replicas of a model cannot be synchronized, from the state that Power BI returns, with the remedy.
///
/// Power BI documentation, semantic model scale-out, and its REST documentation, "Get Query Scale Out Sync Status".
pub(in crate::azure) fn scale_out_disabled(state: &str) -> String {
    match state.to_ascii_lowercase().as_str() {
        "tenantsettingdisabled" => {
            "query scale-out is switched off for the tenant: have an administrator of Power BI switch on the tenant \
                                    setting \"Scale-out queries for large semantic models\""
                .to_owned()
        }
        "storagemodenotsupported" => "the semantic model's storage does not support query scale-out: set the large semantic model storage \
                                      format in its settings"
            .to_owned(),
        "readonlyreplicasdisabled" => "the semantic model has no read-only replicas: switch on query scale-out in its settings, or set \
                                       maxReadOnlyReplicas of its queryScaleOutSettings to another value than 0"
            .to_owned(),
        _ => format!(
            "query scale-out is not enabled for the semantic model ({}): enable it in its settings",
            if state.is_empty() { "no state".to_owned() } else { text::sanitize(state, 64) }
        ),
    }
}

fn missing(service: ServiceKind, code: &str) -> String {
    match service {
        ServiceKind::AnalysisServices => format!("the service does not know the server or the database ({code}): check their names"),
        ServiceKind::PowerBi => format!(
            "Power BI does not know the workspace or the semantic model, or hides them from this identity ({code}): check the ids, and \
             grant the identity the role Contributor in the workspace"
        ),
    }
}

/// The remedy for a denied access.
fn denied(service: ServiceKind, response: &Response, summary: &ErrorSummary, code: &str) -> String {
    let setting = "the tenant setting \"Service principals can call Fabric public APIs\"";
    match service {
        _ if response.requires_claims() => format!(
            "the service requires additional claims in the token ({code}), because of a conditional access policy or a revoked session: ask an \
             administrator of the tenant to check the sign-ins of the identity"
        ),
        _ if summary.code.eq_ignore_ascii_case("xmlaendpointdisabled") => {
            format!("the XMLA endpoint is disabled ({code}): enable it in the settings of the server or the capacity")
        }
        ServiceKind::AnalysisServices if response.status == 401 => {
            format!("the service rejects the token ({code}): check that the credentials belong to the tenant of the server")
        }
        ServiceKind::AnalysisServices => format!(
            "the service denies access ({code}): check the server's name, and that the service principal is one of its administrators, \
             added directly and not through a group"
        ),
        ServiceKind::PowerBi if summary.message.to_ascii_lowercase().contains("not accessible for application") => {
            format!("Power BI blocks applications ({code}): ask an administrator to enable {setting} for a group that contains this one")
        }
        ServiceKind::PowerBi if response.status == 401 => format!(
            "Power BI rejects the identity ({code}): ask an administrator to enable {setting} for it, and grant it the role \
             Contributor in the workspace"
        ),
        ServiceKind::PowerBi => format!(
            "Power BI denies access ({code}): grant the identity the role Contributor in the workspace, and ask an administrator to enable {setting} for it"
        ),
    }
}

/// The error for a missing connection or response.
pub(in crate::azure) fn unreachable(message: String) -> ServiceError {
    ServiceError::new(ServiceErrorKind::Unreachable, message)
}
