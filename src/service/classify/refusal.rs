//! What is in the way, in a sentence that says what to do about it.

use jiff::Timestamp;
use url::Url;

use super::word::Word;
use crate::operation::{ServiceKind, Trouble, TroubleKind};
use crate::service::answer::{Answer, BodyFault, Complaint};
use crate::service::{page, power_bi, text};

/// What is to be said of a body that came compressed.
pub(in crate::service) const COMPRESSED: &str =
    "is compressed, which was not asked for: make the proxy or gateway on the way that does it leave this host's answers as they are";

/// A body that could not be read, as trouble.
pub(in crate::service) fn body_trouble(fault: BodyFault) -> Trouble {
    match fault {
        BodyFault::TooLarge => trouble(TroubleKind::InvalidAnswer, "the service's answer is larger than 8 MiB".to_owned()),
        BodyFault::Broken => trouble(TroubleKind::InvalidAnswer, "the service's answer broke off".to_owned()),
        BodyFault::Slow => trouble(TroubleKind::Unreachable, "the service's answer did not end in time".to_owned()),
        BodyFault::Compressed => trouble(TroubleKind::InvalidAnswer, format!("the service's answer {COMPRESSED}")),
    }
}

/// What the service said, as a trouble with a sentence that says what to do.
pub(in crate::service) fn trouble_of(service: ServiceKind, word: Word, answer: &Answer, complaint: &Complaint) -> Trouble {
    let status = answer.status;
    // The header has the useful sentence where the body says "An internal error occurred." (seen in captures).
    let said = answer.extended_error().unwrap_or_else(|| complaint.message.clone());
    let said = if said.is_empty() && answer.is_page() { page::words(answer.text(), 200) } else { said };
    let page = if said.is_empty() { String::new() } else { format!(" It says: {said}") };
    let said = if said.is_empty() { String::new() } else { format!(": {said}") };
    let code = if complaint.code.is_empty() { format!("HTTP {status}") } else { format!("HTTP {status}, {}", complaint.code) };
    let (kind, message) = match word {
        Word::Done => (TroubleKind::InvalidAnswer, format!("the service's answer cannot be used ({code})")),
        Word::Moved => {
            let host = answer.location().and_then(|location| Url::parse(location).ok());
            let host = host.as_ref().and_then(Url::host_str).map(|host| format!(" to host {}", text::tidy(host, 253))).unwrap_or_default();
            (TroubleKind::InvalidAnswer, format!("the service redirects{host} ({code}), which is not followed"))
        }
        Word::Foreign if answer.fault == Some(BodyFault::Compressed) => {
            (TroubleKind::InvalidAnswer, format!("the service's answer (HTTP {status}) {COMPRESSED}"))
        }
        Word::Foreign => (
            TroubleKind::InvalidAnswer,
            format!("something that is not the service answered in its place (HTTP {status}): a proxy or a gateway on the way?{page}"),
        ),
        Word::Throttled => (TroubleKind::Throttled, throttled(answer.throttled_until)),
        Word::OverCapacity => (
            TroubleKind::CapacityExceeded,
            format!(
                "the capacity has exceeded its limits ({code}): refresh fewer models at the same time, or use a larger capacity; the operator tries \
                 again automatically{said}"
            ),
        ),
        Word::Unclear | Word::Failed => (TroubleKind::ServiceError, format!("the service failed ({code}){said}")),
        Word::Busy => (TroubleKind::ServiceError, format!("the service is busy with another operation ({code}){said}")),
        Word::Expired => (TroubleKind::ServiceError, format!("the token has come to its end ({code}); a new one is had by itself")),
        Word::Quota => (
            TroubleKind::QuotaExceeded,
            format!(
                "the model's refreshes of 24 hours are used up ({code}): plan fewer, or move it to a capacity with more; it is tried again by itself{said}"
            ),
        ),
        Word::Paused => (TroubleKind::Paused, format!("{}{said}", asleep(service, &code))),
        Word::ScaleOutOff => (TroubleKind::ScaleOutOff, format!("{} ({code}){said}", power_bi::scale_out_off(&complaint.code))),
        Word::NotFound | Word::NoModel => (TroubleKind::NotFound, format!("{}{said}", missing(service, &code))),
        Word::NoOwner => (
            TroubleKind::OwnerNotFound,
            format!(
                "the owner of the semantic model no longer exists ({code}): take over the semantic model in its settings in Power BI{said}"
            ),
        ),
        Word::Denied => (TroubleKind::AccessDenied, format!("{}{said}", denied(service, answer, complaint, &code))),
        Word::Firewall => {
            (TroubleKind::AccessDenied, format!("the server's firewall keeps the operator out: allow its address there{said}"))
        }
        Word::Rejected => (TroubleKind::Rejected, format!("the service rejects the request ({code}){said}")),
    };
    Trouble {
        kind,
        message: text::cut(&message, 1024),
        retry_after: answer.pause(complaint),
        activity_id: complaint.activity_id.clone().or_else(|| answer.activity_id()),
    }
}

/// The caller's throttle: one sentence for the response and for each call that waits because of it.
pub(in crate::service) fn throttled(until: Option<Timestamp>) -> String {
    let what = "the service throttles the calls of this identity";
    until.map_or_else(
        || format!("{what}: the operator tries again automatically"),
        |until| format!("{what}: the operator waits until {until}, then tries again automatically"),
    )
}

fn asleep(service: ServiceKind, code: &str) -> String {
    match service {
        ServiceKind::AnalysisServices => {
            format!("the server is paused, scaling or not ready ({code}): resume it in Azure; it is tried again by itself")
        }
        ServiceKind::PowerBi => format!("the workspace's capacity is paused ({code}): resume it in Azure; it is tried again by itself"),
    }
}

fn missing(service: ServiceKind, code: &str) -> String {
    match service {
        ServiceKind::AnalysisServices => format!("the service does not know the server or the database ({code}): check their names"),
        ServiceKind::PowerBi => format!(
            "Power BI does not know the workspace or the semantic model, or hides them from this identity ({code}): check the ids, and \
             give the identity the role Contributor in the workspace"
        ),
    }
}

/// What to switch on or to grant.
fn denied(service: ServiceKind, answer: &Answer, complaint: &Complaint, code: &str) -> String {
    let setting = "the tenant setting \"Service principals can call Fabric public APIs\"";
    match service {
        _ if answer.wants_claims() => format!(
            "the service asks for more than the token has ({code}), as a conditional access policy or a revoked session makes it do: have an \
             administrator of the tenant look at the sign-ins of the identity"
        ),
        _ if complaint.code.eq_ignore_ascii_case("xmlaendpointdisabled") => {
            format!("the XMLA endpoint is switched off ({code}): enable it in the settings of the server or the capacity")
        }
        ServiceKind::AnalysisServices if answer.status == 401 => {
            format!("the service does not accept the token ({code}): check that the credentials belong to the server's tenant")
        }
        ServiceKind::AnalysisServices => format!(
            "the service denies access ({code}): check the server's name, and that the service principal is one of its administrators, \
             added directly and not through a group"
        ),
        ServiceKind::PowerBi if complaint.message.to_ascii_lowercase().contains("not accessible for application") => {
            format!("Power BI keeps applications out ({code}): have an administrator switch on {setting} for a group that this one is in")
        }
        ServiceKind::PowerBi if answer.status == 401 => format!(
            "Power BI does not accept the identity ({code}): have an administrator switch on {setting} for it, and give it the role \
             Contributor in the workspace"
        ),
        ServiceKind::PowerBi => format!(
            "Power BI denies access ({code}): give the identity the role Contributor in the workspace, and have {setting} switched on for it"
        ),
    }
}

/// No connection, or no answer.
pub(in crate::service) fn unreachable(message: String) -> Trouble {
    trouble(TroubleKind::Unreachable, message)
}

/// A trouble without more to it.
pub(in crate::service) fn trouble(kind: TroubleKind, message: String) -> Trouble {
    Trouble { kind, message, retry_after: None, activity_id: None }
}
