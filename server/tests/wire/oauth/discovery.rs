//! What clients read first: the server's metadata and its keys (C-020 … C-030).

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{json as read, site};
use crate::kit::browser::http;
use crate::kit::server::Server;

async fn get(server: &Server, path: &str) -> Value {
    let response = http().get(format!("{}{path}", server.url)).send().await.unwrap();
    let (status, body) = read(response).await;
    assert_eq!(status, 200, "{path}");
    body
}

#[tokio::test]
async fn c_020_c_021_both_documents_are_the_same_and_their_endpoints_are_ours() {
    let server = site().start().await;
    let document = get(&server, "/.well-known/openid-configuration").await;
    assert_eq!(
        document,
        get(&server, "/.well-known/oauth-authorization-server").await
    );
    assert_eq!(document["issuer"], server.url);
    let members = document.as_object().unwrap();
    let endpoints: Vec<_> = members
        .iter()
        .filter(|(name, _)| name.ends_with("_endpoint") || name.ends_with("_uri"))
        .collect();
    assert!(endpoints.len() >= 5, "{endpoints:?}");
    for (name, url) in endpoints {
        assert!(
            url.as_str().unwrap().starts_with(&format!("{}/", server.url)),
            "{name}: {url}"
        );
    }
    assert_eq!(
        document["backchannel_authentication_endpoint"],
        format!("{}/oauth2/bc-authorize", server.url),
        "C-021"
    );
    server.stop().await;
}

#[tokio::test]
async fn c_002_the_issuer_is_the_public_url_without_a_slash() {
    for url in ["https://ciba.example.com/", "https://ciba.example.com"] {
        let server = site().with("PUBLIC_URL", url).start().await;
        let listening = format!("http://{}/.well-known/openid-configuration", server.address);
        let (_, document) = read(http().get(listening).send().await.unwrap()).await;
        assert_eq!(document["issuer"], "https://ciba.example.com");
        assert_eq!(
            document["token_endpoint"],
            "https://ciba.example.com/oauth2/token"
        );
        server.stop().await;
    }
}

#[tokio::test]
async fn c_022_c_023_c_028_what_is_off_is_not_announced() {
    let server = site()
        .with("CIBA__ENABLED", "false")
        .with("OAUTH__REGISTRATION", "off")
        .start()
        .await;
    let document = get(&server, "/.well-known/openid-configuration").await;
    let members = document.as_object().unwrap();
    assert!(
        !members
            .keys()
            .any(|name| name.starts_with("backchannel_") || name.starts_with("registration_"))
    );
    assert_eq!(
        document["grant_types_supported"],
        json!(["refresh_token", "client_credentials"])
    );
    server.stop().await;
    let poll = site().with("CIBA__MODES", "[\"poll\"]").start().await;
    let document = get(&poll, "/.well-known/openid-configuration").await;
    assert_eq!(
        document["backchannel_token_delivery_modes_supported"],
        json!(["poll"])
    );
    assert_eq!(
        document["grant_types_supported"][0],
        "urn:openid:params:grant-type:ciba"
    );
    poll.stop().await;
}

#[tokio::test]
async fn c_027_c_030_every_algorithm_has_a_public_key() {
    let server = site().start().await;
    let document = get(&server, "/.well-known/openid-configuration").await;
    let keys = get(&server, "/jwks").await;
    let keys = keys["keys"].as_array().unwrap();
    let algorithms: BTreeSet<_> = keys.iter().map(|key| key["alg"].as_str().unwrap()).collect();
    for algorithm in document["id_token_signing_alg_values_supported"]
        .as_array()
        .unwrap()
    {
        assert!(algorithms.contains(algorithm.as_str().unwrap()), "{algorithm}");
    }
    let names: BTreeSet<_> = keys.iter().map(|key| key["kid"].as_str().unwrap()).collect();
    assert_eq!(names.len(), keys.len());
    for key in keys {
        assert_eq!(key["use"], "sig");
        for private in ["d", "p", "q", "k"] {
            assert!(key.get(private).is_none(), "{private}");
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn c_005_the_documents_are_read_alone() {
    let server = site().start().await;
    for path in [
        "/.well-known/openid-configuration",
        "/.well-known/oauth-authorization-server",
        "/jwks",
    ] {
        let posted = http().post(format!("{}{path}", server.url)).send().await.unwrap();
        assert_eq!(posted.status(), 405);
        assert!(posted.headers()["allow"].to_str().unwrap().contains("GET"));
    }
    server.stop().await;
}
