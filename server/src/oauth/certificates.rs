//! What the certificate of a client is good for (RFC 8705): a client proves with it who it is (C-080), and tokens are bound to
//! it (C-081).

use std::sync::Arc;

use rustls::pki_types::UnixTime;
use x509_cert::der::Decode as _;

use super::certificate_key::is_registered;
use super::client::{AuthMethod, Client};
use super::jwt::ClientKeys;
use crate::refusal::Refusal;
use crate::tls::{Authority, Certificate};

const NO_CERTIFICATE: Refusal =
    Refusal::invalid_request("the tokens of this client are bound to its certificate, and it has shown none");

/// Knows the certificates of clients.
pub(crate) struct Certificates {
    /// Whom those of `tls_client_auth` come from.
    authority: Option<Arc<Authority>>,
    keys: Arc<ClientKeys>,
}

impl Certificates {
    pub(crate) fn new(authority: Option<Arc<Authority>>, keys: Arc<ClientKeys>) -> Self {
        Self { authority, keys }
    }

    /// Whether the certificate is the one by which this client proves who it is.
    pub(crate) async fn is_of(&self, client: &Client, certificate: &Certificate) -> bool {
        let Ok(read) = x509_cert::Certificate::from_der(certificate.own()) else {
            return false;
        };
        match client.metadata.token_endpoint_auth_method {
            AuthMethod::TlsClientAuth => {
                let name = client.metadata.certificate_name.as_ref();
                name.is_some_and(|name| name.is_of(&read)) && self.is_vouched_for(certificate)
            }
            AuthMethod::SelfSignedTlsClientAuth => {
                let is_it = |key: &_| is_registered(key, &read, certificate.own());
                is_current(&read) && self.keys.has(client, is_it).await
            }
            _ => false,
        }
    }

    fn is_vouched_for(&self, certificate: &Certificate) -> bool {
        let authority = self.authority.as_ref();
        authority.is_some_and(|authority| authority.vouches_for(certificate, UnixTime::now()))
    }
}

/// Whether a certificate that no authority checks is good by its own words.
fn is_current(certificate: &x509_cert::Certificate) -> bool {
    let (validity, now) = (
        certificate.tbs_certificate().validity(),
        UnixTime::now().as_secs(),
    );
    let begins = validity.not_before.to_unix_duration().as_secs();
    let ends = validity.not_after.to_unix_duration().as_secs();
    (begins..=ends).contains(&now)
}

/// Returns what the tokens of this client are bound to (`x5t#S256`); `None`: to nothing.
pub(crate) fn bound_to(
    client: &Client,
    certificate: Option<&Certificate>,
) -> Result<Option<String>, Refusal> {
    if !client.metadata.tls_client_certificate_bound_access_tokens {
        return Ok(None);
    }
    let certificate = certificate.ok_or(NO_CERTIFICATE)?;
    Ok(Some(certificate.thumbprint()))
}
