//! Our programs over TLS, behind a proxy that ends it: an authority that is not trusted, then one that is.

use std::sync::Arc;

use anyhow::{Context, Result};
use ciba_tests::{World, confirm, free_port};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, pem::PemObject as _};

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
        let (config, authority) = certificates()?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("https://localhost:{}", listener.local_addr()?.port());
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // A client that does not like the certificate hangs up; that is its affair.
                tokio::spawn(forward(acceptor.clone(), stream, server.clone()));
            }
        });
        Ok(Self {
            url,
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

async fn forward(acceptor: TlsAcceptor, stream: TcpStream, server: String) -> Result<()> {
    let mut client = acceptor.accept(stream).await?;
    let mut server = TcpStream::connect(server).await?;
    copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}

/// Returns what the proxy shows, and the authority that signed it.
fn certificates() -> Result<(ServerConfig, String)> {
    let mut params = CertificateParams::new([])?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
    let key = KeyPair::generate()?;
    let certificate = CertificateParams::new(["localhost".to_owned()])?.signed_by(&key, &authority)?;
    let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes())?;
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)?;
    Ok((config, authority.pem()))
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
