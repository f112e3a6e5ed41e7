//! A client proves who it is (RFC 6749 §2.3, C-070 … C-073), at every endpoint in the same way.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64ct::{Base64, Encoding as _};
use http::{HeaderMap, header};
use percent_encoding::percent_decode;
use zeroize::Zeroizing;

use super::certificates::Certificates;
use super::client::{AuthMethod, Client, SecretHash};
use super::clients::Clients;
use super::jwt::{ASSERTION_TYPE, Assertion, AssertionRules, ClientKeys};
use super::parameters::Parameters;
use super::used::Used;
use crate::cause::chain;
use crate::clock::now;
use crate::config;
use crate::failures::Failures;
use crate::refusal::Refusal;
use crate::throttle::Network;
use crate::tls::{Authority, Certificate};

/// Characters of a client id by which failures are counted.
const MAX_COUNTED_ID: usize = 64;

/// How long a failure counts.
const FAILURES_WITHIN: Duration = Duration::from_secs(60);

const TWO_WAYS: Refusal = Refusal::invalid_request("the client authenticates in two ways");
const OTHER_ID: Refusal =
    Refusal::invalid_request("client_id is not the one of the client that authenticates");
const UNKNOWN: Refusal = Refusal::invalid_client();
const NOT_READ: Refusal = Refusal::unavailable("the clients cannot be read now");

/// Whom a request comes from, as it claims.
pub(crate) struct Caller<'a> {
    pub(crate) headers: &'a HeaderMap,
    pub(crate) address: IpAddr,
    /// The certificate that it has shown.
    pub(crate) certificate: Option<&'a Certificate>,
    /// The paths of ours that an assertion may name as its audience, instead of the issuer (C-076).
    pub(crate) paths: &'a [&'a str],
}

/// Recognizes clients.
pub(crate) struct Authenticator {
    clients: Arc<Clients>,
    keys: Arc<ClientKeys>,
    used: Arc<Used>,
    certificates: Certificates,
    origins: Origins,
    /// Whether it is the only one (C-083).
    issuer_is_only_audience: bool,
    /// By how much the clocks of clients may differ, seconds.
    tolerance: u64,
    /// By address and client id (C-405).
    failures: Option<Failures<(Network, String)>>,
    /// What the secret of an unknown client is compared with, so that it takes as long.
    nobodys: SecretHash,
}

/// Where clients reach us: what an assertion may name as its audience.
pub(crate) struct Origins {
    /// Our issuer, an audience of every assertion.
    pub(crate) issuer: String,
    /// Where the endpoints of clients with certificates are, if that is elsewhere (RFC 8705 §5).
    pub(crate) mtls: Option<String>,
}

/// What a client presents.
enum Presented<'a> {
    Secret {
        id: String,
        secret: Zeroizing<String>,
    },
    /// `private_key_jwt`
    Assertion(&'a str),
    /// Nothing but its id: a certificate has to say the rest.
    Id(&'a str),
}

impl Authenticator {
    pub(crate) fn new(
        clients: Arc<Clients>,
        (keys, used): (Arc<ClientKeys>, Arc<Used>),
        authority: Option<Arc<Authority>>,
        origins: Origins,
        config: &config::OAuth,
    ) -> Self {
        Self {
            clients,
            certificates: Certificates::new(authority, Arc::clone(&keys)),
            keys,
            used,
            origins,
            issuer_is_only_audience: config.issuer_is_only_audience,
            tolerance: config.clock_tolerance,
            failures: (config.failures_per_minute > 0)
                .then(|| Failures::new(config.failures_per_minute as usize, FAILURES_WITHIN)),
            nobodys: SecretHash::of(""),
        }
    }

    /// Returns the client, once it has proven who it is.
    pub(crate) async fn authenticate(
        &self,
        caller: &Caller<'_>,
        parameters: &Parameters,
    ) -> Result<Arc<Client>, Refusal> {
        match presented(caller.headers, parameters)? {
            Presented::Secret { id, secret } => {
                let proof = self.by_secret(&id, &secret);
                self.counted(caller, &id, proof).await
            }
            Presented::Assertion(text) => {
                let assertion = Assertion::read(text)?;
                let id = assertion.client_id().to_owned();
                if parameters.get("client_id").is_some_and(|other| other != id) {
                    return Err(OTHER_ID);
                }
                let proof = self.by_assertion(caller, assertion);
                self.counted(caller, &id, proof).await
            }
            // Not counted: nobody guesses a private key.
            Presented::Id(id) => self.by_certificate(caller, id).await,
        }
    }

    /// Counts the failures; after too many no proof is looked at (C-405).
    async fn counted(
        &self,
        caller: &Caller<'_>,
        id: &str,
        proof: impl Future<Output = Result<Arc<Client>, Refusal>>,
    ) -> Result<Arc<Client>, Refusal> {
        let Some(failures) = &self.failures else {
            return proof.await;
        };
        let key = (
            Network::from(caller.address),
            id.chars().take(MAX_COUNTED_ID).collect(),
        );
        let checked = failures.check(&key, Instant::now());
        checked.map_err(|wait| Refusal::busy("too many failed client authentications", wait))?;
        let proven = proof.await;
        if proven.as_ref().err() == Some(&UNKNOWN) {
            failures.count(key, Instant::now());
        }
        proven
    }

    async fn by_secret(&self, id: &str, secret: &str) -> Result<Arc<Client>, Refusal> {
        let has_secret = |client: &Arc<Client>| client.metadata.token_endpoint_auth_method.has_secret();
        let client = self.enabled(id).await?.filter(has_secret);
        // The secret of an unknown client is compared as well: that takes as long (C-070).
        let hash = client.as_ref().and_then(|client| client.secret.as_ref());
        let is_right = hash.unwrap_or(&self.nobodys).matches(secret) && hash.is_some();
        client.filter(|_| is_right).ok_or(UNKNOWN)
    }

    async fn by_assertion(
        &self,
        caller: &Caller<'_>,
        assertion: Assertion<'_>,
    ) -> Result<Arc<Client>, Refusal> {
        let signs =
            |client: &Arc<Client>| client.metadata.token_endpoint_auth_method == AuthMethod::PrivateKeyJwt;
        let client = self.enabled(assertion.client_id()).await?.filter(signs);
        let client = client.ok_or(UNKNOWN)?;
        let audiences = self.audiences(caller.paths);
        let rules = AssertionRules {
            audiences: &audiences.iter().map(String::as_str).collect::<Vec<_>>(),
            tolerance: self.tolerance,
        };
        assertion
            .verify(&client, &rules, &self.keys, &self.used, now())
            .await?;
        Ok(client)
    }

    /// Returns what an assertion may name as its audience (C-076, C-083).
    fn audiences(&self, paths: &[&str]) -> Vec<String> {
        let Origins { issuer, mtls } = &self.origins;
        let mut audiences = vec![issuer.clone()];
        if !self.issuer_is_only_audience {
            let origins = std::iter::once(issuer).chain(mtls);
            audiences
                .extend(origins.flat_map(|origin| paths.iter().map(move |path| format!("{origin}{path}"))));
        }
        audiences
    }

    async fn by_certificate(&self, caller: &Caller<'_>, id: &str) -> Result<Arc<Client>, Refusal> {
        let client = self.enabled(id).await?;
        if let (Some(client), Some(certificate)) = (client, caller.certificate)
            && self.certificates.is_of(&client, certificate).await
        {
            return Ok(client);
        }
        Err(UNKNOWN)
    }

    /// Forgets the addresses and clients that have been quiet, and keys of clients that are old.
    pub(crate) fn forget_quiet(&self) {
        let now = Instant::now();
        self.failures
            .iter()
            .for_each(|failures| failures.forget_quiet(now));
        self.used.forget_quiet();
        self.keys.forget_old();
    }

    /// Returns the client of an id, unless it is disabled.
    async fn enabled(&self, id: &str) -> Result<Option<Arc<Client>>, Refusal> {
        self.clients.enabled(id).await.map_err(|error| {
            tracing::error!(error = chain(&error), "a client could not be read");
            NOT_READ
        })
    }
}

/// Reads what a client presents: one way to authenticate, and no other client's id beside it (C-073).
fn presented<'a>(headers: &HeaderMap, parameters: &'a Parameters) -> Result<Presented<'a>, Refusal> {
    let mut all = headers.get_all(header::AUTHORIZATION).iter();
    let header = all.next();
    if all.next().is_some() {
        return Err(TWO_WAYS);
    }
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
        (Some(id), None) => Ok(Presented::Id(id)),
        (None, _) => Err(UNKNOWN),
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

/// Decodes one form value. What is not encoded stays: many clients send their secret as it is.
fn form_decoded(value: &str) -> String {
    let spaced = Zeroizing::new(value.replace('+', " "));
    let decoded = percent_decode(spaced.as_bytes()).decode_utf8_lossy();
    decoded.into_owned()
}
