//! The signing keys of the real program: made, refused, replaced while it serves (C-031, C-032).

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;

use super::site;
use crate::kit::browser::http;
use crate::kit::link::Link;
use crate::kit::login::Login;
use crate::kit::server::{Server, command};
use crate::kit::site::Site;

/// Tries to serve; returns what the program said when it did not.
async fn refused(site: &Site) -> String {
    let output = site.run("serve").await;
    assert!(!output.status.success());
    output.stderr
}

/// Runs `ciba-server keys`.
async fn keys(site: &Site, what: &str) -> String {
    let arguments = ["keys", what, "--config"];
    let mut program = command();
    program.args(arguments).arg(site.config());
    let output = program.output().await.unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn c_031_a_server_without_its_keys_or_with_keys_that_others_may_read_does_not_serve() {
    let mut site = site();
    site.start().await.stop().await;
    let folder = site.database().with_file_name("keys");
    fs::set_permissions(&folder, Permissions::from_mode(0o750)).unwrap();
    let said = refused(&site).await;
    assert!(said.contains("chmod go= /"), "{said}");
    fs::remove_dir_all(&folder).unwrap();
    let said = refused(&site).await;
    assert!(said.contains("ciba-server init --config /"), "{said}");
    assert!(!folder.exists(), "a server makes no keys by itself");
    let checked = site.run("check").await;
    assert!(
        checked.stdout.contains("keys: there are no keys at /"),
        "{checked:?}"
    );
}

#[tokio::test]
async fn a_server_for_devices_alone_goes_on_without_keys_as_before_there_were_any() {
    let mut login = Login::done().await;
    login.server.stop().await;
    let folder = login.site.database().with_file_name("keys");
    fs::remove_dir_all(&folder).unwrap();
    let server = login.site.start().await;
    let link = Link::connect(&server, &login.session).await;
    assert_eq!(link.tokens, login.link.tokens);
    for path in ["jwks", ".well-known/openid-configuration", "oauth2/token"] {
        let answer = http().get(format!("{}/{path}", server.url)).send().await.unwrap();
        assert_eq!(answer.status(), 404, "{path}");
    }
    let log = server.stop().await;
    assert!(log.contains("OAuth clients are not served"), "{log}");
    assert!(!folder.exists(), "a server makes no keys by itself");

    let made = login.site.run("init").await;
    assert!(made.stdout.contains("is there already\nkeys: made /"), "{made:?}");
    let server = login.site.start().await;
    let link = Link::connect(&server, &login.session).await;
    assert_eq!(link.tokens, login.link.tokens);
    let answer = http().get(format!("{}/jwks", server.url)).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    server.stop().await;
}

#[tokio::test]
async fn whatever_is_for_clients_needs_keys() {
    for settings in [
        "[ciba]\nenabled = true",
        "[oauth]\nregistration = \"open\"",
        "[tls]\nclient_cert_header = true\n[tls.client]\npublic_url = \"https://mtls.test\"",
        "[[client]]\nclient_id = \"job\"\nclient_secret = \"a-secret-that-is-long-enough-for-a-client\"\n\
         grant_types = [\"client_credentials\"]",
    ] {
        let mut site = Site::new("http://127.0.0.1:9/idp");
        if settings.contains("[tls]") {
            site = site
                .with("BEHIND_TLS_PROXY", "true")
                .with("PUBLIC_URL", "https://ciba.test");
        }
        let mut site = site.and(settings);
        site.start().await.stop().await;
        fs::remove_dir_all(site.database().with_file_name("keys")).unwrap();
        let said = refused(&site).await;
        assert!(said.contains("ciba-server init --config /"), "{settings}: {said}");
    }
}

#[tokio::test]
async fn c_032_a_rotation_is_noticed_by_the_server_that_runs() {
    let mut site = site();
    let mut server = site.start().await;
    let published = async |server: &Server| {
        let set = http().get(format!("{}/jwks", server.url)).send().await.unwrap();
        let set: Value = set.json().await.unwrap();
        set["keys"].as_array().unwrap().len()
    };
    assert_eq!(published(&server).await, 4);
    let rotated = keys(&site, "rotate").await;
    assert_eq!(rotated.matches("next, signs in 24 h").count(), 4, "{rotated}");
    assert_eq!(rotated.matches("current").count(), 4, "{rotated}");
    server.hang_up();
    server.until_said("the signing keys were read again").await;
    assert_eq!(published(&server).await, 8);
    let listed = keys(&site, "list").await;
    assert_eq!(listed, rotated);
    let log = server.stop().await;
    for key in fs::read_dir(site.database().with_file_name("keys")).unwrap() {
        let text = fs::read(key.unwrap().path()).unwrap();
        let Ok(text) = String::from_utf8(text) else {
            continue;
        };
        let secret = text.lines().nth(1).unwrap();
        assert!(
            !text.contains("PRIVATE") || !log.contains(secret),
            "a key is in the log"
        );
    }
}
