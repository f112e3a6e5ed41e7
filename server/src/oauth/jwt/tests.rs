//! Assertions and keys as clients send them, good and bad.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::routing::get;
use jsonwebtoken::{Algorithm, Header};
use proptest::prelude::*;
use serde_json::{Value, json};
use store::{OpenMode, UnixSeconds};
use tokio::net::TcpListener;
use url::Url;

use super::signer::Signer;
use super::*;
use crate::oauth::alg::Alg;
use crate::oauth::client::Client;
use crate::oauth::used::Used;
use crate::outgoing::{Rules, UntrustedHttp};
use crate::refusal::Refusal;

const NOW: u64 = 1_000_000;

const RULES: AssertionRules<'_> = AssertionRules {
    audiences: &["https://us", "https://us/token"],
    tolerance: 30,
};

/// A client whose keys are these, or are at this URL.
pub(crate) fn client(id: &str, keys: &Value) -> Client {
    let mut client = json!({
        "id": id,
        "secret": null,
        "created_at": 0,
        "metadata": {
            "client_name": id,
            "grant_types": [],
            "token_endpoint_auth_method": "private_key_jwt",
            "id_token_signed_response_alg": "RS256",
        }
    });
    let place = if keys.is_string() { "jwks_uri" } else { "jwks" };
    client["metadata"][place] = keys.clone();
    serde_json::from_value(client).unwrap()
}

fn client_keys() -> ClientKeys {
    ClientKeys::new(UntrustedHttp::new(&Rules::default(), true))
}

/// For clients whose keys are in hand: nothing is fetched.
pub(crate) fn inline_keys() -> &'static ClientKeys {
    static KEYS: std::sync::OnceLock<ClientKeys> = std::sync::OnceLock::new();
    KEYS.get_or_init(client_keys)
}

pub(crate) fn used() -> Used {
    Used::new(store::open("memory:", OpenMode::Create).unwrap(), 0)
}

fn good(jti: &str) -> Value {
    json!({ "iss": "c", "sub": "c", "aud": "https://us", "exp": NOW + 60, "jti": jti })
}

async fn judged(token: &str, client: &Client, used: &Used) -> Result<(), Refusal> {
    let assertion = Assertion::read(token)?;
    let now = UnixSeconds::new(NOW);
    assertion.verify(client, &RULES, inline_keys(), used, now).await
}

async fn accepts(signer: &Signer, claims: &Value) -> bool {
    judged(&signer.sign(claims), &client("c", &signer.set()), &used())
        .await
        .is_ok()
}

#[tokio::test]
async fn c_075_every_algorithm_of_ours_proves_a_client() {
    for alg in Alg::ALL {
        let signer = Signer::new(alg, "1");
        assert!(accepts(&signer, &good("1")).await, "{alg}");
        assert!(accepts(&signer.without_kid(), &good("1")).await, "{alg}");
        let token = signer.sign(&good("1"));
        assert_eq!(Assertion::read(&token).unwrap().client_id(), "c");
    }
}

#[tokio::test]
async fn c_075_c_076_c_077_an_assertion_is_refused_when_a_claim_is_wrong() {
    let signer = Signer::new(Alg::ES256, "1");
    for (name, value, expected) in [
        ("iss", json!("d"), false),
        ("iss", json!(null), false),
        ("iss", json!(["c"]), false),
        ("sub", json!("d"), false),
        ("aud", json!("https://us/token"), true),
        ("aud", json!(["https://them", "https://us"]), true),
        ("aud", json!("https://us/"), false),
        ("aud", json!([]), false),
        ("aud", json!(null), false),
        ("exp", json!(NOW - 29), true),
        ("exp", json!(NOW - 30), false),
        ("exp", json!(NOW + 3630), true),
        ("exp", json!(NOW + 3631), false),
        ("exp", json!(u64::MAX), false),
        ("exp", json!("1000060"), false),
        ("exp", json!(null), false),
        ("nbf", json!(NOW + 30), true),
        ("nbf", json!(NOW + 31), false),
        ("iat", json!(NOW + 30), true),
        ("iat", json!(NOW + 31), false),
        ("iat", json!("x"), false),
        ("jti", json!(""), false),
        ("jti", json!(1), false),
        ("more", json!({ "a": [1] }), true),
    ] {
        let mut claims = good("1");
        claims[name] = value.clone();
        assert_eq!(accepts(&signer, &claims).await, expected, "{name}: {value}");
    }
    for name in ["iss", "sub", "aud", "exp", "jti"] {
        let mut claims = good("1");
        claims.as_object_mut().unwrap().remove(name);
        assert!(!accepts(&signer, &claims).await, "without {name}");
    }
}

#[tokio::test]
async fn c_048_c_075_an_assertion_is_refused_when_its_header_or_key_is_wrong() {
    let signer = Signer::new(Alg::RS256, "1");
    let known = client("c", &signer.set());
    let modulus = signer.public()["n"].as_str().unwrap().to_owned();
    let hmac = |secret: &str| {
        let mut hmac = Signer::hmac(secret.as_bytes());
        hmac.header.kid = Some("1".into());
        hmac
    };
    let header = |change: fn(&mut Header)| signer.with_header(change);
    for (what, signer) in [
        (
            "another client's key of the same kid",
            Signer::new(Alg::RS256, "1"),
        ),
        ("an unknown kid", header(|header| header.kid = Some("2".into()))),
        (
            "another algorithm of the key",
            header(|header| header.alg = Algorithm::PS256),
        ),
        (
            "an algorithm that is not ours",
            header(|header| header.alg = Algorithm::RS512),
        ),
        ("a public key as HMAC key", hmac(&modulus)),
        ("the key set as HMAC key", hmac(&signer.set().to_string())),
        (
            "a critical extension",
            header(|header| header.crit = Some(vec!["b64".into()])),
        ),
        (
            "no critical extension, said",
            header(|header| header.crit = Some(vec![])),
        ),
        (
            "a signed request",
            header(|header| header.typ = Some("oauth-authz-req+jwt".into())),
        ),
        (
            "an access token",
            header(|header| header.typ = Some("at+jwt".into())),
        ),
    ] {
        let refused = judged(&signer.sign(&good("1")), &known, &used()).await;
        assert_eq!(refused, Err(Refusal::invalid_client()), "{what}");
    }
    for typ in [None, Some("jwt"), Some("Client-Authentication+JWT")] {
        let signer = signer.with_header(|header| header.typ = typ.map(str::to_owned));
        assert!(accepts(&signer, &good("1")).await, "{typ:?}");
    }
    let embedded = Signer::new(Alg::RS256, "1");
    let jwk = serde_json::from_value(embedded.public()).unwrap();
    let embedded = embedded.with_header(|header| header.jwk = Some(jwk));
    assert!(judged(&embedded.sign(&good("1")), &known, &used()).await.is_err());
    let other = client("d", &signer.set());
    assert!(judged(&signer.sign(&good("1")), &other, &used()).await.is_err());
    let mut registered = known.clone();
    registered.metadata.token_endpoint_auth_signing_alg = Some(Alg::PS256);
    assert!(
        judged(&signer.sign(&good("1")), &registered, &used())
            .await
            .is_err()
    );
}

#[tokio::test]
async fn c_048_an_encryption_key_or_one_for_another_algorithm_verifies_nothing() {
    let signer = Signer::new(Alg::RS256, "1");
    for (member, value) in [
        ("use", json!("enc")),
        ("alg", json!("PS256")),
        ("alg", json!("RSA-OAEP")),
        ("key_ops", json!(["encrypt"])),
    ] {
        let mut key = signer.public();
        key[member] = value.clone();
        let known = client("c", &json!({ "keys": [key] }));
        let refused = judged(&signer.sign(&good("1")), &known, &used()).await;
        assert!(refused.is_err(), "{member}: {value}");
    }
}

#[test]
fn c_075_what_is_not_a_signed_jwt_of_ours_is_refused_before_its_client_is_looked_up() {
    let signer = Signer::new(Alg::ES256, "1");
    let token = signer.sign(&good("1"));
    let [header, payload, signature] = <[&str; 3]>::try_from(token.split('.').collect::<Vec<_>>()).unwrap();
    let encoded = |json: &Value| {
        use base64ct::{Base64UrlUnpadded, Encoding as _};
        Base64UrlUnpadded::encode_string(json.to_string().as_bytes())
    };
    let none = encoded(&json!({ "alg": "none" }));
    let encrypted = encoded(&json!({ "alg": "dir", "enc": "A256GCM" }));
    for bad in [
        String::new(),
        ".".into(),
        "..".into(),
        format!("{header}.{payload}"),
        format!("{header}.{payload}.{signature}."),
        format!("{header}.{payload}.{signature}.x.y"),
        format!("{encrypted}..{payload}.{payload}.{signature}"),
        format!("{none}.{payload}."),
        format!("{}.{payload}.", encoded(&json!({ "alg": "None" }))),
        format!("{}.{payload}.{signature}", encoded(&json!({ "alg": "ES256K" }))),
        format!("{header}.{}.{signature}", encoded(&json!([]))),
        format!("{header}.{}.{signature}", encoded(&json!({ "iss": "c" }))),
        format!("{header}.{payload}=.{signature}"),
        signer.sign(&json!({ "sub": "c", "more": "x".repeat(16 * 1024) })),
    ] {
        assert!(Assertion::read(&bad).is_err(), "{bad}");
    }
}

#[tokio::test]
async fn c_078_an_assertion_counts_once_and_only_when_its_signature_is_good() {
    let signer = Signer::new(Alg::ES256, "1");
    let (known, used) = (client("c", &signer.set()), used());
    let forged = Signer::new(Alg::ES256, "1").sign(&good("1"));
    assert!(judged(&forged, &known, &used).await.is_err());
    let token = signer.sign(&good("1"));
    assert!(
        judged(&token, &known, &used).await.is_ok(),
        "the forgery used nothing up"
    );
    assert!(judged(&token, &known, &used).await.is_err());
    let again =
        signer.sign(&json!({ "iss": "c", "sub": "c", "aud": "https://us", "exp": NOW + 99, "jti": "1" }));
    assert!(judged(&again, &known, &used).await.is_err());
    assert!(judged(&signer.sign(&good("2")), &known, &used).await.is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn c_160_a_token_that_was_changed_never_verifies(at in any::<prop::sample::Index>(), byte in 0x20u8..0x7f, cut in any::<bool>()) {
        let (signer, token) = signed();
        let at = at.index(token.len());
        let mut changed = token.clone().into_bytes();
        if cut { changed.truncate(at) } else { changed[at] = byte }
        let changed = String::from_utf8(changed).unwrap();
        if changed != *token {
            let set = KeySet::of(signer.set()).unwrap();
            let claims = Jws::read(&changed, 4096).and_then(|read| {
                let key = set.key_for(&read, Alg::ES256).ok()?;
                read.claims_signed_with(key)
            });
            prop_assert!(claims.is_none());
        }
    }

    #[test]
    fn c_160_any_text_is_refused_without_a_panic(text in "\\PC*", parts in "[A-Za-z0-9_.-]{0,200}") {
        prop_assert!(Assertion::read(&text).is_err());
        prop_assert!(Assertion::read(&parts).is_err());
    }
}

fn signed() -> &'static (Signer, String) {
    static SIGNED: std::sync::OnceLock<(Signer, String)> = std::sync::OnceLock::new();
    SIGNED.get_or_init(|| {
        let signer = Signer::new(Alg::ES256, "1");
        let token = signer.sign(&good("1"));
        (signer, token)
    })
}

/// A client's own server, which counts how often its keys are asked for.
struct Host {
    uri: Url,
    asked: Arc<AtomicUsize>,
    set: Arc<std::sync::Mutex<Value>>,
}

impl Host {
    async fn serving(set: Value) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri = format!("http://{}/keys", listener.local_addr().unwrap());
        let (asked, set) = (
            Arc::new(AtomicUsize::new(0)),
            Arc::new(std::sync::Mutex::new(set)),
        );
        let (count, shown) = (Arc::clone(&asked), Arc::clone(&set));
        let keys = async move || {
            count.fetch_add(1, Ordering::SeqCst);
            let set = shown.lock().unwrap().clone();
            match set.is_null() {
                true => Err(http::StatusCode::NOT_FOUND),
                false => Ok(axum::Json(set)),
            }
        };
        let routes = Router::new().route("/keys", get(keys));
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Self {
            uri: uri.parse().unwrap(),
            asked,
            set,
        }
    }

    fn now_serves(&self, set: Value) {
        *self.set.lock().unwrap() = set;
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

async fn is_signed_by(keys: &ClientKeys, owner: &str, host: &Host, signer: &Signer) -> bool {
    let token = signer.sign(&good("1"));
    let token = Jws::read(&token, 4096).unwrap();
    keys.claims(KeysOf::At(owner, &host.uri), &token, Alg::ES256)
        .await
        .is_some()
}

#[tokio::test]
async fn c_079_keys_behind_a_uri_are_fetched_once_and_again_for_an_unknown_kid_but_not_often() {
    let [one, two] = ["1", "2"].map(|kid| Signer::new(Alg::ES256, kid));
    let host = Host::serving(one.set()).await;
    let mut keys = client_keys();
    let (first, second) = tokio::join!(
        is_signed_by(&keys, "c", &host, &one),
        is_signed_by(&keys, "c", &host, &one)
    );
    assert!(first && second);
    assert_eq!(host.asked(), 1, "one asks for all who wait");
    host.now_serves(two.set());
    assert!(!is_signed_by(&keys, "c", &host, &two).await);
    assert!(is_signed_by(&keys, "c", &host, &one).await);
    assert_eq!(host.asked(), 1, "not so soon");
    keys.hurry();
    assert!(is_signed_by(&keys, "c", &host, &two).await);
    assert!(
        !is_signed_by(&keys, "c", &host, &one).await,
        "the old key is gone"
    );
    assert_eq!(host.asked(), 3, "each unknown kid asks once");
}

#[tokio::test]
async fn c_079_owners_are_apart_and_a_new_uri_is_asked_at_once() {
    let [one, two] = ["1", "2"].map(|kid| Signer::new(Alg::ES256, kid));
    let [host, other] = [Host::serving(one.set()).await, Host::serving(two.set()).await];
    let keys = client_keys();
    assert!(is_signed_by(&keys, "c", &host, &one).await);
    assert!(is_signed_by(&keys, "d", &host, &one).await);
    assert_eq!(host.asked(), 2);
    assert!(is_signed_by(&keys, "c", &other, &two).await);
    assert!(!is_signed_by(&keys, "d", &host, &two).await);
}

#[tokio::test]
async fn c_079_keys_that_are_bad_or_away_verify_nothing_and_are_not_asked_for_again_and_again() {
    let one = Signer::new(Alg::ES256, "1");
    let mut private = one.public();
    private["d"] = json!("AAAA");
    for set in [
        Value::Null,
        json!([]),
        json!({ "keys": [private] }),
        json!({ "keys": [] }),
    ] {
        let host = Host::serving(set.clone()).await;
        let keys = client_keys();
        for _ in 0..3 {
            assert!(!is_signed_by(&keys, "c", &host, &one).await, "{set}");
        }
        assert_eq!(host.asked(), 1, "{set}");
    }
}

#[tokio::test]
async fn c_079_old_keys_are_dropped_even_when_no_newer_ones_come() {
    let one = Signer::new(Alg::ES256, "1");
    let host = Host::serving(one.set()).await;
    let mut keys = client_keys();
    assert!(is_signed_by(&keys, "c", &host, &one).await);
    host.now_serves(Value::Null);
    keys.hurry();
    assert!(is_signed_by(&keys, "c", &host, &one).await);
    keys.grow_old();
    assert!(!is_signed_by(&keys, "c", &host, &one).await);
    assert_eq!(host.asked(), 2);
    keys.forget_old();
    assert_eq!(keys.owners(), 0);
}

#[tokio::test]
async fn c_079_an_owner_who_gave_no_keys_is_not_asked_again_soon_because_of_a_sweep() {
    let one = Signer::new(Alg::ES256, "1");
    let host = Host::serving(Value::Null).await;
    let mut keys = client_keys();
    assert!(!is_signed_by(&keys, "c", &host, &one).await);
    keys.forget_old();
    assert!(!is_signed_by(&keys, "c", &host, &one).await);
    assert_eq!(host.asked(), 1);
    keys.hurry();
    keys.forget_old();
    assert_eq!(keys.owners(), 0);
}
