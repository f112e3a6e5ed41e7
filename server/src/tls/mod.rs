//! TLS by the server itself: the certificate that it shows, and the certificates of clients, which it asks for at a listener
//! of their own (RFC 8705). What a client's certificate is good for, `oauth` judges.

mod any;
mod authority;
mod certificate;
mod files;
mod header;
mod own;

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use tokio_rustls::TlsAcceptor;

use self::any::AnyCertificate;
pub(crate) use self::authority::Authority;
pub(crate) use self::certificate::Certificate;
pub(crate) use self::files::Error;
pub(crate) use self::header::take;
use self::own::OwnCertificate;
use crate::config;

/// What the listeners speak (RFC 7301), the better one first.
const ALPN: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// The server's certificate and the authorities of its clients, read again when their files have changed.
pub(crate) struct Tls {
    own: Option<Arc<OwnCertificate>>,
    authority: Option<Arc<Authority>>,
}

impl Tls {
    /// Reads the files that the configuration names.
    ///
    /// # Errors
    ///
    /// The first file that cannot be used.
    pub(crate) fn open(config: &config::Tls) -> Result<Self, Error> {
        let own = config.pair.clone().map(OwnCertificate::open).transpose()?;
        let authority = config.client_ca.clone().map(Authority::open).transpose()?;
        Ok(Self {
            own: own.map(Arc::new),
            authority: authority.map(Arc::new),
        })
    }

    /// Reads the files again. Those that cannot be used change nothing.
    ///
    /// # Errors
    ///
    /// The first file that cannot be used.
    pub(crate) fn refresh(&self) -> Result<(), Error> {
        self.own.as_ref().map_or(Ok(()), |own| own.refresh())?;
        self.authority
            .as_ref()
            .map_or(Ok(()), |authority| authority.refresh())
    }

    /// Whom certificates of clients come from; `None`: from nobody.
    pub(crate) fn authority(&self) -> Option<Arc<Authority>> {
        self.authority.clone()
    }

    /// Returns what speaks TLS on the listener for everybody; `None`: it is plain HTTP.
    pub(crate) fn acceptor(&self) -> Option<TlsAcceptor> {
        let own = self.own.clone()?;
        let config = builder().with_no_client_auth().with_cert_resolver(own);
        Some(acceptor(config))
    }

    /// Returns what speaks TLS on the listener for clients: it asks for a certificate and takes none for an answer.
    pub(crate) fn acceptor_for_clients(&self) -> Option<TlsAcceptor> {
        let own = self.own.clone()?;
        let any = Arc::new(AnyCertificate::new(&provider()));
        let config = builder().with_client_cert_verifier(any).with_cert_resolver(own);
        Some(acceptor(config))
    }
}

fn acceptor(mut config: ServerConfig) -> TlsAcceptor {
    config.alpn_protocols = ALPN.map(<[u8]>::to_vec).to_vec();
    TlsAcceptor::from(Arc::new(config))
}

/// TLS 1.2 and 1.3.
fn builder() -> rustls::ConfigBuilder<ServerConfig, rustls::WantsVerifier> {
    ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("the provider has cipher suites for them")
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}
