//! `[oauth]`: what the server is to OAuth clients; `[[client]]` and `[[user]]` name some of both.

use std::ops::RangeInclusive;
use std::path::PathBuf;

use serde::Deserialize;
use zeroize::Zeroizing;

use super::Error;
use super::secret::{self, Inline, Places};

/// What the server is to OAuth clients.
#[derive(Clone)]
pub(crate) struct OAuth {
    /// Scopes that clients may ask for; `openid` is always among them.
    pub(crate) scopes: Vec<String>,
    /// Resources whose tokens clients may ask for (RFC 8707).
    pub(crate) resources: Vec<String>,
    /// Who may register a client (C-040).
    pub(crate) registration: Registration,
    /// Resources whose tokens clients that registered themselves may ask for.
    pub(crate) registration_resources: Vec<String>,
    /// Whether clients that registered themselves may act for themselves (`client_credentials`).
    pub(crate) registration_client_credentials: bool,
    /// Clients in the store from which on none can register; 0: not limited.
    pub(crate) registration_limit: u64,
    /// How long an access token lives, seconds.
    pub(crate) access_token_expires_in: u64,
    /// How long a refresh token that is not used lives, seconds.
    pub(crate) refresh_token_expires_in: u64,
    /// By how much the clocks of clients may differ from ours, seconds.
    pub(crate) clock_tolerance: u64,
    /// Whether an assertion's audience must be the issuer alone (C-083).
    pub(crate) issuer_is_only_audience: bool,
    /// The program that adds claims to access tokens, and its arguments (C-305).
    pub(crate) claims_command: Option<Vec<String>>,
    /// Assertions and signed requests of one client, a minute; 0: not limited. Each leaves its `jti` behind (C-078, C-168).
    pub(crate) jwts_per_minute: u32,
    /// Failed client authentications, a minute, for each address and client id; 0: not limited (C-405).
    pub(crate) failures_per_minute: u32,
    /// Clients that one address may register, a minute; 0: not limited.
    pub(crate) registrations_per_minute: u32,
}

/// Who may register a client.
#[derive(Clone)]
pub(crate) enum Registration {
    /// No client can register.
    Off,
    /// Every client can.
    Open,
    /// Clients that have the initial access token (RFC 7591 §3).
    Guarded(Zeroizing<String>),
}

/// The section as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a section")]
pub(super) struct Section {
    scopes: Vec<String>,
    resources: Vec<String>,
    registration: Allowed,
    registration_token: Option<Inline>,
    registration_token_file: Option<PathBuf>,
    registration_resources: Vec<String>,
    registration_client_credentials: bool,
    registration_limit: u64,
    access_token_expires_in: u64,
    refresh_token_expires_in: u64,
    clock_tolerance: u64,
    issuer_is_only_audience: bool,
    claims_command: Option<Vec<String>>,
    jwts_per_minute: u32,
    failures_per_minute: u32,
    registrations_per_minute: u32,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Allowed {
    Off,
    Open,
    Guarded,
}

const ACCESS_TOKEN_EXPIRES_IN: RangeInclusive<u64> = 60..=86_400;
const REFRESH_TOKEN_EXPIRES_IN: RangeInclusive<u64> = 60..=366 * 86_400;
const CLOCK_TOLERANCE: RangeInclusive<u64> = 0..=120;

impl Default for Section {
    fn default() -> Self {
        Self {
            scopes: ["openid", "profile", "email", "offline_access"]
                .map(String::from)
                .to_vec(),
            resources: Vec::new(),
            // Without a token nobody can register: guarded is as good as off.
            registration: Allowed::Guarded,
            registration_token: None,
            registration_token_file: None,
            registration_resources: Vec::new(),
            registration_client_credentials: false,
            registration_limit: 1000,
            access_token_expires_in: 600,
            refresh_token_expires_in: 30 * 86_400,
            clock_tolerance: 30,
            issuer_is_only_audience: false,
            claims_command: None,
            // As many as the polls of a hundred requests, each of them every five seconds.
            jwts_per_minute: 1200,
            failures_per_minute: 20,
            registrations_per_minute: 20,
        }
    }
}

impl Section {
    pub(super) fn understand(self, places: &Places<'_>) -> Result<OAuth, Error> {
        let mut scopes = self.scopes;
        if !scopes.iter().any(|scope| scope == "openid") {
            scopes.insert(0, "openid".into());
        }
        let token = secret::of(
            "oauth.registration_token",
            self.registration_token,
            self.registration_token_file,
            places,
        )?;
        let registration = match (self.registration, token) {
            (Allowed::Open, _) => Registration::Open,
            (Allowed::Guarded, Some(token)) => Registration::Guarded(token),
            (Allowed::Off, _) | (Allowed::Guarded, None) => Registration::Off,
        };
        if self.claims_command.as_ref().is_some_and(Vec::is_empty) {
            return Err(Error::value("oauth.claims_command", "must name a program"));
        }
        let access = ("oauth.access_token_expires_in", self.access_token_expires_in);
        let refresh = ("oauth.refresh_token_expires_in", self.refresh_token_expires_in);
        let tolerance = ("oauth.clock_tolerance", self.clock_tolerance);
        Ok(OAuth {
            scopes,
            resources: self.resources,
            registration,
            registration_resources: self.registration_resources,
            registration_client_credentials: self.registration_client_credentials,
            registration_limit: self.registration_limit,
            access_token_expires_in: super::within(access, &ACCESS_TOKEN_EXPIRES_IN)?,
            refresh_token_expires_in: super::within(refresh, &REFRESH_TOKEN_EXPIRES_IN)?,
            clock_tolerance: super::within(tolerance, &CLOCK_TOLERANCE)?,
            issuer_is_only_audience: self.issuer_is_only_audience,
            claims_command: self.claims_command,
            jwts_per_minute: self.jwts_per_minute,
            failures_per_minute: self.failures_per_minute,
            registrations_per_minute: self.registrations_per_minute,
        })
    }
}

impl Default for OAuth {
    fn default() -> Self {
        let places = Places {
            base: std::path::Path::new("."),
            credentials: None,
        };
        Section::default()
            .understand(&places)
            .expect("the defaults are within their limits")
    }
}
