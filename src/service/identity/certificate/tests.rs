use aws_lc_rs::signature::{RSA_PSS_2048_8192_SHA256, UnparsedPublicKey};
use jiff::SignedDuration;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, PKCS_RSA_SHA256, RsaKeySize};
use serde_json::Value;

use super::*;

const CLIENT: &str = "f089354e-8366-4e18-aea3-4cb4a3a50b48";
const AUDIENCE: &str = "https://login.microsoftonline.com/t/oauth2/v2.0/token";

fn rsa() -> rcgen::KeyPair {
    rcgen::KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap()
}

fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(vec![]).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

/// A certificate that signs itself, and its key, as PEM.
fn own(key: &rcgen::KeyPair) -> String {
    named("app").self_signed(key).unwrap().pem()
}

/// The key as `openssl genrsa -traditional` writes it: what a PKCS#8 key of this size has after its header.
fn pkcs1(key: &rcgen::KeyPair) -> String {
    let der = STANDARD.encode(&key.serialize_der()[26..]);
    format!("-----BEGIN RSA PRIVATE KEY-----\n{der}\n-----END RSA PRIVATE KEY-----\n")
}

fn parse(pem: &str) -> Result<Certificate, String> {
    Certificate::parse(pem, Timestamp::now())
}

fn part(assertion: &SecretText, index: usize) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(assertion.expose().split('.').nth(index).unwrap()).unwrap()).unwrap()
}

#[test]
fn an_assertion_is_signed_as_documented() {
    let key = rsa();
    let now = Timestamp::now();
    for pem in [own(&key) + &key.serialize_pem(), format!("Bag Attributes\n  x: y\n{}{}", pkcs1(&key), own(&key))] {
        let certificate = parse(&pem).unwrap();
        let assertion = certificate.assertion(CLIENT, AUDIENCE, now).unwrap();
        let (header, claims) = (part(&assertion, 0), part(&assertion, 1));
        assert_eq!((&header["alg"], &header["typ"], &header["x5c"]), (&json!("PS256"), &json!("JWT"), &Value::Null));
        assert_eq!(header["x5t#S256"], URL_SAFE_NO_PAD.encode(digest::digest(&SHA256, &certificate.chain[0])));
        assert_eq!((&claims["iss"], &claims["sub"], &claims["aud"]), (&json!(CLIENT), &json!(CLIENT), &json!(AUDIENCE)));
        assert_eq!((claims["nbf"].as_i64(), claims["exp"].as_i64()), (Some(now.as_second()), Some(now.as_second() + 600)));
        let (signed, signature) = assertion.expose().rsplit_once('.').unwrap();
        let public = UnparsedPublicKey::new(&RSA_PSS_2048_8192_SHA256, certificate.key.public_key().as_ref().to_vec());
        public.verify(signed.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).unwrap()).unwrap();
        let other = certificate.assertion(CLIENT, AUDIENCE, now).unwrap();
        assert_ne!(part(&assertion, 1)["jti"], part(&other, 1)["jti"]);
    }
}

#[test]
fn those_that_vouch_for_it_go_along_in_their_order() {
    let (root_key, middle_key, key) = (rsa(), rsa(), rsa());
    let authority = |name| {
        let mut params = named(name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
    };
    let root = authority("root").self_signed(&root_key).unwrap();
    let root_issuer = Issuer::new(authority("root"), root_key);
    let middle = authority("middle").signed_by(&middle_key, &root_issuer).unwrap();
    let leaf = named("app").signed_by(&key, &Issuer::new(authority("middle"), middle_key)).unwrap();
    let stranger = own(&rsa());
    let pem = [root.pem(), stranger, key.serialize_pem(), leaf.pem(), middle.pem()].concat();
    let certificate = parse(&pem).unwrap();
    let header = part(&certificate.assertion(CLIENT, AUDIENCE, Timestamp::now()).unwrap(), 0);
    let expected: Vec<String> = [leaf.der(), middle.der(), root.der()].iter().map(|der| STANDARD.encode(der)).collect();
    assert_eq!(header["x5c"], json!(expected));
}

#[test]
fn each_mistake_is_one_sentence() {
    let (key, other) = (rsa(), rsa());
    let elliptic = rcgen::KeyPair::generate().unwrap();
    let (certificate, pem) = (own(&key), key.serialize_pem());
    let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let legacy =
        "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n";
    let sec1 = "-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n";
    let rows = [
        (pem.clone(), "holds no certificate"),
        (certificate.clone(), "holds no private key"),
        (certificate.clone() + &other.serialize_pem(), "belongs to none of its certificates"),
        (certificate.clone() + encrypted, "encrypted private key"),
        (certificate.clone() + legacy, "encrypted private key"),
        (certificate.clone() + sec1, "not an RSA key"),
        (certificate.clone() + &elliptic.serialize_pem(), "not an RSA key"),
        (own(&elliptic) + &pem, "not an RSA key"),
        (certificate.clone() + &pem + &other.serialize_pem(), "more than one private key"),
        (certificate.clone() + include_str!("rsa-1024.pem"), "less than 2048 bits"),
        (certificate.clone() + "-----BEGIN PRIVATE KEY-----\n!!\n-----END PRIVATE KEY-----\n", "a block in it is damaged"),
        (certificate.clone() + "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n", "cannot be read"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_owned() + &pem, "no X.509 certificate"),
        (certificate[..200].to_owned(), "damaged"),
        ("MIIKQAIBAzCCCfwGCSqGSIb3".to_owned(), "openssl pkcs12"),
        (String::new(), "is not PEM"),
    ];
    for (pem, expected) in rows {
        let message = parse(&pem).unwrap_err();
        assert!(message.contains(expected), "{expected}: {message}");
        assert!(!message.contains('\n') && !message.contains("AAAA"), "{message}");
    }
}

#[test]
fn its_time_is_judged_before_anybody_is_asked() {
    let key = rsa();
    let mut params = named("app");
    (params.not_before, params.not_after) = (rcgen::date_time_ymd(2026, 3, 1), rcgen::date_time_ymd(2026, 4, 1));
    let pem = params.self_signed(&key).unwrap().pem() + &key.serialize_pem();
    let begin: Timestamp = "2026-03-01T00:00:00Z".parse().unwrap();
    let day = SignedDuration::from_hours(24);
    let at = |time| Certificate::parse(&pem, time).map(drop);
    assert_eq!(at(begin + day), Ok(()));
    assert!(at(begin - day).unwrap_err().contains("not valid before 2026-03-01T00:00:00Z"));
    assert!(at(begin + day * 40).unwrap_err().contains("expired on 2026-04-01T00:00:00Z"));
}

#[test]
fn no_key_is_printed() {
    let key = rsa();
    let certificate = parse(&(own(&key) + &key.serialize_pem())).unwrap();
    let printed = format!("{certificate:?} {certificate:#?}");
    assert!(printed.len() < 200 && printed.contains("[redacted]"), "{printed}");
}

proptest::proptest! {
    #[test]
    fn no_text_panics(text in "(-----(BEGIN|END) (CERTIFICATE|PRIVATE KEY)-----\n|[A-Za-z0-9+/=]{0,20}\n){0,6}") {
        let _ = parse(&text);
    }
}
