//! `ciba-server dev`: everything in one process on loopback, with the built-in identity provider.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::Context as _;
use axum::Router;
use base64ct::{Base64UrlUnpadded, Encoding as _};
use serde_json::json;
use url::Url;
use zeroize::Zeroizing;

use super::serve::{listen, until_the_end};
use crate::app::App;
use crate::config::{Config, Confirm, Login};
use crate::dev::{self, Targets, demo_api};
use crate::local::for_this_machine;
use crate::random::random;
use crate::serve::Door;
use crate::shutdown::Shutdown;

/// What differs from the defaults: nothing is kept, and one client may ask people. The login's are set at the start.
const SETTINGS: &str = r#"
[store]
url = "memory:"

[login]
issuer = "http://127.0.0.1/idp"
client_id = ""

[limits]
logins_per_minute = 4294967295

[oauth]
registration = "open"

[ciba]
enabled = true
modes = ["poll", "ping", "push"]
long_poll = 25

[[client]]
client_id = "demo-agent"
client_name = "Demo agent"
grant_types = ["urn:openid:params:grant-type:ciba", "refresh_token"]
backchannel_token_delivery_mode = "poll"

[[user]]
sub = "alice"
name = "Alice Example"
email = "alice@example.com"
username = "alice"

[[user]]
sub = "bob"
name = "Bob Example"
email = "bob@example.com"
username = "bob"
"#;

/// The secret of the demo's client: too short for any other server, and easy to type.
const DEMO_SECRET: &str = "demo";

/// Serves with a store and an identity provider that are forgotten at the end.
///
/// # Errors
///
/// What kept it from serving.
pub async fn dev(listen_on: SocketAddr) -> anyhow::Result<()> {
    anyhow::ensure!(
        listen_on.ip().is_loopback(),
        "`ciba-server dev` listens on loopback only; use `ciba-server serve`"
    );
    let listener = listen(listen_on).await?;
    let public_url = Url::parse(&format!("http://{}", listener.local_addr()?)).context("making the URL")?;
    let (provider, login) = built_in_provider(&public_url)?;
    let demo = demo_api::DemoApi {
        issuer: login.issuer.clone(),
        jwks_uri: Url::parse(&format!("{}/jwks", login.issuer)).context("making the key set's URL")?,
        audiences: Targets::default(),
        http: reqwest::Client::new(),
        clock: dev::Clock::system(),
    };
    let nothing = std::iter::empty();
    let mut config =
        Config::parse(SETTINGS, "dev", Path::new("."), nothing).context("reading the settings")?;
    config.login = login;
    for client in &mut config.clients {
        client.secret = Some(Zeroizing::new(DEMO_SECRET.to_owned()));
    }
    let app = App::build(&config, public_url, Shutdown::on_signals()?)?;
    let built_in = Router::new()
        .nest("/idp", provider.routes())
        .nest("/demo-api", demo_api::demo_api(demo));
    let routes = for_this_machine(app.routes(built_in));
    eprintln!("ciba-server dev: {}", app.public_url);
    eprintln!("  users alice and bob, password demo; everything is forgotten at the end");
    eprintln!("  client demo-agent, secret {DEMO_SECRET}, may ask them (OpenID CIBA)");
    eprintln!("  try: ciba start --url {}", app.public_url);
    let demo_url = format!("{}demo-api/whoami", app.public_url);
    let door = Door {
        listener,
        router: routes,
        tls: None,
    };
    until_the_end(vec![door], &app, json!({ "demo_api": demo_url })).await
}

fn built_in_provider(public_url: &Url) -> anyhow::Result<(dev::Provider, Login)> {
    let issuer = public_url.join("idp").context("making the issuer")?;
    let secret = Zeroizing::new(Base64UrlUnpadded::encode_string(&random::<32>()));
    let login = Login {
        issuer: issuer.to_string(),
        client_id: "ciba-server".into(),
        client_secret: Some(secret.clone()),
        scopes: ["openid", "profile", "email", "offline_access"]
            .map(String::from)
            .to_vec(),
        resource: None,
        confirm: Confirm::Code,
    };
    let callback = public_url
        .join("auth/callback")
        .context("making the callback's URL")?;
    let provider = dev::provider(dev::Config::new(
        issuer,
        login.client_id.clone(),
        secret,
        callback,
    ))?;
    Ok((provider, login))
}
