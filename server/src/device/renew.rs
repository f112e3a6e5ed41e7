//! A device wants a token that lasts (D-040 … D-043): one that there is, the login's own, or one that is exchanged for it.

use std::time::{Duration, Instant};

use backon::{BackoffBuilder as _, ExponentialBuilder, Retryable as _};
use device_proto::ResourceUrn;
use device_proto::seal::Sealed;
use thiserror::Error;

use super::grant;
use super::publish::seal_token;
use super::record::{Active, Record, SessionError, Stage, TooMany};
use super::registry::Room;
use super::turn::What;
use crate::app::{App, chain, now};
use crate::token::{self, AccessToken, ExchangeFor, Grant, ProviderError, Target};

/// Seconds a token must last when the device does not say.
const MIN_VALID: u64 = 60;

/// Seconds that the login's own token must last to be exchanged: the time of a call, and two clocks that differ.
const EXCHANGE_WITHIN: u64 = 15;

/// How often the store is asked to keep what the provider gave, beyond the first time.
const KEEP_TRIES: usize = 5;

/// The pause before the second time; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// The longest pause while the store keeps refusing a grant.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Why there is no token.
#[derive(Clone, Debug, Error)]
pub(super) enum RenewError {
    /// We give no tokens for that resource.
    #[error("this server gives no tokens for that resource")]
    InvalidTarget,
    /// Not for so many.
    #[error(transparent)]
    TooMany(#[from] TooMany),
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

/// What somebody's turn at the provider came to.
pub(super) type Found = Result<(), RenewError>;

impl RenewError {
    /// Returns the code that the device is told (D-042).
    pub(super) fn code(&self) -> &str {
        match self {
            Self::InvalidTarget | Self::TooMany(_) => "invalid_target",
            Self::LoginRequired => "login_required",
            Self::Provider(error) => error.code(),
            Self::Store(_) => "temporarily_unavailable",
        }
    }

    /// Whether the provider may have meant the login's token, not what it was to be exchanged for: RFC 8693 §2.2.2 has
    /// one code for both.
    fn is_about_the_subject(&self) -> bool {
        matches!(self, Self::Provider(ProviderError::Refused(code)) if code == "invalid_request" || code == "invalid_grant")
    }
}

/// Sees to it that the doc holds a token for `resource` that is valid for `min_valid` seconds, if the provider
/// gives such long ones. One at a time for each resource, and one at a time for the login: a slow exchange holds up
/// nobody who wants something else.
pub(super) async fn renew(app: &App, room: &Room, resource: &ResourceUrn, min_valid: Option<u64>) -> Found {
    let target = token::target(&app.config.resources, resource).ok_or(RenewError::InvalidTarget)?;
    let until = now().plus(min_valid.unwrap_or(MIN_VALID)).seconds();
    let login = Login {
        app,
        room,
        came: Instant::now(),
        turn: room.turn(What::Grant),
    };
    let mine = match room.turn(What::Token(resource.clone())).take(login.came).await {
        Ok(mine) => mine,
        Err(found) => return found,
    };
    if active(app, room).await?.has(resource, until) {
        return Ok(());
    }
    match target {
        Target::Session => {
            let grant = login.lasting(until).await?;
            keep(app, room, resource, &grant.access).await
        }
        Target::Exchange(target) => mine.found(login.exchange(resource, &target).await),
    }
}

/// The login of a session, for one who came to ask.
struct Login<'a> {
    app: &'a App,
    room: &'a Room,
    came: Instant,
    turn: super::turn::Turn<Found>,
}

impl Login<'_> {
    /// Returns the login's own token, valid until then if the provider gives such long ones.
    async fn lasting(&self, until: u64) -> Result<Grant, RenewError> {
        let grant = self.grant().await?;
        if grant.access.expires_at > until {
            return Ok(grant);
        }
        match self.turn.take(self.came).await {
            Err(found) => found?,
            Ok(mine) => {
                let grant = self.grant().await?;
                if grant.access.expires_at > until {
                    return Ok(grant);
                }
                mine.found(self.refresh(grant).await)?;
            }
        }
        self.grant().await
    }

    /// Exchanges the login's own token, and keeps what that gives.
    async fn exchange(&self, resource: &ResourceUrn, target: &ExchangeFor) -> Found {
        let grant = self.lasting(now().plus(EXCHANGE_WITHIN).seconds()).await?;
        let exchanged = match self.exchanged(&grant, target).await {
            // It may have been revoked; the refresh token knows.
            Err(error) if error.is_about_the_subject() => {
                let newer = self.newer_than(&grant).await?;
                self.exchanged(&newer, target).await
            }
            exchanged => exchanged,
        };
        keep(self.app, self.room, resource, &exchanged?).await
    }

    async fn exchanged(&self, grant: &Grant, target: &ExchangeFor) -> Result<AccessToken, RenewError> {
        Ok(self.app.provider.exchange(&grant.access.text, target).await?)
    }

    /// Returns another grant than this one.
    async fn newer_than(&self, old: &Grant) -> Result<Grant, RenewError> {
        let mine = self.turn.take_anyway().await;
        let grant = self.grant().await?;
        if grant.access.text == old.access.text {
            mine.found(self.refresh(grant).await)?;
        }
        self.grant().await
    }

    /// Opens the grant that is kept. One that the store would not keep is kept first (D-043).
    async fn grant(&self) -> Result<Grant, RenewError> {
        save(self.app, self.room).await?;
        let active = active(self.app, self.room).await?;
        open(self.app, self.room, &active.grant).ok_or(RenewError::LoginRequired)
    }

    /// Asks the provider for a new grant and keeps it (D-043).
    async fn refresh(&self, old: Grant) -> Found {
        let Some(refresh_token) = &old.refresh_token else {
            let lasts = old.access.expires_at > now().seconds();
            // There is no longer one.
            return if lasts {
                Ok(())
            } else {
                Err(give_up(self.app, self.room).await)
            };
        };
        // A store that cannot write must not cost the refresh token, which the provider takes but once.
        change(self.app, self.room, |_| Ok(())).await?;
        let new = match self.app.provider.refresh(refresh_token).await {
            Err(ProviderError::Refused(code)) if code == "invalid_grant" => {
                return Err(give_up(self.app, self.room).await);
            }
            new => new?,
        };
        self.keep_grant(succeed(old, new)).await
    }

    /// Keeps a new grant. The refresh token before it is spent: what the store would not keep is remembered for when it
    /// will.
    async fn keep_grant(&self, grant: Grant) -> Found {
        let (app, room) = (self.app, self.room);
        let sealed = app
            .registry
            .with_challenge(room, |challenge| grant::seal(challenge, &room.session, &grant));
        room.set_unsaved(Some(sealed.ok_or(RenewError::LoginRequired)?));
        let patience = patience().with_max_times(KEEP_TRIES);
        let once = || async { save(app, room).await };
        let saved = once.retry(patience).when(RenewError::may_pass).await;
        if let Err(error @ RenewError::Store(_)) = &saved {
            tracing::error!(error = chain(error), "a new refresh token is in memory alone");
            app.tasks.spawn(save_later(app.clone(), room.session.clone()));
        }
        saved
    }
}

impl RenewError {
    fn may_pass(&self) -> bool {
        matches!(self, Self::Store(_))
    }
}

fn patience() -> ExponentialBuilder {
    ExponentialBuilder::default()
        .with_min_delay(FIRST_PAUSE)
        .with_max_delay(LONGEST_PAUSE)
}

/// What a provider that does not rotate leaves out goes on as it was.
fn succeed(old: Grant, new: Grant) -> Grant {
    let is_rotated = new.refresh_token.is_some();
    Grant {
        access: new.access,
        refresh_ends: if is_rotated {
            new.refresh_ends
        } else {
            new.refresh_ends.or(old.refresh_ends)
        },
        refresh_token: new.refresh_token.or(old.refresh_token),
    }
}

/// Keeps a grant that the store would not keep before, if there is one.
async fn save(app: &App, room: &Room) -> Found {
    let _pen = room.pen().await;
    let Some(sealed) = room.unsaved() else {
        return Ok(());
    };
    let Some(grant) = open(app, room, &sealed) else {
        return Err(RenewError::LoginRequired);
    };
    rewrite(app, room, |active| {
        active.ends = grant.ends();
        active.grant = sealed.clone();
        Ok(())
    })
    .await?;
    room.set_unsaved(None);
    Ok(())
}

/// Goes on trying to keep a grant, whether its device stays or not, for as long as the server lives.
async fn save_later(app: App, session: device_proto::RequestId) {
    let Some(room) = app.registry.hold(&session) else {
        return;
    };
    for pause in patience().without_max_times().build() {
        let leaving = app
            .leaving
            .run_until_cancelled(tokio::time::sleep(pause))
            .await
            .is_none();
        match save(&app, &room).await {
            Err(error) if error.may_pass() && leaving => break,
            Err(error) if error.may_pass() => {}
            _ => return,
        }
    }
    tracing::error!("a new refresh token is lost: its person has to log in again");
}

/// Keeps a resource's token, then shows it (D-043).
async fn keep(app: &App, room: &Room, resource: &ResourceUrn, token: &AccessToken) -> Found {
    let sealed = app.registry.with_challenge(room, |challenge| {
        seal_token(challenge, &room.session, resource, token)
    });
    let held = sealed.ok_or(RenewError::LoginRequired)?;
    change(app, room, |active| {
        Ok(active.hold(resource, held.clone(), now())?)
    })
    .await
}

/// Changes the record of an active session, then shows what it says. A store that stumbles is asked again.
async fn change(app: &App, room: &Room, edit: impl Fn(&mut Active) -> Found) -> Found {
    let once = || async {
        let _pen = room.pen().await;
        rewrite(app, room, &edit).await
    };
    let patience = patience().with_max_times(KEEP_TRIES);
    once.retry(patience).when(RenewError::may_pass).await
}

/// Whoever calls this has the pen.
async fn rewrite(app: &App, room: &Room, edit: impl Fn(&mut Active) -> Found) -> Found {
    let (mut record, version) = found(app, room).await?;
    room.refresh_worn(&record.stage);
    let Stage::Active(active) = &mut record.stage else {
        return Err(RenewError::LoginRequired);
    };
    active.drop_ended(now());
    edit(active)?;
    active.writer = room.writer();
    app.sessions
        .replace(&room.session, version, &record, now())
        .await?;
    room.show(&record.stage);
    Ok(())
}

/// The refresh token is spent or revoked: only a new login helps, and everybody learns it.
async fn give_up(app: &App, room: &Room) -> RenewError {
    let _pen = room.pen().await;
    let (mut record, version) = match found(app, room).await {
        Ok(found) => found,
        Err(error) => return error,
    };
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

async fn found(app: &App, room: &Room) -> Result<(Record, store::Version), RenewError> {
    let record = app.sessions.find(&room.session, now()).await?;
    record.ok_or(RenewError::LoginRequired)
}

async fn active(app: &App, room: &Room) -> Result<Active, RenewError> {
    match found(app, room).await?.0.stage {
        Stage::Active(active) => Ok(active),
        _ => Err(RenewError::LoginRequired),
    }
}

fn open(app: &App, room: &Room, sealed: &Sealed) -> Option<Grant> {
    let opened = app
        .registry
        .with_challenge(room, |challenge| grant::open(challenge, &room.session, sealed));
    opened.flatten()
}

/// Returns the newest grant of a session, kept or not, for its end.
pub(super) async fn last_grant(app: &App, room: &Room) -> Result<Option<Grant>, SessionError> {
    let kept = match app.sessions.find(&room.session, now()).await? {
        Some((
            Record {
                stage: Stage::Active(active),
                ..
            },
            _,
        )) => Some(active.grant),
        _ => None,
    };
    let newest = room.unsaved().or(kept);
    Ok(newest.and_then(|sealed| open(app, room, &sealed)))
}
