//! Entra ID: tokens by a certificate, for assertions as the real one accepts them and for no others.

use aws_lc_rs::{
    digest,
    rand::SystemRandom,
    signature::{RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaEncoding, RsaKeyPair},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use rcgen::{CertificateParams, KeyPair, PKCS_RSA_SHA256};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    entra::refused,
    support::{AUTHORITY, CLIENT, SCOPE, SECRET, Scene, TENANT},
};

struct Credential {
    key: RsaKeyPair,
    pem: String,
    der: Vec<u8>,
}

fn credential(expired: bool) -> Credential {
    let key = KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap();
    let mut params = CertificateParams::new(vec!["app.example".to_owned()]).unwrap();
    if expired {
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2021, 1, 1);
    }
    let certificate = params.self_signed(&key).unwrap();
    Credential { key: RsaKeyPair::from_pkcs8(&key.serialize_der()).unwrap(), pem: certificate.pem(), der: certificate.der().to_vec() }
}

fn assertion(signer: &Credential, header: &Value, changes: &Value) -> String {
    let now = jiff::Timestamp::now().as_second();
    let mut claims = json!({
        "aud": format!("{AUTHORITY}/{TENANT}/oauth2/v2.0/token"),
        "iss": CLIENT, "sub": CLIENT, "jti": "1", "nbf": now, "exp": now + 600,
    });
    claims.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    let message = format!("{}.{}", BASE64.encode(header.to_string()), BASE64.encode(claims.to_string()));
    let padding: &'static dyn RsaEncoding = if header["alg"] == "PS256" { &RSA_PSS_SHA256 } else { &RSA_PKCS1_SHA256 };
    let mut signature = vec![0; signer.key.public_modulus_len()];
    signer.key.sign(padding, &SystemRandom::new(), message.as_bytes(), &mut signature).unwrap();
    format!("{message}.{}", BASE64.encode(signature))
}

#[tokio::test]
async fn a_certificate_gives_a_token_and_only_the_right_one_does() {
    let scene = Scene::new(json!({})).await;
    let (good, stale, foreign) = (credential(false), credential(true), credential(false));
    let application = json!({"tenantId": TENANT, "clientId": CLIENT, "certificates": [good.pem, stale.pem]});
    scene.control(Method::PUT, "/applications", application).await;
    let sign_in = async |assertion: String| {
        let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
        let form = [
            ("client_id", CLIENT),
            ("grant_type", "client_credentials"),
            ("scope", SCOPE),
            ("client_assertion_type", kind),
            ("client_assertion", &assertion),
        ];
        scene.token_request(TENANT, &form).await
    };
    let sha256 = |credential: &Credential| BASE64.encode(digest::digest(&digest::SHA256, &credential.der));
    let named = |credential: &Credential| json!({"alg": "RS256", "typ": "JWT", "x5t#S256": sha256(credential)});
    let unchanged = json!({});

    for header in [
        named(&good),
        json!({"alg": "PS256", "x5t#S256": sha256(&good)}),
        json!({"alg": "RS256", "x5t": BASE64.encode(digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, &good.der))}),
    ] {
        assert_eq!(sign_in(assertion(&good, &header, &unchanged)).await.status(), 200, "{header}");
    }
    let now = jiff::Timestamp::now().as_second();
    for (assertion, code) in [
        (assertion(&foreign, &named(&good), &unchanged), 700_027),
        (assertion(&foreign, &named(&foreign), &unchanged), 700_027),
        (assertion(&stale, &named(&stale), &unchanged), 700_027),
        (assertion(&good, &named(&good), &json!({"exp": now - 3_600})), 700_024),
        (assertion(&good, &named(&good), &json!({"iss": "another"})), 700_021),
        (assertion(&good, &named(&good), &json!({"aud": format!("https://login.microsoftonline.us/{TENANT}/oauth2/v2.0/token")})), 700_023),
        (assertion(&good, &json!({"alg": "none", "x5t#S256": sha256(&good)}), &unchanged), 50_027),
        ("a.b".to_owned(), 50_027),
    ] {
        assert_eq!(refused(sign_in(assertion).await).await, (401, code));
    }
    assert_eq!(refused(scene.sign_in(CLIENT, SECRET, SCOPE).await).await, (401, 7_000_215), "it has no secret any more");
    let broken = json!({"tenantId": TENANT, "clientId": CLIENT, "certificates": ["nonsense"]});
    assert_eq!(scene.try_control(Method::PUT, "/applications", broken).await.0, 400);
}
