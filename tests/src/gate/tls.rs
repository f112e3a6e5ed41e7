//! TLS in front of a gate, or of a test's own server: certificates of an authority that is made for the test.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Result;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use tokio_rustls::server::TlsStream;

/// An authority that no system trusts by itself.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    /// Makes one.
    pub fn new() -> Result<Self> {
        let mut params = CertificateParams::new([])?;
        // With the name of what it signs, it would be taken for that.
        params.distinguished_name.push(DnType::CommonName, "authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Ok(Self(CertifiedIssuer::self_signed(params, KeyPair::generate()?)?))
    }

    /// Its certificate as PEM.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// Makes a certificate for a server of this name.
    pub fn certify(&self, host: &str) -> Result<Certified> {
        let key = KeyPair::generate()?;
        let certificate = CertificateParams::new([host.to_owned()])?.signed_by(&key, &self.0)?;
        Ok(Certified {
            authority: self.pem(),
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        })
    }
}

/// A server's certificate. All three are PEM.
pub struct Certified {
    /// Whom to trust.
    pub authority: String,
    /// What the server shows.
    pub certificate: String,
    /// The certificate's private key.
    pub key: String,
}

impl Certified {
    /// Makes a certificate for `localhost`, of an authority that is made for it.
    pub fn localhost() -> Result<Self> {
        Authority::new()?.certify("localhost")
    }

    /// Returns what a server shows.
    fn config(&self) -> Result<ServerConfig> {
        let certificate = CertificateDer::from_pem_slice(self.certificate.as_bytes())?;
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes())?;
        let config = ServerConfig::builder().with_no_client_auth();
        Ok(config.with_single_cert(vec![certificate], key)?)
    }
}

/// Accepts connections that speak TLS.
pub struct Listener {
    /// The port on loopback.
    pub port: u16,
    /// The authority as PEM.
    pub authority: String,
    listener: TcpListener,
    acceptor: TlsAcceptor,
}

impl Listener {
    /// Listens on a free port, as `localhost` with an authority of its own.
    pub async fn bind() -> Result<Self> {
        Self::bind_as(Certified::localhost()?).await
    }

    /// Listens on a free port, as the server with this certificate.
    pub async fn bind_as(server: Certified) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        Ok(Self {
            port: listener.local_addr()?.port(),
            acceptor: TlsAcceptor::from(Arc::new(server.config()?)),
            authority: server.authority,
            listener,
        })
    }
}

impl axum::serve::Listener for Listener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    /// A client that does not like the certificate hangs up; the next one is served.
    async fn accept(&mut self) -> (Self::Io, SocketAddr) {
        loop {
            let (stream, address) = axum::serve::Listener::accept(&mut self.listener).await;
            if let Ok(stream) = self.acceptor.accept(stream).await {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}
