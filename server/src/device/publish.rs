//! Step 3 of the token's way: the device's sealed challenge is opened, the token sealed, the challenge wiped.

use std::collections::BTreeMap;

use device_proto::seal::{Key, NONCE_LEN, Purpose, Sealed};
use device_proto::token::Token;
use device_proto::{Challenge, RequestId, ResourceUrn};
use thiserror::Error;

use super::record::{Active, SessionError, Stage};
use super::registry::Room;
use crate::app::{App, now, random};
use crate::token::TokenSet;

/// What the refresh token is sealed for.
pub(super) const REFRESH: &str = "refresh";

/// Characters of a provider's error text that are kept.
const MAX_DESCRIPTION: usize = 300;

/// Why a token did not reach the device.
#[derive(Debug, Error)]
pub(crate) enum PublishError {
    /// Somebody signed in to it already.
    #[error("the session does not wait for a login")]
    NotPending,
    /// Its time was over while the provider was asked, or its device ended it.
    #[error("the session is gone")]
    Expired,
    /// The doc's challenge does not open.
    #[error("the device's challenge does not open")]
    Sealed,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] SessionError),
}

/// Seals a login's tokens for the device, keeps the sealed form, then shows it in the doc.
pub(crate) async fn publish(app: &App, room: &Room, tokens: &TokenSet) -> Result<(), PublishError> {
    let found = app.sessions.find(&room.session, now()).await?;
    let (mut record, version) = found.ok_or(PublishError::Expired)?;
    if !record.is_pending() {
        return Err(PublishError::NotPending);
    }
    let active = app.registry.with_challenge(room, |challenge| {
        seal(challenge, &room.session, &record.resource, tokens, room.writer())
    });
    record.stage = Stage::Active(active.ok_or(PublishError::Sealed)?);
    app.sessions
        .replace(&room.session, version, &record, now())
        .await?;
    room.show(&record.stage);
    Ok(())
}

fn seal(
    challenge: Challenge<'_>,
    session: &RequestId,
    resource: &ResourceUrn,
    tokens: &TokenSet,
    writer: u64,
) -> Active {
    Active {
        subject: tokens.subject.clone(),
        tokens: seal_token(challenge, session, [resource], tokens),
        refresh: seal_refresh(challenge, session, tokens),
        expires_at: tokens.expires_at,
        writer,
    }
}

/// Seals the access token, once for each resource it serves.
pub(super) fn seal_token<'a>(
    challenge: Challenge<'_>,
    session: &RequestId,
    resources: impl IntoIterator<Item = &'a ResourceUrn>,
    tokens: &TokenSet,
) -> BTreeMap<ResourceUrn, Sealed> {
    let key = Key::of_challenge(challenge, session, Purpose::Token);
    let sealed = resources.into_iter().map(|resource| {
        let plain = Token {
            access_token: tokens.access_token.as_str().into(),
            token_type: "Bearer".into(),
            expires_at: tokens.expires_at,
            scope: tokens.scope.as_deref().map(Into::into),
            issued_token_type: None,
            resource: resource.as_str().into(),
        };
        let sealed = key.seal(resource.as_str(), random::<NONCE_LEN>(), &plain.encode());
        (resource.clone(), sealed)
    });
    sealed.collect()
}

/// Seals the refresh token, if there is one.
pub(super) fn seal_refresh(
    challenge: Challenge<'_>,
    session: &RequestId,
    tokens: &TokenSet,
) -> Option<Sealed> {
    let token = tokens.refresh_token.as_ref()?;
    let key = Key::of_challenge(challenge, session, Purpose::Refresh);
    Some(key.seal(REFRESH, random::<NONCE_LEN>(), token.as_bytes()))
}

/// A login failed: the device learns it at once through its doc (D-023), or when it comes back.
pub(crate) async fn fail(
    app: &App,
    session: &RequestId,
    error: &str,
    description: &str,
) -> Result<(), SessionError> {
    let Some((mut record, version)) = app.sessions.find(session, now()).await? else {
        return Ok(());
    };
    if !record.is_pending() {
        return Ok(());
    }
    record.stage = Stage::Failed {
        error: printable(error),
        description: printable(description),
    };
    app.sessions.replace(session, version, &record, now()).await?;
    if let Some(room) = app.registry.hold(session) {
        room.show(&record.stage);
    }
    Ok(())
}

/// A provider's words end in somebody's terminal: no control characters, no novels.
pub(crate) fn printable(text: &str) -> String {
    text.chars()
        .filter(|c| !c.is_control())
        .take(MAX_DESCRIPTION)
        .collect()
}
