//! Recognizes DER by its structure: the tags of its first values. Labels and file names do not count.

use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::{FromDer as _, X509Certificate};

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const OID: u8 = 0x06;
const SEQUENCE: u8 = 0x30;

/// `rsaEncryption`, the algorithm of a PKCS#8 RSA key (RFC 8017, appendix A.1).
const RSA: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01";
/// `signedData`, the content type of a certificate bundle (RFC 5652, section 5.1).
const SIGNED_DATA: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02";
/// The prefix of a key in the OpenSSH format, which is not DER.
const OPENSSH: &[u8] = b"openssh-key-v1\0";

/// The type of a DER value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    Certificate,
    /// An RSA key as PKCS#8.
    RsaPkcs8,
    /// An RSA key as PKCS#1.
    RsaPkcs1,
    /// A private key of another algorithm.
    OtherKey,
    OpenSshKey,
    EncryptedKey,
    PublicKey,
    Request,
    Bundle,
    Pfx,
}

impl Content {
    /// Recognizes `bytes`, which may be truncated.
    pub(super) fn of(bytes: &[u8]) -> Option<Self> {
        if bytes.starts_with(OPENSSH) {
            return Some(Self::OpenSshKey);
        }
        let values = values(bytes).filter(|outer| outer.tag == SEQUENCE).map(|outer| all(outer.content)).take(1).next()?;
        let tags: Vec<u8> = values.iter().map(|value| value.tag).collect();
        // The first nested value.
        let within = |index: usize| values.get(index).and_then(|value: &Value<'_>| self::values(value.content).next());
        let is = |index: usize, oid: &[u8]| within(index).is_some_and(|first| first.tag == OID && first.content == oid);
        let number = values.first().map(|first| first.content);
        Some(match tags.as_slice() {
            [INTEGER, SEQUENCE, OCTET_STRING, ..] if is(1, RSA) => Self::RsaPkcs8,
            // Another algorithm.
            [INTEGER, SEQUENCE, OCTET_STRING, ..] => Self::OtherKey,
            // DSA: a version, and the five numbers of the key. A truncated RSA key may have the same structure.
            [INTEGER, INTEGER, INTEGER, INTEGER, INTEGER, INTEGER] if is_complete(bytes) => Self::OtherKey,
            [INTEGER, SEQUENCE, ..] if number == Some(&[3]) => Self::Pfx,
            // A version, and the eight numbers of the key.
            [INTEGER, INTEGER, INTEGER, INTEGER, INTEGER, INTEGER, INTEGER, INTEGER, INTEGER, ..] => Self::RsaPkcs1,
            [INTEGER, OCTET_STRING, ..] if number == Some(&[1]) => Self::OtherKey,
            [SEQUENCE, OCTET_STRING] if within(0).is_some_and(|first| first.tag == OID) => Self::EncryptedKey,
            [SEQUENCE, BIT_STRING] => Self::PublicKey,
            // RSA, as PKCS#1.
            [INTEGER, INTEGER] if is_complete(bytes) => Self::PublicKey,
            [OID, ..] if values.first().is_some_and(|first| first.content == SIGNED_DATA) => Self::Bundle,
            [SEQUENCE, SEQUENCE, BIT_STRING] if X509Certificate::from_der(bytes).is_ok() => Self::Certificate,
            [SEQUENCE, SEQUENCE, BIT_STRING] if X509CertificationRequest::from_der(bytes).is_ok() => Self::Request,
            _ => return None,
        })
    }

    /// The name in messages.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Certificate => "a certificate",
            Self::RsaPkcs8 | Self::RsaPkcs1 => "a private key",
            Self::OtherKey => "a private key that is not an RSA key",
            Self::OpenSshKey => "a key in the OpenSSH format",
            Self::EncryptedKey => "an encrypted private key",
            Self::PublicKey => "a public key",
            Self::Request => "a certificate request",
            Self::Bundle => "a PKCS#7 bundle",
            Self::Pfx => "a PFX file",
        }
    }

    /// The remedy if PEM with a certificate and its private key is required.
    pub(super) fn conversion(self) -> &'static str {
        match self {
            Self::Pfx => "convert it with 'openssl pkcs12 -in FILE -nodes'",
            Self::OpenSshKey => "convert it with 'ssh-keygen -p -m PEM -f FILE'",
            Self::Bundle => "convert it with 'openssl pkcs7 -print_certs -in FILE'",
            Self::EncryptedKey => "decrypt it with 'openssl pkey -in FILE'",
            Self::Certificate | Self::RsaPkcs8 | Self::RsaPkcs1 | Self::OtherKey | Self::PublicKey | Self::Request => {
                "write it as PEM, with the certificate and its private key"
            }
        }
    }
}

/// A DER value: its tag, and its content, which may be truncated.
struct Value<'a> {
    tag: u8,
    content: &'a [u8],
}

/// The consecutive values in `bytes`. The last one may be truncated.
fn values(mut bytes: &[u8]) -> impl Iterator<Item = Value<'_>> {
    std::iter::from_fn(move || {
        let (tag, length, rest) = head(bytes)?;
        let (content, next) = rest.split_at(length.min(rest.len()));
        bytes = next;
        Some(Value { tag, content })
    })
}

fn all(bytes: &[u8]) -> Vec<Value<'_>> {
    /// Recognition needs no more values.
    const MAX_VALUES: usize = 9;
    values(bytes).take(MAX_VALUES).collect()
}

/// Whether the first value in `bytes` is complete.
pub(super) fn is_complete(bytes: &[u8]) -> bool {
    head(bytes).is_some_and(|(_, length, rest)| length == usize::MAX || rest.len() >= length)
}

/// The tag of a value, the length of its content, and the remaining bytes. An indefinite length extends to the end.
fn head(bytes: &[u8]) -> Option<(u8, usize, &[u8])> {
    let (&[tag, first], rest) = bytes.split_first_chunk::<2>()?;
    match first {
        0..=0x7f => Some((tag, usize::from(first), rest)),
        0x80 => Some((tag, usize::MAX, rest)),
        0x81..=0x84 => {
            let (length, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            Some((tag, length.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest))
        }
        0x85.. => None,
    }
}
