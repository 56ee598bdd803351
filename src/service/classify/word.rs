//! What a service said, whatever it was asked.

use crate::service::answer::{Answer, Complaint};

/// What the service said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::service) enum Word {
    /// 2xx.
    Done,
    /// 3xx.
    Moved,
    /// A page for people, or what is left of an answer: not the service's own.
    Foreign,
    /// The caller's own throttle: 429, or the code for it.
    Throttled,
    /// The capacity has exceeded its limits. Nothing was started.
    OverCapacity,
    /// 1xx, 408, 425: it may have been taken, or not.
    Unclear,
    /// 5xx.
    Failed,
    /// Another operation runs on the model.
    Busy,
    /// The model has had its refreshes for today.
    Quota,
    /// The server or the capacity sleeps.
    Paused,
    /// Query scale-out is switched off.
    ScaleOutOff,
    /// What was asked for is not there; for one operation, it is the operation.
    NotFound,
    /// The model's owner no longer exists.
    NoOwner,
    /// The server or the database is not there.
    NoModel,
    /// The token has expired on its way: the next one will do.
    Expired,
    /// The identity may not.
    Denied,
    /// The server's firewall does not let us in.
    Firewall,
    /// The request itself is wrong.
    Rejected,
}

/// Reads an answer. The order of the lines is the order in which they count.
pub(in crate::service) fn word(answer: &Answer, complaint: &Complaint) -> Word {
    let page = answer.is_page();
    let code = complaint.code.to_ascii_lowercase();
    let said = format!("{} {}", complaint.message, answer.extended_error().unwrap_or_default()).to_ascii_lowercase();
    let header = answer.header("x-ms-error-code").unwrap_or_default().to_ascii_lowercase();
    // Fabric documentation, "Throttling": the caller's own limit, whatever the text says of capacities.
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

/// What the service said where it says no to this very request.
fn no(answer: &Answer, code: &str) -> Word {
    match answer.status {
        // Nobody documents 423, "Locked"; something has to end before another try.
        409 | 423 => Word::Busy,
        _ if answer.fault.is_some() => Word::Foreign,
        400 if code == "unauthorized" => Word::Denied,
        _ if not_found(code) => Word::NotFound,
        _ => Word::Rejected,
    }
}

/// Whether a code says that what the address names is not there, such as `PowerBIEntityNotFound` and `RefreshNotFound`.
///
/// Something else may be missing, such as a data source or a user. That proves nothing about the model or its operation: one that
/// runs would be lost sight of, and the user would check ids that are right.
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

/// Whether the capacity has exceeded its limits. The caller can do nothing about it, and another capacity's calls are not affected.
///
/// Power BI documentation, "Troubleshoot refresh scenarios", has the first texts; the codes are from reports and from
/// Microsoft's clients. With 503 it counts only in a JSON object or as a code: admission control writes both where it turns a request
/// away, and no gateway does. So nothing was started, as certain as with 429. Of any other 5xx this is documented nowhere.
fn over_capacity(code: &str, header: &str, said: &str) -> bool {
    let texts = [
        "exceeded the capacity limit",
        "capacity limit exceeded",
        "capacity level limit exceeded",
        "node level limit exceeded",
        "capacity has exceeded its limit",
    ];
    let inside = || texts.iter().any(|text| said.contains(text)) || codes_in(said).any(names_capacity);
    // A code that says quota counts before a text.
    names_capacity(code) || names_capacity(header) || (!code.contains("quota") && inside())
}

/// The words of a text that may be codes: an error inside a general one has its code there.
fn codes_in(said: &str) -> impl Iterator<Item = &str> {
    said.split(|c: char| !(c.is_alphanumeric() || c == '_'))
}

fn names_capacity(code: &str) -> bool {
    let contains = |words: &[&str]| words.iter().any(|word| code.contains(word));
    let known = ["capacitylimitexceeded", "levellimitexceeded", "rejectedduetoresourceconstraints", "fabricthrottled"];
    // What is too large for a capacity stays too large.
    let too_large = || contains(&["size", "memory", "storage"]);
    contains(&known) || (code.contains("capacity") && contains(&["exceeded", "throttled", "overloaded"]) && !too_large())
}

/// Whether the request is right, but not now: another operation runs, or the day's refreshes are used up.
///
/// A code decides before a text, since a text may come in any language. Where two of them say two things, neither
/// is believed: what a 400 means then is for evidence to say (`power_bi/doubt.rs`).
fn not_now(code: &str, said: &str) -> Option<Word> {
    let one = |busy: bool, quota: bool| match (busy, quota) {
        (true, false) => Some(Word::Busy),
        (false, true) => Some(Word::Quota),
        (true, true) | (false, false) => None,
    };
    // Power BI documentation, enhanced refresh: 400 with the code InvalidRequest for both, so the code tells nothing there.
    let by_code = one(code == "conflict" || code.contains("inprogress") || code.contains("alreadyexecuting"), names_quota(code));
    by_code.or_else(|| one(says_busy(said), says_quota(said)))
}

/// Whether a code names the limit of a day's refreshes. A limit of something else, such as the size of a model, is a mistake in the request.
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

/// Whether a text says that the day's refreshes are used up: a number of them, and the day. A timeout has a limit of hours, too.
fn says_quota(said: &str) -> bool {
    let of_a_day = ["daily", "per day", "a day"].iter().any(|word| said.contains(word));
    let counted = said.contains("number of") && said.contains("24 hours");
    let used_up = said.contains("quota") || (said.contains("exceed") && said.contains("limit"));
    said.contains("refresh") && used_up && (of_a_day || counted || said.contains("refresh quota"))
}

/// Whether a text says that an operation of another client runs. That something else is there already is a mistake in the request.
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

/// Whether a sentence says of the server or the capacity that it is paused: what Analysis Services answers then is not documented.
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
