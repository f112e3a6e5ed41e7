//! The database file: made once and on purpose, and never written to when it is not the one that was opened.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use serde_json::json;

use crate::kit::browser::http;
use crate::kit::device::{Link, RESOURCE, Session};
use crate::kit::idp::Idp;
use crate::kit::in_time;
use crate::kit::server::{CLIENT_SECRET, Site};
use crate::session::publish::signed_in;
use crate::session::renew::{EVER, refused};

/// Runs a command of the program to its end: whether it succeeded, and what it said.
async fn run(site: &Site, name: &str) -> (bool, String) {
    let output = in_time(site.command(name).output()).await.unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).unwrap())
}

#[tokio::test]
async fn a_missing_database_is_never_made_in_silence() {
    let idp = Idp::start().await;
    let mut site = Site::new(&idp.issuer);
    site.start().await.stop().await;
    fs::remove_file(site.database()).unwrap();
    let (served, said) = run(&site, "serve").await;
    let path = site.database().display().to_string();
    assert!(!served && said.contains(&path), "{said}");
    assert!(
        said.contains("ciba-server init --config /") && said.contains("ciba.toml"),
        "{said}"
    );
    let (checked, said) = run(&site, "check").await;
    assert!(checked && said.contains("ciba-server init --config"), "{said}");
    assert!(
        said.contains("urn:sap:identity:api:name:* → exchange, audience = {1}"),
        "{said}"
    );
    assert!(!site.database().exists() && !said.contains(CLIENT_SECRET));
}

#[tokio::test]
async fn init_makes_the_database_once() {
    let idp = Idp::start().await;
    let mut site = Site::new(&idp.issuer);
    let server = site.start().await;
    let (session, link) = signed_in(&server).await;
    server.stop().await;
    let (made, said) = run(&site, "init").await;
    assert!(made && said.contains("is there already"), "{said}");
    let server = site.start().await;
    assert_eq!(Link::connect(&server, &session).await.tokens, link.tokens);
    server.stop().await;
    fs::remove_file(site.database()).unwrap();
    let (made, said) = run(&site, "init").await;
    assert!(made && said.contains("made /"), "{said}");
    assert_eq!(
        fs::metadata(site.database()).unwrap().permissions().mode() & 0o777,
        0o600
    );
    fs::write(site.database(), "theirs").unwrap();
    let (made, _) = run(&site, "init").await;
    assert!(!made);
    assert_eq!(fs::read(site.database()).unwrap(), b"theirs");
}

#[tokio::test]
async fn a_database_that_was_deleted_under_the_server_is_said_and_takes_nothing_more() {
    let idp = Idp::start().await;
    let mut site = Site::new(&idp.issuer);
    let server = site.start().await;
    let (_session, mut link) = signed_in(&server).await;
    let away = site.database().with_extension("away");
    fs::rename(site.database(), &away).unwrap();
    let verifier = device_proto::Challenge::new(&[7; 32]).verifier();
    let begin = http().post(format!("{}/auth/par/authorize", server.url));
    let begun = begin.json(&json!({ "verifier": verifier })).send().await.unwrap();
    assert_eq!(begun.status(), 503);
    assert_eq!(
        refused(&mut link, RESOURCE, Some(EVER)).await,
        "temporarily_unavailable"
    );
    assert!(
        idp.seen().refreshed_with().is_empty(),
        "no refresh token is spent"
    );
    let health = http()
        .get(format!("{}/healthz", server.url))
        .send()
        .await
        .unwrap();
    assert_eq!(health.status(), 503);
    assert!(!site.database().exists(), "no new one in its place");
    fs::rename(&away, site.database()).unwrap();
    Session::begin(&server).await;
    let log = server.stop().await;
    assert!(log.contains("deleted or replaced while it was in use"), "{log}");
}

#[tokio::test]
async fn a_database_that_others_may_read_is_closed_to_them() {
    let idp = Idp::start().await;
    let mut site = Site::new(&idp.issuer);
    site.start().await.stop().await;
    fs::set_permissions(site.database(), Permissions::from_mode(0o644)).unwrap();
    let log = site.start().await.stop().await;
    assert!(log.contains("was open to others"), "{log}");
    assert_eq!(
        fs::metadata(site.database()).unwrap().permissions().mode() & 0o777,
        0o600
    );
}
