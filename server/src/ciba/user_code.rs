//! The user's code (CIBA Core §7.1.2): proves to the user's server that the client speaks with the user (C-200, C-201).

use std::sync::Arc;
use std::time::Duration;

use argon2::{Argon2, PasswordHash, PasswordVerifier as _};
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use crate::failures::Failures;

/// Wrong codes for one user within [`REMEMBERED`]; after them no code is looked at.
const MAX_WRONG: usize = 5;

/// How long a wrong code counts.
const REMEMBERED: Duration = Duration::from_secs(15 * 60);

/// Codes that are compared at once.
const AT_ONCE: usize = 4;

/// What the code of nobody is compared with.
const NOBODYS: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5aGFzYWNvZGU$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Bytes of a code.
const MAX_CODE: usize = 256;

/// Wrong codes, by user.
pub(super) type WrongCodes = Failures<String>;

/// No wrong codes yet.
pub(super) fn wrong_codes() -> WrongCodes {
    Failures::new(MAX_WRONG, REMEMBERED)
}

/// Compares codes with hashes, a few at a time: each takes tens of milliseconds and 19 MiB.
pub(super) struct UserCodes(Arc<Semaphore>);

impl Default for UserCodes {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(AT_ONCE)))
    }
}

impl UserCodes {
    /// Whether a code is the one of this hash (PHC form). Without a hash it is not, and that takes as long.
    pub(super) async fn is_right(&self, code: &str, hash: Option<&str>) -> bool {
        if code.len() > MAX_CODE {
            return false;
        }
        let Ok(place) = Arc::clone(&self.0).acquire_owned().await else {
            return false;
        };
        let (code, hash) = (Zeroizing::new(code.to_owned()), hash.map(str::to_owned));
        let checked = tokio::task::spawn_blocking(move || {
            // The place is free when the work is done, not when the client has left.
            let _place = place;
            let known = PasswordHash::new(hash.as_deref().unwrap_or(NOBODYS));
            let is_same =
                known.is_ok_and(|hash| Argon2::default().verify_password(code.as_bytes(), &hash).is_ok());
            is_same && hash.is_some()
        });
        checked.await.unwrap_or(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::users::hashed_code;

    #[tokio::test]
    async fn c_201_codes_are_compared_a_few_at_a_time_also_when_their_clients_have_left() {
        let codes = UserCodes::default();
        assert_eq!(codes.0.available_permits(), AT_ONCE);
        let hash = hashed_code("1234").unwrap();
        assert!(codes.is_right("1234", Some(&hash)).await);
        assert!(!codes.is_right("1235", Some(&hash)).await && !codes.is_right("1234", None).await);
        let places = Arc::clone(&codes.0)
            .acquire_many_owned(AT_ONCE as u32)
            .await
            .unwrap();
        let waits = tokio::time::timeout(Duration::from_millis(1), codes.is_right("1234", Some(&hash)));
        assert!(waits.await.is_err());
        drop(places);
        assert!(codes.is_right("1234", Some(&hash)).await);
    }

    #[test]
    fn c_190_the_code_of_nobody_is_compared_as_slowly_as_any() {
        let nobodys = PasswordHash::new(NOBODYS).unwrap();
        let ours = hashed_code("1234").unwrap();
        let ours = PasswordHash::new(&ours).unwrap();
        assert_eq!(
            (nobodys.algorithm, nobodys.params.clone()),
            (ours.algorithm, ours.params.clone())
        );
    }
}
