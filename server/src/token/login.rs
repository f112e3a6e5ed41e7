//! A person signs in at the provider (D-021): the URL that the browser is sent to, and the code that it comes back with,
//! spent for tokens (step 2 of the token's way).

use openidconnect::core::{CoreAuthenticationFlow, CoreIdToken, CoreIdTokenClaims, CoreIdTokenVerifier};
use openidconnect::{
    ClaimsVerificationError, CsrfToken, Nonce, PkceCodeChallenge, Scope, SignatureVerificationError,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;

use super::discovery::Keys;
use super::oidc::{Client, Metadata, SIGNED_BY};
use super::response::{Response, usable_scope};
use super::{Grant, Provider, ProviderError};
use crate::clock::now;

/// Characters of a person's name that are shown.
const MAX_NAME: usize = 80;

/// What a browser is sent to the provider with, and what has to be remembered of it.
pub(crate) struct Asked {
    pub(crate) url: Url,
    pub(crate) state: String,
    pub(crate) redeem: Redeem,
}

/// What it takes to spend the code that comes back. Useless without the code.
#[derive(Serialize, Deserialize)]
pub(crate) struct Redeem {
    pkce_verifier: String,
    nonce: String,
}

/// What a code gave.
pub(crate) struct SignedIn {
    pub(crate) grant: Grant,
    /// Who signed in, for people.
    pub(crate) name: String,
}

/// Whom an id_token is about.
struct Who {
    /// For people.
    name: String,
    /// `sub`
    subject: String,
}

impl Provider {
    /// Makes the URL a browser is sent to: code flow, PKCE S256, `state`, `nonce`.
    pub(crate) async fn ask(&self) -> Result<Asked, ProviderError> {
        let metadata = self.metadata(Keys::Known).await?;
        // Nothing is sent as this client, so it needs no secret.
        let client = Client::from_provider_metadata((*metadata).clone(), self.client_id.clone(), None)
            .set_redirect_uri(self.redirect.clone());
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let flow = CoreAuthenticationFlow::AuthorizationCode;
        let mut request = client
            .authorize_url(flow, CsrfToken::new_random, Nonce::new_random)
            .set_pkce_challenge(challenge);
        for scope in self.scopes.iter().filter(|scope| *scope != "openid") {
            request = request.add_scope(Scope::new(scope.clone()));
        }
        // OpenID Connect Core §11: without it some providers drop offline_access silently.
        if self.scopes.iter().any(|scope| scope == "offline_access") {
            request = request.add_extra_param("prompt", "consent");
        }
        if let Some(resource) = &self.resource {
            request = request.add_extra_param("resource", resource);
        }
        let (url, state, nonce) = request.url();
        let redeem = Redeem {
            pkce_verifier: verifier.into_secret(),
            nonce: nonce.secret().clone(),
        };
        Ok(Asked {
            url,
            state: state.into_secret(),
            redeem,
        })
    }

    /// Spends a code.
    pub(crate) async fn redeem(&self, code: &str, redeem: Redeem) -> Result<SignedIn, ProviderError> {
        let endpoint = self.token_endpoint().await?;
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("code_verifier", &redeem.pkce_verifier),
            ("redirect_uri", &self.redirect),
        ];
        form.extend(self.resource().map(|resource| ("resource", resource)));
        let asked = now();
        let mut response = Response::read(&self.post(endpoint, form).await?)?;
        let id_token = response.id_token.take();
        let who = self.who(id_token, &Nonce::new(redeem.nonce)).await?;
        let refresh_token = response.take_refresh_token(asked)?;
        let mut access = response.checked(asked)?;
        // RFC 6749 §5.1: left out, it is what was asked for.
        access.scope = access.scope.or_else(|| usable_scope(self.scopes.join(" ")));
        let grant = Grant {
            access,
            refresh_ends: refresh_token.as_ref().and_then(|token| token.ends),
            refresh_token: refresh_token.map(|token| token.text),
            subject: Some(who.subject),
        };
        Ok(SignedIn {
            grant,
            name: who.name,
        })
    }

    /// Returns whom an id_token is about, if it is one for this login.
    async fn who(&self, id_token: Option<Value>, nonce: &Nonce) -> Result<Who, ProviderError> {
        let id_token = id_token.ok_or(ProviderError::Nonsense("it gave no id_token"))?;
        let id_token: CoreIdToken = serde_json::from_value(id_token)
            .map_err(|_| ProviderError::BadIdToken("it is not of the expected form"))?;
        let who = match self.verify(&*self.metadata(Keys::Known).await?, &id_token, nonce) {
            // The keys may have been rotated since we looked.
            Err(ClaimsVerificationError::SignatureVerification(
                SignatureVerificationError::NoMatchingKey,
            )) => self.verify(&*self.metadata(Keys::Newer).await?, &id_token, nonce),
            other => other,
        };
        who.map_err(|error| ProviderError::BadIdToken(problem(&error)))
    }

    /// Checks signature, `iss`, `aud`, `exp` and `nonce`.
    fn verify(
        &self,
        metadata: &Metadata,
        token: &CoreIdToken,
        nonce: &Nonce,
    ) -> Result<Who, ClaimsVerificationError> {
        // A public client's verifier: no signature is made with a client secret.
        let (issuer, keys) = (metadata.issuer().clone(), metadata.jwks().clone());
        let verifier = CoreIdTokenVerifier::new_public_client(self.client_id.clone(), issuer, keys)
            .set_allowed_algs(SIGNED_BY);
        let claims = token.claims(&verifier, nonce)?;
        Ok(Who {
            name: display_name(claims),
            subject: claims.subject().to_string(),
        })
    }
}

/// What is wrong with an id_token, without a word of it.
fn problem(error: &ClaimsVerificationError) -> &'static str {
    match error {
        ClaimsVerificationError::Expired(_) => "it has expired",
        ClaimsVerificationError::InvalidAudience(_) => "it is for another client",
        ClaimsVerificationError::InvalidIssuer(_) => "it is of another issuer",
        ClaimsVerificationError::InvalidNonce(_) => "it is for another login",
        ClaimsVerificationError::SignatureVerification(_) => "its signature does not hold",
        _ => "it is not of the expected form",
    }
}

/// A name for people: what the provider has, in this order.
fn display_name(claims: &CoreIdTokenClaims) -> String {
    let name = claims
        .name()
        .and_then(|name| name.get(None))
        .map(|name| name.as_str());
    let username = claims.preferred_username().map(|name| name.as_str());
    let email = claims.email().map(|email| email.as_str());
    let chosen = name
        .or(username)
        .or(email)
        .unwrap_or_else(|| claims.subject().as_str());
    chosen
        .chars()
        .filter(|c| !c.is_control())
        .take(MAX_NAME)
        .collect()
}
