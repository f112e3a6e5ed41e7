//! A client proves who it is (RFC 6749 §2.3, C-070 … C-073), at every endpoint in the same way.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;

use base64ct::{Base64, Encoding as _};
use http::{HeaderMap, header};
use url::form_urlencoded;
use zeroize::Zeroizing;

use super::client::{AuthMethod, Client, SecretHash};
use super::clients::{Clients, ClientsError};
use super::jwt::{ASSERTION_TYPE, Assertion, AssertionRules, ClientKeys};
use super::parameters::Parameters;
use super::used::Used;
use crate::cause::chain;
use crate::clock::now;
use crate::config;
use crate::refusal::Refusal;
use crate::throttle::{Network, Throttle};

const TWO_WAYS: Refusal = Refusal::invalid_request("the client authenticates in two ways");
const OTHER_ID: Refusal =
    Refusal::invalid_request("client_id is not the one of the client that authenticates");
const UNKNOWN: Refusal = Refusal::invalid_client();
const NOT_READ: Refusal = Refusal::unavailable("the clients cannot be read now");

/// Whom a request comes from, as it claims.
pub(crate) struct Caller<'a> {
    pub(crate) headers: &'a HeaderMap,
    pub(crate) address: IpAddr,
    /// The URLs that an assertion may name as its audience beside the issuer (C-076).
    pub(crate) audiences: &'a [&'a str],
}

/// Recognizes clients.
pub(crate) struct Authenticator {
    clients: Arc<Clients>,
    keys: Arc<ClientKeys>,
    used: Arc<Used>,
    /// Our issuer, an audience of every assertion.
    issuer: String,
    /// Whether it is the only one (C-083).
    issuer_is_only_audience: bool,
    /// By how much the clocks of clients may differ, seconds.
    tolerance: u64,
    /// Failures by address and client id (C-405).
    failures: Option<Throttle<(Network, String)>>,
    /// What the secret of an unknown client is compared with, so that it takes as long.
    nobodys: SecretHash,
}

/// What a client presents.
enum Presented<'a> {
    Secret {
        id: String,
        secret: Zeroizing<String>,
    },
    /// `private_key_jwt`
    Assertion(&'a str),
}

impl Authenticator {
    pub(crate) fn new(
        clients: Arc<Clients>,
        (keys, used): (Arc<ClientKeys>, Arc<Used>),
        issuer: String,
        config: &config::OAuth,
    ) -> Self {
        Self {
            clients,
            keys,
            used,
            issuer,
            issuer_is_only_audience: config.issuer_is_only_audience,
            tolerance: config.clock_tolerance,
            failures: NonZeroU32::new(config.failures_per_minute).map(Throttle::per_minute),
            nobodys: SecretHash::of(""),
        }
    }

    /// Returns the client, once it has proven who it is.
    pub(crate) async fn authenticate(
        &self,
        caller: &Caller<'_>,
        parameters: &Parameters,
    ) -> Result<Client, Refusal> {
        match presented(caller.headers, parameters)? {
            Presented::Secret { id, secret } => self.by_secret(caller, &id, &secret).await,
            Presented::Assertion(text) => self.by_assertion(caller, text, parameters).await,
        }
    }

    async fn by_secret(&self, caller: &Caller<'_>, id: &str, secret: &str) -> Result<Client, Refusal> {
        let has_secret = |client: &Client| client.metadata.token_endpoint_auth_method.has_secret();
        let client = self.enabled(id).await?.filter(has_secret);
        // The secret of an unknown client is compared as well: that takes as long (C-070).
        let hash = client.as_ref().and_then(|client| client.secret.as_ref());
        let is_right = hash.unwrap_or(&self.nobodys).matches(secret) && hash.is_some();
        client.filter(|_| is_right).ok_or_else(|| self.failed(caller, id))
    }

    async fn by_assertion(
        &self,
        caller: &Caller<'_>,
        text: &str,
        parameters: &Parameters,
    ) -> Result<Client, Refusal> {
        let assertion = Assertion::read(text).map_err(|_| self.failed(caller, ""))?;
        let id = assertion.client_id();
        if parameters.get("client_id").is_some_and(|other| other != id) {
            return Err(OTHER_ID);
        }
        let signs = |client: &Client| client.metadata.token_endpoint_auth_method == AuthMethod::PrivateKeyJwt;
        let client = self.enabled(id).await?.filter(signs);
        let client = client.ok_or_else(|| self.failed(caller, id))?;
        let own = [self.issuer.as_str()];
        let all: Vec<&str> = own.iter().chain(caller.audiences).copied().collect();
        let rules = AssertionRules {
            audiences: if self.issuer_is_only_audience { &own } else { &all },
            tolerance: self.tolerance,
        };
        let proven = assertion
            .verify(&client, &rules, &self.keys, &self.used, now())
            .await;
        match proven {
            Ok(()) => Ok(client),
            Err(refusal) if refusal == UNKNOWN => Err(self.failed(caller, id)),
            Err(refusal) => Err(refusal),
        }
    }

    /// Forgets the addresses that have been quiet.
    pub(crate) fn forget_quiet(&self) {
        self.failures.iter().for_each(Throttle::forget_quiet);
    }

    /// Returns the client of an id, unless it is disabled.
    async fn enabled(&self, id: &str) -> Result<Option<Client>, Refusal> {
        let found = self.clients.find(id).await.map_err(|error| {
            match error {
                ClientsError::Store(_) => {
                    tracing::error!(error = chain(&error), "a client could not be read")
                }
                _ => tracing::error!(error = chain(&error), "a client's record is broken"),
            }
            NOT_READ
        })?;
        Ok(found.filter(|client| !client.disabled))
    }

    /// Counts a failure; too many at once are told to wait.
    fn failed(&self, caller: &Caller<'_>, id: &str) -> Refusal {
        let key = (caller.address.into(), id.chars().take(MAX_COUNTED_ID).collect());
        match self.failures.as_ref().map(|failures| failures.check(&key)) {
            Some(Err(wait)) => Refusal::busy("too many failed client authentications", wait),
            _ => UNKNOWN,
        }
    }
}

/// Characters of a client id by which failures are counted.
const MAX_COUNTED_ID: usize = 64;

/// Reads what a client presents: one way to authenticate, and no other client's id beside it (C-073).
fn presented<'a>(headers: &HeaderMap, parameters: &'a Parameters) -> Result<Presented<'a>, Refusal> {
    let header = headers.get(header::AUTHORIZATION);
    let in_body = parameters.get("client_secret").is_some();
    let assertion =
        parameters.get("client_assertion").is_some() || parameters.get("client_assertion_type").is_some();
    if usize::from(header.is_some()) + usize::from(in_body) + usize::from(assertion) > 1 {
        return Err(TWO_WAYS);
    }
    let in_body_id = parameters.get("client_id");
    if let Some(header) = header {
        let (id, secret) = basic(header.as_bytes()).ok_or(UNKNOWN)?;
        if in_body_id.is_some_and(|other| other != id) {
            return Err(OTHER_ID);
        }
        return Ok(Presented::Secret { id, secret });
    }
    if assertion {
        let is_jwt = parameters.get("client_assertion_type") == Some(ASSERTION_TYPE);
        let text = parameters.get("client_assertion").filter(|_| is_jwt);
        return text.map(Presented::Assertion).ok_or(UNKNOWN);
    }
    match (in_body_id, parameters.get("client_secret")) {
        (Some(id), Some(secret)) => Ok(Presented::Secret {
            id: id.to_owned(),
            secret: Zeroizing::new(secret.to_owned()),
        }),
        _ => Err(UNKNOWN),
    }
}

/// Reads id and secret from a `Basic` header, whose two halves are form-encoded (RFC 6749 §2.3.1).
fn basic(value: &[u8]) -> Option<(String, Zeroizing<String>)> {
    let (scheme, encoded) = std::str::from_utf8(value).ok()?.split_once(' ')?;
    let decoded = Zeroizing::new(Base64::decode_vec(encoded.trim()).ok()?);
    let (id, secret) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
    scheme
        .eq_ignore_ascii_case("basic")
        .then(|| (form_decoded(id), Zeroizing::new(form_decoded(secret))))
}

/// Decodes one form value; the library decodes whole `name=value` pairs.
fn form_decoded(value: &str) -> String {
    let pair = Zeroizing::new(format!("v={value}"));
    form_urlencoded::parse(pair.as_bytes())
        .next()
        .map(|(_, value)| value.into_owned())
        .unwrap_or_default()
}
