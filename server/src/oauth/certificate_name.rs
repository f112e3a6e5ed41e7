//! The name by which a client of `tls_client_auth` registers its certificate (RFC 8705 §2.1.2).

use std::net::IpAddr;
use std::str::FromStr as _;

use serde::{Deserialize, Serialize};
use x509_cert::Certificate;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::name::Name;

/// One name; its member in the client's metadata says of which kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum CertificateName {
    /// The subject, as RFC 4514 writes it.
    #[serde(rename = "tls_client_auth_subject_dn")]
    SubjectDn(String),
    #[serde(rename = "tls_client_auth_san_dns")]
    SanDns(String),
    #[serde(rename = "tls_client_auth_san_uri")]
    SanUri(String),
    #[serde(rename = "tls_client_auth_san_ip")]
    SanIp(String),
    #[serde(rename = "tls_client_auth_san_email")]
    SanEmail(String),
}

impl CertificateName {
    /// Whether a certificate can have the name at all.
    pub(crate) fn can_be(&self) -> bool {
        match self {
            Self::SubjectDn(dn) => normal(dn).is_some(),
            Self::SanIp(ip) => ip.parse::<IpAddr>().is_ok(),
            Self::SanDns(name) | Self::SanUri(name) | Self::SanEmail(name) => name.is_ascii(),
        }
    }

    /// Whether it is a name of this certificate. An alternative name may be one of several.
    pub(crate) fn is_of(&self, certificate: &Certificate) -> bool {
        let certificate = certificate.tbs_certificate();
        if let Self::SubjectDn(dn) = self {
            return normal(dn).is_some_and(|dn| dn == certificate.subject().to_string());
        }
        match certificate.get_extension::<SubjectAltName>() {
            Ok(Some((_, names))) => names.0.iter().any(|name| self.is(name)),
            Ok(None) | Err(_) => false,
        }
    }

    fn is(&self, name: &GeneralName) -> bool {
        match (self, name) {
            (Self::SanDns(own), GeneralName::DnsName(name)) => own.eq_ignore_ascii_case(name.as_str()),
            (Self::SanUri(own), GeneralName::UniformResourceIdentifier(name)) => own == name.as_str(),
            (Self::SanEmail(own), GeneralName::Rfc822Name(name)) => own == name.as_str(),
            (Self::SanIp(own), GeneralName::IpAddress(octets)) => match own.parse() {
                Ok(IpAddr::V4(ip)) => octets.as_bytes() == ip.octets(),
                Ok(IpAddr::V6(ip)) => octets.as_bytes() == ip.octets(),
                Err(_) => false,
            },
            _ => false,
        }
    }
}

/// Writes a subject in the one way in which it is compared.
fn normal(dn: &str) -> Option<String> {
    Some(Name::from_str(dn).ok()?.to_string())
}
