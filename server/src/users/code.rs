//! The user code (CIBA Core §7.1.2) as it is kept: a hash that is slow to guess at, since a person chose the code (C-201).

use argon2::{Argon2, PasswordHasher as _};
use thiserror::Error;

/// Characters of a code, and the bytes of the longest that is ever compared.
const MIN_CODE: usize = 4;
const MAX_CODE: usize = 256;

/// Why a code is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum CodeError {
    /// Too short or too long.
    #[error("the code must have 4 characters at least, and 256 bytes at most")]
    Length,
    /// The hash could not be computed.
    #[error("the code could not be hashed")]
    Hash,
}

/// Returns the hash of a code, in PHC form, with a salt of its own.
pub(crate) fn hashed_code(code: &str) -> Result<String, CodeError> {
    if code.chars().count() < MIN_CODE || code.len() > MAX_CODE {
        return Err(CodeError::Length);
    }
    let hash = Argon2::default().hash_password(code.as_bytes());
    hash.map(|hash| hash.to_string()).map_err(|_| CodeError::Hash)
}

#[cfg(test)]
mod tests {
    use argon2::{PasswordHash, PasswordVerifier as _};

    use super::*;

    #[test]
    fn c_201_a_code_is_kept_as_a_salted_slow_hash() {
        let [one, other] = [(); 2].map(|()| hashed_code("1234").unwrap());
        assert_ne!(one, other);
        assert!(one.starts_with("$argon2id$"), "{one}");
        let kept = PasswordHash::new(&one).unwrap();
        assert!(Argon2::default().verify_password(b"1234", &kept).is_ok());
        assert!(Argon2::default().verify_password(b"1235", &kept).is_err());
    }

    #[test]
    fn c_201_a_code_has_a_length() {
        for wrong in ["", "123", &"x".repeat(MAX_CODE + 1)] {
            assert_eq!(hashed_code(wrong), Err(CodeError::Length));
        }
        assert!(hashed_code(&"x".repeat(MAX_CODE)).is_ok());
    }
}
