//! What a fuzz target calls: a signed authentication request whose signature was found good, and what it asks for.

use std::path::Path;
use std::sync::LazyLock;

use url::Url;

use super::asked::{Asked, NAMES};
use super::details::Types;
use super::signed::{SignedRules, judge};
use crate::config::{Ciba, Config};
use crate::oauth::client::Client;
use crate::oauth::configured;
use crate::oauth::jwt::Claims;
use crate::oauth::offer::Offer;
use crate::oauth::parameters::Parameters;

/// A server that knows everything that a request may have, and a client that may have it.
const SETTINGS: &str = r#"
[login]
issuer = "http://127.0.0.1/idp"
client_id = ""

[oauth]
scopes = ["openid", "orders"]
resources = ["https://api.example"]

[ciba]
enabled = true
modes = ["poll", "ping"]
user_codes = true
acr_values = ["urn:example:mfa"]

[[client]]
client_id = "c"
grant_types = ["urn:openid:params:grant-type:ciba"]
backchannel_token_delivery_mode = "ping"
backchannel_client_notification_endpoint = "https://c.example/told"
token_endpoint_auth_method = "private_key_jwt"
jwks_uri = "https://c.example/keys"
"#;

const NOW: u64 = 1_000_000;

static SERVER: LazyLock<(Config, Ciba, Client)> = LazyLock::new(|| {
    let config = Config::parse(SETTINGS, "fuzz", Path::new("."), std::iter::empty()).expect("good settings");
    let offer = Offer::of(&config, &Url::parse("https://us").expect("a URL"));
    let client = configured::clients(&config.clients, &offer)
        .expect("a good client")
        .remove(0);
    let ciba = config.ciba.clone().expect("it is enabled");
    (config, ciba, client)
});

/// The claims of a signed request: those that hold and are for us are read as if they had come in the open.
pub fn signed_request(data: &[u8]) {
    let (config, ciba, client) = &*SERVER;
    let rules = SignedRules {
        issuer: "https://us",
        tolerance: 30,
        fapi: data.len() % 2 == 0,
    };
    let Ok(claims) = serde_json::from_slice::<Claims>(data) else {
        return;
    };
    if judge(&claims, client, rules, NOW).is_err() {
        return;
    }
    let mut parameters = Parameters::default();
    for (name, value) in claims.into_inner() {
        if NAMES.contains(&&*name) && parameters.add_json(&name, value).is_err() {
            return;
        }
    }
    let types = Types::new(None).expect("every type");
    if let Ok(asked) = Asked::read(&parameters, client, &config.oauth, (ciba, &types)) {
        assert!(asked.scope.iter().any(|scope| scope == "openid"));
        assert!(
            asked
                .binding_message
                .is_none_or(|message| message.chars().count() <= 256)
        );
        assert!(
            asked
                .resources
                .iter()
                .all(|resource| resource == "https://api.example")
        );
    }
}
