//! The identity provider: found by discovery, asked for codes and tokens (D-021). Every call has a deadline and a limit.

use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use http::StatusCode;
use openidconnect::core::{
    CoreAuthenticationFlow, CoreIdToken, CoreIdTokenClaims, CoreJwsSigningAlgorithm as Algorithm,
    CoreRequestTokenError,
};
use openidconnect::{
    AdditionalProviderMetadata, AsyncHttpClient, AuthorizationCode, ClaimsVerificationError, ClientId,
    ClientSecret, CsrfToken, EmptyAdditionalClaims, EndpointMaybeSet, EndpointNotSet, EndpointSet,
    ExtraTokenFields, HttpRequest, HttpResponse, IdTokenFields, IssuerUrl, Nonce, OAuth2TokenResponse as _,
    PkceCodeChallenge, PkceCodeVerifier, ProviderMetadata, RedirectUrl, RefreshToken, RequestTokenError,
    Scope, SignatureVerificationError, StandardErrorResponse, StandardTokenResponse, TokenResponse as _,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use store::UnixSeconds;
use thiserror::Error;
use tokio::sync::{Mutex, MutexGuard};
use url::Url;
use zeroize::Zeroizing;

use super::{AccessToken, DEFAULT_LIFETIME, Grant, MAX_SCOPE, MAX_TOKEN};
use crate::clock::now;
use crate::config::Login;

/// How long a connection to the provider may take.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// How long an answer may take, the connection included.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// Bytes of an answer that are read.
const MAX_ANSWER: usize = 1024 * 1024;

/// An unknown `kid` makes us look for new keys at most this often, whatever the provider signs with.
const KEYS_KEPT: Duration = Duration::from_secs(60);

/// How long discovery's document and keys are believed: a key that was withdrawn is not trusted for longer.
const METADATA_KEPT: Duration = Duration::from_secs(3600);

/// How long an old document is used without another look after one that failed, or that nobody waited for.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// The algorithms an id_token may be signed with: the asymmetric ones.
const SIGNED_BY: [Algorithm; 10] = [
    Algorithm::RsaSsaPkcs1V15Sha256,
    Algorithm::RsaSsaPkcs1V15Sha384,
    Algorithm::RsaSsaPkcs1V15Sha512,
    Algorithm::RsaSsaPssSha256,
    Algorithm::RsaSsaPssSha384,
    Algorithm::RsaSsaPssSha512,
    Algorithm::EcdsaP256Sha256,
    Algorithm::EcdsaP384Sha384,
    Algorithm::EcdsaP521Sha512,
    Algorithm::EdDsa,
];

/// Discovery's document, with what the library leaves out.
type Metadata = ProviderMetadata<
    Revocation,
    openidconnect::core::CoreAuthDisplay,
    openidconnect::core::CoreClientAuthMethod,
    openidconnect::core::CoreClaimName,
    openidconnect::core::CoreClaimType,
    openidconnect::core::CoreGrantType,
    openidconnect::core::CoreJweContentEncryptionAlgorithm,
    openidconnect::core::CoreJweKeyManagementAlgorithm,
    openidconnect::core::CoreJsonWebKey,
    openidconnect::core::CoreResponseMode,
    openidconnect::core::CoreResponseType,
    openidconnect::core::CoreSubjectIdentifierType,
>;

/// What openidconnect calls core, with [`Hints`] in the token response.
pub(super) type Client = openidconnect::Client<
    EmptyAdditionalClaims,
    openidconnect::core::CoreAuthDisplay,
    openidconnect::core::CoreGenderClaim,
    openidconnect::core::CoreJweContentEncryptionAlgorithm,
    openidconnect::core::CoreJsonWebKey,
    openidconnect::core::CoreAuthPrompt,
    StandardErrorResponse<openidconnect::core::CoreErrorResponseType>,
    Tokens,
    openidconnect::core::CoreTokenIntrospectionResponse,
    openidconnect::core::CoreRevocableToken,
    openidconnect::core::CoreRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

/// A token response.
type Tokens = StandardTokenResponse<
    IdTokenFields<
        EmptyAdditionalClaims,
        Hints,
        openidconnect::core::CoreGenderClaim,
        openidconnect::core::CoreJweContentEncryptionAlgorithm,
        Algorithm,
    >,
    openidconnect::core::CoreTokenType,
>;

/// What some providers say beyond the standards.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Hints {
    /// Seconds for which the refresh token is good; 0: nobody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    refresh_expires_in: Option<u64>,
}

impl ExtraTokenFields for Hints {}

/// RFC 8414 §2.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Revocation {
    pub(super) revocation_endpoint: Option<Url>,
}

impl AdditionalProviderMetadata for Revocation {}

/// The identity provider, as one client of it sees it.
pub(crate) struct Provider {
    /// Made when first needed: a server that waits is small.
    http: OnceLock<Http>,
    issuer: IssuerUrl,
    client_id: ClientId,
    client_secret: Option<Zeroizing<String>>,
    redirect: RedirectUrl,
    scopes: Vec<String>,
    resource: Option<String>,
    /// How long discovery's document and keys are believed.
    kept: Duration,
    found: RwLock<Option<Found>>,
    /// Held by the one who looks.
    look: Mutex<Look>,
}

/// How the last looks went.
#[derive(Default)]
struct Look {
    failed: Option<(Instant, ProviderError)>,
    /// When somebody last began to look for a newer document.
    began: Option<Instant>,
}

#[derive(Clone)]
struct Found {
    metadata: Arc<Metadata>,
    at: Instant,
    /// When an unknown key last made us look again.
    keys_asked: Option<Instant>,
}

impl Found {
    /// Whether its keys will not do.
    fn lacks_keys(&self, keys_are_old: bool) -> bool {
        let may_ask = self.keys_asked.is_none_or(|asked| asked.elapsed() >= KEYS_KEPT);
        self.metadata.jwks().keys().is_empty() || keys_are_old && may_ask
    }
}

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

/// Who signed in.
struct Who {
    /// For people.
    name: String,
    /// `sub`
    subject: String,
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

impl Provider {
    pub(crate) fn new(login: &Login, callback: Url) -> anyhow::Result<Self> {
        Ok(Self {
            http: OnceLock::new(),
            issuer: IssuerUrl::new(login.issuer.clone())?,
            client_id: ClientId::new(login.client_id.clone()),
            client_secret: login.client_secret.clone(),
            redirect: RedirectUrl::from_url(callback),
            scopes: login.scopes.clone(),
            resource: login.resource.clone(),
            kept: METADATA_KEPT,
            found: RwLock::default(),
            look: Mutex::default(),
        })
    }

    /// Makes the URL a browser is sent to: code flow, PKCE S256, `state`, `nonce`.
    pub(crate) async fn ask(&self) -> Result<Asked, ProviderError> {
        let client = self.client(&*self.metadata(false).await?);
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

    /// Spends a code: step 2 of the token's way. Returns what it gave, and who signed in, for people.
    pub(crate) async fn redeem(
        &self,
        code: String,
        redeem: Redeem,
    ) -> Result<(Grant, String), ProviderError> {
        let metadata = self.metadata(false).await?;
        let client = self.client(&metadata);
        let mut request = client
            .exchange_code(AuthorizationCode::new(code))
            .map_err(|_| ProviderError::Nonsense("it has no token endpoint"))?
            .set_pkce_verifier(PkceCodeVerifier::new(redeem.pkce_verifier));
        if let Some(resource) = &self.resource {
            request = request.add_extra_param("resource", resource);
        }
        let asked = now();
        let tokens = request.request_async(self.http()?).await.map_err(token_error)?;
        let id_token = tokens
            .id_token()
            .ok_or(ProviderError::Nonsense("it gave no id_token"))?;
        let nonce = Nonce::new(redeem.nonce);
        let who = match self.verify(&client, id_token, &nonce) {
            // The keys may have been rotated since we looked.
            Err(ClaimsVerificationError::SignatureVerification(
                SignatureVerificationError::NoMatchingKey,
            )) => {
                let client = self.client(&*self.metadata(true).await?);
                self.verify(&client, id_token, &nonce)
            }
            other => other,
        };
        let who = who.map_err(|error| ProviderError::BadIdToken(id_token_problem(&error)))?;
        let mut grant = grant(&tokens, asked)?;
        // RFC 6749 §5.1: left out, it is what was asked for.
        grant.access.scope = grant.access.scope.or_else(|| usable_scope(self.scopes.join(" ")));
        grant.subject = Some(who.subject);
        Ok((grant, who.name))
    }

    /// Asks whether the provider can be found at all.
    pub(crate) async fn check(&self) -> Result<(), ProviderError> {
        self.metadata(false).await.map(drop)
    }

    /// D-021: signature, `iss`, `aud`, `exp`, `nonce`. Returns who it is.
    fn verify(
        &self,
        client: &Client,
        token: &CoreIdToken,
        nonce: &Nonce,
    ) -> Result<Who, ClaimsVerificationError> {
        // Whatever discovery lists: HS256 would make our client secret, which others share, a signing key.
        let verifier = client.id_token_verifier().set_allowed_algs(SIGNED_BY);
        let claims = token.claims(&verifier, nonce)?;
        Ok(Who {
            name: display_name(claims),
            subject: claims.subject().to_string(),
        })
    }

    /// Returns discovery's document. Of an old one, one caller looks for a newer, and nobody waits for that: the
    /// provider may hang. While there is none, everybody waits for the one who looks, for its failure too.
    pub(super) async fn metadata(&self, keys_are_old: bool) -> Result<Arc<Metadata>, ProviderError> {
        let came = Instant::now();
        if let Some(known) = self.known().filter(|known| !known.lacks_keys(keys_are_old)) {
            if known.at.elapsed() >= self.kept
                && let Ok(look) = self.look.try_lock()
            {
                self.look_for_newer(look).await;
            }
            // Old keys are better than no login, while the provider is away.
            return Ok(self.known().unwrap_or(known).metadata);
        }
        let mut look = self.look.lock().await;
        if let Some(known) = self.known().filter(|known| !known.lacks_keys(keys_are_old)) {
            return Ok(known.metadata);
        }
        match &look.failed {
            Some((at, error)) if *at > came => Err(error.clone()),
            _ => self.discover(&mut look, keys_are_old).await,
        }
    }

    async fn look_for_newer(&self, mut look: MutexGuard<'_, Look>) {
        if look.began.is_none_or(|began| began.elapsed() >= LOOK_AGAIN) {
            look.began = Some(Instant::now());
            if self.discover(&mut look, false).await.is_ok() {
                look.began = None;
            }
        }
    }

    async fn discover(&self, look: &mut Look, keys_are_old: bool) -> Result<Arc<Metadata>, ProviderError> {
        let asked = Metadata::discover_async(self.issuer.clone(), self.http()?).await;
        let metadata = asked.map_err(discovery_error).inspect_err(|error| {
            look.failed = Some((Instant::now(), error.clone()));
        })?;
        let found = Found {
            metadata: Arc::new(metadata),
            at: Instant::now(),
            keys_asked: keys_are_old.then(Instant::now),
        };
        let metadata = Arc::clone(&found.metadata);
        *self.found.write().unwrap_or_else(PoisonError::into_inner) = Some(found);
        Ok(metadata)
    }

    fn known(&self) -> Option<Found> {
        self.found.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn client(&self, metadata: &Metadata) -> Client {
        let secret = self
            .client_secret
            .as_ref()
            .map(|secret| ClientSecret::new(secret.to_string()));
        Client::from_provider_metadata(metadata.clone(), self.client_id.clone(), secret)
            .set_redirect_uri(self.redirect.clone())
    }

    pub(super) fn http(&self) -> Result<&Http, ProviderError> {
        if let Some(http) = self.http.get() {
            return Ok(http);
        }
        let client = reqwest::Client::builder()
            .connect_timeout(CONNECT_WITHIN)
            .timeout(ANSWER_WITHIN)
            // A redirect could lead a secret somewhere else (openidconnect's own advice).
            .redirect(reqwest::redirect::Policy::none())
            // What discovery names is held to what the issuer is held to.
            .https_only(self.issuer.url().scheme() == "https")
            .build()
            .map_err(|_| ProviderError::Unreachable("the system's certificates cannot be read".into()))?;
        Ok(self.http.get_or_init(|| Http(client)))
    }

    pub(super) async fn token_endpoint(&self) -> Result<Url, ProviderError> {
        let metadata = self.metadata(false).await?;
        let endpoint = metadata.token_endpoint();
        let endpoint = endpoint.ok_or(ProviderError::Nonsense("it has no token endpoint"))?;
        Ok(endpoint.url().clone())
    }

    pub(super) fn issuer(&self) -> &str {
        &self.issuer
    }

    pub(super) fn resource(&self) -> Option<&str> {
        self.resource.as_deref()
    }

    /// Posts a form of ours as the client that we are.
    pub(super) async fn post(
        &self,
        to: Url,
        mut form: Vec<(&str, &str)>,
    ) -> Result<HttpResponse, ProviderError> {
        let http = self.http()?;
        let mut request = http.0.post(to);
        match &self.client_secret {
            // RFC 6749 §2.3.1: both parts are form-encoded before they become a Basic header.
            Some(secret) => request = request.basic_auth(encoded(&self.client_id), Some(encoded(secret))),
            None => form.push(("client_id", &self.client_id)),
        }
        let answer = async { http.fetch(request.form(&form).build()?).await };
        answer
            .await
            .map_err(|cause| ProviderError::Unreachable(cause.to_string()))
    }
}

fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// What is wrong with an id_token, without a word of it.
fn id_token_problem(error: &ClaimsVerificationError) -> &'static str {
    match error {
        ClaimsVerificationError::Expired(_) => "it has expired",
        ClaimsVerificationError::InvalidAudience(_) => "it is for another client",
        ClaimsVerificationError::InvalidIssuer(_) => "it is of another issuer",
        ClaimsVerificationError::InvalidNonce(_) => "it is for another login",
        ClaimsVerificationError::SignatureVerification(_) => "its signature does not hold",
        _ => "it is not of the expected form",
    }
}

/// Our HTTP client: no more than [`MAX_ANSWER`] is read of any answer.
pub(super) struct Http(reqwest::Client);

impl Http {
    async fn fetch(&self, request: reqwest::Request) -> Result<HttpResponse, CallError> {
        let mut response = self.0.execute(request).await?;
        let status = response.status();
        if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
            return Err(CallError::Down(status.as_u16()));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            if body.len() + chunk.len() > MAX_ANSWER {
                return Err(CallError::TooLong);
            }
            body.extend_from_slice(&chunk);
        }
        let mut answer = HttpResponse::new(body);
        *answer.status_mut() = status;
        *answer.headers_mut() = std::mem::take(response.headers_mut());
        Ok(answer)
    }
}

/// As openidconnect wants it.
impl<'c> AsyncHttpClient<'c> for Http {
    type Error = CallError;
    type Future = BoxFuture<'c, Result<HttpResponse, CallError>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(async move { self.fetch(request.try_into()?).await })
    }
}

/// A call that got no answer.
#[derive(Debug, Error)]
pub(crate) enum CallError {
    #[error("{}", plain(.0))]
    Http(#[from] reqwest::Error),
    #[error("the answer is too long")]
    TooLong,
    #[error("it answers {0}")]
    Down(u16),
}

/// A transport error in words: never the URL, whose query may be a secret.
fn plain(error: &reqwest::Error) -> &'static str {
    if error.is_timeout() {
        "it does not answer in time"
    } else if error.is_connect() {
        "no connection"
    } else {
        "the connection broke"
    }
}

fn discovery_error(error: openidconnect::DiscoveryError<CallError>) -> ProviderError {
    use openidconnect::DiscoveryError as E;
    match error {
        E::Request(cause) => ProviderError::Unreachable(cause.to_string()),
        E::Validation(_) => ProviderError::Nonsense("it names another issuer than the configured one"),
        _ => ProviderError::Nonsense("discovery failed"),
    }
}

/// RFC 6749 §5.2.
#[derive(Deserialize)]
struct Refusal {
    error: String,
}

/// Reads an answer of the token endpoint. It may hold a token: neither it nor the parser's words go anywhere.
pub(super) fn answered<T: DeserializeOwned>(answer: &HttpResponse) -> Result<T, ProviderError> {
    const UNREADABLE: ProviderError = ProviderError::Nonsense("its token response cannot be read");
    if !answer.status().is_success() {
        let refusal: Refusal = serde_json::from_slice(answer.body()).map_err(|_| UNREADABLE)?;
        return Err(refused(code_of(&refusal.error)));
    }
    serde_json::from_slice(answer.body()).map_err(|_| UNREADABLE)
}

/// Leaves out a scope that is too long to be passed on.
pub(super) fn usable_scope(scope: String) -> Option<String> {
    Some(scope).filter(|scope| scope.len() <= MAX_SCOPE)
}

/// A provider's error code: RFC 6749 §5.2 allows printable ASCII without quotes; anything else is not worth telling.
fn code_of(code: &str) -> String {
    code.chars().filter(char::is_ascii_graphic).take(60).collect()
}

fn token_error(error: CoreRequestTokenError<CallError>) -> ProviderError {
    match error {
        RequestTokenError::ServerResponse(refusal) => refused(code_of(refusal.error().as_ref())),
        RequestTokenError::Request(cause) => ProviderError::Unreachable(cause.to_string()),
        // The body may hold a token: neither it nor the parser's words go anywhere.
        RequestTokenError::Parse(..) | RequestTokenError::Other(_) => {
            ProviderError::Nonsense("its token response cannot be read")
        }
    }
}

/// Some providers put a fault of their own into the words of a refusal (RFC 6749 §4.1.2.1 names both codes).
fn refused(code: String) -> ProviderError {
    match code.as_str() {
        "server_error" | "temporarily_unavailable" => {
            ProviderError::Unreachable(format!("it answers {code}"))
        }
        _ => ProviderError::Refused(code),
    }
}

fn grant(tokens: &Tokens, asked: UnixSeconds) -> Result<Grant, ProviderError> {
    let access = tokens.access_token().secret();
    let refresh = tokens.refresh_token().map(RefreshToken::secret);
    let too_long = |token: &String| token.len() > MAX_TOKEN;
    if too_long(access) || refresh.is_some_and(too_long) {
        return Err(ProviderError::Nonsense("its token is too long"));
    }
    let lifetime = tokens
        .expires_in()
        .map_or(DEFAULT_LIFETIME, |lifetime| lifetime.as_secs());
    let scope = tokens
        .scopes()
        .map(|scopes| scopes.iter().map(|s| s.as_str()).collect::<Vec<_>>().join(" "));
    let hint = tokens.extra_fields().extra_fields().refresh_expires_in;
    Ok(Grant {
        access: AccessToken {
            text: Zeroizing::new(access.clone()),
            expires_at: asked.plus(lifetime).seconds(),
            scope: scope.and_then(usable_scope),
            issued_type: None,
        },
        refresh_token: refresh.map(|token| Zeroizing::new(token.clone())),
        refresh_ends: hint
            .filter(|seconds| *seconds > 0)
            .map(|seconds| asked.plus(seconds).seconds()),
        subject: None,
    })
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
    chosen.chars().filter(|c| !c.is_control()).take(80).collect()
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::routing::get;
    use serde_json::json;
    use tokio::net::TcpListener;
    use tokio::sync::watch;

    use super::*;
    use crate::config::Confirm;

    /// A provider whose discovery answers while it is open, and which counts the looks.
    struct Discovery {
        provider: Arc<Provider>,
        is_open: watch::Sender<bool>,
        looks: watch::Receiver<usize>,
    }

    async fn discovery(kept: Duration) -> Discovery {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let (is_open, looks) = (watch::Sender::new(true), watch::Sender::new(0));
        let (opens, seen, base) = (is_open.subscribe(), looks.subscribe(), issuer.clone());
        let document = async move || {
            looks.send_modify(|looks| *looks += 1);
            opens.clone().wait_for(|is_open| *is_open).await.unwrap();
            axum::Json(json!({
                "issuer": base,
                "authorization_endpoint": base,
                "token_endpoint": base,
                "jwks_uri": format!("{base}/keys"),
                "response_types_supported": ["code"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["RS256"],
            }))
        };
        let key = json!({ "kty": "RSA", "use": "sig", "kid": "1", "alg": "RS256", "n": "AQAB", "e": "AQAB" });
        let keys = async move || axum::Json(json!({ "keys": [key] }));
        let routes = Router::new()
            .route("/.well-known/openid-configuration", get(document))
            .route("/keys", get(keys));
        tokio::spawn(async move { axum::serve(listener, routes).await });
        let login = Login {
            issuer: issuer.clone(),
            client_id: "x".into(),
            client_secret: None,
            scopes: vec!["openid".into()],
            resource: None,
            confirm: Confirm::Code,
        };
        let mut provider = Provider::new(&login, issuer.parse().unwrap()).unwrap();
        provider.kept = kept;
        Discovery {
            provider: Arc::new(provider),
            is_open,
            looks: seen,
        }
    }

    #[tokio::test]
    async fn a_discovery_that_hangs_holds_up_nobody_who_has_an_old_document() {
        let Discovery {
            provider,
            is_open,
            mut looks,
        } = discovery(Duration::ZERO).await;
        provider.check().await.unwrap();
        is_open.send_replace(false);
        let one = Arc::clone(&provider);
        let one = tokio::spawn(async move { one.check().await });
        looks.wait_for(|looks| *looks == 2).await.unwrap();
        for _ in 0..3 {
            provider.check().await.unwrap();
        }
        assert!(!one.is_finished(), "one looks");
        // Whoever looked gave up: nobody else does so at once.
        one.abort();
        assert!(one.await.unwrap_err().is_cancelled());
        provider.check().await.unwrap();
        assert_eq!(*looks.borrow(), 2);
    }

    #[tokio::test]
    async fn a_document_is_looked_for_when_it_is_old_and_once_by_all_who_have_none() {
        let Discovery { provider, looks, .. } = discovery(METADATA_KEPT).await;
        let (first, second) = tokio::join!(provider.check(), provider.check());
        assert!(first.is_ok() && second.is_ok());
        provider.check().await.unwrap();
        assert_eq!(*looks.borrow(), 1);
        let Discovery { provider, looks, .. } = discovery(Duration::ZERO).await;
        for _ in 0..3 {
            provider.check().await.unwrap();
        }
        assert_eq!(*looks.borrow(), 3);
    }
}
