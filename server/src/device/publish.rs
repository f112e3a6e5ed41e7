//! Step 3 of the token's way: the device's sealed challenge is opened, the token sealed, the challenge wiped.

use std::collections::BTreeMap;

use device_proto::seal::{Key, KeyUse, NONCE_LEN};
use device_proto::token::Token;
use device_proto::{Challenge, RequestId, ResourceUrn};
use thiserror::Error;

use super::edit::{Edit, edit};
use super::grant;
use super::record::{Active, Held, Record, SessionError, Stage};
use super::registry::Room;
use crate::app::App;
use crate::clock::now;
use crate::random::random;
use crate::token::{self, AccessToken, Grant, ProviderError, Target};

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
    /// The login is good, but gives no token for the resource that it was begun for.
    #[error("there is no token for the resource of the login")]
    Resource(#[source] ProviderError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] SessionError),
}

/// Seals what a login gave for the device, keeps the sealed form, then shows it in the doc.
pub(crate) async fn publish(
    app: &App,
    room: &Room,
    subject: &str,
    grant: &Grant,
) -> Result<(), PublishError> {
    let found = app.sessions.find(&room.session, now()).await?;
    let (record, _) = found.ok_or(PublishError::Expired)?;
    if !record.is_pending() {
        return Err(PublishError::NotPending);
    }
    let exchanged = exchanged(app, &record.resource, grant).await;
    let exchanged = exchanged.map_err(PublishError::Resource)?;
    let token = exchanged.as_ref().unwrap_or(&grant.access);
    let ours = app.registry.with_challenge(room, |challenge| Active {
        subject: subject.to_owned(),
        grant: grant::seal(challenge, &room.session, grant).sealed,
        ends: grant.ends(),
        tokens: BTreeMap::from([(
            record.resource.clone(),
            seal_token(challenge, &room.session, &record.resource, token),
        )]),
        writer: room.writer(),
    });
    let ours = ours.ok_or(PublishError::Sealed)?;
    edit(app, room, |record| activate(record, &ours)).await
}

/// Makes a session of what somebody signed in to.
fn activate(record: &mut Option<Record>, ours: &Active) -> Result<Edit<()>, PublishError> {
    let record = record.as_mut().ok_or(PublishError::Expired)?;
    match &record.stage {
        Stage::Pending { .. } => {
            record.stage = Stage::Active(ours.clone());
            Ok(Edit::Changed(()))
        }
        // A store that stumbled kept it all the same.
        Stage::Active(kept) if kept.grant == ours.grant => Ok(Edit::Unchanged(())),
        _ => Err(PublishError::NotPending),
    }
}

/// Returns the token for a login's resource where that is not the login's own.
async fn exchanged(
    app: &App,
    resource: &ResourceUrn,
    grant: &Grant,
) -> Result<Option<AccessToken>, ProviderError> {
    match token::target(&app.config.resources, resource) {
        Some(Target::Session) => Ok(None),
        Some(Target::Exchange(target)) => app.provider.exchange(&grant.access.text, &target).await.map(Some),
        // The rules were others when the login was begun.
        None => Err(ProviderError::Refused("invalid_target".into())),
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

/// A login failed: the device learns it at once through its doc (D-023), or when it comes back.
pub(crate) async fn fail(
    app: &App,
    session: &RequestId,
    error: &str,
    description: &str,
) -> Result<(), SessionError> {
    let failed = Stage::Failed {
        error: printable(error),
        description: printable(description),
    };
    let fail = |record: &mut Option<Record>| match record {
        Some(record) if record.is_pending() => {
            record.stage = failed.clone();
            Edit::Changed(())
        }
        _ => Edit::Unchanged(()),
    };
    if app.registry.hold(session).is_none() {
        // Its device is away, and reads the record when it comes back.
        let (mut record, version) = app.sessions.find(session, now()).await?.unzip();
        let edited = fail(&mut record);
        if let (Edit::Changed(()), Some(record), Some(version)) = (edited, &record, version) {
            app.sessions.replace(session, version, record, now()).await?;
        }
    }
    // It may have come back meanwhile.
    match app.registry.hold(session) {
        Some(room) => edit(app, &room, |record| Ok(fail(record))).await,
        None => Ok(()),
    }
}

/// A provider's words end in somebody's terminal: no control characters, no novels.
pub(crate) fn printable(text: &str) -> String {
    text.chars()
        .filter(|c| !c.is_control())
        .take(MAX_DESCRIPTION)
        .collect()
}
