//! Our programs over TLS, behind a proxy that ends it: an authority that is not trusted, then one that is.

use anyhow::{Context, Result};
use axum::serve::Listener as _;
use ciba_tests::{TlsListener, World, confirm, free_port};
use tokio::io::{AsyncRead, AsyncWrite, copy_bidirectional};
use tokio::net::TcpStream;
use tokio::task::AbortHandle;

use crate::site::{Site, UNASKED};

/// Ends TLS for `localhost` in front of a server; stops when dropped.
pub(crate) struct Proxy {
    pub(crate) url: String,
    /// The authority that vouches for it, as PEM.
    pub(crate) authority: String,
    accepting: AbortHandle,
}

impl Proxy {
    pub(crate) async fn start(server: String) -> Result<Self> {
        let mut listener = TlsListener::bind().await?;
        let (port, authority) = (listener.port, listener.authority.clone());
        let accepting = tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await;
                tokio::spawn(forward(client, server.clone()));
            }
        });
        Ok(Self {
            url: format!("https://localhost:{port}"),
            authority,
            accepting: accepting.abort_handle(),
        })
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn forward(mut client: impl AsyncRead + AsyncWrite + Unpin, server: String) -> Result<()> {
    let mut server = TcpStream::connect(server).await?;
    copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_is_refused_and_a_trusted_one_serves() -> Result<()> {
    let port = free_port()?;
    let proxy = Proxy::start(format!("127.0.0.1:{port}")).await?;
    let settings = format!(
        "listen = \"127.0.0.1:{port}\"\nbehind_tls_proxy = true\npublic_url = \"{}\"",
        proxy.url
    );
    let mut site = Site::at(&proxy.url, &settings, &UNASKED).await?;
    let _server = site.server().await?;

    let refused = site.world.ciba(&["start", "--url", &proxy.url]).await?;
    assert_eq!(refused.code(), Some(4), "{refused:?}");
    let said = "the server's certificate is not valid: this system does not trust its issuer";
    assert!(refused.stderr.contains(said), "{refused:?}");
    let _ = site.world.ciba(&["stop", "--all"]).await?;
    end_daemon(&site.world).await?;

    let file = site.world.home().join("authority.pem");
    std::fs::write(&file, &proxy.authority)?;
    site.world.set("SSL_CERT_FILE", file);
    let login = site.world.begin_login(&["start", "--url", &proxy.url]).await?;
    confirm(&login.page).await?;
    let _ = login.end().await?.success();
    let _ = site.world.ciba(&["token"]).await?.success();
    assert_eq!(site.world.status().await?["profiles"][0]["link"], "connected");
    Ok(())
}

/// Another environment needs another daemon.
async fn end_daemon(world: &World) -> Result<()> {
    if world.daemon().is_some() {
        world.kill_daemon().context("ending the first daemon")?;
    }
    Ok(())
}
