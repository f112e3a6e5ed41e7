//! A device wants a token that lasts (D-040 … D-043): one that there is, the login's own, or one that is exchanged for it.

use std::time::Instant;

use device_proto::ResourceUrn;
use device_proto::seal::Sealed;
use thiserror::Error;

use super::edit::{Edit, edit, save_later};
use super::grant;
use super::publish::seal_token;
use super::record::{Active, Record, SessionError, Stage, TooMany};
use super::registry::Room;
use super::turn::{Turn, What};
use crate::app::App;
use crate::cause::chain;
use crate::clock::now;
use crate::token::{self, AccessToken, ExchangeFor, Grant, ProviderError, Target};

/// Seconds a token must last when the device does not say.
const MIN_VALID: u64 = 60;

/// Seconds that the login's own token must last to be exchanged: the time of a call, and two clocks that differ.
const EXCHANGE_WITHIN: u64 = 15;

/// What a device would take for the end of its login.
const ABOUT_LOGINS: [&str; 3] = ["invalid_grant", "login_required", "expired_token"];

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
    /// The device makes the provider work too much.
    #[error("too much was asked of the identity provider")]
    TooOften,
    /// The server leaves: what it began now, nobody might keep.
    #[error("the server is about to stop")]
    Leaving,
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
            Self::TooOften => "slow_down",
            Self::Provider(error) => error.code(),
            Self::Leaving | Self::Store(_) => "temporarily_unavailable",
        }
    }

    /// The provider's no to one exchange is no word about the login, however it is put.
    fn of_an_exchange(self) -> Self {
        match self {
            Self::Provider(ProviderError::Refused(code)) if ABOUT_LOGINS.contains(&&*code) => {
                Self::InvalidTarget
            }
            other => other,
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
    let renewal = Renewal {
        app,
        room,
        resource,
        until: now().plus(min_valid.unwrap_or(MIN_VALID)).seconds(),
        came: Instant::now(),
        login: room.turn(What::Grant),
    };
    let mine = match room.turn(What::Token(resource.clone())).take(renewal.came).await {
        Ok(mine) => mine,
        Err(found) => return found,
    };
    let Some(grant) = renewal.needed().await? else {
        return Ok(());
    };
    match target {
        Target::Session => {
            let grant = renewal.lasting(grant, renewal.until).await?;
            renewal.keep(&grant.access).await
        }
        Target::Exchange(target) => mine.found(renewal.exchange(grant, &target).await),
    }
}

/// What one who came asks for.
struct Renewal<'a> {
    app: &'a App,
    room: &'a Room,
    resource: &'a ResourceUrn,
    /// Unix seconds.
    until: u64,
    came: Instant,
    /// One at a time changes the login's grant.
    login: Turn<Found>,
}

impl Renewal<'_> {
    /// Returns the login's grant; `None`: there is a token that lasts, and the doc shows it.
    async fn needed(&self) -> Result<Option<Grant>, RenewError> {
        let sealed = self.edit(|active| {
            if active.has(self.resource, self.until) {
                return Ok(Edit::Unchanged(None));
            }
            // Before the provider is asked for what nobody can keep.
            active.has_room(self.resource, now())?;
            Ok(Edit::Unchanged(Some(active.grant.clone())))
        });
        sealed.await?.map(|sealed| self.open(&sealed)).transpose()
    }

    /// Returns the login's own token, valid until then if the provider gives such long ones.
    async fn lasting(&self, grant: Grant, until: u64) -> Result<Grant, RenewError> {
        if grant.access.lasts(until) {
            return Ok(grant);
        }
        match self.login.take(self.came).await {
            Err(found) => found?,
            Ok(mine) => {
                let grant = self.grant().await?;
                if grant.access.lasts(until) {
                    return Ok(grant);
                }
                mine.found(self.refresh(grant).await)?;
            }
        }
        self.grant().await
    }

    /// Exchanges the login's own token, and keeps what that gives.
    async fn exchange(&self, grant: Grant, target: &ExchangeFor) -> Found {
        let grant = self.lasting(grant, now().plus(EXCHANGE_WITHIN).seconds()).await?;
        let token = match self.exchanged(&grant, target).await {
            // It may have been revoked; the refresh token knows.
            Err(error) if error.is_about_the_subject() => {
                self.exchanged(&self.newer_than(&grant).await?, target).await
            }
            // It ends with the login's own.
            Ok(short) if !short.lasts(self.until) && !grant.access.lasts(self.until) => {
                let again = async { self.exchanged(&self.newer_than(&grant).await?, target).await };
                again.await.or(Ok(short))
            }
            exchanged => exchanged,
        };
        self.keep(&token.map_err(RenewError::of_an_exchange)?).await
    }

    async fn exchanged(&self, grant: &Grant, target: &ExchangeFor) -> Result<AccessToken, RenewError> {
        let _one = self.room.exchanges.acquire().await;
        self.stays()?;
        if !self.app.exchanges.allows(&self.room.session) {
            return Err(RenewError::TooOften);
        }
        Ok(self.app.provider.exchange(&grant.access.text, target).await?)
    }

    /// Returns another grant than this one, if there is another.
    async fn newer_than(&self, old: &Grant) -> Result<Grant, RenewError> {
        let mine = self.login.take_anyway().await;
        let grant = self.grant().await?;
        if grant.access.text == old.access.text {
            mine.found(self.refresh(grant).await)?;
        }
        self.grant().await
    }

    /// Opens the grant that is kept. One that the store would not keep is kept first (D-043).
    async fn grant(&self) -> Result<Grant, RenewError> {
        let sealed = self.edit(|active| Ok(Edit::Unchanged(active.grant.clone())));
        self.open(&sealed.await?)
    }

    fn open(&self, sealed: &Sealed) -> Result<Grant, RenewError> {
        grant::opened(self.app, self.room, sealed).ok_or(RenewError::LoginRequired)
    }

    /// Asks the provider for a new grant and keeps it (D-043).
    async fn refresh(&self, old: Grant) -> Found {
        let Some(refresh_token) = &old.refresh_token else {
            // There is no longer one.
            return if old.access.lasts(now().seconds()) {
                Ok(())
            } else {
                Err(self.give_up().await)
            };
        };
        self.stays()?;
        if !self.app.renewals.allows(&self.room.session) {
            // What there is has to do.
            let lasts = old.access.lasts(now().seconds());
            return if lasts { Ok(()) } else { Err(RenewError::TooOften) };
        }
        // A store that cannot write must not cost the refresh token, which the provider takes but once.
        self.edit(|_| Ok(Edit::Changed(()))).await?;
        let subject = old.subject.as_deref();
        let new = match self.app.provider.refresh(refresh_token, subject).await {
            Err(ProviderError::Refused(code)) if code == "invalid_grant" => {
                return Err(self.give_up().await);
            }
            new => new?,
        };
        let (grant, is_good) = new.after(old);
        self.keep_grant(&grant).await?;
        Ok(is_good?)
    }

    /// Keeps a new grant. The refresh token before it is spent: what the store would not keep is remembered for when it
    /// will.
    async fn keep_grant(&self, grant: &Grant) -> Found {
        let sealed = self.app.registry.with_challenge(self.room, |challenge| {
            grant::seal(challenge, &self.room.session, grant)
        });
        self.room.set_unsaved(sealed.ok_or(RenewError::LoginRequired)?);
        let kept = self.edit(|_| Ok(Edit::Unchanged(()))).await;
        if let Err(RenewError::Store(error)) = &kept {
            tracing::error!(error = chain(error), "a new refresh token is in memory alone");
            let later = save_later(self.app.clone(), self.room.session.clone());
            self.app.tasks.spawn(later);
        }
        kept
    }

    /// Keeps the resource's token, then shows it (D-043).
    async fn keep(&self, token: &AccessToken) -> Found {
        let sealed = self.app.registry.with_challenge(self.room, |challenge| {
            seal_token(challenge, &self.room.session, self.resource, token)
        });
        let held = sealed.ok_or(RenewError::LoginRequired)?;
        self.edit(|active| {
            active.hold(self.resource, held.clone(), now())?;
            Ok(Edit::Changed(()))
        })
        .await
    }

    /// The refresh token is spent or revoked: only a new login helps, and everybody learns it.
    async fn give_up(&self) -> RenewError {
        let given_up = edit(self.app, self.room, |record| {
            let record = record
                .as_mut()
                .filter(|record| matches!(record.stage, Stage::Active(_)));
            record.ok_or(RenewError::LoginRequired)?.stage = Stage::Failed {
                error: "login_required".into(),
                description: "the identity provider ended the login".into(),
            };
            Ok(Edit::Changed(()))
        });
        given_up.await.err().unwrap_or(RenewError::LoginRequired)
    }

    async fn edit<T>(
        &self,
        editor: impl Fn(&mut Active) -> Result<Edit<T>, RenewError>,
    ) -> Result<T, RenewError> {
        edit(self.app, self.room, |record| {
            let active = record.as_mut().and_then(Record::active);
            editor(active.ok_or(RenewError::LoginRequired)?)
        })
        .await
    }

    /// Nothing new is asked of the provider by a server that leaves.
    fn stays(&self) -> Found {
        if self.app.leaving.is_cancelled() {
            return Err(RenewError::Leaving);
        }
        Ok(())
    }
}
