//! The authorities that certificates of `tls_client_auth` come from (RFC 8705 §2.1).

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use rustls::RootCertStore;
use rustls::pki_types::UnixTime;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;

use super::files::{self, Error, Stamp};
use super::{Certificate, provider};

/// The authorities, as their file was last good.
pub(crate) struct Authority {
    file: PathBuf,
    read: RwLock<(Stamp, Arc<dyn ClientCertVerifier>)>,
}

impl Authority {
    pub(super) fn open(file: PathBuf) -> Result<Self, Error> {
        let text = files::read(&file)?;
        let read = (files::stamp(&[&text]), Self::understand(&file, &text)?);
        Ok(Self {
            file,
            read: RwLock::new(read),
        })
    }

    /// Reads the file again, if it has changed.
    pub(super) fn refresh(&self) -> Result<(), Error> {
        let text = files::read(&self.file)?;
        let stamp = files::stamp(&[&text]);
        if self.read.read().unwrap_or_else(PoisonError::into_inner).0 == stamp {
            return Ok(());
        }
        let verifier = Self::understand(&self.file, &text)?;
        *self.read.write().unwrap_or_else(PoisonError::into_inner) = (stamp, verifier);
        tracing::info!("new authorities of clients are believed");
        Ok(())
    }

    /// Whether an authority issued the certificate to a TLS client, and it is good at this time.
    pub(crate) fn vouches_for(&self, certificate: &Certificate, now: UnixTime) -> bool {
        let verifier = Arc::clone(&self.read.read().unwrap_or_else(PoisonError::into_inner).1);
        let verified = verifier.verify_client_cert(certificate.own(), certificate.issuers(), now);
        if let Err(error) = &verified {
            tracing::debug!(%error, "a client's certificate is not believed");
        }
        verified.is_ok()
    }

    fn understand(file: &std::path::Path, text: &[u8]) -> Result<Arc<dyn ClientCertVerifier>, Error> {
        let mut roots = RootCertStore::empty();
        for certificate in files::certificates(file, text)? {
            let added = roots.add(certificate);
            added.map_err(|error| Error::refused(file, error))?;
        }
        let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider()).build();
        let verifier = verifier.map_err(|_| Error::unusable(file, "has no authority"))?;
        Ok(verifier)
    }
}
