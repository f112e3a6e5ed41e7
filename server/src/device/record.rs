//! What the server keeps of a session (D-032): all of it useless without the challenge, which only the device has.

use std::collections::BTreeMap;

use device_proto::seal::Sealed;
use device_proto::{ResourceUrn, Verifier};
use serde::{Deserialize, Serialize};
use store::UnixSeconds;
use thiserror::Error;

/// How long a session is kept after it last got a token, seconds: 90 days.
const KEPT: u64 = 90 * 24 * 3600;

/// How long a failure is kept, so that a device that was away still learns of it, seconds.
const FAILURE_KEPT: u64 = 600;

/// Tokens of one session that have not ended.
const MAX_TOKENS: usize = 1_024;

/// Bytes of them: with all around them they stay within one frame to a device
/// ([`device_proto::device::MAX_SERVER_FRAME`]) and one value of the store ([`store::VALUE_BYTES_MAX`]).
const MAX_TOKEN_BYTES: usize = 3 * 1024 * 1024;

/// A session has as many tokens as it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the session has as many tokens as it may have at once")]
pub(crate) struct TooMany;

/// A session's record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// What the device's proof is checked against.
    pub(crate) verifier: Verifier,
    /// The resource of the first token.
    pub(crate) resource: ResourceUrn,
    /// What the device calls itself; shown to the person.
    pub(crate) device_name: Option<String>,
    /// Where the request came from; shown to the person.
    pub(crate) address: String,
    /// The code to compare.
    pub(crate) user_code: String,
    /// Unix seconds.
    pub(crate) created_at: u64,
    /// How far it is.
    pub(crate) stage: Stage,
}

/// How far a session is. What exists only at one stage is only there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Stage {
    /// Somebody has yet to sign in.
    Pending {
        /// Until when, Unix seconds (D-005).
        login_ends: u64,
    },
    /// Somebody did.
    Active(Active),
    /// Nobody did, or the provider said no.
    Failed {
        /// An OAuth error code.
        error: String,
        /// For people.
        description: String,
    },
}

/// What an active session has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Active {
    /// The `sub` of the person who signed in. Records of older servers have it in the grant alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sub: Option<String>,
    /// When that person last signed in, Unix seconds. Records of older servers lack it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) auth_time: Option<u64>,
    /// Who signed in, for people.
    pub(crate) subject: String,
    /// What the provider gave for the login, sealed with the challenge under a key of its own.
    pub(crate) grant: Sealed,
    /// When the session ends for want of tokens, Unix seconds, if that is known.
    pub(crate) ends: Option<u64>,
    /// The tokens that have not ended.
    pub(crate) tokens: BTreeMap<ResourceUrn, Held>,
    /// The Yjs client id that wrote these tokens; the next incarnation's is larger (D-034).
    pub(crate) writer: u64,
}

/// A resource's token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Held {
    /// Sealed with the challenge.
    pub(crate) sealed: Sealed,
    /// Unix seconds.
    pub(crate) expires_at: u64,
}

/// A login's grant as it is kept.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct SealedGrant {
    pub(super) sealed: Sealed,
    /// When the session ends for want of tokens, Unix seconds, if that is known.
    pub(super) ends: Option<u64>,
}

impl Active {
    /// Takes the login's new grant in.
    pub(super) fn set_grant(&mut self, grant: SealedGrant) {
        (self.grant, self.ends) = (grant.sealed, grant.ends);
    }

    /// Whether there is a token for a resource that lasts until then.
    pub(crate) fn has(&self, resource: &ResourceUrn, until: u64) -> bool {
        self.tokens
            .get(resource)
            .is_some_and(|held| held.expires_at > until)
    }

    /// Takes a resource's token in; what has ended goes.
    ///
    /// # Errors
    ///
    /// [`TooMany`]; nothing has changed but for what has ended.
    pub(crate) fn hold(
        &mut self,
        resource: &ResourceUrn,
        token: Held,
        now: UnixSeconds,
    ) -> Result<(), TooMany> {
        self.drop_ended(now);
        self.fits(resource, size(resource, &token), now)?;
        self.tokens.insert(resource.clone(), token);
        Ok(())
    }

    /// Whether there may be room for a resource's token.
    ///
    /// # Errors
    ///
    /// [`TooMany`]
    pub(crate) fn has_room(&self, resource: &ResourceUrn, now: UnixSeconds) -> Result<(), TooMany> {
        self.fits(resource, 0, now)
    }

    fn fits(&self, resource: &ResourceUrn, size_of_it: usize, now: UnixSeconds) -> Result<(), TooMany> {
        let others = self
            .tokens
            .iter()
            .filter(|(urn, held)| *urn != resource && held.expires_at > now.seconds());
        let (count, bytes) = others.fold((0, 0), |(count, bytes), (urn, held)| {
            (count + 1, bytes + size(urn, held))
        });
        if count >= MAX_TOKENS || bytes + size_of_it > MAX_TOKEN_BYTES {
            return Err(TooMany);
        }
        Ok(())
    }

    /// Lets go of what has ended.
    pub(crate) fn drop_ended(&mut self, now: UnixSeconds) {
        self.tokens.retain(|_, held| held.expires_at > now.seconds());
    }
}

fn size(resource: &ResourceUrn, token: &Held) -> usize {
    resource.as_str().len() + token.sealed.as_str().len()
}

impl Record {
    /// Returns when the store may forget it.
    pub(super) fn expires(&self, now: UnixSeconds) -> UnixSeconds {
        match self.stage {
            Stage::Pending { login_ends } => UnixSeconds::new(login_ends),
            Stage::Active(_) => now.plus(KEPT),
            Stage::Failed { .. } => now.plus(FAILURE_KEPT),
        }
    }

    /// Returns what the session has, if somebody signed in.
    pub(crate) fn active(&mut self) -> Option<&mut Active> {
        match &mut self.stage {
            Stage::Active(active) => Some(active),
            _ => None,
        }
    }

    /// Whether somebody has yet to sign in.
    pub(crate) fn is_pending(&self) -> bool {
        matches!(self.stage, Stage::Pending { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::shown::MAX_SHOWN_BYTES;

    const NOW: UnixSeconds = UnixSeconds::new(1_800_000_000);

    fn urn(n: usize) -> ResourceUrn {
        format!("urn:d:{n}").parse().unwrap()
    }

    fn sealed(bytes: usize) -> Sealed {
        let text = format!("..x.{}.x", "x".repeat(bytes - "..x..x".len()));
        text.try_into().unwrap()
    }

    fn token(bytes: usize, expires_at: u64) -> Held {
        Held {
            sealed: sealed(bytes),
            expires_at,
        }
    }

    fn active() -> Active {
        Active {
            sub: None,
            auth_time: None,
            subject: "Alice".into(),
            grant: sealed(device_proto::seal::MAX_SEALED),
            ends: None,
            tokens: BTreeMap::new(),
            writer: u64::MAX,
        }
    }

    fn later() -> u64 {
        NOW.plus(60).seconds()
    }

    #[test]
    fn a_session_holds_a_thousand_tokens_and_what_has_ended_makes_room() {
        let mut active = active();
        for n in 0..MAX_TOKENS {
            active.hold(&urn(n), token(10, later()), NOW).unwrap();
        }
        assert_eq!(
            active.hold(&urn(MAX_TOKENS), token(10, later()), NOW),
            Err(TooMany)
        );
        assert_eq!(
            active.hold(&urn(0), token(20, NOW.plus(9).seconds()), NOW),
            Ok(()),
            "again is no more"
        );
        assert_eq!(
            active.hold(&urn(MAX_TOKENS), token(10, later()), NOW.plus(9)),
            Ok(())
        );
        assert!(!active.has(&urn(0), NOW.seconds()) && active.tokens.len() == MAX_TOKENS);
    }

    #[test]
    fn what_a_session_holds_fits_into_a_frame_and_into_the_store() {
        let mut active = active();
        // What JSON writes as two characters.
        let urn = |n: usize| -> ResourceUrn { format!("urn:{n:04}{}", "\"".repeat(504)).parse().unwrap() };
        let each = MAX_TOKEN_BYTES / MAX_TOKENS - urn(0).as_str().len();
        for n in 0..MAX_TOKENS {
            active.hold(&urn(n), token(each, later()), NOW).unwrap();
        }
        assert_eq!(active.hold(&urn(0), token(each + 1, later()), NOW), Err(TooMany));
        let bytes = serde_json::to_vec(&active).unwrap().len();
        assert!(bytes < store::VALUE_BYTES_MAX, "{bytes}");
        const {
            let rest = MAX_TOKENS * 64 + MAX_SHOWN_BYTES;
            assert!(MAX_TOKEN_BYTES + rest < device_proto::device::MAX_SERVER_FRAME);
        };
    }
}
