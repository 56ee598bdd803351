//! The blocks of a PEM text, as found in practice (RFC 7468, section 2).
//!
//! Line breaks, surrounding whitespace, line length and text between blocks do not matter. An incomplete block is rejected with a sentence
//! that names the block and shows none of its content.

use base64::Engine as _;
use zeroize::Zeroizing;

use super::value;

const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
const DASHES: &str = "-----";

/// The labels that messages may contain. Other labels may be secret.
const LABELS: &[&str] = &[
    "CERTIFICATE",
    "X509 CERTIFICATE",
    "TRUSTED CERTIFICATE",
    "CERTIFICATE REQUEST",
    "NEW CERTIFICATE REQUEST",
    "PRIVATE KEY",
    "RSA PRIVATE KEY",
    "EC PRIVATE KEY",
    "DSA PRIVATE KEY",
    "OPENSSH PRIVATE KEY",
    "ENCRYPTED PRIVATE KEY",
    "PUBLIC KEY",
    "RSA PUBLIC KEY",
    "X509 CRL",
    "PKCS7",
    "PKCS12",
    "DH PARAMETERS",
    "EC PARAMETERS",
];

/// A complete block.
pub(super) struct Block {
    pub(super) label: &'static str,
    pub(super) der: Zeroizing<Vec<u8>>,
    /// Whether its headers mark it as encrypted (RFC 1421, section 4.6.1.1).
    pub(super) encrypted: bool,
}

/// The blocks of a text, in their order.
///
/// # Errors
/// The problem of the first incomplete block, as the rest of a sentence that starts with the name of the text.
pub(super) fn blocks(text: &str) -> Result<Vec<Block>, String> {
    let (mut blocks, mut rest) = (Vec::new(), text);
    while let Some((between, rest_of_line)) = rest.split_once(BEGIN) {
        reject_partial_block(between)?;
        let (label, body) = label(rest_of_line)?;
        let label = known_label(label);
        let cut_off = || format!("contains a block without its last line (END {label}): copy each block whole");
        let (body, ended) = body.split_once(END).ok_or_else(cut_off)?;
        if body.contains(BEGIN) {
            return Err(cut_off());
        }
        let (last, more) = self::label(ended)?;
        if known_label(last) != label {
            return Err(format!(
                "contains a block whose first and last line differ (BEGIN {label}, END {}): copy each block whole",
                known_label(last)
            ));
        }
        blocks.push(block(label, body)?);
        rest = more;
    }
    reject_partial_block(rest)?;
    Ok(blocks)
}

/// Rejects text between blocks that is the end of a block, or nearly the first or last line of one.
fn reject_partial_block(between: &str) -> Result<(), String> {
    let well_formed = |line: &str| line.starts_with(END) && line.ends_with(DASHES);
    if let Some(line) = lines(between).find(|line| is_marker(line) && !well_formed(line)) {
        return Err(value::invisible_character(line).map_or_else(malformed_marker, |what| value::contains(&what)));
    }
    between.split_once(END).map_or(Ok(()), |(_, label)| {
        let label = known_label(label.split(DASHES).next().unwrap_or_default());
        Err(format!("contains a block without its first line (BEGIN {label}): copy each block whole"))
    })
}

/// Whether a line marks the start or end of a block, with any characters for its hyphens and spaces.
fn is_marker(line: &str) -> bool {
    let odd = |c: char| !c.is_ascii_alphanumeric();
    let words = line.trim_matches(odd);
    let label = words.strip_prefix("BEGIN").or_else(|| words.strip_prefix("END"));
    label.is_some_and(|label| LABELS.contains(&label.trim_start_matches(odd)))
}

/// The label after the first hyphens of a line.
fn label(rest_of_line: &str) -> Result<(&str, &str), String> {
    let (label, more) = rest_of_line.split_once(DASHES).ok_or_else(malformed_marker)?;
    if label.contains(['\n', '\r']) {
        return Err(malformed_marker());
    }
    value::invisible_character(label).map_or(Ok((label, more)), |what| Err(value::contains(&what)))
}

fn malformed_marker() -> String {
    "contains a BEGIN or END line that does not have five hyphens on each side: copy each block whole, as plain text".to_owned()
}

fn block(label: &'static str, body: &str) -> Result<Block, String> {
    if body.trim_start_matches([' ', '\t']).starts_with(r"\n") || body.trim_start_matches([' ', '\t']).starts_with(r"\r") {
        return Err(r"is PEM with its line breaks written as \n: replace them by line breaks".to_owned());
    }
    if !lines(body).next().unwrap_or_default().is_empty() {
        return Err("is PEM on one line: put each BEGIN line, each END line and the text between them on separate lines".to_owned());
    }
    // A header has a colon, which base64 does not contain.
    let (headers, data): (Vec<&str>, Vec<&str>) = lines(body).partition(|line| line.contains(':'));
    let encrypted = headers.iter().any(|header| header.starts_with("Proc-Type") && header.contains("ENCRYPTED"));
    let data = Zeroizing::new(data.concat());
    if data.is_empty() {
        return Err(format!("contains an empty block (BEGIN {label}): copy each block whole"));
    }
    if let Some(what) = value::invisible_character(&data) {
        return Err(value::contains(&what));
    }
    let der = value::BASE64.decode(data.as_bytes()).map_err(|_| damaged(label))?;
    Ok(Block { label, der: Zeroizing::new(der), encrypted })
}

/// The error for an unreadable block.
pub(super) fn damaged(label: &str) -> String {
    format!("contains a damaged block (BEGIN {label}): copy each block whole")
}

/// The lines of a text, without surrounding whitespace.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.split(['\n', '\r']).map(|line| line.trim_matches([' ', '\t']))
}

/// The label for messages.
fn known_label(label: &str) -> &'static str {
    LABELS.iter().find(|known| **known == label).copied().unwrap_or("of another type")
}
