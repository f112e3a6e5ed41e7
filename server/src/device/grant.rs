//! What the provider gave for a login, sealed as one (D-032): the server keeps it, and opens it only with the challenge
//! of the live connection.

use std::borrow::Cow;

use device_proto::seal::{Key, KeyUse, NONCE_LEN, Sealed};
use device_proto::{Challenge, RequestId};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::record::SealedGrant;
use super::room::Room;
use super::sessions::Sessions;
use crate::random::random;
use crate::token::{AccessToken, Grant};

/// What it is sealed for.
const GRANT: &str = "grant";

/// Inside the seal.
#[derive(Serialize, Deserialize)]
struct Plain<'a> {
    #[serde(borrow)]
    access_token: Cow<'a, str>,
    /// Unix seconds.
    expires_at: u64,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    scope: Option<Cow<'a, str>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    refresh_token: Option<Cow<'a, str>>,
    /// Unix seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    refresh_ends: Option<u64>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    subject: Option<Cow<'a, str>>,
}

/// Seals a grant.
pub(super) fn seal(challenge: Challenge<'_>, session: &RequestId, grant: &Grant) -> SealedGrant {
    let plain = Plain {
        access_token: grant.access.text.as_str().into(),
        expires_at: grant.access.expires_at,
        scope: grant.access.scope.as_deref().map(Into::into),
        refresh_token: grant.refresh_token.as_ref().map(|token| token.as_str().into()),
        refresh_ends: grant.refresh_ends,
        subject: grant.subject.as_deref().map(Into::into),
    };
    let text = serde_json::to_vec(&plain).expect("texts and numbers always serialize");
    let key = Key::of_challenge(challenge, session, KeyUse::Refresh);
    SealedGrant {
        sealed: key.seal(GRANT, random::<NONCE_LEN>(), &Zeroizing::new(text)),
        ends: grant.ends(),
    }
}

/// Opens a session's grant with the challenge in its room; `None`: not with that one.
pub(super) fn opened(sessions: &Sessions, room: &Room, sealed: &Sealed) -> Option<Grant> {
    let open = |challenge: Challenge<'_>| open(challenge, &room.session, sealed);
    sessions.registry.with_challenge(room, open).flatten()
}

/// Opens a grant; `None`: not with this challenge.
fn open(challenge: Challenge<'_>, session: &RequestId, sealed: &Sealed) -> Option<Grant> {
    let mut buffer = Zeroizing::new(vec![0; sealed.plaintext_len()]);
    let key = Key::of_challenge(challenge, session, KeyUse::Refresh);
    let plain: Plain<'_> = serde_json::from_slice(key.open(GRANT, sealed, &mut buffer).ok()?).ok()?;
    let secret = |text: Cow<'_, str>| Zeroizing::new(text.into_owned());
    Some(Grant {
        access: AccessToken {
            text: secret(plain.access_token),
            expires_at: plain.expires_at,
            scope: plain.scope.map(Cow::into_owned),
            issued_type: None,
        },
        refresh_token: plain.refresh_token.map(secret),
        refresh_ends: plain.refresh_ends,
        subject: plain.subject.map(Cow::into_owned),
    })
}
