//! Entra ID: tokens by certificate, for the assertions that the real service accepts and for no others.

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    entra::{description, refused},
    signing::{Signer, base64},
    support::{AUTHORITY, CLIENT, LocalAzure, SCOPE, SECRET, TENANT},
};

fn assertion(signer: &Signer, header: &Value, changes: &Value) -> String {
    let now = jiff::Timestamp::now().as_second();
    let mut claims = json!({
        "aud": format!("{AUTHORITY}/{TENANT}/oauth2/v2.0/token"),
        "iss": CLIENT, "sub": CLIENT, "jti": "1", "nbf": now, "exp": now + 600,
    });
    claims.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    signer.sign(header, &claims)
}

fn named(signer: &Signer) -> Value {
    json!({"alg": "RS256", "typ": "JWT", "x5t#S256": signer.sha256()})
}

async fn registered(azure: &LocalAzure, signers: &[&Signer]) {
    let certificates: Vec<_> = signers.iter().map(|signer| &signer.pem).collect();
    let application = json!({"tenantId": TENANT, "clientId": CLIENT, "certificates": certificates});
    azure.control(Method::PUT, "/applications", application).await;
}

#[tokio::test]
async fn only_registered_certificate_gives_token() {
    let azure = LocalAzure::new(json!({})).await;
    let (good, stale, foreign) = (Signer::own(false), Signer::own(true), Signer::own(false));
    registered(&azure, &[&good, &stale]).await;
    let unchanged = json!({});

    for header in [
        named(&good),
        json!({"alg": "PS256", "x5t#S256": good.sha256()}),
        json!({"alg": "PS256", "typ": "JWT", "x5t": good.sha1(), "x5t#S256": good.sha256(), "x5c": [base64(&good.der)]}),
        json!({"alg": "RS256", "x5t": good.sha1()}),
        // MSAL for Python writes the padding.
        json!({"alg": "PS256", "x5t#S256": format!("{}=", good.sha256())}),
        // azure_identity for Rust sends the PEM file.
        json!({"alg": "RS256", "x5t": good.sha1(), "x5c": [base64(good.pem.as_bytes())]}),
    ] {
        let response = azure.assert(&assertion(&good, &header, &unchanged)).await;
        assert_eq!(response.status(), 200, "{header}: {}", response.text().await.unwrap());
        let row = azure.last_row().await;
        assert_eq!((&row["credential"], &row["clientId"]), (&json!("certificate"), &json!(CLIENT)));
    }
    let padded = format!("{}==", assertion(&good, &named(&good), &unchanged));
    assert_eq!(azure.assert(&padded).await.status(), 200, "segments of azure-identity's asynchronous client for Python");
    let now = jiff::Timestamp::now().as_second();
    let fractions = serde_json::from_str(&format!(r#"{{"nbf": {now}.25, "exp": {}.5}}"#, now + 600)).unwrap();
    assert_eq!(azure.assert(&assertion(&good, &named(&good), &fractions)).await.status(), 200, "times of MSAL for Python");
    for (assertion, code) in [
        (assertion(&foreign, &named(&good), &unchanged), 700_027),
        (assertion(&foreign, &named(&foreign), &unchanged), 700_027),
        (assertion(&stale, &named(&stale), &unchanged), 700_027),
        (assertion(&good, &named(&good), &json!({"exp": now - 3_600})), 700_024),
        (assertion(&good, &named(&good), &json!({"exp": 1.5})), 700_024),
        (assertion(&good, &named(&good), &json!({"exp": "soon"})), 50_027),
        (assertion(&good, &named(&good), &json!({"nbf": now + 3_600, "exp": now + 7_200})), 700_024),
        (assertion(&good, &named(&good), &json!({"iss": "another"})), 700_021),
        (assertion(&good, &named(&good), &json!({"sub": "another"})), 700_021),
        (assertion(&good, &named(&good), &json!({"aud": format!("https://login.microsoftonline.us/{TENANT}/oauth2/v2.0/token")})), 700_023),
        (assertion(&good, &named(&good), &json!({"aud": format!("{AUTHORITY}/another/oauth2/v2.0/token")})), 700_023),
        (assertion(&good, &named(&good), &json!({"jti": null})), 50_027),
        (assertion(&good, &json!({"alg": "none", "x5t#S256": good.sha256()}), &unchanged), 5_002_738),
        (assertion(&good, &json!({"alg": "HS256", "x5t#S256": good.sha256()}), &unchanged), 5_002_738),
        (assertion(&good, &json!({"alg": "RS256"}), &unchanged), 5_002_723),
        (assertion(&good, &json!({"alg": "RS256", "typ": "at+jwt", "x5t": good.sha1()}), &unchanged), 5_002_727),
        ("a.b".to_owned(), 50_027),
        ("a.b.c.d".to_owned(), 50_027),
    ] {
        assert_eq!(refused(azure.assert(&assertion).await).await, (401, code));
    }
    assert_eq!(refused(azure.sign_in(CLIENT, SECRET, SCOPE).await).await, (401, 7_000_215), "its secret was removed");
    let broken = json!({"tenantId": TENANT, "clientId": CLIENT, "certificates": ["nonsense"]});
    assert_eq!(azure.try_control(Method::PUT, "/applications", broken).await.0, 400);
}

#[tokio::test]
async fn refusal_names_key_and_its_fault() {
    let azure = LocalAzure::new(json!({})).await;
    let (good, stale, foreign) = (Signer::own(false), Signer::own(true), Signer::own(false));
    registered(&azure, &[&good, &stale]).await;
    for (signer, header, words) in [
        (
            &foreign,
            named(&foreign),
            "is not registered on application. [Reason - The key was not found., Thumbprint of key used by client: '",
        ),
        (&stale, named(&stale), "Found key 'Start=01/01/2020 00:00:00, End=01/01/2021 00:00:00'"),
        (&foreign, named(&good), "[Reason - Key was found, but use of the key to verify the signature failed., Thumbprint"),
    ] {
        let text = description(azure.assert(&assertion(signer, &header, &json!({}))).await).await;
        assert!(text.contains(words) && text.contains(CLIENT), "{text}");
    }
    let text = description(azure.assert(&assertion(&good, &named(&good), &json!({"nbf": 0, "exp": 86_400}))).await).await;
    assert!(
        text.contains("assertion valid from 1970-01-01T00:00:00.0000000Z, expiry time of assertion 1970-01-02T00:00:00.0000000Z"),
        "{text}"
    );
}

#[tokio::test]
async fn broken_certificate_chain_is_refused() {
    let azure = LocalAzure::new(json!({})).await;
    let (leaf, authority) = Signer::signed_by_authority();
    let foreign = Signer::own(false);
    registered(&azure, &[&leaf]).await;
    let with = |x5c: Value| json!({"alg": "PS256", "typ": "JWT", "x5t#S256": leaf.sha256(), "x5c": x5c});
    let (own, above, other) = (base64(&leaf.der), base64(&authority), base64(&foreign.der));
    for x5c in [json!([own]), json!([own, above])] {
        assert_eq!(azure.assert(&assertion(&leaf, &with(x5c), &json!({}))).await.status(), 200);
    }
    for (x5c, words) in [
        (json!([own, other]), "not signed by the next"),
        (json!([above, own]), "does not match the thumbprint"),
        (json!([]), "does not match the thumbprint"),
        (json!(["%"]), "not base64"),
        (json!([base64(b"nonsense")]), "not an X.509 certificate"),
    ] {
        let text = description(azure.assert(&assertion(&leaf, &with(x5c), &json!({}))).await).await;
        assert!(text.starts_with("AADSTS50027: ") && text.contains(words), "{text}");
    }
}
