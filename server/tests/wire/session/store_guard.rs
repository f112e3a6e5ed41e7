//! The database file: made once and on purpose, and never written to when it is not the one that was opened.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use serde_json::json;

use crate::kit::browser::http;
use crate::kit::idp::Idp;
use crate::kit::link::{EVER, Link};
use crate::kit::login::Login;
use crate::kit::session::{RESOURCE, Session};
use crate::kit::site::{CLIENT_SECRET, Site};

/// Runs a command of the program to its end: whether it succeeded, and what it said.
async fn run(site: &Site, name: &str) -> (bool, String) {
    let output = site.run(name).await;
    (output.status.success(), [output.stdout, output.stderr].concat())
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
    let mut login = Login::done().await;
    login.server.stop().await;
    let (made, said) = run(&login.site, "init").await;
    assert!(made && said.contains("is there already"), "{said}");
    let server = login.site.start().await;
    assert_eq!(
        Link::connect(&server, &login.session).await.tokens,
        login.link.tokens
    );
    server.stop().await;
    fs::remove_file(login.site.database()).unwrap();
    let (made, said) = run(&login.site, "init").await;
    assert!(made && said.contains("made /"), "{said}");
    assert_eq!(
        fs::metadata(login.site.database()).unwrap().permissions().mode() & 0o777,
        0o600
    );
    fs::write(login.site.database(), "theirs").unwrap();
    let (made, _) = run(&login.site, "init").await;
    assert!(!made);
    assert_eq!(fs::read(login.site.database()).unwrap(), b"theirs");
}

#[tokio::test]
async fn a_database_that_was_deleted_under_the_server_is_said_and_takes_nothing_more() {
    let mut login = Login::done().await;
    let away = login.site.database().with_extension("away");
    fs::rename(login.site.database(), &away).unwrap();
    let verifier = device_proto::Challenge::new(&[7; 32]).verifier();
    let begin = http().post(format!("{}/auth/par/authorize", login.server.url));
    let begun = begin.json(&json!({ "verifier": verifier })).send().await.unwrap();
    assert_eq!(begun.status(), 503);
    assert_eq!(
        login.link.refused(RESOURCE, Some(EVER)).await,
        "temporarily_unavailable"
    );
    assert!(
        login.idp.seen().refreshed_with().is_empty(),
        "no refresh token is spent"
    );
    let health = http()
        .get(format!("{}/healthz", login.server.url))
        .send()
        .await
        .unwrap();
    assert_eq!(health.status(), 503);
    assert!(!login.site.database().exists(), "no new one in its place");
    fs::rename(&away, login.site.database()).unwrap();
    Session::begin(&login.server).await;
    let log = login.server.stop().await;
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
