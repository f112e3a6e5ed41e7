//! A client's certificate, as a proxy in front says it: `Client-Cert` and `Client-Cert-Chain` (RFC 9440). Whether the proxy is
//! there is for the operator to say: a client could send these headers itself.

use base64ct::{Base64, Encoding as _};
use http::{HeaderMap, HeaderName};
use rustls::pki_types::CertificateDer;
use rustls::server::ParsedCertificate;

use super::Certificate;

const CLIENT_CERT: HeaderName = HeaderName::from_static("client-cert");
const CLIENT_CERT_CHAIN: HeaderName = HeaderName::from_static("client-cert-chain");

/// Bytes of one certificate.
const MAX_CERTIFICATE: usize = 8 * 1024;

/// Certificates of the chain between the client's own and the authority's.
const MAX_CHAIN: usize = 8;

/// Takes both headers away, so that no handler reads them. Returns the certificate, if there is one that can be read and the
/// proxy is believed.
pub(crate) fn take(headers: &mut HeaderMap, is_believed: bool) -> Option<Certificate> {
    let said = is_believed.then(|| said(headers)).flatten();
    headers.remove(CLIENT_CERT);
    headers.remove(CLIENT_CERT_CHAIN);
    said
}

fn said(headers: &HeaderMap) -> Option<Certificate> {
    let own = certificate(alone(headers, &CLIENT_CERT)?)?;
    ParsedCertificate::try_from(&own).ok()?;
    Certificate::of(std::iter::once(own).chain(chain(headers)?).collect())
}

/// Returns the value of a header that is there once.
fn alone<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return None;
    };
    value.to_str().ok()
}

/// Reads the list of the chain, which may be split over several headers; no header is an empty list.
fn chain(headers: &HeaderMap) -> Option<Vec<CertificateDer<'static>>> {
    let mut chain = Vec::new();
    for value in headers.get_all(&CLIENT_CERT_CHAIN) {
        for item in value.to_str().ok()?.split(',') {
            chain.push(certificate(item).filter(|_| chain.len() < MAX_CHAIN)?);
        }
    }
    Some(chain)
}

/// Reads a Byte Sequence (RFC 9651 §3.3.5): base64 between two colons.
fn certificate(item: &str) -> Option<CertificateDer<'static>> {
    let encoded = item
        .trim_matches([' ', '\t'])
        .strip_prefix(':')?
        .strip_suffix(':')?;
    if encoded.len() > MAX_CERTIFICATE.div_ceil(3) * 4 {
        return None;
    }
    let der = Base64::decode_vec(encoded).ok()?;
    (der.len() <= MAX_CERTIFICATE).then(|| der.into())
}
