//! The certificate authorities that the operator trusts beside the system's.

use std::sync::Arc;

use reqwest::Certificate;

/// Certificates of authorities, as PEM that has been checked.
#[derive(Clone, Default)]
pub(crate) struct Authorities(Arc<str>);

impl Authorities {
    /// Takes one certificate or more.
    pub(crate) fn read(pem: &str) -> Option<Self> {
        let found = Certificate::from_pem_bundle(pem.as_bytes()).ok()?;
        (!found.is_empty()).then(|| Self(pem.into()))
    }

    /// Returns them as PEM; empty if there are none.
    pub(crate) fn pem(&self) -> &str {
        &self.0
    }

    /// Returns them one by one.
    pub(crate) fn certificates(&self) -> impl Iterator<Item = Certificate> {
        let read = Certificate::from_pem_bundle(self.0.as_bytes());
        read.unwrap_or_default().into_iter()
    }
}
