//! An identity provider that does what a script says: as a good one would, or one fault at a time.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use axum::extract::{Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Form, Json, Router};
use base64ct::{Base64UrlUnpadded, Encoding as _};
use ciba_tests::PATIENCE;
use http::StatusCode;
use jsonwebtoken::jwk::{Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use p256::SecretKey;
use p256::elliptic_curve::Generate as _;
use p256::pkcs8::EncodePrivateKey as _;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use url::Url;

use crate::kit::site::CLIENT_SECRET;

pub(crate) const CODE: &str = "the-code-of-this-login";
pub(crate) const ACCESS_TOKEN: &str = "the-access-token-of-this-login";
pub(crate) const REFRESH_TOKEN: &str = "the-refresh-token-of-this-login";

/// How long a login's access token lasts, seconds.
pub(crate) const LIFETIME: u64 = 300;

/// How long a renewed one lasts, seconds.
pub(crate) const RENEWED_LIFETIME: u64 = 600;

/// How long an exchanged one lasts, seconds.
pub(crate) const EXCHANGED_LIFETIME: u64 = 450;

const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";

/// The token that an exchange gives for a target.
pub(crate) fn exchanged(subject: &str, target: &str) -> String {
    format!("{subject}.for.{target}")
}

/// The access token of the `n`th renewal.
pub(crate) fn access_token(n: usize) -> String {
    numbered(ACCESS_TOKEN, n)
}

/// The refresh token that the `n`th renewal brought.
pub(crate) fn refresh_token(n: usize) -> String {
    numbered(REFRESH_TOKEN, n)
}

fn numbered(token: &str, n: usize) -> String {
    match n {
        0 => token.to_owned(),
        n => format!("{token}-{n}"),
    }
}

/// What the provider does. `Default` is what a good one does.
#[derive(Clone, Default)]
pub(crate) struct Script {
    pub(crate) discovery: Answer,
    pub(crate) algorithms: Option<Vec<&'static str>>,
    pub(crate) authorize: Authorize,
    pub(crate) token: Answer,
    /// The token endpoint, asked with a refresh token. A good one rotates it and refuses a spent one.
    pub(crate) refresh: Answer,
    /// The token endpoint, asked for an exchange.
    pub(crate) exchange: Answer,
    /// An access token that no exchange takes any more.
    pub(crate) revoked: Option<String>,
    /// How long the access tokens of logins and renewals last, if not as usual.
    pub(crate) lifetime: Option<u64>,
    /// What a good refresh answers beyond or instead of the usual.
    pub(crate) refresh_says: Option<(&'static str, Value)>,
    /// Gives no refresh token with a login.
    pub(crate) no_refresh_token: bool,
    /// `refresh_expires_in`, as some providers have it.
    pub(crate) refresh_expires_in: Option<u64>,
    pub(crate) id_token: IdToken,
    /// What the id_token says beyond or instead of the usual.
    pub(crate) claims: Vec<(&'static str, Value)>,
    /// Takes a revocation request and never answers it.
    pub(crate) revocation_hangs: bool,
}

/// How an endpoint answers.
#[derive(Clone, Copy, Default)]
pub(crate) enum Answer {
    #[default]
    Good,
    Status(u16),
    Garbage,
    /// Not before the script changes.
    Held,
    /// Refresh: rotates, and the answer is lost.
    Lost,
    /// Discovery: names another issuer. Token endpoint: `invalid_grant`.
    Refused,
    /// Token endpoint: this OAuth error.
    Error(&'static str),
}

/// How the browser comes back.
#[derive(Clone, Copy, Default)]
pub(crate) enum Authorize {
    #[default]
    Code,
    Error(&'static str),
    NoCode,
    /// With the `iss` (RFC 9207) of another provider.
    OtherIss,
}

/// What is wrong with the id_token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum IdToken {
    #[default]
    Good,
    Missing,
    Issuer,
    Audience,
    Expired,
    Nonce,
    NoNonce,
    /// Signed by a key that is not the provider's, under the provider's `kid`.
    Signature,
    /// `alg: none`
    Unsigned,
    /// HS256 with the client's secret.
    ClientSecret,
    /// Not a JWT.
    Garbage,
}

/// The provider, running.
pub(crate) struct Idp {
    pub(crate) issuer: String,
    world: Arc<World>,
}

struct World {
    issuer: String,
    script: watch::Sender<Script>,
    keys: Mutex<Keys>,
    seen: watch::Sender<Seen>,
    nonce: Mutex<String>,
    /// How often the refresh token was rotated.
    rotations: Mutex<usize>,
}

/// What reached the provider.
#[derive(Clone, Default)]
pub(crate) struct Seen {
    pub(crate) authorize: Option<Vec<(String, String)>>,
    pub(crate) token: Vec<Vec<(String, String)>>,
    pub(crate) keys: usize,
    pub(crate) revoked: Vec<String>,
}

impl Seen {
    /// Returns what the browser was last sent here with.
    pub(crate) fn authorize(&self, name: &str) -> Option<&str> {
        asked(self.authorize.as_ref()?, name)
    }

    /// Returns the refresh tokens that came, in order.
    pub(crate) fn refreshed_with(&self) -> Vec<&str> {
        let tokens = self.token.iter().filter_map(|form| asked(form, "refresh_token"));
        tokens.collect()
    }

    /// Returns what exchanges asked for: `audience=x`, `resource=x` and `scope=x`.
    pub(crate) fn exchanged_for(&self) -> Vec<String> {
        let exchanges = self
            .token
            .iter()
            .filter(|form| asked(form, "grant_type") == Some(EXCHANGE));
        let asked_for = |form: &Vec<(String, String)>| {
            let ours = ["audience", "resource", "scope"];
            let said = form.iter().filter(|(name, _)| ours.contains(&&**name));
            said.map(|(name, value)| format!("{name}={value}"))
                .collect::<Vec<_>>()
                .join(" ")
        };
        exchanges.map(asked_for).collect()
    }
}

struct Keys {
    signing: EncodingKey,
    public: Jwk,
}

impl Idp {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))
            .await
            .unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let world = Arc::new(World {
            issuer: issuer.clone(),
            script: watch::Sender::default(),
            keys: Mutex::new(Keys::generate("first")),
            seen: watch::Sender::default(),
            nonce: Mutex::default(),
            rotations: Mutex::default(),
        });
        let routes = Router::new()
            .route("/.well-known/openid-configuration", get(discovery))
            .route("/keys", get(keys))
            .route("/authorize", get(authorize))
            .route("/token", post(token))
            .route("/revoke", post(revoke))
            .with_state(Arc::clone(&world));
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Self { issuer, world }
    }

    pub(crate) fn script(&self, change: impl FnOnce(&mut Script)) {
        self.world.script.send_modify(change);
    }

    /// Signs with a new key from now on, and publishes only that.
    pub(crate) fn rotate_keys(&self, kid: &str) {
        *self.world.keys.lock().unwrap() = Keys::generate(kid);
    }

    pub(crate) fn seen(&self) -> Seen {
        self.world.seen.borrow().clone()
    }

    /// Waits until what reached the provider fulfils the condition.
    pub(crate) async fn until_seen(&self, holds: impl FnMut(&Seen) -> bool) {
        let mut seen = self.world.seen.subscribe();
        let waiting = tokio::time::timeout(PATIENCE, seen.wait_for(holds));
        waiting.await.expect("the provider is asked in time").unwrap();
    }
}

impl World {
    async fn answer(&self, which: fn(&Script) -> Answer) -> Result<Script, Response> {
        let mut script = self.script.subscribe();
        let script = script
            .wait_for(|script| !matches!(which(script), Answer::Held))
            .await
            .unwrap()
            .clone();
        match which(&script) {
            Answer::Status(code) => Err(StatusCode::from_u16(code).unwrap().into_response()),
            Answer::Lost => Err(StatusCode::BAD_GATEWAY.into_response()),
            Answer::Garbage => Err("<html>not what you asked for".into_response()),
            Answer::Good | Answer::Refused | Answer::Error(_) | Answer::Held => Ok(script),
        }
    }
}

async fn discovery(State(world): State<Arc<World>>) -> Response {
    let script = match world.answer(|script| script.discovery).await {
        Ok(script) => script,
        Err(fault) => return fault,
    };
    let base = &world.issuer;
    let issuer = if matches!(script.discovery, Answer::Refused) {
        "https://elsewhere.example"
    } else {
        base
    };
    Json(json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{base}/authorize"),
        "token_endpoint": format!("{base}/token"),
        "jwks_uri": format!("{base}/keys"),
        "revocation_endpoint": format!("{base}/revoke"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": script.algorithms.unwrap_or(vec!["ES256"]),
    }))
    .into_response()
}

async fn keys(State(world): State<Arc<World>>) -> Json<Value> {
    world.seen.send_modify(|seen| seen.keys += 1);
    Json(json!({ "keys": [world.keys.lock().unwrap().public] }))
}

async fn authorize(State(world): State<Arc<World>>, Query(asked): Query<Vec<(String, String)>>) -> Redirect {
    let asked_for = |name: &str| {
        asked
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.clone())
            .unwrap()
    };
    let mut back = Url::parse(&asked_for("redirect_uri")).unwrap();
    back.query_pairs_mut().append_pair("state", &asked_for("state"));
    *world.nonce.lock().unwrap() = asked_for("nonce");
    let script = world.script.borrow().authorize;
    let (name, value, iss) = match script {
        Authorize::Code => ("code", CODE, &*world.issuer),
        Authorize::Error(error) => ("error", error, &*world.issuer),
        Authorize::NoCode => ("session_state", "x", &*world.issuer),
        Authorize::OtherIss => ("code", CODE, "https://elsewhere.example"),
    };
    back.query_pairs_mut()
        .append_pair(name, value)
        .append_pair("iss", iss);
    world.seen.send_modify(|seen| seen.authorize = Some(asked));
    Redirect::to(back.as_str())
}

async fn token(State(world): State<Arc<World>>, Form(form): Form<Vec<(String, String)>>) -> Response {
    if let Some(spent) = asked(&form, "refresh_token") {
        let spent = spent.to_owned();
        return refresh(&world, form, &spent).await;
    }
    if asked(&form, "grant_type") == Some(EXCHANGE) {
        return exchange(&world, form).await;
    }
    world.seen.send_modify(|seen| seen.token.push(form));
    let script = match world.answer(|script| script.token).await {
        Ok(script) => script,
        Err(fault) => return fault,
    };
    if let Some(refusal) = refusal(script.token) {
        return refusal;
    }
    let mut answer = json!({
        "access_token": ACCESS_TOKEN,
        "refresh_token": REFRESH_TOKEN,
        "token_type": "Bearer",
        "expires_in": script.lifetime.unwrap_or(LIFETIME),
        "scope": "openid profile",
    });
    if script.no_refresh_token {
        answer.as_object_mut().unwrap().remove("refresh_token");
    }
    if let Some(seconds) = script.refresh_expires_in {
        answer["refresh_expires_in"] = seconds.into();
    }
    if script.id_token != IdToken::Missing {
        answer["id_token"] = world.id_token(&script).into();
    }
    Json(answer).into_response()
}

/// Spends the newest refresh token when it arrives, however long the answer takes.
async fn refresh(world: &World, form: Vec<(String, String)>, spent: &str) -> Response {
    let is_good = matches!(
        world.script.borrow().refresh,
        Answer::Good | Answer::Held | Answer::Lost
    );
    let renewed = is_good.then(|| world.rotate(spent));
    world.seen.send_modify(|seen| seen.token.push(form));
    let script = match world.answer(|script| script.refresh).await {
        Ok(script) => script,
        Err(fault) => return fault,
    };
    if let Some(refusal) = refusal(script.refresh) {
        return refusal;
    }
    let Some(n) = renewed.flatten() else {
        return refused("invalid_grant");
    };
    let mut answer = json!({
        "access_token": access_token(n),
        "refresh_token": refresh_token(n),
        "token_type": "Bearer",
        "expires_in": script.lifetime.unwrap_or(RENEWED_LIFETIME),
    });
    if let Some((name, value)) = script.refresh_says {
        answer[name] = value;
    }
    Json(answer).into_response()
}

/// RFC 8693, for any audience or resource.
async fn exchange(world: &World, form: Vec<(String, String)>) -> Response {
    let subject = asked(&form, "subject_token").unwrap().to_owned();
    let target = asked(&form, "audience")
        .or(asked(&form, "resource"))
        .unwrap()
        .to_owned();
    world.seen.send_modify(|seen| seen.token.push(form));
    let script = match world.answer(|script| script.exchange).await {
        Ok(script) => script,
        Err(fault) => return fault,
    };
    if let Some(refusal) = refusal(script.exchange) {
        return refusal;
    }
    if !subject.starts_with(ACCESS_TOKEN) || script.revoked.as_deref() == Some(&*subject) {
        return refused("invalid_request");
    }
    let answer = json!({
        "access_token": exchanged(&subject, &target),
        "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "token_type": "Bearer",
        "expires_in": EXCHANGED_LIFETIME,
    });
    Json(answer).into_response()
}

fn refusal(answer: Answer) -> Option<Response> {
    match answer {
        Answer::Refused => Some(refused("invalid_grant")),
        Answer::Error(error) => Some(refused(error)),
        _ => None,
    }
}

fn refused(error: &str) -> Response {
    (StatusCode::BAD_REQUEST, Json(json!({ "error": error }))).into_response()
}

/// Returns a form's value.
fn asked<'a>(form: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let found = form.iter().find(|(key, _)| key == name);
    found.map(|(_, value)| value.as_str())
}

#[derive(Deserialize)]
struct Revoke {
    token: String,
}

async fn revoke(State(world): State<Arc<World>>, Form(form): Form<Revoke>) {
    world.seen.send_modify(|seen| seen.revoked.push(form.token));
    let mut script = world.script.subscribe();
    script.wait_for(|script| !script.revocation_hangs).await.unwrap();
}

impl World {
    /// Returns which renewal this is, unless the token was spent before.
    fn rotate(&self, spent: &str) -> Option<usize> {
        let mut rotations = self.rotations.lock().unwrap();
        if spent != refresh_token(*rotations) {
            return None;
        }
        *rotations += 1;
        Some(*rotations)
    }

    fn id_token(&self, script: &Script) -> String {
        let (wrong, now) = (
            script.id_token,
            SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs(),
        );
        let mut claims = json!({
            "iss": self.issuer, "aud": "ciba", "sub": "24400320", "name": "Alice Example",
            "iat": now, "exp": now + 300, "nonce": *self.nonce.lock().unwrap(),
        });
        for (name, value) in &script.claims {
            claims[*name] = value.clone();
        }
        match wrong {
            IdToken::Issuer => claims["iss"] = "https://elsewhere.example".into(),
            IdToken::Audience => claims["aud"] = "another-client".into(),
            IdToken::Expired => claims["exp"] = (now - 3600).into(),
            IdToken::Nonce => claims["nonce"] = "of-another-login".into(),
            IdToken::NoNonce => drop(claims.as_object_mut().unwrap().remove("nonce")),
            _ => {}
        }
        self.sign(wrong, &claims)
    }

    fn sign(&self, wrong: IdToken, claims: &Value) -> String {
        let keys = self.keys.lock().unwrap();
        let mut header = Header::new(Algorithm::ES256);
        header.kid.clone_from(&keys.public.common.key_id);
        match wrong {
            IdToken::Garbage => "not.a.jwt".into(),
            IdToken::Unsigned => {
                let parts = [json!({ "alg": "none" }).to_string(), claims.to_string()];
                let [header, claims] = parts.map(|part| Base64UrlUnpadded::encode_string(part.as_bytes()));
                format!("{header}.{claims}.")
            }
            IdToken::ClientSecret => {
                let key = EncodingKey::from_secret(CLIENT_SECRET.as_bytes());
                jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, &key).unwrap()
            }
            IdToken::Signature => {
                jsonwebtoken::encode(&header, claims, &Keys::generate("x").signing).unwrap()
            }
            _ => jsonwebtoken::encode(&header, claims, &keys.signing).unwrap(),
        }
    }
}

impl Keys {
    fn generate(kid: &str) -> Self {
        // The second test in this process finds it chosen already.
        let _ = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
        let pkcs8 = SecretKey::try_generate().unwrap().to_pkcs8_der().unwrap();
        let signing = EncodingKey::from_ec_der(pkcs8.as_bytes());
        let mut public = Jwk::from_encoding_key(&signing, Algorithm::ES256).unwrap();
        public.common.key_id = Some(kid.to_owned());
        public.common.public_key_use = Some(PublicKeyUse::Signature);
        Self { signing, public }
    }
}
