//! Client assertions as text: JWTs of three segments, parsed but not yet verified.

use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256, RsaParameters};
use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use jiff::Timestamp;
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error as _},
};
use serde_json::Number;

use super::error::Refusal;

/// base64url with or without padding. JWTs have none, but azure-identity's asynchronous client for Python writes it.
const SEGMENT: GeneralPurpose =
    GeneralPurpose::new(&alphabet::URL_SAFE, GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent));

/// The accepted clock skew, in seconds.
const SKEW: i64 = 300;

/// The header of an assertion.
#[derive(Deserialize)]
pub struct Header {
    /// The signature algorithm.
    pub alg: String,
    /// The type: JWT, if present.
    #[serde(default)]
    pub typ: Option<String>,
    /// The certificate's SHA-1 thumbprint, base64url.
    #[serde(default, deserialize_with = "thumbprint")]
    pub x5t: Option<String>,
    /// The certificate's SHA-256 thumbprint, base64url.
    #[serde(default, rename = "x5t#S256", deserialize_with = "thumbprint")]
    pub x5t_s256: Option<String>,
    /// The certificate and its issuers, base64.
    #[serde(default)]
    pub x5c: Option<Vec<String>>,
    /// The key id.
    #[serde(default)]
    pub kid: Option<String>,
}

/// The claims of an assertion that Entra ID checks.
#[derive(Deserialize)]
pub struct Claims {
    /// The audience.
    pub aud: Audience,
    /// The issuer.
    pub iss: String,
    /// The subject.
    pub sub: String,
    /// End of the validity, in seconds since 1970.
    #[serde(deserialize_with = "seconds")]
    pub exp: i64,
    /// Start of the validity, in seconds since 1970.
    #[serde(default, deserialize_with = "maybe_seconds")]
    pub nbf: Option<i64>,
    /// Its unique id.
    #[serde(default)]
    pub jti: Option<String>,
}

/// A thumbprint without padding. base64url has none, but MSAL for Python writes it.
fn thumbprint<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    String::deserialize(deserializer).map(|text| Some(text.trim_end_matches('=').to_owned()))
}

/// A time in seconds, with or without a fraction (RFC 7519): MSAL for Python writes one.
fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    let number = Number::deserialize(deserializer)?;
    // The cast saturates at the limits of i64, far beyond any valid date.
    #[allow(clippy::cast_possible_truncation)]
    let whole = number.as_i64().or_else(|| number.as_f64().map(|fraction| fraction.floor() as i64));
    whole.ok_or_else(|| D::Error::custom(format!("{number} is not a time")))
}

fn maybe_seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    seconds(deserializer).map(Some)
}

/// One audience or several (RFC 7519): Kubernetes writes a list.
#[derive(Deserialize)]
#[serde(untagged)]
pub enum Audience {
    /// One.
    One(String),
    /// Several.
    Several(Vec<String>),
}

impl Audience {
    /// All of them.
    pub fn names(&self) -> &[String] {
        match self {
            Self::One(name) => std::slice::from_ref(name),
            Self::Several(names) => names,
        }
    }
}

/// A parsed assertion.
pub struct Jwt<'a> {
    /// Its header.
    pub header: Header,
    /// Its claims.
    pub claims: Claims,
    /// The signed part: the first two segments.
    pub signed: &'a [u8],
    /// The signature.
    pub signature: Vec<u8>,
}

impl<'a> Jwt<'a> {
    /// Parses an assertion.
    ///
    /// # Errors
    /// When it is not a signed JWT with the required claims.
    pub fn read(text: &'a str) -> Result<Self, Refusal> {
        let mut segments = text.split('.');
        let (Some(header), Some(claims), Some(signature), None) = (segments.next(), segments.next(), segments.next(), segments.next())
        else {
            return Err(Refusal::MalformedAssertion("It does not have three segments.".to_owned()));
        };
        let signed = &text.as_bytes()[..header.len() + 1 + claims.len()];
        let header: Header = decode(header)?;
        if let Some(typ) = header.typ.as_ref().filter(|typ| !typ.eq_ignore_ascii_case("JWT")) {
            return Err(Refusal::AssertionType(typ.clone()));
        }
        let signature = SEGMENT.decode(signature).map_err(|_| Refusal::MalformedAssertion("Its signature is not base64url.".to_owned()))?;
        Ok(Self { header, claims: decode(claims)?, signed, signature })
    }

    /// The algorithm, if it is one of `supported` and one of Entra ID's two.
    ///
    /// # Errors
    /// When it is not.
    pub fn algorithm(&self, supported: &'static [&'static str]) -> Result<&'static RsaParameters, Refusal> {
        let refused = || Refusal::AssertionAlgorithm { algorithm: self.header.alg.clone(), supported };
        let name = supported.iter().find(|name| **name == self.header.alg).ok_or_else(refused)?;
        match *name {
            "RS256" => Ok(&RSA_PKCS1_2048_8192_SHA256),
            "PS256" => Ok(&RSA_PSS_2048_8192_SHA256),
            _ => Err(refused()),
        }
    }

    /// Checks that it is currently valid.
    ///
    /// # Errors
    /// When it has expired, or is not valid yet.
    pub fn check_time(&self, now: Timestamp) -> Result<(), Refusal> {
        let (from, until) = (self.claims.nbf.unwrap_or_default(), self.claims.exp);
        if until < now.as_second() - SKEW || from > now.as_second() + SKEW {
            return Err(Refusal::AssertionTime { now, from, until });
        }
        Ok(())
    }
}

/// The issuer of an assertion, if readable: it distinguishes the kinds of assertions.
#[must_use]
pub fn issuer(text: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Issuer {
        iss: String,
    }
    decode::<Issuer>(text.split('.').nth(1)?).ok().map(|claims| claims.iss)
}

fn decode<T: DeserializeOwned>(segment: &str) -> Result<T, Refusal> {
    let bytes = SEGMENT.decode(segment).map_err(|_| Refusal::MalformedAssertion("A segment is not base64url.".to_owned()))?;
    serde_json::from_slice(&bytes).map_err(|error| Refusal::MalformedAssertion(format!("A segment cannot be read: {error}.")))
}
