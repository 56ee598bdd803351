//! Parses a value from a Secret, an annotation, a variable or a file, or recognizes what it is instead.
//!
//! A byte order mark before a text and the line break after it are not part of a value: editors, shells and build agents add them. Nothing
//! else is ever removed. An invalid value is described with the remedy, and without any part of the value.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

use super::der::Content;
use crate::text::is_invisible;

/// Base64 whose padding (`=`) may be missing.
pub(super) const BASE64: GeneralPurpose =
    GeneralPurpose::new(&alphabet::STANDARD, GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent));

const BYTE_ORDER_MARK: char = '\u{feff}';

/// Decodes the text of a value.
///
/// # Errors
/// The actual content and the remedy, as the rest of a sentence that starts with its name: `is UTF-16 text: write it as UTF-8`.
pub fn text(bytes: &[u8]) -> Result<&str, String> {
    let wide = |name: &str| Err(format!("is {name} text: write it as UTF-8 (PowerShell: Out-File -Encoding utf8)"));
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return wide("UTF-16");
    }
    let text = std::str::from_utf8(bytes);
    if text.is_err()
        && let Some(content) = Content::of(bytes)
    {
        return Err(format!("is {}: {}", name_in_der(content), content.conversion()));
    }
    // How often the even and the odd bytes are zero.
    let [even, odd] = [0, 1].map(|from| bytes.iter().skip(from).step_by(2).filter(|byte| **byte == 0).count());
    let half = bytes.len().div_ceil(2);
    match text {
        // For ASCII text, three of four bytes are zero in UTF-32, and one of two in UTF-16.
        Ok(_) | Err(_) if bytes.len() >= 4 && (even + odd) * 4 >= bytes.len() * 3 => wide("UTF-32"),
        Ok(_) | Err(_) if bytes.len() >= 2 && even.min(odd) == 0 && even.max(odd) * 4 >= half * 3 => wide("UTF-16"),
        Ok(_) if even + odd > 0 => Err(contains("a NUL character")),
        Ok(text) => Ok(text),
        Err(_) => Err("is not UTF-8 text: write it as UTF-8".to_owned()),
    }
}

fn name_in_der(content: Content) -> String {
    match content {
        Content::Pfx | Content::OpenSshKey => content.name().to_owned(),
        Content::Certificate
        | Content::RsaPkcs8
        | Content::RsaPkcs1
        | Content::OtherKey
        | Content::EncryptedKey
        | Content::PublicKey
        | Content::Request
        | Content::Bundle => format!("{} in binary form (DER)", content.name()),
    }
}

/// Whether a text contains no value.
#[must_use]
pub fn is_empty(text: &str) -> bool {
    without_marks(text).trim().is_empty()
}

/// A text without a byte order mark at the start and a line break at the end.
pub(super) fn without_marks(text: &str) -> &str {
    text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text).trim_end_matches(['\r', '\n'])
}

/// A text without the parts that do not belong to a value, and without invalid characters.
///
/// # Errors
/// The invalid content, as the rest of a sentence.
pub(super) fn plain(text: &str) -> Result<&str, String> {
    let text = without_marks(text);
    invisible_character(text).map_or(Ok(text), |what| Err(contains(&what)))
}

/// Parses an id. Whitespace is not part of an id.
///
/// # Errors
/// The actual content, as the rest of a sentence.
pub(super) fn id(text: &str, is_valid: impl Fn(&str) -> bool, requirement: &str) -> Result<String, String> {
    let id = plain(without_marks(text).trim_matches([' ', '\t', '\r', '\n']))?;
    if is_valid(id) {
        return Ok(id.to_ascii_lowercase());
    }
    let decoded = BASE64.decode(id).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    if decoded.is_some_and(|decoded| is_valid(without_marks(&decoded).trim())) {
        return Err(format!("is base64 of an id: {ENCODE_ONCE_LESS}"));
    }
    Err(requirement.to_owned())
}

const ENCODE_ONCE_LESS: &str = "encode it once less; a Secret has base64 under data, and plain text under stringData";

/// Recognizes a text without a PEM block.
pub(super) fn describe_non_pem(text: &str) -> String {
    let packed: Zeroizing<String> = Zeroizing::new(without_marks(text).split_ascii_whitespace().collect());
    let decoded = Zeroizing::new(BASE64.decode(packed.as_bytes()).unwrap_or_default());
    let decoded_text = std::str::from_utf8(&decoded).map(without_marks).unwrap_or_default();
    if decoded_text.contains("-----BEGIN ") {
        return format!("is base64 of a PEM text: {ENCODE_ONCE_LESS}");
    }
    match Content::of(&decoded) {
        Some(content @ (Content::Pfx | Content::OpenSshKey | Content::Bundle)) => {
            format!("is base64 of {}: decode it and {}", content.name(), content.conversion())
        }
        Some(content) => format!("is base64 of {}: write it as PEM, with its BEGIN and END lines", content.name()),
        None => "is not PEM with a certificate and a private key; convert a PFX file with 'openssl pkcs12 -in FILE -nodes'".to_owned(),
    }
}

/// Whether a text is a GUID, 8-4-4-4-12 hexadecimal digits.
pub(super) fn is_guid(text: &str) -> bool {
    let groups: Vec<&str> = text.split('-').collect();
    let lengths: Vec<usize> = groups.iter().map(|group| group.len()).collect();
    lengths == [8, 4, 4, 4, 12] && groups.iter().all(|group| group.chars().all(|c| c.is_ascii_hexdigit()))
}

/// The error for an invalid character, as the rest of a sentence.
pub(super) fn contains(what: &str) -> String {
    format!("contains {what}: remove that character")
}

/// The first character of a text that is invisible and therefore not intended.
pub(super) fn invisible_character(text: &str) -> Option<String> {
    let (c, name) = text.chars().find_map(|c| Some((c, character_name(c)?)))?;
    Some(format!("{name} (U+{:04X})", u32::from(c)))
}

fn character_name(c: char) -> Option<&'static str> {
    Some(match c {
        '\0' => "a NUL character",
        '\t' => "a tab",
        '\n' | '\r' => "a line break",
        '\u{ad}' => "a soft hyphen",
        '\u{200b}' => "a zero-width space",
        '\u{200c}' => "a zero-width non-joiner",
        '\u{200d}' => "a zero-width joiner",
        '\u{2060}' => "a word joiner, which has no width",
        BYTE_ORDER_MARK => "a byte order mark, which has no width",
        '\u{a0}' | '\u{202f}' | '\u{2007}' => "a no-break space",
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => "a direction mark",
        '\u{2028}' | '\u{2029}' => "a line separator",
        '\u{fffd}' => "a replacement character, which is left by a wrong conversion",
        c if c.is_control() => "a control character",
        c if c.is_whitespace() && c != ' ' => "an unusual space",
        c if is_invisible(c) => "an invisible character",
        _ => return None,
    })
}
