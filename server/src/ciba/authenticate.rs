//! `POST /oauth2/bc-authorize`: a client asks for a person's consent (CIBA Core §7), in the order of checks of C-014.

use std::hash::BuildHasher as _;
use std::sync::Arc;
use std::time::Instant;

use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use http::HeaderMap;
use http::header::CACHE_CONTROL;
use serde::Serialize;
use url::Url;

use super::asked::{Asked, Hint, NAMES};
use super::name::{Name, auth_req_id};
use super::notify::Notice;
use super::open::TooMany;
use super::provider::Ciba;
use super::question::Question;
use super::request::{Notification, Request, Stage};
use super::signed::{self, SignedRules};
use crate::cause::chain;
use crate::clock::now;
use crate::config::{Mode, is_loopback};
use crate::oauth::authenticate::Caller;
use crate::oauth::certificates::bound_to;
use crate::oauth::client::{CIBA_GRANT, Client};
use crate::oauth::discovery::BC_AUTHORIZE;
use crate::oauth::parameters::Parameters;
use crate::oauth::token_endpoint;
use crate::outgoing::notification_endpoint;
use crate::peer::Peer;
use crate::refusal::Refusal;
use crate::tls::Certificate;
use crate::users::{User, Wanted};

const NOT_CIBA: Refusal = Refusal::unauthorized_client("the client is not registered for CIBA");
const NO_ENDPOINT: Refusal = Refusal::invalid_request("the client has no notification endpoint");
const BAD_ENDPOINT: Refusal =
    Refusal::invalid_request("the notification endpoint of the client has to be an https URL");
const UNKNOWN_USER: Refusal = Refusal::unknown_user_id();
const NO_CODE: Refusal = Refusal::missing_user_code();
const WRONG_CODE: Refusal = Refusal::invalid_user_code();
const TOO_MANY_CODES: Refusal = Refusal::access_denied("too many wrong user codes");
const TOO_MANY_FOR_USER: Refusal = Refusal::access_denied("too many undecided requests for this user");
const FULL: Refusal = Refusal::unavailable("there are too many undecided requests");
const NO_USERS: Refusal = Refusal::unavailable("the users cannot be read now");
const NOT_KEPT: Refusal = Refusal::unavailable("the request could not be kept");

/// The acknowledgement (CIBA Core §7.3, C-140).
#[derive(Serialize)]
struct Acknowledgement {
    auth_req_id: String,
    expires_in: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    interval: Option<u64>,
}

/// `POST /oauth2/bc-authorize`
pub(super) async fn authenticate(
    State(ciba): State<Ciba>,
    Extension(peer): Extension<Peer>,
    certificate: Option<Extension<Certificate>>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Refusal> {
    let received = now().seconds();
    let parameters = Parameters::of_form_or_json(&headers, body)?;
    let certificate = certificate.as_ref().map(|shown| &shown.0);
    let client = ciba.client(&headers, (peer, certificate), &parameters).await?;
    // Pushed tokens have no other request that could show one.
    let certificate = match client.metadata.backchannel_token_delivery_mode {
        Some(Mode::Push) => bound_to(&client, certificate)?,
        _ => None,
    };
    // Whatever becomes of it, it is one of the client's requests: guesses at people and codes count too (C-405).
    let counted = ciba.count(&client);
    let parameters = ciba.signed(parameters, &client).await?;
    let asked = Asked::read(&parameters, &client, &ciba.oauth, (&ciba.config, &ciba.types))?;
    counted?;
    let meant = ciba.meant(&asked, &client).await?;
    ciba.check_user_code(&asked, &client, &meant).await?;
    let request = ciba.begin(asked, certificate, &client, &meant, received).await?;
    let acknowledgement = Acknowledgement {
        expires_in: request.expires_at - request.created_at,
        interval: (request.mode != Mode::Push).then_some(ciba.config.interval),
        auth_req_id: request.auth_req_id,
    };
    Ok(([(CACHE_CONTROL, "no-store")], Json(acknowledgement)).into_response())
}

/// Whom a client means.
enum Meant {
    Person(Box<User>),
    /// Nobody, and the client is not to know (C-190); the text is what stands for their `sub` in what is counted.
    Nobody(String),
}

impl Meant {
    fn person(&self) -> Option<&User> {
        match self {
            Self::Person(user) => Some(user),
            Self::Nobody(_) => None,
        }
    }

    /// Returns the hash of their user code, if they have one.
    fn code(&self) -> Option<&str> {
        self.person().and_then(|user| user.user_code.as_deref())
    }

    fn counted(&self) -> &str {
        match self {
            Self::Person(user) => &user.sub,
            Self::Nobody(stand_in) => stand_in,
        }
    }
}

impl Ciba {
    async fn client(
        &self,
        headers: &HeaderMap,
        (peer, certificate): (Peer, Option<&Certificate>),
        parameters: &Parameters,
    ) -> Result<Arc<Client>, Refusal> {
        let caller = Caller {
            headers,
            address: peer.0,
            certificate,
            paths: &[BC_AUTHORIZE, token_endpoint::PATH],
        };
        let client = self.authenticator.authenticate(&caller, parameters).await?;
        let mode = client.metadata.backchannel_token_delivery_mode;
        let is_on = mode.is_some_and(|mode| self.config.modes.contains(&mode));
        if !is_on || !(client.has_grant(CIBA_GRANT) || mode == Some(Mode::Push)) {
            return Err(NOT_CIBA);
        }
        Ok(client)
    }

    /// Returns the parameters inside a signed request, for a client that signs (C-161).
    async fn signed(&self, parameters: Parameters, client: &Client) -> Result<Parameters, Refusal> {
        let rules = SignedRules {
            issuer: &self.issuer.name,
            tolerance: self.oauth.clock_tolerance,
            fapi: self.config.fapi,
        };
        let known = (&*self.client_keys, &*self.used);
        let Some(inside) = signed::parameters_inside(client, &parameters, rules, known, now()).await? else {
            return Ok(parameters);
        };
        let mut parameters = Parameters::default();
        // An extension of another server's may have any type (C-011, C-167).
        let is_ours = |name: &str| NAMES.contains(&name);
        for (name, value) in inside {
            if value.is_string() || is_ours(&name) {
                parameters.add_json(&name, value)?;
            }
        }
        Ok(parameters)
    }

    fn count(&self, client: &Client) -> Result<(), Refusal> {
        let Some(asks) = &self.asks else { return Ok(()) };
        let busy = |wait| Refusal::busy("the client asks too often", wait);
        asks.check(&client.id).map_err(busy)
    }

    /// Returns whom the client means.
    async fn meant(&self, asked: &Asked, client: &Client) -> Result<Meant, Refusal> {
        let wanted = match &asked.hint {
            Hint::Login(hint) => Wanted::Any(hint.clone()),
            Hint::LoginToken(token) => {
                let now = now().seconds();
                self.login_token_hints
                    .wanted(token, &self.client_keys, now)
                    .await?
            }
            Hint::IdToken(token) => self.id_token_hints.wanted(token, &client.id, now().seconds())?,
        };
        let found = self.users.find(&wanted).await.map_err(|error| {
            tracing::error!(error = chain(&error), "a user could not be read");
            NO_USERS
        })?;
        match found {
            None if !self.config.hide_unknown_users => Err(UNKNOWN_USER),
            Some(user) => Ok(Meant::Person(Box::new(user))),
            None => Ok(Meant::Nobody(self.nobodys(&wanted))),
        }
    }

    /// Returns whom a request for nobody is counted for. Each name stands for one person: otherwise the limits would tell
    /// that there is none (C-190). No name can be chosen so that it is counted as another.
    fn nobodys(&self, wanted: &Wanted) -> String {
        let (kind, name) = match wanted {
            Wanted::Subject(sub) => ("subject", sub.clone()),
            Wanted::Email(email) => ("email", email.trim().to_lowercase()),
            Wanted::Phone(phone) => ("phone", phone.clone()),
            Wanted::Any(text) => ("any", text.trim().to_lowercase()),
        };
        // No subject of a person begins like this.
        format!("\0{:x}", self.nobodys_key.hash_one((kind, name)))
    }

    /// C-200, C-201
    async fn check_user_code(&self, asked: &Asked, client: &Client, meant: &Meant) -> Result<(), Refusal> {
        let is_on = self.config.user_codes && client.metadata.backchannel_user_code_parameter;
        // Where clients are not to know who is known here, everybody has a code; that of nobody is always wrong (C-190).
        let is_needed = meant.code().is_some() || self.config.hide_unknown_users;
        if !is_on || !is_needed {
            return Ok(());
        }
        let code = asked.user_code.as_ref().ok_or(NO_CODE)?;
        let began = Instant::now();
        let attempt = self.wrong_codes.attempt(meant.counted().to_owned(), began);
        attempt.map_err(|_| TOO_MANY_CODES)?;
        if !self.user_codes.is_right(code, meant.code()).await {
            return Err(WRONG_CODE);
        }
        self.wrong_codes.succeeded(&meant.counted().to_owned(), began);
        Ok(())
    }

    async fn begin(
        &self,
        asked: Asked,
        certificate: Option<String>,
        client: &Client,
        meant: &Meant,
        received: u64,
    ) -> Result<Request, Refusal> {
        let user = meant.person();
        let request = self.request(asked, certificate, client, user, received)?;
        let name = Name::of(&request.auth_req_id);
        self.admit(&name, &request, meant.counted())?;
        if let Err(error) = self.requests.begin(&name, &request).await {
            self.open.remove(&name);
            tracing::error!(error = chain(&error), "a request could not be kept");
            return Err(NOT_KEPT);
        }
        tracing::info!(request = name.handle(), client = client.id, "a person is asked");
        self.tell(name, &request, client, user);
        Ok(request)
    }

    /// Counts the request among the undecided ones of its `user`.
    fn admit(&self, name: &Name, request: &Request, user: &str) -> Result<(), Refusal> {
        let whose = (request.client_id.as_str(), user);
        let admitted = self.open.add(
            *name,
            whose,
            request.created_at..request.expires_at,
            self.interval(),
            &self.config.limits,
        );
        admitted.map_err(|too_many| match too_many {
            TooMany::ForUser => TOO_MANY_FOR_USER,
            TooMany::AtAll => FULL,
        })
    }

    fn request(
        &self,
        asked: Asked,
        certificate: Option<String>,
        client: &Client,
        user: Option<&User>,
        received: u64,
    ) -> Result<Request, Refusal> {
        let lifetime = self
            .config
            .expires_in
            .min(asked.requested_expiry.unwrap_or(u64::MAX));
        let notification = match asked.notification_token {
            None => None,
            Some(token) => {
                let endpoint = self.endpoint(asked.notification_uri, client)?;
                Some(Notification { endpoint, token })
            }
        };
        Ok(Request {
            auth_req_id: auth_req_id().to_string(),
            client_id: client.id.clone(),
            incarnation: client.incarnation.clone(),
            sub: user.map(|user| user.sub.clone()),
            mode: client.metadata.backchannel_token_delivery_mode.ok_or(NOT_CIBA)?,
            scope: asked.scope,
            resources: asked.resources,
            acr_values: asked.acr_values,
            binding_message: asked.binding_message,
            authorization_details: asked.authorization_details,
            agent_claims: asked.agent_claims,
            notification,
            certificate,
            created_at: received,
            expires_at: received + lifetime,
            stage: Stage::Pending,
        })
    }

    /// Returns where the client is told. What it registered may break the rules of today (C-400).
    fn endpoint(&self, named: Option<Url>, client: &Client) -> Result<Url, Refusal> {
        let registered = &client.metadata.backchannel_client_notification_endpoint;
        let endpoint = named.or_else(|| registered.clone()).ok_or(NO_ENDPOINT)?;
        let is_on_loopback = is_loopback(&self.public_url);
        notification_endpoint(endpoint.as_str(), is_on_loopback).map_err(|_| BAD_ENDPOINT)
    }

    /// Tells the person, beside the answer (C-144, C-210, C-211).
    fn tell(&self, name: Name, request: &Request, client: &Client, user: Option<&User>) {
        let Some(user) = user else { return };
        if self.notifier.has_ways() {
            self.notifier.tell(self.notice(&name, request, client, user));
        }
        // A terminal that comes later asks for what waits.
        if self.terminals.are_there(&user.sub) {
            let (ciba, request) = (self.clone(), request.clone());
            self.work
                .tasks
                .spawn(async move { ciba.show(&name, &request).await });
        }
    }

    fn notice(&self, name: &Name, request: &Request, client: &Client, user: &User) -> Notice {
        Notice {
            sub: user.sub.clone(),
            email: user.email.clone(),
            handle: name.handle(),
            auth_req_id: request.auth_req_id.clone().into(),
            client_id: client.id.clone(),
            question: Question::of(request, client),
            approval_url: self.approval_url(&request.auth_req_id),
        }
    }
}
