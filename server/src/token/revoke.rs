//! Giving a refresh token back (RFC 7009), when the provider takes it.

use super::Provider;

impl Provider {
    /// Revokes a refresh token. A session that ends must not wait for the provider's cooperation: a failure is
    /// logged and that is all.
    pub(crate) async fn revoke(&self, refresh_token: &str) {
        let Ok(metadata) = self.metadata(false).await else {
            return;
        };
        let Some(endpoint) = metadata.additional_metadata().revocation_endpoint.clone() else {
            return;
        };
        let Ok(http) = self.http() else { return };
        let (client_id, secret) = self.credentials();
        let mut form = vec![("token", refresh_token), ("token_type_hint", "refresh_token")];
        let mut request = http.0.post(endpoint);
        match secret {
            // RFC 6749 §2.3.1: both parts are form-encoded before they become a Basic header.
            Some(secret) => request = request.basic_auth(encoded(client_id), Some(encoded(secret))),
            None => form.push(("client_id", client_id)),
        }
        match request.form(&form).send().await {
            Ok(answer) if answer.status().is_success() => {}
            Ok(answer) => tracing::warn!(
                status = answer.status().as_u16(),
                "the refresh token was not revoked"
            ),
            Err(_) => tracing::warn!("the refresh token was not revoked: the provider does not answer"),
        }
    }
}

fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}
