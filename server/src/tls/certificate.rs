//! A certificate that a client has shown, with the proof that it has the key.

use std::sync::Arc;

use base64ct::{Base64UrlUnpadded, Encoding as _};
use rustls::ServerConnection;
use rustls::pki_types::CertificateDer;
use sha2::{Digest as _, Sha256};

/// A client's certificate and what it hangs on; a handle that is cheap to clone. It is in the extensions of every request
/// whose client has shown one.
#[derive(Clone)]
pub(crate) struct Certificate(Arc<[CertificateDer<'static>]>);

impl Certificate {
    /// Takes a chain, the client's own certificate first; `None`: it is empty.
    pub(super) fn of(chain: Vec<CertificateDer<'static>>) -> Option<Self> {
        (!chain.is_empty()).then(|| Self(chain.into()))
    }

    /// Returns what the client showed in a handshake that is done.
    pub(crate) fn shown(connection: &ServerConnection) -> Option<Self> {
        let chain = connection.peer_certificates()?;
        Self::of(chain.iter().map(|one| one.clone().into_owned()).collect())
    }

    /// The client's own certificate.
    pub(crate) fn own(&self) -> &CertificateDer<'static> {
        &self.0[0]
    }

    /// The certificates that it hangs on, as the client says.
    pub(super) fn issuers(&self) -> &[CertificateDer<'static>] {
        &self.0[1..]
    }

    /// Returns `x5t#S256` (RFC 8705 §3.1): SHA-256 of the certificate, base64url.
    pub(crate) fn thumbprint(&self) -> String {
        Base64UrlUnpadded::encode_string(&Sha256::digest(self.own()))
    }
}
