//! A device wants a token that lasts (D-040, D-043): the one there is, sealed for one more resource, or a new one.

use std::borrow::Cow;
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable as _};
use device_proto::ResourceUrn;
use device_proto::seal::{Key, Purpose};
use device_proto::token::Token;
use thiserror::Error;
use zeroize::Zeroizing;

use super::publish::{REFRESH, seal_refresh, seal_token};
use super::record::{Active, Record, SessionError, Stage};
use super::registry::Room;
use crate::app::{App, now};
use crate::token::{self, ProviderError, TokenSet};

/// Seconds a token must last when the device does not say.
const MIN_VALID: u64 = 60;

/// Resources that one session has tokens for. All of them are sealed anew at each renewal.
const MAX_RESOURCES: usize = 64;

/// How often the store is asked to keep what the provider gave, beyond the first time.
const KEEP_TRIES: usize = 5;

/// The pause before the second time; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// Why there is no token.
#[derive(Debug, Error)]
pub(super) enum RenewError {
    /// We give no tokens for that resource, or not for so many.
    #[error("this server gives no tokens for that resource")]
    InvalidTarget,
    /// The session yields none any more.
    #[error("the login no longer yields tokens")]
    LoginRequired,
    /// The provider gave none.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// The store failed.
    #[error("the server's store does not answer")]
    Store(#[from] SessionError),
}

impl RenewError {
    /// Returns the code that the device is told (D-042).
    pub(super) fn code(&self) -> &str {
        match self {
            Self::InvalidTarget => "invalid_target",
            Self::LoginRequired => "login_required",
            Self::Provider(error) => error.code(),
            Self::Store(_) => "temporarily_unavailable",
        }
    }
}

/// Sees to it that the doc holds a token for `resource` that is valid for `min_valid` seconds, if the provider
/// gives such long ones. One at a time for each session: who comes second finds what the first one got.
pub(super) async fn renew(
    app: &App,
    room: &Room,
    resource: &ResourceUrn,
    min_valid: Option<u64>,
) -> Result<(), RenewError> {
    if !token::is_known(resource) {
        return Err(RenewError::InvalidTarget);
    }
    let _turn = room.turn().await;
    let (record, version) = found(app, room).await?;
    let Stage::Active(active) = &record.stage else {
        return Err(RenewError::LoginRequired);
    };
    let is_held = active.tokens.contains_key(resource);
    if !is_held && active.tokens.len() >= MAX_RESOURCES {
        return Err(RenewError::InvalidTarget);
    }
    let lasts = active.expires_at > now().plus(min_valid.unwrap_or(MIN_VALID)).seconds();
    if lasts && is_held {
        return Ok(());
    }
    let tokens = if lasts { held(app, room, active) } else { None };
    let tokens = match tokens {
        Some(tokens) => tokens,
        None => match refreshed(app, room, active).await {
            Err(RenewError::LoginRequired) => return Err(give_up(app, room, record, version).await),
            tokens => tokens?,
        },
    };
    keep(app, room, resource, &tokens).await
}

async fn found(app: &App, room: &Room) -> Result<(Record, store::Version), RenewError> {
    let record = app.sessions.find(&room.session, now()).await?;
    record.ok_or(RenewError::LoginRequired)
}

/// Keeps new tokens, then shows them (D-043). The refresh token before them is spent: a store that stumbles is asked
/// again before the login is given up for lost.
async fn keep(app: &App, room: &Room, resource: &ResourceUrn, tokens: &TokenSet) -> Result<(), RenewError> {
    let once = || async {
        let (mut record, version) = found(app, room).await?;
        let Stage::Active(active) = &mut record.stage else {
            return Err(RenewError::LoginRequired);
        };
        reseal(app, room, active, resource, tokens)?;
        app.sessions
            .replace(&room.session, version, &record, now())
            .await?;
        Ok(record)
    };
    let patience = ExponentialBuilder::default()
        .with_min_delay(FIRST_PAUSE)
        .with_max_times(KEEP_TRIES);
    let may_pass = |error: &RenewError| matches!(error, RenewError::Store(_));
    let record = once.retry(patience).when(may_pass).await?;
    room.show(&record.stage);
    Ok(())
}

/// Returns the login's own access token, out of one of its seals: every destination is served by the same one.
fn held(app: &App, room: &Room, active: &Active) -> Option<TokenSet> {
    let (resource, sealed) = active.tokens.first_key_value()?;
    let opened = app.registry.with_challenge(room, |challenge| {
        let mut buffer = Zeroizing::new(vec![0; sealed.plaintext_len()?]);
        let key = Key::of_challenge(challenge, &room.session, Purpose::Token);
        let token = Token::decode(key.open(resource.as_str(), sealed, &mut buffer).ok()?).ok()?;
        Some(TokenSet {
            access_token: Zeroizing::new(token.access_token.into_owned()),
            refresh_token: None,
            expires_at: token.expires_at,
            scope: token.scope.map(Cow::into_owned),
            subject: active.subject.clone(),
        })
    });
    opened.flatten()
}

/// Asks the provider for a new one.
async fn refreshed(app: &App, room: &Room, active: &Active) -> Result<TokenSet, RenewError> {
    let refresh_token = refresh_token(app, room, active).ok_or(RenewError::LoginRequired)?;
    match app.provider.refresh(&refresh_token, &active.subject).await {
        Err(ProviderError::Refused(code)) if code == "invalid_grant" => Err(RenewError::LoginRequired),
        tokens => Ok(tokens?),
    }
}

/// Opens the sealed refresh token with the challenge of the live connection.
pub(super) fn refresh_token(app: &App, room: &Room, active: &Active) -> Option<Zeroizing<String>> {
    let sealed = active.refresh.as_ref()?;
    let opened = app.registry.with_challenge(room, |challenge| {
        let mut buffer = Zeroizing::new(vec![0; sealed.plaintext_len()?]);
        let key = Key::of_challenge(challenge, &room.session, Purpose::Refresh);
        let text = key.open(REFRESH, sealed, &mut buffer).ok()?;
        let text = std::str::from_utf8(text).ok()?;
        Some(Zeroizing::new(text.to_owned()))
    });
    opened.flatten()
}

/// Seals the token for what has one already and for `resource`; a refresh token that was rotated too.
fn reseal(
    app: &App,
    room: &Room,
    active: &mut Active,
    resource: &ResourceUrn,
    tokens: &TokenSet,
) -> Result<(), RenewError> {
    let resealed = app.registry.with_challenge(room, |challenge| {
        let resources = active.tokens.keys().chain([resource]);
        let sealed = seal_token(challenge, &room.session, resources, tokens);
        (sealed, seal_refresh(challenge, &room.session, tokens))
    });
    let (sealed, refresh) = resealed.ok_or(RenewError::LoginRequired)?;
    active.tokens = sealed;
    active.refresh = refresh.or(active.refresh.take());
    active.expires_at = tokens.expires_at;
    active.writer = room.writer();
    Ok(())
}

/// The refresh token is spent or revoked: only a new login helps, and everybody learns it.
async fn give_up(app: &App, room: &Room, mut record: Record, version: store::Version) -> RenewError {
    record.stage = Stage::Failed {
        error: "login_required".into(),
        description: "the identity provider ended the login".into(),
    };
    match app.sessions.replace(&room.session, version, &record, now()).await {
        Ok(()) => {
            room.show(&record.stage);
            RenewError::LoginRequired
        }
        Err(error) => error.into(),
    }
}
