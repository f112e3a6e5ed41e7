//! What the provider is told when it is made: who it is, its one client, and how long things live.

use std::time::Duration;

use url::Url;
use zeroize::Zeroizing;

use super::clock::Clock;
use super::targets::Targets;

/// The settings of a provider. [`Config::new`] fills in everything that has a default.
pub struct Config {
    /// Where the provider is reached; the issuer identifier is this URL without a slash at its end.
    pub issuer: Url,
    /// Name of the one confidential client.
    pub client_id: String,
    /// Secret of that client.
    pub client_secret: Zeroizing<String>,
    /// The only redirect URI of that client; compared as a string, so spell it as [`Url`] prints it.
    pub redirect_uri: Url,
    /// Lifetime of access tokens and id_tokens, whole seconds.
    pub access_token_ttl: Duration,
    /// Lifetime of a refresh token, whole seconds; each rotation begins anew.
    pub refresh_token_ttl: Duration,
    /// When a refresh token is given out.
    pub refresh_tokens: RefreshTokens,
    /// Audiences and resources for which a token may be exchanged.
    pub targets: Targets,
    /// The time.
    pub clock: Clock,
}

/// When a refresh token is given out.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum RefreshTokens {
    /// With every login.
    Always,
    /// With a login that asked for the scope `offline_access` (OpenID Connect Core §11).
    OnOfflineAccess,
}

/// Audience of an access token that was not exchanged.
pub(super) const DEFAULT_AUDIENCE: &str = "urn:d:unified-gateway";

const ACCESS_TOKEN_TTL: Duration = Duration::from_secs(300);
const REFRESH_TOKEN_TTL: Duration = Duration::from_secs(24 * 60 * 60);

impl Config {
    /// Returns the settings for one client, with lifetimes of five minutes and one day.
    pub fn new(issuer: Url, client_id: String, client_secret: Zeroizing<String>, redirect_uri: Url) -> Self {
        Self {
            issuer,
            client_id,
            client_secret,
            redirect_uri,
            access_token_ttl: ACCESS_TOKEN_TTL,
            refresh_token_ttl: REFRESH_TOKEN_TTL,
            refresh_tokens: RefreshTokens::Always,
            targets: Targets::default(),
            clock: Clock::system(),
        }
    }

    /// The issuer identifier, as it stands in `iss` (RFC 8414 §2).
    pub(super) fn issuer_id(&self) -> &str {
        self.issuer.as_str().trim_end_matches('/')
    }

    /// The URL of an endpoint, whose `path` begins with a slash.
    pub(super) fn endpoint(&self, path: &str) -> String {
        format!("{}{path}", self.issuer_id())
    }
}
