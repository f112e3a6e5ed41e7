//! A client proves who it is (RFC 6749 §2.3, C-070 … C-073), at every endpoint in the same way.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;

use base64ct::{Base64, Encoding as _};
use http::{HeaderMap, header};
use url::form_urlencoded;
use zeroize::Zeroizing;

use super::client::{Client, SecretHash};
use super::clients::{Clients, ClientsError};
use super::parameters::Parameters;
use crate::cause::chain;
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
    /// Failures by address and client id (C-405).
    failures: Option<Throttle<(Network, String)>>,
    /// What the secret of an unknown client is compared with, so that it takes as long.
    nobodys: SecretHash,
}

/// What a client presents.
enum Presented {
    Secret { id: String, secret: Zeroizing<String> },
}

impl Authenticator {
    pub(crate) fn new(clients: Arc<Clients>, failures_per_minute: u32) -> Self {
        Self {
            clients,
            failures: NonZeroU32::new(failures_per_minute).map(Throttle::per_minute),
            nobodys: SecretHash::of(""),
        }
    }

    /// Returns the client, once it has proven who it is.
    pub(crate) async fn authenticate(
        &self,
        caller: &Caller<'_>,
        parameters: &Parameters,
    ) -> Result<Client, Refusal> {
        let presented = presented(caller.headers, parameters)?;
        let Presented::Secret { id, secret } = presented;
        let client = self.found(&id).await?;
        match client
            .filter(|client| !client.disabled && client.metadata.token_endpoint_auth_method.has_secret())
        {
            Some(client) if client.secret.as_ref().is_some_and(|hash| hash.matches(&secret)) => Ok(client),
            Some(_) => Err(self.failed(caller, &id)),
            None => {
                let _ = self.nobodys.matches(&secret);
                Err(self.failed(caller, &id))
            }
        }
    }

    /// Forgets the addresses that have been quiet.
    pub(crate) fn forget_quiet(&self) {
        self.failures.iter().for_each(Throttle::forget_quiet);
    }

    async fn found(&self, id: &str) -> Result<Option<Client>, Refusal> {
        self.clients.find(id).await.map_err(|error| {
            match error {
                ClientsError::Store(_) => {
                    tracing::error!(error = chain(&error), "a client could not be read")
                }
                _ => tracing::error!(error = chain(&error), "a client's record is broken"),
            }
            NOT_READ
        })
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
fn presented(headers: &HeaderMap, parameters: &Parameters) -> Result<Presented, Refusal> {
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
