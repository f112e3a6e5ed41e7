//! The device's one secret, what the server may know of it, and the name of the session they share.

use std::fmt;
use std::str::FromStr;

use base64ct::{Base64UrlUnpadded, Encoding};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use thiserror::Error;
use zeroize::Zeroizing;

/// Bytes of a challenge, and of a verifier.
pub const SECRET_LEN: usize = 32;

/// Characters of either as base64url without padding.
pub const TEXT_LEN: usize = 43;

/// A borrowed view of the device's secret: 32 random bytes that its owner keeps (`cibad` in locked pages,
/// `ciba-server` in a buffer that lives for one login). No `Debug`, no `Clone` of the bytes, no `Serialize`.
#[derive(Clone, Copy)]
pub struct Challenge<'a>(&'a [u8; SECRET_LEN]);

impl<'a> Challenge<'a> {
    /// Returns a view of the secret's bytes.
    pub fn new(bytes: &'a [u8; SECRET_LEN]) -> Self {
        Self(bytes)
    }

    /// Reads the 43 characters that travel as the auth token (D-010) into `bytes`.
    ///
    /// # Errors
    ///
    /// [`NotASecret`] when they are not 43 characters of base64url.
    pub fn decode(text: &str, bytes: &'a mut [u8; SECRET_LEN]) -> Result<Self, NotASecret> {
        decode(text, bytes)?;
        Ok(Self(bytes))
    }

    /// Returns the secret as the 43 characters that travel.
    pub fn expose(&self) -> Zeroizing<String> {
        Zeroizing::new(Base64UrlUnpadded::encode_string(self.0))
    }

    /// Returns what the server keeps: `SHA-256(ascii(challenge))`, as in PKCE S256 (RFC 7636 §4.2).
    pub fn verifier(&self) -> Verifier {
        Verifier::of(&self.expose())
    }

    /// Returns the secret's bytes.
    pub fn expose_bytes(&self) -> &[u8; SECRET_LEN] {
        self.0
    }
}

fn decode(text: &str, bytes: &mut [u8; SECRET_LEN]) -> Result<(), NotASecret> {
    match Base64UrlUnpadded::decode(text, bytes) {
        Ok(read) if read.len() == SECRET_LEN => Ok(()),
        _ => Err(NotASecret),
    }
}

/// The public half of the proof of possession. On the wire 43 characters of base64url.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Verifier([u8; SECRET_LEN]);

impl Verifier {
    /// Returns the verifier of an auth token.
    pub fn of(token: &str) -> Self {
        Self(Sha256::digest(token.as_bytes()).into())
    }

    /// Whether the token proves possession of the challenge (D-011): the only comparison there is, in
    /// constant time.
    pub fn accepts(&self, token: &str) -> bool {
        Self::of(token).0.ct_eq(&self.0).into()
    }
}

impl FromStr for Verifier {
    type Err = NotASecret;

    fn from_str(text: &str) -> Result<Self, NotASecret> {
        let mut bytes = [0; SECRET_LEN];
        decode(text, &mut bytes)?;
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for Verifier {
    type Error = NotASecret;

    fn try_from(text: String) -> Result<Self, NotASecret> {
        text.parse()
    }
}

impl fmt::Display for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&Base64UrlUnpadded::encode_string(&self.0))
    }
}

impl From<Verifier> for String {
    fn from(verifier: Verifier) -> Self {
        verifier.to_string()
    }
}

/// Not 43 characters of base64url without padding (D-004).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("not {TEXT_LEN} characters of base64url without padding")]
pub struct NotASecret;

/// The server's name for a session, and the name of its device doc: at least 128 random bits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RequestId(Box<str>);

impl RequestId {
    /// Bytes a name may have (hocuspocus.md §15).
    pub const MAX_LEN: usize = 256;

    /// Makes an id of 16 random bytes: 22 characters of base64url.
    pub fn from_random(bytes: [u8; 16]) -> Self {
        Self(Base64UrlUnpadded::encode_string(&bytes).into())
    }

    /// Returns the id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RequestId {
    type Err = BadName;

    /// Takes what any server may choose: 1 to 256 bytes, not blank, no control characters (the byte 0 would
    /// separate a session key).
    fn from_str(text: &str) -> Result<Self, BadName> {
        let fits = text.len() <= Self::MAX_LEN && !text.trim().is_empty() && !text.contains(char::is_control);
        if fits { Ok(Self(text.into())) } else { Err(BadName) }
    }
}

impl TryFrom<String> for RequestId {
    type Error = BadName;

    fn try_from(text: String) -> Result<Self, BadName> {
        text.parse()
    }
}

impl From<RequestId> for String {
    fn from(id: RequestId) -> Self {
        id.0.into()
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Not a name a session can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a session's name has 1 to 256 bytes, is not blank and holds no control characters")]
pub struct BadName;

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes 0 to 31, as the recorded conversations use them.
    const TEXT: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

    #[test]
    fn d_011_the_verifier_is_the_hash_of_the_text() {
        let mut bytes = [0; SECRET_LEN];
        let challenge = Challenge::decode(TEXT, &mut bytes).unwrap();
        assert_eq!(*challenge.expose(), TEXT);
        let verifier = challenge.verifier();
        assert_eq!(
            verifier.to_string(),
            "6oZqdX5MOLq_qBJ8vppAnT4fk6AP8UiP9zX8-Rev_9A"
        );
        assert_eq!(verifier.to_string().parse(), Ok(verifier));
        assert!(verifier.accepts(TEXT));
        assert!(!verifier.accepts(""));
        assert!(!verifier.accepts(&TEXT.replace('A', "B")));
        assert!(!verifier.accepts(&format!("{TEXT}=")));
    }

    #[test]
    fn d_004_only_43_characters_of_base64url_are_a_verifier() {
        let long = "A".repeat(44);
        for bad in [
            "",
            "A",
            &long,
            &TEXT[1..],
            "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh+",
            &format!("{TEXT}\n"),
        ] {
            assert_eq!(bad.parse::<Verifier>(), Err(NotASecret), "{bad:?}");
        }
    }

    #[test]
    fn names_that_no_document_can_have_are_refused() {
        for bad in ["", " ", "a\0b", "a\nb", &"x".repeat(257)] {
            assert_eq!(bad.parse::<RequestId>(), Err(BadName), "{bad:?}");
        }
        assert_eq!(RequestId::from_random([0xff; 16]).as_str().len(), 22);
    }
}
