//! A refresh token for a fresh access token (RFC 6749 §6).

use openidconnect::RefreshToken;

use super::provider::{grant, token_error};
use super::{Grant, Provider, ProviderError};

impl Provider {
    /// Asks for new tokens. A provider that rotates gives a new refresh token with them, and the old one is spent from
    /// then on.
    pub(crate) async fn refresh(&self, refresh_token: &str) -> Result<Grant, ProviderError> {
        let client = self.client(&*self.metadata(false).await?);
        let refresh_token = RefreshToken::new(refresh_token.to_owned());
        let mut request = client
            .exchange_refresh_token(&refresh_token)
            .map_err(|_| ProviderError::Nonsense("it has no token endpoint"))?;
        if let Some(resource) = self.resource() {
            request = request.add_extra_param("resource", resource);
        }
        let tokens = request.request_async(self.http()?).await.map_err(token_error)?;
        grant(&tokens)
    }
}
