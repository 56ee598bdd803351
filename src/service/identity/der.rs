//! What a piece of DER is, by its outline: the tags of its first values. What a label or a file's name says does not count.

use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::{FromDer as _, X509Certificate};

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const OID: u8 = 0x06;
const SEQUENCE: u8 = 0x30;

/// `rsaEncryption`, by which a PKCS#8 key says that it is one (RFC 8017, appendix A.1).
const RSA: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01";
/// `signedData`, by which a bundle of certificates begins (RFC 5652, section 5.1).
const SIGNED_DATA: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02";
/// How a key of OpenSSH's own format begins, which is no DER.
const OPENSSH: &[u8] = b"openssh-key-v1\0";

/// What a piece of DER is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    Certificate,
    /// An RSA key, as PKCS#8 has it.
    RsaPkcs8,
    /// An RSA key, as PKCS#1 has it.
    RsaPkcs1,
    /// A private key of another sort.
    OtherKey,
    OpenSshKey,
    EncryptedKey,
    PublicKey,
    Request,
    Bundle,
    Pfx,
}

impl Content {
    /// What `bytes` are, as far as that can be told; they may have lost their end.
    pub(super) fn of(bytes: &[u8]) -> Option<Self> {
        if bytes.starts_with(OPENSSH) {
            return Some(Self::OpenSshKey);
        }
        let values = values(bytes).filter(|outer| outer.tag == SEQUENCE).map(|outer| all(outer.content)).take(1).next()?;
        let tags: Vec<u8> = values.iter().map(|value| value.tag).collect();
        // The first value within one of them.
        let within = |index: usize| values.get(index).and_then(|value: &Value<'_>| self::values(value.content).next());
        let is = |index: usize, oid: &[u8]| within(index).is_some_and(|first| first.tag == OID && first.content == oid);
        let number = values.first().map(|first| first.content);
        Some(match tags.as_slice() {
            [INTEGER, SEQUENCE, OCTET_STRING, ..] if is(1, RSA) => Self::RsaPkcs8,
            // Of another algorithm.
            [INTEGER, SEQUENCE, OCTET_STRING, ..] => Self::OtherKey,
            // Of DSA: a version, and the five numbers of the key. An RSA key that has lost its end may look like it.
            [INTEGER, INTEGER, INTEGER, INTEGER, INTEGER, INTEGER] if is_whole(bytes) => Self::OtherKey,
            [INTEGER, SEQUENCE, ..] if number == Some(&[3]) => Self::Pfx,
            // A version, and the eight numbers of the key.
            [INTEGER, INTEGER, INTEGER, INTEGER, INTEGER, INTEGER, INTEGER, INTEGER, INTEGER, ..] => Self::RsaPkcs1,
            [INTEGER, OCTET_STRING, ..] if number == Some(&[1]) => Self::OtherKey,
            [SEQUENCE, OCTET_STRING] if within(0).is_some_and(|first| first.tag == OID) => Self::EncryptedKey,
            [SEQUENCE, BIT_STRING] => Self::PublicKey,
            // Of RSA, as PKCS#1 has it.
            [INTEGER, INTEGER] if is_whole(bytes) => Self::PublicKey,
            [OID, ..] if values.first().is_some_and(|first| first.content == SIGNED_DATA) => Self::Bundle,
            [SEQUENCE, SEQUENCE, BIT_STRING] if X509Certificate::from_der(bytes).is_ok() => Self::Certificate,
            [SEQUENCE, SEQUENCE, BIT_STRING] if X509CertificationRequest::from_der(bytes).is_ok() => Self::Request,
            _ => return None,
        })
    }

    /// What it is called in messages.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Certificate => "a certificate",
            Self::RsaPkcs8 | Self::RsaPkcs1 => "a private key",
            Self::OtherKey => "a private key that is not an RSA key",
            Self::OpenSshKey => "a key in OpenSSH's own format",
            Self::EncryptedKey => "an encrypted private key",
            Self::PublicKey => "a public key",
            Self::Request => "a certificate request",
            Self::Bundle => "a PKCS#7 bundle",
            Self::Pfx => "a PFX file",
        }
    }

    /// What to do with it where PEM with a certificate and its private key is wanted.
    pub(super) fn conversion(self) -> &'static str {
        match self {
            Self::Pfx => "convert it with 'openssl pkcs12 -in FILE -nodes'",
            Self::OpenSshKey => "convert it with 'ssh-keygen -p -m PEM -f FILE'",
            Self::Bundle => "convert it with 'openssl pkcs7 -print_certs -in FILE'",
            Self::EncryptedKey => "decrypt it with 'openssl pkey -in FILE'",
            Self::Certificate | Self::RsaPkcs8 | Self::RsaPkcs1 | Self::OtherKey | Self::PublicKey | Self::Request => {
                "write it as PEM, the certificate and its private key"
            }
        }
    }
}

/// A value in DER: its tag, and its content as far as it is there.
struct Value<'a> {
    tag: u8,
    content: &'a [u8],
}

/// The values that follow each other in `bytes`. The last may have lost its end.
fn values(mut bytes: &[u8]) -> impl Iterator<Item = Value<'_>> {
    std::iter::from_fn(move || {
        let (tag, length, rest) = head(bytes)?;
        let (content, next) = rest.split_at(length.min(rest.len()));
        bytes = next;
        Some(Value { tag, content })
    })
}

fn all(bytes: &[u8]) -> Vec<Value<'_>> {
    /// No outline takes more to tell.
    const ENOUGH: usize = 9;
    values(bytes).take(ENOUGH).collect()
}

/// Whether all of the first value in `bytes` is there.
pub(super) fn is_whole(bytes: &[u8]) -> bool {
    head(bytes).is_some_and(|(_, length, rest)| length == usize::MAX || rest.len() >= length)
}

/// A value's tag, the length of its content, and what follows. A length that is not given is to the end.
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
