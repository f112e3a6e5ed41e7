//! What a device asks for over its socket (D-040 … D-044), and what it is answered.

use std::time::Duration;

use device_proto::ask::{Ask, Reply};
use device_proto::seal::{Key, Purpose};
use zeroize::Zeroizing;

use super::publish::REFRESH;
use super::record::{Record, SessionError, Stage};
use super::registry::Room;
use crate::app::{App, now};

/// How long the identity provider may take to revoke before the session ends without it.
const REVOKE_WITHIN: Duration = Duration::from_secs(4);

/// Does what the device asks and returns the reply. `None`: the session is over, the socket says so itself.
pub(super) async fn answer(app: &App, room: &Room, ask: Ask) -> Reply {
    match ask {
        Ask::End { id } => match end(app, room).await {
            Ok(()) => Reply::Ended { id },
            Err(cause) => {
                tracing::error!(error = %cause, "a session could not be ended");
                error(
                    id,
                    "temporarily_unavailable",
                    "the server's store does not answer",
                )
            }
        },
        Ask::Token { id, .. } => error(
            id,
            "temporarily_unavailable",
            "this server cannot refresh tokens yet",
        ),
    }
}

fn error(id: String, error: &str, description: &str) -> Reply {
    Reply::Error {
        id,
        error: error.into(),
        error_description: description.into(),
    }
}

/// Revokes at the provider, forgets the record, closes every socket (D-044).
async fn end(app: &App, room: &Room) -> Result<(), SessionError> {
    if let Some((record, _)) = app.sessions.find(&room.session, now()).await?
        && let Some(token) = refresh_token(app, room, &record)
        && tokio::time::timeout(REVOKE_WITHIN, app.provider.revoke(&token))
            .await
            .is_err()
    {
        tracing::warn!("the identity provider did not revoke in time");
    }
    app.sessions.forget(&room.session).await?;
    room.end();
    Ok(())
}

/// Opens the sealed refresh token with the challenge of the live connection.
fn refresh_token(app: &App, room: &Room, record: &Record) -> Option<Zeroizing<String>> {
    let Stage::Active(active) = &record.stage else {
        return None;
    };
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
