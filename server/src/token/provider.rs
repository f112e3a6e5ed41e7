//! The identity provider as its client reaches it. What the provider is asked for is in the files beside this one.

use std::sync::{Arc, OnceLock};

use openidconnect::{ClientId, IssuerUrl, RedirectUrl};
use url::Url;
use zeroize::Zeroizing;

use super::ProviderError;
use super::discovery::{Discovery, Keys};
use super::oidc::Metadata;
use crate::config::Login;
use crate::outgoing::{Answer, CallError, Http};

/// The identity provider.
pub(crate) struct Provider {
    /// Made when first needed: a server that waits is small.
    http: OnceLock<Http>,
    discovery: Discovery,
    pub(super) client_id: ClientId,
    client_secret: Option<Zeroizing<String>>,
    pub(super) redirect: RedirectUrl,
    pub(super) scopes: Vec<String>,
    pub(super) resource: Option<String>,
}

impl Provider {
    pub(crate) fn new(login: &Login, callback: Url) -> anyhow::Result<Self> {
        Ok(Self {
            http: OnceLock::new(),
            discovery: Discovery::new(IssuerUrl::new(login.issuer.clone())?),
            client_id: ClientId::new(login.client_id.clone()),
            client_secret: login.client_secret.clone(),
            redirect: RedirectUrl::from_url(callback),
            scopes: login.scopes.clone(),
            resource: login.resource.clone(),
        })
    }

    /// Asks whether the provider can be found at all.
    pub(crate) async fn check(&self) -> Result<(), ProviderError> {
        self.metadata(Keys::Known).await.map(drop)
    }

    pub(super) fn issuer(&self) -> &str {
        self.discovery.issuer()
    }

    pub(super) fn resource(&self) -> Option<&str> {
        self.resource.as_deref()
    }

    pub(super) async fn metadata(&self, keys: Keys) -> Result<Arc<Metadata>, ProviderError> {
        self.discovery.metadata(self.http()?, keys).await
    }

    pub(super) async fn token_endpoint(&self) -> Result<Url, ProviderError> {
        let metadata = self.metadata(Keys::Known).await?;
        let endpoint = metadata.token_endpoint();
        let endpoint = endpoint.ok_or(ProviderError::Nonsense("it has no token endpoint"))?;
        Ok(endpoint.url().clone())
    }

    /// Posts a form of ours as the client that we are.
    pub(super) async fn post(&self, to: Url, mut form: Vec<(&str, &str)>) -> Result<Answer, ProviderError> {
        let http = self.http()?;
        let mut request = http.post(to).header(http::header::ACCEPT, "application/json");
        match &self.client_secret {
            // RFC 6749 §2.3.1: both parts are form-encoded before they become a Basic header.
            Some(secret) => request = request.basic_auth(encoded(&self.client_id), Some(encoded(secret))),
            None => form.push(("client_id", &self.client_id)),
        }
        let request = request.form(&form).build().map_err(CallError::from)?;
        Ok(http.fetch(request).await?)
    }

    fn http(&self) -> Result<&Http, ProviderError> {
        if let Some(http) = self.http.get() {
            return Ok(http);
        }
        let http = Http::new(self.discovery.issuer().url())?;
        Ok(self.http.get_or_init(|| http))
    }
}

fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}
