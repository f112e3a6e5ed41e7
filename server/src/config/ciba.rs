//! `[ciba]`: whether and how people are asked for their consent on behalf of clients (CIBA Core).

mod deliver;
mod login_token;
mod notify;

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use zeroize::Zeroizing;

pub(crate) use self::deliver::Deliver;
pub(crate) use self::login_token::{HintIssuer, IssuerKeys, LoginToken};
pub(crate) use self::notify::{Mail, MailSecurity, Notify, Webhook};
use super::Error;
use super::secret::{self, Inline, Places};

/// How people are asked.
#[derive(Clone)]
pub(crate) struct Ciba {
    pub(crate) modes: Vec<Mode>,
    /// The longest that a request lives, seconds (C-108).
    pub(crate) expires_in: u64,
    /// Between two polls, seconds.
    pub(crate) interval: u64,
    /// How long a poll is held; zero: not at all (C-277).
    pub(crate) long_poll: Duration,
    /// Path of the page on which a person approves.
    pub(crate) approval_page: String,
    /// Every request needs a binding message (C-106).
    pub(crate) require_binding_message: bool,
    /// What a `login_hint` may be, in this order (C-181).
    pub(crate) login_hint: Vec<HintKind>,
    /// A hint that names no known user gets an ack like any other (C-190).
    pub(crate) hide_unknown_users: bool,
    /// What a `login_hint_token` is (C-182).
    pub(crate) login_hint_token: LoginToken,
    /// How long after its end an ID Token still is a hint, seconds (C-189).
    pub(crate) id_token_hint_age: u64,
    /// For ID Token hints that are signed with HS256 (C-188).
    pub(crate) id_token_hint_secret: Option<Zeroizing<String>>,
    /// Whether clients may ask for the user's code (C-200).
    pub(crate) user_codes: bool,
    /// FAPI's rules for signed requests (C-164).
    pub(crate) fapi: bool,
    /// What a request's `acr_values` may name and get (C-109).
    pub(crate) acr_values: Vec<String>,
    /// The types of `authorization_details`; `None`: every type (C-131).
    pub(crate) details: Option<BTreeMap<String, DetailsType>>,
    /// A push client is told when its request expires (C-367).
    pub(crate) push_expiry: bool,
    /// Guards the approval hook of automated tests (C-235).
    pub(crate) test_hook_secret: Option<Zeroizing<String>>,
    pub(crate) terminal: Terminal,
    pub(crate) limits: Limits,
    /// How often a ping or push is tried again.
    pub(crate) deliver: Deliver,
    /// How people are told that they are asked (C-210).
    pub(crate) notify: Notify,
}

/// How tokens reach a client (CIBA Core §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Mode {
    /// The client asks the token endpoint.
    Poll,
    /// The client is told to ask.
    Ping,
    /// The tokens are sent to the client.
    Push,
}

/// Which part of a user a `login_hint` names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum HintKind {
    Email,
    Username,
    Subject,
    Phone,
}

/// A type of `authorization_details`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a section")]
pub(crate) struct DetailsType {
    /// Its JSON Schema, if there is one (C-132).
    pub(crate) schema: Option<Value>,
}

/// Which requests a person may answer in the terminal (C-211); all others need the browser.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a section")]
pub(crate) struct Terminal {
    pub(crate) enabled: bool,
    /// Requests for one of these scopes need a login in the browser, made for them.
    pub(crate) fresh_login_scopes: Vec<String>,
    /// So do those with `authorization_details` of these types.
    pub(crate) fresh_login_details: Vec<String>,
}

/// Limits of C-405; 0: not limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a section")]
pub(crate) struct Limits {
    /// Requests of one client, a minute.
    pub(crate) requests_per_minute: u32,
    /// Undecided requests of one client for one user.
    pub(crate) undecided_per_client: u32,
    /// Undecided requests for one user.
    pub(crate) undecided_per_user: u32,
    /// Looks at `/ciba/verify` from one address, a minute.
    pub(crate) looks_per_minute: u32,
}

impl Default for Terminal {
    fn default() -> Self {
        Self {
            enabled: true,
            fresh_login_scopes: Vec::new(),
            fresh_login_details: Vec::new(),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            requests_per_minute: 60,
            undecided_per_client: 10,
            undecided_per_user: 30,
            looks_per_minute: 60,
        }
    }
}

/// The section as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a section")]
pub(super) struct Section {
    enabled: bool,
    modes: Vec<Mode>,
    expires_in: u64,
    interval: u64,
    long_poll: u64,
    approval_page: String,
    require_binding_message: bool,
    login_hint: Vec<HintKind>,
    hide_unknown_users: bool,
    login_hint_token: login_token::Section,
    id_token_hint_days: u64,
    id_token_hint_secret: Option<Inline>,
    id_token_hint_secret_file: Option<PathBuf>,
    user_codes: bool,
    fapi: bool,
    acr_values: Vec<String>,
    details: Option<BTreeMap<String, DetailsType>>,
    push_expiry: bool,
    test_hook_secret: Option<Inline>,
    test_hook_secret_file: Option<PathBuf>,
    terminal: Terminal,
    limits: Limits,
    deliver: Deliver,
    notify: notify::Section,
}

const EXPIRES_IN: RangeInclusive<u64> = 10..=3600;
const INTERVAL: RangeInclusive<u64> = 1..=60;
const LONG_POLL: RangeInclusive<u64> = 0..=30;
const HINT_DAYS: RangeInclusive<u64> = 0..=365;

/// The paths of the server's own: the page has another. One that ends with a slash stands for all below it.
const OWN_PATHS: [&str; 14] = [
    "/.well-known/",
    "/auth/",
    "/ciba/authorize",
    "/ciba/reject",
    "/ciba/sign-out",
    "/ciba/test-hook/",
    "/ciba/verify",
    "/healthz",
    "/jwks",
    "/login",
    "/login/",
    "/oauth2/",
    "/style.css",
    "/sync/",
];

/// Bytes of a secret that others may guess at offline (RFC 7518 §3.2).
const MIN_HINT_SECRET: usize = 32;

/// Bytes of the secret with which a test decides for every person.
const MIN_HOOK_SECRET: usize = 32;

impl Default for Section {
    fn default() -> Self {
        Self {
            enabled: false,
            modes: vec![Mode::Poll],
            expires_in: 300,
            interval: 5,
            long_poll: 0,
            approval_page: "/ciba/approve".into(),
            require_binding_message: false,
            login_hint: vec![HintKind::Email],
            hide_unknown_users: false,
            login_hint_token: login_token::Section::default(),
            id_token_hint_days: 30,
            id_token_hint_secret: None,
            id_token_hint_secret_file: None,
            user_codes: false,
            fapi: false,
            acr_values: Vec::new(),
            details: None,
            push_expiry: true,
            test_hook_secret: None,
            test_hook_secret_file: None,
            terminal: Terminal::default(),
            limits: Limits::default(),
            deliver: Deliver::default(),
            notify: notify::Section::default(),
        }
    }
}

impl Section {
    /// Returns what the section means; `None`: CIBA is off.
    pub(super) fn understand(self, places: &Places<'_>) -> Result<Option<Ciba>, Error> {
        if !self.enabled {
            return Ok(None);
        }
        if self.modes.is_empty() {
            return Err(Error::value("ciba.modes", "must name poll, ping or push"));
        }
        if self.login_hint.is_empty() {
            let problem = "must name email, username, subject or phone";
            return Err(Error::value("ciba.login_hint", problem));
        }
        if !is_path(&self.approval_page) {
            return Err(Error::value(
                "ciba.approval_page",
                "must be a path such as /ciba/approve",
            ));
        }
        if is_own(&self.approval_page) {
            let problem = "is a path of the server itself; choose another";
            return Err(Error::value("ciba.approval_page", problem));
        }
        let hint = (self.id_token_hint_secret, self.id_token_hint_secret_file);
        let hint_secret = secret::at_least(MIN_HINT_SECRET, "ciba.id_token_hint_secret", hint, places)?;
        let hook = (self.test_hook_secret, self.test_hook_secret_file);
        Ok(Some(Ciba {
            modes: self.modes,
            expires_in: super::within(("ciba.expires_in", self.expires_in), &EXPIRES_IN)?,
            interval: super::within(("ciba.interval", self.interval), &INTERVAL)?,
            long_poll: Duration::from_secs(super::within(("ciba.long_poll", self.long_poll), &LONG_POLL)?),
            approval_page: self.approval_page,
            require_binding_message: self.require_binding_message,
            login_hint: self.login_hint,
            hide_unknown_users: self.hide_unknown_users,
            login_hint_token: self.login_hint_token.understand(places)?,
            id_token_hint_age: 86_400
                * super::within(("ciba.id_token_hint_days", self.id_token_hint_days), &HINT_DAYS)?,
            id_token_hint_secret: hint_secret,
            user_codes: self.user_codes,
            fapi: self.fapi,
            acr_values: self.acr_values,
            details: self.details,
            push_expiry: self.push_expiry,
            test_hook_secret: secret::at_least(MIN_HOOK_SECRET, "ciba.test_hook_secret", hook, places)?,
            terminal: self.terminal,
            limits: self.limits,
            deliver: self.deliver.checked()?,
            notify: self.notify.understand(places)?,
        }))
    }
}

/// Whether it is a plain path of segments, which needs no encoding.
fn is_path(path: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-_.".contains(&byte);
    path.starts_with('/') && !path.contains("//") && path.len() > 1 && path.bytes().all(plain)
}

/// Whether the server itself answers there.
fn is_own(path: &str) -> bool {
    let is_there = |own: &&str| path == *own || own.ends_with('/') && path.starts_with(*own);
    OWN_PATHS.iter().any(is_there)
}
