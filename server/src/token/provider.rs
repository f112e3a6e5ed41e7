//! The identity provider, as one client of it: how it is reached, and how it can fail. What it is asked for is in the
//! files beside this one.

use std::sync::{Arc, OnceLock};

use openidconnect::{ClientId, IssuerUrl, RedirectUrl};
use thiserror::Error;
use url::Url;
use zeroize::Zeroizing;

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

/// Why the provider gave no tokens: what a person can be told.
#[derive(Clone, Debug, Error)]
pub(crate) enum ProviderError {
    /// It cannot be reached, or not in time.
    #[error("the identity provider cannot be reached: {0}")]
    Unreachable(String),
    /// It answered, and what it said makes no sense.
    #[error("the identity provider's answer makes no sense: {0}")]
    Nonsense(&'static str),
    /// It said no; its OAuth error code.
    #[error("the identity provider refused: {0}")]
    Refused(String),
    /// The id_token is not one for this login.
    #[error("the identity provider's id_token was refused: {0}")]
    BadIdToken(&'static str),
}

impl ProviderError {
    /// Returns the OAuth error code that the device is told.
    pub(crate) fn code(&self) -> &str {
        match self {
            Self::Unreachable(_) => "temporarily_unavailable",
            Self::Nonsense(_) | Self::BadIdToken(_) => "server_error",
            Self::Refused(code) => code,
        }
    }
}

impl From<CallError> for ProviderError {
    fn from(cause: CallError) -> Self {
        Self::Unreachable(cause.to_string())
    }
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
