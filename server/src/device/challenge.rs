//! A device's challenge while it waits for a login (D-012, D-024): sealed with a key that lives in memory alone, opened
//! for one use.

use base64ct::{Base64UrlUnpadded, Encoding as _};
use device_proto::seal::{Key, NONCE_LEN, Sealed};
use device_proto::{Challenge, RequestId};
use zeroize::Zeroizing;

use crate::random::random;

/// Its place in the `_server` map, and the "resource" it is sealed for.
const CHALLENGE: &str = "challenge";

/// The place of the salt of the key it is sealed with.
const SALT: &str = "salt";

/// Bytes of the salt.
const SALT_LEN: usize = 16;

/// Drawn at each start. No disk and no dump of the store has ever held it (D-032).
pub(super) struct ServerKey(Zeroizing<[u8; 32]>);

/// A challenge as the doc has it, too; for each use the doc would have to be decoded.
pub(super) struct SealedChallenge {
    sealed: Sealed,
    salt: [u8; SALT_LEN],
}

impl ServerKey {
    /// Draws a key.
    pub(super) fn draw() -> Self {
        Self(Zeroizing::new(random()))
    }

    /// Seals a session's challenge.
    pub(super) fn seal(&self, session: &RequestId, challenge: Challenge<'_>) -> SealedChallenge {
        let salt: [u8; SALT_LEN] = random();
        let key = Key::of_server(&self.0, &salt, session);
        let sealed = key.seal(CHALLENGE, random::<NONCE_LEN>(), challenge.expose_bytes());
        SealedChallenge { sealed, salt }
    }

    /// Opens a session's challenge into `secret`; `None`: it was sealed for another session or with another key.
    pub(super) fn open(
        &self,
        session: &RequestId,
        challenge: &SealedChallenge,
        secret: &mut [u8; 32],
    ) -> Option<()> {
        let key = Key::of_server(&self.0, &challenge.salt, session);
        key.open(CHALLENGE, &challenge.sealed, secret).ok()?;
        Some(())
    }
}

impl SealedChallenge {
    /// Returns what it is in the doc's `_server` map: keys and values.
    pub(super) fn texts(&self) -> [(&'static str, String); 2] {
        let salt = Base64UrlUnpadded::encode_string(&self.salt);
        [(CHALLENGE, self.sealed.to_string()), (SALT, salt)]
    }
}

#[cfg(test)]
mod tests {
    use device_proto::seal::KeyUse;

    use super::*;

    /// The one key that no test outside can try: it is nowhere but in memory.
    #[test]
    fn d_032_the_server_key_opens_nothing_that_is_kept() {
        let (server_key, session) = (ServerKey::draw(), RequestId::from_random(random()));
        let challenge: [u8; 32] = random();
        let ours = Challenge::new(&server_key.0);
        for key_use in [KeyUse::Token, KeyUse::Refresh, KeyUse::Approval] {
            let key = Key::of_challenge(Challenge::new(&challenge), &session, key_use);
            let kept = key.seal("urn:d:x", random::<NONCE_LEN>(), b"a token");
            let mut buffer = [0; 64];
            assert!(key.open("urn:d:x", &kept, &mut buffer).is_ok());
            for key in [
                Key::of_challenge(ours, &session, key_use),
                Key::of_server(&server_key.0, &[0; 16], &session),
            ] {
                assert!(key.open("urn:d:x", &kept, &mut buffer).is_err());
            }
        }
        assert!(*server_key.0 != *ServerKey::draw().0, "drawn at each start");
    }
}
