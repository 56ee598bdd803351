//! Client assertions as text: JWTs in their three segments, read but not yet believed.

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

/// base64url, with the padding that a JWT has not, or without: azure-identity's asynchronous client for Python writes it.
const SEGMENT: GeneralPurpose =
    GeneralPurpose::new(&alphabet::URL_SAFE, GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent));

/// How far the clocks may be apart, in seconds.
const SKEW: i64 = 300;

/// The header of an assertion.
#[derive(Deserialize)]
pub struct Header {
    /// The algorithm that it is signed with.
    pub alg: String,
    /// What it is: a JWT, where it says so.
    #[serde(default)]
    pub typ: Option<String>,
    /// The certificate's SHA-1 thumbprint, base64url.
    #[serde(default, deserialize_with = "thumbprint")]
    pub x5t: Option<String>,
    /// The certificate's SHA-256 thumbprint, base64url.
    #[serde(default, rename = "x5t#S256", deserialize_with = "thumbprint")]
    pub x5t_s256: Option<String>,
    /// The certificate itself, and those that vouch for it, base64.
    #[serde(default)]
    pub x5c: Option<Vec<String>>,
    /// The key's name.
    #[serde(default)]
    pub kid: Option<String>,
}

/// The claims of an assertion that Entra ID looks at.
#[derive(Deserialize)]
pub struct Claims {
    /// Whom it is for.
    pub aud: Audience,
    /// Who says so.
    pub iss: String,
    /// Of whom.
    pub sub: String,
    /// Until when, in seconds since 1970.
    #[serde(deserialize_with = "seconds")]
    pub exp: i64,
    /// From when on, in seconds since 1970.
    #[serde(default, deserialize_with = "maybe_seconds")]
    pub nbf: Option<i64>,
    /// Its own id.
    #[serde(default)]
    pub jti: Option<String>,
}

/// A thumbprint without the padding that base64url has not, and that MSAL for Python writes all the same.
fn thumbprint<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    String::deserialize(deserializer).map(|text| Some(text.trim_end_matches('=').to_owned()))
}

/// A time in seconds, with or without a fraction, as RFC 7519 allows: MSAL for Python writes one.
fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    let number = Number::deserialize(deserializer)?;
    // Far beyond any date the cast stops at the ends of i64, which is as good as the number itself.
    #[allow(clippy::cast_possible_truncation)]
    let whole = number.as_i64().or_else(|| number.as_f64().map(|fraction| fraction.floor() as i64));
    whole.ok_or_else(|| D::Error::custom(format!("{number} is no time")))
}

fn maybe_seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    seconds(deserializer).map(Some)
}

/// One audience or several, as RFC 7519 allows: Kubernetes writes a list.
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

/// An assertion, read.
pub struct Jwt<'a> {
    /// Its header.
    pub header: Header,
    /// Its claims.
    pub claims: Claims,
    /// What is signed: the first two segments.
    pub signed: &'a [u8],
    /// The signature.
    pub signature: Vec<u8>,
}

impl<'a> Jwt<'a> {
    /// Reads an assertion.
    ///
    /// # Errors
    /// When it is no signed JWT with the claims that an assertion needs.
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
        let signature = SEGMENT.decode(signature).map_err(|_| Refusal::MalformedAssertion("Its signature is no base64url.".to_owned()))?;
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

    /// Checks that it is valid now.
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

/// Who issued an assertion, as far as it can be read: what tells apart whose it is.
#[must_use]
pub fn issuer(text: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Issuer {
        iss: String,
    }
    decode::<Issuer>(text.split('.').nth(1)?).ok().map(|claims| claims.iss)
}

fn decode<T: DeserializeOwned>(segment: &str) -> Result<T, Refusal> {
    let bytes = SEGMENT.decode(segment).map_err(|_| Refusal::MalformedAssertion("A segment is no base64url.".to_owned()))?;
    serde_json::from_slice(&bytes).map_err(|error| Refusal::MalformedAssertion(format!("A segment cannot be read: {error}.")))
}
