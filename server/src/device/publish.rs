//! Step 3 of the token's way: the device's sealed challenge is opened, the token sealed, the challenge wiped.

use std::collections::BTreeMap;

use device_proto::seal::{Key, KeyUse, NONCE_LEN};
use device_proto::token::Token;
use device_proto::{Challenge, RequestId, ResourceUrn};
use thiserror::Error;

use super::edit::edit;
use super::grant;
use super::record::{Active, Held, Record, Stage};
use super::records::{Edit, SessionError};
use super::room::Room;
use super::sessions::Sessions;
use crate::clock::now;
use crate::random::random;
use crate::token::{self, AccessToken, Grant, Person, ProviderError, Target};

/// Why a token did not reach the device.
#[derive(Debug, Error)]
pub(super) enum PublishError {
    /// A person signed in to it already.
    #[error("the session does not wait for a login")]
    NotPending,
    /// Its time was over while the provider was asked, or its device ended it.
    #[error("the session is gone")]
    Expired,
    /// The doc's challenge does not open.
    #[error("the device's challenge does not open")]
    Sealed,
    /// The rules have changed since the login was begun.
    #[error("this server no longer gives tokens for the resource of the login")]
    InvalidTarget,
    /// The login is good, but gives no token for the resource that it was begun for.
    #[error("there is no token for the resource of the login")]
    Resource(#[source] ProviderError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] SessionError),
}

/// Seals what a login gave for the device, keeps the sealed form, then shows it in the doc.
pub(super) async fn publish(
    sessions: &Sessions,
    room: &Room,
    person: &Person,
    grant: &Grant,
) -> Result<(), PublishError> {
    let found = sessions.records.find(&room.session).await?;
    let (record, _) = found.ok_or(PublishError::Expired)?;
    if !record.is_pending() {
        return Err(PublishError::NotPending);
    }
    let exchanged = exchanged(sessions, &record.resource, grant).await?;
    let token = exchanged.as_ref().unwrap_or(&grant.access);
    let now = now().seconds();
    let ours = sessions.registry.with_challenge(room, |challenge| Active {
        sub: grant.subject.clone(),
        auth_time: Some(person.auth_time.map_or(now, |said| said.min(now))),
        subject: person.name.clone(),
        grant: grant::seal(challenge, &room.session, grant).sealed,
        ends: grant.ends(),
        tokens: BTreeMap::from([(
            record.resource.clone(),
            seal_token(challenge, &room.session, &record.resource, token),
        )]),
        writer: room.writer(),
    });
    let ours = ours.ok_or(PublishError::Sealed)?;
    edit(sessions, room, |record| activate(record, &ours)).await
}

/// Makes an active session of a pending one.
fn activate(record: &mut Option<Record>, ours: &Active) -> Result<Edit<()>, PublishError> {
    let record = record.as_mut().ok_or(PublishError::Expired)?;
    match &record.stage {
        Stage::Pending { .. } => {
            record.stage = Stage::Active(ours.clone());
            Ok(Edit::Changed(()))
        }
        // An earlier write of ours was kept although it was reported as failed.
        Stage::Active(kept) if kept.grant == ours.grant => Ok(Edit::Unchanged(())),
        _ => Err(PublishError::NotPending),
    }
}

/// Returns the token for a login's resource where that is not the login's own.
async fn exchanged(
    sessions: &Sessions,
    resource: &ResourceUrn,
    grant: &Grant,
) -> Result<Option<AccessToken>, PublishError> {
    match token::target(&sessions.rules, resource) {
        Some(Target::Session) => Ok(None),
        Some(Target::Exchange(target)) => {
            let exchanged = sessions.provider.exchange(&grant.access.text, &target).await;
            exchanged.map(Some).map_err(PublishError::Resource)
        }
        None => Err(PublishError::InvalidTarget),
    }
}

/// Seals a resource's token.
pub(super) fn seal_token(
    challenge: Challenge<'_>,
    session: &RequestId,
    resource: &ResourceUrn,
    token: &AccessToken,
) -> Held {
    let plain = Token {
        access_token: token.text.as_str().into(),
        token_type: "Bearer".into(),
        expires_at: token.expires_at,
        scope: token.scope.as_deref().map(Into::into),
        issued_token_type: token.issued_type.as_deref().map(Into::into),
        resource: resource.as_str().into(),
    };
    let key = Key::of_challenge(challenge, session, KeyUse::Token);
    Held {
        sealed: key.seal(resource.as_str(), random::<NONCE_LEN>(), &plain.encode()),
        expires_at: token.expires_at,
    }
}
