//! The names of the fields of an error.

/// Names of fields, in lower case and without separators. The first one that is not empty counts.
pub(super) const CODES: [&str; 2] = ["code", "errorcode"];
pub(super) const SEVERITIES: [&str; 3] = ["type", "severity", "level"];
/// Sentences, in the order of the output.
pub(super) const TEXTS: [&str; 9] =
    ["message", "errormessage", "errordescription", "description", "exceptionmessage", "title", "reason", "text", "value"];
/// Nested errors, the general ones first.
pub(super) const ERRORS: [&str; 12] = [
    "error",
    "odataerror",
    "pbierror",
    "exception",
    "serviceexceptionjson",
    "innererror",
    "innerexception",
    "detail",
    "details",
    "moredetails",
    "messages",
    "errors",
];
/// Fields without text of the error.
pub(super) const OTHERS: [&str; 12] = [
    "target",
    "status",
    "statuscode",
    "httpstatuscode",
    "subcode",
    "lang",
    "language",
    "location",
    "relatedresource",
    "stacktrace",
    "exceptiontype",
    "exceptionculprit",
];
/// Names of fields that are specific to one call: suffixes, and complete names.
pub(super) const CALL_SPECIFIC: [&str; 6] = ["activityid", "requestid", "correlationid", "traceid", "timestamp", "dateutc"];
pub(super) const TIMES: [&str; 3] = ["time", "date", "datetime"];

pub(super) fn is_known(name: &str) -> bool {
    [&CODES[..], &SEVERITIES, &TEXTS, &ERRORS, &OTHERS].iter().any(|names| names.contains(&name))
}

/// A name in lower case and without separators: `pbi.error`, `error_description`, `errorDescription`.
pub(super) fn normalized(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}
