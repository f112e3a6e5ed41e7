//! D-032: a stolen database, together with everything else the server has, yields no token.

use std::collections::BTreeSet;

use base64ct::{Base64, Base64UrlUnpadded, Encoding as _};
use device_proto::seal::{Key, KeyUse, Sealed};
use device_proto::{Challenge, RequestId, Verifier};
use serde_json::Value;

use crate::kit::idp::Idp;
use crate::kit::login::signed_in;
use crate::kit::session::{API, OTHER, RESOURCE, Session};
use crate::kit::site::{CLIENT_SECRET, Site};

/// Bytes of a run of printable characters that may be a secret.
const LEAST: usize = 8;

#[tokio::test]
async fn d_032_nothing_the_server_has_opens_what_it_keeps() {
    let idp = Idp::start().await;
    let mut site = Site::new(&idp.issuer).with("LOGIN__CONFIRM", "\"code\"");
    let server = site.start().await;
    let (session, mut link) = signed_in(&server, RESOURCE).await;
    for resource in [OTHER, API] {
        link.asked(resource, None).await;
    }
    link.renewed(1).await;
    let record = site.record(&session).await.unwrap().value;
    let record: Value = serde_json::from_slice(&record).unwrap();
    let sealed = seals(&record);
    let names: Vec<_> = sealed.iter().map(|(name, _)| &**name).collect();
    assert_eq!(names, ["grant", OTHER, RESOURCE, API]);
    for (resource, text) in &sealed {
        let mine = candidates(session.secret)
            .into_iter()
            .any(|secret| opens(&secret, &session.id, resource, text));
        assert!(mine, "the device's own challenge opens {resource}");
    }
    let had = everything(&site);
    for known in [
        CLIENT_SECRET,
        session.id.as_str(),
        &session.challenge().verifier().to_string(),
    ] {
        assert!(
            had.iter().any(|text| text.contains(known)),
            "{known} is among what is tried"
        );
    }
    let keys: BTreeSet<_> = had.iter().flat_map(|text| keys_of(text)).collect();
    for secret in &keys {
        for (resource, text) in &sealed {
            assert!(!opens(secret, &session.id, resource, text), "{resource} opens");
        }
    }
    server.stop().await;
}

/// Returns every sealed text of a record, and what it is sealed for.
fn seals(record: &Value) -> Vec<(String, String)> {
    let active = &record["stage"]["active"];
    let tokens = active["tokens"].as_object().unwrap();
    let tokens = tokens
        .iter()
        .map(|(resource, held)| (resource.clone(), held["sealed"].clone()));
    let grant = ("grant".to_owned(), active["grant"].clone());
    let all = std::iter::once(grant).chain(tokens);
    all.map(|(name, sealed)| (name, sealed.as_str().unwrap().to_owned()))
        .collect()
}

/// Returns every text that the server was given or has written: configuration, environment, database.
fn everything(site: &Site) -> BTreeSet<String> {
    let command = site.command("serve");
    let environment = command.as_std().get_envs().filter_map(|(_, value)| value);
    let environment = environment.map(|value| value.to_str().unwrap().as_bytes().to_vec());
    let files = site.dump().into_iter().map(|(_, bytes)| bytes);
    let all = files
        .chain(environment)
        .chain([std::fs::read(site.config()).unwrap()]);
    all.flat_map(|bytes| runs(&bytes)).collect()
}

/// Returns the words of base64 and of other printable characters in these bytes.
fn runs(bytes: &[u8]) -> Vec<String> {
    let word = |byte: &u8| !byte.is_ascii_alphanumeric() && !b"-_+/=".contains(byte);
    let long = |byte: &u8| !byte.is_ascii_graphic() || b"\"'".contains(byte);
    let both = bytes.split(word).chain(bytes.split(long));
    let runs = both.filter(|run| run.len() >= LEAST);
    runs.map(|run| String::from_utf8(run.to_vec()).unwrap()).collect()
}

/// Returns what a text may be as a key: itself, what it encodes, and the hash of each.
fn keys_of(text: &str) -> Vec<[u8; 32]> {
    let decoded = [
        Base64UrlUnpadded::decode_vec(text).ok(),
        Base64::decode_vec(text).ok(),
        Some(text.as_bytes().to_vec()),
    ];
    decoded
        .into_iter()
        .flatten()
        .flat_map(|bytes| {
            let mut padded = [0; 32];
            let length = bytes.len().min(32);
            padded[..length].copy_from_slice(&bytes[..length]);
            candidates(padded)
        })
        .chain([hash(text)])
        .collect()
}

fn candidates(secret: [u8; 32]) -> [[u8; 32]; 2] {
    [secret, hash(&Base64UrlUnpadded::encode_string(&secret))]
}

fn hash(text: &str) -> [u8; 32] {
    let hashed = Base64UrlUnpadded::decode_vec(&Verifier::of(text).to_string()).unwrap();
    hashed.try_into().unwrap()
}

/// Whether a secret opens a sealed text, taken for any key that there is.
fn opens(secret: &[u8; 32], session: &RequestId, resource: &str, sealed: &str) -> bool {
    let sealed = Sealed::try_from(sealed.to_owned()).unwrap();
    let keys = [
        Key::of_challenge(Challenge::new(secret), session, KeyUse::Token),
        Key::of_challenge(Challenge::new(secret), session, KeyUse::Refresh),
        Key::of_challenge(Challenge::new(secret), session, KeyUse::Approval),
        Key::of_server(secret, &[0; 16], session),
    ];
    let mut buffer = vec![0; sealed.plaintext_len()];
    keys.iter()
        .any(|key| key.open(resource, &sealed, &mut buffer).is_ok())
}

#[test]
fn what_is_tried_is_what_was_found() {
    let session = Session::of([7; 32], serde_json::json!({ "requestId": "r".repeat(22) }));
    let found = keys_of(&session.challenge_text());
    assert!(
        found.contains(&[7; 32]),
        "a challenge in base64url is one of the keys"
    );
    assert_eq!(
        runs(b"\0a-secret-of-ours\0"),
        ["a-secret-of-ours", "a-secret-of-ours"]
    );
}
