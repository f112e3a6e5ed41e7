//! What a device asks for over its socket (D-040 … D-044), and what it is answered.

use std::time::Duration;

use device_proto::RequestId;
use device_proto::ask::{Ask, Reply};

use super::record::SessionError;
use super::registry::Room;
use super::renew::{last_grant, renew};
use super::turn::What;
use crate::app::{App, chain};
use crate::token::{Grant, Kind};

/// How long the identity provider may take to revoke before the session ends without it.
const REVOKE_WITHIN: Duration = Duration::from_secs(4);

/// Does what the device asks and returns the reply. The room is held meanwhile: what has been begun is finished in it,
/// even if the device leaves and comes back.
pub(super) async fn answer(app: &App, session: &RequestId, ask: Ask) -> Reply {
    let Some(room) = app.registry.hold(session) else {
        return error(ask.id().into(), "slow_down", "too much is asked for at once");
    };
    match ask {
        Ask::Token {
            id,
            resource,
            min_valid,
        } => match renew(app, &room, &resource, min_valid).await {
            Ok(()) => Reply::TokenReady { id, resource },
            Err(cause) => {
                tracing::warn!(
                    error = chain(&cause),
                    code = cause.code(),
                    "a token could not be renewed"
                );
                error(id, cause.code(), &cause.to_string())
            }
        },
        Ask::End { id } => match end(app, &room).await {
            Ok(()) => Reply::Ended { id },
            Err(cause) => {
                tracing::error!(error = chain(&cause), "a session could not be ended");
                error(
                    id,
                    "temporarily_unavailable",
                    "the server's store does not answer",
                )
            }
        },
    }
}

/// Returns the reply that says no.
pub(super) fn error(id: String, error: &str, description: &str) -> Reply {
    Reply::Error {
        id,
        error: error.into(),
        error_description: description.into(),
    }
}

/// Revokes at the provider, forgets the record, closes every socket (D-044).
async fn end(app: &App, room: &Room) -> Result<(), SessionError> {
    // A renewal under way brings a refresh token that has to be revoked, too.
    let _turn = room.turn(What::Grant).take_anyway().await;
    let _pen = room.pen().await;
    if let Some(grant) = last_grant(app, room).await?
        && tokio::time::timeout(REVOKE_WITHIN, revoke(app, &grant))
            .await
            .is_err()
    {
        tracing::warn!("the identity provider did not revoke in time");
    }
    app.sessions.forget(&room.session).await?;
    room.end();
    Ok(())
}

/// The refresh token first: with many providers everything that came of it goes with it.
async fn revoke(app: &App, grant: &Grant) {
    if let Some(refresh_token) = &grant.refresh_token {
        app.provider.revoke(refresh_token, Kind::Refresh).await;
    }
    app.provider.revoke(&grant.access.text, Kind::Access).await;
}
