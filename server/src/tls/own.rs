//! The certificate that the server shows, with its private key.

use std::sync::{Arc, PoisonError, RwLock};

use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::files::{self, Error, Stamp};
use super::provider;
use crate::config::Pair;

/// The certificate, as its files were last good.
pub(super) struct OwnCertificate {
    pair: Pair,
    read: RwLock<(Stamp, Arc<CertifiedKey>)>,
}

impl OwnCertificate {
    pub(super) fn open(pair: Pair) -> Result<Self, Error> {
        let texts = Texts::read(&pair)?;
        let read = (texts.stamp(), texts.understand(&pair)?);
        Ok(Self {
            pair,
            read: RwLock::new(read),
        })
    }

    /// Reads the files again, if they have changed. While one is new and the other is not yet, the old pair stays.
    pub(super) fn refresh(&self) -> Result<(), Error> {
        let texts = Texts::read(&self.pair)?;
        let stamp = texts.stamp();
        if self.read.read().unwrap_or_else(PoisonError::into_inner).0 == stamp {
            return Ok(());
        }
        let key = texts.understand(&self.pair)?;
        *self.read.write().unwrap_or_else(PoisonError::into_inner) = (stamp, key);
        tracing::info!("a new TLS certificate is shown");
        Ok(())
    }
}

impl ResolvesServerCert for OwnCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let read = self.read.read().unwrap_or_else(PoisonError::into_inner);
        Some(Arc::clone(&read.1))
    }
}

/// It holds a private key: this says nothing of it.
impl std::fmt::Debug for OwnCertificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OwnCertificate").finish_non_exhaustive()
    }
}

/// The two files' texts.
struct Texts {
    certificate: zeroize::Zeroizing<Vec<u8>>,
    key: zeroize::Zeroizing<Vec<u8>>,
}

impl Texts {
    fn read(pair: &Pair) -> Result<Self, Error> {
        Ok(Self {
            certificate: files::read(&pair.certificate)?,
            key: files::read(&pair.key)?,
        })
    }

    fn stamp(&self) -> Stamp {
        files::stamp(&[&self.certificate, &self.key])
    }

    fn understand(&self, pair: &Pair) -> Result<Arc<CertifiedKey>, Error> {
        let chain = files::certificates(&pair.certificate, &self.certificate)?;
        let key = PrivateKeyDer::from_pem_slice(&self.key)
            .map_err(|_| Error::unusable(&pair.key, "has no private key in PEM"))?;
        let certified = CertifiedKey::from_der(chain, key, &provider());
        let certified = certified.map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => {
                Error::unusable(&pair.key, "is not the key of the certificate")
            }
            error => Error::refused(&pair.certificate, error),
        })?;
        Ok(Arc::new(certified))
    }
}
