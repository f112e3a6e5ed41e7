//! `ciba-server serve`: from a configuration to a server that serves, and back down again.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::init::{advice, advice_on_keys};
use crate::app::App;
use crate::config::Config;
use crate::oauth::keys;
use crate::serve::{self as accept, Door};
use crate::shutdown::Shutdown;

/// How often what has expired is removed.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// Serves, as `file` says.
///
/// # Errors
///
/// What kept it from serving.
pub async fn serve(mut config: Config, file: &Path) -> anyhow::Result<()> {
    let listener = listen(config.listen).await?;
    let public_url = config.public_url(listener.local_addr()?);
    let for_clients = listen_for_clients(&mut config).await?;
    let shutdown = Shutdown::on_signals()?;
    let app = App::build(&config, public_url, shutdown).map_err(|error| advised(error, &config, file))?;
    let mut doors = vec![Door {
        listener,
        router: app.routes(Router::new()),
        tls: app.tls.acceptor(),
    }];
    let mut more = json!({});
    if let Some(listener) = for_clients {
        more = json!({ "clients": listener.local_addr()? });
        doors.push(Door {
            listener,
            router: app.client_routes(),
            tls: app.tls.acceptor_for_clients(),
        });
    }
    until_the_end(doors, &app, more).await
}

/// Opens the listener for clients with certificates, if there is to be one, and notes how it is reached.
async fn listen_for_clients(config: &mut Config) -> anyhow::Result<Option<TcpListener>> {
    let Some(clients) = &mut config.tls.clients else {
        return Ok(None);
    };
    let Some(address) = clients.listen else {
        return Ok(None);
    };
    let listener = listen(address).await?;
    clients.listens_on(listener.local_addr()?);
    Ok(Some(listener))
}

/// Says what to do about what `ciba-server init` would have made.
fn advised(error: anyhow::Error, config: &Config, file: &Path) -> anyhow::Error {
    if let Some(store::Error::Missing) = error.downcast_ref() {
        return anyhow::Error::msg(advice(&config.store, file));
    }
    match error.downcast_ref() {
        Some(keys::Error::Missing(folder)) => anyhow::Error::msg(advice_on_keys(folder, file)),
        _ => error,
    }
}

/// Listens on an address.
pub(super) async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("listening on {address}"))
}

/// Serves until a signal; then what has begun comes to its end.
pub(super) async fn until_the_end(
    doors: Vec<Door>,
    app: &App,
    more: serde_json::Value,
) -> anyhow::Result<()> {
    app.resume().await;
    app.work
        .tasks
        .spawn(sweep(app.clone(), signal(SignalKind::hangup())?));
    say_ready(doors[0].listener.local_addr()?, app, more);
    accept::serve(doors, &app.shutdown, &app.work).await;
    tracing::info!("gone");
    Ok(())
}

/// One line of JSON on standard output, for whoever started us.
fn say_ready(address: SocketAddr, app: &App, more: serde_json::Value) {
    let mut ready =
        json!({ "ready": true, "url": app.public_url.as_str().trim_end_matches('/'), "listen": address });
    if let (Some(ready), serde_json::Value::Object(more)) = (ready.as_object_mut(), more) {
        ready.extend(more);
    }
    tracing::info!(url = %app.public_url, "serving");
    // Whoever started us may have stopped listening; that is no reason to stop.
    let _ = writeln!(std::io::stdout(), "{ready}");
}

/// Removes what has expired and looks for new keys, for as long as the server lives; at SIGHUP at once.
async fn sweep(app: App, mut hangup: Signal) {
    let mut every = tokio::time::interval(SWEEP_EVERY);
    loop {
        tokio::select! {
            _ = every.tick() => app.sweep().await,
            _ = hangup.recv() => app.sweep().await,
            () = app.shutdown.begun().cancelled() => return,
        }
    }
}
