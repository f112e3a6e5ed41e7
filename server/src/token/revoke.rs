//! Giving tokens back (RFC 7009), when the provider takes them.

use super::Provider;
use super::discovery::Keys;

/// Which token is given back: the provider's hint where to look.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    /// `refresh_token`
    Refresh,
    /// `access_token`
    Access,
}

impl Kind {
    fn hint(self) -> &'static str {
        match self {
            Self::Refresh => "refresh_token",
            Self::Access => "access_token",
        }
    }
}

impl Provider {
    /// Revokes a token. A session that ends must not wait for the provider's cooperation: a failure is logged and
    /// that is all.
    pub(crate) async fn revoke(&self, token: &str, kind: Kind) {
        let Ok(metadata) = self.metadata(Keys::Known).await else {
            return;
        };
        let Some(endpoint) = metadata.additional_metadata().revocation_endpoint.clone() else {
            return;
        };
        let form = vec![("token", token), ("token_type_hint", kind.hint())];
        match self.post(endpoint, form).await {
            Ok(answer) if answer.status().is_success() => {}
            Ok(answer) => tracing::warn!(
                status = answer.status().as_u16(),
                kind = kind.hint(),
                "a token was not revoked"
            ),
            Err(_) => tracing::warn!(
                kind = kind.hint(),
                "a token was not revoked: the provider does not answer"
            ),
        }
    }
}
