//! The kind of a response, independent of the request.

use crate::azure::http::{ErrorSummary, Response};

/// The kind of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::azure) enum ResponseKind {
    /// 2xx.
    Success,
    /// 3xx.
    Redirect,
    /// A page for users, a part of a response, 407 or 421: not a response of the service.
    NotFromService,
    /// The throttle of the caller: 429, or its error code.
    Throttled,
    /// The capacity has exceeded its limits. Nothing was started.
    CapacityExceeded,
    /// 1xx, 408, 425, 460, 499: the service may or may not have accepted the request.
    Inconclusive,
    /// 5xx.
    ServerError,
    /// Another operation of the model is running.
    Busy,
    /// The model has reached its daily limit of refreshes.
    QuotaExceeded,
    /// The server or the capacity is paused.
    Paused,
    /// Query scale-out is disabled.
    ScaleOutDisabled,
    /// The requested object does not exist. For a request about one operation, this is the operation.
    NotFound,
    /// The owner of the model no longer exists.
    OwnerNotFound,
    /// The server or the database does not exist.
    ModelNotFound,
    /// The token expired in transit. The next call uses a new one.
    TokenExpired,
    /// The identity lacks a permission.
    AccessDenied,
    /// The firewall of the server blocks the operator.
    Firewall,
    /// The request itself is invalid.
    Rejected,
}

/// Classifies a response. The order of the lines is their precedence.
pub(in crate::azure) fn response_kind(response: &Response, summary: &ErrorSummary) -> ResponseKind {
    let page = response.is_page();
    let code = summary.code.to_ascii_lowercase();
    let message = format!("{} {}", summary.message, response.extended_error().unwrap_or_default()).to_ascii_lowercase();
    let header = response.header("x-ms-error-code").unwrap_or_default().to_ascii_lowercase();
    // Fabric documentation, "Throttling": the limit of the caller, even if the text mentions capacities.
    let blocked = code == "requestblocked";
    let over_capacity = !blocked && over_capacity(&code, &header, &message);
    match response.status {
        200..=299 => ResponseKind::Success,
        300..=399 => ResponseKind::Redirect,
        429 if over_capacity => ResponseKind::CapacityExceeded,
        429 => ResponseKind::Throttled,
        // A gateway writes 460 and 499 if its client closes the connection, after it may have forwarded the request.
        ..200 | 408 | 425 | 460 | 499 => ResponseKind::Inconclusive,
        401 | 403 if response.token_expired => ResponseKind::TokenExpired,
        401 | 403 if code == "tokenexpired" => ResponseKind::AccessDenied,
        401 if response.requires_bearer() => ResponseKind::AccessDenied,
        500.. if page => ResponseKind::ServerError,
        // RFC 9110, 15.5.20: 421 is from a server that does not respond for this host.
        407 | 421 => ResponseKind::NotFromService,
        _ if page => ResponseKind::NotFromService,
        _ if is_paused_code(&code) => ResponseKind::Paused,
        ..500 if reports_paused(&message) || codes_in(&message).any(is_paused_code) => ResponseKind::Paused,
        _ if is_model_not_found(&code) => ResponseKind::ModelNotFound,
        ..500 if blocked => ResponseKind::Throttled,
        ..500 if over_capacity => ResponseKind::CapacityExceeded,
        // Fabric documentation, concurrency limits of Spark: 430 with the code TooManyRequestsForCapacity.
        430 => ResponseKind::CapacityExceeded,
        503 if over_capacity && (response.is_object() || is_capacity_code(&code) || is_capacity_code(&header)) => {
            ResponseKind::CapacityExceeded
        }
        ..500 if [&code, &message].iter().any(|text| text.contains("usernotfoundinadgraph")) => ResponseKind::OwnerNotFound,
        _ if message.contains("client with ip address") => ResponseKind::Firewall,
        _ if code == "xmlaendpointdisabled" => ResponseKind::AccessDenied,
        ..500 if is_scale_out_disabled(&code, &message) => ResponseKind::ScaleOutDisabled,
        500.. => ResponseKind::ServerError,
        401 | 403 => ResponseKind::AccessDenied,
        400 | 409 | 423 => busy_or_quota(&code, &message).unwrap_or_else(|| rejection(response, &code)),
        404 | 410 if response.fault.is_none() && code.is_empty() => ResponseKind::NotFound,
        _ => rejection(response, &code),
    }
}

/// The kind of a response that rejects this request.
fn rejection(response: &Response, code: &str) -> ResponseKind {
    match response.status {
        // 423 ("Locked") is not documented. An operation has to end before a retry.
        409 | 423 => ResponseKind::Busy,
        _ if response.fault.is_some() => ResponseKind::NotFromService,
        400 if code == "unauthorized" => ResponseKind::AccessDenied,
        _ if is_not_found_code(code) => ResponseKind::NotFound,
        _ => ResponseKind::Rejected,
    }
}

/// Whether a code means that the object in the URL does not exist, such as `PowerBIEntityNotFound` and `RefreshNotFound`.
///
/// A different object may be missing, such as a data source or a user. That is inconclusive for the model and its operation: the operator
/// would stop tracking a running operation, and the user would check correct ids.
fn is_not_found_code(code: &str) -> bool {
    const NAMED: [&str; 19] = [
        "",
        "artifact",
        "database",
        "dataset",
        "entity",
        "folder",
        "group",
        "item",
        "job",
        "jobinstance",
        "model",
        "object",
        "operation",
        "refresh",
        "refreshrequest",
        "request",
        "resource",
        "semanticmodel",
        "workspace",
    ];
    let code = code.strip_suffix("exception").or_else(|| code.strip_suffix("error")).unwrap_or(code);
    let what = ["notfound", "doesnotexist", "gone"]
        .iter()
        .find_map(|end| code.strip_suffix(end))
        .map(|what| what.strip_prefix("powerbi").unwrap_or(what));
    what.is_some_and(|what| NAMED.contains(&what.strip_suffix("id").unwrap_or(what)))
}

/// Whether the capacity has exceeded its limits. The caller cannot change this, and calls to other capacities are not affected.
///
/// The first texts are from the Power BI documentation, "Troubleshoot refresh scenarios"; the codes are from reports and from Microsoft's
/// clients. With 503, this counts only in a JSON object or as a code: admission control writes both when it rejects a request, and no
/// gateway does. Nothing was started, as certain as with 429. No documentation states this for any other 5xx.
fn over_capacity(code: &str, header: &str, message: &str) -> bool {
    let texts = [
        "exceeded the capacity limit",
        "capacity limit exceeded",
        "capacity level limit exceeded",
        "node level limit exceeded",
        "capacity has exceeded its limit",
    ];
    let inside = || texts.iter().any(|text| message.contains(text)) || codes_in(message).any(is_capacity_code);
    // A code with "quota" takes precedence over a text.
    is_capacity_code(code) || is_capacity_code(header) || (!code.contains("quota") && inside())
}

/// The words of a text that may be codes. A nested error has its code there.
fn codes_in(message: &str) -> impl Iterator<Item = &str> {
    message.split(|c: char| !(c.is_alphanumeric() || c == '_'))
}

fn is_capacity_code(code: &str) -> bool {
    let contains = |words: &[&str]| words.iter().any(|word| code.contains(word));
    let known = [
        "capacitylimitexceeded",
        "levellimitexceeded",
        "rejectedduetoresourceconstraints",
        "fabricthrottled",
        "toomanyrequestsforcapacity",
    ];
    // A model that is too large for a capacity remains too large.
    let too_large = || contains(&["size", "memory", "storage"]);
    contains(&known) || (code.contains("capacity") && contains(&["exceeded", "throttled", "overloaded"]) && !too_large())
}

/// Whether the request is valid but currently impossible: another operation is running, or the daily limit of refreshes is reached.
///
/// A code takes precedence over a text, because a text may be in any language. If two of them contradict each other, neither counts, and
/// other evidence decides what the 400 means (`power_bi/bad_request.rs`).
fn busy_or_quota(code: &str, message: &str) -> Option<ResponseKind> {
    let one = |busy: bool, quota: bool| match (busy, quota) {
        (true, false) => Some(ResponseKind::Busy),
        (false, true) => Some(ResponseKind::QuotaExceeded),
        (true, true) | (false, false) => None,
    };
    // Power BI documentation, enhanced refresh: 400 with the code InvalidRequest for both, so that code is inconclusive.
    let by_code = one(code == "conflict" || code.contains("inprogress") || code.contains("alreadyexecuting"), is_quota_code(code));
    by_code.or_else(|| one(reports_busy(message), reports_quota(message)))
}

/// Whether a code is about the daily limit of refreshes. Another limit, such as the size of a model, is an invalid request.
fn is_quota_code(code: &str) -> bool {
    const NAMED: [&str; 8] = [
        "refreshquota",
        "refreshlimit",
        "refresheslimit",
        "refreshrequestquota",
        "refreshrequestlimit",
        "dailyrefresh",
        "dailyquota",
        "dailylimit",
    ];
    matches!(code, "quotaexceeded" | "limitexceeded") || NAMED.iter().any(|named| code.contains(named))
}

/// Whether a text reports that the daily limit of refreshes is reached: a number of refreshes, and the day. A timeout also has a limit of
/// hours.
fn reports_quota(message: &str) -> bool {
    let of_a_day = ["daily", "per day", "a day"].iter().any(|word| message.contains(word));
    let counted = message.contains("number of") && message.contains("24 hours");
    let used_up = message.contains("quota") || (message.contains("exceed") && message.contains("limit"));
    message.contains("refresh") && used_up && (of_a_day || counted || message.contains("refresh quota"))
}

/// Whether a text reports that an operation of another client is running. A conflict with another existing object is an invalid request.
fn reports_busy(message: &str) -> bool {
    const ALREADY: [&str; 7] = ["executing", "running", "in progress", "being", "a ", "an ", "another "];
    const OPERATIONS: [&str; 5] = ["refresh", "request", "operation", "sync", "process"];
    let runs = ["execut", "progress", "running"].iter().any(|word| message.contains(word));
    let already = message.split("already ").skip(1).any(|rest| ALREADY.iter().any(|word| rest.starts_with(word)));
    let names = |rest: &str| rest.split(' ').take(4).any(|word| OPERATIONS.iter().any(|named| word.starts_with(named)));
    let another = message.split("another ").skip(1).any(names);
    (message.contains("refresh") || message.contains("sync")) && runs && (already || another)
}

fn is_paused_code(code: &str) -> bool {
    let capacity = code.contains("capacity") && ["notactive", "paused", "suspended"].iter().any(|state| code.contains(state));
    capacity || matches!(code, "serverpausedorscaling" | "servernotready")
}

/// Whether a sentence reports that the server or the capacity is paused. The response of Analysis Services in this case is not documented.
fn reports_paused(message: &str) -> bool {
    const STATES: [&str; 7] =
        [" is paused", " was paused", " been paused", " is suspended", " was suspended", " been suspended", " is not active"];
    let reports = |rest: &str| rest.split(". ").next().is_some_and(|sentence| STATES.iter().any(|state| sentence.contains(state)));
    ["server", "capacity"].iter().any(|what| message.split(what).skip(1).any(reports))
}

fn is_model_not_found(code: &str) -> bool {
    let missing = code.contains("notfound") || code.contains("doesnotexist");
    missing && ["server", "database", "model"].iter().any(|what| code.starts_with(what))
}

fn is_scale_out_disabled(code: &str, message: &str) -> bool {
    code.contains("scaleout")
        || matches!(code, "tenantsettingdisabled" | "storagemodenotsupported" | "readonlyreplicasdisabled")
        || (message.contains("scale-out") && message.contains("not enabled"))
}
