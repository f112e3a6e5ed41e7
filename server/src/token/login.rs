//! A person signs in at the provider (D-021): the URL that the browser is sent to, and the code that it comes back with,
//! spent for tokens (step 2 of the token's way), or only to learn who the person is.

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

/// Bytes of another claim that is kept; a longer one is left out.
const MAX_CLAIM: usize = 320;

/// Methods of `amr` that are kept.
const MAX_METHODS: usize = 16;

/// The scope of refresh tokens (OpenID Connect Core §11).
const OFFLINE_ACCESS: &str = "offline_access";

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

/// How a person is to prove who they are, beyond what the provider asks of everybody.
#[derive(Clone, Default)]
pub(crate) struct Proof {
    /// Now, even if the provider knows the person still.
    pub(crate) fresh: bool,
    /// `acr_values` (OpenID Connect Core §3.1.2.1), separated by spaces.
    pub(crate) acr_values: String,
}

/// What a code gave.
pub(crate) struct SignedIn {
    pub(crate) grant: Grant,
    pub(crate) person: Person,
}

/// Whom an id_token is about, and what it says of them.
pub(crate) struct Person {
    /// `sub`
    pub(crate) sub: String,
    /// For people; made of what the provider has.
    pub(crate) name: String,
    /// `email`, if the provider has verified it.
    pub(crate) email: Option<String>,
    /// `preferred_username`
    pub(crate) username: Option<String>,
    /// `phone_number`, if the provider has verified it.
    pub(crate) phone: Option<String>,
    /// When the person proved who they are, Unix seconds.
    pub(crate) auth_time: Option<u64>,
    /// How strong the proof was.
    pub(crate) acr: Option<String>,
    /// What the proof was (RFC 8176).
    pub(crate) amr: Vec<String>,
}

impl Provider {
    /// Makes the URL to which a browser is sent for a login's tokens.
    pub(crate) async fn ask(&self) -> Result<Asked, ProviderError> {
        let mut more = Vec::new();
        // OpenID Connect Core §11: without it some providers drop offline_access silently.
        if self.scopes.iter().any(|scope| scope == OFFLINE_ACCESS) {
            more.push(("prompt", "consent"));
        }
        more.extend(self.resource().map(|resource| ("resource", resource)));
        self.asked(|_| true, &more).await
    }

    /// Makes the URL to which a browser is sent only to learn who the person is.
    pub(crate) async fn ask_who(&self, proof: &Proof) -> Result<Asked, ProviderError> {
        let mut more = Vec::new();
        if proof.fresh {
            // `max_age` makes the provider say when the person signed in; `prompt` makes it ask.
            more.extend([("prompt", "login"), ("max_age", "0")]);
        }
        if !proof.acr_values.is_empty() {
            more.push(("acr_values", &proof.acr_values));
        }
        self.asked(|scope| scope != OFFLINE_ACCESS, &more).await
    }

    /// Code flow, PKCE S256, `state`, `nonce`.
    async fn asked(
        &self,
        is_wanted: impl Fn(&str) -> bool,
        more: &[(&str, &str)],
    ) -> Result<Asked, ProviderError> {
        let metadata = self.metadata(Keys::Known).await?;
        // Nothing is sent as this client, so it needs no secret.
        let client = Client::from_provider_metadata((*metadata).clone(), self.client_id.clone(), None)
            .set_redirect_uri(self.redirect.clone());
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let flow = CoreAuthenticationFlow::AuthorizationCode;
        let mut request = client
            .authorize_url(flow, CsrfToken::new_random, Nonce::new_random)
            .set_pkce_challenge(challenge);
        let scopes = self.scopes.iter().filter(|scope| *scope != "openid");
        for scope in scopes.filter(|scope| is_wanted(scope)) {
            request = request.add_scope(Scope::new(scope.clone()));
        }
        for (name, value) in more {
            request = request.add_extra_param(*name, *value);
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

    /// Spends a code for a login's tokens.
    pub(crate) async fn redeem(&self, code: &str, redeem: Redeem) -> Result<SignedIn, ProviderError> {
        let asked = now();
        let (mut response, person) = self.spend(code, redeem, self.resource()).await?;
        let refresh_token = response.take_refresh_token(asked)?;
        let mut access = response.checked(asked)?;
        // RFC 6749 §5.1: left out, it is what was asked for.
        access.scope = access.scope.or_else(|| usable_scope(self.scopes.join(" ")));
        let grant = Grant {
            access,
            refresh_ends: refresh_token.as_ref().and_then(|token| token.ends),
            refresh_token: refresh_token.map(|token| token.text),
            subject: Some(person.sub.clone()),
        };
        Ok(SignedIn { grant, person })
    }

    /// Spends a code to learn who the person is. The tokens that come with it are wiped unused.
    pub(crate) async fn identify(&self, code: &str, redeem: Redeem) -> Result<Person, ProviderError> {
        let (response, person) = self.spend(code, redeem, None).await?;
        response.wipe();
        Ok(person)
    }

    async fn spend(
        &self,
        code: &str,
        redeem: Redeem,
        resource: Option<&str>,
    ) -> Result<(Response, Person), ProviderError> {
        let endpoint = self.token_endpoint().await?;
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("code_verifier", &redeem.pkce_verifier),
            ("redirect_uri", &self.redirect),
        ];
        form.extend(resource.map(|resource| ("resource", resource)));
        let mut response = Response::read(&self.post(endpoint, form).await?)?;
        let id_token = response.id_token.take();
        let person = self.who(id_token, &Nonce::new(redeem.nonce)).await?;
        Ok((response, person))
    }

    /// Returns whom an id_token is about, if it is one for this login.
    async fn who(&self, id_token: Option<Value>, nonce: &Nonce) -> Result<Person, ProviderError> {
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
    ) -> Result<Person, ClaimsVerificationError> {
        // A public client's verifier: no signature is made with a client secret.
        let (issuer, keys) = (metadata.issuer().clone(), metadata.jwks().clone());
        let verifier = CoreIdTokenVerifier::new_public_client(self.client_id.clone(), issuer, keys)
            .set_allowed_algs(SIGNED_BY);
        token.claims(&verifier, nonce).map(person)
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

/// Returns what the claims say of the person.
fn person(claims: &CoreIdTokenClaims) -> Person {
    let verified = |is_verified: Option<bool>| move |_: &String| is_verified == Some(true);
    let auth_time = claims.auth_time().map(|time| time.timestamp());
    let methods = claims.auth_method_refs().into_iter().flatten();
    Person {
        sub: claims.subject().to_string(),
        name: display_name(claims),
        email: kept(claims.email()).filter(verified(claims.email_verified())),
        username: kept(claims.preferred_username()),
        phone: kept(claims.phone_number()).filter(verified(claims.phone_number_verified())),
        auth_time: auth_time.and_then(|seconds| u64::try_from(seconds).ok()),
        acr: kept(claims.auth_context_ref()),
        amr: methods
            .filter_map(|method| kept(Some(method)))
            .take(MAX_METHODS)
            .collect(),
    }
}

/// Returns a claim, unless it is unreasonably long.
fn kept<T: std::ops::Deref<Target = String>>(claim: Option<&T>) -> Option<String> {
    let claim: Option<String> = claim.map(|claim| (**claim).clone());
    claim.filter(|claim| claim.len() <= MAX_CLAIM)
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
