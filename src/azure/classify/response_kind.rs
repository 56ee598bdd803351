//! The class of a response, independent of the request.

use crate::azure::http::{Answer, Complaint};

/// The class of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::azure) enum Word {
    /// 2xx.
    Done,
    /// 3xx.
    Moved,
    /// A page for users, or a part of a response: not a response of the service.
    Foreign,
    /// The throttle of the caller: 429, or its error code.
    Throttled,
    /// The capacity has exceeded its limits. Nothing was started.
    OverCapacity,
    /// 1xx, 408, 425: the service may or may not have accepted the request.
    Unclear,
    /// 5xx.
    Failed,
    /// Another operation of the model is running.
    Busy,
    /// The model has reached its daily limit of refreshes.
    Quota,
    /// The server or the capacity is paused.
    Paused,
    /// Query scale-out is disabled.
    ScaleOutOff,
    /// The requested object does not exist. For a request about one operation, this is the operation.
    NotFound,
    /// The owner of the model no longer exists.
    NoOwner,
    /// The server or the database does not exist.
    NoModel,
    /// The token expired in transit. The next call uses a new one.
    Expired,
    /// The identity lacks a permission.
    Denied,
    /// The firewall of the server blocks the operator.
    Firewall,
    /// The request itself is invalid.
    Rejected,
}

/// Classifies a response. The order of the lines is their precedence.
pub(in crate::azure) fn word(answer: &Answer, complaint: &Complaint) -> Word {
    let page = answer.is_page();
    let code = complaint.code.to_ascii_lowercase();
    let said = format!("{} {}", complaint.message, answer.extended_error().unwrap_or_default()).to_ascii_lowercase();
    let header = answer.header("x-ms-error-code").unwrap_or_default().to_ascii_lowercase();
    // Fabric documentation, "Throttling": the limit of the caller, even if the text mentions capacities.
    let blocked = code == "requestblocked";
    let over_capacity = !blocked && over_capacity(&code, &header, &said);
    match answer.status {
        200..=299 => Word::Done,
        300..=399 => Word::Moved,
        429 if over_capacity => Word::OverCapacity,
        429 => Word::Throttled,
        ..200 | 408 | 425 => Word::Unclear,
        401 if answer.token_ended => Word::Expired,
        401 | 403 if code == "tokenexpired" => Word::Expired,
        401 if answer.wants_bearer() => Word::Denied,
        500.. if page => Word::Failed,
        407 => Word::Foreign,
        _ if page => Word::Foreign,
        _ if paused(&code) => Word::Paused,
        ..500 if says_paused(&said) || codes_in(&said).any(paused) => Word::Paused,
        _ if no_model(&code) => Word::NoModel,
        ..500 if blocked => Word::Throttled,
        ..500 if over_capacity => Word::OverCapacity,
        503 if over_capacity && (answer.is_object() || names_capacity(&code) || names_capacity(&header)) => Word::OverCapacity,
        ..500 if [&code, &said].iter().any(|text| text.contains("usernotfoundinadgraph")) => Word::NoOwner,
        _ if said.contains("client with ip address") => Word::Firewall,
        _ if code == "xmlaendpointdisabled" => Word::Denied,
        ..500 if scale_out(&code, &said) => Word::ScaleOutOff,
        500.. => Word::Failed,
        401 | 403 => Word::Denied,
        400 | 409 | 423 => not_now(&code, &said).unwrap_or_else(|| no(answer, &code)),
        404 | 410 if answer.fault.is_none() && code.is_empty() => Word::NotFound,
        _ => no(answer, &code),
    }
}

/// The class of a response that rejects this request.
fn no(answer: &Answer, code: &str) -> Word {
    match answer.status {
        // 423 ("Locked") is not documented. An operation has to end before a retry.
        409 | 423 => Word::Busy,
        _ if answer.fault.is_some() => Word::Foreign,
        400 if code == "unauthorized" => Word::Denied,
        _ if not_found(code) => Word::NotFound,
        _ => Word::Rejected,
    }
}

/// Whether a code means that the object in the URL does not exist, such as `PowerBIEntityNotFound` and `RefreshNotFound`.
///
/// A different object may be missing, such as a data source or a user. That is inconclusive for the model and its operation: the operator
/// would stop following a running operation, and the user would check correct ids.
fn not_found(code: &str) -> bool {
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
fn over_capacity(code: &str, header: &str, said: &str) -> bool {
    let texts = [
        "exceeded the capacity limit",
        "capacity limit exceeded",
        "capacity level limit exceeded",
        "node level limit exceeded",
        "capacity has exceeded its limit",
    ];
    let inside = || texts.iter().any(|text| said.contains(text)) || codes_in(said).any(names_capacity);
    // A code with "quota" takes precedence over a text.
    names_capacity(code) || names_capacity(header) || (!code.contains("quota") && inside())
}

/// The words of a text that may be codes. A nested error has its code there.
fn codes_in(said: &str) -> impl Iterator<Item = &str> {
    said.split(|c: char| !(c.is_alphanumeric() || c == '_'))
}

fn names_capacity(code: &str) -> bool {
    let contains = |words: &[&str]| words.iter().any(|word| code.contains(word));
    let known = ["capacitylimitexceeded", "levellimitexceeded", "rejectedduetoresourceconstraints", "fabricthrottled"];
    // A model that is too large for a capacity remains too large.
    let too_large = || contains(&["size", "memory", "storage"]);
    contains(&known) || (code.contains("capacity") && contains(&["exceeded", "throttled", "overloaded"]) && !too_large())
}

/// Whether the request is valid but currently impossible: another operation is running, or the daily limit of refreshes is reached.
///
/// A code takes precedence over a text, because a text may be in any language. If two of them contradict each other, neither counts, and
/// other evidence decides what the 400 means (`power_bi/bad_request.rs`).
fn not_now(code: &str, said: &str) -> Option<Word> {
    let one = |busy: bool, quota: bool| match (busy, quota) {
        (true, false) => Some(Word::Busy),
        (false, true) => Some(Word::Quota),
        (true, true) | (false, false) => None,
    };
    // Power BI documentation, enhanced refresh: 400 with the code InvalidRequest for both, so that code is inconclusive.
    let by_code = one(code == "conflict" || code.contains("inprogress") || code.contains("alreadyexecuting"), names_quota(code));
    by_code.or_else(|| one(says_busy(said), says_quota(said)))
}

/// Whether a code is about the daily limit of refreshes. Another limit, such as the size of a model, is an invalid request.
fn names_quota(code: &str) -> bool {
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
fn says_quota(said: &str) -> bool {
    let of_a_day = ["daily", "per day", "a day"].iter().any(|word| said.contains(word));
    let counted = said.contains("number of") && said.contains("24 hours");
    let used_up = said.contains("quota") || (said.contains("exceed") && said.contains("limit"));
    said.contains("refresh") && used_up && (of_a_day || counted || said.contains("refresh quota"))
}

/// Whether a text reports that an operation of another client is running. A conflict with another existing object is an invalid request.
fn says_busy(said: &str) -> bool {
    const ALREADY: [&str; 7] = ["executing", "running", "in progress", "being", "a ", "an ", "another "];
    const OPERATIONS: [&str; 5] = ["refresh", "request", "operation", "sync", "process"];
    let runs = ["execut", "progress", "running"].iter().any(|word| said.contains(word));
    let already = said.split("already ").skip(1).any(|rest| ALREADY.iter().any(|word| rest.starts_with(word)));
    let names = |rest: &str| rest.split(' ').take(4).any(|word| OPERATIONS.iter().any(|named| word.starts_with(named)));
    let another = said.split("another ").skip(1).any(names);
    (said.contains("refresh") || said.contains("sync")) && runs && (already || another)
}

fn paused(code: &str) -> bool {
    let capacity = code.contains("capacity") && ["notactive", "paused", "suspended"].iter().any(|state| code.contains(state));
    capacity || matches!(code, "serverpausedorscaling" | "servernotready")
}

/// Whether a sentence reports that the server or the capacity is paused. The response of Analysis Services in this case is not documented.
fn says_paused(said: &str) -> bool {
    const STATES: [&str; 7] =
        [" is paused", " was paused", " been paused", " is suspended", " was suspended", " been suspended", " is not active"];
    let says = |rest: &str| rest.split(". ").next().is_some_and(|sentence| STATES.iter().any(|state| sentence.contains(state)));
    ["server", "capacity"].iter().any(|what| said.split(what).skip(1).any(says))
}

fn no_model(code: &str) -> bool {
    let missing = code.contains("notfound") || code.contains("doesnotexist");
    missing && ["server", "database", "model"].iter().any(|what| code.starts_with(what))
}

fn scale_out(code: &str, said: &str) -> bool {
    code.contains("scaleout")
        || matches!(code, "tenantsettingdisabled" | "storagemodenotsupported" | "readonlyreplicasdisabled")
        || (said.contains("scale-out") && said.contains("not enabled"))
}
