//! Clients that prove with a certificate who they are (C-080).

use base64ct::{Base64, Base64UrlUnpadded, Encoding as _};
use jsonwebtoken::Algorithm;
use rcgen::{KeyPair, PKCS_ED25519, PKCS_RSA_SHA256, PublicKeyData as _, date_time_ymd};
use serde_json::{Value, json};

use super::{Secured, client};
use crate::kit::ciba::{ASK, Answer, signing_client};
use crate::kit::pki::{self, Ca, Leaf};
use crate::kit::signer::{ASSERTION_TYPE, Signer, assertion};

const REFUSED: (u16, &str) = (401, "invalid_client");

/// TOML of a client of `tls_client_auth`.
fn named(id: &str, name: &str) -> String {
    client(id, "tls_client_auth", name)
}

/// TOML of a client that registers this key.
fn registered(id: &str, jwk: &Value) -> String {
    let members = jwk.as_object().unwrap().iter();
    let members: Vec<_> = members.map(|(name, value)| format!("{name} = {value}")).collect();
    let jwks = format!("jwks = {{ keys = [{{ {} }}] }}", members.join(", "));
    client(id, "self_signed_tls_client_auth", &jwks)
}

/// The public key as a JWK (RFC 7518 §6, RFC 8037).
fn jwk(key: &KeyPair) -> Value {
    let (raw, text) = (key.der_bytes(), |bytes: &[u8]| {
        Base64UrlUnpadded::encode_string(bytes)
    });
    match raw.len() {
        65 => json!({ "kty": "EC", "crv": "P-256", "x": text(&raw[1..33]), "y": text(&raw[33..]) }),
        32 => json!({ "kty": "OKP", "crv": "Ed25519", "x": text(raw) }),
        // SEQUENCE, INTEGER of 257 bytes with a zero in front, INTEGER 65537: a key of 2048 bits.
        270 => json!({ "kty": "RSA", "n": text(&raw[9..265]), "e": "AQAB" }),
        length => panic!("a key of {length} bytes"),
    }
}

fn self_signed(name: &str, key: KeyPair) -> Leaf {
    Leaf::self_signed(&pki::client(name), key)
}

#[tokio::test]
async fn c_080_a_client_of_an_authority_is_known_by_any_name_of_its_certificate() {
    let kinds = [
        (
            "dn",
            r#"tls_client_auth_subject_dn = "CN=agent,O=Example\\, Inc.""#,
        ),
        ("dns", "tls_client_auth_san_dns = \"AGENT.example\""),
        ("uri", "tls_client_auth_san_uri = \"urn:client:agent\""),
        ("ip", "tls_client_auth_san_ip = \"192.0.2.7\""),
        ("mail", "tls_client_auth_san_email = \"agent@example.com\""),
    ];
    let clients: String = kinds.iter().map(|(id, name)| named(id, name)).collect();
    let secured = Secured::start(&clients).await;
    let metadata = secured.metadata().await;
    let methods = &metadata["token_endpoint_auth_methods_supported"];
    for method in ["tls_client_auth", "self_signed_tls_client_auth"] {
        assert!(methods.as_array().unwrap().contains(&method.into()), "{methods}");
    }
    let aliases = &metadata["mtls_endpoint_aliases"];
    assert_eq!(aliases["token_endpoint"], secured.url("/oauth2/token"));
    assert_eq!(
        aliases["backchannel_authentication_endpoint"],
        secured.url("/oauth2/bc-authorize")
    );
    let mut params = pki::client("other");
    params.subject_alt_names.pop();
    let (own, other) = (secured.ca.client("agent"), secured.ca.issue(&params));
    for (id, _) in kinds {
        let granted = secured.token(Some(&own), id).await;
        assert_eq!(granted.status, 200, "{id} {granted:?}");
        assert_eq!(secured.ask(Some(&own), id, &[]).await.status, 200, "{id}");
        // The suite's rows: another client's certificate, at both endpoints; and none.
        for wrong in [Some(&other), None] {
            assert_eq!(secured.token(wrong, id).await.refusal(), REFUSED, "{id}");
            assert_eq!(secured.ask(wrong, id, &[]).await.refusal(), REFUSED, "{id}");
        }
    }
    assert_eq!(secured.token(Some(&own), "unknown").await.refusal(), REFUSED);
    secured.server.stop().await;
}

#[tokio::test]
async fn c_080_the_clients_certificate_is_asked_for_at_one_listener_alone() {
    let secured = Secured::start(&named("dn", r#"tls_client_auth_san_dns = "agent.example""#)).await;
    let own = secured.ca.client("agent");
    let form = [("grant_type", "client_credentials"), ("client_id", "dn")];
    let url = format!("{}/oauth2/token", secured.server.url);
    let refused = secured
        .http(Some(&own))
        .post(url)
        .form(&form)
        .send()
        .await
        .unwrap();
    assert_eq!(refused.status(), 401);
    for page in ["/login", "/ciba/approve", "/healthz", "/sync/device"] {
        let answer = secured
            .http(Some(&own))
            .get(secured.url(page))
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 404, "{page}");
    }
    secured.server.stop().await;
}

#[tokio::test]
async fn c_080_a_certificate_that_has_expired_or_is_for_servers_or_of_a_stranger_fails() {
    let name = r#"tls_client_auth_san_dns = "agent.example""#;
    let secured = Secured::start(&named("named", name)).await;
    let mut expired = pki::client("agent");
    expired.not_after = date_time_ymd(2020, 1, 1);
    let mut early = pki::client("agent");
    early.not_before = date_time_ymd(2100, 1, 1);
    early.not_after = date_time_ymd(2101, 1, 1);
    let mut for_servers = pki::client("agent");
    for_servers.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    let of_itself = self_signed("agent", KeyPair::generate().unwrap());
    let wrong = [
        secured.ca.issue(&expired),
        secured.ca.issue(&early),
        secured.ca.issue(&for_servers),
        of_itself,
        Ca::new().client("agent"),
    ];
    for (index, leaf) in wrong.iter().enumerate() {
        let refused = secured.token(Some(leaf), "named").await;
        assert_eq!(refused.refusal(), REFUSED, "{index}");
    }
    let good = secured.ca.client("agent");
    assert_eq!(secured.token(Some(&good), "named").await.status, 200);
    secured.server.stop().await;
}

#[tokio::test]
async fn c_080_a_self_signed_certificate_is_known_by_its_key_or_by_itself() {
    let keys = [
        KeyPair::generate().unwrap(),
        KeyPair::generate_for(&PKCS_ED25519).unwrap(),
        KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap(),
    ];
    let leaves = keys.map(|key| self_signed("agent", key));
    let mut clients: String = (0..)
        .zip(&leaves)
        .map(|(index, leaf)| registered(&format!("agent-{index}"), &jwk(&leaf.key)))
        .collect();
    let mut pinned = jwk(&leaves[0].key);
    pinned["x5c"] = json!([Base64::encode_string(&leaves[0].der)]);
    clients += &registered("pinned", &pinned);
    let secured = Secured::start(&clients).await;
    for (index, own) in leaves.iter().enumerate() {
        let id = format!("agent-{index}");
        assert_eq!(secured.token(Some(own), &id).await.status, 200, "{id}");
        let other = &leaves[(index + 1) % leaves.len()];
        for wrong in [Some(other), None] {
            assert_eq!(secured.token(wrong, &id).await.refusal(), REFUSED, "{id}");
            assert_eq!(secured.ask(wrong, &id, &[]).await.refusal(), REFUSED, "{id}");
        }
        // An authority of ours does not make it the client's.
        let issued = secured.ca.client("agent");
        assert_eq!(secured.token(Some(&issued), &id).await.refusal(), REFUSED);
    }
    assert_eq!(secured.token(Some(&leaves[0]), "pinned").await.status, 200);
    let key = KeyPair::try_from(leaves[0].key.serialize_der()).unwrap();
    let renewed = self_signed("agent", key);
    assert_eq!(secured.token(Some(&renewed), "agent-0").await.status, 200);
    assert_eq!(secured.token(Some(&renewed), "pinned").await.refusal(), REFUSED);
    let mut expired = pki::client("agent");
    expired.not_after = date_time_ymd(2020, 1, 1);
    let expired = Leaf::self_signed(&expired, renewed.key);
    assert_eq!(secured.token(Some(&expired), "agent-0").await.refusal(), REFUSED);
    secured.server.stop().await;
}

#[tokio::test]
async fn c_080_a_client_of_another_method_is_not_known_by_a_certificate() {
    let secured = Secured::start("").await;
    let own = secured.ca.client("agent");
    // `agent` has a secret.
    assert_eq!(secured.token(Some(&own), "agent").await.refusal(), REFUSED);
    let form = [
        ("grant_type", "client_credentials"),
        ("client_id", "agent"),
        ("client_secret", "x"),
    ];
    let request = secured.http(Some(&own)).post(secured.url("/oauth2/token"));
    let refused = Answer::of(request.form(&form)).await;
    assert_eq!(refused.refusal(), REFUSED);
    secured.server.stop().await;
}

#[tokio::test]
async fn c_076_c_083_an_alias_of_an_endpoint_is_an_audience_as_the_endpoint_is() {
    let signer = Signer::new(Algorithm::ES256);
    for is_only_issuer in [false, true] {
        let only = format!("[oauth]\nissuer_is_only_audience = {is_only_issuer}\n");
        let secured = Secured::start(&[&only, &*signing_client("signing", &signer, "")].concat()).await;
        let aliases = secured.metadata().await["mtls_endpoint_aliases"].take();
        let prove = async |at: &str, audience: &str| {
            let jwt = signer.sign(&assertion("signing", audience, &[]));
            let proof = [
                ("client_assertion_type", ASSERTION_TYPE),
                ("client_assertion", &*jwt),
            ];
            let form = [&ASK[..], &proof].concat();
            Answer::of(secured.http(None).post(at).form(&form)).await.status
        };
        let alias = |name: &str| aliases[name].as_str().unwrap().to_owned();
        let (token, ask) = (
            alias("token_endpoint"),
            alias("backchannel_authentication_endpoint"),
        );
        let plain = |path: &str| format!("{}{path}", secured.server.url);
        let (own_token, own_ask) = (plain("/oauth2/token"), plain("/oauth2/bc-authorize"));
        let good = if is_only_issuer { 401 } else { 200 };
        for (at, audience, expected) in [
            (&ask, &ask, good),
            (&ask, &token, good),
            (&ask, &own_ask, good),
            (&own_ask, &ask, good),
            // The grant type is missing: the client is known.
            (&token, &token, if is_only_issuer { 401 } else { 400 }),
            (&token, &ask, 401),
            (&own_token, &own_ask, 401),
            (&ask, &secured.server.url, 200),
            (&ask, &secured.url(""), 401),
        ] {
            assert_eq!(prove(at, audience).await, expected, "{at}: {audience}");
        }
        secured.server.stop().await;
    }
}
