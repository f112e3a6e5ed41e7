//! The user's code (CIBA Core §7.1.2): proves to the user's server that the client speaks with the user (C-200, C-201).

use std::time::Duration;

use argon2::{Argon2, PasswordHash, PasswordVerifier as _};
use zeroize::Zeroizing;

use crate::failures::Failures;

/// Wrong codes for one user within [`REMEMBERED`]; after them no code is looked at.
const MAX_WRONG: usize = 5;

/// How long a wrong code counts.
const REMEMBERED: Duration = Duration::from_secs(15 * 60);

/// Bytes of a code.
const MAX_CODE: usize = 256;

/// Wrong codes, by user.
pub(super) type WrongCodes = Failures<String>;

/// No wrong codes yet.
pub(super) fn wrong_codes() -> WrongCodes {
    Failures::new(MAX_WRONG, REMEMBERED)
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
