//! The server as an OpenID provider: what clients find, and how they become clients (C-001 … C-054).

mod administrator;
mod assertions;
mod departed;
mod discovery;
mod keys;
mod register;
mod tokens;

use serde_json::Value;

use crate::kit::site::Site;

/// The initial access token of every site here.
const INITIAL: &str = "an-initial-access-token";

/// Returns a site that clients can register at. No identity provider is behind it: nobody signs in here.
fn site() -> Site {
    Site::new("http://127.0.0.1:9/idp")
        .with("OAUTH__REGISTRATION_TOKEN", INITIAL)
        .and("[ciba]\nenabled = true\nmodes = [\"poll\", \"ping\", \"push\"]")
}

/// Returns status and body of an answer that is JSON.
async fn json(response: reqwest::Response) -> (u16, Value) {
    assert_eq!(response.headers()["content-type"], "application/json");
    (response.status().as_u16(), response.json().await.unwrap())
}
