//! The signing keys of the real program: made, refused, replaced while it serves (C-031, C-032).

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;

use super::site;
use crate::kit::browser::http;
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
