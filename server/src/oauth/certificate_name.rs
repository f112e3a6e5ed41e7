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

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, SanType};
    use x509_cert::der::Decode as _;

    use super::*;

    fn certificate(subject: &[(DnType, &str)], names: Vec<SanType>) -> Certificate {
        let mut params = CertificateParams::new([]).unwrap();
        params.distinguished_name = DistinguishedName::new();
        for (kind, value) in subject {
            params.distinguished_name.push(kind.clone(), *value);
        }
        params.subject_alt_names = names;
        let made = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        Certificate::from_der(made.der()).unwrap()
    }

    #[test]
    fn c_080_a_subject_is_compared_as_rfc_4514_writes_it() {
        let own = certificate(
            &[
                (DnType::CountryName, "DE"),
                (DnType::OrganizationName, "Example, Inc."),
                (DnType::CommonName, "a+b #1 Ü"),
            ],
            Vec::new(),
        );
        let is_of = |dn: &str| CertificateName::SubjectDn(dn.to_owned()).is_of(&own);
        for right in [
            r"CN=a\+b #1 Ü,O=Example\, Inc.,C=DE",
            r"CN=a\2Bb #1 \C3\9C,O=Example\2C Inc.,C=DE",
            r"2.5.4.3=a\+b #1 Ü,O=Example\, Inc.,C=DE",
        ] {
            assert!(is_of(right), "{right}");
        }
        for wrong in [
            r"C=DE,O=Example\, Inc.,CN=a\+b #1 Ü",
            r"CN=a\+b #1 Ü,O=Example\, Inc.",
            r"CN=a\+b #1 Ü",
            r"CN=A\+B #1 Ü,O=Example\, Inc.,C=DE",
            "",
        ] {
            assert!(!is_of(wrong), "{wrong}");
        }
    }

    #[test]
    fn c_080_no_certificate_has_an_empty_subject_or_another_ones_by_its_punctuation() {
        let (nameless, sly) = (
            certificate(&[], Vec::new()),
            certificate(&[(DnType::CommonName, "agent,O=Example")], Vec::new()),
        );
        for dn in ["CN=agent,O=Example", "CN=agent", "O=Example,CN=agent"] {
            assert!(!CertificateName::SubjectDn(dn.into()).is_of(&sly), "{dn}");
        }
        assert!(!CertificateName::SubjectDn(String::new()).is_of(&nameless));
        for unreadable in ["", "agent", "=agent", "CN=a,,O=b", "NOSUCH=a", "CN=a, O=b"] {
            assert!(
                !CertificateName::SubjectDn(unreadable.into()).can_be(),
                "{unreadable}"
            );
        }
    }

    #[test]
    fn c_080_an_alternative_name_is_one_of_its_kind() {
        use CertificateName::{SanDns, SanEmail, SanIp, SanUri};
        let text = |text: &str| text.to_owned().try_into().unwrap();
        let own = certificate(
            &[(DnType::CommonName, "cn.example")],
            vec![
                SanType::DnsName(text("one.example")),
                SanType::DnsName(text("*.two.example")),
                SanType::URI(text("urn:x:1")),
                SanType::Rfc822Name(text("a@example.com")),
                SanType::IpAddress([192, 0, 2, 1].into()),
                SanType::IpAddress("2001:db8::1".parse().unwrap()),
            ],
        );
        for right in [
            SanDns("ONE.example".into()),
            SanDns("*.two.example".into()),
            SanUri("urn:x:1".into()),
            SanEmail("a@example.com".into()),
            SanIp("192.0.2.1".into()),
            SanIp("2001:DB8:0::1".into()),
        ] {
            assert!(right.can_be() && right.is_of(&own), "{right:?}");
        }
        for wrong in [
            SanDns("cn.example".into()),
            SanDns("a.two.example".into()),
            SanDns("urn:x:1".into()),
            SanUri("URN:x:1".into()),
            SanEmail("A@example.com".into()),
            SanIp("::ffff:192.0.2.1".into()),
            SanIp("not an address".into()),
        ] {
            assert!(!wrong.is_of(&own), "{wrong:?}");
        }
        assert!(!SanIp("not an address".into()).can_be());
        let bare = certificate(&[(DnType::CommonName, "one.example")], Vec::new());
        assert!(!SanDns("one.example".into()).is_of(&bare));
    }
}
