//! Certificates: of an authority that is made for a test, and of clients that vouch for themselves.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    IsCa, KeyPair, SanType,
};
use reqwest::{Certificate, Client, Identity};

use ciba_tests::PATIENCE;

/// An authority.
pub(crate) struct Ca(CertifiedIssuer<'static, KeyPair>);

/// A certificate with its key.
pub(crate) struct Leaf {
    pub(crate) certificate: String,
    pub(crate) der: Vec<u8>,
    pub(crate) key: KeyPair,
}

impl Ca {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// Issues a certificate for a server on loopback.
    pub(crate) fn server(&self) -> Leaf {
        let names = ["127.0.0.1".to_owned(), "localhost".to_owned()];
        self.issue(&CertificateParams::new(names).unwrap())
    }

    /// Issues a certificate for a client of this common name.
    pub(crate) fn client(&self, name: &str) -> Leaf {
        self.issue(&client(name))
    }

    pub(crate) fn issue(&self, params: &CertificateParams) -> Leaf {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        Leaf {
            certificate: certificate.pem(),
            der: certificate.der().to_vec(),
            key,
        }
    }
}

impl Leaf {
    /// A certificate that no authority has issued.
    pub(crate) fn self_signed(params: &CertificateParams, key: KeyPair) -> Self {
        let certificate = params.self_signed(&key).unwrap();
        Self {
            certificate: certificate.pem(),
            der: certificate.der().to_vec(),
            key,
        }
    }
}

/// What a client's certificate says.
pub(crate) fn client(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new([]).unwrap();
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::OrganizationName, "Example, Inc.");
    params.distinguished_name.push(DnType::CommonName, name);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params.subject_alt_names = vec![
        SanType::DnsName(format!("{name}.example").try_into().unwrap()),
        SanType::URI(format!("urn:client:{name}").try_into().unwrap()),
        SanType::Rfc822Name(format!("{name}@example.com").try_into().unwrap()),
        SanType::IpAddress([192, 0, 2, 7].into()),
    ];
    params
}

/// Returns a client that believes this authority alone, and shows this certificate.
pub(crate) fn http(authority: &str, leaf: Option<&Leaf>) -> Client {
    let authority = Certificate::from_pem(authority.as_bytes()).unwrap();
    let mut builder = Client::builder()
        .no_proxy()
        .timeout(PATIENCE)
        .tls_certs_only([authority]);
    if let Some(leaf) = leaf {
        let pem = [leaf.key.serialize_pem(), leaf.certificate.clone()].concat();
        builder = builder.identity(Identity::from_pem(pem.as_bytes()).unwrap());
    }
    builder.build().unwrap()
}
