//! What TLS means here: the system's own judgement of certificates, and its verdicts in plain words.

use std::error::Error;
use std::io;

use rustls::{CertificateError, ClientConfig};
use rustls_platform_verifier::ConfigVerifierExt as _;

/// The one protocol that is spoken: WebSockets begin as HTTP/1.1.
const ALPN: &[u8] = b"http/1.1";

/// Chooses the cryptography for the whole process. Once, before the first connection.
pub(crate) fn install() {
    // Only a second call fails, and leaves the first one's choice.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let _ = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
}

/// Returns a configuration that trusts what the system trusts. Made for each connection and dropped: the
/// system's certificates are large.
pub(crate) fn config() -> Result<ClientConfig, rustls::Error> {
    let mut config = ClientConfig::with_platform_verifier()?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    Ok(config)
}

/// Returns what is wrong with the server's certificate, if that is what an error is about.
pub(crate) fn certificate_problem(error: &(dyn Error + 'static)) -> Option<&'static str> {
    causes(error).find_map(|cause| match cause.downcast_ref() {
        Some(rustls::Error::InvalidCertificate(problem)) => Some(words(problem)),
        _ => None,
    })
}

/// Returns an error, and what it came of.
pub(crate) fn causes<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| {
        // What an io::Error holds is not its source.
        let held = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        match held {
            Some(held) => Some(held),
            None => error.source(),
        }
    })
}

fn words(problem: &CertificateError) -> &'static str {
    match problem {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "it has expired",
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "it is not valid yet (is this machine's clock right?)"
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "it belongs to another name"
        }
        CertificateError::UnknownIssuer => "this system does not trust its issuer",
        CertificateError::Revoked => "it was revoked",
        _ => "this system does not accept it",
    }
}
