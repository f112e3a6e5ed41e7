//! What a request is called. Its `auth_req_id` is a secret of the client and the person; everything else knows it by a
//! hash.

use std::fmt;

use base64ct::{Base64UrlUnpadded, Encoding as _};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::random::random;

/// Random bytes of an `auth_req_id` (C-141 asks for 20).
const ID_BYTES: usize = 32;

/// Characters of the short name that people and logs see.
const HANDLE: usize = 8;

/// SHA-256 of an `auth_req_id`. As a key it needs no constant time: a caller cannot choose the hash of a guess (C-408).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Name([u8; 32]);

/// Draws an `auth_req_id` (C-141).
pub(super) fn auth_req_id() -> Zeroizing<String> {
    let bytes = Zeroizing::new(random::<ID_BYTES>());
    Zeroizing::new(Base64UrlUnpadded::encode_string(&*bytes))
}

impl Name {
    pub(crate) fn of(auth_req_id: &str) -> Self {
        Self(Sha256::digest(auth_req_id.as_bytes()).into())
    }

    /// Reads a whole name.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        let read = Base64UrlUnpadded::decode(text, &mut bytes).ok()?;
        (read.len() == bytes.len()).then_some(Self(bytes))
    }

    /// Returns the hash.
    pub(crate) fn hash(&self) -> &[u8; 32] {
        &self.0
    }

    /// The first characters of the name.
    pub(crate) fn handle(&self) -> String {
        let mut text = self.to_string();
        text.truncate(HANDLE);
        text
    }
}

/// 43 characters of base64url.
impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&Base64UrlUnpadded::encode_string(&self.0))
    }
}

/// The handle.
impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.handle())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c_141_an_id_has_256_bits_and_only_the_allowed_characters() {
        let (one, other) = (auth_req_id(), auth_req_id());
        assert_ne!(*one, *other);
        assert_eq!(one.len(), 43);
        assert!(
            one.bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte))
        );
    }

    #[test]
    fn c_407_a_name_does_not_tell_the_id() {
        let id = auth_req_id();
        let name = Name::of(&id);
        assert_eq!(Name::parse(&name.to_string()), Some(name));
        assert!(!name.to_string().contains(&id[..8]) && name.to_string().starts_with(&name.handle()));
        assert_eq!(format!("{name:?}"), name.handle());
        assert_eq!((Name::parse(""), Name::parse(&id[..42])), (None, None));
    }
}
