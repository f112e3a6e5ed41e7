//! What a device asks for over its socket (D-040 … D-044, D-065), and what it is answered.

use std::time::Duration;

use device_proto::RequestId;
use device_proto::ask::{Ask, Reply};

use super::approvals;
use super::edit::edit;
use super::grant;
use super::record::Record;
use super::records::{Edit, SessionError};
use super::renew::renew;
use super::room::Room;
use super::sessions::Sessions;
use super::single_flight::Wanted;
use crate::cause::chain;
use crate::token::{Grant, Kind};

/// How long the identity provider may take to revoke before the session ends without it.
const REVOKE_WITHIN: Duration = Duration::from_secs(4);

const STORE_IS_AWAY: &str = "the server's store does not answer";

/// Does what the device asks and returns the reply. The room is held meanwhile: what has been begun is finished in it,
/// even if the device leaves and comes back.
pub(super) async fn answer(sessions: &Sessions, session: &RequestId, ask: Ask) -> Reply {
    let Some(room) = sessions.registry.hold_for(session, &ask) else {
        return error(ask.id().into(), "slow_down", "too much is asked for at once");
    };
    if !matches!(ask, Ask::End { .. }) && sessions.asks.check(session).is_err() {
        return error(ask.id().into(), "slow_down", "too much is asked for");
    }
    match ask {
        Ask::Token {
            id,
            resource,
            min_valid,
        } => match renew(sessions, &room, &resource, min_valid).await {
            Ok(()) => Reply::TokenReady { id, resource },
            Err(cause) => {
                let code = cause.code();
                tracing::warn!(error = chain(&cause), code, "a token could not be renewed");
                error(id, code, &cause.to_string())
            }
        },
        Ask::Decide {
            id,
            request,
            decision,
        } => match approvals::decide(sessions, &room, &request, decision).await {
            Ok(()) => Reply::Decided { id },
            Err(why) => error(id, why.code(), &why.to_string()),
        },
        Ask::End { id } => match end(sessions, &room).await {
            Ok(()) => Reply::Ended { id },
            Err(cause) => {
                tracing::error!(error = chain(&cause), "a session could not be ended");
                error(id, "temporarily_unavailable", STORE_IS_AWAY)
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

/// Forgets the record, revokes at the provider, closes every socket (D-044). In this order: a login that is on its way
/// finds the record gone, and gives back its own tokens.
async fn end(sessions: &Sessions, room: &Room) -> Result<(), SessionError> {
    // A renewal under way brings a refresh token that has to be revoked, too.
    let _leader = room.flight(Wanted::Grant).lead().await;
    let mut last = None;
    let forgotten = edit(sessions, room, |record| {
        last = record.take().or(last.take());
        Ok::<_, SessionError>(Edit::Changed(()))
    })
    .await;
    // The device means it, even while the store fails.
    let grant = last.as_mut().and_then(Record::active).map(|active| &active.grant);
    if let Some(grant) = grant.and_then(|sealed| grant::opened(sessions, room, sealed)) {
        revoke(sessions, &grant).await;
    }
    forgotten?;
    room.end();
    Ok(())
}

/// Gives back what a login gave, if the provider takes it in time. The refresh token first: with many providers
/// everything that came of it goes with it.
pub(super) async fn revoke(sessions: &Sessions, grant: &Grant) {
    let revoked = tokio::time::timeout(REVOKE_WITHIN, async {
        if let Some(refresh_token) = &grant.refresh_token {
            sessions.provider.revoke(refresh_token, Kind::Refresh).await;
        }
        sessions.provider.revoke(&grant.access.text, Kind::Access).await;
    });
    if revoked.await.is_err() {
        tracing::warn!("the identity provider did not revoke in time");
    }
}
