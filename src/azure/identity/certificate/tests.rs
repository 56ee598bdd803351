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

/// A self-signed certificate and its key, as PEM.
fn own(key: &rcgen::KeyPair) -> String {
    named("app").self_signed(key).unwrap().pem()
}

/// The key in the format of `openssl genrsa -traditional`: the content of a PKCS#8 key of this size after its header.
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
fn assertion_is_signed_as_documented() {
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
fn chain_is_included_in_order() {
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
    let unrelated = own(&rsa());
    let pem = [root.pem(), unrelated, key.serialize_pem(), leaf.pem(), middle.pem()].concat();
    let certificate = parse(&pem).unwrap();
    let header = part(&certificate.assertion(CLIENT, AUDIENCE, Timestamp::now()).unwrap(), 0);
    let expected: Vec<String> = [leaf.der(), middle.der(), root.der()].iter().map(|der| STANDARD.encode(der)).collect();
    assert_eq!(header["x5c"], json!(expected));
}

/// A PEM block with any label and content.
fn block(label: &str, der: &[u8]) -> String {
    let lines: Vec<String> = STANDARD.encode(der).as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line).into_owned()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

/// A DER value. All values of the tests have two length bytes.
fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap().to_be_bytes();
    [&[tag, 0x82], length.as_slice(), content].concat()
}

const PBES2: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x05\x0d";
const PKCS7_DATA: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01";
const PKCS7_SIGNED: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02";

/// Other possible blocks next to certificates and RSA keys.
struct Others {
    encrypted: Vec<u8>,
    elliptic: Vec<u8>,
    sec1: Vec<u8>,
    request: Vec<u8>,
    public: Vec<u8>,
    bundle: Vec<u8>,
    pfx: Vec<u8>,
}

fn others(key: &rcgen::KeyPair) -> Others {
    let elliptic = rcgen::KeyPair::generate().unwrap().serialize_der();
    Others {
        encrypted: der(0x30, &[der(0x30, PBES2), der(0x04, &[7; 300])].concat()),
        // A version, an algorithm with two OIDs, and the key in an octet string.
        sec1: elliptic[29..].to_vec(),
        elliptic,
        request: named("app").serialize_request(key).unwrap().der().to_vec(),
        public: rcgen::PublicKeyData::subject_public_key_info(key),
        bundle: der(0x30, &[PKCS7_SIGNED, &der(0xa0, &[0; 300])].concat()),
        pfx: der(0x30, &[b"\x02\x01\x03".as_slice(), &der(0x30, &[PKCS7_DATA, &der(0xa0, &[0; 300])].concat())].concat()),
    }
}

#[test]
fn block_is_recognized_by_content_not_label() {
    let key = rsa();
    let (certificate, pkcs8) = (named("app").self_signed(&key).unwrap().der().to_vec(), key.serialize_der());
    let pkcs1 = &pkcs8[26..];
    let (other, unrelated) = (rsa(), own(&rsa()));
    let good = block("CERTIFICATE", &certificate);
    let with_key = |label: &str, der: &[u8]| good.clone() + &block(label, der);
    let parameters = block("DH PARAMETERS", &der(0x30, b"\x02\x01\x05\x02\x01\x02"));
    let accepted = [
        with_key("PRIVATE KEY", pkcs1),
        with_key("RSA PRIVATE KEY", &pkcs8),
        with_key("EC PRIVATE KEY", &pkcs8),
        with_key("CERTIFICATE", &pkcs8),
        block("PRIVATE KEY", &certificate) + &block("CERTIFICATE", &pkcs8),
        block("TRUSTED CERTIFICATE", &certificate) + &block("PRIVATE KEY", &pkcs8),
        // `openssl x509 -trustout` appends more data to the certificate.
        block("TRUSTED CERTIFICATE", &[certificate.as_slice(), &der(0x30, &[])].concat()) + &block("PRIVATE KEY", &pkcs8),
        block("PRIVATE KEY", &pkcs8) + &good,
        with_key("PRIVATE KEY", &pkcs8) + &block("RSA PRIVATE KEY", pkcs1),
        good.clone() + &with_key("PRIVATE KEY", &pkcs8) + &good,
        unrelated.clone() + &block("PRIVATE KEY", &pkcs8) + &unrelated + &good,
        with_key("PRIVATE KEY", &pkcs8) + &parameters + &block("PUBLIC KEY", &others(&key).public),
    ];
    for (index, pem) in accepted.iter().enumerate() {
        assert_eq!(parse(pem).map(|certificate| certificate.chain.len()), Ok(1), "{index}");
    }
    assert_eq!(
        parse(&(with_key("PRIVATE KEY", &other.serialize_der()) + &pem(&key))).unwrap_err(),
        parse(&two_keys(&key, &other)).unwrap_err()
    );
}

fn pem(key: &rcgen::KeyPair) -> String {
    key.serialize_pem()
}

fn two_keys(key: &rcgen::KeyPair, other: &rcgen::KeyPair) -> String {
    own(key) + &pem(key) + &pem(other)
}

#[test]
fn layout_of_the_text_is_irrelevant() {
    let key = rsa();
    let text = own(&key) + &pem(&key);
    let unfolded: String = text
        .split("-----")
        .map(|part| if part.len() > 100 { format!("\n{}\n", part.replace('\n', "")) } else { part.to_owned() })
        .collect::<Vec<_>>()
        .join("-----");
    let layouts = [
        text.replace('\n', "\r\n"),
        text.replace('\n', "\r"),
        text.replace('\n', "  \t\n"),
        text.replace('\n', "\n    "),
        text.replace('\n', "\n\n"),
        format!("\u{feff}{text}"),
        format!("Bag Attributes\n    friendlyName: b\u{e4}r\u{a0}\n{text}the end\n"),
        own(&key) + "\u{feff}" + &pem(&key),
        // The result of `cat` for a file without a final line break.
        text.replace("-----\n-----", "----------"),
        text.trim_end().to_owned(),
        unfolded,
    ];
    for text in layouts {
        assert!(parse(&text).is_ok(), "{:?}: {text:?}", parse(&text));
    }
}

#[test]
#[allow(clippy::too_many_lines, reason = "a table of mistakes")]
fn each_problem_is_one_sentence() {
    let (key, other) = (rsa(), rsa());
    let elliptic = rcgen::KeyPair::generate().unwrap();
    let (certificate, pem) = (own(&key), key.serialize_pem());
    let der = named("app").self_signed(&key).unwrap().der().to_vec();
    let Others { encrypted, elliptic: pkcs8, sec1, request, public, bundle, pfx } = others(&key);
    let legacy =
        "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n";
    let lines: Vec<&str> = certificate.lines().collect();
    let without = |line: usize| [&lines[..line], &lines[line + 1..]].concat().join("\n") + "\n" + &pem;
    let base64 = |bytes: &[u8]| STANDARD.encode(bytes);
    let odd = |odd: &str| certificate.replacen(&lines[2][..20], &format!("{}{odd}", &lines[2][..20]), 1) + &pem;
    let rows = [
        (pem.clone(), "contains no certificate"),
        (certificate.clone(), "contains no private key"),
        (block("PRIVATE KEY", &der), "contains no private key: the block contains a certificate"),
        (certificate.clone() + &block("PRIVATE KEY", &der), "contains no private key: the block contains a certificate"),
        (certificate.clone() + &block("RSA PRIVATE KEY", &request), "contains no private key: the block contains a certificate request"),
        (certificate.clone() + &block("PRIVATE KEY", &public), "contains no private key: the block contains a public key"),
        (certificate.clone() + &block("PUBLIC KEY", &public), "contains no private key: the block contains a public key"),
        (block("CERTIFICATE", &key.serialize_der()), "contains no certificate: the block contains a private key"),
        (block("CERTIFICATE", &request) + &pem, "contains no certificate: the block contains a certificate request"),
        (block("CERTIFICATE REQUEST", &request) + &pem, "contains no certificate: the block contains a certificate request"),
        (block("CERTIFICATE", &public) + &pem, "contains no certificate: the block contains a public key"),
        (block("PKCS7", &bundle) + &pem, "contains no certificate: the block contains a PKCS#7 bundle"),
        (block("CERTIFICATE", &pfx), "contains no private key: the block contains a PFX file"),
        (certificate.clone() + &other.serialize_pem(), "belongs to none of its certificates"),
        (certificate.clone() + &block("ENCRYPTED PRIVATE KEY", &encrypted), "encrypted private key"),
        (certificate.clone() + &block("PRIVATE KEY", &encrypted), "encrypted private key"),
        (certificate.clone() + legacy, "encrypted private key"),
        (certificate.clone() + &legacy.replace('\n', "\r\n"), "encrypted private key"),
        (certificate.clone() + &block("EC PRIVATE KEY", &sec1), "not an RSA key"),
        (certificate.clone() + &block("PRIVATE KEY", &sec1), "not an RSA key"),
        (certificate.clone() + &block("RSA PRIVATE KEY", &pkcs8), "not an RSA key"),
        (certificate.clone() + &elliptic.serialize_pem(), "not an RSA key"),
        (certificate.clone() + &block("OPENSSH PRIVATE KEY", b"openssh-key-v1\0\0\0\0\x04none"), "ssh-keygen -p -m PEM"),
        (own(&elliptic) + &pem, "not an RSA key"),
        (two_keys(&key, &other), "more than one private key"),
        (certificate.clone() + include_str!("rsa-1024.pem"), "less than 2048 bits"),
        (certificate.clone() + "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n", "contains an empty block (BEGIN PRIVATE KEY)"),
        (
            certificate.clone() + "-----BEGIN PRIVATE KEY-----\n\n \n-----END PRIVATE KEY-----\n",
            "contains an empty block (BEGIN PRIVATE KEY)",
        ),
        (
            certificate.clone() + "-----BEGIN PRIVATE KEY-----\n!!\n-----END PRIVATE KEY-----\n",
            "contains a damaged block (BEGIN PRIVATE KEY)",
        ),
        (
            certificate.clone() + "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n",
            "contains a damaged block (BEGIN RSA",
        ),
        (
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_owned() + &pem,
            "contains a damaged block (BEGIN CERTIFICATE)",
        ),
        (block("CERTIFICATE", &der[..200]) + &pem, "contains a damaged block (BEGIN CERTIFICATE)"),
        (without(3), "contains a damaged block (BEGIN CERTIFICATE)"),
        (certificate[..200].to_owned(), "contains a block without its last line (END CERTIFICATE)"),
        (without(lines.len() - 1), "contains a block without its last line (END CERTIFICATE)"),
        (without(0), "contains a block without its first line (BEGIN CERTIFICATE)"),
        (
            certificate.clone() + &pem.replace("END PRIVATE", "END RSA PRIVATE"),
            "contains a block whose first and last line differ (BEGIN PRIVATE KEY",
        ),
        (certificate.replace('\n', " ") + &pem, "is PEM on one line"),
        (certificate.replace('\n', "") + &pem.replace('\n', ""), "is PEM on one line"),
        (certificate.replace('\n', "\\n") + &pem.replace('\n', "\\n"), "is PEM with its line breaks written as \\n"),
        (certificate.replace('\n', "\\r\\n") + &pem, "is PEM with its line breaks written as \\n"),
        (odd("\u{200b}"), "contains a zero-width space (U+200B)"),
        (odd("\u{a0}"), "contains a no-break space (U+00A0)"),
        (certificate.replace("BEGIN ", "BEGIN\u{a0}") + &pem, "contains a no-break space (U+00A0)"),
        (certificate.replace("-----BEGIN", "----BEGIN") + &pem, "five hyphens"),
        (certificate.replace("CERTIFICATE-----\nMII", "CERTIFICATE\nMII") + &pem, "five hyphens"),
        (certificate.replace("BEGIN CERT", "BEGIN C\u{200b}ERT") + &pem, "contains a zero-width space (U+200B)"),
        (format!("# END of CERTIFICATE\n{certificate}BEGIN of PRIVATE KEY\n"), "contains no private key"),
        (certificate.replace("-----", "\u{2014}\u{2013}") + &pem.replace("-----", "\u{2014}\u{2013}"), "five hyphens"),
        (pem.replace("-----", "----"), "five hyphens"),
        ("MIIKQAIBAzCCCfwGCSqGSIb3".to_owned(), "is base64 of a PFX file: decode it and convert it with 'openssl pkcs12 -in FILE -nodes'"),
        (base64(&pfx), "is base64 of a PFX file"),
        (format!("\u{feff}{}", base64(&pfx)), "is base64 of a PFX file"),
        (format!("\u{feff}{}", base64((certificate.clone() + &pem).as_bytes())), "is base64 of a PEM text"),
        (base64(b"\x30\x80\x02\x01\x03\x30\x80\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01"), "is base64 of a PFX file"),
        (base64(&der), "is base64 of a certificate: write it as PEM"),
        (base64(&key.serialize_der()), "is base64 of a private key: write it as PEM"),
        (base64((certificate.clone() + &pem).as_bytes()), "is base64 of a PEM text"),
        ("planted".to_owned(), "is not PEM"),
        (String::new(), "is not PEM"),
    ];
    for (pem, expected) in rows {
        let message = parse(&pem).map(drop).expect_err(expected);
        assert!(message.contains(expected), "{expected}: {message}");
        assert!(message.contains(": ") || message.contains(';'), "no remedy: {message}");
        assert!(!message.chars().any(char::is_control) && !message.contains("AAAA") && !message.contains("planted"), "{message}");
        let shown = |line: &str| line.len() > 20 && !line.starts_with("-----") && message.contains(line);
        assert!(!pem.lines().any(shown), "{message}");
    }
}

#[test]
fn key_in_pkcs1_is_recognized() {
    let key = rsa();
    let (certificate, pkcs8, public) = (own(&key), key.serialize_der(), others(&key).public);
    let pkcs1 = &pkcs8[26..];
    let rows = [
        // The content of a public key of this size after its header is the key as PKCS#1.
        (certificate.clone() + &block("RSA PUBLIC KEY", &public[24..]), "contains no private key: the block contains a public key"),
        (certificate.clone() + &block("RSA PUBLIC KEY", &public[24..100]), "contains a damaged block (BEGIN RSA PUBLIC KEY)"),
        (certificate.clone() + &block("DH PARAMETERS", b"\x30\x06\x02\x01\x05\x02\x01\x02"), "contains no private key"),
        // Truncated to two and to six of its numbers.
        (certificate.clone() + &block("RSA PRIVATE KEY", &pkcs1[..100]), "contains a damaged block (BEGIN RSA PRIVATE KEY)"),
        (certificate.clone() + &block("RSA PRIVATE KEY", &pkcs1[..715]), "contains a damaged block (BEGIN RSA PRIVATE KEY)"),
    ];
    for (pem, expected) in rows {
        let message = parse(&pem).map(drop).expect_err(expected);
        assert!(message.contains(expected), "{expected}: {message}");
    }
}

#[test]
fn validity_period_is_checked_before_any_request() {
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
fn valid_certificate_of_one_key_is_selected() {
    let key = rsa();
    let of = |from: i32, until: i32| {
        let mut params = named("app");
        (params.not_before, params.not_after) = (rcgen::date_time_ymd(from, 3, 1), rcgen::date_time_ymd(until, 4, 1));
        params.self_signed(&key).unwrap().pem()
    };
    let (old, current, longer, next) = (of(2020, 2021), of(2025, 2026), of(2025, 2028), of(2029, 2030));
    let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let read = |certificates: &[&String]| {
        let pem = certificates.iter().map(|pem| pem.as_str()).collect::<String>() + &key.serialize_pem();
        Certificate::parse(&pem, now).map(|certificate| certificate.expires().to_string())
    };
    for order in [[&old, &current, &next], [&next, &old, &current], [&current, &next, &old]] {
        assert_eq!(read(&order).as_deref(), Ok("2026-04-01T00:00:00Z"));
    }
    assert_eq!(read(&[&current, &longer]).as_deref(), Ok("2028-04-01T00:00:00Z"));
    assert!(read(&[&old, &next]).unwrap_err().contains("not valid before 2029"));
    assert!(read(&[&of(2019, 2020), &old]).unwrap_err().contains("expired on 2021"));
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
