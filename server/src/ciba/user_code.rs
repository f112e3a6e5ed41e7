//! The user's code (CIBA Core §7.1.2): proves to the user's server that the client speaks with the user (C-200, C-201).

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use argon2::{Argon2, PasswordHash, PasswordVerifier as _};
use zeroize::Zeroizing;

/// Wrong codes for one user within [`REMEMBERED`]; after them no code is looked at.
const MAX_WRONG: usize = 5;

/// How long a wrong code counts.
const REMEMBERED: Duration = Duration::from_secs(15 * 60);

/// Bytes of a code.
const MAX_CODE: usize = 256;

/// Users with a wrong code at once. When there are more, codes are refused for all others.
const MAX_USERS: usize = 10_000;

/// Wrong codes, by user.
#[derive(Default)]
pub(super) struct WrongCodes(Mutex<HashMap<String, VecDeque<Instant>>>);

impl WrongCodes {
    /// Whether one more code may be looked at for this user.
    pub(super) fn allow(&self, sub: &str, now: Instant) -> bool {
        let mut users = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        users.retain(|_, wrong| {
            wrong.retain(|at| now.saturating_duration_since(*at) < REMEMBERED);
            !wrong.is_empty()
        });
        users
            .get(sub)
            .map_or(users.len() < MAX_USERS, |wrong| wrong.len() < MAX_WRONG)
    }

    /// Counts a wrong one.
    pub(super) fn count(&self, sub: &str, now: Instant) {
        let mut users = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        users.entry(sub.to_owned()).or_default().push_back(now);
    }
}

/// Whether a code is the one of this hash (PHC form). It takes tens of milliseconds, so not on the runtime's threads.
pub(super) async fn is_right(code: &str, hash: &str) -> bool {
    if code.len() > MAX_CODE {
        return false;
    }
    let (code, hash) = (Zeroizing::new(code.to_owned()), hash.to_owned());
    let checked = tokio::task::spawn_blocking(move || {
        PasswordHash::new(&hash)
            .is_ok_and(|hash| Argon2::default().verify_password(code.as_bytes(), &hash).is_ok())
    });
    checked.await.unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c_201_after_five_wrong_codes_in_fifteen_minutes_none_is_looked_at() {
        let (codes, began) = (WrongCodes::default(), Instant::now());
        for _ in 0..MAX_WRONG {
            assert!(codes.allow("alice", began));
            codes.count("alice", began);
        }
        assert!(!codes.allow("alice", began + REMEMBERED - Duration::from_secs(1)));
        assert!(codes.allow("bob", began));
        assert!(codes.allow("alice", began + REMEMBERED));
    }

    #[test]
    fn c_201_the_users_with_wrong_codes_are_bounded() {
        let (codes, now) = (WrongCodes::default(), Instant::now());
        (0..MAX_USERS).for_each(|n| codes.count(&n.to_string(), now));
        assert!(!codes.allow("another", now) && codes.allow("1", now));
        assert!(codes.allow("another", now + REMEMBERED));
    }
}
