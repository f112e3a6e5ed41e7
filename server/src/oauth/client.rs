//! A client as it is registered (RFC 7591 §2, CIBA Core §4), whether by configuration, administrator or registration.

use base64ct::{Base64UrlUnpadded, Encoding as _};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use url::Url;

pub(crate) use super::alg::Alg;
use super::certificate_name::CertificateName;
use crate::config::{Mode, Terms};

/// `grant_type` of a backchannel authentication request's redemption (CIBA Core §10.1).
pub(crate) const CIBA_GRANT: &str = "urn:openid:params:grant-type:ciba";

/// `grant_type` of RFC 6749 §6.
pub(crate) const REFRESH_GRANT: &str = "refresh_token";

/// `grant_type` of RFC 6749 §4.4.
pub(crate) const CLIENT_CREDENTIALS_GRANT: &str = "client_credentials";

/// A client. It has what its secret is checked against: there is no `Debug`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Client {
    /// `client_id`
    pub(crate) id: String,
    /// Tells it from an earlier client of the same id, whose requests and grants are not its own. Drawn at random when the client
    /// is added; empty for those of the configuration, where the id alone says which client is meant.
    #[serde(default)]
    pub(crate) incarnation: String,
    /// What its secret is checked against, for a client that has one.
    pub(crate) secret: Option<SecretHash>,
    /// Unix seconds; `client_id_issued_at`.
    pub(crate) created_at: u64,
    /// Who says what is registered.
    #[serde(default)]
    pub(crate) registered_by: RegisteredBy,
    /// A disabled client fails authentication, and its open requests cannot be approved (C-054).
    #[serde(default)]
    pub(crate) disabled: bool,
    /// What it registered.
    pub(crate) metadata: Metadata,
}

/// Where a client comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RegisteredBy {
    Configuration,
    Administrator,
    /// Itself: what it says of itself is its own statement. Records of older servers do not say.
    #[default]
    Registration,
}

/// What a client registers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Metadata {
    /// Shown to the person who approves.
    pub(crate) client_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) client_uri: Option<Url>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) logo_uri: Option<Url>,
    pub(crate) grant_types: Vec<String>,
    /// The scopes it may ask for, space-separated; without it, all that the server knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) scope: Option<String>,
    pub(crate) token_endpoint_auth_method: AuthMethod,
    /// The only algorithm of its assertions (C-048).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) token_endpoint_auth_signing_alg: Option<Alg>,
    /// Its public keys; never beside `jwks_uri` (C-049).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) jwks: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) jwks_uri: Option<Url>,
    pub(crate) id_token_signed_response_alg: Alg,
    /// A client that does not use CIBA has none (C-042).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) backchannel_token_delivery_mode: Option<Mode>,
    /// Of ping and push clients (C-044).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) backchannel_client_notification_endpoint: Option<Url>,
    /// A client that has it signs every request (C-161).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) backchannel_authentication_request_signing_alg: Option<Alg>,
    #[serde(default)]
    pub(crate) backchannel_user_code_parameter: bool,
    /// The types of RFC 9396 that it may ask for; without it, all that the server knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) authorization_details_types: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) redirect_uris: Vec<Url>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) response_types: Vec<String>,
    /// Of a client that authenticates with `tls_client_auth`.
    #[serde(flatten)]
    pub(crate) certificate_name: Option<CertificateName>,
    #[serde(default)]
    pub(crate) tls_client_certificate_bound_access_tokens: bool,
    /// What the operator alone decides about it.
    #[serde(default, skip_serializing_if = "Terms::is_default")]
    pub(crate) terms: Terms,
}

/// How a client proves who it is (C-026).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AuthMethod {
    ClientSecretBasic,
    ClientSecretPost,
    PrivateKeyJwt,
    TlsClientAuth,
    SelfSignedTlsClientAuth,
}

/// SHA-256 of a client secret. A secret of ours has 256 random bits, so it needs no slow hash (C-074). There is no `Debug`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SecretHash(String);

impl SecretHash {
    pub(crate) fn of(secret: &str) -> Self {
        Self(Base64UrlUnpadded::encode_string(&Sha256::digest(
            secret.as_bytes(),
        )))
    }

    /// Whether this is the secret, in constant time (C-408). No secret is empty, whatever was kept.
    pub(crate) fn matches(&self, secret: &str) -> bool {
        let is_same: bool = Self::of(secret).0.as_bytes().ct_eq(self.0.as_bytes()).into();
        is_same && !secret.is_empty()
    }
}

impl Client {
    /// Whether the operator says what the client is.
    pub(crate) fn is_vouched_for(&self) -> bool {
        self.registered_by != RegisteredBy::Registration
    }

    /// Whether a record is about this client, and not about an earlier one of the same id.
    pub(crate) fn is(&self, id: &str, incarnation: &str) -> bool {
        self.id == id && self.incarnation == incarnation
    }

    pub(crate) fn has_grant(&self, grant_type: &str) -> bool {
        self.metadata.grant_types.iter().any(|own| own == grant_type)
    }
}

impl AuthMethod {
    /// Whether the client has a secret. Such a client may send it in either of the two ways (C-072).
    pub(crate) fn has_secret(self) -> bool {
        matches!(self, Self::ClientSecretBasic | Self::ClientSecretPost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c_074_an_empty_secret_is_wrong_even_where_an_empty_one_was_kept() {
        assert!(SecretHash::of("secret").matches("secret"));
        for (kept, presented) in [("secret", ""), ("", ""), ("", "secret")] {
            assert!(!SecretHash::of(kept).matches(presented), "{kept:?} {presented:?}");
        }
    }
}
