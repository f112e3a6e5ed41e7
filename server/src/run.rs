//! From a configuration to a server that serves, and back down again.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::Context as _;
use axum::Router;
use base64ct::{Base64UrlUnpadded, Encoding as _};
use serde_json::json;
use store::OpenMode;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use url::Url;
use zeroize::Zeroizing;

use crate::app::App;
use crate::clock::now;
use crate::config::{Config, Confirm, Login};
use crate::dev::{self, Targets, demo_api};
use crate::http;
use crate::random::random;
use crate::token::Provider;

/// How often expired records are removed, seconds.
const SWEEP_EVERY: u64 = 60;

/// Records removed at once: the store's writer is busy meanwhile.
const SWEEP_AT_ONCE: usize = 100;

/// `ciba-server init`: makes the store, for once; one that is there stays as it is.
///
/// # Errors
///
/// What kept it from being made, or what is wrong with the one that is there.
pub fn init(config: &Config) -> anyhow::Result<()> {
    let place = store::place(&config.store);
    match store::open(&config.store, OpenMode::Existing) {
        Ok(_) => println!("store: {place} is there already"),
        Err(store::Error::Missing) => {
            store::open(&config.store, OpenMode::Create).with_context(|| format!("making {place}"))?;
            println!("store: made {place}");
        }
        Err(error) => return Err(error).with_context(|| format!("opening {place}")),
    }
    Ok(())
}

/// What to do about a store that is not there.
fn make_it(store: &str, file: &Path) -> String {
    // Under systemd the configuration is a credential, which a shell does not see, and the unit's user no shell has.
    let credentials = std::env::var_os("CREDENTIALS_DIRECTORY");
    let how = match credentials.is_some_and(|folder| file.starts_with(folder)) {
        true => "systemctl start ciba-server-init".into(),
        false => format!("ciba-server init --config {}", file.display()),
    };
    let place = store::place(store);
    format!("there is no store at {place}; if there never was one, make it: {how}")
}

/// `ciba-server serve`, as `file` says.
///
/// # Errors
///
/// What kept it from serving.
pub async fn serve(config: Config, file: &Path) -> anyhow::Result<()> {
    let listener = listen(config.listen).await?;
    let public_url = config.public_url(listener.local_addr()?);
    let leaving = leave_on_signal()?;
    let missing = make_it(&config.store, file);
    let app = App::build(config, public_url, leaving).map_err(|error| match error.downcast_ref() {
        Some(store::Error::Missing) => anyhow::Error::msg(missing),
        _ => error,
    })?;
    let routes = app.routes(Router::new());
    until_the_end(listener, &app, routes, json!({})).await
}

/// `ciba-server dev`: everything in one process on loopback, with the built-in identity provider.
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
    let mut config = Config::around(login);
    config.store = "memory:".into();
    config.limits.logins_per_minute = std::num::NonZeroU32::MAX;
    let app = App::build(config, public_url, leave_on_signal()?)?;
    let built_in = Router::new()
        .nest("/idp", provider.routes())
        .nest("/demo-api", demo_api::demo_api(demo));
    let routes = app.routes(built_in);
    eprintln!("ciba-server dev: {}", app.public_url);
    eprintln!("  users alice and bob, password demo; everything is forgotten at the end");
    eprintln!("  try: ciba start --url {}", app.public_url);
    let demo_url = format!("{}demo-api/whoami", app.public_url);
    until_the_end(listener, &app, routes, json!({ "demo_api": demo_url })).await
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

/// `ciba-server check`: what `serve` would stumble over, without serving.
///
/// # Errors
///
/// The first thing that is wrong.
pub async fn check(config: Config, file: &Path) -> anyhow::Result<()> {
    let public_url = config.public_url(config.listen);
    match store::open(&config.store, OpenMode::Existing) {
        Ok(store) => {
            store.ping().await.context("asking the store")?;
            println!("store: ok");
        }
        // Not made here: it would belong to whoever checks, not to whoever serves.
        Err(store::Error::Missing) => println!("store: {}", make_it(&config.store, file)),
        Err(error) => return Err(error).context("opening the store"),
    }
    println!("resources, the first that matches decides:");
    for rule in &config.resources {
        println!("  {rule}");
    }
    let callback = public_url
        .join("auth/callback")
        .context("making the callback's URL")?;
    let issuer = &config.login.issuer;
    let provider =
        Provider::new(&config.login, callback.clone()).context("preparing the identity provider")?;
    provider
        .check()
        .await
        .with_context(|| format!("looking for {issuer}"))?;
    println!("identity provider: ok ({issuer})");
    println!("callback to register there: {callback}");
    Ok(())
}

async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("listening on {address}"))
}

async fn until_the_end(
    listener: TcpListener,
    app: &App,
    routes: Router,
    more: serde_json::Value,
) -> anyhow::Result<()> {
    app.tasks.spawn(sweep(app.clone()));
    say_ready(&listener, app, more)?;
    http::serve(listener, routes, app.leaving.clone(), app.tasks.clone()).await;
    tracing::info!("gone");
    Ok(())
}

/// One line of JSON on standard output, for whoever started us.
fn say_ready(listener: &TcpListener, app: &App, more: serde_json::Value) -> anyhow::Result<()> {
    let mut ready = json!({ "ready": true, "url": app.public_url.as_str().trim_end_matches('/'), "listen": listener.local_addr()? });
    if let (Some(ready), serde_json::Value::Object(more)) = (ready.as_object_mut(), more) {
        ready.extend(more);
    }
    tracing::info!(url = %app.public_url, "serving");
    // Whoever started us may have stopped listening; that is no reason to stop.
    let _ = writeln!(std::io::stdout(), "{ready}");
    Ok(())
}

/// Removes expired records for as long as the server lives.
async fn sweep(app: App) {
    let mut every = tokio::time::interval(std::time::Duration::from_secs(SWEEP_EVERY));
    loop {
        tokio::select! {
            _ = every.tick() => while app.store.sweep(now(), SWEEP_AT_ONCE).await.is_ok_and(|swept| swept == SWEEP_AT_ONCE) {},
            () = app.leaving.cancelled() => return,
        }
        app.devices.forget_quiet();
        app.browsers.forget_quiet();
        app.renewals.forget_quiet();
        app.exchanges.forget_quiet();
    }
}

/// Returns a token that is cancelled at the first SIGTERM or SIGINT.
fn leave_on_signal() -> anyhow::Result<CancellationToken> {
    let leaving = CancellationToken::new();
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let told = leaving.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("leaving");
        told.cancel();
    });
    Ok(leaving)
}
