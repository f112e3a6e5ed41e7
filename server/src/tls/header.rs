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

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    /// Returns a certificate as the header writes it.
    fn written() -> String {
        let own = rcgen::generate_simple_self_signed(["client.example".to_owned()]).unwrap();
        format!(":{}:", Base64::encode_string(own.cert.der()))
    }

    fn taken(values: &[(HeaderName, &str)], is_believed: bool) -> Option<usize> {
        let mut headers = HeaderMap::new();
        for (name, value) in values {
            headers.append(name, HeaderValue::from_str(value).unwrap());
        }
        let taken = take(&mut headers, is_believed);
        assert!(headers.is_empty(), "no handler sees them");
        taken.map(|certificate| 1 + certificate.issuers().len())
    }

    #[test]
    fn c_080_a_header_is_read_where_the_proxy_is_believed_and_dropped_everywhere() {
        let own = written();
        let alone = [(CLIENT_CERT, own.as_str())];
        assert_eq!(taken(&alone, true), Some(1));
        assert_eq!(taken(&alone, false), None);
        assert_eq!(taken(&[], true), None);
        assert_eq!(taken(&[(CLIENT_CERT_CHAIN, &own)], true), None);
        let list = format!("{own} ,\t{own}");
        let chain = [
            alone[0].clone(),
            (CLIENT_CERT_CHAIN, &list),
            (CLIENT_CERT_CHAIN, &own),
        ];
        assert_eq!(taken(&chain, true), Some(4));
    }

    #[test]
    fn c_080_a_header_that_is_no_certificate_says_nothing() {
        let own = written();
        let bare = own.trim_matches(':');
        let open = &own[..own.len() - 1];
        let with_parameter = format!("{own};a=1");
        for wrong in [
            "",
            ":",
            "::",
            ":AAAA:",
            ":!:",
            bare,
            open,
            &with_parameter,
            "\u{e9}",
        ] {
            assert_eq!(taken(&[(CLIENT_CERT, wrong)], true), None, "{wrong}");
            let chain = [(CLIENT_CERT, own.as_str()), (CLIENT_CERT_CHAIN, wrong)];
            // What is in the chain only helps to find an authority: it need not be a certificate.
            let is_der = matches!(wrong, "::" | ":AAAA:");
            assert_eq!(taken(&chain, true).is_some(), is_der, "{wrong}");
        }
        assert_eq!(taken(&[(CLIENT_CERT, &own), (CLIENT_CERT, &own)], true), None);
    }

    #[test]
    fn c_080_a_certificate_and_a_chain_have_limits() {
        let own = written();
        let of = |length: usize| format!(":{}:", Base64::encode_string(&vec![0; length]));
        assert!(certificate(&of(MAX_CERTIFICATE)).is_some());
        assert!(certificate(&of(MAX_CERTIFICATE + 1)).is_none());
        for (length, count) in [(MAX_CHAIN, Some(1 + MAX_CHAIN)), (MAX_CHAIN + 1, None)] {
            let chain = vec![own.as_str(); length].join(",");
            let values = [(CLIENT_CERT, own.as_str()), (CLIENT_CERT_CHAIN, &chain)];
            assert_eq!(taken(&values, true), count);
        }
    }
}
