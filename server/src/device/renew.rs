//! A device wants a token that lasts (D-040 … D-043): one that there is, the login's own, or one that is exchanged for it.
//!
//! Three locks, always in this order: the flight of the resource, the flight of the login's grant, the record's lock.

use std::time::Instant;

use device_proto::ResourceUrn;
use device_proto::seal::Sealed;

use super::edit::{edit, save_later};
use super::grant;
use super::publish::seal_token;
use super::record::{Active, Record, Stage};
use super::records::Edit;
use super::renewed::{RenewError, Renewed};
use super::room::Room;
use super::sessions::Sessions;
use super::single_flight::{Joined, SingleFlight, Wanted};
use crate::cause::chain;
use crate::clock::now;
use crate::token::{self, AccessToken, ExchangeFor, Grant, ProviderError, Target};

/// Seconds a token must last when the device does not say.
const MIN_VALID: u64 = 60;

/// Seconds that the login's own token must last to be exchanged: the time of a call, and two clocks that differ.
const EXCHANGE_WITHIN: u64 = 15;

/// Sees to it that the doc holds a token for `resource` that is valid for `min_valid` seconds, if the provider
/// gives such long ones. One request at a time for each resource, and one for the login: a slow exchange delays no
/// request for another resource.
pub(super) async fn renew(
    sessions: &Sessions,
    room: &Room,
    resource: &ResourceUrn,
    min_valid: Option<u64>,
) -> Renewed {
    let target = token::target(&sessions.rules, resource).ok_or(RenewError::InvalidTarget)?;
    let renewal = Renewal {
        sessions,
        room,
        resource,
        until: now().plus(min_valid.unwrap_or(MIN_VALID)).seconds(),
        came: Instant::now(),
        login: room.flight(Wanted::Grant),
    };
    let leader = match room
        .flight(Wanted::Token(resource.clone()))
        .join(renewal.came)
        .await
    {
        Joined::Leader(leader) => leader,
        Joined::Result(renewed) => return renewed,
    };
    let Some(grant) = renewal.needed().await? else {
        return Ok(());
    };
    match target {
        Target::Session => {
            let grant = renewal.lasting(grant, renewal.until).await?;
            renewal.keep_token(&grant.access).await
        }
        Target::Exchange(target) => leader.land(renewal.exchange(grant, &target).await),
    }
}

/// One request of a device.
struct Renewal<'a> {
    sessions: &'a Sessions,
    room: &'a Room,
    resource: &'a ResourceUrn,
    /// Unix seconds.
    until: u64,
    /// When the request came: a result found since then is good for it.
    came: Instant,
    /// One request at a time changes the login's grant.
    login: SingleFlight<Renewed>,
}

impl Renewal<'_> {
    /// Returns the login's grant; `None`: there is a token that lasts, and the doc shows it.
    async fn needed(&self) -> Result<Option<Grant>, RenewError> {
        let sealed = self.edit(|active| {
            if active.has(self.resource, self.until) {
                return Ok(Edit::Unchanged(None));
            }
            // Before the provider is asked for a token that the record cannot hold.
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
        match self.login.join(self.came).await {
            Joined::Result(renewed) => renewed?,
            Joined::Leader(leader) => {
                let grant = self.current_grant().await?;
                if grant.access.lasts(until) {
                    return Ok(grant);
                }
                leader.land(self.refresh(grant).await)?;
            }
        }
        self.current_grant().await
    }

    /// Exchanges the login's own token, and keeps what that gives.
    async fn exchange(&self, grant: Grant, target: &ExchangeFor) -> Renewed {
        let grant = self.lasting(grant, now().plus(EXCHANGE_WITHIN).seconds()).await?;
        let token = match self.ask_exchange(&grant, target).await {
            // It may have been revoked; the refresh token knows.
            Err(error) if error.is_about_the_subject() => {
                self.ask_exchange(&self.newer_than(&grant).await?, target).await
            }
            // It ends with the login's own.
            Ok(short) if !short.lasts(self.until) && !grant.access.lasts(self.until) => {
                let again = async { self.ask_exchange(&self.newer_than(&grant).await?, target).await };
                again.await.or(Ok(short))
            }
            exchanged => exchanged,
        };
        self.keep_token(&token.map_err(RenewError::of_an_exchange)?).await
    }

    async fn ask_exchange(&self, grant: &Grant, target: &ExchangeFor) -> Result<AccessToken, RenewError> {
        let _one = self.room.exchanges.acquire().await;
        self.stays()?;
        let allowed = self.sessions.exchanges.check(&self.room.session);
        allowed.map_err(|_| RenewError::TooOften)?;
        Ok(self
            .sessions
            .provider
            .exchange(&grant.access.text, target)
            .await?)
    }

    /// Returns a newer grant than this one, if the provider gives one.
    async fn newer_than(&self, old: &Grant) -> Result<Grant, RenewError> {
        let leader = self.login.lead().await;
        let grant = self.current_grant().await?;
        if grant.access.text == old.access.text {
            leader.land(self.refresh(grant).await)?;
        }
        self.current_grant().await
    }

    /// Opens the session's grant as it is now.
    async fn current_grant(&self) -> Result<Grant, RenewError> {
        let sealed = self.edit(|active| Ok(Edit::Unchanged(active.grant.clone())));
        self.open(&sealed.await?)
    }

    fn open(&self, sealed: &Sealed) -> Result<Grant, RenewError> {
        grant::opened(self.sessions, self.room, sealed).ok_or(RenewError::LoginRequired)
    }

    /// Asks the provider for a new grant and keeps it (D-043).
    async fn refresh(&self, old: Grant) -> Renewed {
        let Some(refresh_token) = &old.refresh_token else {
            // No token of this login lasts longer.
            return if old.access.lasts(now().seconds()) {
                Ok(())
            } else {
                Err(self.give_up().await)
            };
        };
        self.stays()?;
        if self.sessions.renewals.check(&self.room.session).is_err() {
            // The token that is left has to do.
            let lasts = old.access.lasts(now().seconds());
            return if lasts { Ok(()) } else { Err(RenewError::TooOften) };
        }
        // A store that cannot write must not cost the refresh token, which the provider takes but once.
        self.edit(|_| Ok(Edit::Changed(()))).await?;
        let subject = old.subject.as_deref();
        let new = match self.sessions.provider.refresh(refresh_token, subject).await {
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
    async fn keep_grant(&self, grant: &Grant) -> Renewed {
        let sealed = self.sessions.registry.with_challenge(self.room, |challenge| {
            grant::seal(challenge, &self.room.session, grant)
        });
        self.room.set_unsaved(sealed.ok_or(RenewError::LoginRequired)?);
        let kept = self.edit(|_| Ok(Edit::Changed(()))).await;
        if let Err(RenewError::Store(error)) = &kept {
            tracing::error!(error = chain(error), "a new refresh token is in memory alone");
            let later = save_later(self.sessions.clone(), self.room.session.clone());
            self.sessions.work.tasks.spawn(later);
        }
        kept
    }

    /// Keeps the resource's token, then shows it (D-043).
    async fn keep_token(&self, token: &AccessToken) -> Renewed {
        let sealed = self.sessions.registry.with_challenge(self.room, |challenge| {
            seal_token(challenge, &self.room.session, self.resource, token)
        });
        let held = sealed.ok_or(RenewError::LoginRequired)?;
        self.edit(|active| {
            active.hold(self.resource, held.clone(), now())?;
            Ok(Edit::Changed(()))
        })
        .await
    }

    /// The refresh token is spent or revoked: only a new login helps, and every device of the session learns it.
    async fn give_up(&self) -> RenewError {
        let given_up = edit(self.sessions, self.room, |record| {
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
        edit(self.sessions, self.room, |record| {
            let active = record.as_mut().and_then(Record::active);
            editor(active.ok_or(RenewError::LoginRequired)?)
        })
        .await
    }

    /// Nothing new is asked of the provider by a server that leaves.
    fn stays(&self) -> Renewed {
        if self.sessions.shutdown.begun().is_cancelled() {
            return Err(RenewError::Leaving);
        }
        Ok(())
    }
}
