//! The messages of one operation in the most useful order: **causes before consequences**.
//!
//! A failed transaction reports an error for each of its objects, and only one of them is the cause. In a large model, it may come after
//! more consequences than the operator keeps. The messages are therefore merged and sorted while they are parsed:
//!
//! 1. Identical messages are merged, with a count.
//! 2. Errors come before warnings, and warnings before information. Within each, a bare code comes last.
//! 3. Known consequences of another error come last ([`is_consequence`]).
//! 4. Otherwise, the order of the service is kept. Messages beyond the limit are dropped from the end.
//!
//! A condition shows the first message.

use crate::operation::ServiceMessage;

/// Maximum number of messages, as documented in [`crate::operation::Operation`].
pub(in crate::azure) const MAX_MESSAGES: usize = 50;

/// Codes of errors that only report the failure of something else.
const CONSEQUENCES: [u32; 4] = [
    // "The current operation was cancelled because another operation in the transaction failed."
    0xC11C_0006,
    // "Internal error: The operation terminated unsuccessfully."
    0xC100_0007,
    // These two carry the activity id (seen in Power BI).
    0x4147_00EF,
    0xC147_00F0,
];

/// Parts of the first sentence of a consequence.
const IN_CONSEQUENCES: [&str; 4] = [
    "another operation in the transaction failed",
    "another table in the same transaction failed",
    "load was canceled by an error in loading a previous table",
    // Power BI puts this before the errors of the last attempt.
    "retry attempts for failures while executing the refresh exceeded the retry limit",
];

/// First sentences that are consequences if they are complete. A cancellation with a reason is a cause.
const WHOLE_CONSEQUENCES: [&str; 5] = [
    "the operation was canceled",
    "the operation has been canceled",
    "operation canceled",
    "operation canceled; hy008",
    "the operation terminated unsuccessfully",
];

/// Prefixes of these sentences.
const PREFIXES: [&str; 4] = ["server: ", "internal error: ", "ole db error: ", "ole db or odbc error: "];

/// The messages of an operation while they are parsed.
#[derive(Debug, Default)]
pub(in crate::azure) struct Messages(Vec<(Rank, ServiceMessage)>);

/// Sort key of a message; smaller keys come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    consequence: bool,
    severity: u8,
    bare: bool,
}

impl Rank {
    fn of(message: &ServiceMessage) -> Self {
        let severity = message.severity.to_ascii_lowercase();
        let severity = if severity.starts_with("warn") {
            1
        } else if ["info", "verbose", "debug", "trace"].iter().any(|word| severity.starts_with(word)) {
            2
        } else {
            0
        };
        Self { consequence: is_consequence(message), severity, bare: message.code.as_deref() == Some(&message.text) }
    }
}

impl Messages {
    /// Adds the next message.
    pub(in crate::azure) fn push(&mut self, message: ServiceMessage) {
        let same = |known: &ServiceMessage| {
            known.text == message.text && known.code == message.code && known.severity.eq_ignore_ascii_case(&message.severity)
        };
        if let Some((_, known)) = self.0.iter_mut().find(|(_, known)| same(known)) {
            known.times = known.times.saturating_add(message.times);
            return;
        }
        let rank = Rank::of(&message);
        let at = self.0.partition_point(|(other, _)| *other <= rank);
        if at < MAX_MESSAGES {
            self.0.insert(at, (rank, message));
            self.0.truncate(MAX_MESSAGES);
        }
    }

    /// Whether a message has this text.
    pub(in crate::azure) fn contains(&self, text: &str) -> bool {
        self.0.iter().any(|(_, message)| message.text == text)
    }

    /// The messages in their order.
    pub(in crate::azure) fn finish(self) -> Vec<ServiceMessage> {
        self.0.into_iter().map(|(_, message)| message).collect()
    }
}

impl FromIterator<ServiceMessage> for Messages {
    fn from_iter<I: IntoIterator<Item = ServiceMessage>>(iter: I) -> Self {
        let mut messages = Self::default();
        for message in iter {
            messages.push(message);
        }
        messages
    }
}

/// Whether a message only reports that something else failed.
pub(in crate::azure) fn is_consequence(message: &ServiceMessage) -> bool {
    if message.code.as_deref().and_then(number).is_some_and(|code| CONSEQUENCES.contains(&code)) {
        return true;
    }
    // Both spellings occur.
    let text = message.text.to_lowercase().replace("cancelled", "canceled");
    let mut text = text.as_str();
    while let Some(rest) = PREFIXES.iter().find_map(|prefix| text.strip_prefix(prefix)) {
        text = rest;
    }
    // The cause may follow in the same text, or precede it.
    let first = text.split_once(". ").map_or(text, |(first, _)| first).trim_end_matches('.');
    IN_CONSEQUENCES.iter().any(|part| first.contains(part)) || WHOLE_CONSEQUENCES.contains(&first)
}

/// The number of an error code. XMLA errors have it in hexadecimal or decimal, with or without a sign, in 32 or 64 bits.
pub(in crate::azure) fn number(code: &str) -> Option<u32> {
    let code = code.trim().to_ascii_lowercase();
    let hex = |digits: &str| u64::from_str_radix(digits, 16).ok();
    let wide = match code.strip_prefix("0x") {
        Some(digits) => hex(digits),
        None => code
            .parse::<i64>()
            .ok()
            .map(i64::cast_unsigned)
            .or_else(|| code.parse().ok())
            .or_else(|| hex(&code).filter(|_| code.len() == 8)),
    }?;
    // Sign extension from 32 to 64 bits.
    let sign = wide >> 32;
    if sign == 0 || (sign == 0xFFFF_FFFF && wide & 0x8000_0000 != 0) { u32::try_from(wide & 0xFFFF_FFFF).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CANCELLED: &str = "The current operation was cancelled because another operation in the transaction failed.";

    fn note(severity: &str, code: &str, text: &str) -> ServiceMessage {
        let code = Some(code.to_owned()).filter(|code| !code.is_empty());
        ServiceMessage { severity: severity.to_owned(), code, text: text.to_owned(), times: 1 }
    }

    fn sorted(notes: Vec<ServiceMessage>) -> Vec<(String, u32)> {
        notes.into_iter().collect::<Messages>().finish().into_iter().map(|message| (message.text, message.times)).collect()
    }

    #[test]
    fn identical_messages_are_merged_and_causes_come_first() {
        let cause = note("Error", "0xC112001C", "Login failed for user.");
        let consequence = note("Error", "0xC11C0006", CANCELLED);
        let expected = [("Login failed for user.".to_owned(), 1), (CANCELLED.to_owned(), 11)];
        let after = vec![consequence.clone(); 11];
        assert_eq!(sorted([after.clone(), vec![cause.clone()]].concat()), expected);
        assert_eq!(sorted([vec![cause], after].concat()), expected);
    }

    #[test]
    fn severities_are_in_order_and_consequences_last() {
        let notes = vec![
            note("Information", "", "i"),
            note("Error", "0xC11C0006", "c"),
            note("Warning", "", "w"),
            note("Error", "X_1", "X_1"),
            note("error", "", "b"),
            note("Fatal", "", "a"),
            note("WARNING", "", "w"),
        ];
        let texts = |notes| sorted(notes).into_iter().map(|(text, times)| format!("{text}{times}")).collect::<Vec<_>>();
        assert_eq!(texts(notes), ["b1", "a1", "X_11", "w2", "i1", "c1"]);
    }

    #[test]
    fn cause_after_many_consequences_is_kept() {
        let differing = |n: usize| note("Error", "0xC112001C", &format!("The operation was canceled.. Table: T{n}."));
        let warning = |n: usize| note("Warning", "", &format!("warning {n}"));
        let mut notes: Vec<_> = (0..5_000).map(differing).chain((0..500).map(warning)).collect();
        notes.push(note("Error", "", "Login failed."));
        let kept = sorted(notes);
        assert_eq!((kept.len(), kept[0].0.as_str(), kept[1].0.as_str()), (MAX_MESSAGES, "Login failed.", "warning 0"));
    }

    #[test]
    fn consequences_are_recognized_in_every_spelling() {
        for code in
            ["0xC11C0006", "0XC11C0006", "0xc11c0006", "3239837702", "-1055129594", "0xFFFFFFFFC11C0006", "C11C0006", " 0xC11C0006 "]
        {
            assert!(is_consequence(&note("Error", code, "Der Vorgang wurde abgebrochen.")), "{code}");
        }
        let consequences = [
            CANCELLED,
            "Server: The current operation was canceled because another operation in the transaction failed",
            "THE CURRENT OPERATION WAS CANCELLED BECAUSE ANOTHER OPERATION IN THE TRANSACTION FAILED. Table: Sales.",
            "Cancelled because another table in the same transaction failed.",
            "The operation was canceled.. The exception was raised by the IDbCommand interface. Table: Sales.",
            "OLE DB error: OLE DB or ODBC error: Operation canceled; HY008.",
            "Internal error: The operation terminated unsuccessfully.",
            "Load was cancelled by an error in loading a previous table.",
            "Retry attempts for failures while executing the refresh exceeded the retry limit set on the request.",
        ];
        for text in consequences {
            assert!(is_consequence(&note("Error", "0xC112001C", text)), "{text}");
        }
        let causes = [
            "Login failed for user.",
            "Login failed for user. The current operation was cancelled because another operation in the transaction failed.",
            "The operation was cancelled because of locking conflicts.",
            "The operation was canceled by the user.",
            "Session cancelled because it is connected to a database that has been evicted to free up memory for other operations",
            "",
        ];
        for text in causes {
            assert!(!is_consequence(&note("Error", "0xC112001C", text)), "{text}");
        }
        for code in ["0xC11C0020", "0x1C11C0006", "6", "0x", "", "-1", "99999999999999999999", "InvalidRequest"] {
            assert!(!is_consequence(&note("Error", code, "x")), "{code}");
        }
    }
}
